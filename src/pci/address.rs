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

/// The part of an address that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAddress {
    /// Where in the text, counted in bytes from 0.
    pub at: usize,
    /// What is wrong there.
    pub fault: Fault,
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
    /// The place and kind of the first thing that is wrong. No other byte is allowed, not even a blank.
    pub fn parse(text: &[u8]) -> Result<Address, BadAddress> {
        let form = |at| BadAddress { at, fault: Fault::Form };
        let dot = text.iter().position(|&b| b == b'.').ok_or(form(0))?;
        let (place, function) = text.split_at_checked(dot).ok_or(form(0))?;
        let function = function.get(1..).unwrap_or_default();

        // At most three fields stand before the dot. One more place notices a fourth.
        let mut fields = [(0, None); 4];
        let mut start = 0;
        let mut pieces = place.split(|&b| b == b':');
        for slot in &mut fields {
            let Some(piece) = pieces.next() else { break };
            *slot = (start, Some(piece));
            start += piece.len() + 1;
        }
        let (domain, bus, device) = match fields {
            [bus, device @ (_, Some(_)), (_, None), _] => ((0, Some(b"0".as_slice())), bus, device),
            [domain, bus, device @ (_, Some(_)), (_, None)] => (domain, bus, device),
            [_, _, _, (at, Some(_))] => return Err(form(at)),
            _ => return Err(form(0)),
        };
        Ok(Address {
            domain: number(domain, Field::Domain)?,
            bus: number(bus, Field::Bus)? as u8,
            device: number(device, Field::Device)? as u8,
            function: number((dot + 1, Some(function)), Field::Function)? as u8,
        })
    }

    /// The name of the function in sysfs.
    pub fn text(self) -> Vec<u8, 20> {
        let mut line = Line::new();
        self.show(&mut line);
        // The longest domain has 8 digits, and then 18 bytes are needed.
        Vec::from_slice(line.bytes()).unwrap_or_default()
    }

    /// Whether Xen can name it: its domain has at most 16 bits. `pciback` refuses others (`drivers/xen/xen-pciback/pci_stub.c`, `str_to_slot`).
    pub const fn is_known_to_xen(self) -> bool {
        self.domain <= 0xffff
    }
}

/// One field: the digits at `at`, not greater than the field allows.
fn number((at, digits): (usize, Option<&[u8]>), field: Field) -> Result<u32, BadAddress> {
    let digits = digits.unwrap_or_default();
    let foreign = digits.iter().position(|&digit| !digit.is_ascii_hexdigit());
    if digits.is_empty() || foreign.is_some() {
        return Err(BadAddress { at: at + foreign.unwrap_or_default(), fault: Fault::Digits(field) });
    }
    // Digits that do not make a number are too many.
    crate::text::number(digits, 16).filter(|&value| value <= field.greatest()).ok_or(BadAddress { at, fault: Fault::Range(field) })
}

impl Show for Address {
    fn show(&self, line: &mut Line) {
        put!(line, Hex(self.domain, 4), ":", Hex(self.bus.into(), 2), ":", Hex(self.device.into(), 2), ".", Hex(self.function.into(), 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, BadAddress> {
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
    fn says_what_is_wrong_and_where() {
        use Fault::*;
        use Field::*;
        for (text, at, fault) in [
            ("", 0, Form),
            ("0000:82.0.0", 5, Range(Device)),
            ("03:00", 0, Form),
            ("0:0:0:0.0", 6, Form),
            (".0", 0, Form),
            ("0b::00.1", 3, Digits(Bus)),
            ("03:00.", 6, Digits(Function)),
            ("03:00.8", 6, Range(Function)),
            ("03:20.0", 3, Range(Device)),
            ("100:00.0", 0, Range(Bus)),
            ("123456789:00:00.0", 0, Range(Domain)),
            ("03:0g.0", 4, Digits(Device)),
            ("03:00.0 ", 7, Digits(Function)),
            ("03:00.*", 6, Digits(Function)),
        ] {
            assert_eq!(parse(text), Err(BadAddress { at, fault }), "{text}");
        }
    }
}
