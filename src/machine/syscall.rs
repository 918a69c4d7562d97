//! System calls that nix cannot make without a heap or a panic path, one typed safe function each.
//!
//! "Tripwire" is what the linker script `static.ld` says when such a path gets into the program.

use core::{
    ffi::{CStr, c_char, c_int, c_long},
    mem::MaybeUninit,
    num::NonZeroUsize,
    ops::RangeInclusive,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::{
    errno::Errno as Number,
    fcntl::{FcntlArg, fcntl},
    libc,
    sys::{
        mman::{MapFlags, ProtFlags, mmap_anonymous},
        signal::{SigSet, Signal},
        statfs::{FsType, TMPFS_MAGIC},
    },
    unistd::{ForkResult, Pid},
};
use pciseize::host::{ARGUMENTS, Errno};

/// The library's errno. nix knows errnos by name only and turns others into 0; of those the C
/// library still has the number.
pub fn own(errno: Number) -> Errno {
    Errno(if errno == Number::UnknownErrno {
        Number::last_raw()
    } else {
        errno as i32
    })
}

/// Standard output.
pub fn stdout() -> BorrowedFd<'static> {
    const STDOUT: BorrowedFd = {
        // SAFETY: the number is not -1. Where nobody opened it, each call on it fails with EBADF.
        unsafe { BorrowedFd::borrow_raw(libc::STDOUT_FILENO) }
    };
    STDOUT
}

/// Standard error.
pub fn stderr() -> BorrowedFd<'static> {
    const STDERR: BorrowedFd = {
        // SAFETY: as for standard output.
        unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) }
    };
    STDERR
}

/// Has a write into a pipe that nobody reads fail instead of ending the program: whoever reads the
/// messages may go away, and that must not end a seizure.
///
/// The signal is blocked, not ignored: musl's `sigaction` has 900 bytes, with the locks that it
/// takes. The programs that are run inherit either.
pub fn ignore_broken_pipes() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGPIPE);
    let _ = signals.thread_block();
}

/// Whether an open file is on a tmpfs or a ramfs.
///
/// Not `nix::sys::statfs::fstatfs`: on a glibc target that calls `fstatfs64`, which musl has no
/// longer since 1.2.4.
pub fn is_on_ram(file: &impl AsFd) -> bool {
    const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
    let mut about = MaybeUninit::<libc::statfs>::uninit();
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the kernel writes one `struct statfs`, for which `about` has room.
    let status = unsafe { libc::syscall(libc::SYS_fstatfs, file, about.as_mut_ptr()) };
    if status != 0 {
        return false;
    }
    // SAFETY: the call succeeded, so the kernel has written all of it.
    let about = unsafe { about.assume_init() };
    matches!(FsType(about.f_type), TMPFS_MAGIC | RAMFS_MAGIC)
}

/// Reads the target of a symbolic link, as `readlinkat(2)`, from the folder that is open; gives
/// back its length. A target that fills the whole buffer may be cut.
///
/// Not `nix::fcntl::readlinkat`: it returns an `OsString`.
pub fn read_link(folder: BorrowedFd, path: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (place, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    let folder = folder.as_raw_fd();
    // SAFETY: `path` ends in NUL, and the kernel writes at most `size` bytes to `place`.
    let length = unsafe { libc::readlinkat(folder, path.as_ptr(), place, size) };
    Number::result(length)
        .map(|length| length as usize)
        .map_err(own)
}

/// Reads entries of an open folder, as `getdents64(2)`; gives back how many bytes. 0: no more.
///
/// Not `nix::dir::Dir`: it allocates.
pub fn read_entries(folder: &impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (folder, place, size) = (
        folder.as_fd().as_raw_fd(),
        buffer.as_mut_ptr(),
        buffer.len(),
    );
    // SAFETY: the kernel writes at most `size` bytes to `place`.
    let length = unsafe { libc::syscall(libc::SYS_getdents64, folder, place, size) };
    Number::result(length)
        .map(|length| length as usize)
        .map_err(own)
}

/// Starts a process that is a copy of this one. `told` is the signal that tells of its end. With
/// none nothing interrupts a wait, but only `__WALL` waits for the process (`kernel/exit.c`,
/// `eligible_child`).
///
/// Not `nix::unistd::fork`: musl's `fork` takes the locks of its allocator, and so links part of
/// it.
pub fn fork(told: Option<Signal>) -> Result<ForkResult, Errno> {
    let flags = told.map_or(0, |signal| signal as c_long);
    // SAFETY: without CLONE_VM the copy has memory and a stack of its own, and this process has one
    // thread only.
    let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match Number::result(child).map_err(own)? {
        0 => Ok(ForkResult::Child),
        child => Ok(ForkResult::Parent {
            child: Pid::from_raw(child as i32),
        }),
    }
}

/// Ends this process at once.
pub fn exit(status: c_int) -> ! {
    // SAFETY: nothing runs afterwards.
    unsafe { libc::_exit(status) }
}

/// Replaces this process by a program, without an environment. Its words are its own path and the
/// arguments. Comes back only if that fails.
///
/// Not `nix::unistd::execve`: it collects the words in a `Vec`.
pub fn execute(program: &CStr, arguments: &[&CStr]) {
    const END: *const c_char = core::ptr::null();
    // Two places more: for the program, and for the null pointer that ends the list.
    let (mut words, environment) = ([END; ARGUMENTS + 2], [END]);
    let all = [program].into_iter().chain(arguments.iter().copied());
    for (place, word) in words.iter_mut().zip(all.take(ARGUMENTS + 1)) {
        *place = word.as_ptr();
    }
    // SAFETY: `program` and the words end in NUL, the list of words in a null pointer, and the
    // environment is such a null pointer alone. All of it lives until the call returns.
    unsafe { libc::execve(program.as_ptr(), words.as_ptr(), environment.as_ptr()) };
}

/// Waits for the end of a child; gives back its status as `waitpid(2)` tells it, 0 for success.
///
/// Not `nix::sys::wait::waitpid`: it panics on a status that it does not know.
pub fn wait_for(child: Pid) -> Result<c_int, Errno> {
    let mut status = 0;
    // `__WALL`: without it the kernel passes over children whose end no signal tells.
    // SAFETY: the kernel writes the status, for which there is room.
    let waited = unsafe { libc::waitpid(child.as_raw(), &raw mut status, libc::__WALL) };
    Number::result(waited).map(|_| status).map_err(own)
}

/// The status of a child as `waitpid(2)` tells it, if it has ended. Does not wait.
///
/// Not `nix::sys::wait::waitpid`: see [`wait_for`].
pub fn status_of(child: Pid) -> Result<Option<c_int>, Errno> {
    let mut status = 0;
    let options = libc::__WALL | libc::WNOHANG;
    // SAFETY: the kernel writes the status, for which there is room.
    let ended = unsafe { libc::waitpid(child.as_raw(), &raw mut status, options) };
    let ended = Number::result(ended).map_err(own)?;
    Ok((ended != 0).then_some(status))
}

/// Locks an open file as `fcntl(2)` does with F_SETLK: for this process, not for its children, and
/// until it closes the file or ends. `EAGAIN`: another process has it.
///
/// Not `nix::fcntl::Flock`: such a lock stays as long as a child has the file open.
pub fn lock(file: &impl AsFd) -> Result<(), Errno> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file.as_fd(), FcntlArg::F_SETLK(&whole)) {
        // Either may be answered, see fcntl(2).
        Err(Number::EACCES) => Err(Errno::EAGAIN),
        locked => locked.map(|_| ()).map_err(own),
    }
}

/// A child that has ended, if one has: it is asked for once. Does not wait.
///
/// Not `nix::sys::wait::waitpid`: see [`wait_for`].
pub fn ended_child() -> Option<Pid> {
    let options = libc::__WALL | libc::WNOHANG;
    // SAFETY: without a place for it the kernel writes no status.
    let child = unsafe { libc::waitpid(-1, core::ptr::null_mut(), options) };
    (child > 0).then(|| Pid::from_raw(child))
}

/// Lays memory over `place` that is shared with every process started from now on. `place` begins
/// and ends with a page.
pub fn share_memory<T: Sync>(place: &'static T) -> Result<(), Errno> {
    let address = NonZeroUsize::new((&raw const *place).expose_provenance());
    let size = NonZeroUsize::new(size_of::<T>()).ok_or(Errno::EINVAL)?;
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED;
    // SAFETY: only `place` is replaced, by memory of the same size that is all zeros, as `place` is
    // before anything is posted on it. It consists of atomics, which others may change.
    unsafe { mmap_anonymous(address, size, protection, flags) }
        .map(|_| ())
        .map_err(own)
}

/// Columns of a terminal, if the open file is one (`struct winsize`).
pub fn terminal_columns(file: BorrowedFd) -> Option<u16> {
    nix::ioctl_read_bad!(window_size, libc::TIOCGWINSZ, libc::winsize);
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel writes one `struct winsize`.
    let asked = unsafe { window_size(file.as_raw_fd(), &raw mut size) };
    asked.ok().map(|_| size.ws_col)
}

/// Bytes of Xen's command line (`xen/include/public/version.h`, `xen_commandline_t`).
pub const XEN_CMDLINE_SIZE: usize = 1024;

/// Reads Xen's command line through `/dev/xen/privcmd`: hypercall `__HYPERVISOR_xen_version`
/// with `XENVER_commandline`. The text ends in a NUL.
pub fn read_xen_command_line(
    privcmd: &impl AsFd,
    text: &mut [u8; XEN_CMDLINE_SIZE],
) -> Result<(), Errno> {
    const XEN_VERSION: u64 = 17;
    const XENVER_COMMANDLINE: u64 = 9;
    // Xen writes into the page, and does not wait for a page that is not there yet: so touch it.
    text.fill(1);
    let place = text.as_mut_ptr().expose_provenance() as u64;
    let call = [XEN_VERSION, XENVER_COMMANDLINE, place, 0, 0, 0];
    // SAFETY: the kernel reads `call`, and Xen writes at most `XEN_CMDLINE_SIZE` bytes into `text`.
    unsafe { hypercall(privcmd.as_fd().as_raw_fd(), &raw const call) }
        .map(|_| ())
        .map_err(own)
}

// `IOCTL_PRIVCMD_HYPERCALL` with `struct privcmd_hypercall` (`include/uapi/xen/privcmd.h`).
nix::ioctl_write_ptr_bad!(hypercall, 0x30_5000, [u64; 6]);

/// Reads what Xen says of the host through `/dev/xen/privcmd`: hypercall `__HYPERVISOR_sysctl` with
/// `XEN_SYSCTL_physinfo`, `capabilities`.
///
/// The call has a version, and Xen answers `EACCES` to any but its own. Those here are of 4.14 to
/// 4.21, where the number and the meaning of its bits are at one place. Before them other bits
/// meant this.
pub fn read_xen_capabilities(privcmd: &impl AsFd) -> Result<u32, Errno> {
    const SYSCTL: u64 = 35;
    const PHYSINFO: u32 = 3;
    const VERSIONS: RangeInclusive<u32> = 0x13..=0x16;
    // `struct xen_sysctl` (`xen/include/public/sysctl.h`): the command, the version, and a union of
    // 128 bytes, in which `capabilities` is the eighth number.
    let mut result = Err(Errno::EACCES);
    for version in VERSIONS.rev() {
        let mut question = [0; 34];
        question[0] = PHYSINFO;
        question[1] = version;
        let place = question.as_mut_ptr().expose_provenance() as u64;
        let call = [SYSCTL, place, 0, 0, 0, 0];
        // SAFETY: the kernel reads `call`, and Xen reads and writes the 136 bytes of `question`.
        let asked = unsafe { hypercall(privcmd.as_fd().as_raw_fd(), &raw const call) };
        result = asked.map(|_| question[9]).map_err(own);
        if result != Err(Errno::EACCES) {
            break;
        }
    }
    result
}

/// The time of a clock that nobody sets. The call cannot fail: the clock is there, and so is the
/// place.
///
/// Not `nix::time::clock_gettime`: musl's looks for a function of the kernel's in the memory of the
/// process (vDSO), which is 1 KiB of code. The time is asked for some times a device.
pub fn clock() -> libc::timespec {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let place = &raw mut time;
    // SAFETY: the kernel writes one `struct timespec` to `place`.
    unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, place) };
    time
}
