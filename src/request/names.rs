//! The names for guests that items have, and which function each means.

use heapless::Vec;

use super::{
    item::{GuestNameId, ItemId},
    syntax::name::Name,
};
use crate::pci::Address;

/// Most names.
pub const NAMES: usize = 256;

/// A name that an item has.
#[derive(Clone, Debug)]
pub struct GuestName {
    /// The name.
    pub name: Name,
    /// The first item that has it.
    pub item: ItemId,
    /// Whether another item has it too. Then nobody can tell which was meant.
    pub is_ambiguous: bool,
    /// What the item means, as far as somebody looked.
    pub meant: Meant,
    /// Whether the item may also mean a function whose ids cannot be read.
    pub may_mean_unread: bool,
}

impl GuestName {
    /// Whether it can mean one device at most, as far as somebody looked.
    pub fn is_of_one(&self) -> bool {
        !self.is_ambiguous && self.meant != Meant::Many && !self.may_mean_unread
    }
}

/// Which functions a named item means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    /// None.
    None,
    /// This one.
    One(Address),
    /// More than one.
    Many,
}

impl Meant {
    /// With one more function. The same one again is no other.
    const fn and(self, address: Address) -> Meant {
        match self {
            Meant::None => Meant::One(address),
            Meant::One(first) if first.bits() == address.bits() => self,
            _ => Meant::Many,
        }
    }
}

/// All names, in the order in which they were read.
#[derive(Debug, Default)]
pub struct GuestNames(Vec<GuestName, NAMES>);

impl GuestNames {
    /// No name.
    pub const fn new() -> GuestNames {
        GuestNames(Vec::new())
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The place of a name.
    pub fn find(&self, name: &Name) -> Option<GuestNameId> {
        let place = self.0.iter().position(|own| own.name == *name);
        place.and_then(|place| GuestNameId::try_from(place).ok())
    }

    /// Adds the name of an item. `None` if there are too many.
    pub(super) fn add(&mut self, name: Name, item: ItemId) -> Option<GuestNameId> {
        let id = GuestNameId::try_from(self.0.len()).ok()?;
        let added = self.0.push(GuestName {
            name,
            item,
            is_ambiguous: false,
            meant: Meant::None,
            may_mean_unread: false,
        });
        added.ok().map(|()| id)
    }

    /// A name.
    pub fn get(&self, id: GuestNameId) -> Option<&GuestName> {
        self.0.get(usize::from(id))
    }

    pub(super) fn get_mut(&mut self, id: GuestNameId) -> Option<&mut GuestName> {
        self.0.get_mut(usize::from(id))
    }

    /// Every name with its place.
    pub fn iter(&self) -> impl Iterator<Item = (GuestNameId, &GuestName)> {
        (0..).zip(self.0.iter())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes that the item with this name may mean a function whose ids cannot be read.
    pub fn note_unread(&mut self, id: GuestNameId) {
        if let Some(name) = self.get_mut(id) {
            name.may_mean_unread = true;
        }
    }

    /// Notes that the item with this name means a function.
    pub fn note_meant(&mut self, id: GuestNameId, address: Address) {
        if let Some(name) = self.get_mut(id) {
            name.meant = name.meant.and(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn counts_each_function_once() {
        let [one, other] =
            ["03:00.0", "03:00.1"].map(|at| Address::parse(at.as_bytes()).expect(at));
        assert_eq!(Meant::None.and(one), Meant::One(one));
        assert_eq!(Meant::One(one).and(one), Meant::One(one));
        assert_eq!(Meant::One(one).and(other), Meant::Many);
        assert_eq!(Meant::Many.and(one), Meant::Many);
    }

    #[test]
    fn has_room_for_every_number() {
        extern crate std;
        let mut names = GuestNames::new();
        for number in 0..NAMES {
            let name = name(&std::format!("n{number}"));
            assert_eq!(names.find(&name), None);
            let id = names.add(name.clone(), 7).expect("room");
            assert_eq!((usize::from(id), names.find(&name)), (number, Some(id)));
        }
        assert_eq!(names.add(name("more"), 7), None);
        assert_eq!(names.len(), NAMES);
    }
}
