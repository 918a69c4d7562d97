//! `pciseize seize`: the boot action, and right on a running host too.

use core::ffi::CStr;

use super::{Exit, Force, Memory, alone, forbidden, is_idle, read_addresses};
use crate::{
    device::Outcome,
    facts::{
        dom0,
        usage::{Use, Uses},
    },
    host::{Console, Files, Host, Level, Workers},
    pciback::Answer,
    plan,
    report::{
        Kind, Report, Stage,
        log::{tell_devices, tell_problems},
        store,
    },
    say,
    seize::{give_to_pciback, hold::hold_requested, prove::prove_all, timeout},
};

/// Exists once `strict` has stopped this boot.
pub const STOPPED: &[u8] = b"/run/pciseize/stopped";

/// In what circumstances `seize` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// In the initramfs, or on the running host.
    pub stage: Stage,
    /// Whether it takes what is in use.
    pub force: Force,
    /// The only addresses that it takes devices at. Empty: it takes all that is asked for.
    pub only: &'a [&'a CStr],
}

/// The story of the boot: is this dom0, what is asked for, take it, tell it.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], run: Run) -> Exit {
    let only = match read_addresses(run.only) {
        Ok(addresses) => addresses,
        Err(wrong) => {
            wrong.tell(host);
            return Exit::Usage;
        }
    };
    let is_dom0 = dom0::is_here(host);
    if is_dom0 {
        memory.request.gather(host, embedded, None);
    }
    if is_idle(host, is_dom0, &memory.request) {
        // Keep the report of an earlier run.
        if !store::is_there(host) {
            let mut report = memory.report(Kind::Seizure, is_dom0);
            report.stage = run.stage;
            keep(host, &report);
        }
        return Exit::AsAsked;
    }

    let Memory {
        request,
        devices,
        usage,
        behind,
        ..
    } = memory;
    request.switches.force |= run.force == Force::Yes;
    // In an initramfs nothing is in use yet: what must not be taken is in the request.
    if run.stage == Stage::Host {
        let in_use = Uses::ALL.without(Use::PerhapsNeeded);
        usage.gather(host, forbidden(request, in_use));
        plan::note_untraced(request, usage);
    }
    let alone = alone::wait(host, timeout(request));
    // The hold comes before every word: a console may be slow, and a terminal may stand still.
    hold_requested(host, request, usage, devices, &only);
    alone.tell(host);
    tell_problems(request, 0, &mut |level, line| host.say(level, line));
    let told = request.problems.iter().len();
    // The hold is safe, a bind beside another would not be.
    let pciback = match alone.is_refuted() {
        true => Answer::Ready,
        false => give_to_pciback(host, request, devices),
    };
    tell_problems(request, told, &mut |level, line| host.say(level, line));
    let image = store::remember(host, devices);
    prove_all(host, devices);
    for device in devices.iter_mut() {
        // This run was not to take it, nor was any before.
        let is_meant = only.is_empty() || only.contains(&device.address());
        if !is_meant && device.first_run.is_none() && device.outcome == Outcome::Lost {
            device.outcome = Outcome::Pending;
        }
    }

    plan::locate(host, devices, &|_| true);
    behind.look(host, devices);
    let mut report = memory.report(Kind::Seizure, is_dom0);
    report.stage = run.stage;
    report.pciback = pciback;
    report.image = image;
    tell_devices(&report, &mut |level, line| host.say(level, line));
    keep(host, &report);

    if report.is_to_stop() {
        if run.stage == Stage::Initramfs {
            stop(host);
        }
        return Exit::Strict;
    }
    Exit::of(report.is_as_asked())
}

/// Says that the boot stops.
fn stop<H: Files + Console>(host: &mut H) {
    let line = "strict: the boot stops here; leave the shell to go on, or boot with pciseize.off";
    say!(host, Level::Error, "{}", line);
    // For a service manager, which begins the service anew when the shell is left.
    let _ = host.append(STOPPED, b"");
}

/// Keeps the report. If that fails, nothing changes for the devices: it is only said.
fn keep<H: Files + Workers + Console>(host: &mut H, report: &Report) {
    if let Err(errno) = store::write(host, report) {
        say!(
            host,
            Level::Error,
            "{} cannot be written: {}",
            store::FILE,
            errno
        );
    }
}
