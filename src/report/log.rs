//! What people read: a line for every problem and every device, and one that counts.

use super::{
    Report,
    table::{Form, row},
};
use crate::{
    host::Level,
    put,
    request::{Found, Problem, Request},
    text::Line,
};

/// What takes the lines.
pub type Tell<'t> = dyn FnMut(Level, &Line) + 't;

/// Tells the problems of the request, but for the first `told` ones, which were told before.
pub fn tell_problems(request: &Request, told: usize, tell: &mut Tell) {
    let mut line = Line::new();
    for problem in request.problems.iter().skip(told) {
        line.clear();
        put!(&mut line, "{}", Found(request, problem));
        tell(level_of(problem), &line);
    }
    if request.problems.beyond > 0 && told == 0 {
        line.clear();
        put!(&mut line, "and {} more problems", request.problems.beyond);
        tell(Level::Error, &line);
    }
}

/// How much a problem matters.
fn level_of(problem: &Problem) -> Level {
    if problem.is_notice() {
        Level::Notice
    } else {
        Level::Error
    }
}

/// Tells what became of every device, then how many are seized.
pub fn tell_devices(report: &Report, tell: &mut Tell) {
    if !report.pciback.is_ready() {
        let mut line = Line::new();
        put!(&mut line, "{}", report.pciback);
        tell(Level::Error, &line);
    }
    for device in report.devices {
        let is_as_asked = report.is_device_as_asked(device);
        let level = if is_as_asked {
            Level::Info
        } else {
            Level::Error
        };
        tell(level, &row(report, device, Form::Log));
    }
    let level = if report.is_as_asked() {
        Level::Info
    } else {
        Level::Error
    };
    let mut line = Line::new();
    let devices = report.devices.len() as u32;
    put!(
        &mut line,
        "{} of {} devices seized",
        report.count_seized(),
        devices
    );
    if !report.request.problems.is_empty() {
        let count = report.request.problems.count();
        put!(&mut line, "; problems in what is asked for: {}", count);
    }
    tell(level, &line);
}
