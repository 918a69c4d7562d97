//! How far a device has come: what the process that works on it posts, where the others read it.
//!
//! Between processes this has to be one number. [`Progress::to_bits`] and [`Progress::from_bits`]
//! are the only places that know how it is laid out.

use crate::{
    device::{Device, Failure, Step},
    host::Errno,
};

/// What comes next for a device, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing was to be done.
    Idle,
    /// The driver that had it lets go of it.
    Release,
    /// It waits until pciback is there, and until it is its turn.
    Await,
    /// The override becomes `pciback`.
    Override,
    /// pciback takes it.
    Bind,
    /// pciback forgets the address.
    Unlist,
    /// pciback has not got it: does its override keep others away?
    Check,
    /// Nothing is left to be done.
    Done,
}

impl Stage {
    const ALL: [Stage; 8] = [
        Stage::Idle,
        Stage::Release,
        Stage::Await,
        Stage::Override,
        Stage::Bind,
        Stage::Unlist,
        Stage::Check,
        Stage::Done,
    ];

    /// The step that is stuck if this stage does not come to its end.
    const fn step(self) -> Option<Step> {
        match self {
            Stage::Idle | Stage::Done => None,
            Stage::Release => Some(Step::Unbind),
            Stage::Await | Stage::Bind => Some(Step::Bind),
            Stage::Override => Some(Step::Override),
            Stage::Unlist => Some(Step::Unlist),
            Stage::Check => Some(Step::Driver),
        }
    }
}

/// How far a device has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What comes next.
    pub stage: Stage,
    /// pciback has bound the device.
    pub is_bound: bool,
    /// The old driver was gone when it was to let go: its probe has failed.
    pub had_no_driver: bool,
    /// The override is one of ours.
    pub is_held: bool,
    /// The first step that failed. It is the cause of the others.
    pub failure: Option<Failure>,
}

// From the lowest bit: 4 of the stage, 4 of what is so, 8 of the failed step, 16 of its errno.
const BOUND: u32 = 1 << 4;
const HAD_NO_DRIVER: u32 = 1 << 5;
const HELD: u32 = 1 << 6;
const FLAGS: [u32; 3] = [BOUND, HAD_NO_DRIVER, HELD];

impl Progress {
    /// At a stage that nobody has begun yet.
    pub const fn at(stage: Stage) -> Progress {
        Progress {
            stage,
            is_bound: false,
            had_no_driver: false,
            is_held: false,
            failure: None,
        }
    }

    /// The number to post.
    pub fn to_bits(self) -> u32 {
        let stage = Stage::ALL
            .iter()
            .position(|&stage| stage == self.stage)
            .unwrap_or_default();
        let flags = [self.is_bound, self.had_no_driver, self.is_held];
        let flags = flags
            .iter()
            .zip(FLAGS)
            .map(|(&is_so, bit)| if is_so { bit } else { 0 });
        stage as u32 | flags.sum::<u32>() | Failure::to_bits(self.failure)
    }

    /// What was posted.
    pub fn from_bits(bits: u32) -> Progress {
        Progress {
            stage: Stage::ALL
                .get((bits & 0xf) as usize)
                .copied()
                .unwrap_or(Stage::Idle),
            is_bound: bits & BOUND != 0,
            had_no_driver: bits & HAD_NO_DRIVER != 0,
            is_held: bits & HELD != 0,
            failure: Failure::from_bits(bits),
        }
    }

    /// Whether there is something left to be done.
    pub fn is_open(self) -> bool {
        !matches!(self.stage, Stage::Idle | Stage::Done)
    }

    /// Whether something is to be done now.
    pub fn is_active(self) -> bool {
        self.is_open() && self.stage != Stage::Await
    }

    /// The same, at another stage.
    pub fn on(self, stage: Stage) -> Progress {
        Progress { stage, ..self }
    }

    /// The same, at the stage that follows a step, and with the failure of that step if it failed.
    pub fn after(self, step: Step, result: Result<(), Errno>, next: Stage) -> Progress {
        let failed = result.err().map(|errno| Failure { step, errno });
        Progress {
            failure: self.failure.or(failed),
            ..self
        }
        .on(next)
    }

    /// Writes into the device how far it has come, when nobody is waited for any more.
    pub fn settle(self, device: &mut Device) {
        let work = &mut device.work;
        work.is_bound = self.is_bound;
        work.is_held = self.is_held;
        if self.had_no_driver {
            work.previous_driver.clear();
        }
        if self.is_open() {
            work.stuck_in = self.stage.step();
            // The step before all others was the hold.
            let hold_failed = work
                .failure
                .is_some_and(|failure| failure.step == Step::Hold);
            work.is_held |= !hold_failed || self.stage == Stage::Bind;
        }
        let stuck = work.stuck_in.map(|step| Failure {
            step,
            errno: Errno::STUCK,
        });
        work.failure = work.failure.or(self.failure).or(stuck);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::{
        device::{Action, Wish},
        pci::{Address, bus::DriverName},
    };

    #[test]
    fn comes_back_from_its_bits() {
        let failures = Step::ALL.map(|step| {
            Some(Failure {
                step,
                errno: Errno::ENODEV,
            })
        });
        for stage in Stage::ALL {
            for failure in failures.into_iter().chain([None]) {
                for flags in 0..8_u8 {
                    let progress = Progress {
                        stage,
                        is_bound: flags & 1 != 0,
                        had_no_driver: flags & 2 != 0,
                        is_held: flags & 4 != 0,
                        failure,
                    };
                    assert_eq!(Progress::from_bits(progress.to_bits()), progress);
                }
            }
        }
        assert_eq!(Progress::from_bits(0), Progress::at(Stage::Idle));
    }

    #[test]
    fn keeps_the_first_failure() {
        let progress = Progress::at(Stage::Release)
            .after(Step::Unbind, Err(Errno::EIO), Stage::Await)
            .after(Step::Bind, Err(Errno::ENODEV), Stage::Check);
        let first = Failure {
            step: Step::Unbind,
            errno: Errno::EIO,
        };
        assert_eq!(
            (progress.stage, progress.failure),
            (Stage::Check, Some(first))
        );
    }

    /// A device that e1000e had, with what failed of it before.
    fn device(failure: Option<Failure>) -> Device {
        let wish = Wish {
            item: Some(0),
            is_by_address: true,
        };
        let mut device = Device::new(Address::from_bits(0x300), wish, Action::Seize);
        device.work.previous_driver = DriverName::from_slice(b"e1000e").expect("room");
        device.work.failure = failure;
        device
    }

    fn failed(step: Step, errno: Errno) -> Option<Failure> {
        Some(Failure { step, errno })
    }

    #[test]
    fn settles_how_far_a_device_has_come() {
        let hold = failed(Step::Hold, Errno::EIO);
        for (stage, before, stuck_in, is_held, failure) in [
            (Stage::Idle, None, None, false, None),
            (Stage::Done, None, None, false, None),
            (
                Stage::Release,
                None,
                Some(Step::Unbind),
                true,
                failed(Step::Unbind, Errno::STUCK),
            ),
            (
                Stage::Await,
                None,
                Some(Step::Bind),
                true,
                failed(Step::Bind, Errno::STUCK),
            ),
            (
                Stage::Override,
                None,
                Some(Step::Override),
                true,
                failed(Step::Override, Errno::STUCK),
            ),
            (
                Stage::Unlist,
                None,
                Some(Step::Unlist),
                true,
                failed(Step::Unlist, Errno::STUCK),
            ),
            (
                Stage::Check,
                None,
                Some(Step::Driver),
                true,
                failed(Step::Driver, Errno::STUCK),
            ),
            // Nothing holds it where the hold failed, until its override is pciback.
            (Stage::Release, hold, Some(Step::Unbind), false, hold),
            (Stage::Bind, hold, Some(Step::Bind), true, hold),
        ] {
            let mut device = device(before);
            Progress::at(stage).settle(&mut device);
            let work = &device.work;
            assert_eq!(work.stuck_in, stuck_in, "{stage:?} {before:?}");
            assert_eq!(work.is_held, is_held, "{stage:?} {before:?}");
            assert_eq!(work.failure, failure, "{stage:?} {before:?}");
            assert_eq!(work.previous_driver.as_slice(), b"e1000e");
        }
    }

    #[test]
    fn settles_what_was_posted() {
        let posted = Progress {
            stage: Stage::Done,
            is_bound: true,
            had_no_driver: true,
            is_held: true,
            failure: failed(Step::Unbind, Errno::EIO),
        };
        let mut device = device(None);
        posted.settle(&mut device);
        assert!(device.work.is_bound && device.work.is_held);
        assert!(device.work.previous_driver.is_empty());
        assert_eq!(device.work.failure, failed(Step::Unbind, Errno::EIO));
        assert_eq!(device.work.stuck_in, None);
    }
}
