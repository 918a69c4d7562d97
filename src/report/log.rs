//! What people read: a line for every problem and every device, and one that counts.

use super::Report;
use crate::{
    host::{Host, Level},
    put,
    request::{Origin, Problem, Request},
    say,
    seize::{Device, Outcome},
    text::{Decimal, Hex, Line, Show, Shown},
};

/// A place in a source: `/etc/xen/pciback.conf:7:1`.
pub struct At<'r>(pub &'r Request, pub Origin);

impl Show for At<'_> {
    fn show(&self, line: &mut Line) {
        let At(request, origin) = self;
        put!(line, Shown(request.source(origin.source)));
        for number in [origin.line, origin.column] {
            if number != 0 {
                put!(line, ":", Decimal(number));
            }
        }
    }
}

/// A problem, whole: `/etc/xen/pciback.conf:7:1: "0000:82.0.0": the device is greater than 1f; …`.
pub struct Found<'r>(pub &'r Request, pub &'r Problem);

impl Show for Found<'_> {
    fn show(&self, line: &mut Line) {
        let Found(request, problem) = self;
        put!(line, At(request, problem.origin), ": ");
        if !problem.text.is_empty() {
            put!(line, "\"", problem.text, "\": ");
        }
        put!(line, problem.fault)
    }
}

/// Tells every problem of the request.
pub fn problems<H: Host>(host: &mut H, request: &Request) {
    for problem in request.problems.iter() {
        say!(host, Level::Error, Found(request, problem));
    }
    if request.problems.beyond > 0 {
        say!(host, Level::Error, "and ", Decimal(request.problems.beyond), " more problems");
    }
}

/// Tells what became of every device, then how many are as asked.
pub fn devices<H: Host>(host: &mut H, report: &Report) {
    if let Err(missing) = report.pciback {
        say!(host, Level::Error, missing);
    }
    for device in report.devices {
        let level = if device.outcome.is_as_asked() { Level::Info } else { Level::Error };
        say!(host, level, Told(report.request, device));
    }
    let level = if report.is_as_asked() { Level::Info } else { Level::Error };
    let mut line = Line::new();
    put!(&mut line, Decimal(report.count(Outcome::Seized)), " of ", Decimal(report.devices.len() as u32), " devices seized");
    if !report.request.problems.is_empty() {
        put!(&mut line, "; problems in what is asked for: ", Decimal(report.request.problems.count()));
    }
    host.say(level, &line);
}

/// One device: `0000:03:00.0 seized (10de:1b80, taken from nouveau)`, or what it is instead, why, and who asked for it.
struct Told<'r>(&'r Request, &'r Device);

impl Show for Told<'_> {
    fn show(&self, line: &mut Line) {
        let Told(request, device) = self;
        put!(line, device.address, " ", device.outcome);
        if let Some(identity) = device.identity {
            put!(line, " (", Hex(identity.vendor.into(), 4), ":", Hex(identity.device.into(), 4));
            if !device.origin.is_empty() && device.outcome != Outcome::Lost {
                put!(line, ", taken from ", Shown(&device.origin));
            }
            put!(line, ")");
        }
        let meaning = match device.outcome {
            Outcome::Seized | Outcome::Refused => "",
            Outcome::Held => ": no driver has it and none can take it, but pciback has not got it",
            Outcome::Unready => ": pciback has it, but is not known to have initialised it",
            Outcome::Exposed => ": no driver has it, and nothing keeps one from taking it",
            Outcome::Lost => ": it has the driver ",
            Outcome::Absent if device.failure.is_some() => ": not found",
            Outcome::Absent => ": there is no such device",
        };
        put!(line, meaning);
        if device.outcome == Outcome::Lost {
            put!(line, Shown(if device.driver.is_empty() { b"?" } else { &device.driver }));
        }
        if let Some(refusal) = device.refusal {
            put!(line, ": ", refusal);
        }
        if let Some(failure) = device.failure {
            put!(line, "; ", failure);
        }
        if !device.outcome.is_as_asked() {
            put!(line, "; asked for at ", At(request, device.asked));
        }
    }
}
