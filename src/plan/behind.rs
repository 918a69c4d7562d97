//! What is behind a bridge that is refused: its functions may be what was meant.

use heapless::Vec;

use crate::{
    device::{Action, DEVICES, Devices},
    host::Files,
    pci::{Address, bus},
};

/// Most functions that are looked at behind one bridge.
const FUNCTIONS: u32 = 128;

/// What is behind bridges.
#[derive(Debug, Default)]
pub struct BehindList {
    /// Each function with the bridge that is refused, in order. `None`: there are more functions.
    entries: Vec<(Address, Option<Address>), DEVICES>,
}

impl BehindList {
    /// Nothing.
    pub const fn new() -> BehindList {
        BehindList {
            entries: Vec::new(),
        }
    }

    /// The functions behind a bridge, in order. `None`: there are more.
    pub fn of(&self, bridge: Address) -> impl Iterator<Item = Option<Address>> {
        let its_own = self.entries.iter().filter(move |(own, _)| *own == bridge);
        its_own.map(|&(_, function)| function)
    }

    /// Looks behind every bridge that is refused.
    pub fn look<H: Files>(&mut self, host: &mut H, devices: &Devices) {
        self.entries.clear();
        for device in devices
            .iter()
            .filter(|device| device.action == Action::RefuseBridge)
        {
            let mut search = Search {
                list: self,
                bridge: device.address(),
                left: FUNCTIONS,
            };
            search.look_behind(host, device.address());
        }
    }

    fn add(&mut self, bridge: Address, function: Option<Address>) {
        if self.entries.push((bridge, function)).is_err()
            && let Some(last) = self.entries.last_mut()
        {
            *last = (bridge, None);
        }
    }
}

/// A look behind one bridge.
struct Search<'s> {
    list: &'s mut BehindList,
    bridge: Address,
    /// How many functions may still be looked at, in a tree that goes round in circles too.
    left: u32,
}

impl Search<'_> {
    /// Adds the functions behind a bridge: they are folders in its own.
    fn look_behind<H: Files>(&mut self, host: &mut H, bridge: Address) {
        let mut last = 0;
        while let Some(address) = next_function(host, bridge, last) {
            let Some(fewer) = self.left.checked_sub(1) else {
                return self.list.add(self.bridge, None);
            };
            self.left = fewer;
            last = address.bits();
            if bus::identity(host, address).is_ok_and(|identity| identity.is_bridge()) {
                self.look_behind(host, address);
            } else {
                self.list.add(self.bridge, Some(address));
            }
        }
    }
}

/// The function in the folder of a bridge that follows an address ([`Address::bits`]). The folder
/// is read anew each time, so that the number of functions needs no memory.
fn next_function<H: Files>(host: &mut H, bridge: Address, last: u64) -> Option<Address> {
    let mut next: Option<Address> = None;
    let _ = host.list(&bus::attribute(bridge, ""), &mut |_, name| {
        if let Ok(address) = Address::parse(name)
            && address.bits() > last
            && next.is_none_or(|next| address.bits() < next.bits())
        {
            next = Some(address);
        }
    });
    next
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{
        format,
        string::{String, ToString},
        vec::Vec as List,
    };

    use super::*;
    use crate::{
        device::{Device, Wish},
        host::{
            Errno,
            testing::{Machine, boxed, shown},
        },
    };

    const BRIDGE: &str = "pci0000:00/0000:00:1c.0";

    /// What is found behind 0000:00:1c.0, with that action.
    fn behind(host: &mut Machine, action: Action) -> List<String> {
        let bridge = Address::parse(b"00:1c.0").expect("an address");
        let wish = Wish {
            item: Some(0),
            is_by_address: true,
        };
        let mut devices = boxed(Devices::new);
        let device = Device::new(bridge, wish, action);
        devices.push(device).expect("room");
        let mut list = boxed(BehindList::new);
        list.look(host, &devices);
        let shown = |function: Option<Address>| function.map_or("...".to_string(), shown);
        list.of(bridge).map(shown).collect()
    }

    fn machine() -> Machine {
        let mut host = Machine::new();
        host.function(BRIDGE, "1b36:000c", "060400");
        host
    }

    #[test]
    fn finds_functions_in_order_through_all_bridges() {
        let mut host = machine();
        host.function(&format!("{BRIDGE}/0000:05:00.1"), "8086:10d3", "020000");
        host.function(&format!("{BRIDGE}/0000:05:00.0"), "8086:10d3", "020000");
        let inner = format!("{BRIDGE}/0000:03:00.0");
        host.function(&inner, "1b36:000e", "060401");
        host.function(&format!("{inner}/0000:04:02.0"), "8086:10d3", "020000");
        host.folder("/sys/bus/pci/devices/0000:00:1c.0/power");
        let found = behind(&mut host, Action::RefuseBridge);
        assert_eq!(found, ["0000:04:02.0", "0000:05:00.0", "0000:05:00.1"]);
    }

    #[test]
    fn looks_only_behind_bridges_that_are_refused() {
        let mut host = machine();
        host.function(&format!("{BRIDGE}/0000:03:00.0"), "8086:10d3", "020000");
        assert_eq!(behind(&mut host, Action::RefuseBridge), ["0000:03:00.0"]);
        for action in [Action::Unasked, Action::Keep(0), Action::Leave] {
            assert!(behind(&mut host, action).is_empty(), "{action:?}");
        }
    }

    #[test]
    fn names_what_cannot_be_read() {
        let mut host = machine();
        host.function(&format!("{BRIDGE}/0000:03:00.0"), "8086:10d3", "020000");
        host.refuse("read", Errno::EIO);
        assert_eq!(behind(&mut host, Action::RefuseBridge), ["0000:03:00.0"]);
    }

    #[test]
    fn finds_nothing_behind_nothing() {
        assert!(behind(&mut machine(), Action::RefuseBridge).is_empty());
        assert!(behind(&mut Machine::new(), Action::RefuseBridge).is_empty());
    }

    #[test]
    fn marks_that_there_are_more() {
        let mut host = machine();
        for number in 0..FUNCTIONS + 2 {
            let (device, function) = (number >> 3, number & 7);
            let (bus, device) = (3 + (device >> 5), device & 0x1f);
            let way = format!("{BRIDGE}/0000:{bus:02x}:{device:02x}.{function}");
            host.function(&way, "8086:10d3", "020000");
        }
        let found = behind(&mut host, Action::RefuseBridge);
        let (last, functions) = found.split_last().expect("some");
        assert_eq!(
            (last.as_str(), functions.len()),
            ("...", FUNCTIONS as usize)
        );
        assert_eq!(functions[0], "0000:03:00.0");
    }

    /// A bridge that is in its own folder: the kernel has none, a damaged tree may.
    #[test]
    fn comes_to_an_end_in_a_circle() {
        let mut host = machine();
        host.link(
            "/sys/devices/pci0000:00/0000:00:1c.0/0000:03:00.0",
            "/sys/devices/pci0000:00/0000:00:1c.0",
        );
        host.link("/sys/bus/pci/devices/0000:03:00.0", "0000:00:1c.0");
        let found = behind(&mut host, Action::RefuseBridge);
        assert!(found.iter().all(|function| function == "..."), "{found:?}");
        assert!(!found.is_empty());
    }
}
