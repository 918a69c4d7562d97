//! The hold: an override that names no driver, on every device that is asked for, as soon as it is
//! found.
//!
//! From the moment the write returns no driver can begin to claim the device: `pci_match_device`
//! (`drivers/pci/pci-driver.c`) answers every driver whose name differs from the override with "no
//! match", on every path. A probe that was already running may still end well, on Linux 6.12 even
//! after the write; therefore the driver is looked up after the write, never before.

use crate::{
    device::{Action, Device, Devices, Guest, Step},
    facts::usage::Usage,
    host::Files,
    pci::bus,
    pciback,
    plan::{self, Extent},
    request::Request,
};

/// Whether pciback is there already. Then it may have devices, with a guest or not, that are not to
/// be touched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pciback {
    IsThere,
    IsNotThere,
}

/// Walks the bus and holds whatever is asked for and may be taken.
pub fn hold_requested<H: Files>(
    host: &mut H,
    request: &mut Request,
    usage: &mut Usage,
    devices: &mut Devices,
) {
    let pciback = match pciback::is_registered(host) {
        true => Pciback::IsThere,
        false => Pciback::IsNotThere,
    };
    plan::make(
        host,
        request,
        usage,
        devices,
        Extent::Requested,
        &mut |host, device| {
            if device.action == Action::Seize {
                hold(host, device, pciback);
            }
        },
    );
}

/// Holds a device that is to be taken.
fn hold<H: Files>(host: &mut H, device: &mut Device, pciback: Pciback) {
    let address = device.address();
    // What pciback has already may be with a guest, and is not touched.
    if pciback == Pciback::IsThere {
        device.state.driver = bus::driver(host, address).unwrap_or_default();
        if device.is_with_pciback() {
            return;
        }
    }
    let held = pciback::set_override(host, address, pciback::HOLD);
    device.note(Step::Hold, held);
    device.note_driver(bus::driver(host, address));
    if device.is_with_pciback() {
        // Seen only now: a call failed before, or pciback came in between. What it has stays.
        let given_back = pciback::set_override(host, address, pciback::NAME);
        device.note(Step::Override, given_back);
        return;
    }
    // What it is must be known before pciback gets it: a bridge takes along what is behind it.
    device.work.is_due = device.function.identity.is_some();
    device.work.previous_driver.clone_from(&device.state.driver);
}

/// Holds what pciback has and could not initialise, to have it bound once more: that may go well
/// now, and if not, there is an errno. Loaded with devices to hide, pciback keeps that errno for
/// itself.
pub fn hold_unready<H: Files>(host: &mut H, devices: &mut Devices) {
    for device in devices.iter_mut() {
        let has_it = device.is_with_pciback() && device.state.guest == Guest::None;
        if device.action != Action::Seize || !has_it || device.function.identity.is_none() {
            continue;
        }
        if pciback::has_initialised(host, device.address()) == Some(false) {
            let held = pciback::set_override(host, device.address(), pciback::HOLD);
            device.note(Step::Hold, held);
            device.work.is_due = held.is_ok();
            device.work.was_unready = held.is_ok();
        }
    }
}
