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

/// What an answer of xenstore has behind its header (`struct xsd_sockmsg`), where it is one to that
/// request.
///
/// # Errors
/// `ENAMETOOLONG` where it is cut off, since there was no room for all of it
/// (`drivers/xen/xenbus/xenbus_dev_frontend.c`, `xenbus_file_read`); the error that it tells.
pub fn check_answer<'a>(request: u32, header: &[u8], text: &'a [u8]) -> Result<&'a [u8], Errno> {
    let number = |at| header.get(at..).and_then(|rest| rest.first_chunk());
    if number(0) == Some(&request.to_ne_bytes()) {
        let is_complete = number(12) == Some(&(text.len() as u32).to_ne_bytes());
        return if is_complete {
            Ok(text)
        } else {
            Err(Errno::ENAMETOOLONG)
        };
    }
    // Any other type is an error, whose name follows (`xsd_errors`). Mostly there is no such path.
    let known = [
        (b"ENOENT".as_slice(), Errno::ENOENT),
        (b"EACCES", Errno::EACCES),
        // A folder has more names than an answer has room for.
        (b"E2BIG", Errno::E2BIG),
    ];
    let named = known.iter().find(|(name, _)| text.starts_with(name));
    Err(named.map_or(Errno::EIO, |&(_, errno)| errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Line;

    #[test]
    fn takes_no_answer_that_is_cut_off() {
        // XS_READ; 16 is XS_ERROR.
        let read = 2_u32;
        for (kind, length, text, expected) in [
            (read, 3_u32, "gpu", Ok("gpu")),
            (read, 0, "", Ok("")),
            (read, 4, "gpu", Err(Errno::ENAMETOOLONG)),
            (16, 7, "ENOENT\0", Err(Errno::ENOENT)),
            (16, 7, "EACCES\0", Err(Errno::EACCES)),
            (16, 6, "E2BIG\0", Err(Errno::E2BIG)),
            (16, 7, "ENOSPC\0", Err(Errno::EIO)),
        ] {
            let mut header = Line::new();
            for number in [kind, 0, 0, length] {
                header.push(&number.to_ne_bytes());
            }
            let answer = check_answer(read, header.bytes(), text.as_bytes());
            assert_eq!(answer, expected.map(str::as_bytes), "{text}");
        }
    }
}
