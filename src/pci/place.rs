//! The place of a function: the way to it from its root bus, through the bridges.
//!
//! Bus numbers change when a card is added; the devices and functions of the bridges on the way do not. The kernel's own `pci=` parameters write a place as
//! `[DOMAIN:]BUS:DEVICE.FUNCTION[/DEVICE.FUNCTION…]` (`drivers/pci/pci.c`, `pci_dev_str_match_path`), and so does pciseize.

use heapless::Vec;

use super::{Address, address::Pattern};
use crate::{
    put,
    text::{Hex, Line, Show, split},
};

/// Most bridges on the way to a function. PCI Express trees are rarely more than six deep; 256 buses allow no more than 255.
pub const DEPTH: usize = 32;

/// The further steps of a way: device and function of each ([`Address::devfn`]).
pub type Steps = Vec<u8, DEPTH>;

/// The way to a function: the bridges from the root bus on, then the function itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it begins: the first bridge, or the function itself on a root bus. Only there the bus is sure to keep its number.
    pub root: Pattern,
    /// The steps from there.
    pub steps: Steps,
}

impl Place {
    /// Reads the target of `/sys/bus/pci/devices/ADDRESS`, which goes through every bridge: `../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.0`. Folders that are no address (`pci0000:00`, a VMD's
    /// `pci10000:e0`) begin the way anew, so that it counts from the root bus next to the function.
    ///
    /// `None` where it does not end in an address, or has more than [`DEPTH`] bridges.
    pub fn from_link(target: &[u8]) -> Option<Place> {
        let mut root = None;
        let mut steps = Steps::new();
        for folder in split(target, b'/') {
            match (Address::parse(folder), root) {
                (Ok(address), Some(_)) => steps.push(address.devfn()).ok()?,
                (Ok(address), None) => root = Some(Pattern { value: address.bits(), mask: !0 }),
                (Err(_), _) => {
                    root = None;
                    steps.clear();
                }
            }
        }
        Some(Place { root: root?, steps })
    }

    /// The same, to be shown.
    pub fn way(&self) -> Way<'_> {
        Way { root: self.root, steps: &self.steps }
    }
}

/// A way, to be shown.
pub struct Way<'s> {
    /// Where it begins.
    pub root: Pattern,
    /// The steps from there, as in [`Steps`].
    pub steps: &'s [u8],
}

impl Show for Way<'_> {
    #[inline(never)]
    fn show(&self, line: &mut Line) {
        put!(line, self.root);
        for step in self.steps {
            put!(line, "/", Hex((step >> 3).into(), 2), ".", Hex((step & 7).into(), 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(target: &str) -> Option<Line> {
        let mut line = Line::new();
        Place::from_link(target.as_bytes())?.way().show(&mut line);
        Some(line)
    }

    #[test]
    fn counts_from_the_root_bus() {
        for (target, expected) in [
            ("../../../devices/pci0000:00/0000:00:04.0", "0000:00:04.0"),
            ("../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.1", "0000:00:1c.0/00.1"),
            ("../../../devices/pci0000:00/0000:00:1c.4/0000:04:00.0/0000:05:1f.7", "0000:00:1c.4/00.0/1f.7"),
            ("../../../devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0", "10000:e0:06.0/00.0"),
        ] {
            assert_eq!(place(target).expect(target).bytes(), expected.as_bytes());
        }
        assert!(place("../../../devices/virtual/net/lo").is_none());
        assert!(place("").is_none());
    }
}
