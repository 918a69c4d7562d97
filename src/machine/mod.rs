//! The real machine: the library's traits by system calls.
//!
//! The only room with `unsafe`. It decides nothing.
//!
//! | file | what it does |
//! | --- | --- |
//! | `start.rs` | the C `main`, the command line and the environment |
//! | `section.rs`, `memory.rs` | the embedded configuration, the memory of a command |
//! | `files.rs` | files and folders |
//! | `programs.rs` | modules and programs |
//! | `workers.rs` | tasks side by side, and the board that they share |
//! | `first.rs` | the first process: mounts, its child, what takes its place |
//! | `xen.rs` | xenstore, and Xen's own command line |
//! | `console.rs` | messages, results, the terminal |
//! | `syscall.rs` | what nix cannot do without heap or panic, one typed safe function for each |

mod console;
mod files;
mod first;
mod memory;
mod path;
mod programs;
mod section;
mod start;
mod syscall;
mod workers;
mod xen;

pub use memory::take as take_memory;
pub use section::embedded;
pub use start::Arguments;

use core::ffi::CStr;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use console::{Colours, Log};
use nix::{
    fcntl::{AT_FDCWD, OFlag, openat},
    sys::stat::Mode,
    unistd,
};
use path::Base;
use pciseize::{
    facts::usage::mount::is_root_tmpfs,
    host::{Console, Errno, Level},
    put,
    report::Stage,
    text::{Escaped, Line},
};
use workers::Board;

/// The machine that the program runs on.
pub struct Machine {
    base: Base,
    log: Log,
    board: Board,
    /// The file that says that this run is at work.
    lock: Option<OwnedFd>,
    colours: Colours,
    arguments: Arguments,
    /// The width of the terminal that messages go to. 0: they go elsewhere.
    message_columns: u16,
}

impl Machine {
    /// The machine as it is, with messages going to standard error.
    pub fn new(arguments: Arguments) -> Machine {
        Machine {
            base: Base::Root,
            log: Log::Stderr,
            board: Board::new(),
            lock: None,
            colours: arguments.colours(),
            arguments,
            message_columns: console::columns(syscall::stderr()),
        }
    }

    /// Has a write into a pipe that nobody reads fail: see [`syscall::ignore_broken_pipes`]. A
    /// program that takes the place of this one would inherit that.
    pub fn ignore_broken_pipes(&self) {
        syscall::ignore_broken_pipes();
    }

    /// Has the standard streams be open, so that no file that is opened later takes the place of
    /// one and gets what is printed. Where whoever started this has closed one, nothing can be
    /// written to it.
    pub fn open_streams(&self) {
        const LAST: RawFd = 2;
        while let Ok(file) = openat(AT_FDCWD, c"/dev/null", OFlag::O_RDONLY, Mode::empty()) {
            if file.as_raw_fd() > LAST {
                return;
            }
            // It stays open as long as the process lives.
            let _ = file.into_raw_fd();
        }
    }

    /// Whether this is process 1. In an initramfs that is the first program: the image's `/init`,
    /// or what `rdinit=` names (`init/main.c`, `kernel_init`).
    pub fn is_process_1(&self) -> bool {
        unistd::getpid().as_raw() == 1
    }

    /// Puts a folder in front of every path, for `--root`. No link leads out of it.
    ///
    /// # Errors
    /// Why the folder cannot be entered, or `ENOSYS` where paths cannot be kept below it. This was
    /// said already.
    pub fn enter_root(&mut self, root: &CStr) -> Result<(), Errno> {
        match unistd::chdir(root)
            .map_err(syscall::own)
            .and_then(|()| keep_to_folder())
        {
            Ok(base) => {
                self.base = base;
                Ok(())
            }
            Err(errno) => {
                let mut line = Line::new();
                put!(&mut line, "--root {}: {}", Escaped(root.to_bytes()), errno);
                if errno == Errno::ENOSYS {
                    put!(
                        &mut line,
                        ": this kernel cannot keep paths below a folder; run as root, or with \
                         Linux 5.6"
                    );
                }
                self.say(Level::Error, &line);
                Err(errno)
            }
        }
    }

    /// Whether `/` is in memory: an initramfs, or a host that stays there for good.
    ///
    /// The kernel unpacks an initramfs into a tmpfs or a ramfs (`init/do_mounts.c`,
    /// `init_rootfs`).
    pub fn is_root_in_memory(&self) -> bool {
        let root = self.open(b"/", OFlag::O_RDONLY | OFlag::O_DIRECTORY);
        root.is_ok_and(|root| syscall::is_on_ram(&root))
    }

    /// Finds out whether this is an initramfs. A host that stays in memory for good is none, as
    /// far as that can be told.
    pub fn find_stage(&mut self) -> Stage {
        if self.is_root_in_memory() && !is_root_tmpfs(self) {
            Stage::Initramfs
        } else {
            Stage::Host
        }
    }

    /// Has messages go to the kernel log from now on.
    pub fn log_to_kernel(&mut self) {
        self.log = Log::Kernel;
    }
}

/// Makes the working folder the one below which every path stays.
///
/// Each call does that by itself (`openat2(2)`, Linux 5.6). An older kernel does it for root only,
/// by another root (`chroot(2)`).
///
/// # Errors
/// `ENOSYS` where it can be done in neither way.
fn keep_to_folder() -> Result<Base, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    match files::open_below(c".", flags, Mode::empty()) {
        Ok(_) => Ok(Base::WorkingFolder),
        Err(Errno::ENOSYS) if unistd::chroot(c".").is_ok() => Ok(Base::NewRoot),
        Err(errno) => Err(errno),
    }
}
