//! The proof: who has each device now, whatever the writes said.

use super::{has_our_override, initialised, is_pciback, progress::Stage};
use crate::{
    device::{Device, Devices, Outcome, Step},
    guests::Guest,
    host::{Errno, Host},
    pci::bus,
    plan::Action,
};

/// Finds out what became of every device.
pub fn everything<H: Host>(host: &mut H, devices: &mut Devices) {
    for device in devices.iter_mut() {
        device.outcome = outcome(host, device);
    }
}

fn outcome<H: Host>(host: &mut H, device: &mut Device) -> Outcome {
    if !device.is_there {
        return Outcome::Absent;
    }
    let read = bus::driver(host, device.address, &mut device.driver);
    device.note(Step::Driver, read);
    match device.action {
        Action::Seize | Action::Leave | Action::Unasked => {}
        Action::Keep(_) => return Outcome::Kept,
        Action::RefuseBridge | Action::RefuseDomain | Action::RefuseBoot | Action::RefuseInUse => return Outcome::Refused,
        Action::Mismatch => return Outcome::Mismatch,
        Action::Absent | Action::Expect => return Outcome::Absent,
    }
    if read.is_err() {
        // Not knowing is not having.
        return Outcome::Lost;
    }
    if device.driver.is_empty() {
        unclaimed(host, device)
    } else if !is_pciback(&device.driver) {
        Outcome::Lost
    } else if matches!(device.guest, Guest::Domain(_)) {
        Outcome::Assigned
    } else if device.bound || initialised(host, device.address).unwrap_or(was_seized(device)) {
        Outcome::Seized
    } else {
        Outcome::Unready
    }
}

/// What a device without a driver is: by its override, which keeps dom0's drivers away or does not.
fn unclaimed<H: Host>(host: &mut H, device: &mut Device) -> Outcome {
    // The link goes as the unbind begins: a driver that did not come to the end of it may still work the device.
    if device.stuck_at == Stage::Release {
        core::mem::swap(&mut device.driver, &mut device.origin);
        return Outcome::Lost;
    }
    if device.is_held {
        return Outcome::Held;
    }
    // What is stuck may have locked the device: Linux up to 6.11 does that to show the override too (drivers/pci/pci-sysfs.c, driver_override_show).
    if device.stuck_at != Stage::Idle {
        return Outcome::Exposed;
    }
    match has_our_override(host, device.address) {
        Ok(true) => Outcome::Held,
        // Every function has that attribute: this one went away.
        Err(Errno::ENOENT) => Outcome::Absent,
        _ => Outcome::Exposed,
    }
}

/// Whether an earlier run of this boot bound the device, and pciback has had it since.
fn was_seized(device: &Device) -> bool {
    !device.is_pending && device.first_outcome == Some(Outcome::Seized)
}
