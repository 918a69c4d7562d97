//! What people read: a line for every problem and every device, and one that counts.

use super::{Report, row::row};
use crate::{
    host::{Host, Level},
    put,
    request::{Found, Request},
    say,
    text::{Decimal, Line},
};

/// Tells the problems of the request, but for the first ones, which were told before.
#[inline(never)]
pub fn problems<H: Host>(host: &mut H, request: &Request, told: usize) {
    for problem in request.problems.iter().skip(told) {
        say!(host, if problem.is_notice() { Level::Notice } else { Level::Error }, Found(request, problem));
    }
    if request.problems.beyond > 0 && told == 0 {
        say!(host, Level::Error, "and ", Decimal(request.problems.beyond), " more problems");
    }
}

/// Tells what became of every device, then how many are as asked.
#[inline(never)]
pub fn devices<H: Host>(host: &mut H, report: &Report) {
    if !report.pciback.is_ready() {
        say!(host, Level::Error, report.pciback);
    }
    for device in report.devices {
        let level = if report.is_device_as_asked(device) { Level::Info } else { Level::Error };
        let line = row(host, report, device, false);
        host.say(level, &line);
    }
    let level = if report.is_as_asked() { Level::Info } else { Level::Error };
    let mut line = Line::new();
    put!(&mut line, Decimal(report.count_seized()), " of ", Decimal(report.devices.len() as u32), " devices seized");
    if !report.request.problems.is_empty() {
        put!(&mut line, "; problems in what is asked for: ", Decimal(report.request.problems.count()));
    }
    host.say(level, &line);
}
