//! A function that is asked for, or an item that means none: what is known of it, phase by phase.
//!
//! Each phase has a part of the record, and writes no other:
//!
//! | part | written by | says |
//! | --- | --- | --- |
//! | [`Function`] | the walk over the bus | what is there |
//! | [`Wish`] | the plan | who asks for it |
//! | [`Action`] | the plan | what is to be done |
//! | [`GuestNameId`] | the plan | how guests call it |
//! | [`Work`] | the seizure, or the release | what was done |
//! | [`State`] | whoever looks | who has it now |
//! | [`Outcome`] | the proof | what became of it |
//! | [`FirstRun`] | the report of an earlier run | what the first run of this boot told |

pub mod action;
pub mod guest;
pub mod order;
pub mod outcome;
pub mod step;

use heapless::Vec;

pub use action::Action;
pub use guest::Guest;
pub use outcome::Outcome;
pub use step::{Failure, Step};

use crate::{
    host::Errno,
    pci::{Address, Identity, Place, bus::DriverName},
    request::{Candidate, GuestNameId, Item, ItemId, Request, syntax::name::Name},
};

/// Most devices: functions that a request is about, and items that mean none.
pub const DEVICES: usize = 8192;

/// The devices of a request.
pub type Devices = Vec<Device, DEVICES>;

/// A function that an item names, or an item that names none.
#[derive(Debug)]
pub struct Device {
    /// What is there.
    pub function: Function,
    /// Who asks for it.
    pub wish: Wish,
    /// What is to be done with it.
    pub action: Action,
    /// How guests call it, where the plan gave it a name.
    pub name: Option<GuestNameId>,
    /// What was done with it.
    pub work: Work,
    /// Who has it.
    pub state: State,
    /// What became of it.
    pub outcome: Outcome,
    /// What `seize` told of it when it first ran in this boot, where a report tells.
    pub first_run: Option<FirstRun>,
}

/// What the earlier runs of `seize` in this boot told of a device: the first, if nothing else is
/// said.
#[derive(Debug)]
pub struct FirstRun {
    /// What had become of it. `None`: a word that this program does not know.
    pub outcome: Option<Outcome>,
    /// What the last run so far told.
    pub latest: Option<Outcome>,
    /// The first step of that last run that failed.
    pub failure: Option<Failure>,
    /// The driver that it was taken from. Empty: none.
    pub origin: DriverName,
}

/// A function of the machine.
#[derive(Debug)]
pub struct Function {
    /// Its address. For an item that matches nothing and names no single address, a placeholder
    /// that no function has: see [`Device::known_address`].
    pub address: Address,
    /// Whether the kernel has it.
    pub is_there: bool,
    /// What it is, where that could be read.
    pub identity: Option<Identity>,
    /// The way to it from the root bus, where somebody looked for it and it could be told.
    pub place: Option<Place>,
    /// The names of its vendor and of itself, where somebody looked for them.
    pub names: [Option<NameId>; 2],
    /// Another of its model, where somebody looked for one: see [`order::find_twins`].
    pub twin: Option<Address>,
    /// How the kernel can reset it.
    pub reset: Reset,
}

/// The names of methods to reset a function, with a blank between them: `flr bus`. Those of Linux
/// 7.1 together have 46 bytes.
pub type ResetMethods = Vec<u8, 63, u8>;

/// How the kernel can reset a function, as far as somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// Nobody looked, or it could not be read.
    #[default]
    Unread,
    /// It has no file that tells: there is no way, or the kernel is older than 5.15.
    NoFile,
    /// By these methods, in the order in which the kernel tries them. Empty: none.
    Methods(ResetMethods),
}

/// A name: where it begins in [`Names`](crate::facts::names::Names).
pub type NameId = u32;

/// Who asks for a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The first item that asks for it. `None`: nobody does.
    pub item: Option<ItemId>,
    /// Whether somebody asks for whatever is at its address, and not for this device only. Then
    /// pciback's list of addresses may keep it.
    pub is_by_address: bool,
}

/// How a release has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Released {
    /// It was given back, or that was tried.
    #[default]
    GivenBack,
    /// The same, but there is no xl: Xen may keep it in quarantine.
    WithoutXl,
    /// It was neither held nor with pciback, nor waited for by pciback.
    Nothing,
}

/// What the seizure, or the release, did with a device.
#[derive(Debug, Default)]
pub struct Work {
    /// Whether a word of the command line means it, where the command tells only of such.
    pub is_meant: bool,
    /// Whether there is something to do: pciback is to get it and did not have it before, or it is
    /// to be released, or to stand in a guest's configuration.
    pub is_due: bool,
    /// The driver that had it before. Empty: none.
    pub previous_driver: DriverName,
    /// Whether pciback had it and had not initialised it.
    pub was_unready: bool,
    /// Whether pciback bound it in this run, which includes its initialisation.
    pub is_bound: bool,
    /// Whether its override is known to be one of ours.
    pub is_held: bool,
    /// The item that is to ask for it in the drop-in from now on.
    pub added: Option<ItemId>,
    /// How its release has ended, if it came to its end.
    pub released: Released,
    /// The step that has not come back when nobody waited any longer.
    pub stuck_in: Option<Step>,
    /// The first step that failed, and how.
    pub failure: Option<Failure>,
}

/// Who has a device, as far as somebody looked.
#[derive(Debug)]
pub struct State {
    /// The driver that has it. Empty: none, or nobody can tell.
    pub driver: DriverName,
    /// Whether the driver could be read.
    pub is_driver_known: bool,
    /// Whether a guest has it.
    pub guest: Guest,
}

impl Device {
    /// A device that nothing was done with yet.
    // 320 bytes less of the program: each caller would fill in every field.
    #[inline(never)]
    pub const fn new(address: Address, wish: Wish, action: Action) -> Device {
        Device {
            function: Function {
                address,
                is_there: true,
                identity: None,
                place: None,
                names: [None; 2],
                twin: None,
                reset: Reset::Unread,
            },
            wish,
            action,
            name: None,
            work: Work {
                is_meant: false,
                is_due: false,
                previous_driver: DriverName::new(),
                was_unready: false,
                is_bound: false,
                is_held: false,
                added: None,
                released: Released::GivenBack,
                stuck_in: None,
                failure: None,
            },
            state: State {
                driver: DriverName::new(),
                is_driver_known: true,
                guest: Guest::None,
            },
            outcome: Outcome::Absent,
            first_run: None,
        }
    }

    /// Notes that a step failed. The first failure stays: it is the cause of the others.
    pub fn note(&mut self, step: Step, result: Result<(), Errno>) {
        if let (Err(errno), None) = (result, self.work.failure) {
            self.work.failure = Some(Failure { step, errno });
        }
    }

    /// Notes which driver has it. None where that cannot be read, and the failure is noted.
    pub fn note_driver(&mut self, read: Result<DriverName, Errno>) {
        self.note(
            Step::Driver,
            read.as_ref().map_or_else(|&errno| Err(errno), |_| Ok(())),
        );
        self.state.is_driver_known = read.is_ok();
        self.state.driver = read.unwrap_or_default();
    }

    /// Whether pciback has a device that it must not have: one that is kept or refused, or another
    /// than the one that was expected.
    pub fn is_wrongly_with_pciback(&self) -> bool {
        let must_not = matches!(
            self.outcome,
            Outcome::Kept | Outcome::Refused | Outcome::Mismatch
        );
        must_not && self.is_with_pciback()
    }

    /// Whether the last run refused it, though a boot takes it.
    pub fn is_refused_by_run(&self) -> bool {
        let is_refused = self.outcome == Outcome::Refused && !self.is_with_pciback();
        is_refused && self.action == Action::Seize
    }

    /// Whether the outcome is as asked: pciback has the device, or surely does not have it where it
    /// is kept.
    pub fn is_as_asked(&self) -> bool {
        let is_known = self.outcome != Outcome::Kept || self.state.is_driver_known;
        self.outcome.is_as_asked() && is_known && !self.is_wrongly_with_pciback()
    }

    /// Vendor and device in one number, where they could be read.
    pub fn model(&self) -> Option<u64> {
        self.function.identity.map(|identity| identity.ids >> 32)
    }

    /// Its address.
    pub const fn address(&self) -> Address {
        self.function.address
    }

    /// What a word of the command line is compared with. By its place it may mean a virtual
    /// function too, which no path of the configuration does.
    pub fn candidate(&self) -> Candidate<'_> {
        Candidate {
            address: self.function.address,
            identity: self.function.identity,
            place: self.function.place.as_ref(),
            is_virtual: false,
        }
    }

    /// Whether it is known to be a bridge.
    pub fn is_bridge(&self) -> bool {
        self.function.identity.is_some_and(Identity::is_bridge)
    }

    /// Whether it is a function of a card, whose functions belong together. What is on the root bus
    /// is none, and neither is a virtual function, which has no way of its own.
    pub fn is_of_card(&self) -> bool {
        let place = self.function.place.as_ref();
        place.is_some_and(|place| !place.steps.is_empty())
    }

    /// Whether pciback has it.
    pub fn is_with_pciback(&self) -> bool {
        self.state.driver == crate::pciback::NAME.as_bytes()
    }

    /// What had become of it when `seize` first ran in this boot.
    pub fn first_outcome(&self) -> Option<Outcome> {
        self.first_run.as_ref()?.outcome
    }

    /// The first step that failed: in this run, or in the last one before, if that has left the
    /// device as it is.
    pub fn failure(&self) -> Option<Failure> {
        let as_it_was = |first: &&FirstRun| first.latest == Some(self.outcome);
        let before = self.first_run.as_ref().filter(as_it_was);
        self.work
            .failure
            .or_else(|| before.and_then(|first| first.failure))
    }

    /// The driver that it was taken from in this boot. Empty: none.
    pub fn origin(&self) -> &DriverName {
        let first = self.first_run.as_ref().map(|first| &first.origin);
        let first = first.filter(|origin| !origin.is_empty());
        first.unwrap_or(&self.work.previous_driver)
    }

    /// The item that asks for it.
    // 192 bytes less of the program: 8 callers would each have a copy.
    #[inline(never)]
    pub fn item<'r>(&self, request: &'r Request) -> Option<&'r Item> {
        request.items.get(usize::from(self.wish.item?))
    }

    /// The name that it has for guests.
    pub fn guest_name<'r>(&self, request: &'r Request) -> Option<&'r Name> {
        request.names.get(self.name?).map(|own| &own.name)
    }

    /// Its address, if there is one.
    pub fn known_address(&self, request: &Request) -> Option<Address> {
        if self.function.is_there {
            Some(self.function.address)
        } else {
            self.item(request)?.selector.address()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::testing::request;

    fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).expect(text)
    }

    fn name(text: &str) -> DriverName {
        DriverName::from_slice(text.as_bytes()).expect(text)
    }

    fn wanted_by(item: ItemId) -> Device {
        let wish = Wish {
            item: Some(item),
            is_by_address: true,
        };
        Device::new(address("03:00.0"), wish, Action::Seize)
    }

    #[test]
    fn was_taken_from_the_driver_that_the_first_run_met() {
        let first = |origin| {
            Some(FirstRun {
                outcome: Some(Outcome::Seized),
                latest: None,
                failure: None,
                origin: name(origin),
            })
        };
        for (first_run, previous, stuck_in, origin) in [
            (None, "e1000e", None, "e1000e"),
            (None, "", None, ""),
            (None, "e1000e", Some(Step::Bind), "e1000e"),
            (first("igb"), "", None, "igb"),
            (first("igb"), "e1000e", None, "igb"),
            (first(""), "e1000e", None, "e1000e"),
        ] {
            let mut device = wanted_by(0);
            device.first_run = first_run;
            device.work.previous_driver = name(previous);
            device.work.stuck_in = stuck_in;
            assert_eq!(device.origin().as_slice(), origin.as_bytes(), "{device:?}");
        }
    }

    #[test]
    fn has_an_address_where_it_is_there_or_its_item_is_one() {
        let request = request("04:00.0\nclass:usb\n");
        for (item, is_there, expected) in [
            (0, true, Some("03:00.0")),
            (0, false, Some("04:00.0")),
            (1, true, Some("03:00.0")),
            (1, false, None),
            (2, false, None),
        ] {
            let mut device = wanted_by(item);
            device.function.is_there = is_there;
            let known = device.known_address(&request);
            assert_eq!(known, expected.map(address), "{item} {is_there}");
        }
    }

    #[test]
    fn keeps_the_first_failure() {
        let mut device = wanted_by(0);
        device.note(Step::Hold, Ok(()));
        assert_eq!(device.work.failure, None);
        device.note(Step::Hold, Err(Errno::EIO));
        device.note_driver(Err(Errno::EACCES));
        let first = Failure {
            step: Step::Hold,
            errno: Errno::EIO,
        };
        assert_eq!(device.work.failure, Some(first));
    }

    #[test]
    fn has_no_driver_that_cannot_be_read() {
        let mut device = wanted_by(0);
        device.note_driver(Ok(name("pciback")));
        assert!(device.is_with_pciback());
        device.note_driver(Err(Errno::EACCES));
        assert!(!device.is_with_pciback() && device.state.driver.is_empty());
        let failure = Failure {
            step: Step::Driver,
            errno: Errno::EACCES,
        };
        assert_eq!(device.work.failure, Some(failure));
    }
}
