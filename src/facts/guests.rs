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
    // One entry for each guest with devices, `pci-DOMAIN-0` (`drivers/xen/xen-pciback/xenbus.c`).
    let listed = host.list(b"/sys/bus/xen-backend/devices", &mut |host, name| {
        let domain = name
            .strip_prefix(b"pci-")
            .and_then(|rest| number(first_part(rest, b'-'), 10));
        if let Some(domain) = domain
            && let Err(errno) = look_at_guest(host, domain, devices)
        {
            set_unknown(devices, errno);
        }
    });
    match listed {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => set_unknown(devices, errno),
    }
}

/// Notes the devices of one guest, as the tools wrote them for pciback (libxl, and
/// `xen/include/public/io/pciif.h`): `num_devs`, then `dev-0`, `dev-1`, …, each an address. A
/// device that was detached leaves a gap.
fn look_at_guest<H: Xen>(host: &mut H, domain: u32, devices: &mut Devices) -> Result<(), Errno> {
    let mut key = Line::new();
    put!(&mut key, "backend/pci/{}/0/num_devs", domain);
    let mut buffer = [0; 32];
    let count = number(host.read_xenstore(key.bytes(), &mut buffer)?, 10).ok_or(Errno::EINVAL)?;
    for number in 0..count.min(DEVICES_OF_GUEST) {
        key.clear();
        put!(&mut key, "backend/pci/{}/0/dev-{}", domain, number);
        let address = match host.read_xenstore(key.bytes(), &mut buffer) {
            Err(Errno::ENOENT) => continue,
            text => Address::parse(text?),
        };
        let its_own = devices
            .iter_mut()
            .filter(|device| address == Ok(device.address()) && device.is_with_pciback());
        its_own.for_each(|device| device.state.guest = Guest::Domain(domain));
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
