//! `pciseize seize`: the boot action, and right on a running host too.

use super::{Exit, Memory, is_idle};
use crate::{
    host::{Errno, Host, Level},
    needs::Uses,
    report::{self, Kind, Report, Stage},
    say, seize,
};

/// Is there from then on where `strict` has stopped the boot once.
pub const STOPPED: &[u8] = b"/run/pciseize/stopped";

/// The story of the boot: is this dom0, what is asked for, take it, tell it.
#[inline(never)]
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, stage: Stage, embedded: &[u8], is_forced: bool) -> Exit {
    let Memory { request, devices, needs, .. } = memory;

    let is_dom0 = seize::dom0::is_here(host);
    if is_dom0 {
        request.gather(host, embedded, None);
    }
    if is_idle(host, is_dom0, request) {
        // What an earlier run has to tell stays.
        if !report::kept::is_there(host) {
            keep(host, &Report { stage, ..Report::new(Kind::Seizure, request, devices, needs, is_dom0) });
        }
        return Exit::AsAsked;
    }

    request.switches.force |= is_forced;
    // In an initramfs nothing is in use yet: what it must not take is in the request.
    if stage == Stage::Host {
        needs.gather(host, Uses::MAX, request.switches.force);
    }
    // The hold comes before every word: a console may be slow, and a terminal may stand still.
    seize::hold::everything(host, request, needs, devices);
    report::log::problems(host, request, 0);
    let told = request.problems.iter().len();
    let pciback = seize::take(host, request, devices);
    report::log::problems(host, request, told);
    let image = report::kept::remember(host, devices);
    seize::proof::everything(host, devices);

    let report = Report { stage, pciback, image, ..Report::new(Kind::Seizure, request, devices, needs, is_dom0) };
    report::log::devices(host, &report);
    keep(host, &report);

    match (report.is_as_asked(), request.switches.strict) {
        (true, _) => Exit::AsAsked,
        (false, false) => Exit::NotAsAsked,
        (false, true) => {
            if stage == Stage::Initramfs {
                stop(host);
            }
            Exit::Strict
        }
    }
}

/// Says that the boot stops.
#[inline(never)]
fn stop<H: Host>(host: &mut H) {
    say!(host, Level::Error, "strict: the boot stops here; leave the shell to go on, or boot with pciseize.off");
    // For a service manager, which would begin the service anew when the shell is left.
    let _ = host.append(STOPPED, b"");
}

/// Keeps the report. That this fails changes nothing for the devices: it is said, and that is all.
fn keep<H: Host>(host: &mut H, report: &Report) {
    if let Err(errno) = report::kept::write(host, report) {
        is_not_kept(host, errno);
    }
}

#[inline(never)]
fn is_not_kept<H: Host>(host: &mut H, errno: Errno) {
    say!(host, Level::Error, report::kept::FILE, " cannot be written: ", errno);
}
