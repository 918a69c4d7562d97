//! Which function gets which name for guests.
//!
//! A name is for one function: a guest that asks for the name gets that one and no other. So an
//! item that means more than one gives its name to none of them.

use crate::{
    device::{Action, Device, Devices},
    pci::Address,
    request::{Candidate, Mistake, Request, names::Meant},
};

/// Gives each name to the function that its item means, and notes why nobody gets it. Every
/// function has been looked at.
pub fn give_names(request: &mut Request, devices: &mut Devices) {
    for number in 0..request.names.len() {
        let Some((id, own)) = request.names.iter().nth(number) else {
            return;
        };
        // That was told when it was read.
        if own.is_ambiguous {
            continue;
        }
        let (item, name, meant) = (own.item, own.name.clone(), own.meant);
        let mistake = match meant {
            Meant::None | Meant::One(_) if own.may_mean_unread => Some(Mistake::NameOfUnread),
            Meant::None => Some(Mistake::NameOfNone),
            Meant::Many => Some(Mistake::NameOfMany),
            Meant::One(address) => match find(devices, address) {
                Some(device) if device.action != Action::Seize => Some(Mistake::NameOfUntaken),
                Some(device) if device.name.is_some() => Some(Mistake::SecondName),
                Some(device) => {
                    device.name = Some(id);
                    None
                }
                // There was no room for it, which was told.
                None => None,
            },
        };
        if let Some(mistake) = mistake {
            request.note_name(item, &name, mistake);
        }
    }
}

/// Notes which names may be those of a function whose ids cannot be read.
pub fn note_unread(request: &mut Request, candidate: &Candidate) {
    for number in 0..request.names.len() {
        let Some((id, own)) = request.names.iter().nth(number) else {
            return;
        };
        let item = request.items.get(usize::from(own.item));
        if item.is_some_and(|item| item.selector.may_mean_unread(candidate)) {
            request.names.note_unread(id);
        }
    }
}

/// The device at an address.
fn find(devices: &mut Devices, address: Address) -> Option<&mut Device> {
    let is_it = |device: &&mut Device| device.function.is_there && device.address() == address;
    devices.iter_mut().find(is_it)
}
