//! A set of the ways in which selectors tell functions apart.

use super::syntax::selector::By;

/// A set of [`By`]. Empty, it is all zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds {
    address: bool,
    path: bool,
    identity: bool,
    class: bool,
}

impl Kinds {
    /// The empty set.
    pub const fn new() -> Kinds {
        Kinds {
            address: false,
            path: false,
            identity: false,
            class: false,
        }
    }

    /// Adds one way.
    pub const fn insert(&mut self, by: By) {
        match by {
            By::Address => self.address = true,
            By::Path => self.path = true,
            By::Identity => self.identity = true,
            By::Class => self.class = true,
        }
    }

    /// Whether one way is in the set.
    pub const fn contains(self, by: By) -> bool {
        match by {
            By::Address => self.address,
            By::Path => self.path,
            By::Identity => self.identity,
            By::Class => self.class,
        }
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        !self.address && !self.has_more_than_address()
    }

    /// Whether any way but the address is in the set.
    pub const fn has_more_than_address(self) -> bool {
        self.path || self.identity || self.class
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [By; 4] = [By::Address, By::Path, By::Identity, By::Class];

    #[test]
    fn has_what_was_inserted() {
        assert!(Kinds::new().is_empty());
        for by in ALL {
            let mut kinds = Kinds::new();
            kinds.insert(by);
            assert!(!kinds.is_empty());
            assert_eq!(kinds.has_more_than_address(), by != By::Address);
            for other in ALL {
                assert_eq!(kinds.contains(other), by == other, "{by:?} {other:?}");
            }
        }
    }
}
