//! What is to be done with a device.

use ufmt::{Formatter, uDisplay, uWrite};

use crate::{request::ItemId, show};

/// What is to be done with a function that an item names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give it to pciback.
    Seize,
    /// Leave it: this item keeps it.
    Keep(ItemId),
    /// Leave it: it is a bridge. pciback would take it, and everything behind it would be lost.
    RefuseBridge,
    /// Leave it: its domain has more than 16 bits, and Xen cannot name it.
    RefuseDomain,
    /// Leave it: the system boots from it, as the image knows.
    RefuseBoot,
    /// Leave it: dom0 uses it.
    RefuseInUse,
    /// Leave it: another device was expected at this place.
    Mismatch,
    /// The item means no function.
    Absent,
    /// The item means no function, but it is an address, and pciback can wait there for one.
    Expect,
    /// Leave it: an item that could not be read may have kept it.
    Leave,
    /// Leave it: what cannot be read of it decides whether an item keeps it, or expects it there.
    LeaveUnread,
    /// Leave it: what cannot be read of it decides whether the system boots from it.
    LeaveBoot,
    /// Leave it: nothing is done in this boot.
    LeaveOff,
    /// Nobody knows whether the item means a function: the bus cannot be listed.
    LeaveUnlisted,
    /// Leave it: it is storage, and not all was found that the system boots from.
    LeaveStorage,
    /// Leave it: dom0 needs it, and no item names it.
    LeaveNeeded,
    /// Nobody asked for it.
    Unasked,
}

impl Action {
    /// Whether what was asked for will be so. `off` asks for nothing to be done.
    pub const fn is_as_asked(self) -> bool {
        matches!(
            self,
            Action::Seize | Action::Keep(_) | Action::LeaveOff | Action::Unasked
        )
    }

    /// The word of the contract.
    pub const fn word(self) -> &'static str {
        match self {
            Action::Seize => "seize",
            Action::Keep(_) => "keep",
            Action::RefuseBridge
            | Action::RefuseDomain
            | Action::RefuseBoot
            | Action::RefuseInUse => "refuse",
            Action::Mismatch => "mismatch",
            Action::Absent | Action::Expect => "absent",
            Action::Leave
            | Action::LeaveUnread
            | Action::LeaveBoot
            | Action::LeaveStorage
            | Action::LeaveNeeded
            | Action::LeaveOff
            | Action::LeaveUnlisted => "leave",
            Action::Unasked => "unasked",
        }
    }
}

impl uDisplay for Action {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(f, "{}", self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::shown;

    #[test]
    fn has_the_word_of_the_contract() {
        for (action, word, is_as_asked) in [
            (Action::Seize, "seize", true),
            (Action::Keep(7), "keep", true),
            (Action::RefuseBridge, "refuse", false),
            (Action::RefuseDomain, "refuse", false),
            (Action::RefuseBoot, "refuse", false),
            (Action::RefuseInUse, "refuse", false),
            (Action::Mismatch, "mismatch", false),
            (Action::Absent, "absent", false),
            (Action::Expect, "absent", false),
            (Action::Leave, "leave", false),
            (Action::LeaveUnread, "leave", false),
            (Action::LeaveBoot, "leave", false),
            (Action::LeaveOff, "leave", true),
            (Action::LeaveUnlisted, "leave", false),
            (Action::LeaveStorage, "leave", false),
            (Action::Unasked, "unasked", true),
        ] {
            assert_eq!(shown(action), word, "{action:?}");
            assert_eq!(action.is_as_asked(), is_as_asked, "{action:?}");
        }
    }
}
