//! The place of a function: the way to it from its root bus, through the bridges.
//!
//! Bus numbers change when a card is added; the devices and functions of the bridges on the way do not. The kernel's own `pci=` parameters write a place as
//! `[DOMAIN:]BUS:DEVICE.FUNCTION[/DEVICE.FUNCTION…]` (`drivers/pci/pci.c`, `pci_dev_str_match_path`), and so does pciseize.

use heapless::Vec;

use super::Address;
use crate::{
    put,
    text::{Hex, Line, Show, split},
};

/// Most bridges on the way to a function. PCI Express trees are rarely more than six deep; 256 buses allow no more than 255.
pub const DEPTH: usize = 32;

/// The way to a function: the bridges from the root bus on, then the function itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(Vec<Address, { DEPTH + 1 }>);

impl Place {
    /// Reads the target of `/sys/bus/pci/devices/ADDRESS`, which goes through every bridge: `../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.0`. Folders that are no address (`pci0000:00`, a VMD's
    /// `pci10000:e0`) begin the way anew, so that it counts from the root bus next to the function.
    ///
    /// `None` where no address stands in it, or more than [`DEPTH`] bridges.
    pub fn from_link(target: &[u8]) -> Option<Place> {
        let mut way = Vec::new();
        for folder in split(target, b'/') {
            match Address::parse(folder) {
                Ok(address) => way.push(address).ok()?,
                Err(_) => way.clear(),
            }
        }
        (!way.is_empty()).then_some(Place(way))
    }
}

impl Place {
    /// The bits of the first bridge's address, or of the function's own on a root bus ([`Address::bits`]).
    pub fn root(&self) -> u64 {
        self.0.first().map_or(0, |first| first.bits())
    }

    /// Device and function of each further step ([`Address::devfn`]).
    pub fn steps(&self) -> impl Iterator<Item = u8> + Clone {
        self.0.iter().skip(1).map(|step| step.devfn())
    }
}

/// Shows the steps of a place, each with a `/` in front.
pub fn show_steps(line: &mut Line, steps: impl Iterator<Item = u8>) {
    for step in steps {
        put!(line, "/", Hex((step >> 3).into(), 2), ".", Hex((step & 7).into(), 1));
    }
}

impl Show for Place {
    fn show(&self, line: &mut Line) {
        // Only the first one's bus is sure to keep its number.
        if let Some(first) = self.0.first() {
            put!(line, first);
            show_steps(line, self.steps());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(target: &str) -> Option<Line> {
        let mut line = Line::new();
        Place::from_link(target.as_bytes())?.show(&mut line);
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
