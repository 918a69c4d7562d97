//! The address of a PCI function: `[DOMAIN:]BUS:DEVICE.FUNCTION`, in hexadecimal.

use heapless::Vec;

use crate::{
    put,
    text::{Hex, Line, Show},
};

/// Where a function is: domain, bus, device, function.
///
/// Ordered as `lspci` orders them. Printed as the kernel names devices in sysfs (`drivers/pci/probe.c`, `pci_setup_device`): `0000:03:00.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// 0 to ffff on most machines. Linux numbers domains that no firmware knows (behind Intel VMD) from 10000 on; Xen's own segments have 16 bits and cannot name those.
    pub domain: u32,
    /// 0 to ff.
    pub bus: u8,
    /// 0 to 1f. Xen's tools say *slot*.
    pub device: u8,
    /// 0 to 7.
    pub function: u8,
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has not the form `[DOMAIN:]BUS:DEVICE.FUNCTION`.
    Form,
    /// A field holds something else than hexadecimal digits, or nothing.
    Digits(Field),
    /// A field is greater than it may be.
    Range(Field),
}

/// A field of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Field {
    Domain,
    Bus,
    Device,
    Function,
}

impl Field {
    /// The greatest value it may have.
    pub const fn greatest(self) -> u32 {
        match self {
            Field::Domain => u32::MAX,
            Field::Bus => 0xff,
            Field::Device => 0x1f,
            Field::Function => 7,
        }
    }

    /// Its name, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Field::Domain => "domain",
            Field::Bus => "bus",
            Field::Device => "device",
            Field::Function => "function",
        }
    }
}

impl Address {
    /// Reads `[DOMAIN:]BUS:DEVICE.FUNCTION`: hexadecimal digits of any case, as many as one likes. The domain is 0 where it is not given.
    ///
    /// # Errors
    /// The first thing that is wrong, seen from the left. No other byte is allowed, not even a blank.
    pub fn parse(text: &[u8]) -> Result<Address, Fault> {
        let dot = text.iter().position(|&b| b == b'.').ok_or(Fault::Form)?;
        let (place, function) = text.split_at_checked(dot).ok_or(Fault::Form)?;
        let mut fields = place.rsplit(|&b| b == b':');
        let (device, bus, domain) = (fields.next(), fields.next().ok_or(Fault::Form)?, fields.next());
        if fields.next().is_some() {
            return Err(Fault::Form);
        }
        Ok(Address {
            domain: number(domain.unwrap_or(b"0"), Field::Domain)?,
            bus: number(bus, Field::Bus)? as u8,
            device: number(device.unwrap_or_default(), Field::Device)? as u8,
            function: number(function.get(1..).unwrap_or_default(), Field::Function)? as u8,
        })
    }

    /// The name of the function in sysfs.
    pub fn text(self) -> Vec<u8, 16> {
        let mut line = Line::new();
        self.show(&mut line);
        // The longest is ffffffff:ff:1f.7.
        let mut text = Vec::new();
        let _ = text.extend_from_slice(line.bytes());
        text
    }

    /// Whether Xen can name it: its domain has at most 16 bits. `pciback` refuses others (`drivers/xen/xen-pciback/pci_stub.c`, `str_to_slot`).
    pub const fn is_known_to_xen(self) -> bool {
        self.domain <= 0xffff
    }
}

/// One field: digits, not greater than the field allows.
fn number(digits: &[u8], field: Field) -> Result<u32, Fault> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Fault::Digits(field));
    }
    // Digits that do not make a number are too many.
    crate::text::number(digits, 16).filter(|&value| value <= field.greatest()).ok_or(Fault::Range(field))
}

impl Show for Address {
    fn show(&self, line: &mut Line) {
        put!(line, Hex(self.domain, 4), ":", Hex(self.bus.into(), 2), ":", Hex(self.device.into(), 2), ".", Hex(self.function.into(), 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, Fault> {
        Address::parse(text.as_bytes())
    }

    #[test]
    fn takes_any_width_and_case() {
        let wanted = Address { domain: 0, bus: 0x0a, device: 0x1f, function: 7 };
        for text in ["0000:0a:1f.7", "0a:1f.7", "A:1F.7", "0:a:1f.7", "00000000:000a:0001F.07"] {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
        assert_eq!(parse("10000:e1:00.0").map(|a| (a.domain, a.is_known_to_xen())), Ok((0x10000, false)));
    }

    #[test]
    fn prints_as_the_kernel_does() {
        for text in ["0000:0a:1f.7", "ffff:00:00.0", "10000:e1:00.0", "ffffffff:ff:1f.7"] {
            assert_eq!(parse(text).expect(text).text(), text.as_bytes());
        }
    }

    #[test]
    fn says_what_is_wrong() {
        use Fault::*;
        use Field::*;
        for (text, fault) in [
            ("", Form),
            ("0000:82.0.0", Range(Device)),
            ("03:00", Form),
            ("0:0:0:0.0", Form),
            (".0", Form),
            ("0b::00.1", Digits(Bus)),
            ("03:00.", Digits(Function)),
            ("03:00.8", Range(Function)),
            ("03:20.0", Range(Device)),
            ("100:00.0", Range(Bus)),
            ("123456789:00:00.0", Range(Domain)),
            ("03:0g.0", Digits(Device)),
            ("03:00.0 ", Digits(Function)),
            ("03:00.*", Digits(Function)),
        ] {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }
}
