//! Paths as the kernel takes them.

use core::ffi::CStr;

use heapless::Vec;
use pciseize::host::{Errno, PATH_SIZE, Path};

/// What stands for `/`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// `/` itself.
    Root,
    /// The working folder, which is that of `--root`.
    WorkingFolder,
}

impl Base {
    /// Spells a path below this base, in a buffer.
    ///
    /// # Errors
    /// As [`Buffer::spell`].
    pub fn spell<'b>(self, mut path: Path, buffer: &'b mut Buffer) -> Result<&'b CStr, Errno> {
        if self == Base::WorkingFolder {
            // Without a `/` in front a path counts from the working folder.
            while let Some(rest) = path.strip_prefix(b"/") {
                path = rest;
            }
        }
        buffer.spell(path)
    }
}

/// Room for bytes and the NUL behind them. Filled in place: a buffer is too large to be moved.
pub struct Buffer(Vec<u8, PATH_SIZE>);

impl Buffer {
    /// Empty.
    pub const fn new() -> Buffer {
        Buffer(Vec::new())
    }

    /// The bytes as a C string.
    ///
    /// # Errors
    /// `ENAMETOOLONG` where they do not fit; `EINVAL` where a NUL within would end them early.
    pub fn spell(&mut self, bytes: &[u8]) -> Result<&CStr, Errno> {
        if self.0.extend_from_slice(bytes).is_err() || self.0.push(0).is_err() {
            return Err(Errno::ENAMETOOLONG);
        }
        CStr::from_bytes_with_nul(&self.0).map_err(|_| Errno::EINVAL)
    }
}
