//! What people read: a line for every problem and every device, and one that counts.

use super::{Report, explain};
use crate::{
    device::{Device, Outcome},
    host::{Host, Level},
    put,
    request::{Found, Request, problem::At},
    say,
    text::{Decimal, Line, Shown, behind},
};

/// Tells every problem of the request.
pub fn problems<H: Host>(host: &mut H, request: &Request) {
    for problem in request.problems.iter() {
        say!(host, if problem.is_notice() { Level::Notice } else { Level::Error }, Found(request, problem));
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
        let level = if report.is_device_as_asked(device) { Level::Info } else { Level::Error };
        let line = told(host, report.request, device);
        host.say(level, &line);
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
#[inline(never)]
fn told<H: Host>(host: &mut H, request: &Request, device: &Device) -> Line {
    let mut line = Line::new();
    let item = device.item(request);
    match (device.known_address(request), item) {
        (Some(address), _) => put!(&mut line, address),
        (None, Some(item)) => put!(&mut line, item),
        (None, None) => {}
    }
    put!(&mut line, " ", device.outcome);
    if let Some(identity) = device.identity {
        put!(&mut line, " (", identity.model());
        if !device.origin.is_empty() && device.outcome != Outcome::Lost {
            put!(&mut line, ", taken from ", Shown(&device.origin));
        }
        put!(&mut line, ")");
    }
    let meaning = match device.outcome {
        Outcome::Held => ": no driver has it and none can take it, but pciback has not got it",
        Outcome::Unready => ": pciback has it, but is not known to have initialised it",
        Outcome::Exposed => ": no driver has it, and nothing keeps one from taking it",
        Outcome::Lost => ": it has the driver ",
        _ => "",
    };
    put!(&mut line, meaning);
    if device.outcome == Outcome::Lost {
        put!(&mut line, Shown(if device.driver.is_empty() { b"?" } else { &device.driver }));
    }
    let why = explain(host, request, device);
    match behind(b"; ", why.bytes()) {
        Some(why) if meaning.is_empty() => put!(&mut line, ": ", Shown(why)),
        _ => line.push(why.bytes()),
    }
    if let (false, Some(item)) = (device.outcome.is_as_asked(), item) {
        put!(&mut line, "; asked for at ", At(request, item.origin));
    }
    line
}
