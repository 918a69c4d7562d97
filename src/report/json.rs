//! A plan, a report or a list as JSON (RFC 8259), one device and one problem a line.

use ufmt::uDisplay;

use super::{
    Agreement, Kind, Report, Stage,
    explain::explain,
    list,
    sink::{Out, Sink},
};
use crate::{
    device::Device,
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
            add_names(&mut sink.line, report, device);
        }
        put!(&mut sink.line, "}}");
        sink.flush();
        separator = ",\n";
    }
}

/// Writes a device, without the end of its object.
fn write_device(sink: &mut Sink, report: &Report, device: &Device) {
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
        }
    }
    if report.kind != Kind::List
        && let Some(item) = item
    {
        add_member(line, "selector", item);
        add_member(
            line,
            "source",
            Escaped(report.request.source(item.origin.source)),
        );
    }
    put!(line, ",\"warnings\":[");
    // A line has room for one long name with all its escapes, not for two.
    sink.flush();
    let mut why = Line::new();
    explain(report, device, &mut why);
    if device.work.is_due && !report.pciback.is_ready() {
        put!(&mut why, "; {}", report.pciback);
    }
    add_text(&mut sink.line, &why);
    put!(&mut sink.line, "]");
}

/// Adds the names of a listed device, and what is marked of it.
fn add_names(line: &mut Line, report: &Report, device: &Device) {
    let (mut name, mut marks) = (Line::new(), Line::new());
    list::add_names(report, device, &mut name);
    let name = Escaped(name.bytes());
    add_optional(line, "name", Some(name).filter(|name| !name.0.is_empty()));
    put!(line, ",\"marks\":[");
    list::add_marks(report, device, &mut marks);
    add_text(line, &marks);
    put!(line, "]");
}

/// Adds a sentence as a string: pieces with `; ` in front of each. Nothing where there is none.
fn add_text(line: &mut Line, pieces: &Line) {
    if let Some(text) = pieces.bytes().strip_prefix(b"; ") {
        line.quote(Escaped(text));
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
fn add_driver(line: &mut Line, name: &str, driver: &DriverName) {
    add_optional(line, name, (!driver.is_empty()).then_some(Escaped(driver)));
}

/// Adds a member of an object, a string.
fn add_member(line: &mut Line, name: &str, text: impl uDisplay) {
    add_optional(line, name, Some(text));
}

/// Adds a member of an object, a string or `null`.
fn add_optional(line: &mut Line, name: &str, text: Option<impl uDisplay>) {
    put!(line, ",\"{}\":", name);
    add_value(line, text);
}

/// Adds a string, or `null` where there is nothing.
fn add_value(line: &mut Line, text: Option<impl uDisplay>) {
    match text {
        Some(text) => line.quote(text),
        None => put!(line, "null"),
    }
}
