//! The hold: an override that names no driver, on every device that is asked for, as soon as it is found.
//!
//! From the moment the write returns no driver can begin to claim the device: `pci_match_device` (`drivers/pci/pci-driver.c`) answers every driver whose name differs from the override with "no match",
//! on every path. A probe that was already running may still end well, on Linux 6.12 even after the write; therefore the driver is looked up after it, never before.

use super::{HOLD, PCIBACK, PCIBACK_FOLDER, initialised, is_pciback, set_override};
use crate::{
    device::{Device, Devices, Step},
    guests::Guest,
    host::{Errno, Host},
    needs::Needs,
    pci::bus,
    plan::{self, Action},
    request::Request,
};

/// Walks the bus and holds whatever is asked for and may be taken.
pub fn everything<H: Host>(host: &mut H, request: &mut Request, needs: &mut Needs, devices: &mut Devices) {
    let registered = is_registered(host);
    plan::make(host, request, needs, devices, false, &mut |host, device| {
        if device.action == Action::Seize {
            hold(host, device, registered);
        }
    });
}

/// Whether pciback is there: its folder in sysfs appears with its registration. A module has more to do after that, and until it has, what is bound is not initialised (`pci_stub.c`, `initialize_devices`).
pub fn is_registered<H: Host>(host: &mut H) -> bool {
    let is_there = host.list(PCIBACK_FOLDER.as_bytes(), &mut |_, _| {}).is_ok();
    let mut buffer = [0; 8];
    // Built in it has no state. One that cannot be read may be any.
    is_there && matches!(host.read(b"/sys/module/xen_pciback/initstate", 0, &mut buffer), Ok(b"live\n") | Err(Errno::ENOENT))
}

/// Holds what pciback has and could not initialise, to have it bound once more: that may go well now, and if not, there is an errno. Loaded with devices to hide, pciback keeps that one for itself.
pub fn unready<H: Host>(host: &mut H, devices: &mut Devices) {
    for device in devices.iter_mut() {
        let may_be = device.action == Action::Seize && !device.is_pending && is_pciback(&device.driver) && device.guest == Guest::None;
        if may_be && device.identity.is_some() && initialised(host, device.address) == Some(false) {
            let held = set_override(host, device.address, HOLD);
            device.note(Step::Hold, held);
            (device.is_pending, device.is_unready) = (held.is_ok(), held.is_ok());
        }
    }
}

/// Holds a device that is to be taken.
fn hold<H: Host>(host: &mut H, device: &mut Device, registered: bool) {
    // What pciback has already may be with a guest, and is not touched.
    if registered && bus::driver(host, device.address, &mut device.driver).is_ok() && is_pciback(&device.driver) {
        return;
    }
    // What it is must be known before pciback gets it: a bridge would take along what is behind it.
    device.is_pending = device.identity.is_some();
    let held = set_override(host, device.address, HOLD);
    device.note(Step::Hold, held);
    let read = bus::driver(host, device.address, &mut device.origin);
    device.note(Step::Driver, read);
    if is_pciback(&device.origin) {
        // Seen only now: a call failed before, or pciback came in between. What it has stays there all the same.
        core::mem::swap(&mut device.driver, &mut device.origin);
        device.origin.clear();
        device.is_pending = false;
        let given_back = set_override(host, device.address, PCIBACK);
        device.note(Step::Override, given_back);
    }
}
