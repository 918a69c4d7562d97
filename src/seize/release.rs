//! The release of old drivers: one that had a device before the hold lets go of it now.

use super::write_address;
use crate::{
    device::{Device, Devices, Step},
    host::{Errno, Host},
    pci::bus,
};

/// Unbinds every device that a driver had when it was held. The hold keeps the driver from coming back.
pub fn old_drivers<H: Host>(host: &mut H, devices: &mut Devices) {
    for device in devices.iter_mut().filter(|device| device.is_pending && !device.origin.is_empty()) {
        let unbound = unbind(host, device);
        // A probe that the hold defeats shows its driver for a moment, which then never had the device.
        let gone = unbound.is_err() && bus::driver(host, device.address, &mut device.driver).is_ok() && device.driver.is_empty();
        if gone {
            device.origin.clear();
        } else {
            device.note(Step::Unbind, unbound);
        }
    }
}

fn unbind<H: Host>(host: &mut H, device: &Device) -> Result<(), Errno> {
    write_address(host, bus::attribute(device.address, "/driver/unbind").bytes(), device.address)
}
