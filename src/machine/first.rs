//! The first process of an initramfs: what it mounts, the child that works for it, and the program
//! that takes its place.

use core::ffi::CStr;

use nix::{
    errno::Errno as Number,
    fcntl::AT_FDCWD,
    mount::{MntFlags, MsFlags, mount, umount2},
    poll::poll,
    sys::{
        signal::{Signal, kill},
        stat::{Mode, mkdirat},
    },
    unistd::{ForkResult, Pid, UnlinkatFlags, unlinkat},
};
use pciseize::host::{End, Errno, FileSystem, FirstProcess, Mounted};

use super::{
    Machine,
    syscall::{self, own},
    workers::{MOMENT, now, timeout},
};

/// How long a child that was killed is waited for, in milliseconds. One that hangs in the kernel
/// does not end, and is left behind.
const LAST_MOMENT: i64 = 1000;

/// Mounts a file system. False: it is mounted there.
fn mount_at_its_place(system: FileSystem) -> Result<bool, Number> {
    let flags = match system {
        FileSystem::Dev => MsFlags::MS_NOSUID,
        FileSystem::Proc | FileSystem::Sys => {
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
        }
    };
    let (name, place) = (system.name(), system.place());
    match mount(Some(name), place, Some(name), flags, None::<&CStr>) {
        Ok(()) => Ok(true),
        // The kernel refuses the same one on top of itself (`fs/namespace.c`, `do_add_mount`).
        Err(Number::EBUSY) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Waits for the end of a child until the time is over.
fn await_end(child: Pid, is_over: &mut dyn FnMut() -> bool) -> Option<End> {
    loop {
        match syscall::status_of(child) {
            Ok(Some(status)) => return Some(end_of(status)),
            Ok(None) if is_over() => return None,
            Ok(None) => drop(poll(&mut [], timeout(MOMENT))),
            Err(errno) => return Some(End::NotBegun(errno)),
        }
    }
}

/// What a status of `waitpid(2)` means: the lowest 7 bits are the signal, the second byte is the
/// status (`include/uapi/linux/wait.h`, `kernel/exit.c`).
fn end_of(status: i32) -> End {
    let [low, high, ..] = status.to_le_bytes();
    match low & 0x7f {
        0 => End::Status(high),
        signal => End::Signal(signal),
    }
}

impl FirstProcess for Machine {
    fn mount(&mut self, system: FileSystem) -> Result<Mounted, Errno> {
        let mode = Mode::from_bits_retain(0o755);
        let done = match mount_at_its_place(system) {
            Ok(true) => Mounted::Now,
            Ok(false) => Mounted::Before,
            Err(Number::ENOENT) => {
                mkdirat(AT_FDCWD, system.place(), mode).map_err(own)?;
                if let Err(errno) = mount_at_its_place(system) {
                    let _ = unlinkat(AT_FDCWD, system.place(), UnlinkatFlags::RemoveDir);
                    return Err(own(errno));
                }
                Mounted::InNewFolder
            }
            Err(errno) => return Err(own(errno)),
        };
        Ok(done)
    }

    fn unmount(&mut self, system: FileSystem, mounted: Mounted) {
        if mounted != Mounted::Before {
            let _ = umount2(system.place(), MntFlags::MNT_DETACH);
        }
        if mounted == Mounted::InNewFolder {
            let _ = unlinkat(AT_FDCWD, system.place(), UnlinkatFlags::RemoveDir);
        }
    }

    fn in_child(
        &mut self,
        limit: &dyn Fn(&mut Machine) -> u32,
        work: &mut dyn FnMut(&mut Machine) -> u8,
    ) -> End {
        self.board.share();
        let begun = now();
        // The program that runs next gets a child that is still there, and may not know of __WALL.
        let child = match syscall::fork(Some(Signal::SIGCHLD)) {
            Err(errno) => return End::NotBegun(errno),
            Ok(ForkResult::Child) => {
                self.ignore_broken_pipes();
                let status = work(self);
                syscall::exit(status.into())
            }
            Ok(ForkResult::Parent { child }) => child,
        };
        let mut seconds = 0;
        let end = await_end(child, &mut || {
            seconds = limit(self);
            now() - begun >= i64::from(seconds) * 1000
        });
        let end = end.unwrap_or_else(|| {
            let _ = kill(child, Signal::SIGKILL);
            let until = now() + LAST_MOMENT;
            let _ = await_end(child, &mut || now() >= until);
            End::GivenUp(seconds)
        });
        // Its own children are this process's now. Those that have ended would stay zombies.
        while syscall::ended_child().is_some() {}
        end
    }

    fn is_started_as(&self, program: &CStr) -> bool {
        self.arguments.name() == Some(program)
    }

    fn become_program(&mut self, program: &'static CStr) -> Errno {
        self.arguments.hand_to(program)
    }
}
