//! The rules that must hold after every run of `seize`, whatever happened during the run.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    thread,
};

use pciseize::{
    cli::{
        Exit, Force, Memory,
        seize::{self, Run as Circumstances},
    },
    facts::usage::Usage,
    pciback::HOLD,
    report::Stage,
    request::{Request, source::embedded},
};
use serde_json::Value;

use crate::{
    dom0::{Dom0, Failed, Inhabited},
    item::{self, Item, Place, Selector},
    kernel::{Cause, Event, Function, Kernel, Module, PCIBACK},
    machine,
    plan::{Meets, expected, meets},
    schema::{self, Kind},
};

pub const REPORT: &str = "/run/pciseize/report";

/// The stack needed to construct a [`Memory`]; a test's thread has less.
const ROOM: usize = 64 << 20;

thread_local! {
    /// Boxed: thread-local variables are part of a test thread's stack, and this one is too large
    /// for it.
    static MEMORY: RefCell<Box<Memory>> = RefCell::new(
        thread::Builder::new()
            .stack_size(ROOM)
            .spawn(|| Box::new(Memory::new()))
            .expect("a thread")
            .join()
            .expect("the memory")
    );
}

/// The requests, and their meaning for every function, computed without the program.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The action for every function that an item means, present or not.
    pub actions: BTreeMap<String, String>,
    /// The same, if one of the keeps could not be read.
    without_keeps: BTreeMap<String, String>,
    wishes: Vec<Item>,
    keeps: Vec<Item>,
    /// All functions that the machine has, or may get, by address.
    functions: BTreeMap<String, machine::Function>,
}

impl Asked {
    pub fn new(kernel: &Kernel, items: &[(usize, Item)]) -> Asked {
        let functions: Vec<machine::Function> = kernel
            .functions
            .iter()
            .chain(&kernel.gone)
            .map(|(address, function)| described(address, function))
            .collect();
        let (keeps, wishes): (Vec<_>, Vec<_>) =
            items.iter().cloned().partition(|(_, item)| item.is_keep);
        let of = |items: Vec<(usize, Item)>| items.into_iter().map(|(_, item)| item).collect();
        Asked {
            actions: expected(&functions, items, false).0,
            without_keeps: expected(&functions, &wishes, true).0,
            wishes: of(wishes),
            keeps: of(keeps),
            functions: functions
                .into_iter()
                .map(|function| (function.address.clone(), function))
                .collect(),
        }
    }

    /// Whether this function is to be seized.
    pub fn is_wanted(&self, address: &str) -> bool {
        self.actions
            .get(address)
            .is_some_and(|action| action == "seize")
    }

    /// Whether some item asks for the address itself, whatever device is there.
    fn is_plain(&self, address: &str) -> bool {
        let asks = |wish: &Item| {
            let (Selector::Place(place) | Selector::IdentityAt([None, None, None, None], place)) =
                &wish.selector
            else {
                return false;
            };
            matches!(place, Place::Address(..)) && covers(place, address)
        };
        self.wishes.iter().any(asks)
    }

    /// Whether a device that appears at that address may match a keep.
    fn may_be_kept(&self, address: &str) -> bool {
        let may = |keep: &Item| match &keep.selector {
            Selector::Place(place @ Place::Address(..))
            | Selector::IdentityAt(_, place @ Place::Address(..)) => covers(place, address),
            _ => true,
        };
        self.keeps.iter().any(may)
    }
}

/// Whether the place includes that address.
fn covers(place: &Place, address: &str) -> bool {
    let nothing = machine::Function {
        address: address.to_owned(),
        path: String::new(),
        way: String::new(),
        ids: Default::default(),
        class: String::new(),
        driver: None,
        link: String::new(),
    };
    meets(&Selector::Place(place.clone()), &nothing) == Meets::Yes
}

/// Converts a function of the kernel to the form of the language tests.
fn described(address: &str, function: &Function) -> machine::Function {
    let modalias = &function.modalias;
    let ids = [9, 18, 28, 38].map(|at| modalias[at..at + 4].to_lowercase());
    let class = [44, 48, 51]
        .map(|at| modalias[at..at + 2].to_lowercase())
        .concat();
    let steps: Vec<&str> = function
        .above
        .split('/')
        .filter(|step| !step.starts_with("pci"))
        .chain([address])
        .collect();
    // Addresses behind a VMD start at its own root bus.
    let begin = function.above.rfind("pci").unwrap_or_default();
    let begin = function.above[begin..].matches('/').count();
    let steps = &steps[steps.len() - begin - 1..];
    let further: String = steps[1..]
        .iter()
        .map(|step| "/".to_owned() + step.rsplit_once(':').expect("an address").1)
        .collect();
    let path = steps[0].to_owned() + &further;
    machine::Function {
        address: address.to_owned(),
        path: path.clone(),
        way: path,
        ids,
        class,
        driver: None,
        link: String::new(),
    }
}

/// A run, with all facts that the laws need.
pub struct Run {
    pub exit: Exit,
    pub before: Kernel,
    pub after: Dom0,
    pub asked: Rc<Asked>,
}

/// Writes the addresses into the configuration file.
pub fn ask(kernel: &mut Kernel, addresses: &[&str]) {
    kernel
        .files
        .insert("/etc/xen/pciback.conf".to_owned(), addresses.join("\n"));
}

/// Runs `seize`, and panics if the run breaks a law. The configuration file holds addresses, one a
/// line, and is the only source of items.
pub fn run(dom0: &mut Dom0) -> Run {
    let text = dom0
        .kernel
        .files
        .get("/etc/xen/pciback.conf")
        .cloned()
        .unwrap_or_default();
    let items: Vec<(usize, Item)> = text
        .lines()
        .map(|address| (1, item::written(Selector::Place(exact(address)), 0, false)))
        .collect();
    let asked = Rc::new(Asked::new(&dom0.kernel, &items));
    dom0.trace = Some(Vec::new());
    let run = start(dom0, asked);
    if let Err(broken) = run.judge() {
        panic!("{broken}\n{}", run.story());
    }
    run
}

/// The place with that address.
fn exact(address: &str) -> Place {
    let number = |at: usize, width: usize| {
        u32::from_str_radix(&address[at..at + width], 16).expect("an address")
    };
    Place::Address(
        number(0, 4),
        number(5, 2) as u8,
        Some(number(8, 2) as u8),
        Some(number(11, 1) as u8),
    )
}

/// Runs `seize`.
pub fn start<H: Inhabited>(host: &mut H, asked: Rc<Asked>) -> Run {
    host.dom0().start_over();
    let before = host.dom0().kernel.clone();
    let section = embedded::section(b"").expect("nothing always fits");
    let exit = MEMORY.with_borrow_mut(|memory| {
        memory.request = const { Request::new() };
        memory.usage = const { Usage::new() };
        memory.devices.clear();
        let run = Circumstances {
            stage: Stage::Initramfs,
            force: Force::No,
            only: &[],
        };
        seize::run(host, memory, &section, run)
    });
    Run {
        exit,
        before,
        after: host.dom0().clone(),
        asked,
    }
}

/// A broken law: its name and the details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub law: &'static str,
    pub how: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.law, self.how)
    }
}

type Law = (&'static str, fn(&Run) -> Result<(), String>);

/// The laws for every run.
const ALWAYS: [Law; 8] = [
    ("holds come first", Run::holds_come_first),
    (
        "a hold keeps other drivers away",
        Run::holds_keep_drivers_away,
    ),
    (
        "nothing is unbound that was not held",
        Run::only_held_devices_are_unbound,
    ),
    (
        "only requested devices are changed",
        Run::only_requested_devices_are_changed,
    ),
    (
        "pciback keeps its initialised devices",
        Run::pciback_keeps_its_devices,
    ),
    (
        "pciback's list has only plain addresses",
        Run::the_list_is_right,
    ),
    (
        "pciback's list of quirks has one visitor at a time",
        Run::list_changes_never_overlap,
    ),
    (
        "the first process never blocks",
        Run::the_first_process_never_blocks,
    ),
];

/// Further laws, for runs in which the first process finished.
const AT_THE_END: [Law; 4] = [
    (
        "every available device is seized",
        Run::available_devices_are_seized,
    ),
    ("the exit status is true", Run::the_exit_status_is_true),
    ("the report is true", Run::the_report_is_true),
    ("every failure has a reason", Run::failures_have_reasons),
];

impl Run {
    /// The report, if this run could write one.
    pub fn report(&self) -> Option<Value> {
        let text = self.after.kernel.files.get(REPORT)?;
        Some(serde_json::from_str(text).expect("the report is JSON"))
    }

    /// The outcome of a device in the report.
    pub fn outcome(&self, address: &str) -> String {
        let report = self.report().expect("a report");
        let devices = report["devices"].as_array().expect("devices");
        let device = devices
            .iter()
            .find(|device| device["address"] == address)
            .expect("the device in the report");
        device["latest"].as_str().expect("its outcome").to_owned()
    }

    /// All that happened in the run, for a failure message.
    pub fn story(&self) -> String {
        let calls = self
            .after
            .trace
            .as_ref()
            .map_or_else(String::new, |trace| trace.join("\n"));
        format!(
            "exit {:?}, the calls:\n{calls}\n{:#?}\n{:?}\n{:?}",
            self.exit, self.after.kernel.functions, self.after.kernel.events, self.asked.actions
        )
    }

    /// Checks the laws on this run.
    pub fn judge(&self) -> Result<(), Broken> {
        let at_the_end: &[Law] = if self.after.has_finished() {
            &AT_THE_END
        } else {
            &[]
        };
        for (law, holds) in ALWAYS.iter().chain(at_the_end) {
            holds(self).map_err(|how| Broken { law, how })?;
        }
        Ok(())
    }

    /// Fails if this run changed anything. The previous run ended with exit status `first`. Only
    /// devices that pciback failed to initialise may be tried again.
    pub fn has_changed_nothing(&self, first: Exit) -> Result<(), Broken> {
        let facts = |kernel: &Kernel| -> Vec<_> {
            let function = |(address, function): (&String, &Function)| {
                (
                    address.clone(),
                    function.overridden.clone(),
                    function.driver.clone(),
                    function.is_initialised,
                )
            };
            kernel
                .functions
                .iter()
                .filter(|(_, function)| first == Exit::AsAsked || function.init_error.is_none())
                .map(function)
                .collect()
        };
        let (before, after) = (&self.before, &self.after.kernel);
        let how = if first == Exit::AsAsked && !after.events.is_empty() {
            format!("{:?}", after.events)
        } else if facts(before) != facts(after) {
            format!("{:?} became {:?}", facts(before), facts(after))
        } else if first == Exit::AsAsked
            && before.slots.iter().collect::<BTreeSet<_>>()
                != after.slots.iter().collect::<BTreeSet<_>>()
        {
            format!("the list was {:?} and is {:?}", before.slots, after.slots)
        } else {
            return Ok(());
        };
        Err(Broken {
            law: "another run changes nothing",
            how,
        })
    }

    fn events(&self) -> &[Event] {
        &self.after.kernel.events
    }

    /// Whether pciback has the device and has initialised it.
    fn is_seized(&self, address: &str) -> bool {
        self.after
            .kernel
            .functions
            .get(address)
            .is_some_and(|function| {
                function.driver.as_deref() == Some(PCIBACK) && function.is_initialised
            })
    }

    /// The injected failures.
    fn mishaps(&self) -> impl Iterator<Item = &Failed> {
        self.after.failed.iter().filter(|failed| failed.is_mishap)
    }

    /// Whether every call succeeded and every process finished.
    fn went_well(&self) -> bool {
        self.mishaps().next().is_none() && self.after.ends.is_empty()
    }

    fn has_failed(&self, told: &str) -> bool {
        self.after.failed.iter().any(|failed| failed.told == told)
    }

    /// Whether the program could not read what the function is.
    fn is_unknown(&self, address: &str) -> bool {
        self.has_failed(&format!("read /sys/bus/pci/devices/{address}/modalias"))
    }

    /// Whether the program could not read one of the sources of requests.
    fn lacks_sources(&self) -> bool {
        let sources = ["/etc/", "/proc/", "/run/modprobe.d", "/usr/lib/modprobe.d"];
        self.mishaps()
            .any(|failed| sources.iter().any(|source| failed.told.contains(source)))
    }

    /// Whether a function disappeared or appeared.
    fn has_moved(&self, address: &str) -> bool {
        self.events().iter().any(|event| match event {
            Event::Gone { address: moved } | Event::Appears { address: moved } => moved == address,
            _ => false,
        })
    }

    /// Whether a function changed after the program last read its driver link.
    fn has_changed_since(&self, address: &str) -> bool {
        self.has_changed_after(address, &self.after.looked)
    }

    fn has_changed_after(&self, address: &str, times: &BTreeMap<String, usize>) -> bool {
        let kernel = &self.after.kernel;
        let changed = kernel
            .functions
            .get(address)
            .or_else(|| kernel.gone.get(address))
            .map_or(0, |function| function.changed);
        times
            .get(address)
            .is_none_or(|time| changed >= *time && changed > 0)
    }

    /// Every hold precedes the first unbind, load and bind.
    fn holds_come_first(&self) -> Result<(), String> {
        let holds = |event: &Event| matches!(event, Event::Override { name, .. } if name == HOLD);
        let acts = |event: &Event| {
            matches!(
                event,
                Event::Unbind { .. }
                    | Event::Bind { .. }
                    | Event::Load
                    | Event::NewSlot { .. }
                    | Event::RemoveSlot { .. }
            )
        };
        match (
            self.events().iter().position(acts),
            self.events().iter().rposition(holds),
        ) {
            (Some(first), Some(last)) if first < last => Err(format!(
                "{:?} comes before {:?}",
                self.events()[first],
                self.events()[last]
            )),
            _ => Ok(()),
        }
    }

    /// From the write of its hold on, a device is safe from every driver but pciback, as long as
    /// the device stays in the machine. pciback may probe the device only in a write to `bind`,
    /// which returns the errors, or if another process loads the module.
    ///
    /// No device is unbound or bound without a hold.
    fn holds_keep_drivers_away(&self) -> Result<(), String> {
        let mut held: Vec<&str> = Vec::new();
        // A device that was replaced before its hold may have lost the hold unseen.
        let mut moved: Vec<&str> = Vec::new();
        for event in self.events() {
            match event {
                Event::Override { address, name } if name == HOLD => held.push(address),
                Event::Override { address, name } if name != PCIBACK => {
                    return Err(format!("the override of {address} became '{name}'"));
                }
                Event::Gone { address } => {
                    held.retain(|held| held != address);
                    moved.push(address);
                }
                Event::Override { address, .. }
                | Event::Unbind { address, .. }
                | Event::Bind { address }
                    if !held.contains(&address.as_str())
                        && !moved.contains(&address.as_str())
                        && !self.hold_has_failed(address) =>
                {
                    return Err(format!("{event:?} without a hold"));
                }
                Event::Probe {
                    address,
                    driver,
                    why,
                } if held.contains(&address.as_str())
                    && (driver != PCIBACK || *why == Cause::Loaded) =>
                {
                    return Err(format!("{driver} probed the held {address} ({why:?})"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A device is taken from its driver only while a hold keeps it: without one it would be the
    /// next driver's. Where the hold cannot be written, the driver keeps the device.
    fn only_held_devices_are_unbound(&self) -> Result<(), String> {
        let mut held: BTreeSet<&str> = BTreeSet::new();
        for event in self.events() {
            match event {
                Event::Override { address, name } if name == HOLD => {
                    held.insert(address);
                }
                // A held device that left and came back has no hold any more, and the program
                // cannot know.
                Event::Unbind { address, .. } if !held.contains(address.as_str()) => {
                    return Err(format!("{event:?} without a hold"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the kernel rejected the hold of a device.
    fn hold_has_failed(&self, address: &str) -> bool {
        self.has_failed(&format!(
            "write /sys/bus/pci/devices/{address}/driver_override {HOLD}"
        ))
    }

    /// Only requested devices are changed: no others, no kept ones, no bridges.
    fn only_requested_devices_are_changed(&self) -> Result<(), String> {
        let has_wish = |address: &str| {
            let action = self.asked.without_keeps.get(address);
            action.is_some_and(|action| action == "seize")
        };
        for event in self.events() {
            let (Event::Override { address, .. }
            | Event::Unbind { address, .. }
            | Event::Bind { address }) = event
            else {
                continue;
            };
            let is_allowed = self.asked.is_wanted(address)
                // A device that could not be identified may be held, but not more.
                || self.is_unknown(address) && matches!(event, Event::Override { .. })
                || self.lacks_sources() && has_wish(address);
            if !is_allowed {
                return Err(format!("{event:?}, not requested"));
            }
        }
        Ok(())
    }

    /// A device that pciback has initialised may be in use by a guest, and is never unbound.
    /// Exception: a device that came back during the run. No guest has it yet, and pciback may have
    /// initialised it after the program looked: sysfs offers no unbind for uninitialised devices
    /// only.
    fn pciback_keeps_its_devices(&self) -> Result<(), String> {
        let mut came: Vec<&str> = Vec::new();
        for event in self.events() {
            match event {
                Event::Appears { address } => came.push(address),
                Event::Unbind {
                    address,
                    was_initialised: true,
                    ..
                } if !came.contains(&address.as_str()) => return Err(format!("{event:?}")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Only plain addresses that match no keep enter pciback's list. At the end, the list has no
    /// other device that was seized.
    fn the_list_is_right(&self) -> Result<(), String> {
        for event in self.events() {
            match event {
                Event::NewSlot { address }
                    if !self.asked.is_plain(address)
                        || self.asked.may_be_kept(address) && !self.lacks_sources() =>
                {
                    return Err(format!("{event:?}, not requested"));
                }
                Event::RemoveSlot { address }
                    if self.asked.is_plain(address)
                        && self.asked.is_wanted(address)
                        && !self.lacks_sources() =>
                {
                    return Err(format!("{event:?}, although requested"));
                }
                _ => {}
            }
        }
        let stays = |address: &&String| {
            self.asked.is_wanted(address)
                && !self.asked.is_plain(address)
                && self.is_seized(address)
                && !self.has_changed_since(address)
        };
        match self.after.kernel.slots.iter().find(stays) {
            Some(address) if self.went_well() && self.is_quiet() => {
                Err(format!("{address} is still on the list"))
            }
            _ => Ok(()),
        }
    }

    fn list_changes_never_overlap(&self) -> Result<(), String> {
        let overlaps = |event: &&Event| matches!(event, Event::Overlap { .. });
        match self.events().iter().find(overlaps) {
            Some(overlap) => Err(format!("{overlap:?}")),
            None => Ok(()),
        }
    }

    fn the_first_process_never_blocks(&self) -> Result<(), String> {
        self.after
            .waits_for_ever
            .as_ref()
            .map_or(Ok(()), |told| Err(told.clone()))
    }

    /// If no call failed and pciback is available, every requested device is seized that pciback
    /// can initialise.
    fn available_devices_are_seized(&self) -> Result<(), String> {
        let has_pciback = matches!(self.after.kernel.module, Module::File(_) | Module::Hidden)
            || self.before.has_live_pciback();
        if !has_pciback || !self.went_well() || !self.before.has_overrides {
            return Ok(());
        }
        let can_be_had = |address: &str| {
            let before = self.before.functions.get(address);
            before.is_some_and(|function| {
                function.init_error.is_none() || function.init_failures == 0
            }) && !self.has_moved(address)
        };
        for address in self
            .asked
            .functions
            .keys()
            .filter(|address| self.asked.is_wanted(address))
        {
            // Another process may still be loading pciback.
            let is_coming = self.after.kernel.driver(address) == Some(PCIBACK)
                && !self.after.kernel.has_live_pciback();
            if can_be_had(address) && !self.is_seized(address) && !is_coming {
                return Err(format!(
                    "no failure prevented it, but {address} is not seized"
                ));
            }
        }
        Ok(())
    }

    /// Exit status 0 only if every request is fulfilled. If a call failed, or a device came or
    /// went, the program may know too little and then reports failure.
    fn the_exit_status_is_true(&self) -> Result<(), String> {
        let features_failed = self.has_failed("read /sys/hypervisor/properties/features");
        if features_failed {
            let acts = |event: &Event| {
                !matches!(
                    event,
                    Event::Probe { .. } | Event::Gone { .. } | Event::Appears { .. }
                )
            };
            return if self.exit == Exit::AsAsked && !self.events().iter().any(acts) {
                Ok(())
            } else {
                Err("the machine counts as no dom0, but the program changed it".to_owned())
            };
        }
        let is_as_asked = |(address, action): (&String, &String)| match action.as_str() {
            "seize" => self.is_seized(address) || self.has_changed_since(address),
            "keep" => {
                self.after.kernel.driver(address) != Some(PCIBACK)
                    || self.has_changed_since(address)
                    || self.is_unknown(address)
            }
            _ => {
                !self.before.functions.contains_key(address)
                    || self.has_moved(address)
                    || self.is_unknown(address)
            }
        };
        let wrong = self.asked.actions.iter().find(|&entry| !is_as_asked(entry));
        let mut wanted = self.asked.actions.keys();
        let is_sure = wanted.all(|address| {
            !self.asked.is_wanted(address) || self.is_seized(address) || self.has_moved(address)
        });
        // A keep that matches nothing is no problem, nor is an item whose place another has.
        let is_problem = |problem: &Value| {
            !problem["message"].as_str().is_some_and(|message| {
                message.starts_with("keeps nothing") || message.starts_with("not there; another")
            })
        };
        let is_new = self.went_well()
            || self.before.files.get(REPORT) != self.after.kernel.files.get(REPORT);
        let has_problem = is_new
            && self.report().is_some_and(|report| {
                report["problems"]
                    .as_array()
                    .is_some_and(|problems| problems.iter().any(is_problem))
            });
        match (self.exit, wrong) {
            (Exit::AsAsked, Some((address, _))) => {
                Err(format!("exit status 0, but {address} is not as asked"))
            }
            (Exit::AsAsked, None) if has_problem => {
                Err("exit status 0, but the report has a problem".to_owned())
            }
            (Exit::NotAsAsked, None)
                if self.went_well()
                    && self.is_quiet()
                    && !has_problem
                    && is_sure
                    && !self.wants_what_is_not_there() =>
            {
                Err("exit status 1, but all is as asked".to_owned())
            }
            (Exit::Usage | Exit::Strict, _) => {
                Err("neither bad usage nor strict mode: wrong exit status".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether no other process loaded pciback, and no device came or went.
    fn is_quiet(&self) -> bool {
        let is_loading = self.before.has(PCIBACK) && !self.before.has_live_pciback();
        !is_loading
            && !self.events().iter().any(|event| match event {
                Event::Gone { .. } | Event::Appears { .. } => true,
                Event::Probe { driver, why, .. } => driver == PCIBACK && *why == Cause::Registered,
                _ => false,
            })
    }

    /// Whether some item matches no function.
    fn wants_what_is_not_there(&self) -> bool {
        let is_met = |wish: &Item| {
            let there = self
                .asked
                .functions
                .values()
                .filter(|function| self.before.functions.contains_key(&function.address));
            there.into_iter().any(|function| {
                meets(&wish.selector, function) != Meets::Not
                    && !(function.is_bridge() && wish.selector.passes_over_bridges())
            })
        };
        !self.asked.wishes.iter().all(is_met)
    }

    /// The report is as the schema says, and every outcome in it was true when the program read it.
    fn the_report_is_true(&self) -> Result<(), String> {
        let Some(text) = self.after.kernel.files.get(REPORT) else {
            return if self.went_well() {
                Err("there is no report".to_owned())
            } else {
                Ok(())
            };
        };
        let report = schema::read(Kind::Report, text.as_bytes())?;
        if self.before.files.get(REPORT) == self.after.kernel.files.get(REPORT) {
            return Ok(());
        }
        let is_troubled =
            |address: &str| self.mishaps().any(|failed| failed.told.contains(address));
        let action = |address: &str| self.asked.actions.get(address).map_or("", String::as_str);
        let has_warning = |device: &Value, text: &str| {
            device["warnings"].as_array().is_some_and(|warnings| {
                warnings.iter().any(|warning| {
                    warning
                        .as_str()
                        .is_some_and(|warning| warning.contains(text))
                })
            })
        };
        for device in report["devices"].as_array().ok_or("no devices")? {
            // An item that matches no function may have no address.
            let Some(address) = device["address"].as_str() else {
                continue;
            };
            let function = self.after.kernel.functions.get(address);
            let driver = function.and_then(|function| function.driver.as_deref());
            let keeps = function
                .and_then(|function| function.overridden.as_deref())
                .is_some_and(|name| [HOLD, PCIBACK].contains(&name));
            let outcome = device["latest"].as_str().ok_or("no outcome")?;
            let is_true = match outcome {
                "seized" => self.is_seized(address),
                // `irq_handlers` may have been unreadable.
                "unready" => {
                    driver == Some(PCIBACK) && (!self.is_seized(address) || !self.went_well())
                }
                "held" => driver.is_none() && keeps,
                "exposed" => driver.is_none() && !keeps || is_troubled(address),
                // If a child ended during an unbind, nobody knows whether the driver had released
                // the device.
                "lost" => {
                    driver.is_some_and(|driver| driver != PCIBACK)
                        || is_troubled(address)
                        || !self.after.ends.is_empty()
                            && has_warning(device, "unbinding its driver: not done in time")
                }
                "absent" => function.is_none() || self.mishaps().next().is_some(),
                "refused" => action(address) == "refuse" || self.mishaps().next().is_some(),
                "mismatch" => action(address) == "mismatch" || self.mishaps().next().is_some(),
                "kept" => action(address) == "keep" || self.is_unknown(address),
                _ => false,
            };
            // A device that disappears while the program lists the bus may be mistaken for another.
            // The program checks a hold as soon as the device needs no more work, and never if
            // something is stuck.
            let is_stale = match outcome {
                "held" => {
                    self.after.checked.contains_key(address)
                        && self.has_changed_after(address, &self.after.checked)
                        || !self.after.ends.is_empty()
                }
                outcome => ["absent", "mismatch", "refused", "kept"].contains(&outcome),
            };
            let has_gone = is_stale && self.has_moved(address);
            if !is_true && !self.has_changed_since(address) && !has_gone {
                return Err(format!("{address} is reported as {outcome}"));
            }
        }
        Ok(())
    }

    /// Every requested device that was not seized has a warning. If calls for the device failed, a
    /// warning gives the errno of one of them.
    fn failures_have_reasons(&self) -> Result<(), String> {
        let Some(report) = self.report() else {
            return Ok(());
        };
        if self.before.files.get(REPORT) == self.after.kernel.files.get(REPORT) {
            return Ok(());
        }
        for device in report["devices"].as_array().ok_or("no devices")? {
            let Some(address) = device["address"]
                .as_str()
                .filter(|address| self.asked.is_wanted(address))
            else {
                continue;
            };
            // Only the kernel's log knows why pciback did not initialise its device.
            if ["seized", "absent", "unready"]
                .iter()
                .any(|outcome| device["latest"] == *outcome)
                || self.has_moved(address)
            {
                continue;
            }
            let warnings = device["warnings"].as_array().ok_or("no warnings")?;
            // Other failures are harmless. If the driver's probe failed, there was nothing to
            // unbind. A failed change of pciback's list costs no device.
            let matters = |failed: &Failed| {
                ["/driver_override ", "/bind "]
                    .iter()
                    .any(|name| failed.told.starts_with("write") && failed.told.contains(name))
            };
            let concerns: Vec<&Failed> = self
                .after
                .failed
                .iter()
                .filter(|failed| failed.told.contains(address))
                .collect();
            let failed: Vec<String> = concerns
                .iter()
                .map(|failed| format!("({})", failed.errno.0))
                .collect();
            let is_told = |errno: &String| {
                warnings.iter().any(|warning| {
                    warning
                        .as_str()
                        .is_some_and(|warning| warning.contains(errno))
                })
            };
            if warnings.is_empty() && device["latest"] != "lost" {
                return Err(format!(
                    "{address} is {} without a warning",
                    device["latest"]
                ));
            }
            if concerns.iter().any(|failed| matters(failed))
                && !failed.iter().any(is_told)
                && self.after.ends.is_empty()
                && !self.after.was_late
            {
                return Err(format!(
                    "{address} is {}: {warnings:?} names none of the errnos {failed:?}",
                    device["latest"]
                ));
            }
        }
        Ok(())
    }
}
