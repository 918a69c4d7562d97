//! A plan, a report or a list as JSON (RFC 8259), one device and one problem a line.

use super::{Kind, Report, Stage, list, row::explain, sink::Sink};
use crate::{
    device::Device,
    host::{Errno, Host, Path},
    names,
    pci::{
        Place,
        bus::{self, DriverName},
    },
    put,
    request::{ItemId, Problem},
    text::{Decimal, Either, Hex, Line, Quoted, Show, Shown, behind, words},
};

/// Appends the whole report to the file at `path`, or without one prints it. A list is an array of its devices, with their names.
///
/// # Errors
/// The first that was met.
pub fn write<H: Host>(host: &mut H, path: Option<Path>, report: &Report) -> Result<(), Errno> {
    let mut sink = Sink::new(host, path);
    let is_list = report.kind == Kind::List;
    if !is_list {
        let switches = report.request.switches;
        put!(&mut sink.line, "{\"schema\":1,\"dom0\":", Truth(report.is_dom0), ",\"strict\":", Truth(switches.strict), ",\"off\":", Truth(switches.off));
        if report.kind == Kind::Seizure {
            let stage = if report.image.is_some() { Stage::Initramfs } else { report.stage };
            put!(&mut sink.line, ",\"stage\":", Quoted(Either(stage.word())), ",\"config_digest\":");
            match &report.image {
                Some(image) => put!(&mut sink.line, Quoted(Shown(&image.digest))),
                None => put!(&mut sink.line, Quoted(report.request.digest)),
            }
        }
        if report.kind == Kind::Status {
            put!(&mut sink.line, ",\"image_current\":", Truth(report.agreement() == 0));
        }
        put!(&mut sink.line, ",\n\"devices\":");
    }
    put!(&mut sink.line, "[");
    let mut separator = "\n";
    for device in report.devices {
        if if is_list { device.is_there } else { device.item != ItemId::MAX } {
            put!(&mut sink.line, Either(separator));
            self::device(&mut sink, report, device);
            if is_list {
                name(&mut sink, report, device);
            }
            put!(&mut sink.line, "}");
            sink.flush();
            separator = ",\n";
        }
    }
    if is_list {
        put!(&mut sink.line, "]\n");
    } else {
        put!(&mut sink.line, "],\n\"problems\":[");
        let mut separator = "\n";
        for problem in report.request.problems.iter() {
            put!(&mut sink.line, Either(separator));
            self::problem(&mut sink.line, report, problem);
            sink.flush();
            separator = ",\n";
        }
        put!(&mut sink.line, "],\"more_problems\":", Decimal(report.request.problems.beyond), "}\n");
    }
    sink.end()
}

/// A device, without the end of its object.
#[inline(never)]
fn device<H: Host>(sink: &mut Sink<H>, report: &Report, device: &Device) {
    let mut why = Line::new();
    explain(sink.host, report, device, &mut why);
    if device.is_pending && !report.pciback.is_ready() {
        put!(&mut why, "; ", report.pciback);
    }
    let item = device.item(report.request);
    let place = if device.is_there { bus::place(sink.host, device.address) } else { None };
    let way = place.as_ref().map(Place::way).or(item.and_then(|item| item.selector.path()));
    let line = &mut sink.line;
    put!(line, "{\"address\":", Maybe(device.known_address(report.request)), ",\"path\":", Maybe(way));
    let identity = device.identity.unwrap_or_default();
    let mut ids = identity.ids;
    for key in words("vendor device subvendor subdevice") {
        ids = ids.rotate_left(16);
        put!(line, ",\"", Shown(key), "\":", Maybe(device.identity.map(|_| Hex(ids as u32 & 0xffff, 4))));
    }
    put!(line, ",\"class\":", Maybe(device.identity.map(|_| Hex(identity.class, 6))), ",\"driver\":", driver(&device.driver));
    if report.is_done() {
        put!(line, ",\"origin\":", driver(&device.origin));
        let first = device.first_outcome;
        if report.kind == Kind::Status {
            put!(line, ",\"outcome\":", Quoted(device.outcome), ",\"at_boot\":", Maybe(first));
        } else {
            put!(line, ",\"outcome\":", Quoted(first.unwrap_or(device.outcome)), ",\"latest\":", Quoted(device.outcome));
        }
    } else if report.kind == Kind::Plan {
        put!(line, ",\"action\":", Quoted(device.action));
    }
    if report.kind != Kind::List
        && let Some(item) = item
    {
        put!(line, ",\"selector\":", Quoted(item), ",\"source\":", Quoted(Shown(report.request.source(item.origin.source))));
    }
    put!(line, ",\"warnings\":[");
    // A line has room for one long name with all its escapes, not for two.
    sink.flush();
    let line = &mut sink.line;
    if let Some(why) = behind(b"; ", why.bytes()) {
        put!(line, Quoted(Shown(why)));
    }
    put!(line, "]");
}

/// The names of a listed device, and what is marked of it.
#[inline(never)]
fn name<H: Host>(sink: &mut Sink<H>, report: &Report, device: &Device) {
    let (mut name, mut marks) = (Line::new(), Line::new());
    names::show(report.names, device, &mut name);
    let name = Some(Shown(name.bytes())).filter(|name| !name.0.is_empty());
    put!(&mut sink.line, ",\"name\":", Maybe(name), ",\"marks\":[");
    list::marks(report, device, &mut marks);
    if let Some(marks) = behind(b"; ", marks.bytes()) {
        put!(&mut sink.line, Quoted(Shown(marks)));
    }
    put!(&mut sink.line, "]");
}

/// A problem.
fn problem(line: &mut Line, report: &Report, problem: &Problem) {
    let origin = problem.origin;
    put!(line, "{\"source\":", Quoted(Shown(report.request.source(origin.source))), ",\"line\":", Decimal(origin.line), ",\"column\":", Decimal(origin.column));
    put!(line, ",\"text\":", Quoted(&problem.text), ",\"message\":", Quoted(problem), "}");
}

/// A driver's name.
fn driver(name: &DriverName) -> Maybe<Shown<'_>> {
    Maybe((!name.is_empty()).then_some(Shown(name)))
}

/// A JSON truth value.
struct Truth(bool);

impl Show for Truth {
    fn show(&self, line: &mut Line) {
        put!(line, Either(if self.0 { "true" } else { "false" }));
    }
}

/// A JSON string, or `null` where there is nothing.
struct Maybe<T>(Option<T>);

impl<T: Show> Show for Maybe<T> {
    fn show(&self, line: &mut Line) {
        match &self.0 {
            Some(value) => put!(line, Quoted(value)),
            None => put!(line, "null"),
        }
    }
}
