//! A digest of the configuration files, to tell whether two readings saw the same.
//!
//! FNV-1a with 64 bits (Fowler, Noll, Vo). It guards against forgetting to rebuild an image, not against malice.

use crate::{
    put,
    text::{Hex, Line, Show},
};

/// The digest of everything added so far. Shown as 16 hexadecimal digits.
///
/// Kept as its difference from that of nothing, so that a new one is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

/// The digest of nothing.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;

impl Digest {
    /// Of nothing.
    pub const fn new() -> Digest {
        Digest(0)
    }

    /// Takes in a line, and its end.
    #[inline(never)]
    pub fn add(&mut self, line: &[u8]) {
        self.0 = BASIS ^ line.iter().chain(b"\n").fold(self.value(), |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    }

    const fn value(self) -> u64 {
        self.0 ^ BASIS
    }
}

impl Show for Digest {
    fn show(&self, line: &mut Line) {
        put!(line, Hex((self.value() >> 32) as u32, 8), Hex(self.value() as u32, 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_fnv_1a() {
        let mut digest = Digest::new();
        digest.add(b"foobar");
        assert_eq!(digest.value(), 0x345316a7168b8506);
    }
}
