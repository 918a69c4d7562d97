//! The files of a folder of drop-ins.

use heapless::Vec;

use crate::{
    host::{Errno, Files, Path},
    put,
    request::{Fault, Request},
    text::Line,
};

/// The name of a file: at most as many bytes as Linux allows (`NAME_MAX`).
type FileName = Vec<u8, 255>;

/// A function that is called with every file.
type Visit<'v, H> = dyn FnMut(&mut Request, &mut H, Path) + 'v;

/// Calls `visit` with the path of every `*.conf` in the folder, in byte order. A folder that is not
/// there is empty; one that cannot be read is a problem.
pub(super) fn each<H: Files>(
    request: &mut Request,
    host: &mut H,
    folder: &str,
    visit: &mut Visit<H>,
) {
    let mut name = FileName::new();
    let errno = loop {
        match next_name(host, folder, &name) {
            Ok(Some(next)) => name = next,
            Ok(None) | Err(Errno::ENOENT) => return,
            Err(errno) => break errno,
        }
        let mut path = Line::new();
        put!(&mut path, "{}/", folder);
        path.push(&name);
        visit(request, host, path.bytes());
    };
    if let Some(source) = request.add_source(folder.as_bytes()) {
        request.note_source_problem(source, Fault::Unreadable(errno));
    }
}

/// The name of the next `*.conf` in byte order. The folder is listed again for each name, so that
/// any number of files fits into the memory of one.
fn next_name<H: Files>(host: &mut H, folder: &str, name: &[u8]) -> Result<Option<FileName>, Errno> {
    let mut next = None;
    host.list(folder.as_bytes(), &mut |_, entry| {
        let is_nearer = next
            .as_ref()
            .is_none_or(|next: &FileName| entry < next.as_slice());
        if entry.ends_with(b".conf") && entry > name && is_nearer {
            // The file system has no longer name.
            next = FileName::from_slice(entry).ok();
        }
    })?;
    Ok(next)
}
