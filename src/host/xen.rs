//! What Xen and its store tell.

use super::{Errno, Path};

/// Xen, as dom0 can ask it. A machine without Xen has nothing to tell.
pub trait Xen {
    /// The value that xenstore has at a path, which counts from the folder of dom0.
    ///
    /// # Errors
    /// `ENOENT` where there is none; `ETIMEDOUT` where xenstore does not answer within some
    /// seconds; why it cannot be asked.
    fn read_xenstore<'b>(&mut self, _path: Path, _buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        Err(Errno::ENOENT)
    }

    /// The command line that Xen itself was booted with.
    ///
    /// # Errors
    /// `ENAMETOOLONG` with a buffer of less than the 1,024 bytes that Xen fills; why it cannot be
    /// had.
    fn read_xen_cmdline<'b>(&mut self, _buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        Err(Errno::ENOENT)
    }
}
