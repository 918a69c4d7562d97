//! The way back: a device is taken from pciback and offered to dom0's drivers.
//!
//! The override goes first: as long as it names pciback, or no driver at all, no driver of dom0
//! takes the device. Then its address leaves pciback's list, or pciback would take it again at
//! once. That the driver has it in the end is read from its link.

use crate::{
    device::{Device, Devices, Failure, Guest, Released, Step},
    host::{Errno, Files, Host, Next, Programs, Task, Turn, Workers, run_modprobe},
    pci::{Address, bus, identity::MODALIAS_SIZE},
    pciback, put,
    text::Line,
};

/// How long a step may take, in seconds: an unbind resets the device.
pub const TIMEOUT: u32 = 30;

/// How far the release of a device has come, as it is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nobody has begun.
    Idle,
    /// This step is being done.
    In(Step),
    /// This step failed, and the others were not done.
    Failed(Failure),
    /// It came to its end.
    Done(Released),
}

/// The numbers of [`Progress::Done`]: not those of a step.
const ENDS: [(Released, u32); 3] = [
    (Released::GivenBack, 0x80),
    (Released::WithoutXl, 0x81),
    (Released::Nothing, 0x82),
];

impl Progress {
    /// The number to post: a step in 8 bits, and above them the failure.
    fn to_bits(self) -> u32 {
        match self {
            Progress::Idle => 0,
            Progress::In(step) => step.to_bits(),
            Progress::Failed(failure) => Failure::to_bits(Some(failure)),
            Progress::Done(released) => ENDS
                .iter()
                .find(|(end, _)| *end == released)
                .map_or(0, |(_, bits)| *bits),
        }
    }

    /// What was posted.
    fn from_bits(bits: u32) -> Progress {
        if let Some((released, _)) = ENDS.iter().find(|(_, end)| *end == bits) {
            return Progress::Done(*released);
        }
        if let Some(failure) = Failure::from_bits(bits) {
            return Progress::Failed(failure);
        }
        Step::from_bits(bits).map_or(Progress::Idle, Progress::In)
    }
}

/// Releases the devices that are due, each in a process of its own, and reads who has them then.
pub fn release_due<H: Host>(host: &mut H, devices: &mut Devices) {
    let may_be_released = |device: &Device| device.work.is_due && device.state.guest == Guest::None;
    let needs_xl = |device: &Device| may_be_released(device) && device.is_with_pciback();
    let xl = match devices.iter().any(needs_xl) {
        true => find_xl(host),
        false => None,
    };
    let mut due = devices
        .iter()
        .enumerate()
        .filter(|(_, device)| may_be_released(device));
    let mut next = |_: &mut H, _| {
        due.next()
            .map_or(Next::Nothing, |(task, _)| Next::Begin(task))
    };
    host.side_by_side(TIMEOUT, &mut next, &|host, task| {
        if let Some(device) = devices.get(task) {
            release(host, device, xl, task);
        }
        Turn::Done
    });
    let due = devices
        .iter_mut()
        .enumerate()
        .filter(|(_, device)| device.work.is_due);
    for (task, device) in due {
        match Progress::from_bits(host.posted(task)) {
            Progress::Idle => {}
            Progress::Done(released) => device.work.released = released,
            Progress::Failed(failure) => device.work.failure = Some(failure),
            Progress::In(step) => {
                // A process that comes back after this has nothing more to do: by then a guest may
                // have the device.
                host.post(task, Progress::Done(Released::GivenBack).to_bits());
                device.work.failure = Some(Failure {
                    step,
                    errno: Errno::STUCK,
                });
            }
        }
        device.note_driver(bus::driver(host, device.address()));
    }
}

/// Whether a driver of dom0 has the device.
pub fn is_with_dom0(device: &Device) -> bool {
    !device.state.driver.is_empty() && !device.is_with_pciback()
}

/// Releases one device, and posts how far that has come.
fn release<H: Files + Programs + Workers>(
    host: &mut H,
    device: &Device,
    xl: Option<&[u8]>,
    task: Task,
) {
    let address = device.address();
    // One that cannot be read may be ours.
    let has_our_override = pciback::has_our_override(host, address) != Ok(false);
    if is_with_dom0(device) {
        // An override may be left that would keep the next driver away.
        let released = if has_our_override {
            let _ = pciback::set_override(host, address, "\n");
            Released::GivenBack
        } else {
            Released::Nothing
        };
        return host.post(task, Progress::Done(released).to_bits());
    }
    let mut released = match (device.is_with_pciback(), has_our_override) {
        (true, _) if xl.is_none() => Released::WithoutXl,
        (false, false) => Released::Nothing,
        _ => Released::GivenBack,
    };
    if device.is_with_pciback()
        && let Some(xl) = xl
    {
        end_quarantine(host, address, xl, task);
        if matches!(Progress::from_bits(host.posted(task)), Progress::Done(_)) {
            return;
        }
    }
    let has_it = bus::has_driver(host, address, pciback::NAME.as_bytes());
    for step in [Step::Clear, Step::Unlist, Step::Unbind, Step::Offer] {
        let is_needless = match step {
            // The override of somebody else names whom the device is for.
            Step::Clear => !has_it && !has_our_override,
            Step::Unbind => !has_it,
            _ => false,
        };
        if is_needless {
            continue;
        }
        host.post(task, Progress::In(step).to_bits());
        match (step, do_step(host, address, step)) {
            // It was not on the list, or there is no pciback.
            (Step::Unlist, Err(Errno::ENOENT)) => {}
            (Step::Unlist, Ok(())) if released == Released::Nothing => {
                released = Released::GivenBack;
            }
            (_, Ok(())) => {}
            (_, Err(errno)) => {
                let failure = Failure { step, errno };
                return host.post(task, Progress::Failed(failure).to_bits());
            }
        }
    }
    load_driver(host, address);
    host.post(task, Progress::Done(released).to_bits());
}

/// Where xl may be: distributions have it in the first folder, Xen built from source in the second.
/// PATH is not asked: a folder of it may belong to anybody.
const XL: [&[u8]; 2] = [b"/usr/sbin/xl", b"/usr/local/sbin/xl"];

/// Finds xl.
fn find_xl<H: Files>(host: &mut H) -> Option<&'static [u8]> {
    let is_there = |path: &&[u8]| host.read(path, 0, &mut [0]).is_ok();
    XL.iter().copied().find(is_there)
}

/// Asks xl to take a device out of quarantine. It refuses where there is nothing to do.
///
/// Xen keeps a device that a guest has had with a domain that is none (`libxl_pci.c`,
/// `pciback_dev_unassign`). Only xl can end that; otherwise dom0's driver has the device, and the
/// device cannot reach memory.
fn end_quarantine<H: Programs + Workers>(host: &mut H, address: Address, xl: &[u8], task: Task) {
    host.post(task, Progress::In(Step::Unquarantine).to_bits());
    let _ = host.run(xl, &[b"pci-assignable-remove", &address.text()]);
}

/// Does a step that is one write.
fn do_step<H: Files>(host: &mut H, address: Address, step: Step) -> Result<(), Errno> {
    let mut path = Line::new();
    match step {
        Step::Unlist => put!(&mut path, "{}/remove_slot", pciback::FOLDER),
        Step::Unbind => put!(&mut path, "{}/unbind", pciback::FOLDER),
        Step::Offer => put!(&mut path, "/sys/bus/pci/drivers_probe"),
        _ => return pciback::set_override(host, address, "\n"),
    }
    host.write(path.bytes(), &address.text())
}

/// Has modprobe load the driver of a device that none took: pciback was there first, and the driver
/// may never have been loaded.
fn load_driver<H: Files + Programs>(host: &mut H, address: Address) {
    if !bus::has_driver(host, address, b"") {
        return;
    }
    let mut buffer = [0; MODALIAS_SIZE];
    if let Ok(modalias) = bus::read(host, address, "/modalias", &mut buffer) {
        run_modprobe(host, &[modalias]);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String};

    use super::*;
    use crate::{
        device::{Action, Wish},
        host::testing::{Machine, boxed},
        pci::bus::DriverName,
    };

    const DEVICE: &str = "/sys/bus/pci/devices/0000:03:00.0";
    const PCIBACK: &str = "/sys/bus/pci/drivers/pciback";
    const PROBE: &str = "/sys/bus/pci/drivers_probe";

    #[test]
    fn comes_back_from_its_bits() {
        for step in Step::ALL {
            let failed = Progress::Failed(Failure {
                step,
                errno: Errno::EIO,
            });
            for progress in [Progress::In(step), failed, Progress::Idle] {
                assert_eq!(Progress::from_bits(progress.to_bits()), progress);
            }
        }
        for (released, _) in ENDS {
            let progress = Progress::Done(released);
            assert_eq!(Progress::from_bits(progress.to_bits()), progress);
        }
    }

    /// A machine with a card that has that driver, or none.
    fn machine(driver: &str) -> Machine {
        let mut host = Machine::new();
        host.function("pci0000:00/0000:03:00.0", "8086:10d3", "020000");
        if !driver.is_empty() {
            host.driver("0000:03:00.0", driver);
        }
        host.file(&format!("{PCIBACK}/unbind"), "");
        host.file(&format!("{PCIBACK}/remove_slot"), "");
        host.file(PROBE, "");
        host
    }

    /// A card that is to be released.
    fn due(driver: &str) -> Device {
        let wish = Wish {
            item: None,
            is_by_address: false,
        };
        let address = Address::parse(b"03:00.0").expect("an address");
        let mut device = Device::new(address, wish, Action::Unasked);
        device.work.is_due = true;
        device.state.driver = DriverName::from_slice(driver.as_bytes()).expect("room");
        device
    }

    /// What becomes of a card that is released.
    fn released(host: &mut Machine, device: Device) -> Device {
        let mut devices = boxed(Devices::new);
        devices.push(device).expect("room");
        release_due(host, &mut devices);
        devices.pop().expect("a device")
    }

    #[test]
    fn does_each_step_by_one_write() {
        let address = Address::parse(b"03:00.0").expect("an address");
        for (step, expected) in [
            (Step::Clear, format!("{DEVICE}/driver_override \n")),
            (Step::Unlist, format!("{PCIBACK}/remove_slot 0000:03:00.0")),
            (Step::Unbind, format!("{PCIBACK}/unbind 0000:03:00.0")),
            (Step::Offer, format!("{PROBE} 0000:03:00.0")),
        ] {
            let mut host = machine("pciback");
            assert_eq!(do_step(&mut host, address, step), Ok(()));
            assert_eq!(host.calls_of("write"), [expected]);
            host.refuse("write", Errno::EIO);
            assert_eq!(do_step(&mut host, address, step), Err(Errno::EIO));
        }
    }

    /// The override goes first, then the address leaves the list, or pciback takes it again.
    #[test]
    fn releases_in_order() {
        let override_gone = format!("{DEVICE}/driver_override \n");
        let unlisted = format!("{PCIBACK}/remove_slot 0000:03:00.0");
        let unbound = format!("{PCIBACK}/unbind 0000:03:00.0");
        let offered = format!("{PROBE} 0000:03:00.0");
        for (driver, expected) in [
            (
                "pciback",
                [&override_gone, &unlisted, &unbound, &offered].as_slice(),
            ),
            ("", &[&override_gone, &unlisted, &offered]),
        ] {
            let mut host = machine(driver);
            host.file(&format!("{DEVICE}/driver_override"), "pciback\n");
            let device = released(&mut host, due(driver));
            let written: std::vec::Vec<String> =
                host.calls_of("write").into_iter().map(Into::into).collect();
            assert!(
                written.iter().eq(expected.iter().copied()),
                "{driver}: {written:?}"
            );
            assert_eq!(device.work.failure, None);
            assert_eq!(device.state.driver.as_slice(), driver.as_bytes());
        }
    }

    #[test]
    fn asks_xl_only_for_what_pciback_has() {
        let xl = "/usr/sbin/xl pci-assignable-remove 0000:03:00.0";
        for (driver, is_asked) in [("pciback", true), ("", false), ("e1000e", false)] {
            let mut host = machine(driver);
            host.file("/usr/sbin/xl", "");
            released(&mut host, due(driver));
            let ran = host.calls_of("run");
            assert_eq!(ran.first() == Some(&xl), is_asked, "{driver}: {ran:?}");
        }
    }

    #[test]
    fn finds_xl_where_it_may_be_and_tells_that_there_is_none() {
        for (place, expected) in [
            ("/usr/sbin/xl", Released::GivenBack),
            ("/usr/local/sbin/xl", Released::GivenBack),
            ("/home/user/bin/xl", Released::WithoutXl),
        ] {
            let mut host = machine("pciback");
            host.file(place, "");
            let device = released(&mut host, due("pciback"));
            assert_eq!(device.work.released, expected, "{place}");
            let asked = format!("{place} pci-assignable-remove 0000:03:00.0");
            let is_asked = host.calls_of("run").contains(&asked.as_str());
            assert_eq!(is_asked, expected == Released::GivenBack, "{place}");
        }
    }

    #[test]
    fn has_nothing_to_release_of_what_was_never_taken() {
        for (driver, text, is_listed, expected) in [
            ("e1000e", "(null)\n", false, Released::Nothing),
            ("e1000e", "pciseize\n", false, Released::GivenBack),
            ("", "(null)\n", false, Released::Nothing),
            ("", "pciback\n", false, Released::GivenBack),
            // pciback waits for it.
            ("", "(null)\n", true, Released::GivenBack),
        ] {
            let mut host = machine(driver);
            host.file(&format!("{DEVICE}/driver_override"), text);
            if !is_listed {
                host.refuse(&format!("write {PCIBACK}/remove_slot"), Errno::ENOENT);
            }
            let device = released(&mut host, due(driver));
            assert_eq!(device.work.released, expected, "{driver} {text}");
        }
    }

    #[test]
    fn has_modprobe_load_a_driver_where_none_took_it() {
        let modalias = "pci:v00008086d000010D3sv00000000sd00000000bc02sc00i00";
        let mut host = machine("");
        released(&mut host, due(""));
        let asked = ["/sbin/modprobe", "/usr/sbin/modprobe"].map(|p| format!("{p} {modalias}"));
        assert_eq!(host.calls_of("run"), asked);
        host.calls.clear();
        host.driver("0000:03:00.0", "e1000e");
        released(&mut host, due(""));
        assert!(host.calls_of("run").is_empty());
    }

    #[test]
    fn stops_at_a_step_that_fails() {
        let clear = format!("write {DEVICE}/driver_override");
        let unlist = format!("write {PCIBACK}/remove_slot");
        let unbind = format!("write {PCIBACK}/unbind");
        for (call, errno, failed, writes) in [
            (&clear, Errno::EIO, Some(Step::Clear), 1),
            (&unlist, Errno::EIO, Some(Step::Unlist), 2),
            // It was not on the list.
            (&unlist, Errno::ENOENT, None, 4),
            (&unbind, Errno::ENODEV, Some(Step::Unbind), 3),
        ] {
            let mut host = machine("pciback");
            host.refuse(call, errno);
            let device = released(&mut host, due("pciback"));
            let failed = failed.map(|step| Failure { step, errno });
            assert_eq!(device.work.failure, failed, "{call}");
            assert_eq!(host.calls_of("write").len(), writes, "{call}");
        }
    }

    /// Another override names whom the device is for: vfio-pci, say.
    #[test]
    fn clears_only_its_own_override_of_what_pciback_has_not() {
        for (driver, text, is_cleared) in [
            ("e1000e", "pciseize\n", true),
            ("e1000e", "pciback\n", true),
            ("e1000e", "(null)\n", false),
            ("e1000e", "e1000e\n", false),
            ("", "pciseize\n", true),
            ("", "vfio-pci\n", false),
            ("pciback", "vfio-pci\n", true),
        ] {
            let mut host = machine(driver);
            let attribute = format!("{DEVICE}/driver_override");
            host.file(&attribute, text);
            released(&mut host, due(driver));
            let clear = format!("{attribute} \n");
            let is_written = host.calls_of("write").contains(&clear.as_str());
            assert_eq!(is_written, is_cleared, "{driver} {text}");
        }
    }

    #[test]
    fn touches_nothing_that_a_guest_may_have_or_that_is_not_due() {
        for (guest, is_due) in [
            (Guest::Domain(7), true),
            (Guest::Unknown(Errno::EIO), true),
            (Guest::None, false),
        ] {
            let mut host = machine("pciback");
            let mut device = due("pciback");
            device.state.guest = guest;
            device.work.is_due = is_due;
            let device = released(&mut host, device);
            assert!(host.calls_of("write").is_empty() && host.calls_of("run").is_empty());
            assert!(device.is_with_pciback() && device.work.failure.is_none());
        }
    }
}
