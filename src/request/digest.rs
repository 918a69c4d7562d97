//! A digest of the configuration files: two readings with the same digest read the same text.
//!
//! It covers what an image has a copy of: `/etc/xen/pciback.conf`, its drop-ins, and the options
//! for `xen-pciback` in `modprobe.d`, but for `/run`.
//!
//! FNV-1a with 64 bits (Fowler, Noll, Vo). It reveals an image that was not rebuilt; it is no
//! protection against malice.

use ufmt::{Formatter, uDisplay, uWrite};

use crate::show;

/// The digest of every line added so far, shown as 16 hexadecimal digits.
///
/// ```
/// use pciseize::{put, request::digest::Digest, text::Line};
///
/// let mut digest = Digest::new();
/// digest.add(b"foobar");
/// let mut line = Line::new();
/// put!(&mut line, "{}", digest);
/// assert_eq!(line.bytes(), b"345316a7168b8506");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// The digest XOR that of nothing, so that a new one is zero.
    difference: u64,
}

/// The digest of nothing.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

const PRIME: u64 = 0x100_0000_01b3;

impl Digest {
    /// The digest of nothing.
    pub const fn new() -> Digest {
        Digest { difference: 0 }
    }

    /// Adds a line and its end.
    pub fn add(&mut self, line: &[u8]) {
        self.add_bytes(line);
        self.add_bytes(b"\n");
    }

    /// Adds a part of a text.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let value = bytes.iter().fold(self.value(), |sum, &byte| {
            (sum ^ u64::from(byte)).wrapping_mul(PRIME)
        });
        self.difference = value ^ BASIS;
    }

    const fn value(self) -> u64 {
        self.difference ^ BASIS
    }
}

impl uDisplay for Digest {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        // ufmt compiles its digits again for every width of number.
        let (high, low) = ((self.value() >> 32) as u32, self.value() as u32);
        show!(f, "{:08x}{:08x}", high, low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{put, text::Line};

    #[test]
    fn is_fnv_1a() {
        for (lines, expected) in [
            ([].as_slice(), "cbf29ce484222325"),
            (&["foobar"], "345316a7168b8506"),
            (&["foo", "bar"], "fbf699f6cd737096"),
        ] {
            let mut digest = Digest::new();
            lines.iter().for_each(|line| digest.add(line.as_bytes()));
            let mut line = Line::new();
            put!(&mut line, "{}", digest);
            assert_eq!(line.bytes(), expected.as_bytes(), "{lines:?}");
        }
    }
}
