//! Tasks side by side, and the board that they share.

/// A task, by the number that the caller gave it.
pub type Task = usize;

/// How many tasks have a place on the board: those with lower numbers.
pub const TASKS: usize = 8192;

/// The signal where nobody gave another one in time.
pub const LATE: u32 = u32::MAX;

/// How a task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// With another turn.
    Again,
    /// With another turn, as soon as there is a signal. If there is none within the time of all
    /// tasks, [`LATE`] is the signal, and those who waited have one second more.
    Wait,
    /// With another turn, a moment later: the kernel is about to finish something, and tells nobody
    /// when it has. When the time of all tasks is over there is no further turn.
    Later,
    /// The task is done.
    Done,
}

/// Work that goes on side by side.
pub trait Workers {
    /// Does tasks side by side, each in a process of its own with a copy of all that this one has:
    /// whatever a task does not [`post`](Workers::post) is lost. A task is done in turns: `work` is
    /// called with it until it answers [`Turn::Done`]. A machine that does one thing at a time may
    /// take the turns of all tasks in any order.
    ///
    /// Comes back when all are done, and `seconds` after it began at the latest. What is not done
    /// then may still go on; nobody waits for it any more.
    fn side_by_side(
        &mut self,
        tasks: &mut dyn FnMut() -> Option<Task>,
        seconds: u32,
        work: &dyn Fn(&mut Self, Task) -> Turn,
    );

    /// Sets the signal: tasks that answered [`Turn::Wait`] go on. The first signal
    /// stays: later ones change nothing. 0 is no signal.
    fn signal(&mut self, value: u32);

    /// The signal; 0 as long as there is none.
    fn signalled(&mut self) -> u32;

    /// Posts a number at the place of a task, where all tasks can read it. A task without a place
    /// (see [`TASKS`]) posts nothing.
    fn post(&mut self, task: Task, value: u32);

    /// What was posted last at the place of a task; 0 before.
    fn posted(&mut self, task: Task) -> u32;
}
