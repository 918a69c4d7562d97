//! The report: what became of every device that was asked for, told to people, and kept for programs.
//!
//! | room | |
//! | --- | --- |
//! | [`log`] | lines for the kernel log or the terminal |
//! | [`json`] | the same as JSON |
//! | [`table`] | a plan for people, ready to be pasted |
//! | [`kept`] | `/run/pciseize/report`, which outlives the initramfs |

pub mod json;
pub mod kept;
pub mod log;
pub mod table;

use crate::{
    device::{Device, Devices, Outcome},
    host::Host,
    pci::{Address, bus},
    plan::{Action, Refusal},
    put,
    request::{Request, problem::At},
    seize::module::Missing,
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
    /// Why pciback is not there, if so.
    pub pciback: Result<(), Missing>,
}

impl Report<'_> {
    /// Whether every device is as it was asked to be, and every item was understood.
    pub fn is_as_asked(&self) -> bool {
        self.request.problems.is_empty() && self.devices.iter().all(|device| self.is_device_as_asked(device))
    }

    /// Whether a device is, or will be, as it was asked to be.
    pub fn is_device_as_asked(&self, device: &Device) -> bool {
        if self.is_done { device.outcome.is_as_asked() } else { device.action.is_as_asked() }
    }

    /// How many devices have that outcome.
    pub fn count(&self, outcome: Outcome) -> u32 {
        self.devices.iter().filter(|device| device.outcome == outcome).count() as u32
    }
}

/// Why a device is not, or will not be, taken, and what failed: pieces of a sentence with `; ` between them, nothing where there is nothing to say.
pub(crate) fn explain<H: Host>(host: &mut H, request: &Request, device: &Device) -> Line {
    let mut line = Line::new();
    match device.action {
        Action::Seize => {}
        Action::Keep(keep) => {
            if let Some(item) = request.items.get(usize::from(keep)) {
                put!(&mut line, "; kept by ", item, " at ", At(request, item.origin));
            }
        }
        Action::Refuse(refusal) => {
            put!(&mut line, "; ", refusal);
            if refusal == Refusal::Bridge {
                behind(host, device.address, &mut line);
            }
        }
        Action::Mismatch => put!(&mut line, "; another device is there"),
        Action::Absent if device.failure.is_none() => put!(&mut line, "; no such device"),
        Action::Absent => {}
        Action::Leave => put!(&mut line, "; left alone: an item that cannot be read may be the one that keeps it"),
    }
    if let Some(failure) = device.failure {
        put!(&mut line, "; ", failure);
    }
    line
}

/// Adds the functions behind a bridge to the line.
fn behind<H: Host>(host: &mut H, bridge: Address, line: &mut Line) {
    let mut before = "; behind it: ";
    let _ = bus::walk(host, &mut |host, address| {
        let is_behind = address != bridge && bus::place(host, address).is_some_and(|place| place.leads_through(bridge));
        if is_behind && bus::identity(host, address).is_ok_and(|identity| !identity.is_bridge()) {
            put!(line, before, address);
            before = " ";
        }
    });
}
