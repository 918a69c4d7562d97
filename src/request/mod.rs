//! What is asked for: the items and switches from every source, with the place where each stands.
//!
//! A source is read from start to end, an item at a time, and nothing is kept of its text but what a message may show. A bad item becomes a [`Problem`] and costs no other item.
//!
//! | room | |
//! | --- | --- |
//! | [`selector`], [`class`] | which functions an item means: the grammar |
//! | [`embedded`] | the configuration inside the binary |
//! | [`file`](mod@file) | `/etc/xen/pciback.conf` and its drop-ins |
//! | [`guard`] | what an image knows to be needed to boot |
//! | [`modprobe`] | options for the module in `modprobe.d` |
//! | [`cmdline`] | the kernel's command line, by the kernel's rules, and what others write there |
//! | [`folder`] | files of a folder, in order |
//! | [`index`] | the items that may mean a function, without looking at all of them |
//! | [`problem`] | what is wrong with an item, and how it is said |

pub mod class;
pub mod cmdline;
pub mod digest;
pub mod embedded;
pub mod file;
pub mod folder;
pub mod guard;
pub mod index;
pub mod modprobe;
pub mod problem;
pub mod selector;

use heapless::Vec;

use crate::{
    host::{Errno, Host, PATH_SIZE},
    pci::Address,
    put,
    text::{Either, Excerpt, Line, Show, behind, number, split_once, word_number},
};
use digest::Digest;
pub use index::Cursor;
use index::Index;
pub use problem::{Fault, Found, Mistake, Problem, Problems};
pub use selector::{By, Function, Selector};

/// Most items of a request.
pub const ITEMS: usize = 4096;

/// Most sources of a request: the embedded text, the file, the command line, the drop-ins, and what there is of `modprobe.d` and `/etc/cmdline.d`.
pub const SOURCES: usize = 64;

/// Where an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which of the request's sources.
    pub source: SourceId,
    /// From 1. 0: the source as a whole.
    pub line: u32,
    /// In bytes, from 1. 0: the line as a whole.
    pub column: u32,
}

/// A source: see [`Request::source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceId(u8);

/// What somebody asks for: take these, or keep them.
#[derive(Clone, Debug)]
pub struct Item {
    /// Which functions.
    pub selector: Selector,
    /// Whether they are never to be taken, whatever else asks for them: `!`.
    pub is_keep: bool,
    /// Where it stands.
    pub origin: Origin,
    /// Whether it has meant a function yet.
    pub has_matched: bool,
    /// Whether there is a bridge where it has a `*`.
    pub has_passed_over: bool,
}

impl Item {
    /// Whether it asks for whatever is of some kind, and not for what is at one place.
    pub fn is_broad(&self) -> bool {
        !self.selector.is_one_place()
    }
}

impl Show for Item {
    fn show(&self, line: &mut Line) {
        put!(line, Either(if self.is_keep { "!" } else { "" }), &self.selector);
    }
}

/// An item: its place in [`Request::items`].
pub type ItemId = u16;

/// The switches. A later source wins over an earlier one; within a source the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// This boot, do nothing at all.
    pub off: bool,
    /// Whatever was asked for and is not so makes `seize` exit with status 3.
    pub strict: bool,
    /// Also say when all is held, before anything slow begins.
    pub debug: bool,
    /// Also take what is in use.
    pub force: bool,
    /// How long a step of the kernel's may take, in seconds, 1 to [`LONGEST_TIMEOUT`]. 0: nobody said.
    pub timeout: u32,
}

/// The longest time to wait that may be asked for, in seconds.
pub const LONGEST_TIMEOUT: u32 = 3600;

/// Everything that is asked for.
#[derive(Debug)]
pub struct Request {
    /// In the order of their sources.
    pub items: Vec<Item, ITEMS>,
    /// The switches, as the last source that named each left them.
    pub switches: Switches,
    /// What could not be understood.
    pub problems: Problems,
    /// Whether something that may have been a keep could not be read. Then what is asked for only broadly is left alone: it may be what was to be kept.
    pub lacks_keep: bool,
    /// How many of the items, the first ones, say what is needed to boot: see [`guard`](mod@guard).
    guards: ItemId,
    /// By what something is kept: a bit for each [`By`].
    keeps: u8,
    /// Parameters of `xen-pciback` found in `modprobe.d` and on the command line, as `finit_module(2)` takes them: `passthrough=1 permissive=1`.
    pub module_parameters: Vec<u8, { cmdline::PARAMETERS_SIZE }>,
    /// Where the last of them stands.
    pub module_parameters_at: Origin,
    /// Over `/etc/xen/pciback.conf` and its drop-ins, so that a later reader can tell whether they have changed.
    pub digest: Digest,
    index: Index,
    sources: Vec<Vec<u8, PATH_SIZE>, SOURCES>,
}

impl Request {
    /// Nothing asked for.
    pub const fn new() -> Request {
        Request {
            items: Vec::new(),
            switches: Switches { off: false, strict: false, debug: false, force: false, timeout: 0 },
            problems: Problems::new(),
            lacks_keep: false,
            guards: 0,
            keeps: 0,
            module_parameters: Vec::new(),
            module_parameters_at: Origin { source: SourceId(0), line: 0, column: 0 },
            digest: Digest::new(),
            index: Index::new(),
            sources: Vec::new(),
        }
    }

    /// Reads every source of the machine. `embedded` is the binary's own section; `cmdline`, if given, stands in for `/proc/cmdline`.
    pub fn gather<H: Host>(&mut self, host: &mut H, embedded: &[u8], cmdline: Option<&[u8]>) {
        // Entered first, though read last: no number of drop-ins may crowd out the source that can switch this boot off.
        let source = self.open(if cmdline.is_some() { cmdline::OPTION } else { cmdline::FILE }.as_bytes());
        guard::read(self, host);
        embedded::read(self, embedded::NAME, embedded);
        file::read_all(self, host);
        modprobe::read_all(self, host);
        cmdline::read_dracut(self, host);
        match (source, cmdline) {
            (Some(source), Some(text)) => cmdline::parse(self, source, text),
            (Some(source), None) => cmdline::read(self, host, Some(source), cmdline::FILE.as_bytes()),
            (None, _) => {}
        }
    }

    /// The name of a source, as it is shown.
    #[inline(never)]
    pub fn source(&self, id: SourceId) -> &[u8] {
        self.sources.get(usize::from(id.0)).map_or(b"?", |name| name.as_slice())
    }

    /// Enters a source. More than [`SOURCES`] of them, or a name longer than [`PATH_SIZE`], is a problem, charged to the last one that fits, and `None`.
    pub(crate) fn open(&mut self, name: &[u8]) -> Option<SourceId> {
        let id = SourceId(self.sources.len() as u8);
        let mut source = Vec::new();
        if source.extend_from_slice(name).is_err() || self.sources.push(source).is_err() {
            let last = Origin { source: SourceId(id.0.saturating_sub(1)), line: 0, column: 0 };
            let fault = if name.len() > PATH_SIZE { Fault::Unreadable(Errno::ENAMETOOLONG) } else { Fault::Is(Mistake::TooManySources) };
            self.lacks_keep = true;
            self.problem(last, name, fault);
            return None;
        }
        Some(id)
    }

    /// Takes one item: a selector, or `!` and a selector.
    pub(crate) fn item(&mut self, origin: Origin, text: &[u8]) {
        let keep = behind(b"!", text).map(<[u8]>::trim_ascii_start);
        self.selector(origin, text, keep.is_some(), keep.unwrap_or(text));
    }

    /// Takes one item, whose selector is written as `spelled`. `text` is what stands there.
    pub(crate) fn selector(&mut self, origin: Origin, text: &[u8], is_keep: bool, spelled: &[u8]) {
        let fault = match Selector::parse(spelled) {
            Ok(selector) => {
                let id = self.items.len() as ItemId;
                let (shape, key) = (selector.shape(), selector.key());
                self.keeps |= u8::from(is_keep) << selector.by as u8;
                match self.items.push(Item { selector, is_keep, origin, has_matched: false, has_passed_over: false }) {
                    Ok(()) => return self.index.add(id, shape, key),
                    Err(_) => Fault::Is(Mistake::TooManyItems),
                }
            }
            Err(fault) => fault,
        };
        self.lacks_keep |= is_keep;
        self.problem(origin, text, fault);
    }

    /// The next item that means the function, or would if another device were there ([`Selector::is_expected`]), in no particular order. A new cursor begins anew.
    pub fn next_match(&mut self, function: &Function, cursor: &mut Cursor) -> Option<(ItemId, &mut Item)> {
        loop {
            let id = self.index.next(function, cursor)?;
            if self.items.get(usize::from(id)).is_some_and(|item| item.selector.is_at(function)) {
                return Some((id, self.items.get_mut(usize::from(id))?));
            }
        }
    }

    /// How many items ask for nothing, but say what is needed to boot: the first ones.
    pub const fn guards(&self) -> ItemId {
        self.guards
    }

    /// How many items ask for something, or keep it.
    pub fn wishes(&self) -> usize {
        self.items.len().saturating_sub(self.guards.into())
    }

    /// Whether something is kept.
    pub const fn keeps(&self) -> bool {
        self.keeps != 0
    }

    /// Whether something is kept by that.
    pub const fn keeps_by(&self, by: By) -> bool {
        self.keeps & 1 << by as u8 != 0
    }

    /// Whether a keep may mean what nobody knows before it is there: one by anything but an address, or one that could not be read.
    pub const fn keeps_broadly(&self) -> bool {
        self.lacks_keep || self.keeps & !(1 << By::Address as u8) != 0
    }

    /// Whether something that is at an address is kept, whatever it is.
    pub fn keeps_at(&mut self, address: Address) -> bool {
        let (function, mut cursor) = (Function { address, identity: None, place: None }, Cursor::default());
        while let Some((_, item)) = self.next_match(&function, &mut cursor) {
            if item.is_keep {
                return true;
            }
        }
        false
    }

    /// Whether some item asks for functions by that.
    pub fn asks_by(&self, by: By) -> bool {
        self.index.has(by)
    }

    /// Whether another item before this one says the same.
    pub fn is_said_before(&self, id: ItemId) -> bool {
        let Some(item) = self.items.get(usize::from(id)) else { return false };
        let mut next = self.index.last(item.selector.shape(), item.selector.key());
        while let Some(other) = self.index.step(&mut next) {
            if (self.guards..id).contains(&other)
                && self.items.get(usize::from(other)).is_some_and(|other| other.is_keep == item.is_keep && other.selector == item.selector)
            {
                return true;
            }
        }
        false
    }

    /// Takes one switch. `value` is `None` where the name stands alone.
    pub(crate) fn switch(&mut self, origin: Origin, text: &[u8], name: &[u8], value: Option<&[u8]>) {
        let switches = &mut self.switches;
        let flag = match word_number("off strict debug force timeout", name) {
            Some(0) => &mut switches.off,
            Some(1) => &mut switches.strict,
            Some(2) => &mut switches.debug,
            Some(3) => &mut switches.force,
            Some(_) => {
                return match seconds(value) {
                    Some(seconds) => switches.timeout = seconds,
                    None => self.problem(origin, text, Fault::Is(Mistake::NoSeconds)),
                };
            }
            None => return self.problem(origin, text, Fault::Is(Mistake::UnknownName)),
        };
        match truth(value) {
            Some(on) => *flag = on,
            None => self.problem(origin, text, Fault::Is(Mistake::NoTruth)),
        }
    }

    /// Notes what is wrong at `origin`. Where a `!` stands in it, wherever, it was to be a keep.
    pub(crate) fn problem(&mut self, origin: Origin, text: &[u8], fault: Fault) {
        self.lacks_keep |= split_once(text, b'!').is_some();
        self.problems.add(Problem { origin, text: Excerpt::of(text), fault });
    }

    /// Notes what is wrong with a source as a whole. Some of it was not read, and that may have been a keep.
    pub(crate) fn source_problem(&mut self, source: SourceId, fault: Fault) {
        self.lacks_keep = true;
        let fault = if matches!(fault, Fault::Unreadable(Errno::EFBIG)) { Fault::Is(Mistake::LongFile) } else { fault };
        self.problem(Origin { source, line: 0, column: 0 }, b"", fault);
    }
}

impl Default for Request {
    fn default() -> Request {
        Request::new()
    }
}

/// A yes or a no: bare, `1`, `y`, `yes`, `on`, `true`, or `0`, `n`, `no`, `off`, `false`, in any case.
pub(crate) fn truth(value: Option<&[u8]>) -> Option<bool> {
    const WORDS: &str = "1 y yes on true 0 n no off false";
    const NO: usize = 5;
    let Some(value) = value else { return Some(true) };
    word_number(WORDS, value).map(|place| place < NO)
}

/// A number of seconds: decimal, 1 to [`LONGEST_TIMEOUT`].
fn seconds(value: Option<&[u8]>) -> Option<u32> {
    number(value.unwrap_or_default(), 10).filter(|seconds| (1..=LONGEST_TIMEOUT).contains(seconds))
}
