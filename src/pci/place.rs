//! The place of a function: the way to it from its root bus, through the bridges.
//!
//! ```text
//! place = [ DOMAIN ":" ] BUS ":" DEVICE "." FUNCTION ( "/" DEVICE "." FUNCTION )*
//! ```
//!
//! Bus numbers change when a card is added; the devices and functions of the bridges on the way do
//! not. The kernel's `pci=` parameters write a place in the same form (`drivers/pci/pci.c`,
//! `pci_dev_str_match_path`).

use heapless::Vec;
use ufmt::{Formatter, uDisplay, uWrite};

use super::{
    Address, Pattern,
    address::{Fault, show_devfn},
};
use crate::{
    show,
    text::{split, split_once},
};

/// Most bridges on the way to a function. PCI Express trees are rarely more than six deep; 256
/// buses allow no more than 255.
pub const DEPTH: usize = 32;

/// The steps after the first: [`Address::devfn`] of each.
pub type Steps = Vec<u8, DEPTH>;

/// The way to a function: the bridges from the root bus on, then the function itself.
///
/// ```
/// use pciseize::{pci::Place, put, text::Line};
///
/// let target = b"../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.1";
/// let mut line = Line::new();
/// put!(&mut line, "{}", Place::from_link(target).unwrap());
/// assert_eq!(line.bytes(), b"0000:00:1c.0/00.1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The first bridge, or the function itself on a root bus. Only a root bus keeps its number.
    pub root: Address,
    /// The steps from there.
    pub steps: Steps,
}

impl Place {
    /// A place that is an address: that of a function on a root bus, and of a virtual function.
    pub const fn at(address: Address) -> Place {
        Place {
            root: address,
            steps: Steps::new(),
        }
    }

    /// Reads the target of `/sys/bus/pci/devices/ADDRESS`, which goes through every bridge:
    /// `../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.0`. A folder that is no address
    /// (`pci0000:00`, a VMD's `pci10000:e0`) begins the way again, so it counts from the root bus
    /// next to the function.
    ///
    /// `None` for a target that does not end in an address, or has more than [`DEPTH`] bridges.
    pub fn from_link(target: &[u8]) -> Option<Place> {
        let mut place: Option<Place> = None;
        for folder in split(target, b'/') {
            match (Address::parse(folder), &mut place) {
                (Ok(address), Some(place)) => place.steps.push(address.devfn()).ok()?,
                (Ok(root), None) => place = Some(Place::at(root)),
                (Err(_), _) => place = None,
            }
        }
        place
    }
}

/// Reads one step of a place, `DEVICE.FUNCTION`, as [`Address::devfn`].
///
/// # Errors
/// The first fault from the left. A step has no bus and no `*`.
pub fn parse_step(text: &[u8]) -> Result<u8, Fault> {
    let (device, function) = split_once(text, b'.').unwrap_or((text, b"*"));
    if split_once(device, b':').is_some() {
        return Err(Fault::Form);
    }
    let step = Pattern::from_fields(b"0", b"0", device, function)?;
    Ok(step.address().ok_or(Fault::Form)?.devfn())
}

impl uDisplay for Place {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(f, "{}", self.root)?;
        for &step in &self.steps {
            f.write_char('/')?;
            show_devfn(f, step)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::{pci::address::Field, put, text::Line};

    fn place(target: &str) -> Option<Line> {
        let mut line = Line::new();
        put!(&mut line, "{}", Place::from_link(target.as_bytes())?);
        Some(line)
    }

    #[test]
    fn counts_from_the_root_bus() {
        for (folders, expected) in [
            ("pci0000:00/0000:00:04.0", "0000:00:04.0"),
            ("pci0000:00/0000:00:1c.0/0000:03:00.1", "0000:00:1c.0/00.1"),
            (
                "pci0000:00/0000:00:1c.4/0000:04:00.0/0000:05:1f.7",
                "0000:00:1c.4/00.0/1f.7",
            ),
            (
                "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0",
                "10000:e0:06.0/00.0",
            ),
        ] {
            let target = std::format!("../../../devices/{folders}");
            assert_eq!(place(&target).expect(&target).bytes(), expected.as_bytes());
        }
        assert!(place("../../../devices/virtual/net/lo").is_none());
        assert!(place("").is_none());
    }

    #[test]
    fn reads_a_step() {
        for (text, expected) in [
            ("00.0", Ok(0)),
            ("1f.7", Ok(0xff)),
            ("1.2", Ok(0x0a)),
            ("", Err(Fault::Digits(Field::Device))),
            ("1c", Err(Fault::Form)),
            ("1c.*", Err(Fault::Form)),
            ("*.*", Err(Fault::Form)),
            ("03:00.0", Err(Fault::Form)),
            ("20.0", Err(Fault::Range(Field::Device))),
            ("00.8", Err(Fault::Range(Field::Function))),
        ] {
            assert_eq!(parse_step(text.as_bytes()), expected, "{text}");
        }
    }
}
