//! What a function is: vendor, device, subsystem and class, all from one read of `modalias`.

use crate::text::{behind, number};

/// The ids and the class of a function, as its configuration space has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Subsystem vendor id.
    pub subvendor: u16,
    /// Subsystem id.
    pub subdevice: u16,
    /// Class, subclass and programming interface: 24 bits.
    pub class: u32,
}

/// Most bytes of a `modalias` that are read. The kernel's have 54 and a newline.
pub const MODALIAS_SIZE: usize = 96;

impl Identity {
    /// Reads a `modalias` attribute, which has the form `pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00` (`drivers/pci/pci-sysfs.c`, `modalias_show`). Reading it touches no hardware.
    /// `None` for anything else.
    pub fn from_modalias(text: &[u8]) -> Option<Identity> {
        let mut rest = behind(b"pci:", text.trim_ascii_end())?;
        let mut field = |mark: &[u8], width: usize| -> Option<u32> {
            let (digits, after) = behind(mark, rest)?.split_at_checked(width)?;
            rest = after;
            number(digits, 16)
        };
        let id = |value: u32| u16::try_from(value).ok();
        let identity = Identity {
            vendor: id(field(b"v", 8)?)?,
            device: id(field(b"d", 8)?)?,
            subvendor: id(field(b"sv", 8)?)?,
            subdevice: id(field(b"sd", 8)?)?,
            class: field(b"bc", 2)? << 16 | field(b"sc", 2)? << 8 | field(b"i", 2)?,
        };
        rest.is_empty().then_some(identity)
    }

    /// Whether it is a bridge of any kind: base class 06. Such a function is never taken, since what is behind it would be lost with it.
    pub const fn is_bridge(self) -> bool {
        self.class >> 16 == 6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let nic = Identity { vendor: 0x8086, device: 0x10d3, subvendor: 0x1af4, subdevice: 0x1100, class: 0x020000 };
        assert_eq!(Identity::from_modalias(b"pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00\n"), Some(nic));
        assert!(!nic.is_bridge());
        let bridge = Identity::from_modalias(b"pci:v00001B36d0000000Csv00000000sd00000000bc06sc04i00\n").expect("a root port");
        assert!(bridge.is_bridge());
    }

    #[test]
    fn refuses_what_it_does_not() {
        for text in [
            "",
            "pci:",
            "usb:v00008086d000010D3",
            "pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00",
            "pci:v0000808Gd000010D3sv00001AF4sd00001100bc02sc00i00",
            "pci:v00018086d000010D3sv00001AF4sd00001100bc02sc00i00",
            "pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00x",
        ] {
            assert_eq!(Identity::from_modalias(text.as_bytes()), None, "{text}");
        }
    }
}
