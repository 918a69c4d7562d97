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
    /// pciback forgets the address.
    Unlist,
    /// pciback has not got it: does its override keep others away?
    Check,
    /// Nothing is left to be done.
    Done,
}

const STAGES: [Stage; 8] = [Stage::Idle, Stage::Release, Stage::Await, Stage::Override, Stage::Bind, Stage::Unlist, Stage::Check, Stage::Done];

/// The number. From the lowest bit: 4 of the stage; whether it is being done; whether pciback has bound the device; whether the old driver never really had it; whether its override is
/// one of ours; 8 for the step that failed, from 1; 16 for its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress(pub u32);

const STAGE: u32 = 0xf;
const BUSY: u32 = 1 << 4;
const BOUND: u32 = 1 << 5;
const NEVER_HAD: u32 = 1 << 6;
const HELD: u32 = 1 << 7;

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

    /// Its override is one of ours.
    pub const fn held(self) -> Progress {
        Progress(self.0 | HELD)
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
        device.is_held = self.0 & HELD != 0;
        if self.0 & NEVER_HAD != 0 {
            device.origin.clear();
        }
        let (mut step, mut errno) = (self.0 >> 8 & 0xff, self.0 >> 16);
        if step == 0 && self.is_open() {
            step = STEPS.get((self.0 & STAGE) as usize).copied().unwrap_or_default().into();
            errno = Errno::STUCK.0 as u32;
        }
        if self.is_open() {
            device.stuck_at = self.stage();
            // The step before it all was the hold.
            device.is_held |= device.failure.is_none_or(|failure| failure.step != Step::Hold as u8 || self.stage() == Stage::Bind);
        }
        if step != 0 && device.failure.is_none() {
            device.failure = Some(Failure { step: step as u8 - 1, errno: Errno(errno as i32) });
        }
    }
}

/// The step of each stage, from 1.
const STEPS: [u8; 8] =
    [0, Step::Unbind as u8 + 1, Step::Bind as u8 + 1, Step::Override as u8 + 1, Step::Bind as u8 + 1, Step::Unlist as u8 + 1, Step::Driver as u8 + 1, 0];
