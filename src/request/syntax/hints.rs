//! What a bad item probably means: `[10de:1b80]` has a good item in it, and `0000:82.0.0` has the
//! digits of an address and the wrong separators.

use heapless::Vec;

use super::selector::{By, Selector};
use crate::{
    pci::{Address, address::Field},
    text::{number, pieces, split_once},
};

/// The good items in a bad one, between brackets, quotes, blanks or commas.
///
/// ```
/// use pciseize::request::syntax::hints::items_within;
///
/// assert!(items_within(b"(03:00.0)(!04:00.0)").eq([b"03:00.0".as_slice(), b"!04:00.0"]));
/// ```
pub fn items_within(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    pieces(text, is_around)
        .map(|piece| piece.text)
        .filter(|piece| {
            let selector = Selector::parse(piece.strip_prefix(b"!").unwrap_or(piece));
            // `03:00,0` has `03:00` in it, which means more than was meant.
            let is_exact = |by| by != By::Address || split_once(piece, b'.').is_some();
            selector.is_ok_and(|selector| is_exact(selector.by()))
        })
}

/// Whether a byte stands around items, not within.
pub const fn is_around(byte: u8) -> bool {
    matches!(
        byte,
        b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b'\'' | b',' | b';' | b'=' | b' '
    )
}

/// The address that a bad item probably means: its digits are right, its separators are not.
///
/// ```
/// use pciseize::request::{Selector, syntax::hints::likely_address};
///
/// assert_eq!(likely_address(b"0000:82.0.0"), Selector::parse(b"0000:82:00.0").ok());
/// assert_eq!(likely_address(b"nonsense"), None);
/// ```
pub fn likely_address(text: &[u8]) -> Option<Selector> {
    let word = pieces(text, |byte| is_around(byte) || byte == b'!')
        .next()?
        .text;
    let may_stand =
        |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.' | b'_' | b'-');
    // A SCSI address ends in a colon.
    if !word.last()?.is_ascii_hexdigit() || !word.iter().all(may_stand) {
        return None;
    }
    let mut fields: Vec<u32, 4> = Vec::new();
    for digits in pieces(word, |byte| !byte.is_ascii_hexdigit()) {
        // A domain has at least four digits. Anything shorter in front is a bus, or of a SCSI
        // address, which then has a number too many.
        if fields.is_empty() && digits.text.len() < 4 {
            fields.push(0).ok()?;
        }
        fields.push(number(digits.text, 16)?).ok()?;
    }
    let &[domain, bus, device, function] = fields.as_slice() else {
        return None;
    };
    let is_in_range = bus <= Field::Bus.greatest()
        && device <= Field::Device.greatest()
        && function <= Field::Function.greatest();
    let (bus, device, function) = (bus as u8, device as u8, function as u8);
    is_in_range.then_some(Selector::at(Address {
        domain,
        bus,
        device,
        function,
    }))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;

    use super::*;

    #[test]
    fn guesses_an_address() {
        for (text, expected) in [
            ("0000:82.0.0", Some("0000:82:00.0")),
            ("!0000:82.0.0", Some("0000:82:00.0")),
            ("0b::00.1", Some("0000:0b:00.1")),
            ("0000.02:00.3", Some("0000:02:00.3")),
            ("0000:03:00:0", Some("0000:03:00.0")),
            ("0000_03_00_1", Some("0000:03:00.1")),
            ("1:0:1:0:", None),
            ("1:0:1:0", None),
            ("100:0:1:0", None),
            ("10.0.0.1", None),
            ("00:1c/00.0", None),
            ("nonsense", None),
            ("feedback", None),
            ("1.2.3.4.5", None),
            ("99:99.9", None),
            ("", None),
        ] {
            let expected = expected.map(|text| Selector::parse(text.as_bytes()).expect(text));
            assert_eq!(likely_address(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn finds_items_within() {
        for (text, expected) in [
            ("[10de:1b80]", ["10de:1b80"].as_slice()),
            ("(!03:00.0)", &["!03:00.0"]),
            ("03:00.0,!04:00.0", &["03:00.0", "!04:00.0"]),
            ("03:00,0", &[]),
            ("03:00.0,04:00.0", &["03:00.0", "04:00.0"]),
            ("0000:08:00.0  e1000e", &["0000:08:00.0"]),
            (
                "options xen-pciback hide=(08:00.0)(09:00.0)",
                &["08:00.0", "09:00.0"],
            ),
            ("nonsense", &[]),
        ] {
            let found: std::vec::Vec<_> = items_within(text.as_bytes())
                .map(String::from_utf8_lossy)
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
