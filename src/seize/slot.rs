//! A slot: its devices are released and bound in the order of their functions, while others are
//! worked on elsewhere.
//!
//! The override becomes `pciback` only when that is there. Written first, it would have the module
//! bind and reset all devices as it is loaded, one after another, and swallow their errors
//! (`pci_stub.c`, `pcistub_init_devices_late`). Bound through `bind`, a device is initialised in
//! that very write, and the real errno comes back (Linux 6.1).

use super::board::{Progress, Stage};
use crate::{
    device::{Device, Devices, Guest, Step},
    host::{Errno, Files, Task, Turn, Workers},
    pci::bus,
    pciback::{self, Answer},
    put,
    text::Line,
};

/// Where a device begins. [`Stage::Idle`]: nothing is to be done for it.
pub fn first_stage(device: &Device) -> Stage {
    if device.work.is_due {
        let must_let_go = device.work.was_unready || !device.work.previous_driver.is_empty();
        return if must_let_go {
            Stage::Release
        } else {
            Stage::Await
        };
    }
    let is_free = device.is_with_pciback() && device.state.guest == Guest::None;
    if is_free && !device.wish.is_by_address {
        Stage::Unlist
    } else {
        Stage::Idle
    }
}

/// Takes the slot of a device one step further. `first` is the first device of the slot that has
/// something to do.
pub fn advance<H: Files + Workers>(host: &mut H, devices: &Devices, first: Task) -> Turn {
    let Some(Next {
        task,
        device,
        progress,
    }) = find_next(host, devices, first)
    else {
        return Turn::Done;
    };
    if progress.stage == Stage::Await && host.signalled() == 0 {
        return Turn::Wait;
    }
    let progress = do_stage(host, device, progress);
    host.post(task, progress.to_bits());
    Turn::Again
}

/// The device of a slot that comes next.
struct Next<'d> {
    task: Task,
    device: &'d Device,
    progress: Progress,
}

/// Looks for the device of a slot that has not come as far as the others, of several the first.
fn find_next<'d, H: Workers>(host: &mut H, devices: &'d Devices, first: Task) -> Option<Next<'d>> {
    let slot = devices.get(first)?.address().slot();
    let functions = devices.iter().enumerate().skip(first);
    functions
        .take_while(|(_, device)| device.address().slot() == slot)
        .map(|(task, device)| Next {
            task,
            device,
            progress: Progress::from_bits(host.posted(task)),
        })
        .filter(|next| next.progress.is_open())
        .min_by_key(|next| next.progress.stage)
}

/// Does what comes next for a device.
fn do_stage<H: Files + Workers>(host: &mut H, device: &Device, progress: Progress) -> Progress {
    let address = device.address();
    match progress.stage {
        Stage::Idle | Stage::Done => progress,
        Stage::Release => release(host, device, progress),
        Stage::Await => progress.on(Stage::Override),
        Stage::Override => {
            let result = pciback::set_override(host, address, pciback::NAME);
            let is_ready = Answer::from_bits(host.signalled()).is_ready();
            let may_bind = result.is_ok() && is_ready;
            let next = if may_bind { Stage::Bind } else { Stage::Check };
            progress.after(Step::Override, result, next)
        }
        Stage::Bind => bind(host, device, progress),
        Stage::Unlist => unlist(host, device, progress),
        Stage::Check => {
            let is_held = pciback::has_our_override(host, address) == Ok(true);
            Progress {
                is_held,
                ..progress
            }
            .on(Stage::Done)
        }
    }
}

/// Has the driver that has a device let go of it.
fn release<H: Files>(host: &mut H, device: &Device, progress: Progress) -> Progress {
    let address = device.address();
    let mut path = Line::new();
    put!(&mut path, "/sys/bus/pci/devices/{}/driver/unbind", address);
    let written = host.write(path.bytes(), address.text().bytes());
    if written.is_err() && bus::has_driver(host, address, b"") {
        // A probe that the hold defeats shows its driver for a moment. That never had the device.
        return Progress {
            had_no_driver: true,
            ..progress
        }
        .on(Stage::Await);
    }
    progress.after(Step::Unbind, written, Stage::Await)
}

/// Gives a device to pciback.
fn bind<H: Files>(host: &mut H, device: &Device, progress: Progress) -> Progress {
    let next = if device.wish.is_by_address {
        Stage::Done
    } else {
        Stage::Unlist
    };
    let written = write_address(host, device, "bind");
    let has_it = bus::has_driver(host, device.address(), pciback::NAME.as_bytes());
    match written {
        Ok(()) if has_it => Progress {
            is_bound: true,
            ..progress
        }
        .on(next),
        // Somebody else loads pciback just now, and that has taken it.
        Err(Errno::EBUSY) if has_it => progress.on(next),
        _ => progress.after(Step::Bind, written, Stage::Check),
    }
}

/// Takes the address of a device off pciback's list, where only this device is asked for.
fn unlist<H: Files>(host: &mut H, device: &Device, progress: Progress) -> Progress {
    match write_address(host, device, "remove_slot") {
        // It was not on the list.
        Err(Errno::ENOENT) => progress.on(Stage::Done),
        written => progress.after(Step::Unlist, written, Stage::Done),
    }
}

/// Writes the address of a device into an attribute of pciback.
fn write_address<H: Files>(host: &mut H, device: &Device, attribute: &str) -> Result<(), Errno> {
    let mut path = Line::new();
    put!(&mut path, "{}/{}", pciback::FOLDER, attribute);
    host.write(path.bytes(), device.address().text().bytes())
}
