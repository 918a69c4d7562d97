//! What is asked for: the items and switches from every source, and where each stands.
//!
//! A source is read from start to end, one item at a time. Nothing of its text is kept except what
//! a message may show. A bad item becomes a [`Problem`] and costs no other item.
//!
//! | file | |
//! | --- | --- |
//! | [`syntax`] | text to value, without a machine |
//! | [`source`] | a reader for each source: it cuts the text, reads the entries, applies them |
//! | [`sources`] | all readers, in order |
//! | `item`, `switches`, [`names`] | what a request holds |
//! | `set` | some of the items |
//! | [`index`] | the items that may mean a function, without looking at all of them |
//! | [`problem`] | what is wrong, and the messages about it |
//! | [`digest`] | tells whether the configuration has changed |
//!
//! This file has the store and the questions to it.

pub mod digest;
pub mod index;
mod item;
mod kinds;
pub mod names;
pub mod problem;
mod set;
pub mod source;
pub mod sources;
mod switches;
pub mod syntax;

use heapless::Vec;

use crate::{
    host::{Errno, PATH_SIZE},
    pci::Address,
    put,
    text::{Excerpt, Line},
};
use digest::Digest;
use index::Index;
use kinds::Kinds;
use names::GuestNames;
use syntax::{hints::may_be_keep, name::Name, parameter::is_space, setting::Setting};

pub use index::Cursor;
pub use item::{GuestNameId, Intent, Item, ItemId, Origin, SourceId};
pub use names::NAMES;
pub use problem::{Found, Problem, Problems};
pub use set::ItemSet;
pub use source::guard::{NEEDS, Need, Needed};
pub use switches::Switches;
pub use syntax::{
    fault::{Fault, Mistake},
    selector::{By, Candidate, Selector},
    value::LONGEST_TIMEOUT,
};

/// Most items of a request.
pub const ITEMS: usize = 4096;

/// Most sources of a request: the embedded text, the file, the command line, the drop-ins, and the
/// files of `modprobe.d` and `/etc/cmdline.d`.
pub const SOURCES: usize = 64;

/// Most bytes of the parameters for the module.
pub const PARAMETERS_SIZE: usize = 128;

/// Everything that is asked for. New, it is all zeros.
#[derive(Debug)]
pub struct Request {
    /// In the order of their sources.
    pub items: Vec<Item, ITEMS>,
    /// The names for guests that items have.
    pub names: GuestNames,
    /// The switches, as the last source that names each leaves them.
    pub switches: Switches,
    /// What could not be understood.
    pub problems: Problems,
    /// Whether something that may be a keep could not be read. Then broad items seize nothing: a
    /// function that they match may be the one to keep.
    pub lacks_keep: bool,
    /// Whether something that the host boots from is not known: a guard could not be read, or means
    /// no function. Then no storage is seized.
    pub lacks_guard: bool,
    /// What the image knows that dom0 needs once it runs.
    pub needs: Vec<Needed, NEEDS>,
    /// Whether something that dom0 needs is not known: its line could not be read.
    pub lacks_need: bool,
    /// How many of the items, the first ones, say what is needed to boot.
    guards: ItemId,
    /// By what functions are kept.
    keeps: Kinds,
    /// Parameters of `xen-pciback` from `modprobe.d` and the command line, as `finit_module(2)`
    /// takes them: `passthrough=1 permissive=1`.
    pub module_parameters: Vec<u8, PARAMETERS_SIZE>,
    /// Where the last of them stands.
    pub module_parameters_at: Origin,
    /// The digest of what an image has a copy of: see [`digest`].
    pub digest: Digest,
    index: Index,
    sources: Vec<Vec<u8, PATH_SIZE>, SOURCES>,
}

/// Filling it, one entry at a time.
impl Request {
    /// A request that asks for nothing.
    pub const fn new() -> Request {
        Request {
            items: Vec::new(),
            names: GuestNames::new(),
            switches: Switches::new(),
            problems: Problems::new(),
            lacks_keep: false,
            lacks_guard: false,
            needs: Vec::new(),
            lacks_need: false,
            guards: 0,
            keeps: Kinds::new(),
            module_parameters: Vec::new(),
            module_parameters_at: Origin::whole(SourceId(0)),
            digest: Digest::new(),
            index: Index::new(),
            sources: Vec::new(),
        }
    }

    /// Forgets everything, for another reading.
    pub fn clear(&mut self) {
        self.items.clear();
        self.switches = Switches::new();
        self.problems.clear();
        self.lacks_keep = false;
        self.lacks_guard = false;
        self.needs.clear();
        self.lacks_need = false;
        self.guards = 0;
        self.keeps = Kinds::new();
        self.names.clear();
        self.module_parameters.clear();
        self.module_parameters_at = Origin::whole(SourceId(0));
        self.digest = Digest::new();
        self.index.clear();
        self.sources.clear();
    }

    /// Adds an item that is to stand in a source. Where that has not been read yet, it is added
    /// too.
    pub fn propose(&mut self, source: &str, text: &[u8]) {
        if let Some(source) = self
            .source_of(source)
            .or_else(|| self.add_source(source.as_bytes()))
        {
            self.add_item(Origin::whole(source), text);
        }
    }

    /// Adds a source. `None`, and a problem with the last source that fits, if there are more than
    /// [`SOURCES`] or the name has more than [`PATH_SIZE`] bytes.
    pub(crate) fn add_source(&mut self, name: &[u8]) -> Option<SourceId> {
        let id = SourceId(self.sources.len() as u8);
        let fault = match Vec::from_slice(name) {
            Ok(source) => match self.sources.push(source) {
                Ok(()) => return Some(id),
                Err(_) => Fault::Is(Mistake::TooManySources),
            },
            Err(_) => Fault::Unreadable(Errno::ENAMETOOLONG),
        };
        self.lacks_keep = true;
        self.note_problem(Origin::whole(SourceId(id.0.saturating_sub(1))), name, fault);
        None
    }

    /// Adds one item: a selector, or `!` and a selector.
    pub(crate) fn add_item(&mut self, origin: Origin, text: &[u8]) {
        let (intent, selector) = match text.strip_prefix(b"!") {
            Some(selector) => (Intent::Keep, selector.trim_ascii_start()),
            None => (Intent::Seize, text),
        };
        self.add_selector(origin, text, intent, Selector::parse(selector));
    }

    /// Adds one item whose selector was read from `text`.
    pub(crate) fn add_selector(
        &mut self,
        origin: Origin,
        text: &[u8],
        intent: Intent,
        selector: Result<Selector, Fault>,
    ) {
        let added =
            selector.and_then(|selector| self.push_item(Item::new(selector, intent, origin)));
        if let Err(fault) = added {
            self.lacks_keep |= intent == Intent::Keep;
            self.note_problem(origin, text, fault);
        }
    }

    /// Names the last item, which is that of `id`, if it was added.
    ///
    /// Of two items with one name nobody can tell which was meant, so none has it. An item that is
    /// said twice is one.
    pub(crate) fn name_item(&mut self, id: usize, name: Name) {
        let (Some(item), Ok(item_id)) = (self.items.get(id), ItemId::try_from(id)) else {
            return;
        };
        let known = self.names.find(&name);
        let first = known.and_then(|known| self.names.get(known));
        let first = first.map(|first| (first.item, first.is_ambiguous));
        let Some((first, is_ambiguous)) = first else {
            let (text, origin) = (named(&name, item), item.origin);
            let added = self.names.add(name, item_id);
            match self.items.get_mut(id) {
                Some(item) if added.is_some() => item.name = added,
                _ => {
                    let fault = Fault::Is(Mistake::TooManyNames);
                    self.note_problem(origin, text.bytes(), fault);
                }
            }
            return;
        };
        let is_said_again = self
            .items
            .get(usize::from(first))
            .is_some_and(|first| first.selector == item.selector);
        if is_said_again {
            return;
        }
        if !is_ambiguous {
            self.note_name(first, &name, Mistake::AmbiguousName);
        }
        self.note_name(item_id, &name, Mistake::AmbiguousName);
        if let Some(known) = known.and_then(|known| self.names.get_mut(known)) {
            known.is_ambiguous = true;
        }
    }

    /// Notes what is wrong with an item of that name.
    pub(crate) fn note_name(&mut self, item: ItemId, name: &Name, mistake: Mistake) {
        if let Some(item) = self.items.get(usize::from(item)) {
            let (text, origin) = (named(name, item), item.origin);
            self.note_problem(origin, text.bytes(), Fault::Is(mistake));
        }
    }

    /// Makes an item, if it was added, take what dom0 needs too: see
    /// [`Item::takes_what_is_needed`].
    pub(crate) fn make_explicit(&mut self, item: usize) {
        if let Some(item) = self.items.get_mut(item) {
            item.is_explicit = true;
        }
    }

    /// Adds an item that stands in for the last one, where that means no function.
    pub(crate) fn add_stand_in(&mut self, origin: Origin, text: &[u8], selector: Selector) {
        let first = (self.items.len() as ItemId).checked_sub(1);
        let mut item = Item::new(selector, Intent::Seize, origin);
        item.stands_in_for = first;
        if let Err(fault) = self.push_item(item) {
            self.lacks_guard = true;
            self.note_problem(origin, text, fault);
        }
    }

    fn push_item(&mut self, item: Item) -> Result<(), Fault> {
        let id = self.items.len() as ItemId;
        let (shape, key) = (item.selector.shape(), item.selector.key());
        if item.is_keep {
            self.keeps.insert(item.selector.by());
        }
        self.items
            .push(item)
            .map_err(|_| Fault::Is(Mistake::TooManyItems))?;
        self.index.add(id, shape, key);
        Ok(())
    }

    /// Sets one switch that was read from `text`.
    pub(crate) fn set(&mut self, origin: Origin, text: &[u8], setting: Result<Setting, Fault>) {
        match setting {
            Ok(setting) => self.switches.set(setting),
            Err(fault) => self.note_problem(origin, text, fault),
        }
    }

    /// Adds a parameter for the module, as kmod would hand it on: `name=value`, or the name alone.
    pub(crate) fn add_parameter(&mut self, origin: Origin, name: &[u8], value: Option<&[u8]>) {
        let mut text = Line::new();
        if !self.module_parameters.is_empty() {
            put!(&mut text, " ");
        }
        text.push(name);
        if let Some(value) = value {
            put!(&mut text, "=");
            text.push(value);
        }
        // In the module's own line blanks separate parameters, and a NUL ends it.
        let is_one_word = !value
            .unwrap_or_default()
            .iter()
            .any(|&b| is_space(b) || b == 0);
        if is_one_word
            && self
                .module_parameters
                .extend_from_slice(text.bytes())
                .is_ok()
        {
            self.module_parameters_at = origin;
        } else {
            let fault = Fault::Is(Mistake::BadParameter);
            self.note_problem(origin, value.unwrap_or(name), fault);
        }
    }

    /// Notes what is wrong with `text`, which may be a keep: see [`may_be_keep`].
    pub(crate) fn note_problem(&mut self, origin: Origin, text: &[u8], fault: Fault) {
        self.lacks_keep |= may_be_keep(text);
        self.problems.add(Problem::new(origin, text, fault));
    }

    /// Notes something that is worth reading, and that nobody has written: `text` has no keep.
    pub(crate) fn note_notice(&mut self, source: SourceId, text: Excerpt, mistake: Mistake) {
        self.problems.add(Problem {
            origin: Origin::whole(source),
            text,
            fault: Fault::Is(mistake),
            more_items: 0,
        });
    }

    /// Notes what is wrong with a source as a whole. What was not read of it may be a keep.
    pub(crate) fn note_source_problem(&mut self, source: SourceId, fault: Fault) {
        self.lacks_keep = true;
        let fault = match fault {
            Fault::Unreadable(Errno::EFBIG) => Fault::Is(Mistake::LongFile),
            fault => fault,
        };
        self.note_problem(Origin::whole(source), b"", fault);
    }

    /// Makes all items so far guards: see [`Request::guards`].
    pub(crate) fn close_guards(&mut self) {
        self.guards = self.items.len() as ItemId;
    }
}

/// Asking it.
impl Request {
    /// The name of a source, for messages.
    pub fn source(&self, id: SourceId) -> &[u8] {
        match id {
            SourceId::MOUNTS => return b"/proc/self/mountinfo",
            SourceId::ROUTES => return b"/proc/net/route",
            _ => {}
        }
        self.sources
            .get(usize::from(id.0))
            .map_or(b"?", |name| name.as_slice())
    }

    /// The name for guests that an item has, whether or not a function gets it.
    pub fn name_of(&self, item: ItemId) -> Option<&Name> {
        let item = self.items.get(usize::from(item))?;
        self.names.get(item.name?).map(|own| &own.name)
    }

    /// The source of that name, where one was read.
    pub fn source_of(&self, name: &str) -> Option<SourceId> {
        let mut names = self.sources.iter();
        let place = names.position(|own| own == name.as_bytes())?;
        Some(SourceId(place as u8))
    }

    /// The next item that means the function, or would mean it if another device were there
    /// ([`Selector::is_expected`]), in no particular order. A new cursor begins a search.
    pub fn next_match(
        &mut self,
        candidate: &Candidate,
        cursor: &mut Cursor,
    ) -> Option<(ItemId, &mut Item)> {
        loop {
            let id = self.index.next(candidate, cursor)?;
            let item = self.items.get(usize::from(id));
            if item.is_some_and(|item| item.selector.is_at(candidate)) {
                return Some((id, self.items.get_mut(usize::from(id))?));
            }
        }
    }

    /// Every item that [`Request::next_match`] finds, in no particular order.
    pub fn matches(&self, candidate: &Candidate) -> impl Iterator<Item = (ItemId, &Item)> {
        let mut cursor = Cursor::default();
        let found = core::iter::from_fn(move || {
            let id = self.index.next(candidate, &mut cursor)?;
            Some((id, self.items.get(usize::from(id))?))
        });
        found.filter(|(_, item)| item.selector.is_at(candidate))
    }

    /// How many items are guards, the first ones: they ask for nothing, but say what is needed to
    /// boot. See [`source::guard`].
    pub const fn guards(&self) -> ItemId {
        self.guards
    }

    /// Whether a guard means a function. Asked once every function has been looked at.
    pub fn has_found_guard(&self, guard: ItemId) -> bool {
        let guard = self.items.get(usize::from(guard));
        guard.is_some_and(|guard| guard.has_matched)
    }

    /// How many items ask for something, or keep something.
    pub fn wishes(&self) -> usize {
        self.items.len().saturating_sub(self.guards.into())
    }

    /// Whether any item keeps something.
    pub const fn keeps(&self) -> bool {
        !self.keeps.is_empty()
    }

    /// Whether any item keeps functions told apart that way.
    pub const fn keeps_by(&self, by: By) -> bool {
        self.keeps.contains(by)
    }

    /// Whether a keep may mean a function whose address nobody knows yet: one by anything but an
    /// address, or one that could not be read.
    pub const fn keeps_broadly(&self) -> bool {
        self.lacks_keep || self.keeps.has_more_than_address()
    }

    /// Whether whatever is at an address is kept.
    pub fn keeps_at(&mut self, address: Address) -> bool {
        let candidate = Candidate {
            address,
            identity: None,
            place: None,
            is_virtual: false,
        };
        let mut cursor = Cursor::default();
        while let Some((_, item)) = self.next_match(&candidate, &mut cursor) {
            if item.is_keep {
                return true;
            }
        }
        false
    }

    /// Whether any item tells functions apart that way.
    pub fn asks_by(&self, by: By) -> bool {
        self.index.has(by)
    }

    /// Whether an item before this one says the same.
    pub fn is_said_before(&self, id: ItemId) -> bool {
        let Some(item) = self.items.get(usize::from(id)) else {
            return false;
        };
        let is_same =
            |other: &Item| other.is_keep == item.is_keep && other.selector == item.selector;
        let mut similar = self
            .index
            .similar(item.selector.shape(), item.selector.key());
        similar.any(|other| {
            (self.guards..id).contains(&other)
                && self.items.get(usize::from(other)).is_some_and(is_same)
        })
    }
}

/// An item with its name, as on a line.
fn named(name: &Name, item: &Item) -> Line {
    let mut line = Line::new();
    put!(&mut line, "{} = {}", name, item);
    line
}

impl Default for Request {
    fn default() -> Request {
        Request::new()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Requests for the tests of other rooms.

    extern crate std;
    use std::boxed::Box;

    use super::{
        Request,
        source::embedded::{read, section},
    };
    use crate::host::testing::boxed;

    /// A request with the items of `text`, from a source with the name `conf`.
    pub fn request(text: &str) -> Box<Request> {
        let mut request = boxed(Request::new);
        let section = section(text.as_bytes()).expect("room");
        read(&mut request, b"conf", &section);
        request
    }
}
