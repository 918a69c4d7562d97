//! Options for `xen-pciback` in `modprobe.d`: `options xen-pciback hide=(03:00.0) passthrough=1`.
//!
//! Who loads a module without kmod has to read them. What they would hide becomes items; the other parameters are handed to the module. See modprobe.d(5).

use super::{Fault, Mistake, Origin, Request, cmdline, folder};
use crate::{
    host::{Host, Path},
    lines::{self, FILE_SIZE},
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
    let result = lines::each(host, path, FILE_SIZE, &mut |_, number, text, is_whole| {
        // modprobe joins lines before it looks at them: what goes on is part of a comment, or of an option that was told.
        let goes_on = text.ends_with(b"\\");
        let was_continued = core::mem::replace(&mut is_continued, goes_on);
        let Some(options) = options(text).filter(|_| !was_continued) else { return };
        source = source.or_else(|| request.open(path));
        let Some(source) = source else { return };
        let origin = Origin { source, line: number, column: 1 };
        if is_whole && !goes_on {
            return cmdline::module_options(request, origin, text, options);
        }
        request.problem(origin, text, Fault::Is(if goes_on { Mistake::Continued } else { Mistake::LongLine }));
        request.lacks_keep = true;
    });
    if let Err(errno) = result
        && let Some(source) = source.or_else(|| request.open(path))
    {
        request.source_problem(source, Fault::Unreadable(errno));
    }
}

/// Where the options begin in a line that has some for the module.
fn options(line: &[u8]) -> Option<usize> {
    let mut parameters = cmdline::Parameters::of(line);
    let is_options = parameters.next()?.name == b"options" && cmdline::same_name(parameters.next()?.name, b"xen_pciback");
    is_options.then_some(parameters.at)
}
