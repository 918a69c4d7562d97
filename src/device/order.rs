//! Devices in order.

use super::{Device, Devices};

/// Brings devices into the order of their addresses; what has none comes last.
pub fn sort(devices: &mut Devices) {
    // An address has 48 bits.
    let item = |device: &Device| device.wish.item.map_or(0xffff, u64::from);
    sort_by(devices, &|device| {
        device.address().bits() << 16 | item(device)
    });
}

/// Notes another device of its model for each that has one, rather one of another slot. Bridges
/// have none.
pub fn find_twins(devices: &mut Devices) {
    sort_by(devices, &|device| {
        let function = device.address().bits() & 7;
        device
            .model()
            .map_or(u64::MAX, |model| model << 3 | function)
    });
    for at in 0..devices.len() {
        if let Ok([one, other]) = devices.get_disjoint_mut([at, at + 1])
            && one
                .model()
                .is_some_and(|model| other.model() == Some(model))
            && !one.is_bridge()
        {
            one.function.twin = Some(other.address());
            other.function.twin = Some(one.address());
        }
    }
    sort(devices);
}

/// Brings devices into the order of a number that each has.
///
/// Comb sort, quick but for made-up cases: `sort_unstable_by_key` links a panic path.
pub fn sort_by(devices: &mut Devices, key: &dyn Fn(&Device) -> u64) {
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
