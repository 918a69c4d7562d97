//! A plan, a report or a list as JSON (RFC 8259), one device and one problem a line.

use ufmt::uDisplay;

use super::{
    Agreement, Kind, Report, Stage,
    explain::explain,
    list,
    sink::{Out, Sink},
};
use crate::{
    device::{Device, Failure, Reset},
    host::Errno,
    pci::{Identity, bus::DriverName},
    put,
    request::Problem,
    text::{Escaped, Line},
};

/// Writes the whole report. A list is an array of its devices, with their names.
///
/// # Errors
/// The first of `out`.
pub fn write<'o>(report: &Report, out: &'o mut Out<'o>) -> Result<(), Errno> {
    let mut sink = Sink::new(out);
    if report.kind == Kind::List {
        write_devices(&mut sink, report);
        put!(&mut sink.line, "]\n");
        return sink.end();
    }
    add_head(&mut sink.line, report);
    write_devices(&mut sink, report);
    put!(&mut sink.line, "],\n\"problems\":[");
    let mut separator = "\n";
    for problem in report.request.problems.iter() {
        put!(&mut sink.line, "{}", separator);
        add_problem(&mut sink.line, report, problem);
        sink.flush();
        separator = ",\n";
    }
    put!(
        &mut sink.line,
        "],\"more_problems\":{}}}\n",
        report.request.problems.beyond
    );
    sink.end()
}

/// Adds what comes before the devices.
fn add_head(line: &mut Line, report: &Report) {
    let switches = report.request.switches;
    put!(line, "{{\"schema\":1,\"dom0\":{}", report.is_dom0);
    put!(
        line,
        ",\"strict\":{},\"off\":{}",
        switches.strict,
        switches.off
    );
    if report.kind == Kind::Seizure {
        let stage = if report.image.is_some() {
            Stage::Initramfs
        } else {
            report.stage
        };
        add_member(line, "stage", stage.word());
        match &report.image {
            Some(image) => add_member(line, "config_digest", Escaped(&image.digest)),
            None => add_member(line, "config_digest", report.request.digest),
        }
    }
    if report.kind == Kind::Status {
        put!(
            line,
            ",\"image_current\":{}",
            report.agreement() == Agreement::Same
        );
    }
    put!(line, ",\n\"devices\":");
}

/// Writes the devices, and the bracket before them.
fn write_devices(sink: &mut Sink, report: &Report) {
    put!(&mut sink.line, "[");
    let is_list = report.kind == Kind::List;
    let is_told = |device: &&Device| {
        if is_list {
            device.function.is_there
        } else {
            device.wish.item.is_some()
        }
    };
    let mut separator = "\n";
    for device in report.devices.iter().filter(is_told) {
        put!(&mut sink.line, "{}", separator);
        write_device(sink, report, device);
        if is_list {
            write_names(sink, report, device);
        }
        put!(&mut sink.line, "}}");
        sink.flush();
        separator = ",\n";
    }
}

/// Writes a device, without the end of its object.
pub(super) fn write_device(sink: &mut Sink, report: &Report, device: &Device) {
    let line = &mut sink.line;
    put!(line, "{{\"address\":");
    add_value(line, device.known_address(report.request));
    let item = device.item(report.request);
    let path = device.function.place.as_ref();
    add_optional(
        line,
        "path",
        path.or(item.and_then(|item| item.selector.path())),
    );
    let identity = device.function.identity;
    add_optional(line, "vendor", identity.map(Identity::vendor));
    add_optional(line, "device", identity.map(Identity::device));
    add_optional(line, "subvendor", identity.map(Identity::subsystem_vendor));
    add_optional(line, "subdevice", identity.map(Identity::subsystem_device));
    add_optional(line, "class", identity.map(Identity::class));
    add_driver(line, "driver", &device.state.driver);
    if report.kind != Kind::Seizure {
        let methods = match &device.function.reset {
            Reset::Methods(methods) => Some(Escaped(methods)),
            Reset::Unread | Reset::NoFile => None,
        };
        add_optional(line, "reset", methods);
    }
    match report.kind {
        Kind::List => {}
        Kind::Plan => add_member(line, "action", device.action),
        Kind::Status => {
            add_driver(line, "origin", device.origin());
            add_member(line, "outcome", device.outcome);
            add_optional(line, "at_boot", device.first_outcome());
        }
        Kind::Seizure => {
            add_driver(line, "origin", device.origin());
            add_member(
                line,
                "outcome",
                device.first_outcome().unwrap_or(device.outcome),
            );
            add_member(line, "latest", device.outcome);
            add_failure(line, device.failure());
        }
    }
    if report.kind != Kind::List {
        let source = item.map(|item| Escaped(report.request.source(item.origin.source)));
        add_optional(line, "selector", item);
        add_optional(line, "source", source);
    }
    add_optional(line, "guest_name", device.guest_name(report.request));
    if report.kind != Kind::Seizure {
        write_group(sink, report, device);
    }
    put!(&mut sink.line, ",\"warnings\":[");
    let mut why = Line::new();
    explain(report, device, &mut why);
    if device.work.is_due && !report.pciback.is_ready() {
        put!(&mut why, "; {}", report.pciback);
    }
    write_parts(sink, &why);
    put!(&mut sink.line, "]");
}

/// Writes what an IOMMU cannot tell from a device. A group may have more than a line has room for.
fn write_group(sink: &mut Sink, report: &Report, device: &Device) {
    let address = device.address();
    add_name(&mut sink.line, "group");
    if !device.function.is_there || !report.groups.is_known(address) {
        return put!(&mut sink.line, "null");
    }
    let mut separator = "[";
    for member in report.groups.of(address) {
        put!(&mut sink.line, "{}", separator);
        sink.line.quote(member);
        sink.flush();
        separator = ",";
    }
    put!(&mut sink.line, "]");
}

/// Writes the names of a listed device, and what is marked of it.
fn write_names(sink: &mut Sink, report: &Report, device: &Device) {
    let (mut name, mut marks) = (Line::new(), Line::new());
    list::add_names(report, device, &mut name);
    let name = Escaped(name.bytes());
    add_optional(
        &mut sink.line,
        "name",
        Some(name).filter(|name| !name.0.is_empty()),
    );
    put!(&mut sink.line, ",\"marks\":[");
    list::add_marks(report, device, &mut marks);
    write_parts(sink, &marks);
    put!(&mut sink.line, "]");
}

/// Writes the parts of a sentence as strings: each has `; ` in front.
pub(super) fn write_parts(sink: &mut Sink, sentence: &Line) {
    // A line has room for one part with all its escapes.
    sink.flush();
    let mut separator = "";
    let mut rest = sentence.bytes().strip_prefix(b"; ");
    while let Some(text) = rest {
        let end = text.windows(2).position(|pair| pair == b"; ");
        let (part, after) = match end {
            Some(end) => (text.get(..end).unwrap_or_default(), text.get(end + 2..)),
            None => (text, None),
        };
        put!(&mut sink.line, "{}", separator);
        sink.line.quote(Escaped(part));
        sink.flush();
        separator = ",";
        rest = after;
    }
}

/// Adds a problem.
fn add_problem(line: &mut Line, report: &Report, problem: &Problem) {
    let origin = problem.origin;
    put!(line, "{{\"source\":");
    line.quote(Escaped(report.request.source(origin.source)));
    put!(
        line,
        ",\"line\":{},\"column\":{}",
        origin.line,
        origin.column
    );
    add_member(line, "text", &problem.text);
    add_member(line, "message", problem);
    put!(line, "}}");
}

/// Adds the name of a driver, `null` for none.
pub(super) fn add_driver(line: &mut Line, name: &str, driver: &DriverName) {
    add_optional(line, name, (!driver.is_empty()).then_some(Escaped(driver)));
}

/// Adds a member of an object, a string.
pub(super) fn add_member(line: &mut Line, name: &str, text: impl uDisplay) {
    add_optional(line, name, Some(text));
}

/// Adds a member of an object, a string or `null`.
pub(super) fn add_optional(line: &mut Line, name: &str, text: Option<impl uDisplay>) {
    add_name(line, name);
    add_value(line, text);
}

/// Adds the name of a further member.
pub(super) fn add_name(line: &mut Line, name: &str) {
    put!(line, ",\"{}\":", name);
}

/// Adds which step failed, and the number of the kernel's answer.
fn add_failure(line: &mut Line, failure: Option<Failure>) {
    add_optional(line, "failed", failure.map(|failure| failure.step.word()));
    add_name(line, "errno");
    match failure {
        Some(failure) => put!(line, "{}", failure.errno.0),
        None => put!(line, "null"),
    }
}

/// Adds a string, or `null` where there is nothing.
pub(super) fn add_value(line: &mut Line, text: Option<impl uDisplay>) {
    match text {
        Some(text) => line.quote(text),
        None => put!(line, "null"),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        cli::Memory,
        device::{Action, FirstRun, Outcome},
        host::testing::Machine,
        pci::Place,
        pciback::Answer,
        report::{
            Image,
            testing::{add, driver, machine_with_groups, memory, written},
        },
        request::{Fault, Mistake, Origin, problem::PROBLEMS},
    };

    /// What is said of a device that is not there.
    const NO_SUCH_DEVICE: [&str; 2] = [
        "no such device",
        "see pciseize list for its place, or remove the item",
    ];

    /// What a program reads.
    fn parsed(report: &Report) -> Value {
        let text = written(|out| write(report, out));
        assert!(text.is_ascii() && text.ends_with(b"\n"));
        serde_json::from_slice(&text).expect("JSON")
    }

    /// A memory with a device that is seized, and one that is not there.
    fn two_devices() -> std::boxed::Box<Memory> {
        let mut memory = memory("8086:10d3\nclass:usb\nnonsense\n");
        let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
        let way = b"../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.0";
        device.function.place = Place::from_link(way);
        device.outcome = Outcome::Seized;
        device.state.driver = driver("pciback");
        device.function.reset = Reset::Methods(b"flr bus".as_slice().try_into().expect("room"));
        device.work.previous_driver = driver("e1000e");
        let absent = add(&mut memory, "ffffffff:ff:1f.7", Some(1), Action::Absent);
        absent.function.is_there = false;
        absent.function.identity = None;
        memory
    }

    #[test]
    fn tells_a_plan() {
        let memory = two_devices();
        let plan = parsed(&memory.report(Kind::Plan, true));
        assert_eq!(
            plan,
            json!({
                "schema": 1, "dom0": true, "strict": false, "off": false,
                "devices": [
                    {
                        "address": "0000:03:00.0", "path": "0000:00:1c.0/00.0",
                        "vendor": "8086", "device": "10d3",
                        "subvendor": "1af4", "subdevice": "1100", "class": "020000",
                        "driver": "pciback", "reset": "flr bus",
                        "action": "seize", "group": null, "guest_name": null,
                        "selector": "8086:10d3", "source": "conf", "warnings": [],
                    },
                    {
                        "address": null, "path": null, "vendor": null, "device": null,
                        "subvendor": null, "subdevice": null, "class": null,
                        "driver": null, "reset": null,
                        "action": "absent", "group": null, "guest_name": null,
                        "selector": "class:usb", "source": "conf",
                        "warnings": NO_SUCH_DEVICE,
                    },
                ],
                "problems": [{
                    "source": "conf", "line": 3, "column": 1, "text": "nonsense",
                    "message": plan["problems"][0]["message"],
                }],
                "more_problems": 0,
            })
        );
        let message = plan["problems"][0]["message"].as_str().expect("a text");
        assert!(message.starts_with("expected an address"), "{message}");
    }

    #[test]
    fn tells_a_seizure_as_the_first_run_told_it() {
        let mut memory = two_devices();
        let report = Report {
            stage: Stage::Initramfs,
            ..memory.report(Kind::Seizure, true)
        };
        let first = parsed(&report);
        let digest = crate::host::testing::shown(memory.request.digest);
        assert_eq!(first["stage"], "initramfs");
        assert_eq!(first["config_digest"], digest.as_str());
        let device = &first["devices"][0];
        assert_eq!(device["origin"], "e1000e");
        assert_eq!(
            (&device["outcome"], &device["latest"]),
            (&json!("seized"), &json!("seized"))
        );
        assert_eq!(first["devices"][1]["origin"], Value::Null);

        memory.devices[0].first_run = Some(FirstRun {
            outcome: Some(Outcome::Held),
            latest: None,
            failure: None,
            origin: driver("igb"),
        });
        let report = Report {
            image: Some(Image {
                digest: *b"0123456789abcdef",
            }),
            ..memory.report(Kind::Seizure, true)
        };
        let second = parsed(&report);
        assert_eq!(second["stage"], "initramfs", "the stage of the first run");
        assert_eq!(second["config_digest"], "0123456789abcdef");
        let device = &second["devices"][0];
        assert_eq!(device["origin"], "igb");
        assert_eq!(
            (&device["outcome"], &device["latest"]),
            (&json!("held"), &json!("seized"))
        );
    }

    #[test]
    fn tells_a_status_beside_the_boot() {
        let mut memory = two_devices();
        let status = parsed(&memory.report(Kind::Status, true));
        assert_eq!(status["image_current"], false);
        assert_eq!(status["devices"][0]["at_boot"], Value::Null);
        assert_eq!(status["devices"][0]["outcome"], "seized");
        memory.devices[0].first_run = Some(FirstRun {
            outcome: Some(Outcome::Held),
            latest: None,
            failure: None,
            origin: driver(""),
        });
        let status = parsed(&memory.report(Kind::Status, true));
        assert_eq!(status["devices"][0]["at_boot"], "held");
        assert_eq!(status["devices"][0]["origin"], "e1000e");
        assert_eq!(status["devices"][0]["warnings"], json!(["earlier: held"]));
    }

    #[test]
    fn lists_what_is_there_with_its_names() {
        let mut memory = two_devices();
        add(&mut memory, "04:00.0", None, Action::Unasked)
            .function
            .identity = None;
        let mut host = Machine::new();
        host.file(
            "/usr/share/pci.ids",
            "8086  Intel \"Corp\"\n\t10d3  82574L\\\n",
        );
        let Memory { names, devices, .. } = &mut *memory;
        names.find(&mut host, devices);
        let list = parsed(&memory.report(Kind::List, true));
        let devices = list.as_array().expect("an array");
        let addresses: Vec<_> = devices.iter().map(|device| &device["address"]).collect();
        assert_eq!(addresses, ["0000:03:00.0", "0000:04:00.0"]);
        assert_eq!(list[0]["name"], "Intel \"Corp\" 82574L\\");
        assert_eq!(list[0]["marks"], json!(["with pciback", "asked for"]));
        assert_eq!(list[1]["name"], Value::Null);
        assert_eq!(list[1]["driver"], Value::Null);
        assert_eq!(list[1]["marks"], json!([]));
        assert_eq!(list[0].get("selector"), None);
    }

    /// Each member, and the function itself; nothing where nobody can tell, and in a report.
    #[test]
    fn tells_groups_where_they_are_known() {
        let mut memory = two_devices();
        let functions = ["0000:03:00.0", "0000:03:00.1", "0000:04:00.0"];
        for at in &functions[1..] {
            add(&mut memory, at, Some(0), Action::Seize);
        }
        let mut host = machine_with_groups(&functions);
        host.refuse("read /sys/bus/pci/devices/0000:04:00.0/config", Errno::EIO);
        memory.groups.look(&mut host);
        let groups = |kind| -> Vec<Value> {
            let report = memory.report(kind, true);
            let devices = match kind {
                Kind::List => parsed(&report),
                _ => parsed(&report)["devices"].take(),
            };
            let devices = devices.as_array().expect("an array");
            let devices = devices.iter().filter(|device| !device["address"].is_null());
            devices
                .filter_map(|device| device.get("group").cloned())
                .collect()
        };
        let pair = json!(["0000:03:00.0", "0000:03:00.1"]);
        for kind in [Kind::List, Kind::Plan, Kind::Status] {
            assert_eq!(
                groups(kind),
                [pair.clone(), pair.clone(), Value::Null],
                "{kind:?}"
            );
        }
        assert_eq!(groups(Kind::Seizure), [] as [Value; 0]);
    }

    #[test]
    fn is_empty_where_there_is_nothing() {
        let memory = memory("");
        assert_eq!(parsed(&memory.report(Kind::List, true)), json!([]));
        let plan = parsed(&memory.report(Kind::Plan, false));
        assert_eq!(
            (&plan["dom0"], &plan["devices"]),
            (&json!(false), &json!([]))
        );
        assert_eq!(
            (&plan["problems"], &plan["more_problems"]),
            (&json!([]), &json!(0))
        );
    }

    #[test]
    fn tells_the_switches() {
        let memory = memory("strict = yes\noff = yes\n");
        let plan = parsed(&memory.report(Kind::Plan, true));
        assert_eq!(
            (&plan["strict"], &plan["off"]),
            (&json!(true), &json!(true))
        );
    }

    #[test]
    fn escapes_odd_bytes() {
        let mut memory = memory("03:00.0");
        let source = memory.request.add_source(b"a\xff\"b").expect("room");
        let fault = Fault::Is(Mistake::NoSelector);
        memory
            .request
            .note_problem(Origin::whole(source), b"\x1b[m\\\"", fault);
        let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
        device.outcome = Outcome::Lost;
        device.state.driver = driver("\"e\\1000\te\"");
        let status = parsed(&memory.report(Kind::Status, true));
        let device = &status["devices"][0];
        assert_eq!(device["driver"], "\"e\\1000\\x09e\"");
        let why = "driver \"e\\1000\\x09e\" has it";
        assert_eq!(
            device["warnings"],
            json!([why, "to take it: 'pciseize seize'"])
        );
        assert_eq!(status["problems"][0]["source"], "a\\xff\"b");
        assert_eq!(status["problems"][0]["text"], "\\x1b[m\\\"");
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
        let plan = parsed(&memory.report(Kind::Plan, true));
        assert_eq!(plan["problems"].as_array().map(Vec::len), Some(PROBLEMS));
        assert_eq!(plan["more_problems"], 2);
        let place = (&plan["problems"][0]["line"], &plan["problems"][0]["column"]);
        assert_eq!(place, (&json!(0), &json!(0)));
    }

    #[test]
    fn says_why_what_is_due_has_no_pciback() {
        let mut memory = two_devices();
        memory.devices[0].work.is_due = true;
        let report = Report {
            pciback: Answer::Refused(Errno::EKEYREJECTED),
            ..memory.report(Kind::Seizure, true)
        };
        let devices = &parsed(&report)["devices"];
        let why = "loading xen-pciback: EKEYREJECTED (129)";
        assert_eq!(devices[0]["warnings"], json!([why]));
        assert_eq!(devices[1]["warnings"], json!(NO_SUCH_DEVICE));
    }

    #[test]
    fn gives_back_the_error_of_what_takes_the_text() {
        let memory = two_devices();
        let report = memory.report(Kind::Plan, true);
        assert_eq!(
            write(&report, &mut |_| Err(Errno::ENOSPC)),
            Err(Errno::ENOSPC)
        );
    }
}
