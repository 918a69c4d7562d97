//! The items that may mean a candidate, found without looking at all of them: a table of hashes.
//!
//! Items differ in what they compare. There are few ways to compare, the shapes. For each shape in
//! use a candidate has one key, and the table has the items with that key. So the work for a
//! machine grows with its functions plus its items, not with their product.

use heapless::Vec;

use super::{
    ITEMS, ItemId,
    syntax::selector::{By, Candidate, Shape},
};

/// Buckets of the table. A power of two.
const BUCKETS: usize = ITEMS;

/// Most shapes: addresses with none, one or two `*`; paths; identities with a vendor, and `*` or
/// not in each of three fields; classes of 2, 4 and 6 digits, and audio.
const SHAPES: usize = 3 + 1 + 8 + 4;

/// The table. New, it is all zeros.
#[derive(Debug)]
pub struct Index {
    shapes: Vec<Shape, SHAPES>,
    /// The last item of each bucket.
    last: [Link; BUCKETS],
    /// For each item, the one before it in its bucket.
    before: [Link; ITEMS],
}

/// An item, or none. None is zero, so that a new table takes no place in the program's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link(u16);

impl Link {
    const NONE: Link = Link(0);

    const fn to(id: ItemId) -> Link {
        Link(id.saturating_add(1))
    }

    const fn item(self) -> Option<ItemId> {
        self.0.checked_sub(1)
    }
}

/// How far a search has come. A new cursor begins a search.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// How many shapes have been looked up.
    shapes: usize,
    /// The next item of the last shape that was looked up.
    next: Link,
}

impl Index {
    /// The index of no item.
    pub const fn new() -> Index {
        Index {
            shapes: Vec::new(),
            last: [Link::NONE; BUCKETS],
            before: [Link::NONE; ITEMS],
        }
    }

    /// Forgets all items.
    pub(super) fn clear(&mut self) {
        self.shapes.clear();
        self.last.fill(Link::NONE);
        self.before.fill(Link::NONE);
    }

    /// Adds an item. Its number is greater than that of every item before.
    pub(super) fn add(&mut self, id: ItemId, shape: Shape, key: u64) {
        if !self.shapes.contains(&shape) {
            // There is room for every shape that there is.
            let _ = self.shapes.push(shape);
        }
        let last = self.last.get_mut(bucket(shape, key));
        if let (Some(last), Some(before)) = (last, self.before.get_mut(usize::from(id))) {
            *before = core::mem::replace(last, Link::to(id));
        }
    }

    /// The next item that may mean the candidate. Within a shape the later items come first.
    pub(super) fn next(&self, candidate: &Candidate, cursor: &mut Cursor) -> Option<ItemId> {
        while cursor.next == Link::NONE {
            let shape = *self.shapes.get(cursor.shapes)?;
            cursor.shapes += 1;
            if let Some(key) = shape.key(candidate) {
                cursor.next = self.last(shape, key);
            }
        }
        let id = cursor.next.item()?;
        cursor.next = self.before(id);
        Some(id)
    }

    /// The items that may have that shape and key, the later first.
    pub(super) fn similar(&self, shape: Shape, key: u64) -> impl Iterator<Item = ItemId> {
        let last = self.last(shape, key).item();
        core::iter::successors(last, |&id| self.before(id).item())
    }

    /// Whether an item is told apart that way.
    pub(super) fn has(&self, by: By) -> bool {
        self.shapes.iter().any(|shape| shape.by == by)
    }

    fn last(&self, shape: Shape, key: u64) -> Link {
        self.last
            .get(bucket(shape, key))
            .copied()
            .unwrap_or_default()
    }

    fn before(&self, id: ItemId) -> Link {
        self.before
            .get(usize::from(id))
            .copied()
            .unwrap_or_default()
    }
}

impl Default for Index {
    fn default() -> Index {
        Index::new()
    }
}

/// The bucket of a key: the upper bits of the mixed key (Knuth's multiplicative hashing).
fn bucket(shape: Shape, key: u64) -> usize {
    // Equal keys of different kinds go to different buckets.
    let salt = match shape.by {
        By::Address => 0,
        By::Path => 1 << 60,
        By::Identity => 2 << 60,
        By::Class => 3 << 60,
    };
    let mixed = (key ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - BUCKETS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{boxed::Box, vec::Vec};

    use super::*;
    use crate::{pci::Address, request::Selector};

    fn index(texts: &[&str]) -> Box<Index> {
        let mut index = Box::new(Index::new());
        for (id, text) in (0..).zip(texts) {
            let selector = Selector::parse(text.as_bytes()).expect(text);
            index.add(id, selector.shape(), selector.key());
        }
        index
    }

    #[test]
    fn links_lead_to_items() {
        assert_eq!(Link::NONE.item(), None);
        assert_eq!(Link::default(), Link::NONE);
        for id in [0, 1, ITEMS as ItemId - 1] {
            assert_eq!(Link::to(id).item(), Some(id));
        }
    }

    #[test]
    fn finds_each_item_by_its_key() {
        let index = index(&["03:00.0", "03:00", "04:00.0", "03:00.0", "10de:1b80"]);
        let address = Address::parse(b"03:00.0").expect("an address");
        let candidate = Candidate {
            address,
            identity: None,
            place: None,
            is_virtual: false,
        };
        let mut cursor = Cursor::default();
        let mut found: Vec<_> =
            core::iter::from_fn(|| index.next(&candidate, &mut cursor)).collect();
        found.sort_unstable();
        for id in [0, 1, 3] {
            assert!(found.contains(&id), "{found:?}");
        }
        assert!(!found.contains(&4), "the identity is unknown");
        let selector = Selector::at(address);
        let similar: Vec<_> = index.similar(selector.shape(), selector.key()).collect();
        assert!(
            similar.starts_with(&[3]) && similar.contains(&0),
            "{similar:?}"
        );
        assert!(index.has(By::Identity) && !index.has(By::Class));
    }
}
