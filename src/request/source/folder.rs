//! The files of a folder of drop-ins, or of several folders that are read as one.

use heapless::Vec;

use crate::{
    host::{Errno, Files, Path},
    put,
    request::{Fault, Request},
    text::{Line, append},
};

/// The name of a file: at most as many bytes as Linux allows (`NAME_MAX`).
type FileName = Vec<u8, 255>;

/// A function that is called with every file.
type Visit<'v, H> = dyn FnMut(&mut Request, &mut H, Path) + 'v;

/// Most folders that are read as one.
const FOLDERS: usize = 5;

/// Calls `visit` with the path of every `*.conf` in the folders, in byte order of their names. Of
/// two files with one name that in the earlier folder counts. A folder that is not there is empty;
/// one that cannot be read is a problem.
///
/// A name that begins with a dot is passed over, as shells and modprobe do: an editor makes such
/// files while another is edited, and the hooks put none into an image.
pub(super) fn each<H: Files>(
    request: &mut Request,
    host: &mut H,
    folders: &[&str],
    visit: &mut Visit<H>,
) {
    let mut files = Folders::new(folders, |name| {
        name.ends_with(b".conf") && !name.starts_with(b".")
    });
    while let Some(folder) = files.next(host) {
        let mut path = Line::new();
        put!(&mut path, "{}/", folder);
        path.push(&files.name);
        visit(request, host, path.bytes());
    }
    for (folder, errno) in &files.failures {
        if let Some(source) = request.add_source(folder.as_bytes()) {
            request.note_source_problem(source, Fault::Unreadable(*errno));
        }
    }
}

/// Folders that are read as one, and how far they have been read.
pub struct Folders<'f> {
    folders: &'f [&'f str],
    /// Whether a file of this name counts.
    is_meant: fn(&[u8]) -> bool,
    /// The last file that was found.
    pub name: FileName,
    /// The folders that could not be listed, each with the first error.
    failures: Vec<(&'f str, Errno), FOLDERS>,
}

impl<'f> Folders<'f> {
    /// The files of these names in the folders.
    pub fn new(folders: &'f [&'f str], is_meant: fn(&[u8]) -> bool) -> Folders<'f> {
        Folders {
            folders,
            is_meant,
            name: FileName::new(),
            failures: Vec::new(),
        }
    }

    /// Finds the next file in byte order, and the first folder that has it. The folders are listed
    /// again for each name, so that any number of files fits into the memory of one. A folder that
    /// failed once is listed no more.
    pub fn next<H: Files>(&mut self, host: &mut H) -> Option<&'f str> {
        let mut next = FileName::new();
        let mut found = None;
        for &folder in self.folders {
            if self.failures.iter().any(|(failed, _)| *failed == folder) {
                continue;
            }
            let listed = host.list(folder.as_bytes(), &mut |_, name| {
                let is_nearer = next.is_empty() || name < next.as_slice();
                if (self.is_meant)(name) && name > self.name.as_slice() && is_nearer {
                    next.clear();
                    // The file system has no longer name.
                    found = append(&mut next, name).ok().map(|()| folder);
                }
            });
            if let Err(errno) = listed
                && errno != Errno::ENOENT
            {
                // There is room for each folder.
                let _ = self.failures.push((folder, errno));
            }
        }
        self.name = next;
        found
    }
}
