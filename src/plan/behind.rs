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
