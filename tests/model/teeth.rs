//! Deliberate mistakes in the seizure. Each breaks a law: so the laws have teeth.
//!
//! The seizure itself is as it is. Between it and the dom0 stands one that does to its calls what the mistake would have done.

use std::collections::{BTreeMap, BTreeSet};

use pciseize::{
    host::{Errno, Host, Level, Path, Turn},
    seize::HOLD,
    text::Line,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::{
    dom0::{Dom0, Inhabited, side_by_side},
    kernel::{PCIBACK, text},
    scenarios::scenario,
};

/// What the seizure would have done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// It does not hold.
    NoHold,
    /// It reads the driver of a device when it finds it, and not after the hold.
    ReadsBeforeTheHold,
    /// It gives a device to pciback as soon as it is found, and holds it then.
    BindsBeforeTheHold,
    /// It holds with `pciback`, and so the load of the module binds all devices.
    HoldsForPciback,
    /// A `bind` that succeeded is proof enough.
    TrustsBind,
    /// An override that was written is proof enough.
    TrustsTheOverride,
    /// It does not read what is to be kept.
    IgnoresKeeps,
    /// It takes bridges for network cards.
    IgnoresBridges,
    /// It takes what pciback has for unready.
    TakesFromPciback,
    /// What fails in a child is lost.
    LosesFailures,
    /// It does not wait for the module.
    DoesNotWait,
    /// It leaves on pciback's list what the kernel puts there.
    LeavesTheList,
    /// It does not release old drivers.
    DoesNotRelease,
    /// It looks at the override of a device with which something is stuck.
    TouchesTheStuck,
}

/// Each with a law that it breaks.
const MISTAKES: [(Mistake, &str); 14] = [
    (Mistake::NoHold, "what is held is held"),
    (Mistake::ReadsBeforeTheHold, "what can be had is had"),
    (Mistake::BindsBeforeTheHold, "holds come first"),
    (Mistake::HoldsForPciback, "what is held is held"),
    (Mistake::TrustsBind, "the report is true"),
    (Mistake::TrustsTheOverride, "the report is true"),
    (Mistake::IgnoresKeeps, "others are left alone"),
    (Mistake::IgnoresBridges, "others are left alone"),
    (Mistake::TakesFromPciback, "what pciback has stays there"),
    (Mistake::LosesFailures, "what is not so has a reason"),
    (Mistake::DoesNotWait, "what is held is held"),
    (Mistake::LeavesTheList, "pciback waits for nothing but plain addresses"),
    (Mistake::DoesNotRelease, "what can be had is had"),
    (Mistake::TouchesTheStuck, "nothing waits for ever"),
];

/// Most scenarios that are played until a mistake is found.
const ENOUGH: usize = 5_000;

/// Plays scenarios, always the same ones, until each mistake has broken its law. Without a mistake none is broken.
#[test]
fn every_mistake_breaks_a_law() {
    let config = Config { failure_persistence: None, ..Config::default() };
    for (mistake, law) in MISTAKES {
        let mut runner = TestRunner::new_with_rng(config.clone(), TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
        let mut broken = BTreeMap::new();
        for number in 1..=ENOUGH {
            let scenario = scenario(8, 0, 1).new_tree(&mut runner).expect("a scenario").current();
            if let Err(found) = scenario.play(Some(mistake), false) {
                assert!(scenario.play(None, false).is_ok(), "{mistake:?}: the law is broken without the mistake, too: {}", found.0);
                broken.entry(found.0.law).or_insert(number);
            }
            if broken.contains_key(law) {
                break;
            }
        }
        println!("{mistake:?}: {broken:?}");
        assert!(broken.contains_key(law), "{mistake:?} does not break '{law}', but {broken:?}");
    }
}

/// A dom0 to which the mistake is made.
pub struct Mistaken {
    dom0: Dom0,
    mistake: Mistake,
    /// What the driver links said when the devices were found, and of those that were held since.
    found: BTreeMap<Vec<u8>, Result<Vec<u8>, Errno>>,
    remembered: BTreeMap<Vec<u8>, Result<Vec<u8>, Errno>>,
    /// What was bound or overridden.
    done: BTreeSet<String>,
    is_side_by_side: bool,
    has_worked: bool,
}

impl Mistaken {
    pub fn new(dom0: Dom0, mistake: Mistake) -> Mistaken {
        Mistaken { dom0, mistake, found: BTreeMap::new(), remembered: BTreeMap::new(), done: BTreeSet::new(), is_side_by_side: false, has_worked: false }
    }

    pub fn into_dom0(self) -> Dom0 {
        self.dom0
    }
}

impl Inhabited for Mistaken {
    fn dom0(&mut self) -> &mut Dom0 {
        &mut self.dom0
    }
}

/// The address in a path of the function's.
fn address(path: &str) -> Option<&str> {
    path.strip_prefix("/sys/bus/pci/devices/")?.get(..).and_then(|rest| rest.split('/').next())
}

/// The link to the driver, beside that attribute.
fn driver_link(path: &str, attribute: &str) -> Vec<u8> {
    (path.strip_suffix(attribute).unwrap_or(path).to_owned() + "/driver").into_bytes()
}

impl Host for Mistaken {
    fn read<'b>(&mut self, path: Path, offset: u64, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let name = text(path);
        let is_done = address(&name).is_some_and(|address| self.done.contains(address));
        if self.mistake == Mistake::TrustsTheOverride && name.ends_with("/driver_override") && is_done {
            let answer = HOLD.as_bytes();
            buffer[..answer.len()].copy_from_slice(answer);
            return Ok(&buffer[..answer.len()]);
        }
        if self.mistake == Mistake::TakesFromPciback && name.ends_with("/irq_handlers") {
            return Ok(&buffer[..0]);
        }
        if self.mistake == Mistake::ReadsBeforeTheHold && name.ends_with("/modalias") && !self.has_worked {
            let link = driver_link(&name, "/modalias");
            let mut buffer = [0; 256];
            let found = self.dom0.link(&link, &mut buffer).map(<[u8]>::to_vec);
            self.found.insert(link, found);
        }
        let length = self.dom0.read(path, offset, buffer)?.len();
        let read = &mut buffer[..length];
        if self.mistake == Mistake::IgnoresKeeps && name.starts_with("/etc/xen/") {
            read.iter_mut().filter(|byte| **byte == b'!').for_each(|byte| *byte = b'#');
        }
        if self.mistake == Mistake::IgnoresBridges
            && name.ends_with("/modalias")
            && let Some(at) = read.windows(4).position(|part| part == b"bc06")
        {
            read[at..at + 4].copy_from_slice(b"bc02");
        }
        Ok(&buffer[..length])
    }

    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        let name = text(path);
        let is_hold = bytes == HOLD.as_bytes();
        match self.mistake {
            Mistake::NoHold if is_hold => return Ok(()),
            Mistake::ReadsBeforeTheHold if is_hold => {
                let link = driver_link(&name, "/driver_override");
                let before = self.found.remove(&link);
                self.remembered.extend(before.map(|before| (link, before)));
            }
            Mistake::BindsBeforeTheHold if is_hold => {
                let _ = self.dom0.write(path, PCIBACK.as_bytes());
                let address = address(&name).unwrap_or_default();
                let _ = self.dom0.write(b"/sys/bus/pci/drivers/pciback/bind", address.as_bytes());
            }
            Mistake::HoldsForPciback if is_hold => return self.dom0.write(path, PCIBACK.as_bytes()),
            Mistake::LosesFailures if self.is_side_by_side => {
                let _ = self.dom0.write(path, bytes);
                return Ok(());
            }
            Mistake::LeavesTheList if path.ends_with(b"/remove_slot") => return Ok(()),
            Mistake::DoesNotRelease if path.ends_with(b"/unbind") => return Ok(()),
            _ => {}
        }
        let written = self.dom0.write(path, bytes);
        if written.is_ok() {
            match self.mistake {
                Mistake::TrustsBind if path.ends_with(b"/bind") => drop(self.done.insert(text(bytes))),
                Mistake::TrustsTheOverride => self.done.extend(address(&name).map(str::to_owned)),
                _ => {}
            }
        }
        written
    }

    fn link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let name = text(path);
        if let Some(remembered) = self.remembered.remove(path) {
            let target = remembered?;
            buffer[..target.len()].copy_from_slice(&target);
            return Ok(&buffer[..target.len()]);
        }
        if self.mistake == Mistake::TrustsBind
            && self.has_worked
            && name.ends_with("/driver")
            && address(&name).is_some_and(|address| self.done.contains(address))
        {
            // As if it had asked.
            let _ = self.dom0.link(path, &mut [0; 256]);
            buffer[..PCIBACK.len()].copy_from_slice(PCIBACK.as_bytes());
            return Ok(&buffer[..PCIBACK.len()]);
        }
        if self.mistake == Mistake::TouchesTheStuck && self.has_worked && name.ends_with("/driver") {
            let _ = self.dom0.read(format!("{name}_override").as_bytes(), 0, &mut [0; 16]);
        }
        self.dom0.link(path, buffer)
    }

    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno> {
        let names = self.dom0.names(path)?;
        names.iter().for_each(|name| visit(self, name.as_bytes()));
        Ok(())
    }

    fn make_folder(&mut self, path: Path) -> Result<(), Errno> {
        self.dom0.make_folder(path)
    }

    fn append(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        self.dom0.append(path, bytes)
    }

    fn rename(&mut self, from: Path, to: Path) -> Result<(), Errno> {
        self.dom0.rename(from, to)
    }

    fn remove(&mut self, path: Path) -> Result<(), Errno> {
        self.dom0.remove(path)
    }

    fn load_module(&mut self, path: Path, parameters: &[u8], compressed: bool) -> Result<(), Errno> {
        self.dom0.load_module(path, parameters, compressed)
    }

    fn run(&mut self, path: Path, argument: &[u8], second: &[u8]) -> Result<(), Errno> {
        self.dom0.run(path, argument, second)
    }

    fn side_by_side(&mut self, tasks: &mut dyn FnMut() -> Option<usize>, _: u32, work: &dyn Fn(&mut Self, usize) -> Turn) {
        self.is_side_by_side = true;
        side_by_side(self, tasks, work);
        (self.is_side_by_side, self.has_worked) = (false, true);
    }

    fn note(&mut self, place: usize, value: u32) {
        self.dom0.note(place, value);
    }

    fn noted(&mut self, place: usize) -> u32 {
        match self.dom0.noted(place) {
            0 if place == 0 && self.mistake == Mistake::DoesNotWait && self.is_side_by_side => 1,
            noted => noted,
        }
    }

    fn say(&mut self, level: Level, line: &Line) {
        self.dom0.say(level, line);
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.dom0.print(bytes)
    }
}
