//! Which devices guests have, by pciback's side of each and what xenstore says of it.

use crate::{
    device::Devices,
    host::{Errno, Host},
    pci::Address,
    put,
    seize::is_pciback,
    text::{Decimal, Either, Line, behind, first_part, number},
};

/// Most devices of a guest that are looked for: as many as there are functions on a bus, which is what a guest gets.
const MOST: u32 = 256;

/// Whether a guest has a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// None has.
    None,
    /// The one with this number has.
    Domain(u32),
    /// There are guests with devices, and nobody can tell which: xenstore did not answer, for this reason.
    Unknown(Errno),
}

/// Finds out for every device that pciback has. Without guests that have devices, xenstore is not asked: it may not be there yet.
pub fn look<H: Host>(host: &mut H, devices: &mut Devices) {
    if !devices.iter().any(|device| is_pciback(&device.driver)) {
        return;
    }
    // One for each guest with devices (`drivers/xen/xen-pciback/xenbus.c`): `pci-DOMAIN-0`.
    let listed = host.list(b"/sys/bus/xen-backend/devices", &mut |host, name| {
        if let Some(domain) = behind(b"pci-", name).and_then(|rest| number(first_part(rest, b'-'), 10))
            && let Err(errno) = of_domain(host, domain, devices)
        {
            everywhere(devices, Guest::Unknown(errno));
        }
    });
    match listed {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => everywhere(devices, Guest::Unknown(errno)),
    }
}

/// Notes the devices of one guest: what the tools wrote for pciback (`xen/include/public/io/pciif.h` and libxl): `dev-0`, `dev-1`, …, each an address. A device that was detached leaves a gap.
fn of_domain<H: Host>(host: &mut H, domain: u32, devices: &mut Devices) -> Result<(), Errno> {
    let mut buffer = [0; 32];
    // How many there are comes first.
    let mut count = MOST;
    for place in 0..=MOST {
        if place > count {
            break;
        }
        let mut key = Line::new();
        put!(&mut key, "backend/pci/", Decimal(domain), "/0/", Either(if place == 0 { "num_devs" } else { "dev-" }));
        if place > 0 {
            put!(&mut key, Decimal(place - 1));
        }
        let text = match host.xenstore(key.bytes(), &mut buffer) {
            // A device that was detached.
            Err(Errno::ENOENT) if place > 0 => b"",
            text => text?,
        };
        if place == 0 {
            count = number(text, 10).ok_or(Errno::EINVAL)?.min(MOST);
        } else if let Ok(address) = Address::parse(text) {
            for device in devices.iter_mut().filter(|device| device.address == address && is_pciback(&device.driver)) {
                device.guest = Guest::Domain(domain);
            }
        }
    }
    Ok(())
}

/// Notes the same for all that pciback has, and of which it is not known better.
fn everywhere(devices: &mut Devices, guest: Guest) {
    for device in devices {
        if is_pciback(&device.driver) && device.guest == Guest::None {
            device.guest = guest;
        }
    }
}
