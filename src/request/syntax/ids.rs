//! The ids of a function.
//!
//! ```text
//! ids = [ "pci:" ] VENDOR ":" DEVICE [ ":" SUBVENDOR ":" SUBDEVICE ]
//! ```
//!
//! Each is a hexadecimal number of exactly 4 digits, or `*` for any. After `pci:` a number has any
//! width, and 0 means any too: Xen's tools and the kernel write ids that way.

use ufmt::{Formatter, uDisplay, uWrite};

use super::fault::{Fault, Mistake};
use crate::{
    pci::{Identity, identity::Id},
    show,
    text::{number, split},
};

/// Ids, and which of them count.
///
/// ```
/// use pciseize::{put, request::syntax::ids::Ids, text::Line};
///
/// let ids = Ids::parse(b"pci:10de:0").unwrap();
/// let mut line = Line::new();
/// put!(&mut line, "{}", ids);
/// assert_eq!(line.bytes(), b"10de:*");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// As [`Identity::ids`], 0 where any id goes.
    bits: u64,
    /// The bits that count.
    mask: u64,
}

/// How wide a number is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    FourDigits,
    Any,
}

impl Ids {
    /// Any ids.
    pub const ANY: Ids = Ids { bits: 0, mask: 0 };

    /// Reads ids.
    ///
    /// # Errors
    /// [`Mistake::NoSelector`] for any other text.
    pub fn parse(text: &[u8]) -> Result<Ids, Fault> {
        let no_ids = Fault::Is(Mistake::NoSelector);
        let (fields, width) = match text.strip_prefix(b"pci:") {
            Some(fields) => (fields, Width::Any),
            None => (text, Width::FourDigits),
        };
        let mut ids = Ids::ANY;
        let mut count = 0;
        for field in split(fields, b':') {
            let id = parse_id(field, width).ok_or(no_ids)?;
            ids.bits = ids.bits << 16 | id.bits;
            ids.mask = ids.mask << 16 | id.mask;
            count += 1;
        }
        match count {
            2 => Ok(Ids {
                bits: ids.bits << 32,
                mask: ids.mask << 32,
            }),
            4 => Ok(ids),
            _ => Err(no_ids),
        }
    }

    /// Whether a function with this identity is meant.
    pub const fn matches(self, identity: Identity) -> bool {
        identity.ids & self.mask == self.bits
    }

    /// Whether any ids go.
    pub const fn is_any(self) -> bool {
        self.mask == 0
    }

    /// Whether the vendor counts.
    pub const fn has_vendor(self) -> bool {
        self.mask >> 48 != 0
    }

    /// Whether both vendor and device count.
    pub const fn has_model(self) -> bool {
        self.mask >> 32 == 0xffff_ffff
    }

    /// The number that [`Identity::ids`] of a matching function has under [`Ids::mask`].
    pub const fn bits(self) -> u64 {
        self.bits
    }

    /// The bits of [`Identity::ids`] that count.
    pub const fn mask(self) -> u64 {
        self.mask
    }
}

/// Reads one id, into the lowest bits.
fn parse_id(text: &[u8], width: Width) -> Option<Ids> {
    if text == b"*" {
        return Some(Ids::ANY);
    }
    if width == Width::FourDigits && text.len() != 4 {
        return None;
    }
    let bits = number(text, 16).filter(|&id| id <= 0xffff)?.into();
    if width == Width::Any && bits == 0 {
        return Some(Ids::ANY);
    }
    Some(Ids { bits, mask: 0xffff })
}

/// The subsystem is shown only if it counts.
impl uDisplay for Ids {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let (ids, mask) = (
            *self,
            Identity {
                ids: self.mask,
                class: 0,
            },
        );
        let identity = Identity {
            ids: ids.bits,
            class: 0,
        };
        show_id(f, identity.vendor(), mask.vendor())?;
        f.write_char(':')?;
        show_id(f, identity.device(), mask.device())?;
        if mask.subsystem_vendor() == Id(0) && mask.subsystem_device() == Id(0) {
            return Ok(());
        }
        f.write_char(':')?;
        show_id(f, identity.subsystem_vendor(), mask.subsystem_vendor())?;
        f.write_char(':')?;
        show_id(f, identity.subsystem_device(), mask.subsystem_device())
    }
}

/// Shows one id, or `*` under an empty mask.
fn show_id<W: uWrite + ?Sized>(f: &mut Formatter<'_, W>, id: Id, mask: Id) -> Result<(), W::Error> {
    if mask == Id(0) {
        f.write_char('*')
    } else {
        show!(f, "{}", id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{put, text::Line};

    #[test]
    fn prints_what_it_reads() {
        for (text, printed) in [
            ("10de:1B80", "10de:1b80"),
            ("10de:*", "10de:*"),
            ("*:*", "*:*"),
            ("0000:0000", "0000:0000"),
            ("10de:*:1043:*", "10de:*:1043:*"),
            ("10de:1b80:*:*", "10de:1b80"),
            ("pci:10de:0", "10de:*"),
            ("pci:8086:d:0:1", "8086:000d:*:0001"),
        ] {
            let ids = Ids::parse(text.as_bytes()).expect(text);
            let mut line = Line::new();
            put!(&mut line, "{}", ids);
            assert_eq!(line.bytes(), printed.as_bytes(), "{text}");
            assert_eq!(Ids::parse(line.bytes()), Ok(ids), "{text}");
        }
    }

    #[test]
    fn refuses_any_other_text() {
        for text in [
            "",
            "10de",
            "10de:",
            "10de:1b8",
            "10de:01b80",
            "10de:1b80:1043",
            "10de:1b8g",
            "**:1b80",
            "pci:",
            "pci:10000:1",
            "pci::1",
            "1:2:3:4:5",
            "pci:1:2:3:4:5",
        ] {
            let fault = Fault::Is(Mistake::NoSelector);
            assert_eq!(Ids::parse(text.as_bytes()), Err(fault), "{text}");
        }
    }

    #[test]
    fn matches_what_it_means() {
        let identity = Identity {
            ids: 0x10de_1b80_1043_85aa,
            class: 0,
        };
        for (text, expected) in [
            ("10de:1b80", true),
            ("10de:*", true),
            ("*:1b80", true),
            ("10de:1b81", false),
            ("10de:1b80:1043:*", true),
            ("10de:1b80:1044:*", false),
        ] {
            assert_eq!(
                Ids::parse(text.as_bytes()).expect(text).matches(identity),
                expected
            );
        }
    }
}
