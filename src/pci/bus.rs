//! The walk over the bus, and what sysfs tells of one function.

use heapless::Vec;

use super::{Address, Identity, Place, identity::MODALIAS_SIZE};
use crate::{
    host::{Errno, Files},
    text::{append, last_part},
};

/// Most bytes of a driver's name. The longest in Linux 7.1 have 24.
pub const DRIVER_SIZE: usize = 31;

/// The name of a driver, empty for a function without one.
pub type DriverName = Vec<u8, DRIVER_SIZE, u8>;

/// Most bytes of a link's target. Each bridge on the way takes 13.
const LINK_SIZE: usize = 1024;

/// Calls `visit` for every function that the kernel knows, in no particular order.
///
/// # Errors
/// Why `/sys/bus/pci/devices` cannot be listed.
pub fn walk<H: Files>(host: &mut H, visit: &mut dyn FnMut(&mut H, Address)) -> Result<(), Errno> {
    host.list(b"/sys/bus/pci/devices", &mut |host, name| {
        // A name that is no address belongs to no function.
        if let Ok(address) = Address::parse(name) {
            visit(host, address);
        }
    })
}

/// The path of an attribute: at most 37 bytes before the attribute's name.
pub type Attribute = Vec<u8, 64>;

/// The path of an attribute of the function: `/sys/bus/pci/devices/0000:03:00.0/modalias`.
pub fn attribute(address: Address, name: &str) -> Attribute {
    let mut path = Attribute::new();
    for part in [b"/sys/bus/pci/devices/", &*address.text(), name.as_bytes()] {
        // There is room for the longest.
        let _ = append(&mut path, part);
    }
    path
}

/// Reads an attribute of the function, as far as `buffer` holds it, without the blanks at its end.
///
/// # Errors
/// Why it cannot be read.
pub fn read<'b, H: Files>(
    host: &mut H,
    address: Address,
    name: &str,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], Errno> {
    host.read_value(&attribute(address, name), buffer)
}

/// What the function is.
///
/// # Errors
/// Why `modalias` cannot be read; `EINVAL` for a text that is not the kernel's.
pub fn identity<H: Files>(host: &mut H, address: Address) -> Result<Identity, Errno> {
    let mut buffer = [0; MODALIAS_SIZE];
    let text = read(host, address, "/modalias", &mut buffer)?;
    Identity::from_modalias(text).ok_or(Errno::EINVAL)
}

/// Whether the function is still there, as far as anybody can tell.
pub fn is_there<H: Files>(host: &mut H, address: Address) -> bool {
    read(host, address, "/modalias", &mut [0]) != Err(Errno::ENOENT)
}

/// The driver that the function has now. A function without a driver is no error.
///
/// # Errors
/// Why the link cannot be read; `ENAMETOOLONG` for a name of more than [`DRIVER_SIZE`] bytes.
pub fn driver<H: Files>(host: &mut H, address: Address) -> Result<DriverName, Errno> {
    let mut buffer = [0; LINK_SIZE];
    match host.read_link(&attribute(address, "/driver"), &mut buffer) {
        Ok(target) => {
            DriverName::from_slice(last_part(target, b'/')).map_err(|_| Errno::ENAMETOOLONG)
        }
        Err(Errno::ENOENT) => Ok(DriverName::new()),
        Err(errno) => Err(errno),
    }
}

/// Whether the function surely has that driver now; with an empty name, surely has none.
pub fn has_driver<H: Files>(host: &mut H, address: Address, wanted: &[u8]) -> bool {
    driver(host, address).is_ok_and(|name| name == wanted)
}

/// Whether somebody has enabled the function: its `enable` is a count (`drivers/pci/pci-sysfs.c`,
/// `enable_show`, which takes no lock). `None`: nobody can tell.
pub fn is_enabled<H: Files>(host: &mut H, address: Address) -> Option<bool> {
    let mut buffer = [0; 12];
    let count = read(host, address, "/enable", &mut buffer).ok()?;
    let is_count = !count.is_empty() && count.iter().all(u8::is_ascii_digit);
    is_count.then_some(count != b"0")
}

/// Whether the function is a virtual one, which another makes.
pub fn is_virtual<H: Files>(host: &mut H, address: Address) -> bool {
    physical(host, address).is_some()
}

/// The function that a virtual one belongs to, if it is a virtual one (`drivers/pci/iov.c`,
/// `pci_iov_sysfs_link`).
pub fn physical<H: Files>(host: &mut H, address: Address) -> Option<Address> {
    let mut buffer = [0; LINK_SIZE];
    let target = host.read_link(&attribute(address, "/physfn"), &mut buffer);
    Address::parse(last_part(target.ok()?, b'/')).ok()
}

/// The function above another: the bridge, or what makes the domain that it is in (Intel VMD).
/// `None` on a root bus of the machine.
///
/// # Errors
/// Why the link cannot be read; `EINVAL` for one that is not the kernel's.
pub fn above<H: Files>(host: &mut H, address: Address) -> Result<Option<Address>, Errno> {
    let mut buffer = [0; LINK_SIZE];
    let target = host.read_link(&attribute(address, ""), &mut buffer)?;
    let mut way = target.rsplit(|byte| *byte == b'/').map(Address::parse);
    let is_own = way.next().is_some_and(|own| own == Ok(address));
    // A folder that is no address (`pci0000:00`) is a root bus, or leads there.
    is_own
        .then(|| way.find_map(Result::ok))
        .ok_or(Errno::EINVAL)
}

/// The way to the function. `None` for a link that cannot be read or understood.
pub fn place<H: Files>(host: &mut H, address: Address) -> Option<Place> {
    let mut buffer = [0; LINK_SIZE];
    Place::from_link(host.read_link(&attribute(address, ""), &mut buffer).ok()?)
}
