//! A text cut at separators.
//!
//! *Parts* stand between separators and may be empty: `a,,b` has three. *Pieces* are runs without
//! a separator and are never empty: `a,,b` has two.

/// The parts of a text: see [`split`].
#[derive(Clone)]
pub struct Parts<'t> {
    /// `None` after the last part.
    rest: Option<&'t [u8]>,
    separator: u8,
}

impl<'t> Iterator for Parts<'t> {
    type Item = &'t [u8];

    fn next(&mut self) -> Option<&'t [u8]> {
        let rest = self.rest?;
        let Some((part, after)) = split_once(rest, self.separator) else {
            self.rest = None;
            return Some(rest);
        };
        self.rest = Some(after);
        Some(part)
    }
}

/// The parts of a text between the separators. A text without a separator is one part. Core's
/// `split` is compiled again for every separator.
///
/// ```
/// use pciseize::text::split;
///
/// assert!(split(b"a,,b", b',').eq([b"a".as_slice(), b"", b"b"]));
/// ```
pub const fn split(text: &[u8], separator: u8) -> Parts<'_> {
    Parts {
        rest: Some(text),
        separator,
    }
}

/// The first part of a text.
pub fn first_part(text: &[u8], separator: u8) -> &[u8] {
    split(text, separator).next().unwrap_or_default()
}

/// The last part of a text.
// 400 bytes less of the program: 11 callers would each have a copy.
#[inline(never)]
pub fn last_part(text: &[u8], separator: u8) -> &[u8] {
    split(text, separator).last().unwrap_or_default()
}

/// The text before and after the first separator, if there is one.
pub fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(text.iter().position(|&b| b == separator)?)?;
    Some((before, rest.get(1..)?))
}

/// Whether a byte stands in a text. Core's `contains` links a search for long texts.
pub fn has_byte(text: &[u8], byte: u8) -> bool {
    split_once(text, byte).is_some()
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'t> {
    /// At least one byte.
    pub text: &'t [u8],
    /// Where it begins in the whole text, in bytes from 0.
    pub at: usize,
}

/// The pieces of a text: see [`pieces`].
pub struct Pieces<'t> {
    text: &'t [u8],
    at: usize,
    is_separator: fn(u8) -> bool,
}

impl<'t> Iterator for Pieces<'t> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        let text = next_piece(self.text, &mut self.at, self.is_separator)?;
        Some(Piece {
            text,
            at: self.at - text.len(),
        })
    }
}

/// The pieces of a text: the longest runs of bytes that are no separators.
///
/// ```
/// use pciseize::text::pieces;
///
/// let found = pieces(b", a,,bc,", |byte| matches!(byte, b',' | b' '));
/// assert!(found.map(|piece| (piece.at, piece.text)).eq([(2, b"a".as_slice()), (5, b"bc")]));
/// ```
// 128 bytes less of the program: some 15 callers would each have a copy.
#[inline(never)]
pub fn pieces(text: &[u8], is_separator: fn(u8) -> bool) -> Pieces<'_> {
    Pieces {
        text,
        at: 0,
        is_separator,
    }
}

/// The next piece of a text from `at` on. Then `at` is its end.
pub fn next_piece<'t>(
    text: &'t [u8],
    at: &mut usize,
    is_separator: fn(u8) -> bool,
) -> Option<&'t [u8]> {
    let rest = text.get(*at..)?;
    let start = rest.iter().position(|&b| !is_separator(b))?;
    let rest = rest.get(start..)?;
    let length = rest
        .iter()
        .position(|&b| is_separator(b))
        .unwrap_or(rest.len());
    *at += start + length;
    rest.get(..length)
}

/// A column of a line, counted from 0: its columns are apart by blanks. Empty where there is none.
pub fn column(line: &[u8], number: usize) -> &[u8] {
    let mut columns = pieces(line, |byte| matches!(byte, b' ' | b'\t'));
    columns.nth(number).map_or(b"", |piece| piece.text)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn cuts_into_parts() {
        for (text, parts) in [
            ("", [""].as_slice()),
            ("a", &["a"]),
            ("a/b", &["a", "b"]),
            ("/a//b/", &["", "a", "", "b", ""]),
        ] {
            let found: Vec<_> = split(text.as_bytes(), b'/').collect();
            let expected: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(found, expected, "{text}");
            assert_eq!(first_part(text.as_bytes(), b'/'), expected[0], "{text}");
            assert_eq!(
                Some(&last_part(text.as_bytes(), b'/')),
                expected.last(),
                "{text}"
            );
        }
    }

    #[test]
    fn cuts_lines_into_columns() {
        let line = b"eth0\t00000000\t0102A8C0  0003";
        for (number, text) in [(0, "eth0"), (1, "00000000"), (3, "0003"), (4, "")] {
            assert_eq!(column(line, number), text.as_bytes());
        }
    }

    #[test]
    fn cuts_once() {
        for (text, expected) in [
            ("a", None),
            ("a=b=c", Some(("a", "b=c"))),
            ("=", Some(("", ""))),
            ("a=", Some(("a", ""))),
        ] {
            let expected = expected.map(|(one, other)| (one.as_bytes(), other.as_bytes()));
            assert_eq!(split_once(text.as_bytes(), b'='), expected, "{text}");
        }
    }

    #[test]
    fn cuts_into_pieces() {
        for (text, expected) in [
            ("", [].as_slice()),
            (" , ", &[]),
            ("a", &[(0, "a")]),
            (" ab, c", &[(1, "ab"), (5, "c")]),
            ("a,b ", &[(0, "a"), (2, "b")]),
        ] {
            let found: Vec<_> =
                pieces(text.as_bytes(), |byte| matches!(byte, b' ' | b',')).collect();
            let expected: Vec<_> = expected
                .iter()
                .map(|&(at, text)| Piece {
                    text: text.as_bytes(),
                    at,
                })
                .collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
