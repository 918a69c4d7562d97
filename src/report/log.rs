//! What people read: a line for every problem and every device, and one that counts.

use super::{
    Report,
    table::{Form, row},
};
use crate::{
    device::{Device, Outcome},
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
    add_counts(report, "seized", &mut line);
    tell(level, &line);
}

/// Adds how many of the devices that are asked for pciback has, and what else counts. `word`: what
/// is said of them.
pub fn add_counts(report: &Report, word: &str, line: &mut Line) {
    let is_kept = |device: &&Device| device.outcome == Outcome::Kept;
    let kept = report.devices.iter().filter(is_kept).count() as u32;
    let devices = report.devices.len() as u32 - kept;
    put!(
        line,
        "{} of {} devices {}",
        report.count_seized(),
        devices,
        word
    );
    if kept > 0 {
        put!(line, ", {} kept", kept);
    }
    if !report.request.problems.is_empty() {
        let count = report.request.problems.count();
        put!(line, "; problems in what is asked for: {}", count);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec};

    use super::*;
    use crate::{
        device::{Action, Outcome},
        host::{Errno, testing::text},
        pciback::Answer,
        report::{
            Kind,
            testing::{add, memory},
        },
        request::{Fault, Mistake, Origin, problem::PROBLEMS},
    };

    /// What is told of a report: the problems but for the first ones, or the devices.
    fn told(tell: impl FnOnce(&mut Tell)) -> Vec<(Level, String)> {
        let mut lines = Vec::new();
        tell(&mut |level, line| lines.push((level, text(line.bytes()))));
        lines
    }

    #[test]
    fn tells_problems_by_what_they_cost() {
        let mut memory = memory("03:00.9\n!05:00.0\n");
        let origin = memory.request.items[0].origin;
        let useless = Fault::Is(Mistake::KeepsNothing);
        memory.request.note_problem(origin, b"!05:00.0", useless);
        let lines = told(|tell| tell_problems(&memory.request, 0, tell));
        let levels: Vec<Level> = lines.iter().map(|(level, _)| *level).collect();
        assert_eq!(levels, [Level::Error, Level::Notice]);
        assert!(
            lines[0].1.starts_with("conf:1:1: \"03:00.9\": "),
            "{lines:?}"
        );
        assert!(
            lines[1].1.starts_with("conf:2:1: \"!05:00.0\": "),
            "{lines:?}"
        );
        let later = told(|tell| tell_problems(&memory.request, 1, tell));
        assert_eq!(later, lines[1..]);
        assert!(told(|tell| tell_problems(&memory.request, 2, tell)).is_empty());
    }

    #[test]
    fn counts_the_problems_that_have_no_place() {
        let mut memory = memory("");
        let source = memory.request.add_source(b"x").expect("room");
        for _ in 0..PROBLEMS + 2 {
            let fault = Fault::Is(Mistake::NoSelector);
            memory
                .request
                .note_problem(Origin::whole(source), b"x", fault);
        }
        let lines = told(|tell| tell_problems(&memory.request, 0, tell));
        assert_eq!(lines.len(), PROBLEMS + 1);
        assert_eq!(
            lines[PROBLEMS],
            (Level::Error, "and 2 more problems".into())
        );
        // They were told with the first ones.
        assert!(told(|tell| tell_problems(&memory.request, PROBLEMS, tell)).is_empty());
    }

    #[test]
    fn tells_devices_by_whether_they_are_as_asked() {
        let mut memory = memory("03:00.0\n04:00.0\n");
        add(&mut memory, "03:00.0", Some(0), Action::Seize).outcome = Outcome::Seized;
        let good = memory.report(Kind::Seizure, true);
        let lines = told(|tell| tell_devices(&good, tell));
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].0, Level::Info);
        assert!(lines[0].1.starts_with("0000:03:00.0  seized "), "{lines:?}");
        assert_eq!(lines[1], (Level::Info, "1 of 1 devices seized".into()));

        add(&mut memory, "04:00.0", Some(1), Action::Seize).outcome = Outcome::Held;
        let bad = Report {
            pciback: Answer::Refused(Errno::EKEYREJECTED),
            ..memory.report(Kind::Seizure, true)
        };
        let lines = told(|tell| tell_devices(&bad, tell));
        let why = "loading xen-pciback: EKEYREJECTED (129)";
        assert_eq!(lines[0], (Level::Error, why.into()));
        assert_eq!((lines[1].0, lines[2].0), (Level::Info, Level::Error));
        assert!(lines[2].1.starts_with("0000:04:00.0  held "), "{lines:?}");
        assert_eq!(lines[3], (Level::Error, "1 of 2 devices seized".into()));
    }

    #[test]
    fn counts_problems_in_the_end() {
        let memory = memory("03:00.9\nnonsense\n");
        let lines = told(|tell| tell_devices(&memory.report(Kind::Seizure, true), tell));
        let end = "0 of 0 devices seized; problems in what is asked for: 2";
        assert_eq!(lines, [(Level::Error, end.into())]);
    }
}
