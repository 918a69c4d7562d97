//! Deliberate mistakes in the seizure. Each must break a law, which proves that the laws detect it.
//!
//! The seizure itself is unchanged. A wrapper around the dom0 alters its calls as the mistake
//! would.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use pciseize::{
    device::DEVICES,
    host::{
        Compression, Console, Errno, Files, Level, Next, NotLoaded, Path, Programs, Task, Time,
        Turn, VisitPiece, Workers, Xen,
    },
    pciback::{Answer, HOLD},
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

/// A mistake that the seizure could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// It does not hold devices.
    NoHold,
    /// It trusts that a hold was written.
    TrustsTheHold,
    /// It reads the driver of a device before the hold, not after.
    ReadsBeforeTheHold,
    /// It binds a device as soon as it finds one, and holds it afterwards.
    BindsBeforeTheHold,
    /// It holds with `pciback`, so that the load of the module binds all devices.
    HoldsForPciback,
    /// It trusts a successful write to `bind`, and does not check the result.
    TrustsBind,
    /// It trusts a written override, and does not check the result.
    TrustsTheOverride,
    /// It does not read the keeps.
    IgnoresKeeps,
    /// It takes bridges for network cards.
    IgnoresBridges,
    /// It treats all devices of pciback as uninitialised.
    TakesFromPciback,
    /// It loses the failures of its children.
    LosesFailures,
    /// It does not wait for the module.
    DoesNotWait,
    /// It binds the next device without looking whether another bind is at its beginning.
    BindsAtOnce,
    /// It leaves on pciback's list the entries that the kernel adds.
    LeavesTheList,
    /// It does not unbind the old drivers.
    DoesNotRelease,
    /// It reads the override of a device whose lock is stuck.
    TouchesTheStuck,
}

/// The mistakes, each with a law that it breaks.
const MISTAKES: [(Mistake, &str); 16] = [
    (Mistake::NoHold, "a hold keeps other drivers away"),
    (
        Mistake::TrustsTheHold,
        "nothing is unbound that was not held",
    ),
    (
        Mistake::ReadsBeforeTheHold,
        "every available device is seized",
    ),
    (Mistake::BindsBeforeTheHold, "holds come first"),
    (Mistake::HoldsForPciback, "a hold keeps other drivers away"),
    (Mistake::TrustsBind, "the report is true"),
    (Mistake::TrustsTheOverride, "the report is true"),
    (Mistake::IgnoresKeeps, "only requested devices are changed"),
    (
        Mistake::IgnoresBridges,
        "only requested devices are changed",
    ),
    (
        Mistake::TakesFromPciback,
        "pciback keeps its initialised devices",
    ),
    (Mistake::LosesFailures, "every failure has a reason"),
    (Mistake::DoesNotWait, "a hold keeps other drivers away"),
    (
        Mistake::BindsAtOnce,
        "pciback's list of quirks has one visitor at a time",
    ),
    (
        Mistake::LeavesTheList,
        "pciback's list has only plain addresses",
    ),
    (Mistake::DoesNotRelease, "every available device is seized"),
    (Mistake::TouchesTheStuck, "the first process never blocks"),
];

/// The most scenarios to play until a mistake is detected.
const ENOUGH: usize = 5_000;

/// Plays scenarios, always the same ones, until each mistake breaks its law. Without the mistake
/// the same scenarios break none.
#[test]
fn every_mistake_breaks_a_law() {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    for (mistake, law) in MISTAKES {
        let mut runner = TestRunner::new_with_rng(
            config.clone(),
            TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]),
        );
        let mut broken = BTreeMap::new();
        for number in 1..=ENOUGH {
            let scenario = scenario(8, 0, 1)
                .new_tree(&mut runner)
                .expect("a scenario")
                .current();
            if let Err(found) = scenario.play(Some(mistake), false) {
                assert!(
                    scenario.play(None, false).is_ok(),
                    "{mistake:?}: the law is broken even without the mistake: {}",
                    found.0
                );
                broken.entry(found.0.law).or_insert(number);
            }
            if broken.contains_key(law) {
                break;
            }
        }
        println!("{mistake:?}: {broken:?}");
        assert!(
            broken.contains_key(law),
            "{mistake:?} does not break '{law}'; it breaks {broken:?}"
        );
    }
}

/// A dom0 whose calls are altered by a mistake.
pub struct Mistaken {
    dom0: Dom0,
    mistake: Mistake,
    /// The driver links as read when the devices were found.
    found: BTreeMap<Vec<u8>, Result<Vec<u8>, Errno>>,
    /// The links in `found` of the devices that have been held since.
    remembered: BTreeMap<Vec<u8>, Result<Vec<u8>, Errno>>,
    /// The devices that were bound or overridden.
    done: BTreeSet<String>,
    is_side_by_side: bool,
    has_worked: bool,
}

impl Mistaken {
    pub fn new(dom0: Dom0, mistake: Mistake) -> Mistaken {
        Mistaken {
            dom0,
            mistake,
            found: BTreeMap::new(),
            remembered: BTreeMap::new(),
            done: BTreeSet::new(),
            is_side_by_side: false,
            has_worked: false,
        }
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

/// The address of the function that a path names.
fn address(path: &str) -> Option<&str> {
    path.strip_prefix("/sys/bus/pci/devices/")?
        .get(..)
        .and_then(|rest| rest.split('/').next())
}

/// The path of the driver link in the folder of that attribute.
fn driver_link(path: &str, attribute: &str) -> Vec<u8> {
    (path.strip_suffix(attribute).unwrap_or(path).to_owned() + "/driver").into_bytes()
}

impl Files for Mistaken {
    fn read<'b>(
        &mut self,
        path: Path,
        offset: u64,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Errno> {
        let name = text(path);
        let is_done = address(&name).is_some_and(|address| self.done.contains(address));
        if self.mistake == Mistake::TrustsTheOverride
            && name.ends_with("/driver_override")
            && is_done
        {
            let answer = HOLD.as_bytes();
            buffer[..answer.len()].copy_from_slice(answer);
            return Ok(&buffer[..answer.len()]);
        }
        if self.mistake == Mistake::BindsAtOnce && name.ends_with("/enable") {
            // Disabled when it is first looked at, enabled ever after.
            let is_first = self.done.insert(name);
            let answer: &[u8] = if is_first { b"0\n" } else { b"1\n" };
            buffer[..2].copy_from_slice(answer);
            return Ok(&buffer[..2]);
        }
        if self.mistake == Mistake::ReadsBeforeTheHold
            && name.ends_with("/modalias")
            && !self.has_worked
        {
            let link = driver_link(&name, "/modalias");
            let mut buffer = [0; 256];
            let found = self.dom0.read_link(&link, &mut buffer).map(<[u8]>::to_vec);
            self.found.insert(link, found);
        }
        let length = self.dom0.read(path, offset, buffer)?.len();
        let read = &mut buffer[..length];
        if self.mistake == Mistake::IgnoresBridges
            && name.ends_with("/modalias")
            && let Some(at) = read.windows(4).position(|part| part == b"bc06")
        {
            read[at..at + 4].copy_from_slice(b"bc02");
        }
        Ok(&buffer[..length])
    }

    fn stream(&mut self, path: Path, visit: &mut VisitPiece<Self>) -> Result<(), Errno> {
        if self.mistake == Mistake::TakesFromPciback && path.ends_with(b"/irq_handlers") {
            return Ok(());
        }
        let mut content = Vec::new();
        self.dom0.stream(path, &mut |_, piece| {
            content.extend_from_slice(piece);
            ControlFlow::Continue(())
        })?;
        if self.mistake == Mistake::IgnoresKeeps && path.starts_with(b"/etc/xen/") {
            content
                .iter_mut()
                .filter(|byte| **byte == b'!')
                .for_each(|byte| *byte = b'#');
        }
        let _ = visit(self, &content);
        Ok(())
    }

    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        let name = text(path);
        let is_hold = bytes == HOLD.as_bytes();
        match self.mistake {
            Mistake::NoHold if is_hold => return Ok(()),
            Mistake::TrustsTheHold if is_hold => {
                let _ = self.dom0.write(path, bytes);
                return Ok(());
            }
            Mistake::ReadsBeforeTheHold if is_hold => {
                let link = driver_link(&name, "/driver_override");
                let before = self.found.remove(&link);
                self.remembered.extend(before.map(|before| (link, before)));
            }
            Mistake::BindsBeforeTheHold if is_hold => {
                let _ = self.dom0.write(path, PCIBACK.as_bytes());
                let address = address(&name).unwrap_or_default();
                let _ = self
                    .dom0
                    .write(b"/sys/bus/pci/drivers/pciback/bind", address.as_bytes());
            }
            Mistake::HoldsForPciback if is_hold => {
                return self.dom0.write(path, PCIBACK.as_bytes());
            }
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
                Mistake::TrustsBind if path.ends_with(b"/bind") => {
                    let _ = self.done.insert(text(bytes));
                }
                Mistake::TrustsTheOverride => self.done.extend(address(&name).map(str::to_owned)),
                _ => {}
            }
        }
        written
    }

    fn read_link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
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
            // Make the call all the same: the laws record when a link was read.
            let _ = self.dom0.read_link(path, &mut [0; 256]);
            buffer[..PCIBACK.len()].copy_from_slice(PCIBACK.as_bytes());
            return Ok(&buffer[..PCIBACK.len()]);
        }
        if self.mistake == Mistake::TouchesTheStuck && self.has_worked && name.ends_with("/driver")
        {
            let _ = self
                .dom0
                .read(format!("{name}_override").as_bytes(), 0, &mut [0; 16]);
        }
        self.dom0.read_link(path, buffer)
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

    fn create(&mut self, path: Path, like: Path) -> Result<(), Errno> {
        self.dom0.create(path, like)
    }

    fn sync(&mut self, path: Path) -> Result<(), Errno> {
        self.dom0.sync(path)
    }
}

impl Programs for Mistaken {
    fn load_module(
        &mut self,
        path: Path,
        parameters: &[u8],
        compression: Compression,
    ) -> Result<(), NotLoaded> {
        self.dom0.load_module(path, parameters, compression)
    }

    fn run(&mut self, path: Path, arguments: &[&[u8]]) -> Result<(), Errno> {
        self.dom0.run(path, arguments)
    }
}

impl Workers for Mistaken {
    fn side_by_side(
        &mut self,
        _: u32,
        next: &mut dyn FnMut(&mut Self, Time) -> Next,
        work: &dyn Fn(&mut Self, usize) -> Turn,
    ) {
        self.is_side_by_side = true;
        side_by_side(self, next, work);
        (self.is_side_by_side, self.has_worked) = (false, true);
    }

    fn lock(&mut self, path: Path, seconds: u32) -> Result<(), Errno> {
        self.dom0.lock(path, seconds)
    }

    fn process(&mut self) -> u32 {
        self.dom0.process()
    }

    fn is_running(&mut self, task: Task) -> bool {
        self.dom0.is_running(task)
    }

    fn post(&mut self, task: Task, value: u32) {
        self.dom0.post(task, value);
    }

    fn posted(&mut self, task: Task) -> u32 {
        let posted = self.dom0.posted(task);
        let is_module = task == DEVICES;
        if self.mistake == Mistake::DoesNotWait && is_module && posted == 0 && self.is_side_by_side
        {
            return Answer::Ready.to_bits();
        }
        posted
    }
}

impl Xen for Mistaken {}

impl Console for Mistaken {
    fn say(&mut self, level: Level, line: &Line) {
        self.dom0.say(level, line);
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.dom0.print(bytes)
    }
}
