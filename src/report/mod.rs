//! The report: what became of every device that was asked for, told to people, and kept for programs.
//!
//! | room | |
//! | --- | --- |
//! | [`log`] | lines for the kernel log or the terminal |
//! | [`json`] | the same as JSON |
//! | [`row`] | a device in a line, for the log, or for a table that can be pasted |
//! | [`list`] | a function in a line, whoever asks for it |
//! | [`sink`] | text on its way out |
//! | [`warnings`] | what a plan warns of |
//! | [`kept`] | `/run/pciseize/report`, which outlives the initramfs |

pub mod json;
pub mod kept;
pub mod list;
pub mod log;
pub mod row;
pub mod sink;
pub mod warnings;

pub use kept::Image;

use crate::{
    device::{Device, Devices, Outcome},
    needs::Needs,
    plan::Action,
    put,
    request::Request,
    seize::module::Answer,
    text::Line,
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

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What `seize` would do.
    Plan,
    /// What it has done.
    Seizure,
    /// How that is now.
    Status,
    /// What there is.
    List,
}

/// All that a report tells.
#[derive(Clone, Copy, Debug)]
pub struct Report<'r> {
    /// What it tells.
    pub kind: Kind,
    /// What was asked for.
    pub request: &'r Request,
    /// What became of it.
    pub devices: &'r Devices,
    /// The names of the devices, where they were looked for.
    pub names: &'r [u8],
    /// What dom0 uses, where that was looked for.
    pub needs: &'r Needs,
    /// Whether this is a Xen dom0.
    pub is_dom0: bool,
    /// When it ran.
    pub stage: Stage,
    /// What came of loading pciback.
    pub pciback: Answer,
    /// What the image of this boot was configured with, if it has seized.
    pub image: Option<Image>,
}

impl<'r> Report<'r> {
    /// One of the running host, where nothing was done.
    #[inline(never)]
    pub const fn new(kind: Kind, request: &'r Request, devices: &'r Devices, needs: &'r Needs, is_dom0: bool) -> Report<'r> {
        Report { kind, request, devices, names: &[], needs, is_dom0, stage: Stage::Host, pciback: Answer::READY, image: None }
    }

    /// 0: the image of this boot was made with the configuration as it is now; 1: with another; 2: it has not run `seize`.
    #[inline(never)]
    pub fn agreement(&self) -> usize {
        let mut digest = Line::new();
        put!(&mut digest, self.request.digest);
        self.image.map_or(2, |image| usize::from(image.digest != digest.bytes()))
    }

    /// Whether it tells of outcomes.
    pub fn is_done(&self) -> bool {
        matches!(self.kind, Kind::Seizure | Kind::Status)
    }

    /// Whether every device is as it was asked to be, and every item was understood.
    pub fn is_as_asked(&self) -> bool {
        self.request.problems.is_empty() && self.devices.iter().all(|device| self.is_device_as_asked(device))
    }

    /// Whether a device is, or will be, as it was asked to be.
    pub fn is_device_as_asked(&self, device: &Device) -> bool {
        if self.is_done() { device.outcome.is_as_asked() } else { device.action.is_as_asked() && (device.failure.is_none() || device.action != Action::Seize) }
    }

    /// How many devices pciback has, with a guest or not.
    pub fn count_seized(&self) -> u32 {
        self.devices.iter().filter(|device| matches!(device.outcome, Outcome::Seized | Outcome::Assigned)).count() as u32
    }
}
