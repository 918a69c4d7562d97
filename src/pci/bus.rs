//! The walk over the bus, and what sysfs tells of one function.

use heapless::Vec;

use super::{Address, Identity, Place, identity::MODALIAS_SIZE};
use crate::host::{Errno, Host};

/// Most bytes of a driver's name. The longest in Linux 7.1 have 24.
pub const DRIVER_SIZE: usize = 48;

/// The name of a driver. One that is longer than [`DRIVER_SIZE`] ends in `~`.
pub type DriverName = Vec<u8, DRIVER_SIZE>;

/// Most bytes of the links that are read: one step through a bridge takes 13.
const LINK_SIZE: usize = 1024;

/// Calls `visit` for every function that the kernel knows, in no particular order.
///
/// # Errors
/// Why `/sys/bus/pci/devices` cannot be listed.
pub fn walk<H: Host>(host: &mut H, visit: &mut dyn FnMut(&mut H, Address)) -> Result<(), Errno> {
    host.list(&[b"/sys/bus/pci/devices"], &mut |host, name| {
        // Whatever is no address there is no function either.
        if let Ok(address) = Address::parse(name) {
            visit(host, address);
        }
    })
}

/// What the function is.
///
/// # Errors
/// Why `modalias` cannot be read; `EINVAL` when it does not have the form that the kernel writes.
pub fn identity<H: Host>(host: &mut H, address: Address) -> Result<Identity, Errno> {
    let mut buffer = [0; MODALIAS_SIZE];
    let length = host.read(&[b"/sys/bus/pci/devices/", &address.text(), b"/modalias"], 0, &mut buffer)?;
    Identity::from_modalias(buffer.get(..length).unwrap_or_default()).ok_or(Errno::EINVAL)
}

/// The driver that has the function now, if one has.
///
/// # Errors
/// Why the link cannot be read. That there is none is not an error.
pub fn driver<H: Host>(host: &mut H, address: Address) -> Result<Option<DriverName>, Errno> {
    let mut buffer = [0; LINK_SIZE];
    let length = match host.link(&[b"/sys/bus/pci/devices/", &address.text(), b"/driver"], &mut buffer) {
        Ok(length) => length,
        Err(Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let target = buffer.get(..length).unwrap_or_default();
    let last = target.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let mut name = DriverName::new();
    if name.extend_from_slice(last).is_err() {
        let _ = name.extend_from_slice(last.get(..DRIVER_SIZE - 1).unwrap_or_default());
        let _ = name.push(b'~');
    }
    Ok(Some(name))
}

/// The place of the function. `None` where the link to it cannot be read or understood.
pub fn place<H: Host>(host: &mut H, address: Address) -> Option<Place> {
    let mut buffer = [0; LINK_SIZE];
    let length = host.link(&[b"/sys/bus/pci/devices/", &address.text()], &mut buffer).ok()?;
    Place::from_link(buffer.get(..length)?)
}
