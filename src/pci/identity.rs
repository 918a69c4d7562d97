//! What a function is: vendor, device, subsystem and class, all from one read of `modalias`.

use ufmt::{Formatter, uDisplay, uWrite};

use crate::{show, text::trim_end};

/// The ids and the class of a function, as its configuration space has them.
///
/// ```
/// use pciseize::{pci::Identity, put, text::Line};
///
/// let modalias = b"pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00\n";
/// let nic = Identity::from_modalias(modalias).unwrap();
/// let mut line = Line::new();
/// put!(&mut line, "{} class {}", nic.model(), nic.class());
/// assert_eq!(line.bytes(), b"8086:10d3 class 020000");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Vendor, device, subsystem vendor and subsystem device, 16 bits each, the vendor uppermost.
    pub ids: u64,
    /// Class, subclass and programming interface: 24 bits.
    pub class: u32,
}

/// The form of a `modalias`: `#` stands for a hexadecimal digit. The kernel keeps ids in 32 bits,
/// PCI has them in 16.
const FORM: &[u8] = b"pci:v0000####d0000####sv0000####sd0000####bc##sc##i##";

/// Most bytes of a `modalias` that are read. The kernel's have 53 and a newline.
pub const MODALIAS_SIZE: usize = 96;

impl Identity {
    /// Reads a `modalias` attribute (`drivers/pci/pci-sysfs.c`, `modalias_show`). Reading the
    /// attribute touches no hardware. `None` for any other text.
    pub fn from_modalias(text: &[u8]) -> Option<Identity> {
        let text = trim_end(text);
        if text.len() != FORM.len() {
            return None;
        }
        // Ids and class have 22 digits: 64 and 24 bits of one number.
        let digits = text
            .iter()
            .zip(FORM)
            .try_fold(0, |digits: u128, (&byte, &form)| {
                if form == b'#' {
                    return Some(digits << 4 | u128::from((byte as char).to_digit(16)?));
                }
                (byte == form).then_some(digits)
            })?;
        Some(Identity {
            ids: (digits >> 24) as u64,
            class: digits as u32 & 0xff_ffff,
        })
    }

    /// The vendor.
    pub const fn vendor(self) -> Id {
        Id((self.ids >> 48) as u16)
    }

    /// The device.
    pub const fn device(self) -> Id {
        Id((self.ids >> 32) as u16)
    }

    /// The vendor of the subsystem.
    pub const fn subsystem_vendor(self) -> Id {
        Id((self.ids >> 16) as u16)
    }

    /// The device of the subsystem.
    pub const fn subsystem_device(self) -> Id {
        Id(self.ids as u16)
    }

    /// Vendor and device, as `lspci -n` shows them: `8086:10d3`.
    pub const fn model(self) -> impl uDisplay {
        Model(self)
    }

    /// The class in six digits.
    pub const fn class(self) -> impl uDisplay {
        Class(self.class)
    }

    /// Whether the function is a storage controller: base class 01, and those for SD cards (0805)
    /// and Fibre Channel (0c04).
    pub const fn is_storage(self) -> bool {
        self.class >> 16 == 1 || matches!(self.class >> 8, 0x0805 | 0x0c04)
    }

    /// Whether the function is a USB controller: class 0c03.
    pub const fn is_usb(self) -> bool {
        self.class >> 8 == 0x0c03
    }

    /// Whether the function is a network card: base class 02.
    pub const fn is_network(self) -> bool {
        self.class >> 16 == 2
    }

    /// Whether the function is a display: base class 03.
    pub const fn is_display(self) -> bool {
        self.class >> 16 == 3
    }

    /// Whether the function is a bridge of any kind: base class 06. Bridges are never seized: the
    /// devices behind them would be lost with them.
    pub const fn is_bridge(self) -> bool {
        self.class >> 16 == 6
    }
}

/// One id, shown in four digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub u16);

impl uDisplay for Id {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(f, "{:04x}", u32::from(self.0))
    }
}

struct Model(Identity);

impl uDisplay for Model {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(f, "{}:{}", self.0.vendor(), self.0.device())
    }
}

struct Class(u32);

impl uDisplay for Class {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(f, "{:06x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{put, text::Line};

    #[test]
    fn reads_what_the_kernel_writes() {
        let nic = Identity {
            ids: 0x8086_10d3_1af4_1100,
            class: 0x02_0000,
        };
        let text = b"pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00\n";
        assert_eq!(Identity::from_modalias(text), Some(nic));
        assert!(!nic.is_bridge());
        let text = b"pci:v00001B36d0000000Csv00000000sd00000000bc06sc04i00\n";
        assert!(
            Identity::from_modalias(text)
                .expect("a root port")
                .is_bridge()
        );
    }

    #[test]
    fn shows_each_id() {
        let nic = Identity {
            ids: 0x8086_00d3_1af4_0001,
            class: 0x2,
        };
        let mut line = Line::new();
        put!(&mut line, "{} {} ", nic.model(), nic.class());
        put!(&mut line, "{} {} ", nic.vendor(), nic.device());
        put!(
            &mut line,
            "{} {}",
            nic.subsystem_vendor(),
            nic.subsystem_device()
        );
        assert_eq!(line.bytes(), b"8086:00d3 000002 8086 00d3 1af4 0001");
    }

    #[test]
    fn refuses_any_other_text() {
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
