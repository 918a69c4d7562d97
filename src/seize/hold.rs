//! The hold: an override that names no driver, on every device that is asked for, as soon as it is
//! found.
//!
//! From the moment the write returns no driver can begin to claim the device: `pci_match_device`
//! (`drivers/pci/pci-driver.c`) answers every driver whose name differs from the override with "no
//! match", on every path. A probe that was already running may still end well, on Linux 6.12 even
//! after the write; therefore the driver is looked up after the write, never before.

use crate::{
    device::{Action, Device, Devices, Guest, Step},
    facts::usage::Usage,
    host::Files,
    pci::{Address, bus},
    pciback,
    plan::{self, Extent},
    request::Request,
};

/// Whether pciback is there already. Then it may have devices, with a guest or not, that are not to
/// be touched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pciback {
    IsThere,
    IsNotThere,
}

/// Walks the bus and holds whatever is asked for and may be taken. `only`: at these addresses;
/// empty: wherever it is.
pub fn hold_requested<H: Files>(
    host: &mut H,
    request: &mut Request,
    usage: &mut Usage,
    devices: &mut Devices,
    only: &[Address],
) {
    let pciback = match pciback::is_registered(host) {
        true => Pciback::IsThere,
        false => Pciback::IsNotThere,
    };
    // Where the bus cannot be listed, each item tells of that.
    let _ = plan::make(
        host,
        request,
        usage,
        devices,
        Extent::Requested,
        &mut |host, device| {
            let is_meant = only.is_empty() || only.contains(&device.address());
            if device.action == Action::Seize && is_meant {
                hold(host, device, pciback);
            }
        },
    );
}

/// Holds a device that is to be taken.
fn hold<H: Files>(host: &mut H, device: &mut Device, pciback: Pciback) {
    let address = device.address();
    // What pciback has already may be with a guest, and is not touched.
    if pciback == Pciback::IsThere {
        device.state.driver = bus::driver(host, address).unwrap_or_default();
        if device.is_with_pciback() {
            return;
        }
    }
    let held = pciback::set_override(host, address, pciback::HOLD);
    device.note(Step::Hold, held);
    device.note_driver(bus::driver(host, address));
    if device.is_with_pciback() {
        // Seen only now: a call failed before, or pciback came in between. What it has stays.
        let given_back = pciback::set_override(host, address, pciback::NAME);
        device.note(Step::Override, given_back);
        return;
    }
    // What it is must be known before pciback gets it: a bridge takes along what is behind it. And
    // what could not be held stays with its driver: unbound it would be the next driver's.
    let may_be_taken = held.is_ok() || device.state.driver.is_empty();
    device.work.is_due = device.function.identity.is_some() && may_be_taken;
    if may_be_taken {
        device.work.previous_driver.clone_from(&device.state.driver);
    }
}

/// Holds what pciback has and could not initialise, to have it bound once more: that may go well
/// now, and if not, there is an errno. Loaded with devices to hide, pciback keeps that errno for
/// itself.
pub fn hold_unready<H: Files>(host: &mut H, devices: &mut Devices) {
    for device in devices.iter_mut() {
        let has_it = device.is_with_pciback() && device.state.guest == Guest::None;
        if device.action != Action::Seize || !has_it || device.function.identity.is_none() {
            continue;
        }
        if pciback::has_initialised(host, device.address()) == Some(false) {
            let held = pciback::set_override(host, device.address(), pciback::HOLD);
            device.note(Step::Hold, held);
            device.work.is_due = held.is_ok();
            device.work.was_unready = held.is_ok();
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{boxed::Box, format};

    use super::*;
    use crate::{
        device::Failure,
        host::{
            Errno,
            testing::{Machine, boxed},
        },
        request::testing::request,
    };

    const FOLDER: &str = "/sys/bus/pci/devices/0000:03:00.0";
    const LINK: &str = "link /sys/bus/pci/devices/0000:03:00.0/driver";

    /// A machine with a card that has that driver. Empty: none.
    fn machine(driver: &str) -> Machine {
        let mut host = Machine::new();
        host.function("pci0000:00/0000:03:00.0", "8086:10d3", "020000");
        if !driver.is_empty() {
            host.driver("0000:03:00.0", driver);
        }
        host
    }

    /// What is held of what these items ask for.
    fn held(host: &mut Machine, text: &str) -> Box<Devices> {
        let mut devices = boxed(Devices::new);
        let mut usage = boxed(Usage::new);
        hold_requested(host, &mut request(text), &mut usage, &mut devices, &[]);
        devices
    }

    #[test]
    fn writes_the_override_before_it_looks_for_the_driver() {
        let mut host = machine("e1000e");
        let devices = held(&mut host, "03:00.0");
        let order = host.calls.iter();
        let order: std::vec::Vec<_> = order
            .filter(|call| call.starts_with("write") || *call == LINK)
            .collect();
        let write = format!("write {FOLDER}/driver_override pciseize");
        assert_eq!(order, [write.as_str(), LINK]);
        let work = &devices[0].work;
        assert!(work.is_due && work.failure.is_none());
        assert_eq!(work.previous_driver.as_slice(), b"e1000e");
    }

    #[test]
    fn holds_only_what_is_to_be_taken() {
        for (text, is_held) in [
            ("03:00.0", true),
            ("class:network", true),
            ("03:00.0\n!03:00.0", false),
            ("10de:1b80@03:00.0", false),
            ("class:network\n!nonsense", false),
            ("04:00.0", false),
        ] {
            let mut host = machine("e1000e");
            let devices = held(&mut host, text);
            assert_eq!(host.calls_of("write").len(), usize::from(is_held), "{text}");
            assert_eq!(devices[0].work.is_due, is_held, "{text}");
        }
    }

    #[test]
    fn leaves_alone_what_pciback_has() {
        let mut host = machine("pciback");
        let devices = held(&mut host, "03:00.0");
        assert!(host.calls_of("write").is_empty());
        assert!(!devices[0].work.is_due && devices[0].is_with_pciback());
    }

    /// pciback came between the look for it and the hold.
    #[test]
    fn gives_back_what_pciback_has_all_the_same() {
        let mut host = machine("pciback");
        host.refuse("list /sys/bus/pci/drivers/pciback", Errno::ENOENT);
        let devices = held(&mut host, "03:00.0");
        let attribute = format!("{FOLDER}/driver_override");
        let written = ["pciseize", "pciback"].map(|name| format!("{attribute} {name}"));
        assert_eq!(host.calls_of("write"), written);
        assert!(!devices[0].work.is_due);
    }

    #[test]
    fn takes_a_device_whose_hold_failed_from_no_driver() {
        for (driver, is_due) in [("e1000e", false), ("", true)] {
            let mut host = machine(driver);
            host.refuse("write", Errno::EIO);
            let devices = held(&mut host, "03:00.0");
            let failure = Failure {
                step: Step::Hold,
                errno: Errno::EIO,
            };
            let work = &devices[0].work;
            assert_eq!(work.failure, Some(failure));
            assert_eq!(work.is_due, is_due, "{driver}");
            assert!(work.previous_driver.is_empty(), "{driver} has it still");
        }
    }

    /// It may be a bridge.
    #[test]
    fn holds_but_does_not_take_what_cannot_be_read() {
        let mut host = machine("e1000e");
        host.refuse(&format!("read {FOLDER}/modalias"), Errno::EIO);
        let devices = held(&mut host, "03:00.0");
        assert_eq!(host.calls_of("write").len(), 1);
        assert!(!devices[0].work.is_due);
    }

    #[test]
    fn holds_what_pciback_could_not_initialise() {
        let listed = "0000:03:00.0:-:on:\n";
        let page = "0000:04:00.0:-:on:\n".repeat(300);
        for (list, guest, is_due) in [
            ("", Guest::None, true),
            (listed, Guest::None, false),
            (page.as_str(), Guest::None, false),
            ("", Guest::Domain(7), false),
            ("", Guest::Unknown(Errno::EIO), false),
        ] {
            let mut host = machine("pciback");
            host.file("/sys/bus/pci/drivers/pciback/irq_handlers", list);
            let mut devices = held(&mut host, "03:00.0");
            devices[0].state.guest = guest;
            hold_unready(&mut host, &mut devices);
            let work = &devices[0].work;
            assert_eq!(
                (work.is_due, work.was_unready),
                (is_due, is_due),
                "{list} {guest:?}"
            );
            assert_eq!(host.calls_of("write").len(), usize::from(is_due));
        }
    }

    #[test]
    fn leaves_an_unready_device_that_cannot_be_held() {
        let mut host = machine("pciback");
        host.file("/sys/bus/pci/drivers/pciback/irq_handlers", "");
        let mut devices = held(&mut host, "03:00.0");
        host.refuse("write", Errno::EIO);
        hold_unready(&mut host, &mut devices);
        let work = &devices[0].work;
        assert!(!work.is_due && !work.was_unready);
        assert_eq!(work.failure.map(|failure| failure.step), Some(Step::Hold));
    }
}
