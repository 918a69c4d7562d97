//! Decides when to end a machine: if it stands still, or if it has run for longer than any may.
//!
//! A working machine is slow on a slow or busy host, and the clock alone cannot tell it from one
//! that hangs. So a machine may run as long as its console or a disk moves, up to a limit that only
//! an endless machine reaches.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// How long a machine may stand still, and how long it may run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The longest time in which neither the console nor a disk moves.
    pub still: Duration,
    /// The longest run, even of a machine that moves.
    pub most: Duration,
}

/// Why a machine is ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    StoodStill(Duration),
    StillRan(Duration),
}

impl Display for Fate {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::StoodStill(time) => {
                let time = time.as_secs();
                write!(
                    f,
                    "stood still: no console and no disk has moved for {time} s"
                )
            }
            Self::StillRan(time) => write!(f, "was still running after {} s", time.as_secs()),
        }
    }
}

/// Compares the progress of a machine with its earlier progress.
pub struct Watch {
    limits: Limits,
    done: u64,
    moved_at: Duration,
}

impl Watch {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            done: 0,
            moved_at: Duration::ZERO,
        }
    }

    /// Records the progress of the machine at `now`, in any unit that only grows. Returns a reason
    /// if the machine is to be ended.
    pub fn look(&mut self, now: Duration, done: u64) -> Option<Fate> {
        if done != self.done {
            self.done = done;
            self.moved_at = now;
        }
        let Limits { still, most } = self.limits;
        if now > most {
            Some(Fate::StillRan(most))
        } else if now.saturating_sub(self.moved_at) > still {
            Some(Fate::StoodStill(still))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        still: minutes(2),
        most: minutes(10),
    };

    const fn minutes(number: u64) -> Duration {
        Duration::from_secs(60 * number)
    }

    /// Takes pairs of a minute and the progress by then. Returns the first fate, and its minute.
    fn fate(looks: impl IntoIterator<Item = (u64, u64)>) -> Option<(u64, Fate)> {
        let mut watch = Watch::new(LIMITS);
        looks
            .into_iter()
            .find_map(|(at, done)| Some((at, watch.look(minutes(at), done)?)))
    }

    #[test]
    fn a_machine_that_moves_goes_on_past_the_time_that_it_may_stand_still() {
        assert_eq!(fate((0..=10).map(|at| (at, at))), None);
        assert_eq!(
            fate((0..=10).map(|at| (at, at / 2))),
            None,
            "it rests now and then"
        );
    }

    #[test]
    fn a_machine_that_stands_still_is_ended() {
        let never = (0..=10).map(|at| (at, 0));
        assert_eq!(fate(never), Some((3, Fate::StoodStill(LIMITS.still))));
        let until_the_fourth = (0..=10).map(|at| (at, at.min(4)));
        assert_eq!(
            fate(until_the_fourth),
            Some((7, Fate::StoodStill(LIMITS.still)))
        );
    }

    #[test]
    fn a_machine_that_never_ends_is_ended_though_it_moves() {
        assert_eq!(
            fate((0..).map(|at| (at, at))),
            Some((11, Fate::StillRan(LIMITS.most)))
        );
    }
}
