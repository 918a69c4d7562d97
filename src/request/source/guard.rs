//! What the image knows to be needed: `/etc/xen/pciback.boot`, one selector a line.
//!
//! The hooks write the file when an image is made (`pciseize list --boot`): the controllers beneath
//! `/`, `/usr`, `/boot` and swap, each by what it is and where. So a slip in the configuration does
//! not cost the boot. With a word before it, `route = SELECTOR`, a line says what dom0 needs once
//! it runs: see [`Need`]. That is kept only from items that mean whatever there is of a kind.
//!
//! A guard that means no function protects its identity anywhere: the disk may be in another slot.
//! Therefore the request has a second item for that identity. See `src/plan/guards.rs` for what
//! happens if that means no function either.

use crate::{
    host::lines::{self, FILE_SIZE},
    host::{Errno, Files},
    request::{
        Fault, Intent, Mistake, Origin, Request, Selector,
        syntax::entry::{Content, Entry},
    },
};

/// The file.
pub const FILE: &str = "/etc/xen/pciback.boot";

/// Most things that dom0 needs once it runs.
pub const NEEDS: usize = 64;

/// What dom0 needs a function for once it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The default route.
    Route,
    /// The boot display.
    Display,
    /// A keyboard.
    Keyboard,
}

/// A function that dom0 needs.
#[derive(Clone, Debug)]
pub struct Needed {
    /// What for.
    pub need: Need,
    /// Which function.
    pub selector: Selector,
    /// Whether it is at its place.
    pub is_found: bool,
}

impl Need {
    /// Every need.
    pub const ALL: [Need; 3] = [Need::Route, Need::Display, Need::Keyboard];

    /// The word before its selector.
    pub const fn word(self) -> &'static str {
        match self {
            Need::Route => "route",
            Need::Display => "display",
            Need::Keyboard => "keyboard",
        }
    }
}

/// Reads the file. Its items are the first of the request: see [`Request::guards`].
pub(in crate::request) fn read<H: Files>(request: &mut Request, host: &mut H) {
    if host.read(FILE.as_bytes(), 0, &mut [0]) == Err(Errno::ENOENT) {
        return;
    }
    let Some(source) = request.add_source(FILE.as_bytes()) else {
        return;
    };
    let result = lines::each(host, FILE.as_bytes(), FILE_SIZE, &mut |_, line| {
        let Some(entry) = Entry::parse(line.text) else {
            return;
        };
        let origin = Origin {
            source,
            line: line.number,
            column: entry.at as u32 + 1,
        };
        if let Content::Setting { name, value } = entry.content {
            if let Err(fault) = read_need(request, name, value) {
                request.lacks_need = true;
                request.note_problem(origin, entry.text, fault);
            }
            return;
        }
        let selector = Selector::parse(entry.text);
        request.lacks_guard |= selector.is_err();
        let anywhere = selector.as_ref().ok().and_then(Selector::expected_anywhere);
        request.add_selector(origin, entry.text, Intent::Seize, selector);
        if let Some(anywhere) = anywhere {
            request.add_stand_in(origin, entry.text, anywhere);
        }
    });
    if let Err(errno) = result {
        request.lacks_guard = true;
        request.note_source_problem(source, Fault::Unreadable(errno));
    }
    request.close_guards();
}

/// Reads what dom0 needs once it runs.
fn read_need(request: &mut Request, name: &[u8], value: &[u8]) -> Result<(), Fault> {
    let need = Need::ALL.iter().find(|need| name == need.word().as_bytes());
    let need = need.ok_or(Fault::Is(Mistake::UnknownName))?;
    let selector = Selector::parse(value)?;
    let added = request.needs.push(Needed {
        need: *need,
        selector,
        is_found: false,
    });
    added.map_err(|_| Fault::Is(Mistake::TooManyNeeds))
}
