//! The binding: each held device is given to pciback.
//!
//! The override becomes `pciback` only now, device by device: had it been written first, loading the module would itself have bound and reset all of them, one after another, and swallowed their errors
//! (`pci_stub.c`, `pcistub_init_devices_late`). Bound through `bind`, a device is initialised in that very write, and the real errno comes back (Linux 6.1).

use super::{PCIBACK, set_override, write_address};
use crate::{
    device::{Devices, Step},
    host::Host,
};

/// Gives every device that is wanted to pciback. Where that is not there (`is_registered`), only the overrides change, so that a later `modprobe xen-pciback` seizes them.
pub fn everything<H: Host>(host: &mut H, devices: &mut Devices, is_registered: bool) {
    for device in devices.iter_mut().filter(|device| device.is_pending) {
        let overridden = set_override(host, device.address, PCIBACK);
        device.note(Step::Override, overridden);
        if is_registered && overridden.is_ok() {
            let bound = write_address(host, b"/sys/bus/pci/drivers/pciback/bind", device.address);
            device.bound = bound.is_ok();
            device.note(Step::Bind, bound);
        }
    }
}
