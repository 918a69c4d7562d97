//! Options for `xen-pciback` in `modprobe.d`: `options xen-pciback hide=(03:00.0) passthrough=1`.
//!
//! Who loads a module without kmod has to read them. What they would hide becomes items; the other parameters are handed to the module. See modprobe.d(5).

use super::{Fault, Mistake, Origin, Request, cmdline, folder};
use crate::{
    host::{Errno, Host, Path},
    lines::{self, FILE_SIZE, Line},
};

/// The folders, in the order in which they are read. modprobe itself lets a file in `/etc` hide one of the same name elsewhere; here all count.
const FOLDERS: [&str; 3] = ["/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d"];

/// Reads every file of every folder.
pub(super) fn read_all<H: Host>(request: &mut Request, host: &mut H) {
    for folder in FOLDERS {
        folder::each(request, host, folder, &mut |request, host, path| read(request, host, path));
    }
}

/// Reads one file. It is a source only if it has options for the module.
fn read<H: Host>(request: &mut Request, host: &mut H, path: Path) {
    let mut source = None;
    let mut is_continued = false;
    let result = lines::each(host, path, FILE_SIZE, &mut |_, number, line| {
        let (Line::Whole(text) | Line::TooLong(text)) = line;
        let options = if is_continued { Some(0) } else { options(text) };
        is_continued = false;
        let Some(options) = options else { return };
        source = source.or_else(|| request.open(path));
        let Some(source) = source else { return };
        let origin = Origin { source, line: number, column: 1 };
        match (line, text) {
            (Line::TooLong(_), _) => request.problem(origin, text, Fault::Is(Mistake::LongLine)),
            (_, [text @ .., b'\\']) => {
                is_continued = true;
                cmdline::module_options(request, origin, text, options);
            }
            _ => cmdline::module_options(request, origin, text, options),
        }
    });
    match result {
        Ok(()) => {}
        // Too much to be a configuration, and nothing of the module's was seen in it.
        Err(Errno::EFBIG) if source.is_none() => {}
        Err(errno) => {
            if let Some(source) = source.or_else(|| request.open(path)) {
                request.source_problem(source, Fault::Unreadable(errno));
            }
        }
    }
}

/// Where the options begin in a line that has some for the module.
fn options(line: &[u8]) -> Option<usize> {
    let mut parameters = cmdline::Parameters::of(line);
    let is_options = parameters.next()?.name == b"options" && cmdline::same_name(parameters.next()?.name, b"xen_pciback");
    is_options.then_some(parameters.at)
}
