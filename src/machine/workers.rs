//! Tasks side by side: a process for each, and a board of atomic numbers that all of them share.

use core::sync::atomic::{AtomicU32, Ordering};
use std::os::fd::{AsFd, BorrowedFd};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    time::{ClockId, clock_gettime},
    unistd::{self, ForkResult, pipe2},
};
use pciseize::host::{LATE, TASKS, Task, Turn, Workers};

use super::{
    Machine,
    syscall::{self, Waited},
};

/// Most processes that work side by side. Further tasks wait until one of them ends.
const PROCESSES: u32 = 64;

/// How long something is left alone that is to be tried again, in milliseconds.
const MOMENT: i64 = 10;

/// What is posted: the signal, and a number for each task. It has pages of its own, so that nothing
/// else becomes shared. The kernel maps whole pages: 4 KiB on x86-64; on arm64 4, 16 or 64 KiB, as
/// the kernel was built. A smaller board would not begin with a page there, and mapping fails; or
/// it would begin with one but not end with one, and its neighbours would be wiped out.
#[cfg_attr(target_arch = "x86_64", repr(align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(align(65536)))]
struct Posts {
    signal: AtomicU32,
    tasks: [AtomicU32; TASKS],
}

static POSTS: Posts = Posts {
    signal: AtomicU32::new(0),
    tasks: [const { AtomicU32::new(0) }; TASKS],
};

/// The board as this process knows it.
pub struct Board {
    /// Whether it is shared with the processes that are started, once that was tried.
    is_shared: Option<bool>,
}

impl Board {
    /// One that is not shared yet.
    pub const fn new() -> Board {
        Board { is_shared: None }
    }

    /// Shares the board. Where that fails the tasks are done one after another, in this process.
    fn share(&mut self) -> bool {
        *self
            .is_shared
            .get_or_insert_with(|| syscall::share_memory(&POSTS).is_ok())
    }
}

/// What a wait for other processes has come to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    /// The pipe has what was waited for.
    Ready,
    /// There is no more time.
    Late,
}

impl Machine {
    /// Does a task to its end. What is to be tried again later is given up after so many seconds.
    fn finish(&mut self, task: Task, seconds: u32, work: &dyn Fn(&mut Machine, Task) -> Turn) {
        let until = now() + i64::from(seconds) * 1000;
        loop {
            match work(self, task) {
                Turn::Done => return,
                Turn::Again => {}
                Turn::Wait => {
                    if syscall::wait_while_zero(&POSTS.signal, seconds) == Waited::TimedOut {
                        self.signal(LATE);
                    }
                }
                Turn::Later if now() >= until => return,
                // A sleep: there is nothing to be polled.
                Turn::Later => drop(poll(&mut [], timeout(MOMENT))),
            }
        }
    }

    /// Waits until the pipe can be read (`POLLIN`), or until nobody is left who could write into it
    /// (always reported). When the time is over, those who wait for the signal get [`LATE`], and
    /// one second more to come to an end.
    fn watch(&mut self, pipe: BorrowedFd, events: PollFlags, until: &mut i64) -> Watch {
        // A wait that fails is begun again, but not for ever.
        for _ in 0..16 {
            match poll(&mut [PollFd::new(pipe, events)], timeout(*until - now())) {
                Ok(0) => {
                    if self.signalled() != 0 {
                        return Watch::Late;
                    }
                    self.signal(LATE);
                    *until = now() + 1000;
                }
                Ok(_) => return Watch::Ready,
                Err(_) => {}
            }
        }
        Watch::Late
    }
}

/// Milliseconds of a clock that nobody sets.
fn now() -> i64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |time| time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000)
}

/// So many milliseconds for `poll(2)`, at least 0.
pub fn timeout(milliseconds: i64) -> PollTimeout {
    PollTimeout::try_from(milliseconds.clamp(0, i32::MAX.into())).unwrap_or(PollTimeout::ZERO)
}

impl Workers for Machine {
    fn side_by_side(
        &mut self,
        tasks: &mut dyn FnMut() -> Option<Task>,
        seconds: u32,
        work: &dyn Fn(&mut Machine, Task) -> Turn,
    ) {
        // Every worker holds the writing end. When the last one is gone, however it ended, `poll`
        // on the reading end reports it: one call waits for all. O_CLOEXEC keeps the writing end
        // out of executed programs, which may outlive the workers.
        let pipe = pipe2(OFlag::O_CLOEXEC).ok();
        let is_shared = pipe.is_some() && self.board.share();
        let mut until = now() + i64::from(seconds) * 1000;
        let mut running = 0;
        'tasks: while let Some(task) = tasks() {
            let Some((reading, writing)) = pipe.as_ref().filter(|_| is_shared) else {
                self.finish(task, seconds, work);
                continue;
            };
            while running >= PROCESSES {
                if self.watch(reading.as_fd(), PollFlags::POLLIN, &mut until) == Watch::Late {
                    // All of them are stuck. The remaining tasks are not begun.
                    break 'tasks;
                }
                let mut tokens = [0_u8; PROCESSES as usize];
                let ended = unistd::read(reading, &mut tokens).unwrap_or_default() as u32;
                running = running.saturating_sub(ended);
            }
            match syscall::fork() {
                Ok(ForkResult::Child) => {
                    self.finish(task, seconds, work);
                    let _ = unistd::write(writing, b".");
                    syscall::exit(0);
                }
                Ok(ForkResult::Parent { .. }) => running += 1,
                // No process can be had: the task is done here.
                Err(_) => self.finish(task, seconds, work),
            }
        }
        if let Some((reading, writing)) = pipe {
            drop(writing);
            self.watch(reading.as_fd(), PollFlags::empty(), &mut until);
        }
    }

    fn signal(&mut self, value: u32) {
        self.board.share();
        let posted = POSTS
            .signal
            .compare_exchange(0, value, Ordering::AcqRel, Ordering::Relaxed);
        if posted.is_ok() {
            syscall::wake_all(&POSTS.signal);
        }
    }

    fn signalled(&mut self) -> u32 {
        POSTS.signal.load(Ordering::Acquire)
    }

    fn post(&mut self, task: Task, value: u32) {
        self.board.share();
        if let Some(place) = POSTS.tasks.get(task) {
            place.store(value, Ordering::Release);
        }
    }

    fn posted(&mut self, task: Task) -> u32 {
        POSTS
            .tasks
            .get(task)
            .map_or(0, |place| place.load(Ordering::Acquire))
    }
}
