//! Tasks side by side, and the board that they share.

use super::{Errno, Path};

/// A task, by the number that the caller gave it.
pub type Task = usize;

/// How many tasks have a place on the board: those with lower numbers.
pub const TASKS: usize = 8194;

/// How a task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// With another turn.
    Again,
    /// With another turn, a moment later: the kernel is about to finish something, and tells nobody
    /// when it has. When the time of all tasks is over there is no further turn.
    Later,
    /// The task is done.
    Done,
}

/// What the first process does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It begins a task.
    Begin(Task),
    /// It asks again when a task has ended.
    AfterTask,
    /// It asks again a moment later, or when a task has ended.
    Later,
    /// It begins nothing more, and waits until all tasks have ended.
    Nothing,
}

/// Whether the tasks have time left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// They have.
    Left,
    /// It is over: what has not ended is given up. A last second is left for what cannot wait for
    /// anything.
    Over,
}

/// Work that goes on side by side.
pub trait Workers {
    /// Does tasks side by side, each in a process of its own with a copy of all that this one has:
    /// whatever a task does not [`post`](Workers::post) is lost.
    ///
    /// `next` is asked in this process, again and again, until it answers [`Next::Nothing`]. A task
    /// is done in turns: `work` is called with it until it answers [`Turn::Done`]. A machine that
    /// does one thing at a time may take the turns of all tasks in any order.
    ///
    /// Comes back when all are done, and one second behind `seconds` at the latest: see
    /// [`Time::Over`]. What is not done then may still go on; nobody waits for it any more.
    fn side_by_side(
        &mut self,
        seconds: u32,
        next: &mut dyn FnMut(&mut Self, Time) -> Next,
        work: &dyn Fn(&mut Self, Task) -> Turn,
    );

    /// Locks a file, which is made if need be, until the program ends: no other run of the program
    /// can then lock it. The processes of tasks do not have the lock.
    ///
    /// # Errors
    /// `EAGAIN`: another run has had the lock for so many seconds. Otherwise why the file cannot be
    /// locked.
    fn lock(&mut self, path: Path, seconds: u32) -> Result<(), Errno>;

    /// The number of this process.
    fn process(&mut self) -> u32;

    /// Whether a task was begun and has not ended, as far as the first process knows. A process
    /// that was killed has ended.
    fn is_running(&mut self, task: Task) -> bool;

    /// Posts a number at the place of a task, where all tasks can read it. A task without a place
    /// (see [`TASKS`]) posts nothing.
    fn post(&mut self, task: Task, value: u32);

    /// What was posted last at the place of a task; 0 before.
    fn posted(&mut self, task: Task) -> u32;
}
