//! `pciseize release`: gives devices back to dom0.

use core::ffi::CStr;

use super::{
    Exit, Memory, WrongUsage,
    alone::{self, Alone},
    is_idle,
};
use crate::{
    device::{Action, Device},
    facts::{dom0, guests},
    host::{Files, Host},
    pci::Address,
    plan::{self, Extent},
    put,
    release::{TIMEOUT, is_with_dom0, release_due},
    report::{Kind, Report, explain::explain},
    request::problem::At,
    text::{Escaped, Line},
};

/// Releases the functions at these addresses, and prints what became of each.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], words: &[&CStr]) -> Exit {
    let Memory {
        request,
        devices,
        usage,
        behind,
        ..
    } = memory;
    let address = |word: &CStr| Address::parse(word.to_bytes());
    if let Some(word) = words.iter().find(|word| address(word).is_err()) {
        WrongUsage::not_an_address(word).tell(host);
        return Exit::Usage;
    }
    let is_dom0 = dom0::is_here(host);
    request.gather(host, embedded, None);
    // Whoever switches the seizure off wants devices back all the same.
    request.switches.off = false;
    if is_idle(host, is_dom0, request) {
        return Exit::NotAsAsked;
    }
    if alone::wait(host, TIMEOUT) == Alone::No {
        return Exit::NotAsAsked;
    }
    plan::survey(host, request, usage, devices, Extent::Whole);
    for device in devices.iter_mut() {
        let is_named = words
            .iter()
            .any(|word| address(word) == Ok(device.address()));
        device.work.is_due = device.function.is_there && is_named;
    }
    guests::look(host, devices);
    release_due(host, devices);
    behind.look(host, devices);

    let report = memory.report(Kind::List, is_dom0);
    let due = report.devices.iter().filter(|device| device.work.is_due);
    let mut is_as_asked = true;
    for device in due.clone() {
        is_as_asked &= host.print(row(&report, device).bytes()).is_ok() && is_with_dom0(device);
    }
    for address in words.iter().filter_map(|word| address(word).ok()) {
        if !due.clone().any(|device| device.address() == address) {
            forget(host, address);
            let mut line = Line::new();
            put!(&mut line, "{}  no such device\n", address);
            let _ = host.print(line.bytes());
            is_as_asked = false;
        }
    }
    Exit::of(is_as_asked)
}

/// Has pciback no longer wait for a device that is not there.
fn forget<H: Files>(host: &mut H, address: Address) {
    let slot = address.text();
    let _ = host.write(b"/sys/bus/pci/drivers/pciback/remove_slot", slot.bytes());
}

/// What became of a device.
fn row(report: &Report, device: &Device) -> Line {
    let mut line = Line::new();
    put!(&mut line, "{}  ", device.address());
    let is_released = is_with_dom0(device);
    if is_released {
        put!(
            &mut line,
            "released: driver {} has it",
            Escaped(&device.state.driver)
        );
    } else if device.is_with_pciback() {
        put!(&mut line, "not released: pciback has it");
    } else {
        put!(&mut line, "free: no driver took it");
    }
    explain(report, device, &mut line);
    if is_released
        && device.action == Action::Seize
        && let Some(item) = device.item(report.request)
    {
        put!(
            &mut line,
            "; still asked for at {}",
            At(report.request, item.origin)
        );
    }
    put!(&mut line, "\n");
    line
}
