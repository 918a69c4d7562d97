//! The address of a PCI function.
//!
//! ```text
//! address = [ DOMAIN ":" ] BUS ":" DEVICE "." FUNCTION
//! ```
//!
//! Each field is a hexadecimal number of any width, in upper or lower case. A missing domain is 0.

use heapless::Vec;
use ufmt::{Formatter, uDisplay, uWrite};

use super::Pattern;
use crate::{show, text::number};

/// Where a function is: domain, bus, device, function.
///
/// Printed as the kernel names devices in sysfs (`drivers/pci/probe.c`, `pci_setup_device`):
/// `0000:03:00.1`.
///
/// ```
/// use pciseize::pci::Address;
///
/// let address = Address::parse(b"3:0.1").unwrap();
/// assert_eq!((address.domain(), address.bus(), address.devfn()), (0, 3, 1));
/// assert_eq!(address.text(), b"0000:03:00.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// See [`Address::bits`].
    bits: u64,
}

/// The text of an address: at most `ffffffff:ff:1f.7`.
pub type AddressText = Vec<u8, 16>;

/// The greatest domain that Xen can name: its segments have 16 bits.
pub const GREATEST_SEGMENT: u32 = 0xffff;

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The text does not have the form of an address.
    Form,
    /// A field is empty or holds something other than hexadecimal digits.
    Digits(Field),
    /// A field is greater than [`Field::greatest`].
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
    /// The greatest value of the field.
    pub const fn greatest(self) -> u32 {
        match self {
            Field::Domain => u32::MAX,
            Field::Bus => 0xff,
            Field::Device => 0x1f,
            Field::Function => 7,
        }
    }

    /// Reads the number in the field.
    pub(super) fn parse(self, digits: &[u8]) -> Result<u32, Fault> {
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Fault::Digits(self));
        }
        // More digits than 32 bits hold are a number that is too great.
        number(digits, 16)
            .filter(|&value| value <= self.greatest())
            .ok_or(Fault::Range(self))
    }
}

/// The name of the field, for messages.
impl uDisplay for Field {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        f.write_str(match self {
            Field::Domain => "the domain",
            Field::Bus => "the bus",
            Field::Device => "the device",
            Field::Function => "the function",
        })
    }
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// The first fault from the left. No other byte is allowed, not even a blank.
    pub fn parse(text: &[u8]) -> Result<Address, Fault> {
        Pattern::parse(text)?.address().ok_or(Fault::Form)
    }

    /// The address as one number: domain, then 8 bits of bus, 5 of device, 3 of function. Its order
    /// is that of `lspci`.
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// The address with that number, of which 48 bits count.
    pub const fn from_bits(bits: u64) -> Address {
        Address { bits }
    }

    /// 0 to ffff on most machines. Linux numbers domains that no firmware knows (behind Intel VMD)
    /// from 10000 on. Xen's segments have 16 bits and cannot name those.
    pub const fn domain(self) -> u32 {
        (self.bits >> 16) as u32
    }

    /// 0 to ff.
    pub const fn bus(self) -> u8 {
        (self.bits >> 8) as u8
    }

    /// Device and function in 8 bits, as in configuration space (`PCI_DEVFN` in
    /// `include/uapi/linux/pci.h`).
    pub const fn devfn(self) -> u8 {
        self.bits as u8
    }

    /// The slot of the function: domain, bus and device as one number.
    pub const fn slot(self) -> u64 {
        self.bits() >> 3
    }

    /// The name of the function in sysfs. Every path of an attribute has it, so it is not left to
    /// ufmt, which takes thrice as many instructions.
    pub fn text(self) -> AddressText {
        let mut text = AddressText::new();
        let devfn = u32::from(self.devfn());
        for (before, number, digits) in [
            (None, self.domain(), 4),
            (Some(b':'), self.bus().into(), 2),
            (Some(b':'), devfn >> 3, 2),
            (Some(b'.'), devfn & 7, 1),
        ] {
            for byte in before.into_iter().chain(hexadecimal(number, digits)) {
                // There is room for the longest.
                let _ = text.push(byte);
            }
        }
        text
    }

    /// Whether Xen can name the function: its domain has at most 16 bits. `pciback` refuses others
    /// (`drivers/xen/xen-pciback/pci_stub.c`, `str_to_slot`).
    pub const fn is_known_to_xen(self) -> bool {
        self.domain() <= GREATEST_SEGMENT
    }
}

impl uDisplay for Address {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        // It is ASCII.
        f.write_str(str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// The digits of a number in hexadecimal, at least so many.
fn hexadecimal(number: u32, least: u32) -> impl Iterator<Item = u8> {
    let digits = (u32::BITS - number.leading_zeros()).div_ceil(4).max(least);
    let digit = move |place: u32| char::from_digit(number >> (4 * place) & 0xf, 16);
    (0..digits).rev().filter_map(digit).map(|digit| digit as u8)
}

/// Shows domain and bus of an address: `0000:03:`.
pub(super) fn show_bus<W: uWrite + ?Sized>(
    f: &mut Formatter<'_, W>,
    address: Address,
) -> Result<(), W::Error> {
    // ufmt compiles its digits again for every width of number.
    show!(
        f,
        "{:04x}:{:02x}:",
        address.domain(),
        u32::from(address.bus())
    )
}

/// Shows device and function: `00.1`.
pub(super) fn show_devfn<W: uWrite + ?Sized>(
    f: &mut Formatter<'_, W>,
    devfn: u8,
) -> Result<(), W::Error> {
    let devfn = u32::from(devfn);
    show!(f, "{:02x}.{:x}", devfn >> 3, devfn & 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, Fault> {
        Address::parse(text.as_bytes())
    }

    #[test]
    fn takes_any_width_and_case() {
        let wanted = Address::from_bits(0x0aff);
        for text in [
            "0000:0a:1f.7",
            "0a:1f.7",
            "A:1F.7",
            "0:a:1f.7",
            "00000000:000a:0001F.07",
        ] {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
        let vmd = parse("10000:e1:00.0").expect("a domain of VMD's");
        assert_eq!((vmd.domain(), vmd.is_known_to_xen()), (0x10000, false));
    }

    #[test]
    fn prints_as_the_kernel_does() {
        for text in [
            "0000:0a:1f.7",
            "ffff:00:00.0",
            "10000:e1:00.0",
            "ffffffff:ff:1f.7",
        ] {
            assert_eq!(parse(text).expect(text).text(), text.as_bytes());
        }
    }

    #[test]
    fn goes_through_one_number() {
        for (text, bits) in [
            ("0000:00:00.0", 0),
            ("0000:00:1f.7", 0xff),
            ("0001:02:03.4", 0x1_021c),
            ("ffffffff:ff:1f.7", 0xffff_ffff_ffff),
        ] {
            let address = parse(text).expect(text);
            assert_eq!(
                (address.bits(), Address::from_bits(bits)),
                (bits, address),
                "{text}"
            );
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
