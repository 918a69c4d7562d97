//! An item, and where it stands.

use ufmt::{Formatter, uDisplay, uWrite};

use super::syntax::selector::Selector;
use crate::show;

/// Where an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which of the request's sources.
    pub source: SourceId,
    /// The line, from 1. 0: the source as a whole.
    pub line: u32,
    /// The column in bytes, from 1. 0: the line as a whole.
    pub column: u32,
}

impl Origin {
    /// A source as a whole.
    pub const fn whole(source: SourceId) -> Origin {
        Origin {
            source,
            line: 0,
            column: 0,
        }
    }
}

/// A source: see [`Request::source`](super::Request::source).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceId(pub(super) u8);

impl SourceId {
    /// The table of mounts, which asks for nothing. There are fewer sources than numbers.
    pub const MOUNTS: SourceId = SourceId(u8::MAX);

    /// The table of routes, which asks for nothing either.
    pub const ROUTES: SourceId = SourceId(u8::MAX - 1);
}

/// What an item asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Seize the functions.
    Seize,
    /// Never seize them, whatever else asks for them: `!`.
    Keep,
}

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Item {
    /// Which functions.
    pub selector: Selector,
    /// Whether they are kept: [`Intent::Keep`].
    pub is_keep: bool,
    /// Whether it means all of its kind, also what dom0 needs: `rd.qubes.hide_all_usb`.
    pub is_explicit: bool,
    /// The name for guests that it has.
    pub name: Option<GuestNameId>,
    /// Where the item stands.
    pub origin: Origin,
    /// Whether the item has matched a function so far.
    pub has_matched: bool,
    /// Whether another device than the item expects is at its place, and other items ask for that.
    pub is_overruled: bool,
    /// Whether the item has passed over a bridge so far.
    pub has_passed_over: bool,
    /// Whether the item, a path, has passed over a virtual function so far.
    pub has_passed_over_virtual: bool,
    /// The guard that this one stands in for, where that means no function: see
    /// [`source::guard`](super::source::guard).
    pub stands_in_for: Option<ItemId>,
}

impl Item {
    pub(super) fn new(selector: Selector, intent: Intent, origin: Origin) -> Item {
        let is_keep = intent == Intent::Keep;
        Item {
            selector,
            is_keep,
            is_explicit: false,
            name: None,
            origin,
            has_matched: false,
            is_overruled: false,
            has_passed_over: false,
            has_passed_over_virtual: false,
            stands_in_for: None,
        }
    }

    /// Whether the item means functions of some kind, not one place.
    pub fn is_broad(&self) -> bool {
        !self.selector.is_one_place()
    }

    /// Whether whoever wrote the item meant these very functions, even if dom0 needs one of them.
    pub const fn takes_what_is_needed(&self) -> bool {
        self.is_explicit || self.selector.is_in_one_slot()
    }
}

impl uDisplay for Item {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(
            f,
            "{}{}",
            if self.is_keep { "!" } else { "" },
            self.selector
        )
    }
}

/// A name for guests: its place in [`Request::names`](super::Request::names).
pub type GuestNameId = u8;

/// An item: its place in [`Request::items`](super::Request::items).
pub type ItemId = u16;
