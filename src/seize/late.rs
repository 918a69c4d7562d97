//! What comes later: an address that is asked for and where nothing is goes onto pciback's list, so that it takes whatever appears there (`pci_stub.c`, `new_slot_store`).

use crate::{
    device::{Devices, Step},
    host::Host,
    plan::Action,
    put,
    request::Request,
    text::Line,
};

/// Has pciback wait for every address of the request that may be waited for. Where pciback is not there (`is_registered`), nobody waits.
pub fn expect<H: Host>(host: &mut H, request: &Request, devices: &mut Devices, is_registered: bool) {
    for device in devices {
        if device.action != Action::Expect {
            continue;
        }
        if !is_registered {
            device.action = Action::Absent;
            continue;
        }
        let mut place = Line::new();
        // The kernel reads the same forms, with the same `*`.
        device.item(request).into_iter().for_each(|item| put!(&mut place, item));
        let listed = host.write(b"/sys/bus/pci/drivers/pciback/new_slot", place.bytes());
        if listed.is_err() {
            device.action = Action::Absent;
        }
        device.note(Step::Enlist, listed);
    }
}
