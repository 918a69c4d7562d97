//! The rules that must hold after every point.

use std::time::Duration;

use anyhow::Result;
use nix::{errno::Errno, sys::signal::Signal};

use crate::{
    call::{Call, Fault},
    machine::{self, Device},
    trace::{End, Run},
};

/// Without this file there is no request. If opening it returns ENOENT, exit status 0 is right.
const REQUEST: &str = "/etc/xen/pciback.conf";

/// If this file cannot be read, the machine counts as one without Xen. Then the program has nothing
/// to do and says so, and exit status 0 is right.
const FEATURES: &str = "/sys/hypervisor/properties/features";

/// The result of a point, and the rules that it breaks.
pub struct Verdict {
    /// The driver of each device, and its reported outcome.
    pub seen: String,
    pub wrong: Vec<String>,
    /// The duration of the run that finished the job.
    pub finishing: Duration,
}

/// Judges the run without faults: every device is as asked.
pub fn control(run: &Run, devices: &[Device]) -> Verdict {
    let mut verdict = judge(run, devices);
    if run.held.len() != devices.len() {
        verdict.wrong.push(format!("held {:?}", run.held));
    }
    verdict
        .wrong
        .extend(finishing(&(run.end, run.said.clone()), devices));
    verdict
}

/// Judges a run in which this call was broken.
pub fn broken(run: &Run, call: &Call, fault: Fault, devices: &[Device]) -> Verdict {
    let mut verdict = judge(run, devices);
    let wrong = &mut verdict.wrong;
    let is_as_asked = devices.iter().all(Device::is_seized);
    match run.end {
        End::Exited(0) if is_as_asked => {}
        End::Exited(0)
            if fault == Fault::Fails(Errno::ENOENT)
                && call.name == "openat"
                && call.on == REQUEST => {}
        End::Exited(0) if call.on == FEATURES && run.said.contains("not a Xen dom0") => {}
        End::Exited(0) => wrong.push("status 0, but not all is as asked".to_owned()),
        End::Exited(1) => {}
        End::Died(Signal::SIGKILL) if fault == Fault::Killed && call.process == 0 => {}
        end => wrong.push(format!("ended with {end:?}")),
    }
    // Trouble with one device must not affect the others.
    for device in devices {
        let is_about = |device: &Device| call.on.contains(&device.address);
        if fault != Fault::Killed
            && devices.iter().any(is_about)
            && !is_about(device)
            && !device.is_seized()
        {
            wrong.push(format!(
                "{} was not seized because of another device",
                device.address
            ));
        }
    }
    verdict
}

/// The rules for every run.
fn judge(run: &Run, devices: &[Device]) -> Verdict {
    let mut wrong = Vec::new();
    let mut seen = Vec::new();
    for (process, signal) in &run.crashed {
        wrong.push(format!("process {process} died of {signal}"));
    }
    if run.is_hung {
        wrong.push("it hung".to_owned());
    }
    let report = machine::report().unwrap_or_else(|error| {
        wrong.push(format!("{error:#}"));
        None
    });
    for device in devices {
        let has = device.has();
        let outcome = |name| {
            report
                .as_ref()
                .and_then(|report| machine::reported(report, &device.address, name))
        };
        let latest = outcome("latest");
        for said in [outcome("outcome"), latest.clone()].into_iter().flatten() {
            if said == "seized" && has.as_deref() != Some("pciback") {
                wrong.push(format!(
                    "{} is called seized, and has {has:?}",
                    device.address
                ));
            }
            if said == "held" && has.as_deref().is_some_and(|driver| driver != "pciback") {
                wrong.push(format!(
                    "{} is called held, and has {has:?}",
                    device.address
                ));
            }
        }
        seen.push(format!(
            "{} {}",
            has.as_deref().unwrap_or("-"),
            latest.as_deref().unwrap_or("-")
        ));
    }
    Verdict {
        seen: seen.join(", "),
        wrong,
        finishing: Duration::ZERO,
    }
}

/// No driver of dom0 probes a device whose hold has succeeded: not when the device was offered at
/// the broken call, and not when it is offered now.
pub fn rivals(run: &Run, devices: &[Device]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut look = |address: &str, before: Option<String>, after: Option<String>| {
        if after != before && after.as_deref().is_some_and(|driver| driver != "pciback") {
            wrong.push(format!(
                "{address} was held, had {before:?}, and {after:?} took it"
            ));
        }
    };
    for rivalry in run.rivalries.iter().filter(|rivalry| rivalry.was_held) {
        look(
            &rivalry.address,
            rivalry.before.clone(),
            rivalry.after.clone(),
        );
    }
    for device in devices
        .iter()
        .filter(|device| run.held.contains(&device.address))
    {
        let before = device.has();
        device.probe();
        look(&device.address, before, device.has());
    }
    Ok(wrong)
}

/// Judges an undisturbed run after a broken one: every device is as asked, and the program says so.
pub fn finishing((end, said): &(End, String), devices: &[Device]) -> Vec<String> {
    let mut wrong = Vec::new();
    if *end != End::Exited(0) {
        wrong.push(format!("the run without faults ended with {end:?}: {said}"));
    }
    let report = machine::report();
    for device in devices {
        let latest = report
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .and_then(|report| machine::reported(report, &device.address, "latest"));
        if !device.is_seized() || latest.as_deref() != Some("seized") {
            wrong.push(format!(
                "the run without faults left {} with {:?}, and called it {latest:?}",
                device.address,
                device.has()
            ));
        }
    }
    wrong
}
