//! The seizure: takes what is asked for away from dom0, and proves it.
//!
//! The order is the contract: nothing slow or fallible happens before every device is held.
//!
//! | step | room | |
//! | --- | --- | --- |
//! | 1 | [`dom0`] | is this a Xen dom0 at all? |
//! | 2 | [`hold`] | an override that no driver answers to, on every device that is asked for |
//! | 3 | [`release`] | drivers that were quicker let go |
//! | 4 | [`module`] | pciback is there, or is loaded |
//! | 5 | [`bind`] | each device is given to it |
//! | 6 | [`proof`] | who has each device now |

pub mod bind;
pub mod dom0;
pub mod hold;
pub mod module;
pub mod proof;
pub mod release;

use heapless::Vec;

use crate::{
    host::{Errno, Host, Level, Path},
    pci::{
        Address, Identity,
        bus::{self, DriverName},
    },
    plan::Refusal,
    put,
    request::{ITEMS, Origin, Request},
    say,
    text::{Line, Show, words},
};

/// The name of the driver that hands devices to guests (`drivers/xen/xen-pciback/pci_stub.c`).
pub const PCIBACK: &str = "pciback";

/// The override that holds a device: the name of no driver.
pub const HOLD: &str = "pciseize";

/// A function that is asked for, and what became of it.
#[derive(Debug)]
pub struct Device {
    /// Where it is.
    pub address: Address,
    /// The first item that asked for it.
    pub asked: Origin,
    /// Whether the kernel has it.
    pub is_there: bool,
    /// What it is, where that could be read.
    pub identity: Option<Identity>,
    /// Why it is not to be taken, if so.
    pub refusal: Option<Refusal>,
    /// The driver that had it when `seize` came. Empty: none.
    pub origin: DriverName,
    /// Whether pciback itself took it, and its initialisation succeeded, in this run.
    pub bound: bool,
    /// Whether it is to be taken, and pciback did not have it before this run.
    pub is_pending: bool,
    /// The first step that failed, and how.
    pub failure: Option<Failure>,
    /// The driver that has it at the end. Empty: none.
    pub driver: DriverName,
    /// What became of it.
    pub outcome: Outcome,
    /// What became of it when `seize` first ran in this boot.
    pub first_outcome: Option<Outcome>,
}

impl Device {
    /// A device that is asked for and was not seen yet.
    const fn absent(address: Address, asked: Origin) -> Device {
        Device {
            address,
            asked,
            is_there: false,
            identity: None,
            refusal: None,
            origin: DriverName::new(),
            bound: false,
            is_pending: false,
            failure: None,
            driver: DriverName::new(),
            outcome: Outcome::Absent,
            first_outcome: None,
        }
    }

    /// Notes that a step failed. The first failure stays: it is the cause of the others.
    #[inline(never)]
    fn note(&mut self, step: Step, result: Result<(), Errno>) {
        if let (Err(errno), None) = (result, self.failure) {
            self.failure = Some(Failure { step, errno });
        }
    }
}

/// The devices of a seizure. Every item names one function, so that there is room for all.
pub type Devices = Vec<Device, ITEMS>;

/// What became of a device. The words are the contract's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Bound to pciback and initialised.
    Seized,
    /// No driver has it and none can take it, but pciback has not got it.
    Held,
    /// On pciback, but its initialisation is not proven.
    Unready,
    /// No driver has it, and nothing keeps one from taking it.
    Exposed,
    /// A dom0 driver has it.
    Lost,
    /// It is not there.
    Absent,
    /// It is never taken.
    Refused,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 7] = [Outcome::Seized, Outcome::Held, Outcome::Unready, Outcome::Exposed, Outcome::Lost, Outcome::Absent, Outcome::Refused];

    /// Their words, in that order.
    const WORDS: &str = "seized held unready exposed lost absent refused";

    /// The outcome with that word.
    pub fn from_word(word: &[u8]) -> Option<Outcome> {
        words(Outcome::WORDS).zip(Outcome::ALL).find(|&(own, _)| own == word).map(|(_, outcome)| outcome)
    }

    /// Whether the device is as it was asked to be.
    pub const fn is_as_asked(self) -> bool {
        matches!(self, Outcome::Seized)
    }
}

impl Show for Outcome {
    fn show(&self, line: &mut Line) {
        line.push(words(Outcome::WORDS).nth(*self as usize).unwrap_or_default());
    }
}

/// A step of the seizure, as far as it concerns one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    List,
    Identify,
    Hold,
    Driver,
    Unbind,
    Override,
    Bind,
}

/// How a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which step.
    pub step: Step,
    /// The kernel's answer.
    pub errno: Errno,
}

impl Show for Failure {
    fn show(&self, line: &mut Line) {
        let step = match self.step {
            Step::List => "listing /sys/bus/pci/devices",
            Step::Identify => "reading modalias",
            Step::Hold => "writing driver_override to hold it",
            Step::Driver => "reading its driver link",
            Step::Unbind => "unbinding its driver",
            Step::Override => "writing driver_override for pciback",
            Step::Bind => "binding it to pciback",
        };
        put!(line, step, ": ", self.errno)
    }
}

/// Gives every pending device to pciback: steps 3 to 5. Gives back why pciback is not there, if so.
pub fn take<H: Host>(host: &mut H, request: &Request, devices: &mut Devices) -> Result<(), module::Missing> {
    let debug = |host: &mut H, what: &str| {
        if request.switches.debug {
            say!(host, Level::Info, what);
        }
    };
    debug(host, "releasing old drivers");
    release::old_drivers(host, devices);
    let pciback = if devices.iter().any(|device| device.is_pending) {
        debug(host, "loading xen-pciback");
        module::ready(host, &request.module_parameters)
    } else {
        Ok(())
    };
    debug(host, "binding");
    bind::everything(host, devices, pciback.is_ok());
    pciback
}

/// Writes the override of a device: the name of the one driver that may have it.
fn set_override<H: Host>(host: &mut H, address: Address, driver: &str) -> Result<(), Errno> {
    host.write(&bus::attribute(address, "/driver_override"), driver.as_bytes())
}

/// Writes the address of a device into `bind` or `unbind` of a driver, or another attribute that takes one.
fn write_address<H: Host>(host: &mut H, path: Path, address: Address) -> Result<(), Errno> {
    host.write(path, &address.text())
}
