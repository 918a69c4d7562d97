//! What holds after every run of `seize`, whatever happened in between.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    thread,
};

use pciseize::{
    cli::{Exit, Memory, seize},
    report::Stage,
    request::{Request, embedded},
    seize::HOLD,
};
use serde_json::Value;

use crate::{
    dom0::{Dom0, Failed, Inhabited},
    item::{self, Item, Place, Selector},
    kernel::{Event, Function, Kernel, Module, PCIBACK, Why},
    machine,
    plan::{Meets, expected, meets},
};

pub const REPORT: &str = "/run/pciseize/report";

/// How much stack it takes to make one: more than a test's thread has.
const ROOM: usize = 64 << 20;

thread_local! {
    /// Too large for the stack of a test's thread, of which thread-local variables are a part.
    static MEMORY: RefCell<Box<Memory>> = RefCell::new(
        thread::Builder::new().stack_size(ROOM).spawn(|| Box::new(Memory::new())).expect("a thread").join().expect("it makes one")
    );
}

/// What is asked for, and what that means for every function, found out without the program.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// What is to be done with each function that is meant, there or not.
    pub actions: BTreeMap<String, String>,
    /// The same where some keep could not be read.
    without_keeps: BTreeMap<String, String>,
    wishes: Vec<Item>,
    keeps: Vec<Item>,
    /// What the machine may have.
    functions: BTreeMap<String, machine::Function>,
}

impl Asked {
    pub fn new(kernel: &Kernel, items: &[(usize, Item)]) -> Asked {
        let functions: Vec<machine::Function> = kernel.functions.iter().chain(&kernel.gone).map(|(address, function)| described(address, function)).collect();
        let (keeps, wishes): (Vec<_>, Vec<_>) = items.iter().cloned().partition(|(_, item)| item.is_keep);
        let of = |items: Vec<(usize, Item)>| items.into_iter().map(|(_, item)| item).collect();
        Asked {
            actions: expected(&functions, items, false).0,
            without_keeps: expected(&functions, &wishes, true).0,
            wishes: of(wishes),
            keeps: of(keeps),
            functions: functions.into_iter().map(|function| (function.address.clone(), function)).collect(),
        }
    }

    /// Whether that is to be taken.
    pub fn is_wanted(&self, address: &str) -> bool {
        self.actions.get(address).is_some_and(|action| action == "seize")
    }

    /// Whether some wish is for whatever is at that address.
    fn is_plain(&self, address: &str) -> bool {
        let asks = |wish: &Item| {
            let (Selector::Place(place) | Selector::IdentityAt([None, None, None, None], place)) = &wish.selector else { return false };
            matches!(place, Place::Address(..)) && covers(place, address)
        };
        self.wishes.iter().any(asks)
    }

    /// Whether something that appears at that address may be one to keep.
    fn may_be_kept(&self, address: &str) -> bool {
        let may = |keep: &Item| match &keep.selector {
            Selector::Place(place @ Place::Address(..)) | Selector::IdentityAt(_, place @ Place::Address(..)) => covers(place, address),
            _ => true,
        };
        self.keeps.iter().any(may)
    }
}

/// Whether the place has that address.
fn covers(place: &Place, address: &str) -> bool {
    let nothing = machine::Function {
        address: address.to_owned(),
        path: String::new(),
        ids: Default::default(),
        class: String::new(),
        driver: None,
        link: String::new(),
    };
    meets(&Selector::Place(place.clone()), &nothing) == Meets::Yes
}

/// A function as people know it.
fn described(address: &str, function: &Function) -> machine::Function {
    let modalias = &function.modalias;
    let ids = [9, 18, 28, 38].map(|at| modalias[at..at + 4].to_lowercase());
    let class = [44, 48, 51].map(|at| modalias[at..at + 2].to_lowercase()).concat();
    let steps: Vec<&str> = function.above.split('/').filter(|step| !step.starts_with("pci")).chain([address]).collect();
    // What is behind a VMD counts from there.
    let begin = function.above.rfind("pci").unwrap_or_default();
    let begin = function.above[begin..].matches('/').count();
    let steps = &steps[steps.len() - begin - 1..];
    let further: String = steps[1..].iter().map(|step| "/".to_owned() + step.rsplit_once(':').expect("an address").1).collect();
    machine::Function { address: address.to_owned(), path: steps[0].to_owned() + &further, ids, class, driver: None, link: String::new() }
}

/// A run, and all that the laws want to know of it.
pub struct Run {
    pub exit: Exit,
    pub before: Kernel,
    pub after: Dom0,
    pub asked: Rc<Asked>,
}

/// Asks for the addresses, in the file.
pub fn ask(kernel: &mut Kernel, addresses: &[&str]) {
    kernel.files.insert("/etc/xen/pciback.conf".to_owned(), addresses.join("\n"));
}

/// Runs `seize`, and holds it to the laws. The file has addresses, and nothing else is asked for but nonsense.
pub fn run(dom0: &mut Dom0) -> Run {
    let text = dom0.kernel.files.get("/etc/xen/pciback.conf").cloned().unwrap_or_default();
    let items: Vec<(usize, Item)> = text.lines().map(|address| (1, item::written(Selector::Place(exact(address)), 0, false))).collect();
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
    let number = |at: usize, width: usize| u32::from_str_radix(&address[at..at + width], 16).expect("an address");
    Place::Address(number(0, 4), number(5, 2) as u8, Some(number(8, 2) as u8), Some(number(11, 1) as u8))
}

/// Runs `seize`.
pub fn start<H: Inhabited>(host: &mut H, asked: Rc<Asked>) -> Run {
    host.dom0().start_over();
    let before = host.dom0().kernel.clone();
    let section = embedded::section(b"").expect("nothing always fits");
    let exit = MEMORY.with_borrow_mut(|memory| {
        memory.request = const { Request::new() };
        memory.devices.clear();
        seize::run(host, memory, Stage::Initramfs, &section, false)
    });
    Run { exit, before, after: host.dom0().clone(), asked }
}

/// A law that was broken: its name, and how.
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

/// Whatever happens.
const ALWAYS: [Law; 6] = [
    ("holds come first", Run::holds_come_first),
    ("what is held is held", Run::held_is_held),
    ("others are left alone", Run::others_are_left_alone),
    ("what pciback has stays there", Run::what_pciback_has_stays_there),
    ("pciback waits for nothing but plain addresses", Run::the_list_is_right),
    ("nothing waits for ever", Run::nothing_waits_for_ever),
];

/// Where the first process has come to its end.
const AT_THE_END: [Law; 4] = [
    ("what can be had is had", Run::what_can_be_had_is_had),
    ("the exit status is true", Run::the_exit_status_is_true),
    ("the report is true", Run::the_report_is_true),
    ("what is not so has a reason", Run::what_is_not_so_has_a_reason),
];

impl Run {
    /// The report, where this run could write it.
    pub fn report(&self) -> Option<Value> {
        let text = self.after.kernel.files.get(REPORT)?;
        Some(serde_json::from_str(text).expect("the report is JSON"))
    }

    /// The outcome of a device by the report.
    pub fn outcome(&self, address: &str) -> String {
        let report = self.report().expect("a report");
        let devices = report["devices"].as_array().expect("devices");
        let device = devices.iter().find(|device| device["address"] == address).expect("the device in the report");
        device["latest"].as_str().expect("its outcome").to_owned()
    }

    /// What happened, for people.
    pub fn story(&self) -> String {
        let calls = self.after.trace.as_ref().map_or_else(String::new, |trace| trace.join("\n"));
        format!("exit {:?}, what happened:\n{calls}\n{:#?}\n{:?}\n{:?}", self.exit, self.after.kernel.functions, self.after.kernel.events, self.asked.actions)
    }

    /// Holds the run to the laws.
    pub fn judge(&self) -> Result<(), Broken> {
        let at_the_end: &[Law] = if self.after.has_finished() { &AT_THE_END } else { &[] };
        for (law, holds) in ALWAYS.iter().chain(at_the_end) {
            holds(self).map_err(|how| Broken { law, how })?;
        }
        Ok(())
    }

    /// That this run changed nothing, which followed one with that exit status. Only what could not be initialised is tried anew.
    pub fn has_changed_nothing(&self, first: Exit) -> Result<(), Broken> {
        let facts = |kernel: &Kernel| -> Vec<_> {
            let function =
                |(address, function): (&String, &Function)| (address.clone(), function.overridden.clone(), function.driver.clone(), function.is_initialised);
            kernel.functions.iter().filter(|(_, function)| first == Exit::AsAsked || function.init_error.is_none()).map(function).collect()
        };
        let (before, after) = (&self.before, &self.after.kernel);
        let how = if first == Exit::AsAsked && !after.events.is_empty() {
            format!("{:?}", after.events)
        } else if facts(before) != facts(after) {
            format!("{:?} became {:?}", facts(before), facts(after))
        } else if first == Exit::AsAsked && before.slots.iter().collect::<BTreeSet<_>>() != after.slots.iter().collect::<BTreeSet<_>>() {
            format!("the list was {:?} and is {:?}", before.slots, after.slots)
        } else {
            return Ok(());
        };
        Err(Broken { law: "one more run changes nothing", how })
    }

    fn events(&self) -> &[Event] {
        &self.after.kernel.events
    }

    /// Whether pciback really has a device, initialised.
    fn is_seized(&self, address: &str) -> bool {
        self.after.kernel.functions.get(address).is_some_and(|function| function.driver.as_deref() == Some(PCIBACK) && function.is_initialised)
    }

    /// The mishaps.
    fn mishaps(&self) -> impl Iterator<Item = &Failed> {
        self.after.failed.iter().filter(|failed| failed.is_mishap)
    }

    /// Whether every call did as it was told, and every process came to its end.
    fn went_well(&self) -> bool {
        self.mishaps().next().is_none() && self.after.ends.is_empty()
    }

    fn has_failed(&self, told: &str) -> bool {
        self.after.failed.iter().any(|failed| failed.told == told)
    }

    /// Whether it could not be told what the function is.
    fn is_unknown(&self, address: &str) -> bool {
        self.has_failed(&format!("read /sys/bus/pci/devices/{address}/modalias"))
    }

    /// Whether something of what is asked for could not be read.
    fn lacks_sources(&self) -> bool {
        let sources = ["/etc/", "/proc/", "/run/modprobe.d", "/usr/lib/modprobe.d"];
        self.mishaps().any(|failed| sources.iter().any(|source| failed.told.contains(source)))
    }

    /// Whether a function has gone or come.
    fn has_moved(&self, address: &str) -> bool {
        self.events().iter().any(|event| matches!(event, Event::Gone { address: moved } | Event::Appears { address: moved } if moved == address))
    }

    /// Whether something happened to a function after the program had looked at it for the last time.
    fn has_changed_since(&self, address: &str) -> bool {
        self.has_changed_after(address, &self.after.looked)
    }

    fn has_changed_after(&self, address: &str, times: &BTreeMap<String, usize>) -> bool {
        let kernel = &self.after.kernel;
        let changed = kernel.functions.get(address).or_else(|| kernel.gone.get(address)).map_or(0, |function| function.changed);
        times.get(address).is_none_or(|time| changed >= *time && changed > 0)
    }

    /// Every hold precedes the first unbind, load and bind.
    fn holds_come_first(&self) -> Result<(), String> {
        let holds = |event: &Event| matches!(event, Event::Override { name, .. } if name == HOLD);
        let acts = |event: &Event| matches!(event, Event::Unbind { .. } | Event::Bind { .. } | Event::Load | Event::NewSlot { .. } | Event::RemoveSlot { .. });
        match (self.events().iter().position(acts), self.events().iter().rposition(holds)) {
            (Some(first), Some(last)) if first < last => Err(format!("{:?} comes before {:?}", self.events()[first], self.events()[last])),
            _ => Ok(()),
        }
    }

    /// From the write of its hold on, as long as it is there, no driver but pciback begins to probe a device, and pciback only in the write to `bind`, where its errors are told, or loaded by somebody else.
    ///
    /// And nothing is unbound or bound that is not held.
    fn held_is_held(&self) -> Result<(), String> {
        let mut held: Vec<&str> = Vec::new();
        // Of what went away and came back before it was held nobody can say that.
        let mut moved: Vec<&str> = Vec::new();
        for event in self.events() {
            match event {
                Event::Override { address, name } if name == HOLD => held.push(address),
                Event::Override { address, name } if name != PCIBACK => return Err(format!("the override of {address} became '{name}'")),
                Event::Gone { address } => {
                    held.retain(|held| held != address);
                    moved.push(address);
                }
                Event::Override { address, .. } | Event::Unbind { address, .. } | Event::Bind { address }
                    if !held.contains(&address.as_str()) && !moved.contains(&address.as_str()) && !self.hold_has_failed(address) =>
                {
                    return Err(format!("{event:?} without a hold"));
                }
                Event::Probe { address, driver, why } if held.contains(&address.as_str()) && (driver != PCIBACK || *why == Why::Loaded) => {
                    return Err(format!("{driver} probed {address}, which was held ({why:?})"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the kernel did not take the hold of a device.
    fn hold_has_failed(&self, address: &str) -> bool {
        self.has_failed(&format!("write /sys/bus/pci/devices/{address}/driver_override {HOLD}"))
    }

    /// What is not asked for, is kept, or is a bridge, is not touched.
    fn others_are_left_alone(&self) -> Result<(), String> {
        for event in self.events() {
            let (Event::Override { address, .. } | Event::Unbind { address, .. } | Event::Bind { address }) = event else { continue };
            let is_allowed = self.asked.is_wanted(address)
                // What cannot be told may be held, and no more.
                || self.is_unknown(address) && matches!(event, Event::Override { .. })
                || self.lacks_sources() && self.asked.without_keeps.get(address).is_some_and(|action| action == "seize");
            if !is_allowed {
                return Err(format!("{event:?}, which nobody asked for"));
            }
        }
        Ok(())
    }

    /// What pciback has initialised may be with a guest, and is never taken from it. What came back while the program ran is with nobody yet, and may have come since it was looked at: nothing in sysfs unbinds only
    /// what is not initialised.
    fn what_pciback_has_stays_there(&self) -> Result<(), String> {
        let mut came: Vec<&str> = Vec::new();
        for event in self.events() {
            match event {
                Event::Appears { address } => came.push(address),
                Event::Unbind { address, was_initialised: true, .. } if !came.contains(&address.as_str()) => return Err(format!("{event:?}")),
                _ => {}
            }
        }
        Ok(())
    }

    /// On pciback's list comes only what is asked for whatever it is, and cannot be one to keep. In the end no other device that was seized is there.
    fn the_list_is_right(&self) -> Result<(), String> {
        for event in self.events() {
            match event {
                Event::NewSlot { address } if !self.asked.is_plain(address) || self.asked.may_be_kept(address) && !self.lacks_sources() => {
                    return Err(format!("{event:?}, which nobody asked for"));
                }
                Event::RemoveSlot { address } if self.asked.is_plain(address) && self.asked.is_wanted(address) && !self.lacks_sources() => {
                    return Err(format!("{event:?}, which is asked for"));
                }
                _ => {}
            }
        }
        let stays =
            |address: &&String| self.asked.is_wanted(address) && !self.asked.is_plain(address) && self.is_seized(address) && !self.has_changed_since(address);
        match self.after.kernel.slots.iter().find(stays) {
            Some(address) if self.went_well() && self.is_quiet() => Err(format!("{address} is on it")),
            _ => Ok(()),
        }
    }

    fn nothing_waits_for_ever(&self) -> Result<(), String> {
        self.after.waits_for_ever.as_ref().map_or(Ok(()), |told| Err(told.clone()))
    }

    /// Where everything went well and pciback is to be had, only what it cannot initialise is missing.
    fn what_can_be_had_is_had(&self) -> Result<(), String> {
        let has_pciback = matches!(self.after.kernel.module, Module::File(_) | Module::Hidden) || self.before.has_live_pciback();
        if !has_pciback || !self.went_well() {
            return Ok(());
        }
        let can_be_had = |address: &str| {
            let before = self.before.functions.get(address);
            before.is_some_and(|function| function.init_error.is_none() || function.init_failures == 0) && !self.has_moved(address)
        };
        for address in self.asked.functions.keys().filter(|address| self.asked.is_wanted(address)) {
            // Somebody else's pciback may not have come so far.
            let is_coming = self.after.kernel.driver(address) == Some(PCIBACK) && !self.after.kernel.has_live_pciback();
            if can_be_had(address) && !self.is_seized(address) && !is_coming {
                return Err(format!("nothing was in the way, and yet {address} is not seized"));
            }
        }
        Ok(())
    }

    /// Exit status 0 only if everything is as asked. Where a call failed, or something came or went, the program may know less than it did, and then says no.
    fn the_exit_status_is_true(&self) -> Result<(), String> {
        let features_failed = self.has_failed("read /sys/hypervisor/properties/features");
        if features_failed {
            let acts = |event: &Event| !matches!(event, Event::Probe { .. } | Event::Gone { .. } | Event::Appears { .. });
            return if self.exit == Exit::AsAsked && !self.events().iter().any(acts) { Ok(()) } else { Err("not a dom0, and yet it did something".to_owned()) };
        }
        let is_as_asked = |(address, action): (&String, &String)| match action.as_str() {
            "seize" => self.is_seized(address) || self.has_changed_since(address),
            "keep" => true,
            _ => !self.before.functions.contains_key(address) || self.has_moved(address) || self.is_unknown(address),
        };
        let wrong = self.asked.actions.iter().find(|&entry| !is_as_asked(entry));
        // That a keep keeps nothing is none.
        let is_problem = |problem: &Value| !problem["message"].as_str().is_some_and(|message| message.starts_with("keeps nothing"));
        let is_new = self.went_well() || self.before.files.get(REPORT) != self.after.kernel.files.get(REPORT);
        let has_problem = is_new && self.report().is_some_and(|report| report["problems"].as_array().is_some_and(|problems| problems.iter().any(is_problem)));
        match (self.exit, wrong) {
            (Exit::AsAsked, Some((address, _))) => Err(format!("the exit status says that all is as asked, and {address} is not")),
            (Exit::AsAsked, None) if has_problem => Err("the exit status says that all is as asked, and there is a problem".to_owned()),
            (Exit::NotAsAsked, None) if self.went_well() && self.is_quiet() && !has_problem && !self.wants_what_is_not_there() => {
                Err("all is as asked, and the exit status says that it is not".to_owned())
            }
            (Exit::Usage | Exit::Strict, _) => Err("nobody asked for that exit status".to_owned()),
            _ => Ok(()),
        }
    }

    /// Whether nobody else was loading pciback, and nothing went or came.
    fn is_quiet(&self) -> bool {
        let is_loading = self.before.has(PCIBACK) && !self.before.has_live_pciback();
        !is_loading
            && !self.events().iter().any(|event| match event {
                Event::Gone { .. } | Event::Appears { .. } => true,
                Event::Probe { driver, why, .. } => driver == PCIBACK && *why == Why::Registered,
                _ => false,
            })
    }

    /// Whether some wish means no function.
    fn wants_what_is_not_there(&self) -> bool {
        let is_met = |wish: &Item| {
            let there = self.asked.functions.values().filter(|function| self.before.functions.contains_key(&function.address));
            there.into_iter().any(|function| meets(&wish.selector, function) != Meets::Not && !(function.is_bridge() && wish.selector.passes_over_bridges()))
        };
        !self.asked.wishes.iter().all(is_met)
    }

    /// An outcome is the true one at the time when it was looked for.
    fn the_report_is_true(&self) -> Result<(), String> {
        let Some(report) = self.report() else {
            return if self.went_well() { Err("there is no report".to_owned()) } else { Ok(()) };
        };
        if self.before.files.get(REPORT) == self.after.kernel.files.get(REPORT) {
            return Ok(());
        }
        let is_troubled = |address: &str| self.mishaps().any(|failed| failed.told.contains(address));
        let action = |address: &str| self.asked.actions.get(address).map_or("", String::as_str);
        let has_warning = |device: &Value, text: &str| {
            device["warnings"].as_array().is_some_and(|warnings| warnings.iter().any(|warning| warning.as_str().is_some_and(|warning| warning.contains(text))))
        };
        for device in report["devices"].as_array().ok_or("no devices")? {
            // What means no function may have none.
            let Some(address) = device["address"].as_str() else { continue };
            let function = self.after.kernel.functions.get(address);
            let driver = function.and_then(|function| function.driver.as_deref());
            let keeps = function.and_then(|function| function.overridden.as_deref()).is_some_and(|name| [HOLD, PCIBACK].contains(&name));
            let outcome = device["latest"].as_str().ok_or("no outcome")?;
            let is_true = match outcome {
                "seized" => self.is_seized(address),
                // The list of those that it has may have been unreadable.
                "unready" => driver == Some(PCIBACK) && (!self.is_seized(address) || !self.went_well()),
                "held" => driver.is_none() && keeps,
                "exposed" => driver.is_none() && !keeps || is_troubled(address),
                // Of a process that ended in an unbind nobody knows whether the driver had let go.
                "lost" => {
                    driver.is_some_and(|driver| driver != PCIBACK)
                        || is_troubled(address)
                        || !self.after.ends.is_empty() && has_warning(device, "unbinding its driver: not done in time")
                }
                "absent" => function.is_none() || self.mishaps().next().is_some(),
                "refused" => action(address) == "refuse" || self.mishaps().next().is_some(),
                "mismatch" => action(address) == "mismatch" || self.mishaps().next().is_some(),
                "kept" => action(address) == "keep" || self.is_unknown(address),
                _ => false,
            };
            // What goes while the bus is walked may be taken for another. That a device is held is found out as soon as nothing more is to be done for it, or not at all where something is stuck.
            let is_stale = match outcome {
                "held" => self.after.checked.contains_key(address) && self.has_changed_after(address, &self.after.checked) || !self.after.ends.is_empty(),
                outcome => ["absent", "mismatch", "refused", "kept"].contains(&outcome),
            };
            let has_gone = is_stale && self.has_moved(address);
            if !is_true && !self.has_changed_since(address) && !has_gone {
                return Err(format!("{address} is told to be {outcome}"));
            }
        }
        Ok(())
    }

    /// Whatever is wanted and not seized has a reason: where a call for it failed, the errno of one that did.
    fn what_is_not_so_has_a_reason(&self) -> Result<(), String> {
        let Some(report) = self.report() else { return Ok(()) };
        if self.before.files.get(REPORT) == self.after.kernel.files.get(REPORT) {
            return Ok(());
        }
        for device in report["devices"].as_array().ok_or("no devices")? {
            let Some(address) = device["address"].as_str().filter(|address| self.asked.is_wanted(address)) else { continue };
            // Why pciback has not initialised what it has is in the kernel's log.
            if ["seized", "absent", "unready"].iter().any(|outcome| device["latest"] == *outcome) || self.has_moved(address) {
                continue;
            }
            let warnings = device["warnings"].as_array().ok_or("no warnings")?;
            // A driver that is gone all the same, for its probe has failed, had nothing to let go; and what pciback's list has costs no device.
            let matters = |failed: &Failed| ["/driver_override ", "/bind "].iter().any(|name| failed.told.starts_with("write") && failed.told.contains(name));
            let concerns: Vec<&Failed> = self.after.failed.iter().filter(|failed| failed.told.contains(address)).collect();
            let failed: Vec<String> = concerns.iter().map(|failed| format!("({})", failed.errno.0)).collect();
            let is_told = |errno: &String| warnings.iter().any(|warning| warning.as_str().is_some_and(|warning| warning.contains(errno)));
            if warnings.is_empty() && device["latest"] != "lost" {
                return Err(format!("{address} is {} for no reason", device["latest"]));
            }
            if concerns.iter().any(|failed| matters(failed)) && !failed.iter().any(is_told) && self.after.ends.is_empty() && !self.after.was_late {
                return Err(format!("{address} is {} because of {warnings:?}, and not because of errno {failed:?}", device["latest"]));
            }
        }
        Ok(())
    }
}
