//! Who else lays claim to a device.

use crate::{
    device::{Action, Device},
    host::Files,
    pci::{
        Address,
        bus::{DRIVER_SIZE, DriverName},
    },
    pciback, put,
    text::{Escaped, Line, first_part, trim_end},
};

/// Who else lays claim to a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The driver that driverctl gives it to. Empty: none.
    pub of_driverctl: DriverName,
}

impl Claims {
    /// Looks who lays claim to a device.
    pub fn look<H: Files>(host: &mut H, address: Address) -> Claims {
        Claims {
            of_driverctl: read_override(host, address),
        }
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.of_driverctl.is_empty()
    }

    /// Adds them in words, each piece with `; ` in front: file and line, and who wins.
    pub fn add_words(&self, device: &Device, line: &mut Line) {
        if self.is_empty() {
            return;
        }
        let (driver, address) = (Escaped(&self.of_driverctl), device.address());
        if device.action == Action::Seize {
            put!(
                line,
                "; driverctl takes it from pciback once the system runs, for driver {}: \
                 remove {}{}",
                driver,
                OVERRIDES,
                address
            );
        } else {
            put!(
                line,
                "; driverctl gives it to driver {}, at {}{}",
                driver,
                OVERRIDES,
                address
            );
        }
    }
}

/// What driverctl has saved for a PCI device: this, and its address.
const OVERRIDES: &str = "/etc/driverctl.d/pci-";

/// Reads the driver that driverctl has saved for a device. Its rule for udev starts `driverctl
/// load-override` as soon as the system runs: that unbinds whatever driver has the device, and has
/// the kernel bind this one. An empty file does nothing, and `pciback` is what is asked for.
fn read_override<H: Files>(host: &mut H, address: Address) -> DriverName {
    let mut path = Line::new();
    put!(&mut path, "{}{}", OVERRIDES, address);
    let mut buffer = [0; DRIVER_SIZE];
    let text = host
        .read_value(path.bytes(), &mut buffer)
        .unwrap_or_default();
    let driver = trim_end(first_part(text, b'\n'));
    if driver == pciback::NAME.as_bytes() {
        return DriverName::new();
    }
    DriverName::from_slice(driver).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::Wish,
        host::testing::{Machine, text},
    };

    #[test]
    fn knows_what_driverctl_has_saved() {
        for (saved, expected) in [
            (None, ""),
            (Some(""), ""),
            (Some("pciback\n"), ""),
            (
                Some("vfio-pci\n"),
                "for driver vfio-pci: remove /etc/driverctl.d/pci-0000:03:00.0",
            ),
            (Some("none"), "for driver none: "),
            (Some("a b\nc\n"), "for driver a b: "),
            (
                Some("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
                "for driver xxx",
            ),
        ] {
            let mut host = Machine::new();
            if let Some(saved) = saved {
                host.file("/etc/driverctl.d/pci-0000:03:00.0", saved);
            }
            let address = Address::parse(b"03:00.0").expect("an address");
            let claims = Claims::look(&mut host, address);
            let wish = Wish {
                item: None,
                is_by_address: false,
            };
            let device = Device::new(address, wish, Action::Seize);
            let mut line = Line::new();
            claims.add_words(&device, &mut line);
            let words = text(line.bytes());
            assert_eq!(claims.is_empty(), expected.is_empty(), "{saved:?}");
            assert!(words.contains(expected), "{saved:?}: {words}");
            assert_eq!(words.is_empty(), expected.is_empty(), "{saved:?}");
        }
    }
}
