//! A file line by line, in constant memory.

use crate::{
    host::{Errno, Host, Path},
    text::split_once,
};

/// Most bytes of a line, its end not counted.
pub const LINE_SIZE: usize = 1024;

/// Most bytes of a file. More is not read: a configuration or a report never has them, a device node or a mistake may have no end.
pub const FILE_SIZE: u64 = 64 << 10;

/// Is called with the number of a line (from 1), its text, and whether that is all of it.
pub type Visit<'v, H> = dyn FnMut(&mut H, u32, &[u8], bool) + 'v;

/// Calls `visit` with every line of the file, without its `\n`, the last one also when it has no end. Of a line of more than [`LINE_SIZE`] bytes
/// only the beginning is read.
///
/// # Errors
/// The kernel's, when the file cannot be read; `EFBIG` when there is more behind `limit` bytes, give or take a line: what was read until then was visited.
pub fn each<H: Host>(host: &mut H, path: Path, limit: u64, visit: &mut Visit<H>) -> Result<(), Errno> {
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
                visit(host, number, line, true);
            }
            rest = after;
        }
        if text.len() <= LINE_SIZE {
            if !rest.is_empty() && !skipping {
                visit(host, number + 1, rest, true);
            }
            return Ok(());
        }
        let mut taken = text.len() - rest.len();
        if taken == 0 {
            // A buffer full, and no end in it.
            taken = rest.len();
            if !core::mem::replace(&mut skipping, true) {
                number += 1;
                visit(host, number, rest, false);
            }
        }
        offset += taken as u64;
    }
}
