//! Bytes from anywhere, made fit to be shown: one line, valid UTF-8, nothing hidden.

use heapless::Vec;
use ufmt::{uDisplay, uWrite, uwrite};

/// A number in hexadecimal, lower case, at least `width` digits (1 to 8).
///
/// Like [`Decimal`] it stands before ufmt's own formatting, which is compiled into every place that uses it.
#[inline(never)]
pub fn hex(value: u32, width: u8) -> Vec<u8, 8> {
    let mut digits = Vec::new();
    for shift in (0..8).rev() {
        let digit = value >> (4 * shift) & 0xf;
        if !digits.is_empty() || digit != 0 || shift < u32::from(width) {
            // Eight digits fit.
            let _ = digits.push(b"0123456789abcdef".get(digit as usize).copied().unwrap_or_default());
        }
    }
    digits
}

/// Shows [`hex`] digits: value, width.
pub struct Hex(pub u32, pub u8);

impl uDisplay for Hex {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        ascii(&hex(self.0, self.1), f)
    }
}

/// Shows a number in decimal.
pub struct Decimal(pub u32);

impl uDisplay for Decimal {
    #[inline(never)]
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        uwrite!(f, "{}", self.0)
    }
}

/// Writes bytes that are ASCII.
pub fn ascii<W: uWrite + ?Sized>(bytes: &[u8], f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
    bytes.iter().try_for_each(|&byte| f.write_char(byte as char))
}

/// Reads a whole number with digits of `radix` (10 or 16), in any case. `None` for anything else, nothing at all, and what 32 bits do not hold.
pub fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0, |value: u32, &digit| {
        // Asked for a radix that it does not know at compile time, `to_digit` could panic.
        let digit = (digit as char).to_digit(16).filter(|&digit| digit < radix)?;
        value.checked_mul(radix)?.checked_add(digit)
    })
}

/// Shows bytes as text. Control characters and what is not UTF-8 become `\xNN`, so that a line stays one line and every byte can be told.
pub struct Shown<'t>(pub &'t [u8]);

impl uDisplay for Shown<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        let mut rest = self.0;
        while let Some((character, after)) = first_character(rest) {
            match character {
                Ok(character) if !character.is_control() => f.write_char(character)?,
                Ok(control) => uwrite!(f, "\\x{}", Hex(control.into(), 2))?,
                Err(byte) => uwrite!(f, "\\x{}", Hex(byte.into(), 2))?,
            }
            rest = after;
        }
        Ok(())
    }
}

/// The first character of a text that may not be UTF-8, or the first byte where none begins there, and what follows. `None` at the end.
///
/// What the standard `utf8_chunks` does, without the two kilobytes that come with it.
#[inline(never)]
pub fn first_character(text: &[u8]) -> Option<(Result<char, u8>, &[u8])> {
    let (&first, after) = text.split_first()?;
    // The ones at the front of the first byte count the bytes; the shortest form is the only one allowed (RFC 3629).
    let (more, smallest) = match first.leading_ones() {
        0 => return Some((Ok(first.into()), after)),
        2 => (1, 0x80),
        3 => (2, 0x800),
        4 => (3, 0x1_0000),
        _ => return Some((Err(first), after)),
    };
    let decoded = after.split_at_checked(more).and_then(|(bytes, rest)| {
        let lead = u32::from(first) & (0x3f >> more);
        let value = bytes.iter().try_fold(lead, |value, &byte| (byte & 0xc0 == 0x80).then_some(value << 6 | u32::from(byte & 0x3f)))?;
        Some((char::from_u32(value).filter(|_| value >= smallest)?, rest))
    });
    Some(decoded.map_or((Err(first), after), |(character, rest)| (Ok(character), rest)))
}

/// Most bytes of a bad item that are kept to be shown.
pub const EXCERPT_SIZE: usize = 60;

/// The beginning of a text, kept for a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    bytes: Vec<u8, EXCERPT_SIZE>,
    more: bool,
}

impl Excerpt {
    /// Keeps the first [`EXCERPT_SIZE`] bytes of `text`, and that there were more.
    pub fn of(text: &[u8]) -> Excerpt {
        let (start, more) = match text.get(..EXCERPT_SIZE) {
            Some(start) => (start, text.len() > EXCERPT_SIZE),
            None => (text, false),
        };
        Excerpt { bytes: Vec::from_slice(start).unwrap_or_default(), more }
    }

    /// Whether there is anything to show.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl uDisplay for Excerpt {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        uwrite!(f, "{}{}", Shown(&self.bytes), if self.more { "..." } else { "" })
    }
}

/// What follows `prefix`. The standard `strip_prefix` leaves a panic behind where it is not inlined.
pub fn behind<'t>(prefix: &[u8], text: &'t [u8]) -> Option<&'t [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    (start == prefix).then_some(rest)
}

/// Text that is put together before it is given out whole: a line for people, a piece of JSON.
///
/// The one and only writer of the program. `ufmt` compiles its formatting anew for every type that is written to, and each more costs kilobytes.
///
/// Holds what a record of the kernel log may hold (`kernel/printk/printk.c` refuses longer writes with `EINVAL`). No message comes near that; should one, it ends in `...`.
#[derive(Default)]
pub struct Line {
    bytes: Vec<u8, 900>,
}

impl Line {
    /// Makes it empty again.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What was written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl uWrite for Line {
    type Error = core::convert::Infallible;

    #[inline(never)]
    fn write_str(&mut self, text: &str) -> Result<(), Self::Error> {
        // All or nothing keeps the text valid.
        if self.bytes.extend_from_slice(text.as_bytes()).is_err() && !self.bytes.ends_with(b"...") {
            self.bytes.truncate(self.bytes.capacity() - 3);
            let _ = self.bytes.extend_from_slice(b"...");
        }
        Ok(())
    }
}

/// Text from a format string: `line!("{} seized", address)`.
#[macro_export]
macro_rules! line {
    ($($format:tt)*) => {{
        let mut line = $crate::text::Line::default();
        let _ = ufmt::uwrite!(line, $($format)*);
        line
    }};
}

/// Says one line to the people who watch: `say!(host, Level::Info, "{} seized", address)`.
#[macro_export]
macro_rules! say {
    ($host:expr, $level:expr, $($format:tt)*) => {{
        // A place of its own rather than `line!`: moving a line about costs more than making it.
        let mut line = $crate::text::Line::default();
        let _ = ufmt::uwrite!(line, $($format)*);
        $host.say($level, line.bytes());
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_nothing_and_stays_one_line() {
        assert_eq!(line!("{}", Shown("a é".as_bytes())).bytes(), "a é".as_bytes());
        assert_eq!(line!("{}", Shown(b"a\n\xff\x1b[1m")).bytes(), b"a\\x0a\\xff\\x1b[1m");
    }

    #[test]
    fn shows_and_reads_numbers() {
        let line = line!("{} {} {} {}", Hex(0, 4), Hex(0x10de, 4), Hex(0x12345, 2), Decimal(1024));
        assert_eq!(line.bytes(), b"0000 10de 12345 1024");
        assert_eq!(number(b"10De", 16), Some(0x10de));
        assert_eq!(number(b"ffffffff", 16), Some(u32::MAX));
        for (digits, radix) in [("", 10), ("100000000", 16), ("1 ", 10), ("-1", 10), ("a", 10)] {
            assert_eq!(number(digits.as_bytes(), radix), None, "{digits}");
        }
    }

    #[test]
    fn reads_utf_8_as_the_standard_library_does() {
        // Every sequence of two bytes, and of three and four with the bytes at which something changes.
        let edges = [0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xf8, 0xff];
        let check = |bytes: &[u8]| {
            let chunk = bytes.utf8_chunks().next().expect("there are bytes");
            let expected = chunk.valid().chars().next().ok_or(bytes[0]);
            assert_eq!(first_character(bytes).map(|(first, _)| first), Some(expected), "{bytes:x?}");
        };
        for one in 0..=255 {
            for two in 0..=255 {
                check(&[one, two]);
            }
            for two in edges {
                for three in edges {
                    check(&[one, two, three]);
                    edges.iter().for_each(|&four| check(&[one, two, three, four]));
                }
            }
        }
        assert!(first_character(b"").is_none());
    }

    #[test]
    fn says_that_there_was_more() {
        let line = line!("{}|{}", Excerpt::of(&[b'x'; EXCERPT_SIZE]), Excerpt::of(&[b'y'; EXCERPT_SIZE + 1]));
        assert_eq!(line.bytes().len(), 2 * EXCERPT_SIZE + 1 + 3);
        assert!(line.bytes().ends_with(b"y..."));
    }
}
