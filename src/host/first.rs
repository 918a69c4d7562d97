//! What only the first process does: mounts, and the program that takes its place.

use core::ffi::CStr;

use super::Errno;

/// A file system of the kernel's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// proc, on `/proc`.
    Proc,
    /// sysfs, on `/sys`.
    Sys,
    /// devtmpfs, on `/dev`.
    Dev,
}

impl FileSystem {
    /// Its name for the kernel.
    pub const fn name(self) -> &'static CStr {
        match self {
            FileSystem::Proc => c"proc",
            FileSystem::Sys => c"sysfs",
            FileSystem::Dev => c"devtmpfs",
        }
    }

    /// Where it belongs.
    pub const fn place(self) -> &'static CStr {
        match self {
            FileSystem::Proc => c"/proc",
            FileSystem::Sys => c"/sys",
            FileSystem::Dev => c"/dev",
        }
    }
}

/// What was done for a file system to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounted {
    /// Nothing: it was there.
    Before,
    /// It was mounted.
    Now,
    /// Its folder was made, and it was mounted there.
    InNewFolder,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this status.
    Status(u8),
    /// By this signal.
    Signal(u8),
    /// Not within so many seconds. It was killed, and nobody waits for it any more.
    GivenUp(u32),
    /// It was not begun.
    NotBegun(Errno),
}

/// The work of the first process of an initramfs.
pub trait FirstProcess {
    /// Mounts a file system at its place, unless it is there.
    ///
    /// # Errors
    /// The kernel's.
    fn mount(&mut self, system: FileSystem) -> Result<Mounted, Errno>;

    /// Undoes what [`mount`](FirstProcess::mount) has done. What a process still uses there goes
    /// once nobody uses it.
    fn unmount(&mut self, system: FileSystem, mounted: Mounted);

    /// Does `work` in a child, whose status is what that returns. Whatever becomes of the child,
    /// this process goes on, at the latest after so many seconds as `limit` says, which is asked
    /// again and again. What the child posts for a task, this process can read.
    fn in_child(
        &mut self,
        limit: &dyn Fn(&mut Self) -> u32,
        work: &mut dyn FnMut(&mut Self) -> u8,
    ) -> End;

    /// Whether this process was started by this path.
    fn is_started_as(&self, program: &CStr) -> bool;

    /// Has a program take the place of this process, with all words and the environment that this
    /// one got; the first word is the program. Comes back only if that fails, and says why.
    fn become_program(&mut self, program: &'static CStr) -> Errno;
}
