//! The proof: who has each device now, whatever the writes said.

use crate::{
    device::{Action, Device, Devices, Guest, Outcome, Step},
    host::{Errno, Files},
    pci::bus,
    pciback,
};

/// Finds out what became of every device.
pub fn prove_all<H: Files>(host: &mut H, devices: &mut Devices) {
    for device in devices.iter_mut() {
        device.outcome = prove(host, device);
    }
}

fn prove<H: Files>(host: &mut H, device: &mut Device) -> Outcome {
    if !device.function.is_there {
        return Outcome::Absent;
    }
    let driver = bus::driver(host, device.address());
    let is_known = driver.is_ok();
    device.note_driver(driver);
    match device.action {
        Action::Seize | Action::Leave | Action::Unasked => {}
        Action::Keep(_) => return Outcome::Kept,
        Action::RefuseBridge | Action::RefuseDomain | Action::RefuseBoot | Action::RefuseInUse => {
            return Outcome::Refused;
        }
        Action::Mismatch => return Outcome::Mismatch,
        Action::Absent | Action::Expect => return Outcome::Absent,
    }
    if !is_known {
        // Not knowing is not having.
        return Outcome::Lost;
    }
    if device.state.driver.is_empty() {
        prove_unclaimed(host, device)
    } else if !device.is_with_pciback() {
        Outcome::Lost
    } else if matches!(device.state.guest, Guest::Domain(_)) {
        Outcome::Assigned
    } else if device.work.is_bound || is_initialised(host, device) {
        Outcome::Seized
    } else {
        Outcome::Unready
    }
}

/// What a device without a driver is: by its override, which keeps drivers away or does not.
fn prove_unclaimed<H: Files>(host: &mut H, device: &mut Device) -> Outcome {
    // The driver link disappears as the unbind begins; the old driver may still be working.
    if device.work.stuck_in == Some(Step::Unbind) {
        device.state.driver.clone_from(&device.work.previous_driver);
        return Outcome::Lost;
    }
    if device.work.is_held {
        return Outcome::Held;
    }
    // Reading the override locks the device on Linux up to 6.11 (drivers/pci/pci-sysfs.c,
    // driver_override_show), and the process that is stuck may have that lock.
    if device.work.stuck_in.is_some() {
        return Outcome::Exposed;
    }
    match pciback::has_our_override(host, device.address()) {
        Ok(true) => Outcome::Held,
        // Every function has that attribute: this one went away.
        Err(Errno::ENOENT) => Outcome::Absent,
        _ => Outcome::Exposed,
    }
}

/// Whether pciback has initialised a device. Where nobody can tell, an earlier run of this boot may
/// have bound it, and pciback has had it since.
fn is_initialised<H: Files>(host: &mut H, device: &Device) -> bool {
    let was_seized = !device.work.is_due && device.first_outcome() == Some(Outcome::Seized);
    pciback::has_initialised(host, device.address()).unwrap_or(was_seized)
}
