//! What is asked for: the items and switches from every source, with the place where each stands.
//!
//! A source is read from start to end, an item at a time, and nothing is kept of its text but what a message may show. A bad item becomes a [`Problem`] and costs no other item.
//!
//! | room | |
//! | --- | --- |
//! | [`embedded`] | the configuration inside the binary |
//! | [`file`](mod@file) | `/etc/xen/pciback.conf` and its drop-ins |
//! | [`cmdline`] | the kernel's command line, by the kernel's rules |
//! | [`problem`] | what is wrong with an item, and how it is said |

pub mod cmdline;
pub mod digest;
pub mod embedded;
pub mod file;
pub mod problem;

use heapless::Vec;

use crate::{
    host::{Errno, Host, PATH_SIZE},
    pci::Address,
    text::{Excerpt, number, words},
};
use digest::Digest;
pub use problem::{Fault, Problem, Problems};

/// Most items of a request.
pub const ITEMS: usize = 4096;

/// Most sources of a request: the embedded text, the file, the command line and the drop-ins.
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

/// A device that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The function that it names.
    pub address: Address,
    /// Where it stands.
    pub origin: Origin,
}

/// The switches. A later source wins over an earlier one; within a source the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// This boot, do nothing at all.
    pub off: bool,
    /// Whatever was asked for and is not so makes `seize` exit with status 3.
    pub strict: bool,
    /// Say every step.
    pub debug: bool,
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
    /// Parameters of `xen-pciback` found on the command line, as `finit_module(2)` takes them: `passthrough=1 permissive=1`.
    pub module_parameters: Vec<u8, { cmdline::PARAMETERS_SIZE }>,
    /// Over the configuration files, so that a later reader can tell whether they have changed.
    pub digest: Digest,
    sources: Vec<Vec<u8, PATH_SIZE>, SOURCES>,
}

impl Request {
    /// Nothing asked for.
    pub const fn new() -> Request {
        Request {
            items: Vec::new(),
            switches: Switches { off: false, strict: false, debug: false, timeout: 0 },
            problems: Problems::new(),
            module_parameters: Vec::new(),
            digest: Digest::new(),
            sources: Vec::new(),
        }
    }

    /// Reads every source of the machine. `embedded` is the binary's own section.
    pub fn gather<H: Host>(&mut self, host: &mut H, embedded: &[u8]) {
        // Entered first, though read last: no number of drop-ins may crowd out the source that can switch this boot off.
        let cmdline = self.open(cmdline::FILE.as_bytes());
        embedded::read(self, embedded);
        file::read_all(self, host);
        if let Some(source) = cmdline {
            cmdline::read(self, host, source);
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
            let fault = if name.len() > PATH_SIZE { Fault::Unreadable(Errno::ENAMETOOLONG) } else { Fault::TooManySources };
            self.problem(last, name, fault);
            return None;
        }
        Some(id)
    }

    /// Takes one item: an address.
    pub(crate) fn item(&mut self, origin: Origin, text: &[u8]) {
        match Address::parse(text) {
            Ok(address) => {
                if self.items.push(Item { address, origin }).is_err() {
                    self.problem(origin, text, Fault::TooManyItems);
                }
            }
            Err(fault) => self.problem(origin, text, Fault::Address(fault)),
        }
    }

    /// Takes one switch. `value` is `None` where the name stands alone.
    pub(crate) fn switch(&mut self, origin: Origin, text: &[u8], name: &[u8], value: Option<&[u8]>) {
        let switches = &mut self.switches;
        let flag = match words("off strict debug timeout").position(|word| word == name) {
            Some(0) => &mut switches.off,
            Some(1) => &mut switches.strict,
            Some(2) => &mut switches.debug,
            Some(_) => {
                return match seconds(value) {
                    Some(seconds) => switches.timeout = seconds,
                    None => self.problem(origin, text, Fault::NoSeconds),
                };
            }
            None => return self.problem(origin, text, Fault::UnknownName),
        };
        match truth(value) {
            Some(on) => *flag = on,
            None => self.problem(origin, text, Fault::NoTruth),
        }
    }

    /// Notes what is wrong at `origin`.
    pub(crate) fn problem(&mut self, origin: Origin, text: &[u8], fault: Fault) {
        self.problems.add(Problem { origin, text: Excerpt::of(text), fault });
    }

    /// Notes what is wrong with a source as a whole.
    pub(crate) fn source_problem(&mut self, source: SourceId, fault: Fault) {
        self.problem(Origin { source, line: 0, column: 0 }, b"", fault);
    }
}

impl Default for Request {
    fn default() -> Request {
        Request::new()
    }
}

/// A yes or a no: bare, `1`, `y`, `yes`, `on`, `true`, or `0`, `n`, `no`, `off`, `false`, in any case.
fn truth(value: Option<&[u8]>) -> Option<bool> {
    const WORDS: &str = "1 y yes on true 0 n no off false";
    const NO: usize = 5;
    let Some(value) = value else { return Some(true) };
    let is = |word: &[u8]| word.len() == value.len() && word.iter().zip(value).all(|(one, other)| one.eq_ignore_ascii_case(other));
    words(WORDS).position(is).map(|place| place < NO)
}

/// A number of seconds: decimal, 1 to [`LONGEST_TIMEOUT`].
fn seconds(value: Option<&[u8]>) -> Option<u32> {
    number(value.unwrap_or_default(), 10).filter(|seconds| (1..=LONGEST_TIMEOUT).contains(seconds))
}
