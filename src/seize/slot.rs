//! A slot: its devices are released and bound in the order of their functions, while others are worked on elsewhere.
//!
//! The override becomes `pciback` only when that is there: had it been written first, loading the module would itself have bound and reset all devices, one after another, and swallowed their errors
//! (`pci_stub.c`, `pcistub_init_devices_late`). Bound through `bind`, a device is initialised in that very write, and the real errno comes back (Linux 6.1).

use super::{
    PCIBACK, initialised, module,
    progress::{Progress, Stage},
    set_override, write_address,
};
use crate::{
    device::{Device, Devices, Step},
    host::{Errno, Host, Turn},
    pci::bus,
};

/// The attribute that has a driver let go of the device that it has.
const UNBIND: &str = "/driver/unbind";

/// Where a device begins. [`Stage::Idle`]: nothing is to be done for it.
pub fn first_stage(device: &Device) -> Stage {
    if device.is_pending {
        if device.is_unready || !device.origin.is_empty() { Stage::Release } else { Stage::Await }
    } else if device.driver == PCIBACK.as_bytes() && !device.stays_listed {
        Stage::Unlist
    } else {
        Stage::Idle
    }
}

/// Takes the slot of the device with that number one step further: the function that has not come as far as the others, of several the first.
pub fn turn<H: Host>(host: &mut H, devices: &Devices, first: usize) -> Turn {
    let slot = devices.get(first).map(|device| device.address.slot());
    let mut next: Option<(usize, &Device, Progress)> = None;
    for (number, device) in devices.iter().enumerate().skip(first) {
        if Some(device.address.slot()) != slot {
            break;
        }
        let progress = Progress(host.noted(1 + number));
        if progress.is_open() && next.is_none_or(|(_, _, least)| progress.stage() < least.stage()) {
            next = Some((1 + number, device, progress));
        }
    }
    let Some((place, device, progress)) = next else { return Turn::Done };
    if progress.stage() == Stage::Await && host.noted(0) == 0 {
        return Turn::Wait;
    }
    // Whoever reads this later knows what has not come back.
    host.note(place, progress.begun().0);
    let progress = step(host, device, progress);
    host.note(place, progress.0);
    Turn::Again
}

/// Does what comes next for a device.
fn step<H: Host>(host: &mut H, device: &Device, progress: Progress) -> Progress {
    let address = device.address;
    let last = if device.stays_listed { Stage::Done } else { Stage::Unlist };
    match progress.stage() {
        Stage::Release => {
            let progress = progress.on(Stage::Await);
            match write_address(host, bus::attribute(address, UNBIND).bytes(), address) {
                Ok(()) => progress,
                // A probe that the hold defeats shows its driver for a moment, which then never had the device.
                Err(_) if bus::has_driver(host, address, b"") => progress.never_had(),
                Err(errno) => progress.failed(Step::Unbind, errno),
            }
        }
        Stage::Await => progress.on(Stage::Override),
        Stage::Override => match set_override(host, address, PCIBACK) {
            Ok(()) => progress.on(if module::is_ready(host.noted(0)) { Stage::Bind } else { Stage::Done }),
            Err(errno) => progress.failed(Step::Override, errno).on(Stage::Done),
        },
        stage @ (Stage::Bind | Stage::Rebind) => match write_address(host, b"/sys/bus/pci/drivers/pciback/bind", address) {
            Ok(()) => progress.bound().on(last),
            // Somebody else loads pciback just now, and that has taken it.
            Err(Errno::EBUSY) if stage == Stage::Bind && bus::has_driver(host, address, PCIBACK.as_bytes()) => progress.on(Stage::Look),
            Err(errno) => progress.failed(Step::Bind, errno).on(Stage::Done),
        },
        Stage::Look if initialised(host, address) == Some(false) => match write_address(host, bus::attribute(address, UNBIND).bytes(), address) {
            Ok(()) => progress.on(Stage::Rebind),
            Err(errno) => progress.failed(Step::Unbind, errno).on(Stage::Done),
        },
        Stage::Look => progress.on(last),
        _ => match write_address(host, b"/sys/bus/pci/drivers/pciback/remove_slot", address) {
            // It was not on the list.
            Ok(()) | Err(Errno::ENOENT) => progress.on(Stage::Done),
            Err(errno) => progress.failed(Step::Unlist, errno).on(Stage::Done),
        },
    }
}
