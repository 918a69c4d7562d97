//! The items that mean no function: each becomes an entry of its own, or a notice.

use super::add;
use crate::{
    device::{Action, Device, Devices, Step, Wish},
    host::Errno,
    pci::Address,
    put,
    request::{Fault, Item, ItemId, Mistake, Request},
    text::Line,
};

/// Stands for the address of what has none: the last that there could be.
const NOWHERE: Address = Address {
    domain: u32::MAX,
    bus: 0xff,
    device: 0x1f,
    function: 7,
};

/// Adds an entry for every item that means no function, and a notice for every keep that means
/// none. `walked`: whether the bus could be listed.
pub fn add_absent(request: &mut Request, devices: &mut Devices, walked: Result<(), Errno>) {
    // Asked before anything is noted of a keep, which would count as one that cannot be read.
    let nobody_may_expect = walked.is_err() || request.keeps_broadly();
    for id in request.guards()..request.items.len() as ItemId {
        let Some(item) = request
            .items
            .get(usize::from(id))
            .filter(|item| !item.has_matched)
        else {
            continue;
        };
        if item.is_keep {
            if walked.is_ok() {
                note_useless_keep(request, id);
            }
        } else if !request.is_said_before(id) {
            let address = item.selector.address();
            let may_expect = !nobody_may_expect && may_appear(item);
            let is_kept = request.keeps() && address.is_none_or(|a| request.keeps_at(a));
            let action = if may_expect && !is_kept {
                Action::Expect
            } else {
                Action::Absent
            };
            let wish = Wish {
                item: Some(id),
                is_by_address: false,
            };
            let mut device = Device::new(address.unwrap_or(NOWHERE), wish, action);
            device.function.is_there = false;
            device.note(Step::List, walked);
            add(request, devices, device);
        }
    }
}

/// Whether pciback may take what appears later where an item means it: whatever is at an address is
/// asked for, and there is no bridge, which on pciback's list gives away all that is behind it.
fn may_appear(item: &Item) -> bool {
    item.selector.is_plain() && !item.has_passed_over
}

/// Notes that a keep means no function.
fn note_useless_keep(request: &mut Request, id: ItemId) {
    let Some(item) = request.items.get(usize::from(id)) else {
        return;
    };
    let (mut text, origin) = (Line::new(), item.origin);
    put!(&mut text, "{}", item);
    request.note_problem(origin, text.bytes(), Fault::Is(Mistake::KeepsNothing));
}
