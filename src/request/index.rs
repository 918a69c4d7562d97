//! The items that may mean a function, found without looking at all of them: a table of hashed numbers.
//!
//! Items differ in what they compare. There are few such ways, the shapes; for each that is in use the function has one number, and the table has the items with that number. So the work for a machine grows with
//! its functions plus its items, not with their product.

use heapless::Vec;

use super::{
    ITEMS, ItemId,
    selector::{By, Function, Shape},
};

/// Buckets of the table. A power of two.
const BUCKETS: usize = ITEMS;

/// Most shapes: addresses with none, one or two `*`; paths; identities with a vendor and `*` or not in each of three fields; classes of 2, 4 and 6 digits, and audio.
const SHAPES: usize = 3 + 1 + 8 + 4;

/// The table.
#[derive(Debug)]
pub struct Index {
    shapes: Vec<Shape, SHAPES>,
    /// The last item of each bucket, plus 1. 0: none.
    last: [ItemId; BUCKETS],
    /// For each item the one before it in its bucket, plus 1. 0: none.
    before: [ItemId; ITEMS],
}

impl Index {
    /// Of no item.
    pub const fn new() -> Index {
        Index { shapes: Vec::new(), last: [0; BUCKETS], before: [0; ITEMS] }
    }

    /// Enters an item, after all with a lower number.
    pub(super) fn add(&mut self, id: ItemId, shape: Shape, key: u64) {
        if !self.shapes.contains(&shape) {
            // There is room for all that there are.
            let _ = self.shapes.push(shape);
        }
        let bucket = self.last.get_mut(bucket(shape, key));
        if let (Some(last), Some(before)) = (bucket, self.before.get_mut(usize::from(id))) {
            *before = core::mem::replace(last, id + 1);
        }
    }

    /// The next item that may mean the function, the later first within a shape. A new cursor begins anew.
    pub(super) fn next(&self, function: &Function, cursor: &mut Cursor) -> Option<ItemId> {
        while cursor.next == 0 {
            let shape = *self.shapes.get(cursor.shape)?;
            cursor.shape += 1;
            if let Some(key) = shape.key(function) {
                cursor.next = self.last(shape, key);
            }
        }
        self.step(&mut cursor.next)
    }

    /// The last item that may have that shape and number, plus 1.
    pub(super) fn last(&self, shape: Shape, key: u64) -> ItemId {
        self.last.get(bucket(shape, key)).copied().unwrap_or_default()
    }

    /// The item that `next` stands for, which then stands for the one before.
    pub(super) fn step(&self, next: &mut ItemId) -> Option<ItemId> {
        let id = next.checked_sub(1)?;
        *next = self.before.get(usize::from(id)).copied().unwrap_or_default();
        Some(id)
    }

    /// Whether an item has such a shape.
    pub(super) fn has(&self, by: By) -> bool {
        self.shapes.iter().any(|shape| shape.by == by)
    }
}

/// How far a search has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// The next shape.
    shape: usize,
    /// The next item of the shape before, plus 1.
    next: ItemId,
}

impl Default for Index {
    fn default() -> Index {
        Index::new()
    }
}

/// The bucket of a number: its upper bits, once they have been mixed (Knuth's multiplicative hashing).
fn bucket(shape: Shape, key: u64) -> usize {
    let mixed = (key ^ (shape.by as u64) << 60).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - BUCKETS.trailing_zeros())) as usize
}
