//! Files and folders, relative to `/` or to the folder of `--root`.

use core::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::{
    errno::Errno as Number,
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat},
    sys::{
        stat::{FchmodatFlags, Mode, SFlag, fchmod, fchmodat, fstat, mkdirat},
        uio::pread,
    },
    unistd::{self, Gid, Uid, UnlinkatFlags, fchown, fsync, unlinkat},
};
use pciseize::{
    host::{Errno, Files, Path, VisitPiece},
    text::first_part,
};

use super::{
    Machine,
    path::{Base, Buffer, Parts, cut, relative},
    syscall::{self, own},
};

/// What is done with a folder and a name in it.
type Act<'a> = dyn FnMut(BorrowedFd, &CStr) -> Result<(), Errno> + 'a;

impl Machine {
    /// Opens a file without waiting for anything: a fifo in the place of a configuration has no
    /// content, and that is all.
    ///
    /// Not with `O_CLOEXEC`: nothing is executed while one of these is open.
    pub fn open(&self, path: Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let (mut buffer, flags) = (Buffer::new(), flags | OFlag::O_NONBLOCK);
        let mode = Mode::from_bits_retain(0o644);
        match self.base {
            Base::Root | Base::NewRoot => {
                openat(AT_FDCWD, buffer.spell(path)?, flags, mode).map_err(own)
            }
            Base::WorkingFolder => open_below(buffer.spell(relative(path))?, flags, mode),
        }
    }

    /// Calls `act` with a folder and a name in it, which together mean `path`.
    ///
    /// Below `--root` the folder is opened first, so that no link leads out of the root: the calls
    /// that change a folder know no such limit themselves.
    fn in_folder(&self, path: Path, act: &mut Act) -> Result<(), Errno> {
        let mut buffer = Buffer::new();
        match self.base {
            Base::Root | Base::NewRoot => act(AT_FDCWD, buffer.spell(path)?),
            Base::WorkingFolder => {
                let Parts { folder, name } = cut(path);
                let folder = self.open(folder, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
                act(folder.as_fd(), buffer.spell(name)?)
            }
        }
    }
}

/// Opens a file below the working folder, as if that were the root of all: an absolute link, and
/// one with `..`, stays below it (`openat2(2)`, `RESOLVE_IN_ROOT`, Linux 5.6).
///
/// # Errors
/// `ENOSYS` where the kernel is older.
pub fn open_below(path: &CStr, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
    // The kernel refuses a mode where no file is made.
    let mode = if flags.contains(OFlag::O_CREAT) {
        mode
    } else {
        Mode::empty()
    };
    // It refuses O_NONBLOCK where nothing is opened to be read or written.
    let flags = if flags.contains(OFlag::O_PATH) {
        flags - OFlag::O_NONBLOCK
    } else {
        flags
    };
    let how = OpenHow::new()
        .flags(flags)
        .mode(mode)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    // EAGAIN: something was renamed on this machine at that moment, and the kernel cannot vouch for
    // a `..` on the way (`fs/namei.c`, `handle_dots`). That passes.
    for _ in 1..ATTEMPTS {
        match openat2(AT_FDCWD, path, how) {
            Err(Number::EAGAIN) => {}
            opened => return opened.map_err(own),
        }
    }
    openat2(AT_FDCWD, path, how).map_err(own)
}

/// How often a file below another root is tried to be opened.
const ATTEMPTS: usize = 100;

/// Writes everything into an open file.
pub fn write_all(file: BorrowedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = unistd::write(file, bytes).map_err(own)?;
        bytes = bytes.get(written..).unwrap_or_default();
        if written == 0 {
            return Err(Errno::EIO);
        }
    }
    Ok(())
}

impl Files for Machine {
    fn read<'b>(
        &mut self,
        path: Path,
        offset: u64,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        let file = self.open(path, OFlag::O_RDONLY)?;
        // Once: every file that is read here gives all it has, up to the end of the buffer.
        let length = pread(&file, buffer, offset as i64).map_err(own)?;
        Ok(buffer.get(..length).unwrap_or_default())
    }

    fn stream(&mut self, path: Path, visit: &mut VisitPiece<Self>) -> Result<(), Errno> {
        let file = self.open(path, OFlag::O_RDONLY)?;
        let mut buffer = [0; PIECE_SIZE];
        let mut offset = 0;
        loop {
            // A table of the kernel gives whole entries only, and so fewer bytes than fit: it ends
            // where there are none.
            let length = pread(&file, &mut buffer, offset).map_err(own)?;
            let piece = buffer.get(..length).unwrap_or_default();
            if piece.is_empty() || visit(self, piece).is_break() {
                return Ok(());
            }
            offset += length as i64;
        }
    }

    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        // An attribute ignores the truncation. A plain file below `--root` then holds what was
        // written, and nothing of its old content.
        let file = self.open(path, OFlag::O_WRONLY | OFlag::O_TRUNC)?;
        // sysfs takes a value in one piece. Less than all of it is a failure.
        let written = unistd::write(&file, bytes).map_err(own)?;
        if written == bytes.len() {
            Ok(())
        } else {
            Err(Errno::EIO)
        }
    }

    fn read_link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let mut length = 0;
        self.in_folder(path, &mut |folder, name| {
            length = syscall::read_link(folder, name, buffer)?;
            Ok(())
        })?;
        if length < buffer.len() {
            Ok(buffer.get(..length).unwrap_or_default())
        } else {
            Err(Errno::ENAMETOOLONG)
        }
    }

    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno> {
        let folder = self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut entries = [0; ENTRIES_SIZE];
        loop {
            let length = syscall::read_entries(&folder, &mut entries)?;
            let mut rest = entries.get(..length).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            while let Some(Entry { name, after }) = Entry::first_of(rest) {
                if name != b"." && name != b".." {
                    visit(self, name);
                }
                rest = after;
            }
        }
    }

    fn make_folder(&mut self, path: Path) -> Result<(), Errno> {
        let mode = Mode::from_bits_retain(0o755);
        self.in_folder(
            path,
            &mut |folder, name| match mkdirat(folder, name, mode) {
                // Whatever the umask of whoever calls: others read what is in it.
                Ok(()) => fchmodat(folder, name, mode, FchmodatFlags::FollowSymlink).map_err(own),
                Err(Number::EEXIST) => Ok(()),
                Err(errno) => Err(own(errno)),
            },
        )
    }

    fn append(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        let file = self.open(path, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)?;
        write_all(file.as_fd(), bytes)
    }

    fn rename(&mut self, from: Path, to: Path) -> Result<(), Errno> {
        self.in_folder(from, &mut |old_folder, old| {
            self.in_folder(to, &mut |new_folder, new| {
                renameat(old_folder, old, new_folder, new).map_err(own)
            })
        })
    }

    fn remove(&mut self, path: Path) -> Result<(), Errno> {
        self.in_folder(path, &mut |folder, name| {
            unlinkat(folder, name, UnlinkatFlags::NoRemoveDir).map_err(own)
        })
    }

    fn create(&mut self, path: Path, like: Path) -> Result<(), Errno> {
        let like = match self.open(like, OFlag::O_RDONLY | OFlag::O_NOFOLLOW) {
            Ok(file) => Some(fstat(&file).map_err(own)?),
            Err(Errno::ENOENT) => None,
            Err(errno) => return Err(errno),
        };
        let kind = like.map(|like| SFlag::from_bits_truncate(like.st_mode) & SFlag::S_IFMT);
        if kind.is_some_and(|kind| kind != SFlag::S_IFREG) {
            return Err(Errno::EINVAL);
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let file = self.open(path, flags)?;
        let mut mode = Mode::from_bits_retain(0o644);
        if let Some(like) = like {
            let (user, group) = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
            // The mode comes behind it: another owner takes bits of it away.
            fchown(&file, Some(user), Some(group)).map_err(own)?;
            mode = Mode::from_bits_truncate(like.st_mode);
        }
        fchmod(&file, mode).map_err(own)
    }

    fn sync(&mut self, path: Path) -> Result<(), Errno> {
        let file = self.open(path, OFlag::O_RDONLY)?;
        match fsync(&file) {
            // What knows no such call, as some network file systems for a folder, answers so.
            Err(Number::EINVAL) => Ok(()),
            synced => synced.map_err(own),
        }
    }
}

/// Bytes of a file that are read at once.
const PIECE_SIZE: usize = 4096;

/// Bytes of folder entries that are read at once.
const ENTRIES_SIZE: usize = 4096;

/// An entry of a folder, and what follows it.
struct Entry<'e> {
    name: &'e [u8],
    after: &'e [u8],
}

impl Entry<'_> {
    /// Reads the first `struct linux_dirent64` (`include/linux/dirent.h`): inode and offset take 16
    /// bytes, then come the length of the entry in 2, its type in 1, and its name with a NUL.
    fn first_of(entries: &[u8]) -> Option<Entry<'_>> {
        let length = u16::from_ne_bytes(*entries.get(16..)?.first_chunk()?);
        let (entry, after) = entries.split_at_checked(length.into())?;
        Some(Entry {
            name: first_part(entry.get(19..)?, 0),
            after,
        })
    }
}
