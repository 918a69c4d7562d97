//! What people read: a line for every problem and every device, and one that counts.

use super::{Report, explain, list};
use crate::{
    device::{Action, Device, Outcome},
    host::Level,
    put,
    request::{Found, Problem, Request, problem::At},
    text::{Escaped, Line},
};

/// What is said to people who have not asked for any device.
pub const NOTHING_ASKED_FOR: &str =
    "nothing is asked for: see 'pciseize list', then 'pciseize add DEVICE'";

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
    let mut line = Line::new();
    for device in report.devices {
        line.clear();
        add_device(report, device, &mut line);
        tell(Level::of(report.is_device_as_asked(device)), &line);
    }
    line.clear();
    add_counts(report, "seized", &mut line);
    tell(Level::of(report.is_as_asked()), &line);
}

/// Adds what became of a device: where it is, what it is, which driver it had, and what went wrong.
/// Nothing for one that nobody asks for.
fn add_device(report: &Report, device: &Device, line: &mut Line) {
    let Some(item) = device.item(report.request) else {
        return;
    };
    if device.function.is_there {
        put!(line, "{} {} (", device.address(), device.outcome);
        list::add_title(report, device, line);
        put!(line, ")");
    } else {
        put!(line, "{} {}", item, device.outcome);
    }
    if device.outcome == Outcome::Seized {
        // Nobody saw which driver one had that was with pciback before the first run of this boot.
        let is_seen = device.work.is_due || device.first_run.is_some();
        let before = match device.origin().as_slice() {
            [] if is_seen => b"none",
            [] => crate::pciback::NAME.as_bytes(),
            origin => origin,
        };
        put!(line, ", driver {} before", Escaped(before));
    }
    let mut why = Line::new();
    explain::explain(report, device, &mut why);
    if !report.is_device_as_asked(device) {
        put!(
            &mut why,
            "; asked for at {}",
            At(report.request, item.origin)
        );
    }
    if let Some(why) = why.bytes().strip_prefix(b"; ") {
        put!(line, ": ");
        line.push(why);
    }
}

/// Tells what a plan comes to: how many devices are asked for, and what dom0 loses.
pub fn tell_plan(report: &Report, tell: &mut Tell) {
    let mut line = Line::new();
    let [mut all, mut seized, mut kept] = [0_u32; 3];
    for device in report.devices {
        if device.wish.item.is_none() {
            continue;
        }
        all += 1;
        seized += u32::from(device.action == Action::Seize);
        kept += u32::from(matches!(device.action, Action::Keep(_)));
    }
    if all == 0 && report.request.problems.is_empty() {
        put!(&mut line, "{}", NOTHING_ASKED_FOR);
        return tell(Level::Notice, &line);
    }
    put!(&mut line, "{} asked for: {} to seize", all, seized);
    for (count, what) in [(kept, "kept"), (all - seized - kept, "not as asked")] {
        if count > 0 {
            put!(&mut line, ", {} {}", count, what);
        }
    }
    add_problems(report, &mut line);
    tell(Level::Notice, &line);
    for device in report.devices {
        let address = device.address();
        if device.action == Action::Seize && !report.usage.uses(address).is_empty() {
            line.clear();
            let what = if explain::is_of_guests(report, address) {
                "a boot takes"
            } else {
                "dom0 loses"
            };
            put!(&mut line, "CAUTION: {} {}", what, address);
            explain::add_uses(report, address, [": it ", "; it "], &mut line);
            tell(Level::Notice, &line);
        }
    }
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
    add_problems(report, line);
}

/// Adds how much of what is asked for was not understood.
fn add_problems(report: &Report, line: &mut Line) {
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
        facts::usage::Uses,
        host::{Errno, testing::text},
        pciback::Answer,
        report::{
            Kind,
            testing::{add, driver, machine_in_use, memory},
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
        assert!(
            lines[0]
                .1
                .starts_with("0000:03:00.0 seized (8086:10d3 ethernet)"),
            "{lines:?}"
        );
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
        assert!(
            lines[2]
                .1
                .starts_with("0000:04:00.0 held (8086:10d3 ethernet): "),
            "{lines:?}"
        );
        assert_eq!(lines[3], (Level::Error, "1 of 2 devices seized".into()));
    }

    #[test]
    fn tells_a_device_in_a_sentence() {
        for (outcome, is_due, origin, expected) in [
            (
                Outcome::Seized,
                true,
                "",
                "seized (8086:10d3 ethernet), driver none before",
            ),
            (
                Outcome::Seized,
                false,
                "",
                "seized (8086:10d3 ethernet), driver pciback before",
            ),
            (
                Outcome::Seized,
                true,
                "igb",
                "seized (8086:10d3 ethernet), driver igb before",
            ),
            (
                Outcome::Exposed,
                true,
                "igb",
                "exposed (8086:10d3 ethernet): nothing keeps a driver from taking it; \
                 asked for at conf:1:1",
            ),
        ] {
            let mut memory = memory("03:00.0");
            let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
            device.outcome = outcome;
            device.work.previous_driver = driver(origin);
            device.work.is_due = is_due;
            let report = memory.report(Kind::Seizure, true);
            let lines = told(|tell| tell_devices(&report, tell));
            assert_eq!(lines[0].1, std::format!("0000:03:00.0 {expected}"));
        }
    }

    #[test]
    fn counts_a_plan() {
        for (text, actions, expected) in [
            ("", &[][..], NOTHING_ASKED_FOR),
            ("03:00.*", &[Action::Seize], "1 asked for: 1 to seize"),
            (
                "03:00.*",
                &[Action::Seize, Action::Keep(0), Action::RefuseBridge],
                "3 asked for: 1 to seize, 1 kept, 1 not as asked",
            ),
        ] {
            let mut memory = memory(text);
            for (at, &action) in ["03:00.0", "03:00.1", "03:00.2"].iter().zip(actions) {
                add(&mut memory, at, Some(0), action);
            }
            let report = memory.report(Kind::Plan, true);
            let lines = told(|tell| tell_plan(&report, tell));
            assert_eq!(lines, [(Level::Notice, expected.into())]);
        }
    }

    #[test]
    fn cautions_of_what_dom0_loses() {
        let mut memory = memory("03:00.0");
        add(&mut memory, "03:00.0", Some(0), Action::Seize);
        memory.usage.gather(&mut machine_in_use(), Uses::NONE);
        let report = memory.report(Kind::Plan, true);
        let lines = told(|tell| tell_plan(&report, tell));
        let caution = "CAUTION: dom0 loses 0000:03:00.0: it holds /; \
                       it carries the default route of eth0";
        assert_eq!(lines[1], (Level::Notice, caution.into()));
    }

    #[test]
    fn counts_problems_in_the_end() {
        let memory = memory("03:00.9\nnonsense\n");
        let lines = told(|tell| tell_devices(&memory.report(Kind::Seizure, true), tell));
        let end = "0 of 0 devices seized; problems in what is asked for: 2";
        assert_eq!(lines, [(Level::Error, end.into())]);
    }
}
