//! System calls: the call, its process, its object, and the errors that it can return.

use std::{collections::BTreeMap, fmt};

use nix::{errno::Errno, libc};

/// A system call of a run. These four fields identify it in another run, even if one of the runs
/// waited once more.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Call {
    /// 0 is the parent, 1 its first child, and so on.
    pub process: usize,
    pub name: String,
    /// The path in the arguments or of the open file. For a sysfs attribute, also the bytes
    /// written. Empty if there is no path.
    pub on: String,
    /// How many such calls the process has made, including this one.
    pub turn: usize,
}

impl fmt::Display for Call {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(
            to,
            "{}:{}({})#{}",
            self.process, self.name, self.on, self.turn
        )
    }
}

/// What happens to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The kernel does not make the call, and returns this error.
    Fails(Errno),
    /// The kernel does not make the call: the process is killed first.
    Killed,
}

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault::Fails(errno) => write!(to, "{errno:?}"),
            Fault::Killed => write!(to, "KILL"),
        }
    }
}

impl Call {
    /// The errnos that the call can return.
    pub fn errnos(&self) -> &'static [Errno] {
        use Errno::*;
        match self.name.as_str() {
            // These calls cannot fail.
            "exit" | "exit_group" | "rt_sigreturn" | "getpid" | "set_tid_address"
            | "clock_gettime" => &[],
            // musl's start code makes it before `main`, and crashes if it fails. The kernel refuses
            // only an address that no process can have (arch/x86/kernel/process_64.c,
            // do_arch_prctl_64), and musl passes one of its own.
            "arch_prctl" => &[],
            "close" => &[EIO, EINTR, ENOSPC],
            "read" | "pread64" => &[EIO, ENOMEM, EINTR, EACCES],
            "getdents64" => &[EIO, ENOMEM, EINTR, ENOENT],
            "readlinkat" | "readlink" | "fstatfs" | "statfs" => &[EIO, ENOMEM, EACCES, ENOENT],
            "fork" | "vfork" | "clone" | "clone3" => &[ENOMEM, EAGAIN],
            "mmap" | "munmap" => &[ENOMEM, EACCES],
            "wait4" | "waitid" | "nanosleep" | "clock_nanosleep" | "poll" | "ppoll"
            | "pselect6" => &[EINTR, ENOMEM],
            "fcntl" => &[EAGAIN, EACCES, EINTR, ENOMEM],
            "execve" => &[EIO, ENOMEM, EACCES, ENOENT],
            _ => &[EIO, ENOMEM, EINTR, EACCES, ENOENT, EBUSY, ENOSPC],
        }
    }

    /// Whether the call only waits, so that the number of such calls varies.
    fn is_waiting(&self) -> bool {
        [
            "wait4",
            "waitid",
            "nanosleep",
            "clock_nanosleep",
            "clock_gettime",
            "poll",
            "ppoll",
            "pselect6",
            "sched_yield",
        ]
        .contains(&self.name.as_str())
            // Looked at until it changes.
            || self.on.ends_with("/enable")
    }
}

/// More reads of one file by one process go through it from piece to piece.
const PIECES: usize = 8;

/// The calls to break one by one. Of those that only wait, the first two of each process. Of the
/// pieces of a long file, unless each is wanted, the first two and the last: the list of names that
/// pci.ids is has some hundred, and what is between them fails as they do.
pub fn positions(calls: &[Call], is_full: bool) -> Vec<Call> {
    let mut last = BTreeMap::new();
    for call in calls {
        last.insert((call.process, &call.name, &call.on), call.turn);
    }
    let is_between = |call: &Call| {
        let last = last[&(call.process, &call.name, &call.on)];
        let is_read = ["read", "pread64"].contains(&call.name.as_str());
        is_read && last > PIECES && (3..last).contains(&call.turn)
    };
    calls
        .iter()
        .filter(|call| !call.is_waiting() || call.turn <= 2)
        .filter(|call| is_full || !is_between(call))
        .cloned()
        .collect()
}

/// Counts the calls of a run, to tell equal ones apart.
#[derive(Default)]
pub struct Turns(BTreeMap<(usize, String, String), usize>);

impl Turns {
    pub fn call(&mut self, process: usize, name: String, on: String) -> Call {
        let turn = self
            .0
            .entry((process, name.clone(), on.clone()))
            .or_default();
        *turn += 1;
        Call {
            process,
            name,
            on,
            turn: *turn,
        }
    }
}

/// The argument that names the object of a call.
pub enum On {
    /// This argument points to a path.
    Path(usize),
    /// The first argument is a file descriptor.
    File,
    Nothing,
}

/// The calls that a program like this one makes.
const NAMES: &[(libc::c_long, &str, On)] = &[
    (libc::SYS_access, "access", On::Path(0)),
    (libc::SYS_alarm, "alarm", On::Nothing),
    (libc::SYS_arch_prctl, "arch_prctl", On::Nothing),
    (libc::SYS_chdir, "chdir", On::Path(0)),
    (libc::SYS_clock_gettime, "clock_gettime", On::Nothing),
    (libc::SYS_clock_nanosleep, "clock_nanosleep", On::Nothing),
    (libc::SYS_clone, "clone", On::Nothing),
    (libc::SYS_clone3, "clone3", On::Nothing),
    (libc::SYS_close, "close", On::File),
    (libc::SYS_dup2, "dup2", On::File),
    (libc::SYS_dup3, "dup3", On::File),
    (libc::SYS_execve, "execve", On::Path(0)),
    (libc::SYS_exit, "exit", On::Nothing),
    (libc::SYS_exit_group, "exit_group", On::Nothing),
    (libc::SYS_fcntl, "fcntl", On::File),
    (libc::SYS_finit_module, "finit_module", On::File),
    (libc::SYS_fork, "fork", On::Nothing),
    (libc::SYS_fstat, "fstat", On::File),
    (libc::SYS_fstatfs, "fstatfs", On::File),
    (libc::SYS_getdents64, "getdents64", On::File),
    (libc::SYS_getpid, "getpid", On::Nothing),
    (libc::SYS_kill, "kill", On::Nothing),
    (libc::SYS_lseek, "lseek", On::File),
    (libc::SYS_mkdirat, "mkdirat", On::Path(1)),
    (libc::SYS_mmap, "mmap", On::Nothing),
    (libc::SYS_munmap, "munmap", On::Nothing),
    (libc::SYS_nanosleep, "nanosleep", On::Nothing),
    (libc::SYS_newfstatat, "newfstatat", On::Path(1)),
    (libc::SYS_open, "open", On::Path(0)),
    (libc::SYS_openat, "openat", On::Path(1)),
    (libc::SYS_pipe2, "pipe2", On::Nothing),
    (libc::SYS_poll, "poll", On::Nothing),
    (libc::SYS_ppoll, "ppoll", On::Nothing),
    (libc::SYS_prctl, "prctl", On::Nothing),
    (libc::SYS_pread64, "pread64", On::File),
    (libc::SYS_pselect6, "pselect6", On::Nothing),
    (libc::SYS_pwrite64, "pwrite64", On::File),
    (libc::SYS_read, "read", On::File),
    (libc::SYS_readlink, "readlink", On::Path(0)),
    (libc::SYS_readlinkat, "readlinkat", On::Path(1)),
    (libc::SYS_renameat2, "renameat2", On::Path(1)),
    (libc::SYS_rt_sigaction, "rt_sigaction", On::Nothing),
    (libc::SYS_rt_sigprocmask, "rt_sigprocmask", On::Nothing),
    (libc::SYS_rt_sigreturn, "rt_sigreturn", On::Nothing),
    (libc::SYS_rt_sigtimedwait, "rt_sigtimedwait", On::Nothing),
    (libc::SYS_sched_yield, "sched_yield", On::Nothing),
    (libc::SYS_setitimer, "setitimer", On::Nothing),
    (libc::SYS_setsid, "setsid", On::Nothing),
    (libc::SYS_set_tid_address, "set_tid_address", On::Nothing),
    (libc::SYS_statfs, "statfs", On::Path(0)),
    (libc::SYS_unlinkat, "unlinkat", On::Path(1)),
    (libc::SYS_vfork, "vfork", On::Nothing),
    (libc::SYS_wait4, "wait4", On::Nothing),
    (libc::SYS_waitid, "waitid", On::Nothing),
    (libc::SYS_write, "write", On::File),
];

/// The name of a call, and where its object is. A call that is not in the list is named by its
/// number and is swept too.
pub fn describe(number: u64) -> (String, &'static On) {
    let known = NAMES.iter().find(|known| known.0 as u64 == number);
    known.map_or_else(
        || (format!("call-{number}"), &On::Nothing),
        |known| (known.1.to_owned(), &known.2),
    )
}
