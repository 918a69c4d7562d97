//! Devices in order.

use super::{Device, Devices};
use crate::pci::Address;

/// Brings devices into the order of their addresses; what has none comes last.
pub fn sort(devices: &mut Devices) {
    // An address has 48 bits.
    let item = |device: &Device| device.wish.item.map_or(0xffff, u64::from);
    sort_by(devices, &|device| {
        device.address().bits() << 16 | item(device)
    });
}

/// Notes another device of its model for each that has one, of another slot where there is one.
/// Bridges have none.
pub fn find_twins(devices: &mut Devices) {
    sort_by(devices, &|device| model(device).unwrap_or(u64::MAX));
    note_first(&mut devices.iter_mut());
    note_first(&mut devices.iter_mut().rev());
    sort(devices);
}

/// The model by which a device has a twin.
fn model(device: &Device) -> Option<u64> {
    device.model().filter(|_| !device.is_bridge())
}

/// Notes the first of each model with the others. The devices of a model follow one another.
fn note_first(devices: &mut dyn Iterator<Item = &mut Device>) {
    let mut first: Option<(u64, Address)> = None;
    for device in devices {
        let address = device.address();
        let is_elsewhere = |twin: Address| twin.slot() != address.slot();
        match first {
            Some((of, twin)) if model(device) == Some(of) => {
                if !device.function.twin.is_some_and(is_elsewhere) {
                    device.function.twin = Some(twin);
                }
            }
            _ => first = model(device).map(|of| (of, address)),
        }
    }
}

/// Brings devices, or anything else, into the order of a number that each has.
///
/// Comb sort, quick but for made-up cases: `sort_unstable_by_key` links a panic path.
pub fn sort_by<T>(devices: &mut [T], key: &dyn Fn(&T) -> u64) {
    let mut gap = devices.len();
    let mut is_sorted = false;
    while !is_sorted {
        // By 1.3, which takes the fewest passes; 4/3 takes a quarter more for some lengths.
        gap = (gap * 10 / 13).max(1);
        is_sorted = gap == 1;
        for at in 0..devices.len() {
            if let Ok([one, other]) = devices.get_disjoint_mut([at, at + gap])
                && key(one) > key(other)
            {
                core::mem::swap(one, other);
                is_sorted = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{sync::Mutex, vec::Vec};

    use super::*;
    use crate::{
        device::{Action, Wish},
        pci::Address,
    };

    /// A card with two functions is no twin of itself while there is another card.
    #[test]
    fn finds_a_twin_in_another_slot_first() {
        static DEVICES: Mutex<Devices> = Mutex::new(Devices::new());
        for (all, twins) in [
            (&["03:00.0"][..], &[None][..]),
            (&["03:00.0", "03:00.1"], &[Some("03:00.1"), Some("03:00.0")]),
            (
                &["03:00.0", "03:00.1", "04:00.0", "04:00.1"],
                &[Some("04:00"), Some("04:00"), Some("03:00"), Some("03:00")],
            ),
        ] {
            let mut devices = DEVICES.lock().expect("one test");
            devices.clear();
            for at in all {
                let address = Address::parse(at.as_bytes()).expect(at);
                let wish = Wish {
                    item: None,
                    is_by_address: false,
                };
                let mut device = Device::new(address, wish, Action::Unasked);
                device.function.identity = Some(crate::pci::Identity {
                    ids: 0x8086_1521_0000_0000,
                    class: 0x02_0000,
                });
                devices.push(device).expect("room");
            }
            find_twins(&mut devices);
            for (device, twin) in devices.iter().zip(twins) {
                let found = device.function.twin.map(crate::host::testing::shown);
                let is_right = match (&found, twin) {
                    (Some(found), Some(twin)) => found.contains(twin),
                    (found, twin) => found.is_none() && twin.is_none(),
                };
                assert!(is_right, "{all:?}: {found:?}, {twin:?}");
            }
        }
    }

    #[test]
    fn sorts_by_address() {
        // Too large for the stack of a test.
        static DEVICES: Mutex<Devices> = Mutex::new(Devices::new());
        let mut devices = DEVICES.lock().expect("one test");
        for length in 0..40_u64 {
            devices.clear();
            for n in 0..length {
                // 1 to 97 in some order, each once at most.
                let address = Address::from_bits(n * 37 % 97 + 1);
                let wish = Wish {
                    item: Some(n as u16),
                    is_by_address: false,
                };
                devices
                    .push(Device::new(address, wish, Action::Seize))
                    .expect("room");
            }
            sort(&mut devices);
            let order: Vec<_> = devices
                .iter()
                .map(|device| device.address().bits())
                .collect();
            assert!(order.is_sorted(), "{order:?}");
        }
    }
}
