//! The hold: an override that names no driver, on every device that is asked for, as soon as it is found.
//!
//! From the moment the write returns no driver can begin to claim the device: `pci_match_device` (`drivers/pci/pci-driver.c`) answers every driver whose name differs from the override with "no match",
//! on every path. A probe that was already running may still end well, on Linux 6.12 even after the write; therefore the driver is looked up after it, never before.

use super::{Device, Devices, HOLD, PCIBACK, Step, set_override};
use crate::{
    host::Host,
    pci::{Address, bus},
    plan::{self, Action},
    request::Request,
};

/// Walks the bus and holds whatever is asked for and may be taken.
pub fn everything<H: Host>(host: &mut H, request: &Request, devices: &mut Devices) {
    for item in &request.items {
        if find(devices, item.address).is_none() {
            // There is room: there are no more devices than items.
            let _ = devices.push(Device::absent(item.address, item.origin));
        }
    }
    let registered = is_registered(host);
    let walked = bus::walk(host, &mut |host, address| {
        if let Some(device) = find(devices, address) {
            hold(host, device, registered);
        }
    });
    for device in devices.iter_mut().filter(|device| !device.is_there) {
        device.note(Step::List, walked);
    }
}

/// Whether pciback is there: its folder in sysfs appears with its registration.
pub fn is_registered<H: Host>(host: &mut H) -> bool {
    host.list(b"/sys/bus/pci/drivers/pciback", &mut |_, _| {}).is_ok()
}

/// The device at that address.
pub fn find(devices: &mut Devices, address: Address) -> Option<&mut Device> {
    devices.iter_mut().find(|device| device.address == address)
}

/// Decides on one device, and holds it if it is to be taken.
fn hold<H: Host>(host: &mut H, device: &mut Device, registered: bool) {
    device.is_there = true;
    match bus::identity(host, device.address) {
        Ok(identity) => device.identity = Some(identity),
        Err(errno) => device.note(Step::Identify, Err(errno)),
    }
    if let Action::Refuse(refusal) = plan::decide(device.address, device.identity) {
        device.refusal = Some(refusal);
        return;
    }
    // What pciback has already may be with a guest, and is not touched.
    if registered && bus::driver(host, device.address, &mut device.driver).is_ok() && device.driver == PCIBACK.as_bytes() {
        return;
    }
    // What it is must be known before pciback gets it: a bridge would take along what is behind it.
    device.is_pending = device.identity.is_some();
    let held = set_override(host, device.address, HOLD);
    device.note(Step::Hold, held);
    let read = bus::driver(host, device.address, &mut device.origin);
    device.note(Step::Driver, read);
    if device.origin == PCIBACK.as_bytes() {
        // Seen only now: a call failed before, or pciback came in between. What it has stays there all the same.
        device.origin.clear();
        device.is_pending = false;
        let given_back = set_override(host, device.address, PCIBACK);
        device.note(Step::Override, given_back);
    }
}
