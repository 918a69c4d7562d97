//! How far a device has come: one number, which the process that works on it notes where the others can read it.

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
    /// pciback is waited for.
    Await,
    /// The override becomes `pciback`.
    Override,
    /// pciback takes it.
    Bind,
    /// pciback had it already: with its initialisation failed?
    Look,
    /// pciback takes it once more.
    Rebind,
    /// pciback forgets the address.
    Unlist,
    /// Nothing is left to be done.
    Done,
}

const STAGES: [Stage; 9] = [Stage::Idle, Stage::Release, Stage::Await, Stage::Override, Stage::Bind, Stage::Look, Stage::Rebind, Stage::Unlist, Stage::Done];

/// The number. From the lowest bit: 4 of the stage; whether it is being done; whether pciback has bound the device; whether the old driver never really had it; 8 for the step that failed, from 1; 16 for its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress(pub u32);

const STAGE: u32 = 0xf;
const BUSY: u32 = 1 << 4;
const BOUND: u32 = 1 << 5;
const NEVER_HAD: u32 = 1 << 6;

impl Progress {
    /// At a stage, which nobody has begun yet.
    pub const fn at(stage: Stage) -> Progress {
        Progress(stage as u32)
    }

    /// What comes next.
    pub fn stage(self) -> Stage {
        STAGES.get((self.0 & STAGE) as usize).copied().unwrap_or(Stage::Idle)
    }

    /// Whether there is something left to be done.
    pub const fn is_open(self) -> bool {
        let stage = self.0 & STAGE;
        stage != Stage::Idle as u32 && stage != Stage::Done as u32
    }

    /// Whether it has not come as far as another.
    pub const fn is_behind(self, other: Progress) -> bool {
        self.0 & STAGE < other.0 & STAGE
    }

    /// The same with this stage, which is being done now.
    pub const fn begun(self) -> Progress {
        Progress(self.0 | BUSY)
    }

    /// The same, at another stage.
    pub const fn on(self, stage: Stage) -> Progress {
        Progress(self.0 & !(STAGE | BUSY) | stage as u32)
    }

    /// pciback has bound the device.
    pub const fn bound(self) -> Progress {
        Progress(self.0 | BOUND)
    }

    /// The old driver was gone when it was to let go: its probe has failed.
    pub const fn never_had(self) -> Progress {
        Progress(self.0 | NEVER_HAD)
    }

    /// The same, at the stage that follows a step: `next` where that went well, or else `otherwise`, and then with its failure. The first failure stays: it is the cause of the others.
    #[inline(never)]
    pub fn after(self, step: Step, result: Result<(), Errno>, next: Stage, otherwise: Stage) -> Progress {
        match result {
            Ok(()) => self.on(next),
            Err(errno) if self.0 >> 8 == 0 => Progress(self.0 | (step as u32 + 1) << 8 | (errno.0 as u32) << 16).on(otherwise),
            Err(_) => self.on(otherwise),
        }
    }

    /// Writes into the device what the number says, when nobody is waited for any more.
    #[inline(never)]
    pub fn settle(self, device: &mut Device) {
        device.bound = self.0 & BOUND != 0;
        if self.0 & NEVER_HAD != 0 {
            device.origin.clear();
        }
        device.note(Step::from_number((self.0 >> 8 & 0xff).wrapping_sub(1)), if self.0 >> 8 == 0 { Ok(()) } else { Err(Errno((self.0 >> 16) as i32)) });
        if self.is_open() {
            let is_busy = self.0 & BUSY != 0;
            device.is_stuck = is_busy;
            let step = match self.stage() {
                Stage::Release => Step::Unbind,
                Stage::Override => Step::Override,
                Stage::Unlist => Step::Unlist,
                _ => Step::Bind,
            };
            device.failure.get_or_insert(Failure { step, errno: if is_busy { Errno::STUCK } else { Errno::NOT_BEGUN } });
        }
    }
}
