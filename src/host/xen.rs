//! What Xen and its store tell.

use super::{Errno, Path};

/// Whether Xen keeps guests apart that have devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iommu {
    /// It uses an IOMMU.
    Used,
    /// The machine has none, or it is switched off.
    NotUsed,
}

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

    /// The names below a path of xenstore, each with a NUL behind it, in no particular order.
    ///
    /// # Errors
    /// As [`Xen::read_xenstore`]; `ENAMETOOLONG` where `buffer` is too small; never `ENOENT` where
    /// there is no xenstore at all.
    fn list_xenstore<'b>(&mut self, _path: Path, _buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        Err(Errno::ENXIO)
    }

    /// Writes a value in xenstore, with all of the path that is missing.
    ///
    /// # Errors
    /// Why it cannot be written.
    fn write_xenstore(&mut self, _path: Path, _value: &[u8]) -> Result<(), Errno> {
        Err(Errno::ENXIO)
    }

    /// Removes a path from xenstore, and what is below it.
    ///
    /// # Errors
    /// As [`Xen::read_xenstore`].
    fn remove_xenstore(&mut self, _path: Path) -> Result<(), Errno> {
        Err(Errno::ENXIO)
    }

    /// The command line that Xen itself was booted with.
    ///
    /// # Errors
    /// `ENAMETOOLONG` with a buffer of less than the 1,024 bytes that Xen fills; why it cannot be
    /// had.
    fn read_xen_cmdline<'b>(&mut self, _buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        Err(Errno::ENOENT)
    }

    /// Whether Xen uses an IOMMU.
    ///
    /// # Errors
    /// `EACCES` where this Xen has a form of the answer that is not known; why it cannot be asked.
    fn read_iommu(&mut self) -> Result<Iommu, Errno> {
        Err(Errno::ENOENT)
    }
}
