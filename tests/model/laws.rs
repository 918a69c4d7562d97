//! What holds after every run of `seize`, whatever happened in between.

use std::cell::RefCell;

use pciseize::{
    cli::{Exit, Memory, seize},
    report::Stage,
    request::{Request, embedded},
    seize::HOLD,
};
use serde_json::Value;

use crate::kernel::{Event, Kernel, Module, PCIBACK};

pub const REPORT: &str = "/run/pciseize/report";

thread_local! {
    /// Too large for the stack of a test's thread.
    static MEMORY: RefCell<Memory> = const { RefCell::new(Memory::new()) };
}

/// A run, and all that the laws want to know of it.
pub struct Run {
    pub exit: Exit,
    pub before: Kernel,
    pub after: Kernel,
    /// The addresses that are asked for. Whatever else is asked for is nonsense.
    asked: Vec<String>,
}

/// Asks for the addresses, in the file.
pub fn ask(kernel: &mut Kernel, addresses: &[&str]) {
    kernel.files.insert("/etc/xen/pciback.conf".to_owned(), addresses.join("\n"));
}

/// Runs `seize` on the kernel, and holds it to the laws.
pub fn run(kernel: &mut Kernel) -> Run {
    let asked = kernel.files.get("/etc/xen/pciback.conf").map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default();
    kernel.start_over();
    let before = kernel.clone();
    let section = embedded::section(b"").expect("nothing always fits");
    let exit = MEMORY.with_borrow_mut(|memory| {
        memory.request = const { Request::new() };
        memory.devices.clear();
        seize::run(kernel, memory, Stage::Initramfs, &section)
    });
    let run = Run { exit, before, after: kernel.clone(), asked };
    if let Err(broken) = run.judge() {
        panic!("{broken}\nexit {exit:?}, what happened:\n{}\n{:#?}", run.after.trace.join("\n"), run.after.functions);
    }
    run
}

impl Run {
    /// The report, where this run could write it.
    pub fn report(&self) -> Option<Value> {
        let text = self.after.files.get(REPORT)?;
        Some(serde_json::from_str(text).expect("the report is JSON"))
    }

    /// The outcome of a device by the report.
    pub fn outcome(&self, address: &str) -> String {
        let report = self.report().expect("a report");
        let devices = report["devices"].as_array().expect("devices");
        let device = devices.iter().find(|device| device["address"] == address).expect("the device in the report");
        device["latest"].as_str().expect("its outcome").to_owned()
    }

    /// Whether pciback really has a device, initialised.
    fn is_seized(&self, address: &str) -> bool {
        self.after.functions.get(address).is_some_and(|function| function.driver.as_deref() == Some(PCIBACK) && function.is_initialised)
    }

    fn is_bridge(&self, address: &str) -> bool {
        self.after.functions.get(address).is_some_and(|function| function.modalias.contains("bc06"))
    }

    /// Whether a device is a bridge, and the program can know it.
    fn is_known_bridge(&self, address: &str) -> bool {
        self.is_bridge(address) && !self.after.trace.iter().any(|told| told.contains(&format!("/{address}/modalias = error")))
    }

    fn judge(&self) -> Result<(), String> {
        self.holds_come_first()?;
        self.held_is_held()?;
        self.others_are_left_alone()?;
        self.what_pciback_has_stays_there()?;
        self.what_can_be_had_is_had()?;
        self.the_exit_status_is_true()?;
        self.the_report_is_true()
    }

    /// Every hold precedes the first unbind, load and bind.
    fn holds_come_first(&self) -> Result<(), String> {
        let holds = |event: &Event| matches!(event, Event::Override { name, .. } if name == HOLD);
        let acts = |event: &Event| matches!(event, Event::Unbind { .. } | Event::Bind { .. } | Event::Load);
        let (first, last) = (self.after.events.iter().position(acts), self.after.events.iter().rposition(holds));
        match (first, last) {
            (Some(first), Some(last)) if first < last => Err(format!("{:?} comes before {:?}", self.after.events[first], self.after.events[last])),
            _ => Ok(()),
        }
    }

    /// From the write of its hold on no driver but pciback begins to probe a device, and pciback only in the write to `bind`, where its errors are told.
    ///
    /// And nothing is unbound or bound that is not held.
    fn held_is_held(&self) -> Result<(), String> {
        let mut held: Vec<&str> = Vec::new();
        let mut asked_to_bind = None;
        for event in &self.after.events {
            match event {
                Event::Override { address, name } if name == HOLD => held.push(address),
                Event::Override { address, name } if name != PCIBACK => return Err(format!("the override of {address} became '{name}'")),
                Event::Override { address, .. } | Event::Unbind { address } if !held.contains(&address.as_str()) && !self.hold_has_failed(address) => {
                    return Err(format!("{event:?} without a hold"));
                }
                Event::Bind { address } => asked_to_bind = Some(address),
                Event::Probe { address, driver } if held.contains(&address.as_str()) => {
                    let is_ours = driver == PCIBACK && (asked_to_bind == Some(address) || self.somebody_loads_pciback());
                    if !is_ours {
                        return Err(format!("{driver} probed {address}, which was held"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn somebody_loads_pciback(&self) -> bool {
        self.after.arrivals.iter().any(|arrival| arrival.driver.is_none())
    }

    /// Whether the kernel did not take the hold of a device.
    fn hold_has_failed(&self, address: &str) -> bool {
        let write = format!("write /sys/bus/pci/devices/{address}/driver_override {HOLD} = error");
        self.after.trace.iter().any(|told| told.contains(&write))
    }

    /// What is not asked for, or is a bridge, is not touched.
    fn others_are_left_alone(&self) -> Result<(), String> {
        for event in &self.after.events {
            let (Event::Override { address, .. } | Event::Unbind { address } | Event::Bind { address }) = event else { continue };
            // A bridge that cannot be told may be held, and no more.
            let is_hold = matches!(event, Event::Override { .. });
            let is_off_limits = if is_hold { self.is_known_bridge(address) } else { self.is_bridge(address) };
            if !self.asked.contains(address) || is_off_limits {
                return Err(format!("{event:?}, which nobody asked for"));
            }
        }
        Ok(())
    }

    /// What pciback had before may be with a guest, and is never taken from it.
    fn what_pciback_has_stays_there(&self) -> Result<(), String> {
        let unbound = |address: &String| self.after.events.contains(&Event::Unbind { address: address.clone() });
        match self.asked.iter().find(|address| self.before.driver(address) == Some(PCIBACK) && unbound(address)) {
            Some(address) => Err(format!("{address} was taken from pciback")),
            None => Ok(()),
        }
    }

    /// Where no call failed and pciback is to be had, only bridges and devices that it cannot initialise are missing.
    fn what_can_be_had_is_had(&self) -> Result<(), String> {
        let has_pciback = matches!(self.after.module, Module::File(_)) || self.before.has(PCIBACK);
        if !has_pciback || !self.after.mishaps.is_empty() {
            return Ok(());
        }
        let can_be_had =
            |address: &&String| self.after.functions.get(*address).is_some_and(|function| function.init_error.is_none()) && !self.is_known_bridge(address);
        match self.asked.iter().filter(can_be_had).find(|address| !self.is_seized(address)) {
            Some(address) => Err(format!("nothing was in the way, and yet {address} is not seized")),
            None => Ok(()),
        }
    }

    /// Exit status 0 if and only if everything is as asked. Where a call failed, or somebody else loaded pciback when the proof was over, the program may know less than it did, and then says no.
    fn the_exit_status_is_true(&self) -> Result<(), String> {
        if self.features_unreadable() {
            let untouched = self.after.events.iter().all(|event| matches!(event, Event::Probe { .. }));
            return if self.exit == Exit::AsAsked && untouched { Ok(()) } else { Err("not a dom0, and yet it did something".to_owned()) };
        }
        let is_as_asked = self.asked.iter().all(|address| self.is_seized(address) && !self.is_known_bridge(address));
        match (self.exit, is_as_asked) {
            (Exit::AsAsked, false) => Err("the exit status says that all is as asked, and it is not".to_owned()),
            (Exit::NotAsAsked, true) if self.after.mishaps.is_empty() && !self.somebody_loads_pciback() => {
                Err("all is as asked, and the exit status says that it is not".to_owned())
            }
            (Exit::Usage | Exit::Strict, _) => Err("nobody asked for that exit status".to_owned()),
            _ => Ok(()),
        }
    }

    fn features_unreadable(&self) -> bool {
        self.after.trace.iter().any(|told| told.contains("read /sys/hypervisor/properties/features = error"))
    }

    /// An outcome is never better than the truth.
    fn the_report_is_true(&self) -> Result<(), String> {
        let Some(report) = self.report() else {
            let is_excused = !self.after.mishaps.is_empty();
            return if is_excused { Ok(()) } else { Err("there is no report".to_owned()) };
        };
        if self.before.files.get(REPORT) == self.after.files.get(REPORT) {
            return Ok(());
        }
        for device in report["devices"].as_array().ok_or("no devices")? {
            let address = device["address"].as_str().ok_or("no address")?;
            let function = self.after.functions.get(address);
            let driver = function.and_then(|function| function.driver.as_deref());
            let keeps = function.and_then(|function| function.overridden.as_deref()).is_some_and(|name| [HOLD, PCIBACK].contains(&name));
            let outcome = device["latest"].as_str().ok_or("no outcome")?;
            let is_true = match outcome {
                "seized" => self.is_seized(address),
                "unready" => driver == Some(PCIBACK),
                "held" => driver.is_none_or(|driver| driver == PCIBACK) && keeps,
                // What is open to everybody may have been taken since.
                "exposed" => !keeps || !self.after.mishaps.is_empty(),
                "lost" => driver.is_some_and(|driver| driver != PCIBACK) || !self.after.mishaps.is_empty(),
                "absent" => function.is_none() || !self.after.mishaps.is_empty(),
                "refused" => self.is_known_bridge(address),
                _ => false,
            };
            if !is_true {
                return Err(format!("{address} is told to be {outcome}"));
            }
        }
        Ok(())
    }
}
