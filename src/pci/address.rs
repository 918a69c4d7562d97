//! The address of a PCI function: `[DOMAIN:]BUS:DEVICE.FUNCTION`, in hexadecimal.

use crate::{
    put,
    text::{Hex, Line, Show, part, split, split_once},
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
}

/// Its name, for messages.
impl Show for Field {
    fn show(&self, line: &mut Line) {
        line.push(part("the domain\nthe bus\nthe device\nthe function", b'\n', *self as usize));
    }
}

/// The bits of [`Address::bits`] that the function takes.
pub const FUNCTION_BITS: u64 = 0x7;

/// The bits of [`Address::bits`] that the device takes.
pub const DEVICE_BITS: u64 = 0xf8;

impl Address {
    /// Reads `[DOMAIN:]BUS:DEVICE.FUNCTION`: hexadecimal digits of any case, as many as one likes. The domain is 0 where it is not given.
    ///
    /// # Errors
    /// The first thing that is wrong, seen from the left. No other byte is allowed, not even a blank.
    pub fn parse(text: &[u8]) -> Result<Address, Fault> {
        Pattern::parse(text)?.single().ok_or(Fault::Form)
    }

    /// All of it in one number, which orders addresses as `lspci` does: domain, then 8 bits of bus, 5 of device, 3 of function.
    pub const fn bits(self) -> u64 {
        (self.domain as u64) << 16 | (self.bus as u64) << 8 | (self.device as u64) << 3 | self.function as u64
    }

    /// Device and function in 8 bits, as the configuration space has them (`PCI_DEVFN` in `include/uapi/linux/pci.h`).
    pub const fn devfn(self) -> u8 {
        self.device << 3 | self.function
    }

    /// The slot that it is a function of: domain, bus and device in one number.
    pub const fn slot(self) -> u64 {
        self.bits() >> 3
    }

    /// The name of the function in sysfs.
    pub fn text(self) -> Line {
        let mut text = Line::new();
        put!(&mut text, self);
        text
    }

    /// Whether Xen can name it: its domain has at most 16 bits. `pciback` refuses others (`drivers/xen/xen-pciback/pci_stub.c`, `str_to_slot`).
    pub const fn is_known_to_xen(self) -> bool {
        self.domain <= 0xffff
    }
}

/// An address in which `*` may stand for the function, or for device and function: a number, and the bits of it that count. Selectors keep ids and classes in the same form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// [`Address::bits`], 0 where anything goes.
    pub value: u64,
    /// The bits that have to be as in `value`.
    pub mask: u64,
}

impl Pattern {
    /// Reads `[DOMAIN:]BUS:DEVICE.FUNCTION`, where FUNCTION may be `*`, and then DEVICE too; `[DOMAIN:]BUS:DEVICE` is every function of that device.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub fn parse(text: &[u8]) -> Result<Pattern, Fault> {
        let (place, function) = split_once(text, b'.').unwrap_or((text, b"*"));
        let mut fields = split(place, b':');
        let mut next = || fields.next();
        let (domain, bus, device) = match (next(), next(), next(), next()) {
            (Some(bus), Some(device), None, _) => (b"0".as_slice(), bus, device),
            (Some(domain), Some(bus), Some(device), None) => (domain, bus, device),
            _ => return Err(Fault::Form),
        };
        let is_any = function == b"*";
        let (mut value, mut mask) = (0, !0);
        const FIELDS: [(Field, u8); 4] = [(Field::Domain, 32), (Field::Bus, 8), (Field::Device, 5), (Field::Function, 3)];
        for (&text, &(field, bits)) in [domain, bus, device, function].iter().zip(&FIELDS) {
            value <<= bits;
            mask <<= bits;
            // Only device and function may be `*`: the fields of less than 8 bits.
            if !(is_any && text == b"*" && bits < 8) {
                value |= u64::from(number(text, field)?);
                mask |= (1 << bits) - 1;
            }
        }
        Ok(Pattern { value, mask })
    }

    /// The one address that it means, if it has no `*`.
    pub fn single(self) -> Option<Address> {
        let Pattern { value, mask } = self;
        (mask == !0).then_some(Address { domain: (value >> 16) as u32, bus: (value >> 8) as u8, device: (value >> 3) as u8 & 0x1f, function: value as u8 & 7 })
    }
}

impl Show for Pattern {
    fn show(&self, line: &mut Line) {
        let Pattern { value, mask } = *self;
        put!(line, Hex((value >> 16) as u32, 4), ":", Hex((value >> 8) as u32 & 0xff, 2), ":");
        if mask & DEVICE_BITS == 0 {
            put!(line, "*")
        } else {
            put!(line, Hex((value >> 3) as u32 & 0x1f, 2))
        }
        put!(line, ".");
        if mask & FUNCTION_BITS == 0 { put!(line, "*") } else { put!(line, Hex(value as u32 & 7, 1)) }
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
        Pattern { value: self.bits(), mask: !0 }.show(line);
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
            assert_eq!(parse(text).expect(text).text().bytes(), text.as_bytes());
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
            ("03:00.*", Form),
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
            ("03:*.0", Digits(Device)),
        ] {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }
}
