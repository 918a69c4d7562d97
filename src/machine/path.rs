//! Paths as the kernel takes them.

use core::ffi::CStr;

use heapless::Vec;
use pciseize::{
    host::{Errno, PATH_SIZE, Path},
    text::append,
};

/// What stands for `/`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// `/` itself.
    Root,
    /// The working folder, which is that of `--root`.
    WorkingFolder,
    /// `/`, which is now the folder of `--root` (`chroot(2)`).
    NewRoot,
}

impl Base {
    /// Whether it is not that of the machine that runs.
    pub fn is_other(self) -> bool {
        self != Base::Root
    }
}

/// A path below a folder: the folder that its last part is in, and that part.
pub struct Parts<'p> {
    /// Relative, and never empty.
    pub folder: &'p [u8],
    /// The last part.
    pub name: &'p [u8],
}

/// The path without a `/` in front: it counts from the working folder. That itself is `.`.
pub fn relative(mut path: Path<'_>) -> Path<'_> {
    while let Some(rest) = path.strip_prefix(b"/") {
        path = rest;
    }
    if path.is_empty() { b"." } else { path }
}

/// Cuts a path below the working folder.
pub fn cut(path: Path<'_>) -> Parts<'_> {
    let path = relative(path);
    let slash = path.iter().rposition(|&byte| byte == b'/');
    let parts = slash.and_then(|slash| path.split_at_checked(slash));
    let Some((folder, name)) = parts else {
        return Parts {
            folder: b".",
            name: path,
        };
    };
    Parts {
        folder,
        name: name.get(1..).unwrap_or_default(),
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
        if append(&mut self.0, bytes).is_err() || self.0.push(0).is_err() {
            return Err(Errno::ENAMETOOLONG);
        }
        CStr::from_bytes_with_nul(&self.0).map_err(|_| Errno::EINVAL)
    }
}
