//! A function that is asked for: what is to be done with it, and what became of it.

use heapless::Vec;

use crate::{
    guests::Guest,
    host::{Errno, PLACES},
    names,
    pci::{Address, Identity, bus::DriverName},
    plan::Action,
    put,
    request::{Item, ItemId, Request},
    seize::progress::Stage,
    text::{Line, Show, part, word_number},
};

/// Most functions that a request can be about, and items that mean none.
pub const DEVICES: usize = PLACES - 1;

/// The functions of a request.
pub type Devices = Vec<Device, DEVICES>;

/// A function that an item names, or an item that names none.
#[derive(Debug)]
pub struct Device {
    /// Where it is. Of an item that means no function and has no address of its own, a place that none has: see [`Device::known_address`].
    pub address: Address,
    /// Whether the kernel has it.
    pub is_there: bool,
    /// The first item that asked for it.
    pub item: ItemId,
    /// What is to be done with it.
    pub action: Action,
    /// What it is, where that could be read.
    pub identity: Option<Identity>,
    /// The driver that had it when `seize` came. Empty: none.
    pub origin: DriverName,
    /// Whether pciback itself took it, and its initialisation succeeded, in this run.
    pub bound: bool,
    /// Whether it is to be taken, and pciback did not have it before this run.
    pub is_pending: bool,
    /// Whether pciback had it, and could not initialise it.
    pub is_unready: bool,
    /// Whether a guest has it.
    pub guest: Guest,
    /// Whether its override is known to be one of ours.
    pub is_held: bool,
    /// Where its process was when nobody waited any longer. [`Stage::Idle`]: it came to its end.
    pub stuck_at: Stage,
    /// Whether pciback's list of addresses may have it: somebody asks for whatever is there, not for this device only.
    pub stays_listed: bool,
    /// Where the names of its vendor and of itself stand, once they were looked for.
    pub names: [names::Place; 2],
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
    /// A device that nothing was done with yet.
    #[inline(never)]
    pub const fn new(address: Address, item: ItemId, action: Action) -> Device {
        Device {
            address,
            is_there: true,
            item,
            action,
            identity: None,
            origin: DriverName::new(),
            bound: false,
            is_pending: false,
            is_unready: false,
            guest: Guest::None,
            is_held: false,
            stuck_at: Stage::Idle,
            stays_listed: false,
            names: [0; 2],
            failure: None,
            driver: DriverName::new(),
            outcome: Outcome::Absent,
            first_outcome: None,
        }
    }

    /// Notes that a step failed. The first failure stays: it is the cause of the others.
    #[inline(never)]
    pub fn note(&mut self, step: Step, result: Result<(), Errno>) {
        if let (Err(errno), None) = (result, self.failure) {
            self.failure = Some(Failure { step: step as u8, errno });
        }
    }

    /// Whether it is known to be a bridge.
    #[inline(never)]
    pub fn is_bridge(&self) -> bool {
        self.identity.is_some_and(|identity| identity.is_bridge())
    }

    /// The item that asked for it.
    pub fn item<'r>(&self, request: &'r Request) -> Option<&'r Item> {
        request.items.get(usize::from(self.item))
    }

    /// Its address, if there is one.
    pub fn known_address(&self, request: &Request) -> Option<Address> {
        if self.is_there { Some(self.address) } else { self.item(request)?.selector.address() }
    }
}

/// Brings devices into the order of their addresses; what has none comes last.
pub fn sort(devices: &mut Devices) {
    // An address has 48 bits.
    comb(devices, &|device| device.address.bits() << 16 | u64::from(device.item));
}

/// Brings devices into the order of a number that each has. Comb sort: small, and quick but for made-up cases.
#[inline(never)]
pub fn comb(devices: &mut Devices, key: &dyn Fn(&Device) -> u64) {
    let mut gap = devices.len();
    let mut is_sorted = false;
    while !is_sorted {
        // By 1.3, as it is found to take the fewest passes: by 4/3 it takes a quarter more for some lengths.
        gap = (gap * 10 / 13).max(1);
        is_sorted = gap == 1;
        for at in 0..devices.len() {
            if let Ok([one, other]) = devices.get_disjoint_mut([at, at + gap])
                && key(one) > key(other)
            {
                core::mem::swap(one, other);
                is_sorted = false;
            }
        }
    }
}

/// How many of the first of so many things in order are before something.
pub fn count_before(count: usize, is_before: &dyn Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if is_before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

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
    /// Another is there.
    Mismatch,
    /// It is never taken.
    Refused,
    /// Asked for, and kept by a `!` item.
    Kept,
    /// pciback's, and a guest has it.
    Assigned,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 10] = [
        Outcome::Seized,
        Outcome::Held,
        Outcome::Unready,
        Outcome::Exposed,
        Outcome::Lost,
        Outcome::Absent,
        Outcome::Mismatch,
        Outcome::Refused,
        Outcome::Kept,
        Outcome::Assigned,
    ];

    /// Their words, in that order.
    const WORDS: &str = "seized held unready exposed lost absent mismatch refused kept assigned";

    /// The outcome with that word.
    pub fn from_word(word: &[u8]) -> Option<Outcome> {
        Outcome::ALL.get(word_number(Outcome::WORDS, word)?).copied()
    }

    /// Whether the device is as it was asked to be.
    pub const fn is_as_asked(self) -> bool {
        matches!(self, Outcome::Seized | Outcome::Kept | Outcome::Assigned)
    }
}

impl Show for Outcome {
    fn show(&self, line: &mut Line) {
        line.push(part(Outcome::WORDS, b' ', *self as usize));
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
    Unlist,
    Enlist,
    Unquarantine,
    Clear,
    Offer,
}

/// How a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which step: the number of a [`Step`].
    pub step: u8,
    /// The kernel's answer.
    pub errno: Errno,
}

impl Show for Failure {
    fn show(&self, line: &mut Line) {
        const STEPS: &str = "listing /sys/bus/pci/devices
reading modalias
writing driver_override to hold it
reading its driver link
unbinding its driver
writing driver_override for pciback
binding it to pciback
taking it off pciback's list
putting it on pciback's list
asking xl to let go of it
clearing driver_override
offering it to dom0's drivers";
        line.push(part(STEPS, b'\n', self.step.into()));
        put!(line, ": ", self.errno)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{sync::Mutex, vec::Vec};

    use super::*;

    #[test]
    fn sorts_by_address() {
        // Too large for the stack of a test.
        static DEVICES: Mutex<Devices> = Mutex::new(Devices::new());
        let mut devices = DEVICES.lock().expect("one test");
        for length in 0..40_u64 {
            devices.clear();
            for n in 0..length {
                // 1 to 97 in some order, each once at most.
                let device = Device::new(Address { domain: 0, bus: (n * 37 % 97) as u8 + 1, device: 0, function: 0 }, n as ItemId, Action::Seize);
                devices.push(device).expect("room");
            }
            sort(&mut devices);
            let order: Vec<_> = devices.iter().map(|device| device.address.bits()).collect();
            assert!(order.is_sorted(), "{order:?}");
        }
    }
}
