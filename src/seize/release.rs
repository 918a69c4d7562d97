//! The way back: a device is taken from pciback and offered to dom0's drivers.
//!
//! The override goes first: as long as it names pciback, or nobody, no driver of dom0's takes the device. Then its address leaves pciback's list, or pciback would take it again at once. That the driver has it in the
//! end is read from its link.

use super::{PCIBACK, PCIBACK_FOLDER, has_our_override, is_pciback, module::modprobe, set_override};
use crate::{
    device::{Device, Devices, Failure, Step},
    guests::Guest,
    host::{Errno, Host, Turn},
    pci::{bus, identity::MODALIAS_SIZE},
    put,
    text::Line,
};

/// How long a step may take, in seconds: an unbind resets the device.
const TIMEOUT: u32 = 30;

/// What is noted of a device: the step that is being done, from 1 on, in the lowest 8 bits; above them, where one has failed, its number and 16 bits of errno.
const STEP: u32 = 0xff;

/// What is noted when all is done.
const DONE: u32 = 0x80;

/// Releases the devices, each in a process of its own, and reads who has them then.
pub fn everything<H: Host>(host: &mut H, devices: &mut Devices) {
    // Nobody waits for anything else.
    host.note(0, 1);
    let mut number = 0;
    let mut tasks = || {
        while let Some(device) = devices.get(number) {
            number += 1;
            if is_ours(device) {
                return Some(number - 1);
            }
        }
        None
    };
    host.side_by_side(&mut tasks, TIMEOUT, &|host, task| {
        if let Some(device) = devices.get(task) {
            release(host, device, 1 + task);
        }
        Turn::Done
    });
    for (number, device) in devices.iter_mut().enumerate().filter(|(_, device)| device.is_pending) {
        let noted = host.noted(1 + number);
        if noted > STEP {
            device.failure = Some(Failure { step: (noted >> 8) as u8, errno: Errno((noted >> 16) as i32) });
        } else if noted != DONE && noted != 0 {
            // What comes back after this has nothing more to do: a guest may have the device by then.
            host.note(1 + number, DONE);
            device.failure = Some(Failure { step: noted as u8, errno: Errno::STUCK });
        }
        let read = bus::driver(host, device.address, &mut device.driver);
        device.note(Step::Driver, read);
    }
}

/// Whether a device is one to release: no guest has it.
fn is_ours(device: &Device) -> bool {
    device.is_pending && device.guest == Guest::None
}

/// Releases one device, and notes at `place` how far that has come.
fn release<H: Host>(host: &mut H, device: &Device, place: usize) {
    let address = device.address;
    let name = address.text();
    // Dom0 has it, and an override may be left that would keep the next driver away.
    if !device.driver.is_empty() && !is_pciback(&device.driver) {
        if has_our_override(host, address) == Ok(true) {
            let _ = set_override(host, address, "\n");
        }
        return;
    }
    // A device that a guest has had Xen keeps in quarantine: with a domain that is none (`libxl_pci.c`, `pciback_dev_unassign`). Only xl can end that. Without, dom0's driver would have the device, and the device no
    // memory. It says no where there is nothing to end.
    if is_pciback(&device.driver) {
        host.note(place, Step::Unquarantine as u32);
        let _ = host.run(b"/usr/sbin/xl", b"pci-assignable-remove", name.bytes());
        if host.noted(place) == DONE {
            return;
        }
    }
    let has_it = bus::has_driver(host, address, PCIBACK.as_bytes());
    for step in [Step::Clear, Step::Unlist, Step::Unbind, Step::Offer] {
        let mut path = Line::new();
        match step {
            Step::Unlist => put!(&mut path, PCIBACK_FOLDER, "/remove_slot"),
            Step::Unbind => put!(&mut path, PCIBACK_FOLDER, "/unbind"),
            Step::Offer => put!(&mut path, "/sys/bus/pci/drivers_probe"),
            _ => put!(&mut path, "/sys/bus/pci/devices/", address, "/driver_override"),
        }
        if step == Step::Unbind && !has_it {
            continue;
        }
        host.note(place, step as u32);
        let text = if step == Step::Clear { b"\n" } else { name.bytes() };
        match (step, host.write(path.bytes(), text)) {
            // It was not on the list, or there is no pciback.
            (Step::Unlist, Err(Errno::ENOENT)) | (_, Ok(())) => {}
            (_, Err(errno)) => return host.note(place, (step as u32) << 8 | (errno.0 as u32) << 16),
        }
    }
    // Its driver may never have been loaded: pciback was there first.
    let mut buffer = [0; MODALIAS_SIZE];
    if bus::has_driver(host, address, b"")
        && let Ok(modalias) = host.read(&bus::attribute(address, "/modalias"), 0, &mut buffer)
    {
        host.note(place, Step::Offer as u32);
        modprobe(host, modalias.trim_ascii_end());
    }
    host.note(place, DONE);
}

/// Whether dom0 has the device again.
pub fn is_dom0s(device: &Device) -> bool {
    !device.driver.is_empty() && !is_pciback(&device.driver)
}
