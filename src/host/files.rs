//! Files, folders and links.

use core::ops::ControlFlow;

use super::Errno;
use crate::text::trim_end;

/// A path: absolute, bytes as they are, no NUL in them. One that is longer than [`PATH_SIZE`] gives
/// [`Errno::ENAMETOOLONG`]; a shortened path is never opened.
pub type Path<'p> = &'p [u8];

/// Most bytes of a path, its final NUL included: room for a drop-in whose name has the 255 bytes
/// that a file name may have, and for any attribute of a PCI device.
pub const PATH_SIZE: usize = 320;

/// A function that is called with every piece of a file. It says whether it wants the next.
pub type VisitPiece<'v, H> = dyn FnMut(&mut H, &[u8]) -> ControlFlow<()> + 'v;

/// Files and folders of the machine.
///
/// Paths are absolute, as on the machine itself; an implementation may put them below another root.
/// Errors are those of the system call that is named.
pub trait Files {
    /// Reads the file at `path` from `offset` on, until `buffer` is full or the file ends
    /// (`pread(2)`). Fewer bytes than `buffer` holds mean that the file ended.
    fn read<'b>(
        &mut self,
        path: Path,
        offset: u64,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno>;

    /// Reads a value at `path`, as far as `buffer` holds it, without the blanks at its end.
    fn read_value<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        Ok(trim_end(self.read(path, 0, buffer)?))
    }

    /// Reads the file at `path` from its start through one open, and calls `visit` with one piece
    /// after the other until the file ends or `visit` breaks off (`pread(2)`).
    ///
    /// Tables of the kernel, like that of mounts, change while they are read. Through one open what
    /// disappears in the meantime hides no other line (`fs/seq_file.c`, `seq_read_iter`). With an
    /// open for each piece the kernel would count the bytes anew, and the next piece would begin
    /// behind lines that nobody has seen.
    fn stream(&mut self, path: Path, visit: &mut VisitPiece<Self>) -> Result<(), Errno>;

    /// Writes `bytes` into the existing file at `path`, in one `write(2)`: what a sysfs attribute
    /// expects.
    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno>;

    /// Reads the target of the symbolic link at `path` (`readlink(2)`). A target that does not fit
    /// into `buffer` is `ENAMETOOLONG`.
    fn read_link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno>;

    /// Calls `visit` for every name in the folder at `path`, in no particular order, without `.`
    /// and `..` (`getdents64(2)`).
    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno>;

    /// Makes the folder at `path`, mode 0755 (`mkdir(2)`). One that exists already is fine.
    fn make_folder(&mut self, path: Path) -> Result<(), Errno>;

    /// Appends `bytes` to the file at `path`, which is made with mode 0644 if it is not there.
    fn append(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno>;

    /// Gives the file `from` the name `to`, replacing what is there, in one step (`rename(2)`).
    fn rename(&mut self, from: Path, to: Path) -> Result<(), Errno>;

    /// Removes the file at `path` (`unlink(2)`).
    fn remove(&mut self, path: Path) -> Result<(), Errno>;

    /// Makes an empty file at `path`, with mode and owner of the file `like`, or mode 0644 where
    /// that is not there (`open(2)` with O_EXCL, `fchown(2)`, `fchmod(2)`).
    ///
    /// # Errors
    /// `EEXIST` where something is at `path`; `ELOOP` where `like` is a link, `EINVAL` where it is
    /// no plain file. A file that was made may then be left.
    fn create(&mut self, path: Path, like: Path) -> Result<(), Errno>;

    /// Has the kernel write all that it keeps of the file or folder at `path` to the disk
    /// (`fsync(2)`).
    fn sync(&mut self, path: Path) -> Result<(), Errno>;
}
