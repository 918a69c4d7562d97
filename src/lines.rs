//! A file line by line, in constant memory.

use crate::{
    host::{Errno, Host, Path},
    text::split_once,
};

/// Most bytes of a line, its end not counted.
pub const LINE_SIZE: usize = 1024;

/// Most bytes of a file. More is not read: a configuration or a report never has them, a device node or a mistake may have no end.
pub const FILE_SIZE: u64 = 64 << 10;

/// A line as [`each`] hands it out.
pub enum Line<'t> {
    /// A whole line without its `\n`.
    Whole(&'t [u8]),
    /// A line of more than [`LINE_SIZE`] bytes: its beginning.
    TooLong(&'t [u8]),
}

/// Calls `visit` with the number (from 1) and text of every line of the file, the last one also when it has no end.
///
/// # Errors
/// The kernel's, when the file cannot be read; `EFBIG` when there is more behind `limit` bytes, give or take a line: what was read until then was visited.
pub fn each<H: Host>(host: &mut H, path: Path, limit: u64, visit: &mut dyn FnMut(&mut H, u32, Line)) -> Result<(), Errno> {
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
        let mut rest = text;
        while let Some((line, after)) = split_once(rest, b'\n') {
            if !core::mem::take(&mut skipping) {
                number += 1;
                visit(host, number, Line::Whole(line));
            }
            rest = after;
        }
        if text.len() <= LINE_SIZE {
            if !rest.is_empty() && !skipping {
                visit(host, number + 1, Line::Whole(rest));
            }
            return Ok(());
        }
        let mut taken = text.len() - rest.len();
        if taken == 0 {
            // A buffer full, and no end in it.
            taken = rest.len();
            if !core::mem::replace(&mut skipping, true) {
                number += 1;
                visit(host, number, Line::TooLong(rest));
            }
        }
        offset += taken as u64;
    }
}
