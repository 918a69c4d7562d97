//! Classes of devices, by name or by code.
//!
//! ```text
//! class = NAME                       a word that an administrator would try: "usb", "gpu"
//!       | CC [ SS [ PP ] ]           class, subclass and programming interface: 2 digits each
//! ```
//!
//! Codes are those of the PCI Code and ID Assignment Specification; `lspci -nn` shows them. Names
//! and digits are read in upper or lower case.

use ufmt::{Formatter, uDisplay, uWrite};

use super::fault::{Fault, Mistake};
use crate::{
    show,
    text::{find_word, number},
};

/// A class: a code, and the bits of it that count.
///
/// ```
/// use pciseize::{put, request::syntax::class::Class, text::Line};
///
/// let usb = Class::parse(b"USB").unwrap();
/// assert!(usb.matches(0x0c_0330));
/// let mut line = Line::new();
/// put!(&mut line, "{}", usb);
/// assert_eq!(line.bytes(), b"usb");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    code: u32,
    mask: u32,
}

const BASE_MASK: u32 = 0xff_0000;
const SUB_MASK: u32 = 0xff_ff00;
const EXACT_MASK: u32 = 0xff_ffff;

/// HD audio is 0403, other sound cards are 0401. Digits cannot say both.
const AUDIO: Class = Class {
    code: 0x04_0100,
    mask: 0xff_fd00,
};

const fn base(code: u32) -> Class {
    Class {
        code: code << 16,
        mask: BASE_MASK,
    }
}

const fn sub(code: u32) -> Class {
    Class {
        code: code << 8,
        mask: SUB_MASK,
    }
}

const fn exact(code: u32) -> Class {
    Class {
        code,
        mask: EXACT_MASK,
    }
}

const NAMES: [(&str, Class); 33] = [
    ("storage", base(0x01)),
    ("scsi", sub(0x0100)),
    ("ide", sub(0x0101)),
    ("raid", sub(0x0104)),
    ("sata", sub(0x0106)),
    ("ahci", exact(0x010601)),
    ("sas", sub(0x0107)),
    ("nvme", sub(0x0108)),
    ("network", base(0x02)),
    ("ethernet", sub(0x0200)),
    ("wifi", sub(0x0280)),
    ("display", base(0x03)),
    ("gpu", base(0x03)),
    ("vga", sub(0x0300)),
    ("multimedia", base(0x04)),
    ("video", sub(0x0400)),
    ("audio", AUDIO),
    ("sound", AUDIO),
    ("serial", sub(0x0700)),
    ("sdcard", sub(0x0805)),
    ("firewire", sub(0x0c00)),
    ("usb", sub(0x0c03)),
    ("uhci", exact(0x0c0300)),
    ("ohci", exact(0x0c0310)),
    ("ehci", exact(0x0c0320)),
    ("xhci", exact(0x0c0330)),
    ("usb4", exact(0x0c0340)),
    ("fibre", sub(0x0c04)),
    ("smbus", sub(0x0c05)),
    ("wireless", base(0x0d)),
    ("bluetooth", sub(0x0d11)),
    ("crypto", base(0x10)),
    ("accelerator", base(0x12)),
];

/// All names, in the order of their codes.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|&(name, _)| name)
}

/// The name whose beginning most of a text is, but at least three letters: `usb` for `usbs`.
pub fn nearest(text: &[u8]) -> Option<&'static str> {
    let mut best = None;
    let mut most = 2;
    for name in names() {
        let letters = name.bytes().zip(text);
        let same = letters.take_while(|(own, other)| own == *other).count();
        if same > most {
            best = Some(name);
            most = same;
        }
    }
    best
}

/// The name that says most about the class with this code.
pub fn name(code: u32) -> Option<&'static str> {
    let mut best = None;
    let mut most = 0;
    for &(name, class) in &NAMES {
        if class.matches(code) && class.mask > most {
            best = Some(name);
            most = class.mask;
        }
    }
    best
}

impl Class {
    /// Reads a class.
    ///
    /// # Errors
    /// [`Mistake::NoClass`] for any other text.
    pub fn parse(text: &[u8]) -> Result<Class, Fault> {
        let no_class = Fault::Is(Mistake::NoClass);
        if let Some(class) = find_word(&NAMES, text) {
            return Ok(class);
        }
        let code = number(text, 16).ok_or(no_class)?;
        match text.len() {
            2 => Ok(base(code)),
            4 => Ok(sub(code)),
            6 => Ok(exact(code)),
            _ => Err(no_class),
        }
    }

    /// Whether the class has this code.
    pub const fn matches(self, code: u32) -> bool {
        code & self.mask == self.code
    }

    /// The code of 24 bits, 0 where a bit does not count.
    pub const fn code(self) -> u32 {
        self.code
    }

    /// The bits of a code that count.
    pub const fn mask(self) -> u32 {
        self.mask
    }
}

impl uDisplay for Class {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        if let Some((name, _)) = NAMES.iter().find(|(_, class)| class == self) {
            return f.write_str(name);
        }
        match self.mask {
            BASE_MASK => show!(f, "{:02x}", self.code >> 16),
            SUB_MASK => show!(f, "{:04x}", self.code >> 8),
            _ => show!(f, "{:06x}", self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{put, text::Line};

    #[test]
    fn reads_names_and_codes() {
        for (text, expected) in [
            ("usb", Some(sub(0x0c03))),
            ("USB", Some(sub(0x0c03))),
            ("0c03", Some(sub(0x0c03))),
            ("02", Some(base(2))),
            ("0C0330", Some(exact(0x0c0330))),
            ("sound", Some(AUDIO)),
            ("", None),
            ("c03", None),
            ("usbb", None),
            ("0c03300", None),
            ("~", None),
        ] {
            assert_eq!(Class::parse(text.as_bytes()).ok(), expected, "{text}");
        }
    }

    #[test]
    fn prints_what_reads_back() {
        for (name, class) in NAMES {
            let mut line = Line::new();
            put!(&mut line, "{}", class);
            assert_eq!(Class::parse(line.bytes()), Ok(class), "{name}");
            assert_eq!(Class::parse(name.as_bytes()), Ok(class), "{name}");
        }
    }

    #[test]
    fn names_what_says_most() {
        for (code, expected) in [
            (0x0c_0330, Some("xhci")),
            (0x0c_03fe, Some("usb")),
            (0x04_0100, Some("audio")),
            (0x04_0300, Some("audio")),
            (0x04_8000, Some("multimedia")),
            (0x03_0000, Some("vga")),
            (0x03_8000, Some("display")),
            (0xff_0000, None),
        ] {
            assert_eq!(name(code), expected, "{code:06x}");
        }
    }
}
