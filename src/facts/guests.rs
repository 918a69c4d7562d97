//! Which devices guests have, by pciback's side of each and what xenstore says of it.

use crate::{
    device::{Devices, Guest},
    host::{Errno, Files, Xen},
    pci::Address,
    put,
    text::{Line, first_part, number},
};

/// Most devices of a guest that are looked for: as many as there are functions on a bus, which is
/// what a guest gets.
const DEVICES_OF_GUEST: u32 = 256;

/// Finds out for every device that pciback has whether a guest has it.
///
/// Without guests that have devices, xenstore is not asked: it may not be there yet.
pub fn look<H: Files + Xen>(host: &mut H, devices: &mut Devices) {
    if !devices.iter().any(|device| device.is_with_pciback()) {
        return;
    }
    each(host, &mut |_, lent| match lent {
        Ok((domain, address)) => {
            let its_own = devices
                .iter_mut()
                .filter(|device| address == device.address() && device.is_with_pciback());
            its_own.for_each(|device| device.state.guest = Guest::Domain(domain));
        }
        Err(errno) => set_unknown(devices, errno),
    });
}

/// What is called for each device of a guest, with the guest, or with why that is not known.
pub type VisitLent<'v, H> = dyn FnMut(&mut H, Result<(u32, Address), Errno>) + 'v;

/// Calls `visit` for each device of each guest, whoever has it by now.
pub fn each<H: Files + Xen>(host: &mut H, visit: &mut VisitLent<H>) {
    // Who waits for one answer in vain is not to wait for all.
    let mut is_silent = false;
    // One entry for each guest with devices, `pci-DOMAIN-0` (`drivers/xen/xen-pciback/xenbus.c`).
    let listed = host.list(b"/sys/bus/xen-backend/devices", &mut |host, name| {
        let domain = name
            .strip_prefix(b"pci-")
            .and_then(|rest| number(first_part(rest, b'-'), 10));
        if let Some(domain) = domain
            && !is_silent
            && let Err(errno) = each_of(host, domain, visit)
        {
            is_silent = errno == Errno::ETIMEDOUT;
            visit(host, Err(errno));
        }
    });
    match listed {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => visit(host, Err(errno)),
    }
}

/// Calls `visit` for the devices of one guest, as the tools wrote them for pciback (libxl, and
/// `xen/include/public/io/pciif.h`): `num_devs`, then `dev-0`, `dev-1`, …, each an address.
///
/// Where one is detached, libxl moves those behind it down by one, and a new one comes last
/// (`libxl_pci.c`, `libxl__device_pci_remove_xenstore`). So they are read from the last to the
/// first: what moves meanwhile is met twice, and nothing is missed.
///
/// # Errors
/// Why not all of them are known: `EINVAL` for what is no address, `E2BIG` for too many.
fn each_of<H: Xen>(host: &mut H, domain: u32, visit: &mut VisitLent<H>) -> Result<(), Errno> {
    let mut key = Line::new();
    put!(&mut key, "backend/pci/{}/0/num_devs", domain);
    let mut buffer = [0; 32];
    let count = number(host.read_xenstore(key.bytes(), &mut buffer)?, 10).ok_or(Errno::EINVAL)?;
    for number in (0..count.min(DEVICES_OF_GUEST)).rev() {
        key.clear();
        put!(&mut key, "backend/pci/{}/0/dev-{}", domain, number);
        let address = match host.read_xenstore(key.bytes(), &mut buffer) {
            Err(Errno::ENOENT) => continue,
            text => Address::parse(text?).map_err(|_| Errno::EINVAL)?,
        };
        visit(host, Ok((domain, address)));
    }
    if count > DEVICES_OF_GUEST {
        return Err(Errno::E2BIG);
    }
    Ok(())
}

/// Notes that it is not known which guest has what pciback has, where no guest was found yet.
fn set_unknown(devices: &mut Devices, errno: Errno) {
    for device in devices {
        if device.is_with_pciback() && device.state.guest == Guest::None {
            device.state.guest = Guest::Unknown(errno);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{boxed::Box, format};

    use super::*;
    use crate::{
        device::{Action, Device, Wish},
        host::testing::{Machine, boxed},
        pci::bus::DriverName,
        pciback,
    };

    const FOLDER: &str = "/sys/bus/xen-backend/devices";

    /// Two devices that pciback has, and one that it has not.
    fn devices() -> Box<Devices> {
        let mut devices = boxed(Devices::new);
        for (at, driver) in [
            ("03:00.0", pciback::NAME),
            ("03:00.1", pciback::NAME),
            ("04:00.0", "e1000e"),
        ] {
            let wish = Wish {
                item: None,
                is_by_address: false,
            };
            let address = Address::parse(at.as_bytes()).expect(at);
            let mut device = Device::new(address, wish, Action::Unasked);
            device.state.driver = DriverName::from_slice(driver.as_bytes()).expect("room");
            devices.push(device).expect("room");
        }
        devices
    }

    /// Adds a guest with its devices; `-` is a gap that a detached one has left.
    fn add_guest(host: &mut Machine, domain: u32, addresses: &[&str]) {
        host.folder(&format!("{FOLDER}/pci-{domain}-0"));
        let folder = format!("backend/pci/{domain}/0");
        host.xenstore(
            &format!("{folder}/num_devs"),
            &format!("{}", addresses.len()),
        );
        for (number, address) in addresses.iter().enumerate() {
            if *address != "-" {
                host.xenstore(&format!("{folder}/dev-{number}"), address);
            }
        }
    }

    /// Which guest has each device.
    fn guests(host: &mut Machine) -> [Guest; 3] {
        let mut devices = devices();
        look(host, &mut devices);
        [0, 1, 2].map(|device: usize| devices[device].state.guest)
    }

    #[test]
    fn finds_the_guest_of_each_device() {
        let mut host = Machine::new();
        add_guest(&mut host, 7, &["0000:05:00.0", "-", "0000:03:00.1"]);
        add_guest(&mut host, 12, &["0000:03:00.0", "0000:04:00.0"]);
        host.folder(&format!("{FOLDER}/vbd-9-51712"));
        let expected = [Guest::Domain(12), Guest::Domain(7), Guest::None];
        assert_eq!(guests(&mut host), expected);
    }

    #[test]
    fn asks_no_xenstore_without_guests() {
        let mut without_folder = Machine::new();
        let mut other_backends = Machine::new();
        other_backends.folder(&format!("{FOLDER}/vbd-9-51712"));
        for host in [&mut without_folder, &mut other_backends] {
            assert_eq!(guests(host), [Guest::None; 3]);
            assert!(host.calls_of("xenstore").is_empty());
        }
    }

    #[test]
    fn looks_for_nothing_where_pciback_has_nothing() {
        let mut host = Machine::new();
        add_guest(&mut host, 7, &["0000:03:00.0"]);
        let mut devices = devices();
        for device in devices.iter_mut() {
            device.state.driver.clear();
        }
        look(&mut host, &mut devices);
        assert!(host.calls.is_empty());
    }

    #[test]
    fn does_not_know_where_xenstore_does_not_say() {
        let unknown = |errno| [Guest::Unknown(errno), Guest::Unknown(errno), Guest::None];
        for (call, errno) in [
            ("xenstore backend/pci/7/0/num_devs", Errno::ETIMEDOUT),
            ("xenstore backend/pci/7/0/dev-0", Errno::EIO),
            ("list", Errno::EACCES),
        ] {
            let mut host = Machine::new();
            add_guest(&mut host, 7, &["0000:03:00.0"]);
            host.refuse(call, errno);
            assert_eq!(guests(&mut host), unknown(errno), "{call}");
        }
        let mut host = Machine::new();
        add_guest(&mut host, 7, &["0000:03:00.0"]);
        host.xenstore("backend/pci/7/0/num_devs", "some");
        assert_eq!(guests(&mut host), unknown(Errno::EINVAL));
    }

    #[test]
    fn keeps_the_guest_that_is_known() {
        let mut host = Machine::new();
        add_guest(&mut host, 7, &["0000:03:00.0"]);
        add_guest(&mut host, 8, &["0000:03:00.1"]);
        host.refuse("xenstore backend/pci/8/0/dev-0", Errno::EIO);
        let expected = [Guest::Domain(7), Guest::Unknown(Errno::EIO), Guest::None];
        assert_eq!(guests(&mut host), expected);
    }

    #[test]
    fn looks_for_no_more_devices_than_a_guest_can_have() {
        let mut host = Machine::new();
        add_guest(&mut host, 7, &["0000:03:00.0"]);
        host.xenstore("backend/pci/7/0/num_devs", "4294967295");
        assert_eq!(guests(&mut host)[0], Guest::Domain(7));
        let asked = host.calls_of("xenstore").len();
        assert_eq!(asked, DEVICES_OF_GUEST as usize + 1);
    }
}
