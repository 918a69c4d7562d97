//! `pciseize release`: gives devices back to dom0.

use core::ffi::CStr;

use super::{Exit, Memory, alone, check_devices, is_idle, means, selector_of, why_meaningless};
use crate::{
    device::{Action, Device, Released},
    facts::{dom0, guests},
    host::{Files, Host},
    pci::Address,
    pciback,
    plan::{self, Extent},
    put,
    release::{TIMEOUT, is_with_dom0, release_due},
    report::{Kind, Report, explain::explain},
    request::{Request, Selector, problem::At},
    text::{Escaped, Line},
};

/// Releases the functions that these selectors mean, and prints what became of each.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], words: &[&CStr]) -> Exit {
    let Memory {
        request,
        devices,
        usage,
        behind,
        ..
    } = memory;
    let is_dom0 = dom0::is_here(host);
    request.gather(host, embedded, None);
    if let Err(wrong) = check_devices(words, request) {
        wrong.tell(host);
        return Exit::Usage;
    }
    // Whoever switches the seizure off wants devices back all the same.
    request.switches.off = false;
    if is_idle(host, is_dom0, request) {
        return Exit::NotAsAsked;
    }
    let alone = alone::wait(host, TIMEOUT);
    alone.tell(host);
    if alone.is_refuted() {
        return Exit::NotAsAsked;
    }
    // Where the bus cannot be listed, each item tells of it.
    let _ = plan::survey(host, request, usage, devices, Extent::Whole);
    plan::locate(host, devices, &|_| true);
    for device in devices.iter_mut() {
        let is_ours = device.is_with_pciback()
            || pciback::has_our_override(host, device.address()) == Ok(true);
        device.work.is_due = words
            .iter()
            .any(|word| means(word, request, device, is_ours));
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
    for word in words {
        let is_meant = |device: &Device| means(word, report.request, device, true);
        if !due.clone().any(is_meant) {
            is_as_asked &= tell_unmet(host, report.request, word);
        }
    }
    Exit::of(is_as_asked)
}

/// Says that a word means nothing that is to be given back. Gives back whether that is fine, as for
/// what may mean many.
fn tell_unmet<H: Host>(host: &mut H, request: &Request, word: &CStr) -> bool {
    let mut line = Line::new();
    let selector = selector_of(word, request);
    let is_broad = selector
        .as_ref()
        .is_some_and(|broad| !broad.is_in_one_slot());
    let plain = selector.filter(Selector::is_plain);
    match plain.and_then(|plain| plain.address()) {
        Some(address) => {
            forget(host, address);
            put!(&mut line, "{}", address);
        }
        None => put!(&mut line, "{}", Escaped(word.to_bytes())),
    }
    let told = if is_broad {
        "nothing to release"
    } else {
        why_meaningless(word, request)
    };
    put!(&mut line, "  {}\n", told);
    let _ = host.print(line.bytes());
    is_broad
}

/// Has pciback no longer wait for a device that is not there.
fn forget<H: Files>(host: &mut H, address: Address) {
    let _ = host.write(b"/sys/bus/pci/drivers/pciback/remove_slot", &address.text());
}

/// What became of a device.
fn row(report: &Report, device: &Device) -> Line {
    let mut line = Line::new();
    put!(&mut line, "{}  ", device.address());
    let is_with_dom0 = is_with_dom0(device);
    let is_nothing = device.work.released == Released::Nothing;
    if is_nothing {
        put!(&mut line, "nothing to release: ");
    }
    if is_with_dom0 {
        let before = if is_nothing { "" } else { "released: " };
        let driver = Escaped(&device.state.driver);
        put!(&mut line, "{}driver {} has it", before, driver);
    } else if device.is_with_pciback() {
        put!(&mut line, "not released: pciback has it");
    } else if is_nothing {
        put!(&mut line, "no driver has it");
    } else {
        put!(&mut line, "free: no driver took it");
    }
    explain(report, device, &mut line);
    if device.work.released == Released::WithoutXl && !device.is_with_pciback() {
        put!(
            &mut line,
            "; no xl was found, so Xen may still have it in quarantine: if it does not work in \
             dom0, type 'xl pci-assignable-remove {}'",
            device.address()
        );
    }
    if is_with_dom0
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::Wish,
        host::testing::{boxed, text},
        pci::bus::DriverName,
    };

    #[test]
    fn says_what_became_of_a_device() {
        let xl = "; no xl was found, so Xen may still have it in quarantine: if it does not work \
                  in dom0, type 'xl pci-assignable-remove 0000:03:00.0'";
        for (driver, released, told, hint) in [
            (
                "e1000e",
                Released::GivenBack,
                "released: driver e1000e has it",
                "",
            ),
            (
                "e1000e",
                Released::WithoutXl,
                "released: driver e1000e has it",
                xl,
            ),
            ("", Released::WithoutXl, "free: no driver took it", xl),
            (
                "pciback",
                Released::WithoutXl,
                "not released: pciback has it",
                "",
            ),
            (
                "e1000e",
                Released::Nothing,
                "nothing to release: driver e1000e has it",
                "",
            ),
            (
                "",
                Released::Nothing,
                "nothing to release: no driver has it",
                "",
            ),
        ] {
            let wish = Wish {
                item: None,
                is_by_address: false,
            };
            let address = Address::parse(b"03:00.0").expect("an address");
            let mut device = Device::new(address, wish, Action::Unasked);
            device.state.driver = DriverName::from_slice(driver.as_bytes()).expect("room");
            device.work.released = released;
            let memory = boxed(Memory::new);
            let row = row(&memory.report(Kind::List, true), &device);
            let expected = std::format!("0000:03:00.0  {told}{hint}\n");
            assert_eq!(text(row.bytes()), expected);
        }
    }

    extern crate std;
}
