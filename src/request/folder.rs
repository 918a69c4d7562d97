//! The files of a folder of drop-ins.

use heapless::Vec;

use super::{Fault, Request};
use crate::{
    host::{Errno, Host, Path},
    put,
    text::{Either, Line},
};

/// The name of a file: at most as many bytes as Linux allows (`NAME_MAX`).
type FileName = Vec<u8, 255>;

/// Calls `visit` with the path of every `*.conf` in the folder, in byte order. A folder that is not there is an empty one; one that cannot be read is a problem.
pub(super) fn each<H: Host>(request: &mut Request, host: &mut H, folder: &str, visit: &mut dyn FnMut(&mut Request, &mut H, Path)) {
    let mut name = FileName::new();
    let errno = loop {
        match next_name(host, folder, &mut name) {
            Ok(true) => {}
            Ok(false) | Err(Errno::ENOENT) => return,
            Err(errno) => break errno,
        }
        let mut path = Line::new();
        put!(&mut path, Either(folder), "/");
        path.push(&name);
        visit(request, host, path.bytes());
    };
    if let Some(source) = request.open(folder.as_bytes()) {
        request.source_problem(source, Fault::Unreadable(errno));
    }
}

/// Replaces a name by the one that follows in byte order, if there is one. The folder is read anew each time, so that the number of its files needs no memory.
fn next_name<H: Host>(host: &mut H, folder: &str, name: &mut FileName) -> Result<bool, Errno> {
    let mut next = FileName::new();
    host.list(folder.as_bytes(), &mut |_, entry| {
        if entry.ends_with(b".conf") && entry > name.as_slice() && (next.is_empty() || entry < next.as_slice()) {
            // A name that the file system has fits.
            next.clear();
            let _ = next.extend_from_slice(entry);
        }
    })?;
    *name = next;
    Ok(!name.is_empty())
}
