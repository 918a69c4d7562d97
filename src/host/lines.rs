//! A file line by line, in constant memory.

use super::{Errno, Files, Path};
use crate::text::{split_once, without_mark};

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

/// Calls `visit` with every line of the file. The last line needs no `\n`. A byte order mark in
/// front is no part of the first line.
///
/// # Errors
/// The kernel's error when the file cannot be read; `EFBIG` when the file goes on after `limit`
/// bytes, give or take a line. The lines before the error were visited.
pub fn each<H: Files>(
    host: &mut H,
    path: Path,
    limit: u64,
    visit: &mut Visit<H>,
) -> Result<(), Errno> {
    let mut buffer = [0; LINE_SIZE + 1];
    let mut offset = 0;
    let mut number = 0;
    // Inside a line that was too long: skip to its end.
    let mut skipping = false;
    loop {
        let text = host.read(path, offset, &mut buffer)?;
        if text.is_empty() {
            return Ok(());
        }
        if offset >= limit {
            return Err(Errno::EFBIG);
        }
        // Taken away, the mark counts as read: `rest` is shorter than `text`.
        let mut rest = if offset == 0 {
            without_mark(text)
        } else {
            text
        };
        while let Some((line, after)) = split_once(rest, b'\n') {
            if !core::mem::take(&mut skipping) {
                number += 1;
                visit(
                    host,
                    TextLine {
                        number,
                        text: line,
                        is_whole: true,
                    },
                );
            }
            rest = after;
        }
        if text.len() <= LINE_SIZE {
            if !rest.is_empty() && !skipping {
                visit(
                    host,
                    TextLine {
                        number: number + 1,
                        text: rest,
                        is_whole: true,
                    },
                );
            }
            return Ok(());
        }
        let mut taken = text.len() - rest.len();
        if taken == 0 {
            // A buffer full, and no end in it.
            taken = rest.len();
            if !core::mem::replace(&mut skipping, true) {
                number += 1;
                visit(
                    host,
                    TextLine {
                        number,
                        text: rest,
                        is_whole: false,
                    },
                );
            }
        }
        offset += taken as u64;
    }
}
