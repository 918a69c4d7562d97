//! The one writer of the program.
//!
//! Values implement ufmt's `uDisplay` and are written into a [`Line`]. `core::fmt` can panic, and
//! ufmt compiles its formatting again for every further type of writer, so there is only this one.

use core::convert::Infallible;

use heapless::Vec;
use ufmt::{uDisplay, uWrite};

use crate::put;

/// Most bytes of a [`Line`]: room for a message with a path whose every byte is escaped. Less than
/// a page, so that a line on the stack needs no probe of the pages that it takes.
pub const LINE_SIZE: usize = 3072;

/// Text that is collected before it is given out whole: a line for people, a piece of JSON.
///
/// ```
/// use pciseize::{put, text::Line};
///
/// let mut line = Line::new();
/// put!(&mut line, "{} of {} seized", 2, 3);
/// assert_eq!(line.bytes(), b"2 of 3 seized");
/// ```
pub struct Line {
    bytes: Vec<u8, LINE_SIZE>,
    quoting: Quoting,
}

/// The last bytes of a [`Line`], which no JSON string gets: room for what has to follow it.
const ROOM_TO_CLOSE: usize = 64;

/// Whether a JSON string is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Off,
    On,
}

impl Line {
    /// An empty line.
    // 240 bytes less of the program: some 40 callers would each have a copy.
    #[inline(never)]
    pub const fn new() -> Line {
        Line {
            bytes: Vec::new(),
            quoting: Quoting::Off,
        }
    }

    /// The text so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Removes all text.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Removes the blanks at the end.
    pub fn trim_end(&mut self) {
        while self.bytes.last() == Some(&b' ') {
            self.bytes.pop();
        }
    }

    /// Adds a value as a JSON string (RFC 8259). No value shows a control character, so only `"`
    /// and `\` need escaping.
    ///
    /// ```
    /// use pciseize::text::{Escaped, Line};
    ///
    /// let mut line = Line::new();
    /// line.quote(Escaped(b"a \"b\""));
    /// assert_eq!(line.bytes(), br#""a \"b\"""#);
    /// ```
    pub fn quote(&mut self, value: impl uDisplay) {
        let begin = self.begin_string();
        put!(self, "{}", value);
        self.end_string(begin);
    }

    /// Begins a JSON string. Gives back where.
    fn begin_string(&mut self) -> usize {
        self.push(b"\"");
        self.quoting = Quoting::On;
        self.bytes.len()
    }

    /// Ends a JSON string that began there.
    fn end_string(&mut self, begin: usize) {
        self.quoting = Quoting::Off;
        if self.bytes.len() > LINE_SIZE - ROOM_TO_CLOSE {
            self.cut(begin);
        }
        self.push(b"\"");
    }

    /// Cuts a JSON string that leaves no room for what has to follow it. It then ends in `~`.
    #[cold]
    fn cut(&mut self, begin: usize) {
        self.bytes.truncate(begin.max(LINE_SIZE - ROOM_TO_CLOSE));
        // The first half of an escape would be one with what follows.
        while self.bytes.len() > begin && self.bytes.last() == Some(&b'\\') {
            self.bytes.pop();
        }
        self.push(b"~");
    }

    /// Adds bytes. A line that they overflow ends in `~`.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.quoting == Quoting::On && matches!(byte, b'"' | b'\\') {
                let _ = self.bytes.push(b'\\');
            }
            if self.bytes.push(byte).is_err() {
                self.bytes.pop();
                let _ = self.bytes.push(b'~');
            }
        }
    }
}

impl Default for Line {
    fn default() -> Line {
        Line::new()
    }
}

impl uWrite for Line {
    type Error = Infallible;

    fn write_str(&mut self, text: &str) -> Result<(), Infallible> {
        self.push(text.as_bytes());
        Ok(())
    }

    // ufmt's own goes through uninitialized memory.
    fn write_char(&mut self, c: char) -> Result<(), Infallible> {
        self.push(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}

/// Adds formatted text to a line: `put!(&mut line, "{} seized", address)`.
#[macro_export]
macro_rules! put {
    ($line:expr, $($piece:tt)+) => {{
        let line: &mut $crate::text::Line = $line;
        let Ok(()) = ufmt::uwrite!(line, $($piece)+);
    }};
}

/// Formats inside an implementation of `uDisplay`: `show!(f, "{}:{}", bus, device)`.
#[macro_export]
macro_rules! show {
    ($f:expr, $($piece:tt)+) => { ufmt::uwrite!($f, $($piece)+) };
}

/// Says one line to the people who watch: `say!(host, Level::Info, "{} seized", address)`.
#[macro_export]
macro_rules! say {
    ($host:expr, $level:expr, $($piece:tt)+) => {{
        let mut line = $crate::text::Line::new();
        $crate::put!(&mut line, $($piece)+);
        $host.say($level, &line);
    }};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Escaped;

    fn line_of(shown: impl uDisplay) -> Line {
        let mut line = Line::new();
        put!(&mut line, "{}", shown);
        line
    }

    #[test]
    fn quotes_for_json() {
        let mut line = Line::new();
        line.quote(Escaped(b"a\"\\\n\xff"));
        line.push(b"\"");
        assert_eq!(line.bytes(), br#""a\"\\\\x0a\\xff"""#);
    }

    #[test]
    fn marks_a_line_that_is_full() {
        assert_eq!(
            line_of(Escaped(&[b'x'; LINE_SIZE])).bytes(),
            [b'x'; LINE_SIZE]
        );
        let line = line_of(Escaped(&[b'x'; LINE_SIZE + 1]));
        assert_eq!(
            (line.bytes().len(), line.bytes().last()),
            (LINE_SIZE, Some(&b'~'))
        );
    }

    /// What follows a string that is too long still makes JSON of it.
    #[test]
    fn closes_a_string_that_has_no_room() {
        for text in [&b"x"[..], b"\"", b"\\"] {
            for before in 0..3 {
                let mut line = Line::new();
                (0..before).for_each(|_| line.push(b" "));
                line.quote(Escaped(&text.repeat(LINE_SIZE)));
                line.push(b"]");
                let end = line.bytes().rchunks(3).next();
                assert_eq!(end, Some(&b"~\"]"[..]), "{text:?} {before}");
                assert!(line.bytes().len() < LINE_SIZE, "{text:?} {before}");
            }
        }
    }

    #[test]
    fn writes_numbers_and_characters() {
        let mut line = Line::new();
        put!(
            &mut line,
            "{:04x} {:02x} {:x} {} {}",
            0x10de_u32,
            0x12345_u32,
            0_u8,
            u32::MAX,
            'é'
        );
        assert_eq!(line.bytes(), "10de 12345 0 4294967295 é".as_bytes());
    }

    #[test]
    fn drops_blanks_at_the_end() {
        for (text, expected) in [("", ""), ("  ", ""), (" a b  ", " a b"), ("a", "a")] {
            let mut line = line_of(text);
            line.trim_end();
            assert_eq!(line.bytes(), expected.as_bytes(), "{text:?}");
        }
    }
}
