//! Bytes from anywhere, made fit to be shown: one line, valid UTF-8, nothing hidden.

use heapless::Vec;
use ufmt::{uDisplay, uWrite, uwrite};

/// Shows bytes as text. Control characters and what is not UTF-8 become `\xNN`, so that a line stays one line and every byte can be told.
pub struct Shown<'t>(pub &'t [u8]);

impl uDisplay for Shown<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    uwrite!(f, "\\x{:02x}", character as u32)?;
                } else {
                    f.write_char(character)?;
                }
            }
            for byte in chunk.invalid() {
                uwrite!(f, "\\x{:02x}", *byte)?;
            }
        }
        Ok(())
    }
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

/// Text that is put together before it is given out whole: a line for people, a path, a piece of JSON.
///
/// The one and only writer of the program. `ufmt` compiles its formatting anew for every type that is written to, and each more costs kilobytes.
///
/// Holds what a record of the kernel log may hold (`kernel/printk/printk.c` refuses longer writes with `EINVAL`). No message comes near that; should one, it ends in `...`.
#[derive(Default)]
pub struct Line {
    bytes: Vec<u8, 900>,
}

impl Line {
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
        let line = $crate::line!($($format)*);
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
    fn says_that_there_was_more() {
        let line = line!("{}|{}", Excerpt::of(&[b'x'; EXCERPT_SIZE]), Excerpt::of(&[b'y'; EXCERPT_SIZE + 1]));
        assert_eq!(line.bytes().len(), 2 * EXCERPT_SIZE + 1 + 3);
        assert!(line.bytes().ends_with(b"y..."));
    }
}
