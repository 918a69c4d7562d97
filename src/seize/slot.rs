//! A slot: its devices are released and bound in the order of their functions, while others are worked on elsewhere.
//!
//! The override becomes `pciback` only when that is there: had it been written first, loading the module would itself have bound and reset all devices, one after another, and swallowed their errors
//! (`pci_stub.c`, `pcistub_init_devices_late`). Bound through `bind`, a device is initialised in that very write, and the real errno comes back (Linux 6.1).

use super::{
    PCIBACK, PCIBACK_FOLDER, has_our_override, is_pciback,
    module::Answer,
    progress::{Progress, Stage},
    set_override,
};
use crate::{
    device::{DEVICES, Device, Devices, Step},
    guests::Guest,
    host::{Errno, Host, Turn},
    pci::bus,
    put,
    text::Line,
};

/// Where a device begins. [`Stage::Idle`]: nothing is to be done for it.
#[inline(never)]
pub fn first_stage(device: &Device) -> Stage {
    if device.is_pending {
        if device.is_unready || !device.origin.is_empty() { Stage::Release } else { Stage::Await }
    } else if is_pciback(&device.driver) && !device.stays_listed && device.guest == Guest::None {
        Stage::Unlist
    } else {
        Stage::Idle
    }
}

/// Takes the slot of the device with that number one step further: the function that has not come as far as the others, of several the first.
pub fn turn<H: Host>(host: &mut H, devices: &Devices, first: usize) -> Turn {
    let slot = |number: usize| devices.get(number).map(|device| device.address.slot());
    let (mut place, mut progress) = (0, Progress::at(Stage::Done));
    let mut number = first;
    while slot(number) == slot(first) && number < DEVICES {
        number += 1;
        let other = Progress(host.noted(number));
        if other.is_open() && other.is_behind(progress) {
            (place, progress) = (number, other);
        }
    }
    let Some(device) = devices.get(place.wrapping_sub(1)) else { return Turn::Done };
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
    let stage = progress.stage();
    let mut path = Line::new();
    let (step, next) = match stage {
        Stage::Await => return progress.on(Stage::Override),
        Stage::Override => {
            let next = if Answer(host.noted(0)).is_ready() { Stage::Bind } else { Stage::Check };
            return progress.after(Step::Override, set_override(host, address, PCIBACK), next, Stage::Check);
        }
        Stage::Check => return if has_our_override(host, address) == Ok(true) { progress.held() } else { progress }.on(Stage::Done),
        Stage::Release => {
            put!(&mut path, "/sys/bus/pci/devices/", address, "/driver/unbind");
            (Step::Unbind, Stage::Await)
        }
        Stage::Bind => {
            put!(&mut path, PCIBACK_FOLDER, "/bind");
            (Step::Bind, if device.stays_listed { Stage::Done } else { Stage::Unlist })
        }
        _ => {
            put!(&mut path, PCIBACK_FOLDER, "/remove_slot");
            (Step::Unlist, Stage::Done)
        }
    };
    let written = host.write(path.bytes(), address.text().bytes());
    // What a driver did not let go of, and what pciback did not take, is left to the one who has it now.
    let has = if stage == Stage::Bind { PCIBACK } else { "" };
    let is_so = stage != Stage::Unlist && bus::has_driver(host, address, has.as_bytes());
    match (stage, written) {
        (Stage::Bind, Ok(())) if is_so => progress.bound().on(next),
        // Somebody else loads pciback just now, and that has taken it.
        (Stage::Bind, Err(Errno::EBUSY)) if is_so => progress.on(next),
        // A probe that the hold defeats shows its driver for a moment, which then never had the device.
        (Stage::Release, Err(_)) if is_so => progress.never_had().on(next),
        (Stage::Release, _) => progress.after(step, written, next, next),
        // It was not on the list.
        (Stage::Unlist, Err(Errno::ENOENT)) => progress.on(next),
        (Stage::Unlist, _) => progress.after(step, written, next, next),
        _ => progress.after(step, written, Stage::Check, Stage::Check),
    }
}
