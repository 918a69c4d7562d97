//! What comes later: an address that is asked for and where nothing is goes onto pciback's list, so
//! that pciback takes whatever appears there (`pci_stub.c`, `new_slot_store`).

use crate::{
    device::{Action, Devices, Step},
    host::Files,
    pciback::Answer,
    put,
    request::Request,
    text::Line,
};

/// Has pciback wait for every address of the request that may be waited for. Where pciback is not
/// there, nobody waits.
pub fn enlist_expected<H: Files>(
    host: &mut H,
    request: &Request,
    devices: &mut Devices,
    pciback: Answer,
) {
    for device in devices
        .iter_mut()
        .filter(|device| device.action == Action::Expect)
    {
        if !pciback.is_ready() {
            device.action = Action::Absent;
            continue;
        }
        let mut place = Line::new();
        if let Some(item) = device.item(request) {
            // The kernel reads the same forms, with the same `*`.
            put!(&mut place, "{}", item);
        }
        let listed = host.write(b"/sys/bus/pci/drivers/pciback/new_slot", place.bytes());
        if listed.is_err() {
            device.action = Action::Absent;
        }
        device.note(Step::Enlist, listed);
    }
}
