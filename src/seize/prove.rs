//! The proof: who has each device now, whatever the writes said.

use crate::{
    device::{Action, Device, Devices, Guest, Outcome, Step},
    host::{Errno, Files},
    pci::bus,
    pciback,
};

/// Finds out what became of every device.
pub fn prove_all<H: Files>(host: &mut H, devices: &mut Devices) {
    for device in devices.iter_mut() {
        device.outcome = prove(host, device);
    }
}

/// Finds out what became of a device.
pub fn prove<H: Files>(host: &mut H, device: &mut Device) -> Outcome {
    if !device.function.is_there {
        return match device.action {
            Action::RefuseDomain => Outcome::Refused,
            // Its driver is unknown: it may be there.
            Action::LeaveUnlisted => Outcome::Lost,
            _ => Outcome::Absent,
        };
    }
    let driver = bus::driver(host, device.address());
    let is_known = driver.is_ok();
    device.note_driver(driver);
    match device.action {
        Action::Seize
        | Action::Leave
        | Action::LeaveUnread
        | Action::LeaveBoot
        | Action::LeaveStorage
        | Action::LeaveOff
        | Action::LeaveUnlisted
        | Action::Unasked => {}
        Action::Keep(_) => return Outcome::Kept,
        Action::RefuseBridge
        | Action::RefuseDomain
        | Action::RefuseBoot
        | Action::RefuseInUse
        | Action::LeaveNeeded => return Outcome::Refused,
        Action::Mismatch => return Outcome::Mismatch,
        Action::Absent | Action::Expect => return Outcome::Absent,
    }
    if !is_known {
        // The driver is unknown: claim no success.
        return Outcome::Lost;
    }
    if device.state.driver.is_empty() {
        prove_unclaimed(host, device)
    } else if !device.is_with_pciback() {
        Outcome::Lost
    } else if matches!(device.state.guest, Guest::Domain(_)) {
        Outcome::Assigned
    } else if device.work.is_bound || is_initialised(host, device) {
        Outcome::Seized
    } else {
        Outcome::Unready
    }
}

/// What a device without a driver is: by its override, which keeps drivers away or does not.
fn prove_unclaimed<H: Files>(host: &mut H, device: &mut Device) -> Outcome {
    // The driver link disappears as the unbind begins; the old driver may still be working.
    if device.work.stuck_in == Some(Step::Unbind) {
        // It was not taken from that driver, which has it still.
        device.state.driver = core::mem::take(&mut device.work.previous_driver);
        return Outcome::Lost;
    }
    if device.work.is_held {
        return Outcome::Held;
    }
    // Reading the override locks the device on Linux up to 6.11 (drivers/pci/pci-sysfs.c,
    // driver_override_show), and the process that is stuck may have that lock.
    if device.work.stuck_in.is_some() {
        return Outcome::Exposed;
    }
    match pciback::has_our_override(host, device.address()) {
        Ok(true) => Outcome::Held,
        // The function went away, or the kernel has no overrides.
        Err(Errno::ENOENT) if !bus::is_there(host, device.address()) => Outcome::Absent,
        _ => Outcome::Exposed,
    }
}

/// Whether pciback has a device for a guest to take, but is not known to have initialised it.
pub fn is_unready<H: Files>(host: &mut H, device: &Device) -> bool {
    let is_lent = matches!(device.state.guest, Guest::Domain(_));
    device.is_with_pciback() && !is_lent && !is_initialised(host, device)
}

/// Whether pciback has initialised a device. Where nobody can tell, an earlier run of this boot may
/// have bound it, and pciback has had it since.
fn is_initialised<H: Files>(host: &mut H, device: &Device) -> bool {
    let was_seized = !device.work.is_due && device.first_outcome() == Some(Outcome::Seized);
    pciback::has_initialised(host, device.address()).unwrap_or(was_seized)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{FirstRun, Wish},
        host::testing::{Machine, boxed},
        pci::{Address, bus::DriverName},
    };

    const ATTRIBUTE: &str = "/sys/bus/pci/devices/0000:03:00.0/driver_override";
    const LINK: &str = "link /sys/bus/pci/devices/0000:03:00.0/driver";
    const HANDLERS: &str = "/sys/bus/pci/drivers/pciback/irq_handlers";

    fn device(action: Action) -> Device {
        let wish = Wish {
            item: Some(0),
            is_by_address: true,
        };
        let address = Address::parse(b"03:00.0").expect("an address");
        Device::new(address, wish, action)
    }

    /// A machine with the device, which has that driver. Empty: none.
    fn machine(driver: &str) -> Machine {
        let mut host = Machine::new();
        host.function("pci0000:00/0000:03:00.0", "8086:10d3", "020000");
        if !driver.is_empty() {
            host.driver("0000:03:00.0", driver);
        }
        host
    }

    #[test]
    fn proves_what_is_not_taken_by_its_action() {
        for (action, outcome) in [
            (Action::Keep(0), Outcome::Kept),
            (Action::RefuseBridge, Outcome::Refused),
            (Action::RefuseDomain, Outcome::Refused),
            (Action::RefuseBoot, Outcome::Refused),
            (Action::RefuseInUse, Outcome::Refused),
            (Action::Mismatch, Outcome::Mismatch),
            (Action::Absent, Outcome::Absent),
            (Action::Expect, Outcome::Absent),
            (Action::Leave, Outcome::Lost),
            (Action::LeaveStorage, Outcome::Lost),
            (Action::Seize, Outcome::Lost),
        ] {
            let mut device = device(action);
            assert_eq!(
                prove(&mut machine("e1000e"), &mut device),
                outcome,
                "{action:?}"
            );
            assert_eq!(device.state.driver.as_slice(), b"e1000e");
        }
    }

    #[test]
    fn proves_nothing_of_what_is_not_there() {
        let mut device = device(Action::Absent);
        device.function.is_there = false;
        let mut host = machine("pciback");
        assert_eq!(prove(&mut host, &mut device), Outcome::Absent);
        assert!(host.calls.is_empty(), "nobody looks for a driver");
    }

    #[test]
    fn loses_what_nobody_can_look_at() {
        let mut host = machine("pciback");
        host.refuse(LINK, Errno::EACCES);
        let mut device = device(Action::Seize);
        assert_eq!(prove(&mut host, &mut device), Outcome::Lost);
        assert_eq!(
            device.work.failure.map(|failure| failure.step),
            Some(Step::Driver)
        );
    }

    #[test]
    fn proves_what_no_driver_has_by_its_override() {
        for (text, outcome) in [
            ("pciseize\n", Outcome::Held),
            ("pciback\n", Outcome::Held),
            ("(null)\n", Outcome::Exposed),
            ("vfio-pci\n", Outcome::Exposed),
        ] {
            let mut host = machine("");
            host.file(ATTRIBUTE, text);
            assert_eq!(
                prove(&mut host, &mut device(Action::Seize)),
                outcome,
                "{text}"
            );
        }
        let attribute = "read /sys/bus/pci/devices/0000:03:00.0/driver_override";
        for (refused, errno, outcome) in [
            ("read", Errno::ENOENT, Outcome::Absent),
            // Linux before 3.16.
            (attribute, Errno::ENOENT, Outcome::Exposed),
            ("read", Errno::EIO, Outcome::Exposed),
        ] {
            let mut host = machine("");
            host.refuse(refused, errno);
            assert_eq!(
                prove(&mut host, &mut device(Action::Seize)),
                outcome,
                "{refused} {errno:?}"
            );
        }
    }

    #[test]
    fn believes_what_the_seizure_knows_of_a_hold() {
        for (is_held, stuck_in, outcome, driver) in [
            (true, None, Outcome::Held, ""),
            (true, Some(Step::Bind), Outcome::Held, ""),
            (false, Some(Step::Bind), Outcome::Exposed, ""),
            // The old driver may still be working.
            (true, Some(Step::Unbind), Outcome::Lost, "e1000e"),
        ] {
            let mut host = machine("");
            let mut device = device(Action::Seize);
            device.work.is_held = is_held;
            device.work.stuck_in = stuck_in;
            device.work.previous_driver = DriverName::from_slice(b"e1000e").expect("room");
            assert_eq!(
                prove(&mut host, &mut device),
                outcome,
                "{is_held} {stuck_in:?}"
            );
            assert_eq!(device.state.driver.as_slice(), driver.as_bytes());
            // A read of the override would wait for whoever is stuck.
            assert!(host.calls_of("read").is_empty());
        }
    }

    #[test]
    fn proves_what_pciback_has() {
        let listed = Some("0000:03:00.0:-:on:\n");
        let first = |outcome| {
            Some(FirstRun {
                outcome: Some(outcome),
                latest: None,
                failure: None,
                origin: DriverName::new(),
            })
        };
        for (guest, is_bound, is_due, list, first_run, outcome) in [
            (
                Guest::Domain(7),
                false,
                false,
                Some(""),
                None,
                Outcome::Assigned,
            ),
            (Guest::None, true, true, Some(""), None, Outcome::Seized),
            (Guest::None, false, false, listed, None, Outcome::Seized),
            (
                Guest::Unknown(Errno::EIO),
                false,
                false,
                listed,
                None,
                Outcome::Seized,
            ),
            (
                Guest::None,
                false,
                false,
                Some(""),
                first(Outcome::Seized),
                Outcome::Unready,
            ),
            // Where nobody can tell, an earlier run may know.
            (Guest::None, false, false, None, None, Outcome::Unready),
            (
                Guest::None,
                false,
                false,
                None,
                first(Outcome::Seized),
                Outcome::Seized,
            ),
            (
                Guest::None,
                false,
                false,
                None,
                first(Outcome::Held),
                Outcome::Unready,
            ),
            (
                Guest::None,
                false,
                true,
                None,
                first(Outcome::Seized),
                Outcome::Unready,
            ),
        ] {
            let mut host = machine("pciback");
            if let Some(list) = list {
                host.file(HANDLERS, list);
            }
            let mut device = device(Action::Seize);
            device.state.guest = guest;
            device.work.is_bound = is_bound;
            device.work.is_due = is_due;
            device.first_run = first_run;
            assert_eq!(prove(&mut host, &mut device), outcome, "{device:?}");
        }
    }

    #[test]
    fn proves_every_device() {
        let mut devices = boxed(Devices::new);
        devices.push(device(Action::Seize)).expect("room");
        devices.push(device(Action::Keep(0))).expect("room");
        prove_all(&mut machine("e1000e"), &mut devices);
        assert_eq!(devices[0].outcome, Outcome::Lost);
        assert_eq!(devices[1].outcome, Outcome::Kept);
    }
}
