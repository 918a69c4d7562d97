//! An address in which `*` may stand for fields.
//!
//! ```text
//! pattern = [ DOMAIN ":" ] BUS ":" DEVICE "." ( FUNCTION | "*" )
//!         | [ DOMAIN ":" ] BUS ":" "*" "." "*"
//!         | [ DOMAIN ":" ] BUS ":" ( DEVICE | "*" )      every function
//! ```

use ufmt::{Formatter, uDisplay, uWrite};

use super::{
    Address,
    address::{Fault, Field, show_bus},
};
use crate::{
    show,
    text::{split, split_once},
};

/// One address, all functions of a device, or all devices of a bus.
///
/// ```
/// use pciseize::{pci::{Address, Pattern}, put, text::Line};
///
/// let pattern = Pattern::parse(b"3:0").unwrap();
/// assert_eq!(pattern.address(), None);
/// let mut line = Line::new();
/// put!(&mut line, "{}", pattern);
/// assert_eq!(line.bytes(), b"0000:03:00.*");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// [`Address::bits`], 0 where a `*` stands.
    bits: u64,
    /// The bits that count.
    mask: u64,
}

/// The mask of one address.
const EXACT: u64 = !0;

/// The mask of all functions of a device.
const ANY_FUNCTION: u64 = !0x07;

/// The mask of all devices of a bus.
const ANY_DEVICE: u64 = !0xff;

impl Pattern {
    /// Whether it means one function, or those of one device.
    pub const fn is_in_one_slot(self) -> bool {
        self.mask != ANY_DEVICE
    }

    /// The pattern of one address.
    pub const fn exact(address: Address) -> Pattern {
        Pattern {
            bits: address.bits(),
            mask: EXACT,
        }
    }

    /// Reads a pattern.
    ///
    /// # Errors
    /// The first fault from the left. No other byte is allowed, not even a blank.
    pub fn parse(text: &[u8]) -> Result<Pattern, Fault> {
        let (place, function) = split_once(text, b'.').unwrap_or((text, b"*"));
        let mut fields = split(place, b':');
        let (domain, bus, device) =
            match (fields.next(), fields.next(), fields.next(), fields.next()) {
                (Some(bus), Some(device), None, _) => (b"0".as_slice(), bus, device),
                (Some(domain), Some(bus), Some(device), None) => (domain, bus, device),
                _ => return Err(Fault::Form),
            };
        Pattern::from_fields(domain, bus, device, function)
    }

    /// Reads the fields of a pattern.
    pub(super) fn from_fields(
        domain: &[u8],
        bus: &[u8],
        device: &[u8],
        function: &[u8],
    ) -> Result<Pattern, Fault> {
        let mask = match (device, function) {
            (b"*", b"*") => ANY_DEVICE,
            (_, b"*") => ANY_FUNCTION,
            _ => EXACT,
        };
        let domain = Field::Domain.parse(domain)?;
        let bus = Field::Bus.parse(bus)?;
        let device = if mask == ANY_DEVICE {
            0
        } else {
            Field::Device.parse(device)?
        };
        let function = if mask == EXACT {
            Field::Function.parse(function)?
        } else {
            0
        };
        let rest = bus << 8 | device << 3 | function;
        Ok(Pattern {
            bits: u64::from(domain) << 16 | u64::from(rest),
            mask,
        })
    }

    /// The address, where the pattern is one without `*`.
    pub fn address(self) -> Option<Address> {
        (self.mask == EXACT).then_some(Address::from_bits(self.bits))
    }

    /// Whether the address is one of those that the pattern means.
    pub const fn matches(self, address: Address) -> bool {
        address.bits() & self.mask == self.bits
    }

    /// The number that [`Address::bits`] of a matching address has under [`Pattern::mask`].
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// The bits of an address that count.
    pub const fn mask(self) -> u64 {
        self.mask
    }
}

impl uDisplay for Pattern {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let address = Address::from_bits(self.bits);
        if self.mask == EXACT {
            return show!(f, "{}", address);
        }
        show_bus(f, address)?;
        if self.mask == ANY_DEVICE {
            f.write_str("*.*")
        } else {
            show!(f, "{:02x}.*", u32::from(address.devfn() >> 3))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{put, text::Line};

    #[test]
    fn prints_what_it_reads() {
        for (text, printed) in [
            ("3:0.1", "0000:03:00.1"),
            ("03:00.*", "0000:03:00.*"),
            ("1:0a:1f", "0001:0a:1f.*"),
            ("10000:e1:*.*", "10000:e1:*.*"),
        ] {
            let pattern = Pattern::parse(text.as_bytes()).expect(text);
            let mut line = Line::new();
            put!(&mut line, "{}", pattern);
            assert_eq!(line.bytes(), printed.as_bytes(), "{text}");
            assert_eq!(Pattern::parse(line.bytes()), Ok(pattern), "{text}");
        }
    }

    #[test]
    fn matches_what_it_means() {
        for (pattern, address, expected) in [
            ("03:00.1", "03:00.1", true),
            ("03:00.1", "03:00.0", false),
            ("03:00.*", "03:00.7", true),
            ("03:00", "03:01.0", false),
            ("03:*.*", "03:1f.7", true),
            ("03:*.*", "04:00.0", false),
            ("1:03:*.*", "03:00.0", false),
        ] {
            let address = Address::parse(address.as_bytes()).expect(address);
            let parsed = Pattern::parse(pattern.as_bytes()).expect(pattern);
            assert_eq!(parsed.matches(address), expected, "{pattern}");
            assert_eq!(
                parsed.address() == Some(address),
                pattern == "03:00.1" && expected
            );
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, fault) in [
            ("*", Fault::Form),
            ("*:00.*", Fault::Digits(Field::Bus)),
            ("03:*.0", Fault::Digits(Field::Device)),
            ("03:00.**", Fault::Digits(Field::Function)),
        ] {
            assert_eq!(Pattern::parse(text.as_bytes()), Err(fault), "{text}");
        }
    }
}
