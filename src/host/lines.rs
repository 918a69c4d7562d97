//! A file line by line, in constant memory.

use core::ops::ControlFlow;

use heapless::Vec;

use super::{Errno, Files, Path};
use crate::text::{append, split_once, without_mark};

/// Most bytes of a line, its end not counted.
pub const LINE_SIZE: usize = 1024;

/// Most bytes of a file that are read. A configuration or a report is never that long; a device
/// node, or a file named by mistake, may have no end.
pub const FILE_SIZE: u64 = 64 << 10;

/// A line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLine<'t> {
    /// Its number, from 1.
    pub number: u32,
    /// Its text, without the `\n`. A line of more than [`LINE_SIZE`] bytes is cut.
    pub text: &'t [u8],
    /// Whether `text` is the whole line.
    pub is_whole: bool,
}

/// A function that is called with every line.
pub type Visit<'v, H> = dyn FnMut(&mut H, TextLine) + 'v;

/// Calls `visit` with every line of the file, which is read through one open. The last line needs
/// no `\n`. A byte order mark in front is no part of the first line.
///
/// # Errors
/// The kernel's error when the file cannot be read; `EFBIG` when the file goes on after `limit`
/// bytes, give or take a piece. The lines before the error were visited.
pub fn each<H: Files>(
    host: &mut H,
    path: Path,
    limit: u64,
    visit: &mut Visit<H>,
) -> Result<(), Errno> {
    let mut assembly = Assembly::new();
    let mut length = 0;
    let mut is_too_long = false;
    host.stream(path, &mut |host, mut piece| {
        if length >= limit {
            is_too_long = true;
            return ControlFlow::Break(());
        }
        let is_first = length == 0;
        length += piece.len() as u64;
        if is_first {
            piece = without_mark(piece);
        }
        while let Some((end, after)) = split_once(piece, b'\n') {
            assembly.add(host, end, visit);
            assembly.end(host, visit);
            piece = after;
        }
        assembly.add(host, piece, visit);
        ControlFlow::Continue(())
    })?;
    if is_too_long {
        return Err(Errno::EFBIG);
    }
    if !assembly.line.is_empty() {
        assembly.end(host, visit);
    }
    Ok(())
}

/// A line that is put together from pieces.
struct Assembly {
    line: Vec<u8, LINE_SIZE>,
    /// How many lines were visited.
    number: u32,
    /// Whether the line was too long, and was visited: skip to its end.
    is_skipping: bool,
}

impl Assembly {
    const fn new() -> Assembly {
        Assembly {
            line: Vec::new(),
            number: 0,
            is_skipping: false,
        }
    }

    /// Adds a part of the line. One that becomes too long is visited at once, cut.
    fn add<H>(&mut self, host: &mut H, part: &[u8], visit: &mut Visit<H>) {
        if self.is_skipping || append(&mut self.line, part).is_ok() {
            return;
        }
        let room = LINE_SIZE - self.line.len();
        let _ = append(&mut self.line, part.get(..room).unwrap_or_default());
        self.visit(host, false, visit);
        self.is_skipping = true;
    }

    /// Ends the line.
    fn end<H>(&mut self, host: &mut H, visit: &mut Visit<H>) {
        if !core::mem::take(&mut self.is_skipping) {
            self.visit(host, true, visit);
        }
    }

    fn visit<H>(&mut self, host: &mut H, is_whole: bool, visit: &mut Visit<H>) {
        self.number += 1;
        let line = TextLine {
            number: self.number,
            text: &self.line,
            is_whole,
        };
        visit(host, line);
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String, vec::Vec as List};

    use super::*;
    use crate::host::testing::{Machine, text};

    const FILE: &str = "/f";

    /// Every line of a file: number, length or text, and whether it is whole.
    fn lines_of(content: &str, limit: u64) -> (List<String>, Result<(), Errno>) {
        let mut host = Machine::new();
        host.file(FILE, content);
        let mut lines = List::new();
        let result = each(&mut host, FILE.as_bytes(), limit, &mut |_, line| {
            let text = match line.text.len() {
                ..10 => text(line.text),
                length => format!("{length} bytes"),
            };
            let end = if line.is_whole { "" } else { "..." };
            lines.push(format!("{} {text}{end}", line.number));
        });
        assert_eq!(host.calls_of("read"), [FILE], "one open");
        (lines, result)
    }

    #[test]
    fn cuts_a_file_into_lines() {
        let long = |length| "x".repeat(length);
        for (content, expected) in [
            ("".into(), [].as_slice()),
            ("a".into(), &["1 a"]),
            ("a\n".into(), &["1 a"]),
            ("\n\nb".into(), &["1 ", "2 ", "3 b"]),
            (long(1024) + "\nb", &["1 1024 bytes", "2 b"]),
            (long(1025) + "\nb", &["1 1024 bytes...", "2 b"]),
            (long(5000) + "\nb\n", &["1 1024 bytes...", "2 b"]),
            (long(1025), &["1 1024 bytes..."]),
        ] {
            let (lines, result) = lines_of(&content, FILE_SIZE);
            assert_eq!(lines, expected, "{content}");
            assert_eq!(result, Ok(()), "{content}");
        }
    }

    #[test]
    fn ends_at_the_limit() {
        let (lines, result) = lines_of(&"x\n".repeat(5000), 3000);
        assert_eq!(result, Err(Errno::EFBIG));
        assert!((1500..3000).contains(&lines.len()), "{}", lines.len());
        assert_eq!(lines_of("x\nx", 3).1, Ok(()));
    }

    /// The kernel keeps the place in a table that becomes shorter, where it is read through one
    /// open.
    #[test]
    fn misses_no_line_of_a_table_that_changes() {
        let mut host = Machine::new();
        let rows: List<String> = (0..500).map(|number| format!("row {number}")).collect();
        host.file(FILE, &rows.join("\n"));
        let mut seen = 0;
        let result = each(&mut host, FILE.as_bytes(), FILE_SIZE, &mut |host, line| {
            assert_eq!(text(line.text), format!("row {seen}"));
            seen += 1;
            host.file(FILE, "row 499");
        });
        assert_eq!((result, seen), (Ok(()), 500));
    }
}
