//! The driver xen-pciback as sysfs shows it (`drivers/xen/xen-pciback/pci_stub.c`).

mod answer;

pub use answer::Answer;

use crate::{
    host::{
        Errno, Files,
        lines::{self, FILE_SIZE},
    },
    pci::{Address, bus},
    text::is_word,
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

/// Whether the driver has initialised a device: it then lists it in `irq_handlers`, in a line that
/// begins with the address (`irq_handlers_show`). `None`: nobody can tell, since that file ends at
/// one page.
pub fn has_initialised<H: Files>(host: &mut H, address: Address) -> Option<bool> {
    let (mut is_listed, mut size) = (false, 0);
    let name = address.text();
    let file = b"/sys/bus/pci/drivers/pciback/irq_handlers";
    let read = lines::each(host, file, FILE_SIZE, &mut |_, line| {
        let rest = line.text.strip_prefix(name.bytes());
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
    let name = host.read(&bus::attribute(address, "/driver_override"), 0, &mut buffer)?;
    Ok([HOLD, NAME]
        .iter()
        .any(|own| is_word(name.trim_ascii_end(), own.as_bytes())))
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
