//! The walk over the bus, and what sysfs tells of one function.

use heapless::Vec;

use super::{Address, Identity, Place, identity::MODALIAS_SIZE};
use crate::{
    host::{Errno, Host},
    put,
    text::{Either, Line, last_part},
};

/// Most bytes of a driver's name. The longest in Linux 7.1 have 24.
pub const DRIVER_SIZE: usize = 31;

/// The name of a driver, empty where there is none.
pub type DriverName = Vec<u8, DRIVER_SIZE, u8>;

/// Most bytes of the links that are read: one step through a bridge takes 13.
const LINK_SIZE: usize = 1024;

/// Calls `visit` for every function that the kernel knows, in no particular order.
///
/// # Errors
/// Why `/sys/bus/pci/devices` cannot be listed.
pub fn walk<H: Host>(host: &mut H, visit: &mut dyn FnMut(&mut H, Address)) -> Result<(), Errno> {
    host.list(b"/sys/bus/pci/devices", &mut |host, name| {
        // Whatever is no address there is no function either.
        if let Ok(address) = Address::parse(name) {
            visit(host, address);
        }
    })
}

/// The path of an attribute: at most 37 bytes before its name.
pub type Attribute = Vec<u8, 64>;

/// The path of an attribute of the function: `/sys/bus/pci/devices/0000:03:00.0/modalias`. Much smaller than the line that it is made in: whoever reads one has little on the stack.
#[inline(never)]
pub fn attribute(address: Address, name: &str) -> Attribute {
    let mut line = Line::new();
    put!(&mut line, "/sys/bus/pci/devices/", address, Either(name));
    let mut path = Attribute::new();
    let _ = path.extend_from_slice(line.bytes());
    path
}

/// What the function is.
///
/// # Errors
/// Why `modalias` cannot be read; `EINVAL` when it does not have the form that the kernel writes.
pub fn identity<H: Host>(host: &mut H, address: Address) -> Result<Identity, Errno> {
    let mut buffer = [0; MODALIAS_SIZE];
    let text = host.read(&attribute(address, "/modalias"), 0, &mut buffer)?;
    Identity::from_modalias(text).ok_or(Errno::EINVAL)
}

/// Writes the driver that has the function now into `name`: nothing if none has.
///
/// # Errors
/// Why the link cannot be read; `ENAMETOOLONG` for a name of more than [`DRIVER_SIZE`]. That there is none is not an error.
pub fn driver<H: Host>(host: &mut H, address: Address, name: &mut DriverName) -> Result<(), Errno> {
    name.clear();
    let mut buffer = [0; LINK_SIZE];
    let target = match host.link(&attribute(address, "/driver"), &mut buffer) {
        Ok(target) => target,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    name.extend_from_slice(last_part(target, b'/')).map_err(|_| Errno::ENAMETOOLONG)
}

/// Whether the function is known to have that driver now; with an empty name, to have none.
pub fn has_driver<H: Host>(host: &mut H, address: Address, wanted: &[u8]) -> bool {
    let mut name = DriverName::new();
    driver(host, address, &mut name).is_ok() && name == wanted
}

/// The place of the function. `None` where the link to it cannot be read or understood.
pub fn place<H: Host>(host: &mut H, address: Address) -> Option<Place> {
    let mut buffer = [0; LINK_SIZE];
    Place::from_link(host.link(&attribute(address, ""), &mut buffer).ok()?)
}
