//! The report: what became of every device that was asked for, told to people, and kept for programs.
//!
//! | room | |
//! | --- | --- |
//! | [`log`] | lines for the kernel log or the terminal |
//! | [`json`] | the same as JSON |
//! | [`row`] | a device in a line, for the log, or for a table that can be pasted |
//! | [`kept`] | `/run/pciseize/report`, which outlives the initramfs |

pub mod json;
pub mod kept;
pub mod log;
pub mod row;

use crate::{
    device::{Device, Devices, Outcome},
    plan::Action,
    request::Request,
    seize::module::Answer,
};

/// When `seize` ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In the initramfs, before the root file system is there.
    Initramfs,
    /// On the running host.
    Host,
}

impl Stage {
    /// Its word in the report.
    pub const fn word(self) -> &'static str {
        match self {
            Stage::Initramfs => "initramfs",
            Stage::Host => "host",
        }
    }
}

/// All that a report tells.
#[derive(Clone, Copy, Debug)]
pub struct Report<'r> {
    /// Whether it tells of something done, and not only of a plan.
    pub is_done: bool,
    /// What was asked for.
    pub request: &'r Request,
    /// What became of it.
    pub devices: &'r Devices,
    /// Whether this is a Xen dom0.
    pub is_dom0: bool,
    /// When it ran.
    pub stage: Stage,
    /// What came of loading pciback.
    pub pciback: Answer,
}

impl Report<'_> {
    /// Whether every device is as it was asked to be, and every item was understood.
    pub fn is_as_asked(&self) -> bool {
        self.request.problems.is_empty() && self.devices.iter().all(|device| self.is_device_as_asked(device))
    }

    /// Whether a device is, or will be, as it was asked to be.
    pub fn is_device_as_asked(&self, device: &Device) -> bool {
        if self.is_done { device.outcome.is_as_asked() } else { device.action.is_as_asked() && (device.failure.is_none() || device.action != Action::Seize) }
    }

    /// How many devices have that outcome.
    pub fn count(&self, outcome: Outcome) -> u32 {
        self.devices.iter().filter(|device| device.outcome == outcome).count() as u32
    }
}
