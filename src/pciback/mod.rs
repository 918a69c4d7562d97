//! The driver xen-pciback as sysfs shows it (`drivers/xen/xen-pciback/pci_stub.c`).

mod answer;

pub use answer::Answer;

use crate::{
    host::{
        Errno, Files,
        lines::{self, FILE_SIZE},
    },
    pci::{Address, bus},
    put,
    text::{Line, is_one_of},
};

/// Its name as a PCI driver.
pub const NAME: &str = "pciback";

/// The folder of its attributes.
pub const FOLDER: &str = "/sys/bus/pci/drivers/pciback";

/// The override that holds a device: the name of no driver.
pub const HOLD: &str = "pciseize";

/// Whether the driver is there and ready.
///
/// Its folder in sysfs appears with its registration. A module has more to do after that; what is
/// bound before it has finished is not initialised (`initialize_devices`).
pub fn is_registered<H: Files>(host: &mut H) -> bool {
    let is_there = host.list(FOLDER.as_bytes(), &mut |_, _| {}).is_ok();
    let mut buffer = [0; 8];
    let state = host.read(b"/sys/module/xen_pciback/initstate", 0, &mut buffer);
    // A driver that is built in has no state. One that cannot be read may be any.
    is_there && matches!(state, Ok(b"live\n") | Err(Errno::ENOENT))
}

/// Reads a parameter of the module, as it is now: `Y` or `N` for a switch
/// (`/sys/module/xen_pciback/parameters`, also where the driver is built in).
///
/// # Errors
/// Why it cannot be read. `ENOENT`: the module has no such parameter, or does not show it.
pub fn parameter<'b, H: Files>(
    host: &mut H,
    name: &[u8],
    buffer: &'b mut [u8],
) -> Result<&'b [u8], Errno> {
    let mut path = Line::new();
    put!(&mut path, "/sys/module/xen_pciback/parameters/");
    path.push(name);
    host.read_value(path.bytes(), buffer)
}

/// Whether the driver has initialised a device: it then lists it in `irq_handlers`, in a line that
/// begins with the address (`irq_handlers_show`). `None`: nobody can tell, since that file ends at
/// one page.
pub fn has_initialised<H: Files>(host: &mut H, address: Address) -> Option<bool> {
    let (mut is_listed, mut size) = (false, 0);
    let name = address.text();
    let file = b"/sys/bus/pci/drivers/pciback/irq_handlers";
    let read = lines::each(host, file, FILE_SIZE, &mut |_, line| {
        let rest = line.text.strip_prefix(name.as_slice());
        is_listed |= rest.is_some_and(|rest| rest.starts_with(b":"));
        size += line.text.len() + 1;
    });
    // The longest line has some 50 bytes. With less than that missing the page may have been full.
    let is_whole = read.is_ok() && size < 4000;
    (is_listed || is_whole).then_some(is_listed)
}

/// Whether the override of a device is one of ours: [`HOLD`] or [`NAME`]. With either no driver of
/// dom0 takes the device. In another case they name no driver either.
///
/// # Errors
/// Why it cannot be read.
pub fn has_our_override<H: Files>(host: &mut H, address: Address) -> Result<bool, Errno> {
    let mut buffer = [0; 16];
    let name = bus::read(host, address, "/driver_override", &mut buffer)?;
    Ok(is_one_of(&[HOLD, NAME], name))
}

/// Writes the override of a device: the name of the one driver that may have it.
///
/// # Errors
/// Why it cannot be written.
pub fn set_override<H: Files>(host: &mut H, address: Address, driver: &str) -> Result<(), Errno> {
    host.write(
        &bus::attribute(address, "/driver_override"),
        driver.as_bytes(),
    )
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;

    use super::*;
    use crate::host::testing::Machine;

    // 0000:03:00.0
    const ADDRESS: Address = Address::from_bits(3 << 8);

    #[test]
    fn is_registered_once_its_module_is_live() {
        let state = "/sys/module/xen_pciback/initstate";
        let mut host = Machine::new();
        assert!(!is_registered(&mut host), "not loaded");
        host.folder(FOLDER);
        assert!(is_registered(&mut host), "built in");
        for (text, is_ready) in [("coming\n", false), ("live\n", true), ("going\n", false)] {
            host.file(state, text);
            assert_eq!(is_registered(&mut host), is_ready, "{text}");
        }
        host.refuse(&format!("read {state}"), Errno::EIO);
        assert!(!is_registered(&mut host), "nobody can tell its state");
    }

    #[test]
    fn tells_from_a_whole_list_what_is_initialised() {
        let line = |address: &str| format!("{address}:-:on:msi-enabled\n");
        let (own, other) = (line("0000:03:00.0"), line("0000:04:00.0"));
        let page = other.repeat(4000 / other.len() + 1);
        for (list, expected) in [
            (format!("{other}{own}"), Some(true)),
            (other, Some(false)),
            ("0000:03:00.01:-\n".into(), Some(false)),
            ("".into(), Some(false)),
            // A page is full: what is not in it may have been cut off.
            (page.clone(), None),
            (format!("{own}{page}"), Some(true)),
        ] {
            let mut host = Machine::new();
            host.file("/sys/bus/pci/drivers/pciback/irq_handlers", &list);
            assert_eq!(has_initialised(&mut host, ADDRESS), expected, "{list}");
        }
        assert_eq!(has_initialised(&mut Machine::new(), ADDRESS), None);
    }

    #[test]
    fn knows_its_own_overrides() {
        let attribute = "/sys/bus/pci/devices/0000:03:00.0/driver_override";
        for (text, is_ours) in [
            ("pciback\n", true),
            ("pciseize\n", true),
            ("PCIback\n", true),
            ("vfio-pci\n", false),
            ("pcibacks\n", false),
            ("(null)\n", false),
            ("\n", false),
        ] {
            let mut host = Machine::new();
            host.file(attribute, text);
            let found = has_our_override(&mut host, ADDRESS);
            assert_eq!(found, Ok(is_ours), "{text}");
        }
        let gone = has_our_override(&mut Machine::new(), ADDRESS);
        assert_eq!(gone, Err(Errno::ENOENT));
    }

    #[test]
    fn writes_an_override_into_the_attribute_of_the_device() {
        let mut host = Machine::new();
        host.function("pci0000:00/0000:03:00.0", "8086:10d3", "020000");
        assert_eq!(set_override(&mut host, ADDRESS, HOLD), Ok(()));
        let attribute = "/sys/bus/pci/devices/0000:03:00.0/driver_override";
        assert_eq!(host.content(attribute).as_deref(), Some("pciseize"));
    }
}
