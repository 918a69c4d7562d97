//! `pciseize release`: gives devices back to dom0.

use core::ffi::CStr;

use super::{Exit, Memory, Usage, is_idle, survey};
use crate::{
    device::Device,
    guests,
    host::Host,
    pci::Address,
    plan::Action,
    put,
    report::{Kind, Report, row::explain},
    request::problem::At,
    seize::{self, is_pciback},
    text::{Line, Shown},
};

/// Releases the functions at these addresses, and prints what became of each.
#[inline(never)]
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], words: &[&CStr]) -> Exit {
    let Memory { request, devices, needs, .. } = memory;
    let address = |word: &CStr| Address::parse(word.to_bytes());
    if let Some(word) = words.iter().find(|word| address(word).is_err()) {
        Usage { message: "not an address", word: Some(word) }.tell(host);
        return Exit::Usage;
    }
    let is_dom0 = seize::dom0::is_here(host);
    request.gather(host, embedded, None);
    // Whoever switches the seizure off wants devices back all the same.
    request.switches.off = false;
    if is_idle(host, is_dom0, request) {
        return Exit::NotAsAsked;
    }
    survey(host, request, needs, devices, true);
    for device in devices.iter_mut() {
        device.is_pending = device.is_there && words.iter().any(|word| address(word) == Ok(device.address));
    }
    guests::look(host, devices);
    seize::release::everything(host, devices);

    let report = Report::new(Kind::List, request, devices, needs, is_dom0);
    let mut is_as_asked = true;
    for device in devices.iter().filter(|device| device.is_pending) {
        let is_released = seize::release::is_dom0s(device);
        let line = row(host, &report, device, is_released);
        is_as_asked &= host.print(line.bytes()).is_ok() && is_released;
    }
    for address in
        words.iter().filter_map(|word| address(word).ok()).filter(|address| !devices.iter().any(|device| device.is_pending && device.address == *address))
    {
        // It may be waited for.
        let _ = host.write(b"/sys/bus/pci/drivers/pciback/remove_slot", address.text().bytes());
        let mut line = Line::new();
        put!(&mut line, address, "  no such device\n");
        let _ = host.print(line.bytes());
        is_as_asked = false;
    }
    Exit::of(is_as_asked)
}

/// What became of a device.
fn row<H: Host>(host: &mut H, report: &Report, device: &Device, is_released: bool) -> Line {
    let mut line = Line::new();
    put!(&mut line, device.address, "  ");
    if is_released {
        put!(&mut line, "released: ", Shown(&device.driver), " has it");
    } else if is_pciback(&device.driver) {
        put!(&mut line, "not released: pciback has it");
    } else {
        put!(&mut line, "free: no driver took it");
    }
    explain(host, report, device, &mut line);
    if let Some(item) = device.item(report.request).filter(|_| is_released && device.action == Action::Seize) {
        put!(&mut line, "; still asked for: ", At(report.request, item.origin));
    }
    put!(&mut line, "\n");
    line
}
