//! What must hold behind every point.

use std::time::Duration;

use anyhow::Result;
use nix::{errno::Errno, sys::signal::Signal};

use crate::{
    call::{Call, Fault},
    machine::{self, Device},
    trace::{End, Run},
};

/// Without this file there is no request. Where the kernel says that it is not there, 0 is right.
const REQUEST: &str = "/etc/xen/pciback.conf";

/// Where this file cannot be read, the machine counts as one without Xen, on which nothing is asked of the program; it says so, and 0 is right.
const FEATURES: &str = "/sys/hypervisor/properties/features";

/// What was seen, and what of it must not be.
pub struct Verdict {
    /// For each device its driver, and the outcome that was reported.
    pub seen: String,
    pub wrong: Vec<String>,
    /// How long the run took that finished the job.
    pub finishing: Duration,
}

/// The run without faults: everything is as asked.
pub fn control(run: &Run, devices: &[Device]) -> Verdict {
    let mut verdict = judge(run, devices);
    if run.held.len() != devices.len() {
        verdict.wrong.push(format!("held {:?}", run.held));
    }
    verdict.wrong.extend(finishing(&(run.end, run.said.clone()), devices));
    verdict
}

/// A run in which this call was broken.
pub fn broken(run: &Run, call: &Call, fault: Fault, devices: &[Device]) -> Verdict {
    let mut verdict = judge(run, devices);
    let wrong = &mut verdict.wrong;
    let is_as_asked = devices.iter().all(Device::is_seized);
    match run.end {
        End::Exited(0) if is_as_asked => {}
        End::Exited(0) if fault == Fault::Fails(Errno::ENOENT) && call.name == "openat" && call.on == REQUEST => {}
        End::Exited(0) if call.on == FEATURES && run.said.contains("not a Xen dom0") => {}
        End::Exited(0) => wrong.push("status 0, and not all is as asked".to_owned()),
        End::Exited(1) => {}
        End::Died(Signal::SIGKILL) if fault == Fault::Killed && call.process == 0 => {}
        end => wrong.push(format!("ended with {end:?}")),
    }
    // One device's trouble is its own.
    for device in devices {
        let is_about = |device: &Device| call.on.contains(&device.address);
        if fault != Fault::Killed && devices.iter().any(is_about) && !is_about(device) && !device.is_seized() {
            wrong.push(format!("{} was not taken for another's trouble", device.address));
        }
    }
    verdict
}

/// What holds for every run.
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
        let outcome = |name| report.as_ref().and_then(|report| machine::reported(report, &device.address, name));
        let latest = outcome("latest");
        for said in [outcome("outcome"), latest.clone()].into_iter().flatten() {
            if said == "seized" && has.as_deref() != Some("pciback") {
                wrong.push(format!("{} is called seized, and has {has:?}", device.address));
            }
            if said == "held" && has.as_deref().is_some_and(|driver| driver != "pciback") {
                wrong.push(format!("{} is called held, and has {has:?}", device.address));
            }
        }
        seen.push(format!("{} {}", has.as_deref().unwrap_or("-"), latest.as_deref().unwrap_or("-")));
    }
    Verdict { seen: seen.join(", "), wrong, finishing: Duration::ZERO }
}

/// No driver of dom0's begins with a device whose hold had succeeded: neither when it was asked at the broken call, nor when it is asked now.
pub fn rivals(run: &Run, devices: &[Device]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut look = |address: &str, before: Option<String>, after: Option<String>| {
        if after != before && after.as_deref().is_some_and(|driver| driver != "pciback") {
            wrong.push(format!("{address} was held, had {before:?}, and {after:?} took it"));
        }
    };
    for rivalry in run.rivalries.iter().filter(|rivalry| rivalry.was_held) {
        look(&rivalry.address, rivalry.before.clone(), rivalry.after.clone());
    }
    for device in devices.iter().filter(|device| run.held.contains(&device.address)) {
        let before = device.has();
        device.probe();
        look(&device.address, before, device.has());
    }
    Ok(wrong)
}

/// A run that nobody disturbs, after whatever was before it: all is as asked, and it says so.
pub fn finishing((end, said): &(End, String), devices: &[Device]) -> Vec<String> {
    let mut wrong = Vec::new();
    if *end != End::Exited(0) {
        wrong.push(format!("the run without faults ended with {end:?}: {said}"));
    }
    let report = machine::report();
    for device in devices {
        let latest = report.as_ref().ok().and_then(Option::as_ref).and_then(|report| machine::reported(report, &device.address, "latest"));
        if !device.is_seized() || latest.as_deref() != Some("seized") {
            wrong.push(format!("the run without faults left {} with {:?}, and called it {latest:?}", device.address, device.has()));
        }
    }
    wrong
}
