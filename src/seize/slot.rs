//! What is done with a device: its driver lets go, pciback gets it.
//!
//! The override becomes `pciback` only after pciback has registered. Written earlier, it makes the
//! module bind and reset all devices one after another while it loads, and hides their errors
//! (`pci_stub.c`, `pcistub_init_devices_late`). Bound through `bind`, a device is initialised in
//! that very write, and the real errno comes back (Linux 6.1).

use super::{
    MODULE,
    board::{Progress, Stage},
};
use crate::{
    device::{Device, Devices, Guest, Step},
    host::{Errno, Files, Task, Turn, Workers},
    pci::bus,
    pciback::{self, Answer},
    put,
    text::Line,
};

/// Where a device begins. [`Stage::Idle`]: nothing is to be done for it.
///
/// A device that pciback could not initialise is taken from pciback when it is its turn to be
/// bound: an unbind from pciback must not overlap with the beginning of a bind either.
pub fn first_stage(device: &Device) -> Stage {
    if device.work.is_due {
        return if device.work.previous_driver.is_empty() {
            Stage::Await
        } else {
            Stage::Release
        };
    }
    let is_free = device.is_with_pciback() && device.state.guest == Guest::None;
    if is_free && !device.wish.is_by_address {
        Stage::Unlist
    } else {
        Stage::Idle
    }
}

/// What comes first when it is the turn of a device that was waiting.
pub fn stage_of_its_turn(device: &Device) -> Stage {
    if device.work.was_unready {
        Stage::Release
    } else {
        Stage::Override
    }
}

/// Takes a device one step further; and when there is nothing left to be done for it, the devices
/// of its slot whose drivers have to let go.
pub fn advance<H: Files + Workers>(host: &mut H, devices: &Devices, task: Task) -> Turn {
    let Some((task, device)) = find_next(host, devices, task) else {
        return Turn::Done;
    };
    let before = Progress::from_bits(host.posted(task));
    let after = do_stage(host, device, before);
    host.post(task, after.to_bits());
    if after.stage == before.stage {
        Turn::Later
    } else {
        Turn::Again
    }
}

/// The device of a slot that something is to be done for now: the device of the task first.
fn find_next<'d, H: Workers>(
    host: &mut H,
    devices: &'d Devices,
    first: Task,
) -> Option<(Task, &'d Device)> {
    let slot = devices.get(first)?.address().slot();
    for task in first.. {
        let device = devices.get(task)?;
        if device.address().slot() != slot {
            break;
        }
        if Progress::from_bits(host.posted(task)).is_active() {
            return Some((task, device));
        }
    }
    None
}

/// Does what comes next for a device. If it stays at its stage, that is to be tried again.
fn do_stage<H: Files + Workers>(host: &mut H, device: &Device, progress: Progress) -> Progress {
    let address = device.address();
    match progress.stage {
        Stage::Idle | Stage::Await | Stage::Done => progress,
        Stage::Release => release(host, device, progress),
        Stage::Override => {
            let result = pciback::set_override(host, address, pciback::NAME);
            let is_ready = Answer::from_bits(host.posted(MODULE)).is_ready();
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
///
/// Through the driver's own folder: the device's link to its driver would lead to whoever has it by
/// then.
fn release<H: Files>(host: &mut H, device: &Device, progress: Progress) -> Progress {
    let address = device.address();
    let (driver, next) = if device.work.was_unready {
        (pciback::NAME.as_bytes(), Stage::Override)
    } else {
        (device.work.previous_driver.as_slice(), Stage::Await)
    };
    let mut path = Line::new();
    put!(&mut path, "/sys/bus/pci/drivers/");
    path.push(driver);
    put!(&mut path, "/unbind");
    let written = host.write(path.bytes(), &address.text());
    if written.is_err() && bus::has_driver(host, address, b"") {
        // A probe that fails because of the hold shows a `driver` link for a moment. That driver
        // never had the device.
        return Progress {
            had_no_driver: true,
            ..progress
        }
        .on(next);
    }
    if written == Err(Errno::ENOENT) {
        // A driver that comes or goes has its devices while it has no `unbind`: that is made last
        // and removed first (drivers/base/bus.c, bus_add_driver and bus_remove_driver).
        return progress;
    }
    progress.after(Step::Unbind, written, next)
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
        // Somebody else loads pciback just now, and that has taken it. Linux 4.19 and 5.10 answer
        // ENODEV where others say EBUSY (drivers/base/bus.c, bind_store).
        Err(Errno::EBUSY | Errno::ENODEV) if has_it => progress.on(next),
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
    host.write(path.bytes(), &device.address().text())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec};

    use super::*;
    use crate::{
        device::{Action, Failure, Wish},
        host::testing::{Machine, boxed},
        pci::{Address, bus::DriverName},
        seize::queue::Queue,
    };

    const FOLDER: &str = "/sys/bus/pci/devices/0000:03:00.0";

    fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).expect(text)
    }

    fn name(text: &str) -> DriverName {
        DriverName::from_slice(text.as_bytes()).expect(text)
    }

    /// A device that is to be taken from a driver.
    fn due(at: &str, previous_driver: &str, is_by_address: bool) -> Device {
        let wish = Wish {
            item: Some(0),
            is_by_address,
        };
        let mut device = Device::new(address(at), wish, Action::Seize);
        device.work.is_due = true;
        device.work.previous_driver = name(previous_driver);
        device
    }

    #[test]
    fn begins_where_something_is_to_be_done() {
        for (is_due, was_unready, previous, now, guest, is_by_address, stage) in [
            (
                true,
                false,
                "e1000e",
                "e1000e",
                Guest::None,
                true,
                Stage::Release,
            ),
            (true, false, "", "", Guest::None, true, Stage::Await),
            (true, true, "", "pciback", Guest::None, true, Stage::Await),
            (false, false, "", "pciback", Guest::None, true, Stage::Idle),
            (
                false,
                false,
                "",
                "pciback",
                Guest::None,
                false,
                Stage::Unlist,
            ),
            (
                false,
                false,
                "",
                "pciback",
                Guest::Domain(7),
                false,
                Stage::Idle,
            ),
            (
                false,
                false,
                "",
                "pciback",
                Guest::Unknown(Errno::EIO),
                false,
                Stage::Idle,
            ),
            (false, false, "", "e1000e", Guest::None, false, Stage::Idle),
        ] {
            let mut device = due("03:00.0", previous, is_by_address);
            device.work.is_due = is_due;
            device.work.was_unready = was_unready;
            device.state.driver = name(now);
            device.state.guest = guest;
            assert_eq!(first_stage(&device), stage, "{device:?}");
        }
    }

    /// Does all that is to be done, with that answer about pciback. Gives back how far each device
    /// has come, and what was written.
    fn seized(
        host: &mut Machine,
        devices: &Devices,
        answer: Answer,
    ) -> (Vec<Progress>, Vec<String>) {
        host.post(MODULE, answer.to_bits());
        for (task, device) in devices.iter().enumerate() {
            host.post(task, Progress::at(first_stage(device)).to_bits());
        }
        let mut queue = Queue::new(devices, false);
        host.side_by_side(
            1,
            &mut |host, time| queue.next(host, time),
            &|host, task| advance(host, devices, task),
        );
        let progress = (0..devices.len()).map(|task| Progress::from_bits(host.posted(task)));
        let progress = progress.collect();
        let written = host.calls_of("write").into_iter().map(String::from);
        (progress, written.collect())
    }

    /// A machine where pciback has the device as soon as a write is done.
    fn machine() -> Machine {
        let mut host = Machine::new();
        host.function("pci0000:00/0000:03:00.0", "8086:10d3", "020000");
        host.driver("0000:03:00.0", "pciback");
        host.file("/sys/bus/pci/drivers/pciback/remove_slot", "");
        host.file("/sys/bus/pci/drivers/e1000e/unbind", "");
        host
    }

    fn failure(step: Step, errno: Errno) -> Option<Failure> {
        Some(Failure { step, errno })
    }

    #[test]
    fn releases_then_binds_then_unlists() {
        for (is_by_address, is_unlisted) in [(true, false), (false, true)] {
            let mut host = machine();
            let mut devices = boxed(Devices::new);
            devices
                .push(due("03:00.0", "e1000e", is_by_address))
                .expect("room");
            let (progress, written) = seized(&mut host, &devices, Answer::Ready);
            assert!(
                progress[0].is_bound && progress[0].failure.is_none(),
                "{progress:?}"
            );
            let mut expected = std::vec![
                String::from("/sys/bus/pci/drivers/e1000e/unbind 0000:03:00.0"),
                std::format!("{FOLDER}/driver_override pciback"),
                String::from("/sys/bus/pci/drivers/pciback/bind 0000:03:00.0"),
            ];
            if is_unlisted {
                expected.push("/sys/bus/pci/drivers/pciback/remove_slot 0000:03:00.0".into());
            }
            assert_eq!(written, expected);
        }
    }

    #[test]
    fn tells_what_failed() {
        let bind = "write /sys/bus/pci/drivers/pciback/bind";
        let unlist = "write /sys/bus/pci/drivers/pciback/remove_slot";
        for (refused, errno, is_bound, is_held, expected) in [
            (
                bind,
                Errno::EIO,
                false,
                true,
                failure(Step::Bind, Errno::EIO),
            ),
            // Somebody else has loaded pciback, and that has the device already.
            (bind, Errno::EBUSY, false, false, None),
            (bind, Errno::ENODEV, false, false, None),
            (
                unlist,
                Errno::EIO,
                true,
                false,
                failure(Step::Unlist, Errno::EIO),
            ),
            (unlist, Errno::ENOENT, true, false, None),
        ] {
            let mut host = machine();
            host.refuse(refused, errno);
            let mut devices = boxed(Devices::new);
            devices.push(due("03:00.0", "", false)).expect("room");
            let (progress, _) = seized(&mut host, &devices, Answer::Ready);
            let expected = Progress {
                is_bound,
                is_held,
                failure: expected,
                ..Progress::at(Stage::Done)
            };
            assert_eq!(progress, [expected], "{refused} {errno:?}");
        }
    }

    /// Its name is told with the outcome.
    #[test]
    fn tells_that_another_driver_was_quicker() {
        for errno in [Errno::EBUSY, Errno::ENODEV] {
            let mut host = machine();
            host.driver("0000:03:00.0", "e1000e");
            host.refuse("write /sys/bus/pci/drivers/pciback/bind", errno);
            let progress = bind(
                &mut host,
                &due("03:00.0", "", false),
                Progress::at(Stage::Bind),
            );
            assert_eq!(progress.failure, failure(Step::Bind, errno));
        }
    }

    #[test]
    fn binds_nothing_without_pciback() {
        let mut host = machine();
        let mut devices = boxed(Devices::new);
        devices.push(due("03:00.0", "", true)).expect("room");
        let (progress, written) = seized(&mut host, &devices, Answer::NoFile);
        assert_eq!(written, [std::format!("{FOLDER}/driver_override pciback")]);
        let held = Progress {
            is_held: true,
            ..Progress::at(Stage::Done)
        };
        assert_eq!(progress, [held]);
    }

    #[test]
    fn takes_an_unready_device_from_pciback_when_it_is_its_turn() {
        let mut host = machine();
        let mut devices = boxed(Devices::new);
        let mut device = due("03:00.0", "", true);
        device.work.was_unready = true;
        devices.push(device).expect("room");
        let (progress, written) = seized(&mut host, &devices, Answer::Ready);
        assert!(progress[0].is_bound, "{progress:?}");
        let driver = "/sys/bus/pci/drivers/pciback";
        assert_eq!(
            written,
            [
                std::format!("{driver}/unbind 0000:03:00.0"),
                std::format!("{FOLDER}/driver_override pciback"),
                std::format!("{driver}/bind 0000:03:00.0"),
            ]
        );
    }

    #[test]
    fn tries_again_while_a_driver_comes_or_goes() {
        for (has_driver, turn, stage) in [
            (true, Turn::Later, Stage::Release),
            (false, Turn::Again, Stage::Await),
        ] {
            let mut host = Machine::new();
            host.function("pci0000:00/0000:03:00.0", "8086:10d3", "020000");
            if has_driver {
                host.driver("0000:03:00.0", "e1000e");
            }
            host.refuse("write /sys/bus/pci/drivers/e1000e/unbind", Errno::ENOENT);
            let mut devices = boxed(Devices::new);
            devices.push(due("03:00.0", "e1000e", true)).expect("room");
            host.post(0, Progress::at(Stage::Release).to_bits());
            assert_eq!(advance(&mut host, &devices, 0), turn);
            let progress = Progress::from_bits(host.posted(0));
            assert_eq!((progress.stage, progress.failure), (stage, None));
        }
    }

    /// A probe that the hold defeats shows its driver for a moment.
    #[test]
    fn forgets_a_driver_that_never_had_the_device() {
        for (has_driver, had_no_driver, failed) in [
            (false, true, None),
            (true, false, failure(Step::Unbind, Errno::ENODEV)),
        ] {
            let mut host = Machine::new();
            host.function("pci0000:00/0000:03:00.0", "8086:10d3", "020000");
            if has_driver {
                host.driver("0000:03:00.0", "e1000e");
            }
            host.refuse("write /sys/bus/pci/drivers/e1000e/unbind", Errno::ENODEV);
            let device = due("03:00.0", "e1000e", true);
            let progress = release(&mut host, &device, Progress::at(Stage::Release));
            assert_eq!(progress.had_no_driver, had_no_driver);
            assert_eq!((progress.stage, progress.failure), (Stage::Await, failed));
        }
    }
}
