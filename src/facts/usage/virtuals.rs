//! Virtual functions (SR-IOV) that guests have or are to have. They end with the driver of the
//! physical function that they belong to, and so that function is in use.

use super::{Usage, Use};
use crate::{
    device::Guest,
    facts::guests,
    host::{Files, Xen},
    pci::{Address, bus},
    pciback,
};

/// Most virtual functions for guests that are noted.
pub(super) const VIRTUALS: usize = 1024;

/// A virtual function that is for guests.
#[derive(Debug)]
pub struct Virtual {
    /// The function that it belongs to.
    physical: Address,
    /// Its address.
    pub address: Address,
    /// Whether pciback has it, or may have.
    is_with_pciback: bool,
    /// Which guest has it.
    pub guest: Guest,
}

/// What is said of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether somebody asks for it, or may do so.
    pub is_asked: bool,
    /// Whether somebody keeps it with dom0.
    pub is_kept: bool,
}

/// Looks for virtual functions that must not end: those that pciback has, and those that somebody
/// asks for or keeps, as `says` tells. A physical function that pciback has already is passed over.
///
/// Which guests have them is asked only where somebody asks for their physical function: xenstore
/// may not be there yet, or not answer, and no other device is to wait for it.
pub fn look<H: Files + Xen>(
    host: &mut H,
    usage: &mut Usage,
    says: &mut dyn FnMut(&mut H, Address) -> Said,
) {
    let mut is_due = false;
    // Of an earlier look, when less was asked for.
    usage.virtuals.clear();
    let _ = bus::walk(host, &mut |host, address| {
        let Some(physical) = bus::physical(host, address) else {
            return;
        };
        if bus::has_driver(host, physical, pciback::NAME.as_bytes()) {
            return;
        }
        // What cannot be read may be with a guest.
        let has_it = bus::driver(host, address).map_or(true, |own| own == pciback::NAME.as_bytes());
        let said = says(host, address);
        if has_it || said.is_asked || said.is_kept {
            is_due |= has_it && {
                let of_card = says(host, physical);
                of_card.is_asked && !of_card.is_kept
            };
            usage.add_virtual(Virtual {
                physical,
                address,
                is_with_pciback: has_it,
                guest: Guest::None,
            });
        }
    });
    if is_due {
        guests::each(host, &mut |_, lent| match lent {
            Ok((domain, address)) => usage.note_lent(Guest::Domain(domain), Some(address)),
            Err(errno) => usage.note_lent(Guest::Unknown(errno), None),
        });
    }
}

impl Usage {
    /// Notes a virtual function. Where there is no room to note which guest has one of pciback's,
    /// some guest may have.
    fn add_virtual(&mut self, new: Virtual) {
        let (physical, is_with_pciback) = (new.physical, new.is_with_pciback);
        self.add(physical, Use::ForGuests, b"");
        if self.virtuals.push(new).is_err() && is_with_pciback {
            self.add(physical, Use::WithGuest, b"");
        }
    }

    /// Notes which guest has the virtual function at an address, or without one, that it is not
    /// known which guests have any.
    fn note_lent(&mut self, guest: Guest, address: Option<Address>) {
        for at in 0..self.virtuals.len() {
            let Some(own) = self.virtuals.get_mut(at) else {
                return;
            };
            let is_it = address.map_or(own.guest == Guest::None, |address| address == own.address);
            if is_it && own.is_with_pciback {
                own.guest = guest;
                let physical = own.physical;
                self.add(physical, Use::WithGuest, b"");
            }
        }
    }

    /// The virtual functions of a physical one that are for guests, in order.
    pub fn virtuals(&self, physical: Address) -> impl Iterator<Item = &Virtual> {
        let mut last = 0;
        core::iter::from_fn(move || {
            let own = self.virtuals.iter();
            let own = own.filter(|own| own.physical == physical && own.address.bits() > last);
            let next = own.min_by_key(|own| own.address.bits())?;
            last = next.address.bits();
            Some(next)
        })
    }

    /// The virtual functions of a physical one that a guest has, or may have.
    pub fn lent(&self, physical: Address) -> impl Iterator<Item = &Virtual> {
        let all = self.virtuals(physical);
        all.filter(|own| own.guest != Guest::None)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{boxed::Box, format, string::String, vec::Vec};

    use super::*;
    use crate::{
        facts::usage::Uses,
        host::{
            Errno,
            testing::{Machine, boxed, shown},
        },
    };

    const CARD: &str = "0000:03:00.0";

    fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).expect(text)
    }

    /// A card with so many virtual functions, 0000:03:10.0 and up, each with that driver.
    fn machine(drivers: &[&str]) -> Machine {
        let mut host = Machine::new();
        let bridge = "pci0000:00/0000:00:1c.0";
        host.function(&format!("{bridge}/{CARD}"), "8086:10c9", "020000");
        host.driver(CARD, "igb");
        for (number, driver) in drivers.iter().enumerate() {
            let own = format!("0000:03:{:02x}.{}", 16 + number / 8, number % 8);
            host.function(&format!("{bridge}/{own}"), "8086:10ca", "020000");
            host.driver(&own, driver);
            let folder = "/sys/bus/pci/devices";
            host.link(&format!("{folder}/{own}/physfn"), &format!("../{CARD}"));
        }
        host
    }

    /// Adds a guest that has these functions.
    fn add_guest(host: &mut Machine, addresses: &[&str]) {
        host.folder("/sys/bus/xen-backend/devices/pci-7-0");
        host.xenstore("backend/pci/7/0/num_devs", &format!("{}", addresses.len()));
        for (number, address) in addresses.iter().enumerate() {
            host.xenstore(&format!("backend/pci/7/0/dev-{number}"), address);
        }
    }

    /// What is found, if somebody asks for these.
    fn found(host: &mut Machine, asked: &[&str]) -> Box<Usage> {
        let asked: Vec<Address> = asked.iter().map(|text| address(text)).collect();
        let mut usage = boxed(Usage::new);
        look(host, &mut usage, &mut |_, at| Said {
            is_asked: asked.contains(&at),
            is_kept: false,
        });
        usage
    }

    fn named(usage: &Usage) -> Vec<String> {
        let virtuals = usage.virtuals(address(CARD));
        virtuals.map(|own| shown(own.address)).collect()
    }

    #[test]
    fn finds_what_pciback_has_and_what_is_asked_for() {
        let drivers = ["igbvf", pciback::NAME, "igbvf"];
        for (drivers, asked, expected) in [
            (&drivers[..], &[][..], &["0000:03:10.1"][..]),
            (&drivers, &["03:10.2"], &["0000:03:10.1", "0000:03:10.2"]),
            (&drivers[..1], &["03:10.0"], &["0000:03:10.0"]),
            // A virtual function that is nobody's wish is not for guests, nor is a card itself.
            (&drivers[..1], &[CARD], &[]),
            (&[], &[CARD], &[]),
        ] {
            let usage = found(&mut machine(drivers), asked);
            assert_eq!(named(&usage), expected, "{asked:?}");
            let uses = usage.uses(address(CARD));
            assert_eq!(uses.has(Use::ForGuests), !expected.is_empty(), "{asked:?}");
            assert!(!uses.has(Use::WithGuest), "{asked:?}");
        }
    }

    /// What is to stay with dom0 ends with the driver of its card too.
    #[test]
    fn finds_what_somebody_keeps() {
        let mut usage = boxed(Usage::new);
        let kept = address("03:10.1");
        look(&mut machine(&["igbvf"; 3]), &mut usage, &mut |_, at| Said {
            is_asked: false,
            is_kept: at == kept,
        });
        assert_eq!(named(&usage), ["0000:03:10.1"]);
    }

    #[test]
    fn counts_what_cannot_be_read() {
        let mut host = machine(&["igbvf"]);
        let link = "link /sys/bus/pci/devices/0000:03:10.0/driver";
        host.refuse(link, Errno::EIO);
        add_guest(&mut host, &["0000:03:10.0"]);
        let usage = found(&mut host, &[CARD]);
        assert!(usage.uses(address(CARD)).has(Use::WithGuest));
    }

    /// It was taken though it has virtual functions: that is done.
    #[test]
    fn passes_over_a_card_that_pciback_has() {
        let mut host = machine(&[pciback::NAME]);
        host.driver(CARD, pciback::NAME);
        assert!(found(&mut host, &[]).uses(address(CARD)).is_empty());
    }

    #[test]
    fn names_them_in_order() {
        let mut usage = boxed(Usage::new);
        for at in ["03:10.2", "04:10.0", "03:10.0", "03:10.1"] {
            let physical = address(&format!("{}:00.0", &at[..2]));
            usage.add_virtual(of(physical, address(at)));
        }
        let expected = ["0000:03:10.0", "0000:03:10.1", "0000:03:10.2"];
        assert_eq!(named(&usage), expected);
    }

    #[test]
    fn knows_which_guest_has_one() {
        let second = (address("03:10.1"), Guest::Domain(7));
        let unknown = (address("03:10.0"), Guest::Unknown(Errno::EIO));
        for (drivers, lent, refused, expected) in [
            ([pciback::NAME; 2], &["0000:03:10.1"][..], "-", Some(second)),
            ([pciback::NAME; 2], &["0000:04:00.0"], "-", None),
            // What dom0 has, no guest has: xenstore tells of earlier.
            (["igbvf", pciback::NAME], &["0000:03:10.0"], "-", None),
            (
                [pciback::NAME; 2],
                &["0000:03:10.1"],
                "xenstore",
                Some(unknown),
            ),
            // Nothing is with pciback, and xenstore is not asked.
            (["igbvf"; 2], &["0000:03:10.1"], "xenstore", None),
        ] {
            let mut host = machine(&drivers);
            add_guest(&mut host, lent);
            host.refuse(refused, Errno::EIO);
            let usage = found(&mut host, &["03:10.0", CARD]);
            let mut lent = usage.lent(address(CARD));
            let found = lent.next().map(|own| (own.address, own.guest));
            assert_eq!(found, expected, "{drivers:?} {refused}");
            let uses = usage.uses(address(CARD));
            assert_eq!(uses.has(Use::WithGuest), expected.is_some());
            assert_eq!(uses.without_all(Uses::OF_GUESTS), Uses::NONE);
        }
    }

    /// Whoever wants another device does not wait for an answer of xenstore.
    #[test]
    fn asks_xenstore_only_for_a_card_that_is_asked_for() {
        for (asked, is_asked) in [(&[CARD][..], true), (&["03:10.0"], false)] {
            let mut host = machine(&[pciback::NAME]);
            add_guest(&mut host, &["0000:03:10.0"]);
            let usage = found(&mut host, asked);
            let mut calls = host.calls.iter();
            assert_eq!(calls.any(|call| call.starts_with("xenstore")), is_asked);
            assert_eq!(usage.uses(address(CARD)).has(Use::WithGuest), is_asked);
        }
    }

    /// What cannot be understood may be one of its virtual functions.
    #[test]
    fn counts_as_lent_what_xenstore_tells_otherwise() {
        for (device, number) in [("0000:03:10.0,permissive=1", 0), ("0000:03:10.0", 256)] {
            let mut host = machine(&[pciback::NAME]);
            add_guest(&mut host, &["0000:04:00.0"; 300][..number + 1]);
            host.xenstore(&format!("backend/pci/7/0/dev-{number}"), device);
            let usage = found(&mut host, &[CARD]);
            assert!(usage.uses(address(CARD)).has(Use::WithGuest), "{device}");
        }
    }

    /// Where there is no room to note who has one, a guest may.
    #[test]
    fn counts_as_lent_what_has_no_place() {
        let mut usage = boxed(Usage::new);
        let card = |number: usize| Address::from_bits((number as u64 + 1) << 8);
        for number in 0..=VIRTUALS {
            usage.add_virtual(of(card(number), card(number)));
        }
        assert!(!usage.uses(card(VIRTUALS - 1)).has(Use::WithGuest));
        assert!(usage.uses(card(VIRTUALS)).has(Use::WithGuest));
    }

    fn of(physical: Address, address: Address) -> Virtual {
        Virtual {
            physical,
            address,
            is_with_pciback: true,
            guest: Guest::None,
        }
    }
}
