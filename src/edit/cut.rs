//! A text without some of its lines, piece by piece: every other byte stays as it is.

/// Takes lines out of a text that comes in pieces. A line has any length, and its end belongs to
/// it; the last one may have none.
///
/// ```
/// use pciseize::edit::cut::Cut;
///
/// let mut cut = Cut::new(&[2]);
/// let mut stays = Vec::new();
/// for piece in ["one\ntw", "o\nthr", "ee"] {
///     cut.pass(piece.as_bytes(), &mut |part| stays.extend_from_slice(part));
/// }
/// assert_eq!(stays, b"one\nthree");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cut<'l> {
    /// The numbers of the lines that are still to be taken out, in order.
    without: &'l [u32],
    /// The number of the line that the next byte belongs to.
    line: u32,
}

impl<'l> Cut<'l> {
    /// Takes out the lines of these numbers, which count from 1 and are in order.
    pub const fn new(without: &'l [u32]) -> Cut<'l> {
        Cut { without, line: 1 }
    }

    /// Calls `keep` with every part of a piece that stays.
    pub fn pass(&mut self, piece: &[u8], keep: &mut dyn FnMut(&[u8])) {
        let (mut run, mut kept, mut rest) = (piece, 0, piece);
        while !rest.is_empty() {
            let end = rest.iter().position(|&byte| byte == b'\n');
            let length = end.map_or(rest.len(), |end| end + 1);
            let after = rest.get(length..).unwrap_or_default();
            if self.without.first() == Some(&self.line) {
                keep(run.get(..kept).unwrap_or_default());
                (run, kept) = (after, 0);
            } else {
                kept += length;
            }
            rest = after;
            if end.is_some() {
                self.end_line();
            }
        }
        keep(run.get(..kept).unwrap_or_default());
    }

    fn end_line(&mut self) {
        if let Some((first, others)) = self.without.split_first()
            && *first <= self.line
        {
            self.without = others;
        }
        self.line += 1;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec};

    use super::*;

    #[test]
    fn takes_lines_out_and_nothing_else() {
        let long = "x".repeat(5000);
        for (text, without, expected) in [
            ("", &[][..], String::new()),
            ("", &[1], String::new()),
            ("a\nb\nc\n", &[], "a\nb\nc\n".into()),
            ("a\nb\nc\n", &[1], "b\nc\n".into()),
            ("a\nb\nc\n", &[2], "a\nc\n".into()),
            ("a\nb\nc\n", &[1, 2, 3], String::new()),
            ("a\nb\nc", &[3], "a\nb\n".into()),
            ("a\nb\nc", &[1], "b\nc".into()),
            ("a\nb\n", &[3, 9], "a\nb\n".into()),
            ("a\r\n\r\n\0b\r\n", &[1], "\r\n\0b\r\n".into()),
            ("\n\n\n", &[2], "\n\n".into()),
            (
                &std::format!("{long}\nb\n{long}\n{long}"),
                &[2, 3],
                std::format!("{long}\n{long}"),
            ),
        ] {
            // However the text is cut into pieces.
            for size in [1, 2, 3, 999, 4096] {
                let (mut cut, mut stays) = (Cut::new(without), Vec::new());
                for piece in text.as_bytes().chunks(size) {
                    cut.pass(piece, &mut |part| stays.extend_from_slice(part));
                }
                assert_eq!(stays, expected.as_bytes(), "{without:?} {size}");
            }
        }
    }
}
