//! Bytes from anywhere, in a message.

use heapless::Vec;
use ufmt::{Formatter, uDisplay, uWrite};

use crate::{show, text::append};

/// Shows printable ASCII as it is, and every other byte as `\xNN`. So a line stays one line, is
/// UTF-8, and loses no byte.
///
/// ```
/// use pciseize::{put, text::{Escaped, Line}};
///
/// let mut line = Line::new();
/// put!(&mut line, "{}", Escaped(b"a\nb\xff"));
/// assert_eq!(line.bytes(), br"a\x0ab\xff");
/// ```
pub struct Escaped<'t>(pub &'t [u8]);

impl uDisplay for Escaped<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        for &byte in self.0 {
            match byte {
                b' '..=b'~' => f.write_char(byte.into())?,
                _ => show!(f, "\\x{:02x}", u32::from(byte))?,
            }
        }
        Ok(())
    }
}

/// Most bytes of a text that an [`Excerpt`] keeps.
pub const EXCERPT_SIZE: usize = 60;

/// The beginning of a text, kept for a message. A text that was longer is shown with `...`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    bytes: Vec<u8, EXCERPT_SIZE>,
    is_cut: bool,
}

impl Excerpt {
    /// Keeps the first [`EXCERPT_SIZE`] bytes of `text`, and whether there were more.
    // 256 bytes less of the program: every caller would have a copy.
    #[inline(never)]
    pub fn of(text: &[u8]) -> Excerpt {
        let mut excerpt = Excerpt {
            bytes: Vec::new(),
            is_cut: text.len() > EXCERPT_SIZE,
        };
        let start = text.get(..EXCERPT_SIZE).unwrap_or(text);
        let _ = append(&mut excerpt.bytes, start);
        excerpt
    }

    /// The text up to the last word that was kept whole.
    pub fn whole_words(&self) -> &[u8] {
        if !self.is_cut {
            return &self.bytes;
        }
        let end = self
            .bytes
            .iter()
            .rposition(|&byte| byte == b' ')
            .unwrap_or_default();
        self.bytes.get(..end).unwrap_or_default()
    }

    /// Whether the text was empty.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl uDisplay for Excerpt {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(
            f,
            "{}{}",
            Escaped(&self.bytes),
            if self.is_cut { "..." } else { "" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{put, text::Line};

    fn shown(value: impl uDisplay) -> Line {
        let mut line = Line::new();
        put!(&mut line, "{}", value);
        line
    }

    #[test]
    fn hides_nothing_and_stays_one_line() {
        for (bytes, expected) in [
            (b"".as_slice(), ""),
            (b" a~", " a~"),
            ("a é".as_bytes(), r"a \xc3\xa9"),
            (b"a\n\xff\x1b[1m\x7f", r"a\x0a\xff\x1b[1m\x7f"),
        ] {
            assert_eq!(shown(Escaped(bytes)).bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn marks_a_text_that_was_cut() {
        let (whole, cut) = ([b'x'; EXCERPT_SIZE], [b'x'; EXCERPT_SIZE + 1]);
        assert_eq!(shown(Excerpt::of(&whole)).bytes(), whole);
        assert_eq!(
            shown(Excerpt::of(&cut)).bytes(),
            [&whole, b"...".as_slice()].concat()
        );
    }

    #[test]
    fn tells_the_words_that_are_whole() {
        let mut text = [b'x'; EXCERPT_SIZE + 1];
        assert_eq!(Excerpt::of(b"a b").whole_words(), b"a b");
        assert_eq!(Excerpt::of(&text).whole_words(), b"");
        text[20] = b' ';
        assert_eq!(Excerpt::of(&text).whole_words(), &text[..20]);
    }
}
