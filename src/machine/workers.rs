//! Tasks side by side: a process for each, and a board of atomic numbers that all of them share.

use core::sync::atomic::{AtomicU32, Ordering};
use std::os::fd::{AsFd, OwnedFd};

use heapless::Vec;
use nix::{
    fcntl::OFlag,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{self, ForkResult, Pid, pipe2},
};
use pciseize::host::{Errno, Next, Path, TASKS, Task, Time, Turn, Workers};

use super::{Machine, syscall};

/// Most processes that work side by side. Further tasks wait until one of them ends.
const PROCESSES: usize = 64;

/// How long something is left alone that is to be tried again, in milliseconds.
pub const MOMENT: i64 = 10;

/// How long the first process waits where a task is about to come to a point, in milliseconds.
const SHORT_MOMENT: i64 = 1;

/// How long the first process waits for the end of a task before it looks whether a process was
/// killed, in milliseconds.
const LONG_MOMENT: i64 = 200;

/// What is posted: a number for each task. It has pages of its own, so that nothing else becomes
/// shared. The kernel maps whole pages: 4 KiB on x86-64; on arm64 4, 16 or 64 KiB, as the kernel
/// was built. A smaller board would not begin with a page there, and mapping fails; or it would
/// begin with one but not end with one, and its neighbours would be wiped out.
#[cfg_attr(target_arch = "x86_64", repr(align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(align(65536)))]
struct Posts([AtomicU32; TASKS]);

static POSTS: Posts = Posts([const { AtomicU32::new(0) }; TASKS]);

/// The board, and the processes that work, as the first process knows them.
pub struct Board {
    /// Whether the board is shared with the processes that are started, once that was tried.
    is_shared: Option<bool>,
    /// The processes whose tasks are not done, and these tasks.
    running: Vec<(Pid, Task), PROCESSES, u8>,
}

impl Board {
    /// One that is not shared yet.
    pub const fn new() -> Board {
        Board {
            is_shared: None,
            running: Vec::new(),
        }
    }

    /// Shares the board. Where that fails the tasks are done one after another, in this process.
    pub fn share(&mut self) -> bool {
        *self
            .is_shared
            .get_or_insert_with(|| syscall::share_memory(&POSTS).is_ok())
    }

    /// Forgets the processes that have ended, however they did: one that was killed does not ring.
    fn forget_ended(&mut self) {
        while !self.running.is_empty()
            && let Some(child) = syscall::ended_child()
        {
            self.forget(child);
        }
    }

    /// Forgets a process.
    fn forget(&mut self, process: Pid) {
        self.running.retain(|(other, _)| *other != process);
    }
}

/// A pipe into which every process writes its number when its task is done. The first process waits
/// for that. It does not wait for the end of the process, which comes a little later: no file tells
/// of it. O_CLOEXEC keeps the pipe out of executed programs, which may outlive the tasks.
struct Bell {
    reading: OwnedFd,
    writing: OwnedFd,
}

impl Bell {
    fn new() -> Option<Bell> {
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC).ok()?;
        Some(Bell { reading, writing })
    }

    fn ring(&self) {
        // Never in parts: see pipe(7), PIPE_BUF.
        let _ = unistd::write(&self.writing, &unistd::getpid().as_raw().to_ne_bytes());
    }

    /// Waits until a task is done, at most so many milliseconds, and forgets its process. False:
    /// none was.
    fn wait(&self, milliseconds: i64, board: &mut Board) -> bool {
        let pipe = PollFd::new(self.reading.as_fd(), PollFlags::POLLIN);
        match poll(&mut [pipe], timeout(milliseconds)) {
            Ok(0) => false,
            Ok(_) => {
                let mut number = [0; size_of::<libc::pid_t>()];
                let _ = unistd::read(&self.reading, &mut number);
                board.forget(Pid::from_raw(libc::pid_t::from_ne_bytes(number)));
                true
            }
            // Asked again at once, until the time is over.
            Err(_) => true,
        }
    }
}

impl Machine {
    /// Begins a task in a process of its own, or does it here where none can be had.
    fn begin(
        &mut self,
        task: Task,
        seconds: u32,
        bell: Option<&Bell>,
        work: &dyn Fn(&mut Machine, Task) -> Turn,
    ) {
        match bell.map(|bell| (bell, syscall::fork(None))) {
            Some((bell, Ok(ForkResult::Child))) => {
                self.finish(task, seconds, work);
                bell.ring();
                syscall::exit(0);
            }
            Some((_, Ok(ForkResult::Parent { child }))) => {
                let _ = self.board.running.push((child, task));
            }
            Some((_, Err(_))) | None => self.finish(task, seconds, work),
        }
    }

    /// Does a task to its end. What is to be tried again later is given up after so many seconds.
    fn finish(&mut self, task: Task, seconds: u32, work: &dyn Fn(&mut Machine, Task) -> Turn) {
        let until = now() + i64::from(seconds) * 1000;
        loop {
            match work(self, task) {
                Turn::Done => return,
                Turn::Again => {}
                Turn::Later if now() >= until => return,
                // A sleep: there is nothing to be polled.
                Turn::Later => drop(poll(&mut [], timeout(MOMENT))),
            }
        }
    }
}

/// Milliseconds of a clock that nobody sets.
pub fn now() -> i64 {
    let time = syscall::clock();
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

/// So many milliseconds for `poll(2)`, at least 0.
pub fn timeout(milliseconds: i64) -> PollTimeout {
    PollTimeout::try_from(milliseconds.clamp(0, i32::MAX.into())).unwrap_or(PollTimeout::ZERO)
}

impl Workers for Machine {
    fn side_by_side(
        &mut self,
        seconds: u32,
        next: &mut dyn FnMut(&mut Machine, Time) -> Next,
        work: &dyn Fn(&mut Machine, Task) -> Turn,
    ) {
        let bell = Bell::new().filter(|_| self.board.share());
        let mut until = now() + i64::from(seconds) * 1000;
        let mut time = Time::Left;
        loop {
            let step = if self.board.running.is_full() {
                Next::AfterTask
            } else {
                next(self, time)
            };
            let rest = until - now();
            let limit = match step {
                Next::Begin(task) => {
                    self.begin(task, seconds, bell.as_ref(), work);
                    continue;
                }
                Next::Nothing if self.board.running.is_empty() => return,
                Next::Nothing | Next::AfterTask => rest.min(LONG_MOMENT),
                Next::Later => rest.min(SHORT_MOMENT),
            };
            let board = &mut self.board;
            let was_rung = bell.as_ref().is_some_and(|bell| bell.wait(limit, board));
            self.board.forget_ended();
            if rest <= 0 || !was_rung && limit == rest {
                if time == Time::Over {
                    return;
                }
                time = Time::Over;
                until = now() + 1000;
            }
        }
    }

    fn lock(&mut self, path: Path, seconds: u32) -> Result<(), Errno> {
        let until = now() + i64::from(seconds) * 1000;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_CLOEXEC;
        let file = self.open(path, flags)?;
        loop {
            match syscall::lock(&file) {
                Err(Errno::EAGAIN) if now() < until => drop(poll(&mut [], timeout(MOMENT))),
                Err(errno) => return Err(errno),
                Ok(()) => {
                    // Closed, the file would be unlocked.
                    self.lock = Some(file);
                    return Ok(());
                }
            }
        }
    }

    fn process(&mut self) -> u32 {
        unistd::getpid().as_raw().unsigned_abs()
    }

    fn is_running(&mut self, task: Task) -> bool {
        self.board.running.iter().any(|(_, other)| *other == task)
    }

    fn post(&mut self, task: Task, value: u32) {
        self.board.share();
        if let Some(place) = POSTS.0.get(task) {
            place.store(value, Ordering::Release);
        }
    }

    fn posted(&mut self, task: Task) -> u32 {
        POSTS
            .0
            .get(task)
            .map_or(0, |place| place.load(Ordering::Acquire))
    }
}
