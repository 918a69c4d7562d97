//! The files of a folder of drop-ins, or of several folders that are read as one.

use heapless::Vec;

use crate::{
    host::{Errno, Files, Path},
    put,
    request::{Fault, Request},
    text::Line,
};

/// The name of a file: at most as many bytes as Linux allows (`NAME_MAX`).
pub(super) type FileName = Vec<u8, 255>;

/// A function that is called with every file.
type Visit<'v, H> = dyn FnMut(&mut Request, &mut H, Path) + 'v;

/// Most folders that are read as one.
const FOLDERS: usize = 5;

/// The folders that could not be listed, each with the first error.
type Failures<'f> = Vec<(&'f str, Errno), FOLDERS>;

/// Calls `visit` with the path of every `*.conf` in the folders, in byte order of their names. Of
/// two files with one name that in the earlier folder counts. A folder that is not there is empty;
/// one that cannot be read is a problem.
pub(super) fn each<H: Files>(
    request: &mut Request,
    host: &mut H,
    folders: &[&str],
    visit: &mut Visit<H>,
) {
    let mut failures = Failures::new();
    let mut name = FileName::new();
    while let Some((next, folder)) = next_file(host, folders, &name, &mut failures) {
        name = next;
        let mut path = Line::new();
        put!(&mut path, "{}/", folder);
        path.push(&name);
        visit(request, host, path.bytes());
    }
    for (folder, errno) in &failures {
        if let Some(source) = request.add_source(folder.as_bytes()) {
            request.note_source_problem(source, Fault::Unreadable(*errno));
        }
    }
}

/// The next `*.conf` in byte order, and the first folder that has it. The folders are listed again
/// for each name, so that any number of files fits into the memory of one. A folder that failed
/// once is listed no more.
///
/// A name that begins with a dot is passed over, as shells and modprobe do: an editor makes such
/// files while another is edited, and the hooks put none into an image.
fn next_file<'f, H: Files>(
    host: &mut H,
    folders: &[&'f str],
    name: &[u8],
    failures: &mut Failures<'f>,
) -> Option<(FileName, &'f str)> {
    let mut next: Option<(FileName, &'f str)> = None;
    for &folder in folders {
        if failures.iter().any(|(failed, _)| *failed == folder) {
            continue;
        }
        let listed = host.list(folder.as_bytes(), &mut |_, entry| {
            let is_nearer = next
                .as_ref()
                .is_none_or(|(next, _)| entry < next.as_slice());
            let is_meant = entry.ends_with(b".conf") && !entry.starts_with(b".");
            if is_meant && entry > name && is_nearer {
                // The file system has no longer name.
                next = FileName::from_slice(entry)
                    .ok()
                    .map(|entry| (entry, folder));
            }
        });
        if let Err(errno) = listed
            && errno != Errno::ENOENT
        {
            // There is room for each folder.
            let _ = failures.push((folder, errno));
        }
    }
    next
}
