//! What became of a device.

use ufmt::{Formatter, uDisplay, uWrite};

use crate::show;

/// What became of a device. The words are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Bound to pciback and initialised.
    Seized,
    /// No driver has it and none can take it, but pciback has not got it.
    Held,
    /// On pciback, but its initialisation is not proven.
    Unready,
    /// No driver has it, and nothing keeps one from taking it.
    Exposed,
    /// A dom0 driver has it, though a run of this boot was to take it.
    Lost,
    /// Asked for since: no run of this boot was to take it.
    Pending,
    /// It is not there.
    Absent,
    /// Another is there.
    Mismatch,
    /// It is never taken.
    Refused,
    /// Asked for, and kept by a `!` item.
    Kept,
    /// pciback's, and a guest has it.
    Assigned,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 11] = [
        Outcome::Seized,
        Outcome::Held,
        Outcome::Unready,
        Outcome::Exposed,
        Outcome::Lost,
        Outcome::Pending,
        Outcome::Absent,
        Outcome::Mismatch,
        Outcome::Refused,
        Outcome::Kept,
        Outcome::Assigned,
    ];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Outcome::Seized => "seized",
            Outcome::Held => "held",
            Outcome::Unready => "unready",
            Outcome::Exposed => "exposed",
            Outcome::Lost => "lost",
            Outcome::Pending => "pending",
            Outcome::Absent => "absent",
            Outcome::Mismatch => "mismatch",
            Outcome::Refused => "refused",
            Outcome::Kept => "kept",
            Outcome::Assigned => "assigned",
        }
    }

    /// The outcome with that word.
    pub fn from_word(word: &[u8]) -> Option<Outcome> {
        Outcome::ALL
            .iter()
            .copied()
            .find(|outcome| outcome.word().as_bytes() == word)
    }

    /// Whether a run was to take the device, and pciback has not got it.
    pub const fn is_missed(self) -> bool {
        matches!(self, Outcome::Held | Outcome::Exposed | Outcome::Lost)
    }

    /// Whether the device is as it was asked to be.
    pub const fn is_as_asked(self) -> bool {
        matches!(self, Outcome::Seized | Outcome::Kept | Outcome::Assigned)
    }
}

impl uDisplay for Outcome {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(f, "{}", self.word())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::host::testing::shown;

    #[test]
    fn comes_back_from_its_word() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_word(outcome.word().as_bytes()), Some(outcome));
            assert_eq!(shown(outcome), outcome.word());
        }
        for word in ["", "Seized", "seize", "seized "] {
            assert_eq!(Outcome::from_word(word.as_bytes()), None, "{word:?}");
        }
    }

    #[test]
    fn is_as_asked_where_pciback_has_it_or_an_item_keeps_it() {
        let as_asked: std::vec::Vec<_> = Outcome::ALL
            .into_iter()
            .filter(|outcome| outcome.is_as_asked())
            .map(Outcome::word)
            .collect();
        assert_eq!(as_asked, ["seized", "kept", "assigned"]);
    }
}
