//! The report: what became of every device that was asked for, as text for people and for programs.
//!
//! Data in and text out: nothing here looks at the machine. [`store`] alone reads and writes a
//! file.
//!
//! | file | |
//! | --- | --- |
//! | [`log`] | lines for the kernel log or the terminal |
//! | [`table`] | the same as a table whose lines paste into the configuration |
//! | [`list`] | a function in a line, whoever asks for it |
//! | [`json`] | all of these for programs |
//! | [`explain`] | why a device is not as asked, what to know before it is taken |
//! | [`layout`] | columns, and text that wraps |
//! | [`sink`] | text on its way out |
//! | [`store`] | `/run/pciseize/report`, which outlives the initramfs |

pub mod explain;
pub mod json;
pub mod layout;
pub mod list;
pub mod log;
pub mod sink;
pub mod store;
pub mod table;

use crate::{
    device::{Action, Device, Devices, Outcome},
    facts::{names::Names, usage::Usage},
    pciback::Answer,
    plan::{behind::BehindList, warnings::WarningList},
    put,
    request::Request,
    text::Line,
};
pub use store::Image;

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

/// What a report tells.
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
    /// What became of it, in order of addresses.
    pub devices: &'r Devices,
    /// The names of the devices, where somebody looked for them.
    pub names: &'r Names,
    /// What dom0 uses, where somebody looked for it.
    pub usage: &'r Usage,
    /// What is to be warned of, in a plan.
    pub warnings: &'r WarningList,
    /// What is behind refused bridges.
    pub behind: &'r BehindList,
    /// Whether this is a Xen dom0.
    pub is_dom0: bool,
    /// When it ran.
    pub stage: Stage,
    /// What came of loading pciback.
    pub pciback: Answer,
    /// What the image of this boot was configured with, if it has seized.
    pub image: Option<Image>,
}

/// Whether the image of this boot has the configuration as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// It has.
    Same,
    /// It was made with another.
    Another,
    /// It has not run `seize`.
    Missing,
}

impl Report<'_> {
    /// Whether the image of this boot has the configuration as it is now.
    pub fn agreement(&self) -> Agreement {
        let mut digest = Line::new();
        put!(&mut digest, "{}", self.request.digest);
        match self.image {
            None => Agreement::Missing,
            Some(image) if image.digest == digest.bytes() => Agreement::Same,
            Some(_) => Agreement::Another,
        }
    }

    /// Whether it tells outcomes.
    pub fn has_outcomes(&self) -> bool {
        matches!(self.kind, Kind::Seizure | Kind::Status)
    }

    /// Whether every device is as it was asked to be, and every item was understood.
    pub fn is_as_asked(&self) -> bool {
        let mut devices = self.devices.iter();
        self.request.problems.is_empty() && devices.all(|device| self.is_device_as_asked(device))
    }

    /// Whether a device is, or will be, as it was asked to be.
    pub fn is_device_as_asked(&self, device: &Device) -> bool {
        if self.has_outcomes() {
            return device.outcome.is_as_asked();
        }
        let has_failed = device.action == Action::Seize && device.work.failure.is_some();
        device.action.is_as_asked() && !has_failed
    }

    /// How many devices pciback has, with a guest or not.
    pub fn count_seized(&self) -> u32 {
        let has_it =
            |device: &&Device| matches!(device.outcome, Outcome::Seized | Outcome::Assigned);
        self.devices.iter().filter(has_it).count() as u32
    }
}
