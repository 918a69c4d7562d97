//! Some of the items of a request.

use super::{ITEMS, ItemId};

/// A set of items: a bit for each that there may be.
#[derive(Clone, Debug)]
pub struct ItemSet {
    bits: [u64; ITEMS / 64],
}

impl ItemSet {
    /// The empty set.
    pub const fn new() -> ItemSet {
        ItemSet {
            bits: [0; ITEMS / 64],
        }
    }

    /// Adds an item.
    pub fn insert(&mut self, id: ItemId) {
        if let Some(bits) = self.bits.get_mut(usize::from(id / 64)) {
            *bits |= 1 << (id % 64);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|&bits| bits == 0)
    }

    /// The items, in the order of their sources.
    pub fn iter(&self) -> impl Iterator<Item = ItemId> {
        let all = (0..).step_by(64).zip(&self.bits);
        let some = all.filter(|&(_, &bits)| bits != 0);
        some.flat_map(|(first, &bits)| {
            (0..64)
                .filter(move |at| bits >> at & 1 != 0)
                .map(move |at| first + at)
        })
    }
}

impl Default for ItemSet {
    fn default() -> ItemSet {
        ItemSet::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn has_what_was_inserted_in_order() {
        let mut set = ItemSet::new();
        assert!(set.is_empty());
        for id in [4095, 64, 0, 63, 64, 4096, ItemId::MAX] {
            set.insert(id);
        }
        assert!(!set.is_empty());
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 4095]);
    }
}
