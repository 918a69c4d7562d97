//! What a function is: vendor, device, subsystem and class, all from one read of `modalias`.

/// The ids and the class of a function, as its configuration space has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        let ids = (digits >> 24) as u64;
        Some(Identity {
            vendor: (ids >> 48) as u16,
            device: (ids >> 32) as u16,
            subvendor: (ids >> 16) as u16,
            subdevice: ids as u16,
            class: digits as u32 & 0xff_ffff,
        })
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
