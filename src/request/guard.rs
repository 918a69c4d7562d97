//! What the image knows to be needed to boot: `/etc/xen/pciback.boot`, one item a line as in the configuration.
//!
//! The hooks write it when an image is made (`pciseize list --boot`): the controllers beneath `/`, `/usr`, `/boot` and swap, each by what it is and where. So a slip in the configuration does not cost the boot, and another
//! machine that boots this image is not kept from anything.

use super::{Fault, ItemId, Origin, Request, file::Entry};
use crate::{
    host::{Errno, Host},
    lines::{self, FILE_SIZE},
};

/// The file.
pub const FILE: &str = "/etc/xen/pciback.boot";

/// Reads it. Those items come first in the request: see [`Request::guards`].
pub(super) fn read<H: Host>(request: &mut Request, host: &mut H) {
    if host.read(FILE.as_bytes(), 0, &mut [0]) == Err(Errno::ENOENT) {
        return;
    }
    let Some(source) = request.open(FILE.as_bytes()) else { return };
    let result = lines::each(host, FILE.as_bytes(), FILE_SIZE, &mut |_, number, line, _| {
        if let Some(entry) = Entry::of(line) {
            let origin = Origin { source, line: number, column: entry.at as u32 + 1 };
            request.selector(origin, entry.text, false, entry.text);
        }
    });
    if let Err(errno) = result {
        request.source_problem(source, Fault::Unreadable(errno));
    }
    request.guards = request.items.len() as ItemId;
}
