//! What a function is: vendor, device, subsystem and class, all from one read of `modalias`.

use crate::{
    put,
    text::{Hex, Line, Show},
};

/// The ids and the class of a function, as its configuration space has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Vendor, device, subsystem vendor and subsystem, 16 bits each, the vendor uppermost.
    pub ids: u64,
    /// Class, subclass and programming interface: 24 bits.
    pub class: u32,
}

/// The form of a `modalias`: `#` stands for a hexadecimal digit. The kernel keeps ids in 32 bits, PCI has them in 16.
const FORM: &[u8] = b"pci:v0000####d0000####sv0000####sd0000####bc##sc##i##";

/// Most bytes of a `modalias` that are read. The kernel's have 53 and a newline.
pub const MODALIAS_SIZE: usize = 96;

impl Identity {
    /// Reads a `modalias` attribute, which has the form `pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00` (`drivers/pci/pci-sysfs.c`, `modalias_show`). Reading it touches no hardware.
    /// `None` for anything else.
    pub fn from_modalias(text: &[u8]) -> Option<Identity> {
        let text = text.trim_ascii_end();
        if text.len() != FORM.len() {
            return None;
        }
        // Ids and class have 22 digits, one behind the other in a number of 88 bits.
        let digits = text.iter().zip(FORM).try_fold(0, |digits: u128, (&byte, &form)| match form {
            b'#' => Some(digits << 4 | u128::from((byte as char).to_digit(16)?)),
            _ => (byte == form).then_some(digits),
        })?;
        Some(Identity { ids: (digits >> 24) as u64, class: digits as u32 & 0xff_ffff })
    }

    /// Vendor and device, as `lspci -n` shows them: `8086:10d3`.
    pub const fn model(self) -> impl Show {
        Model(self.ids)
    }

    /// The class in six digits.
    pub const fn class(self) -> Hex {
        Hex(self.class, 6)
    }

    /// Whether it is a bridge of any kind: base class 06. Such a function is never taken, since what is behind it would be lost with it.
    pub const fn is_bridge(self) -> bool {
        self.class >> 16 == 6
    }
}

struct Model(u64);

impl Show for Model {
    fn show(&self, line: &mut Line) {
        put!(line, Hex((self.0 >> 48) as u32, 4), ":", Hex((self.0 >> 32) as u32 & 0xffff, 4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let nic = Identity { ids: 0x8086_10d3_1af4_1100, class: 0x02_0000 };
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
