//! The seizure: takes what is asked for away from dom0, and proves it.
//!
//! The order is the contract: nothing slow or fallible happens before every device is held.
//!
//! | step | room | |
//! | --- | --- | --- |
//! | 1 | [`dom0`] | is this a Xen dom0 at all? |
//! | 2 | [`hold`] | an override that no driver answers to, on every device that is asked for |
//! | 3 | [`release`] | drivers that were quicker let go |
//! | 4 | [`module`] | pciback is there, or is loaded |
//! | 5 | [`bind`] | each device is given to it |
//! | 6 | [`proof`] | who has each device now |

pub mod bind;
pub mod dom0;
pub mod hold;
pub mod module;
pub mod proof;
pub mod release;

use crate::{
    device::Devices,
    host::{Errno, Host, Level, Path},
    pci::{Address, bus},
    request::{Fault, Mistake, Request},
    say,
    text::Line,
};

/// The name of the driver that hands devices to guests (`drivers/xen/xen-pciback/pci_stub.c`).
pub const PCIBACK: &str = "pciback";

/// The override that holds a device: the name of no driver.
pub const HOLD: &str = "pciseize";

/// Gives every pending device to pciback: steps 3 to 5. Gives back why pciback is not there, if so.
pub fn take<H: Host>(host: &mut H, request: &mut Request, devices: &mut Devices) -> Result<(), module::Missing> {
    if request.switches.debug {
        say!(host, Level::Info, "held; releasing drivers, loading xen-pciback, binding");
    }
    release::old_drivers(host, devices);
    let mut pciback = Ok(());
    if devices.iter().any(|device| device.is_pending) {
        pciback = module::ready(host, &request.module_parameters);
        // What is wrong with a parameter must not cost the devices.
        if pciback == Err(module::Missing::Refused(Errno::EINVAL)) && !request.module_parameters.is_empty() {
            pciback = module::ready(host, b"");
            if pciback.is_ok() {
                let mut parameters = Line::new();
                parameters.push(&request.module_parameters);
                request.problem(request.module_parameters_at, parameters.bytes(), Fault::Is(Mistake::RefusedParameters));
            }
        }
    }
    bind::everything(host, devices, pciback.is_ok());
    pciback
}

/// Writes the override of a device: the name of the one driver that may have it.
fn set_override<H: Host>(host: &mut H, address: Address, driver: &str) -> Result<(), Errno> {
    host.write(bus::attribute(address, "/driver_override").bytes(), driver.as_bytes())
}

/// Writes the address of a device into `bind` or `unbind` of a driver, or another attribute that takes one.
fn write_address<H: Host>(host: &mut H, path: Path, address: Address) -> Result<(), Errno> {
    host.write(path, address.text().bytes())
}
