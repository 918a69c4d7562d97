//! The report as JSON (RFC 8259), one device and one problem a line.

use super::Report;
use crate::{
    host::{Errno, Host, Path},
    pci::{
        Place,
        bus::{self, DriverName},
    },
    put,
    request::Problem,
    seize::Device,
    text::{Decimal, Hex, LINE_SIZE, Line, Quoted, Show, Shown, words},
};

/// Text on its way into a file, piece by piece.
struct Sink<'h, H> {
    host: &'h mut H,
    path: Path<'h>,
    line: Line,
    result: Result<(), Errno>,
}

impl<H: Host> Sink<'_, H> {
    /// Writes out what is waiting, if there is more than `most` of it.
    fn flush(&mut self, most: usize) {
        if self.line.bytes().len() > most {
            self.result = self.result.and_then(|()| self.host.append(self.path, self.line.bytes()));
            self.line.clear();
        }
    }
}

/// Appends the whole report to the file at `path`.
///
/// # Errors
/// The first that the file met.
pub fn write<H: Host>(host: &mut H, path: Path, report: &Report) -> Result<(), Errno> {
    let mut sink = Sink { host, path, line: Line::new(), result: Ok(()) };
    put!(&mut sink.line, "{");
    head(&mut sink.line, report);
    put!(&mut sink.line, ",\n\"devices\":[");
    let mut separator = "\n";
    for device in report.devices {
        let place = if device.is_there { bus::place(sink.host, device.address) } else { None };
        put!(&mut sink.line, separator);
        self::device(&mut sink.line, report, device, place);
        sink.flush(LINE_SIZE / 4);
        separator = ",\n";
    }
    put!(&mut sink.line, "],\n\"problems\":[");
    let mut separator = "\n";
    for problem in report.request.problems.iter() {
        put!(&mut sink.line, separator);
        self::problem(&mut sink.line, report, problem);
        sink.flush(LINE_SIZE / 4);
        separator = ",\n";
    }
    put!(&mut sink.line, "],\"more_problems\":", Decimal(report.request.problems.beyond), "}\n");
    sink.flush(0);
    sink.result
}

/// What is not a list.
fn head(line: &mut Line, report: &Report) {
    let switches = report.request.switches;
    members(
        line,
        "schema dom0 strict off stage config_digest",
        &[&Decimal(1), &Truth(report.is_dom0), &Truth(switches.strict), &Truth(switches.off), &Quoted(&report.stage.word()), &Quoted(&report.request.digest)],
    );
}

fn device(line: &mut Line, report: &Report, device: &Device, place: Option<Place>) {
    let identity = device.identity.unwrap_or_default();
    let id = |value: u32, digits| Maybe(device.identity.map(|_| Hex(value, digits)));
    object(
        line,
        "address path vendor device subvendor subdevice class driver origin outcome latest selector source warnings",
        &[
            &Quoted(&device.address),
            &Maybe(place),
            &id(identity.vendor.into(), 4),
            &id(identity.device.into(), 4),
            &id(identity.subvendor.into(), 4),
            &id(identity.subdevice.into(), 4),
            &id(identity.class, 6),
            &driver(&device.driver),
            &driver(&device.origin),
            &Quoted(&device.first_outcome.unwrap_or(device.outcome)),
            &Quoted(&device.outcome),
            &Quoted(&device.address),
            &Quoted(&Shown(report.request.source(device.asked.source))),
            &List(device.failure),
        ],
    );
}

fn problem(line: &mut Line, report: &Report, problem: &Problem) {
    let origin = problem.origin;
    object(
        line,
        "source line column text message",
        &[&Quoted(&Shown(report.request.source(origin.source))), &Decimal(origin.line), &Decimal(origin.column), &Quoted(&problem.text), &Quoted(&problem.fault)],
    );
}

/// A driver's name.
fn driver(name: &DriverName) -> Maybe<Shown<'_>> {
    Maybe((!name.is_empty()).then_some(Shown(name)))
}

/// Adds an object: its keys, with blanks between them, and their values.
fn object(line: &mut Line, keys: &str, values: &[&dyn Show]) {
    put!(line, "{");
    members(line, keys, values);
    put!(line, "}");
}

/// Adds the inside of an object.
fn members(line: &mut Line, keys: &str, values: &[&dyn Show]) {
    let mut separator = "\"";
    for (key, value) in words(keys).zip(values) {
        put!(line, separator);
        line.push(key);
        put!(line, "\":", value);
        separator = ",\"";
    }
}

/// A JSON truth value.
struct Truth(bool);

impl Show for Truth {
    fn show(&self, line: &mut Line) {
        put!(line, if self.0 { "true" } else { "false" });
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

/// A JSON list of one string or none.
struct List<T>(Option<T>);

impl<T: Show> Show for List<T> {
    fn show(&self, line: &mut Line) {
        put!(line, "[");
        if let Some(value) = &self.0 {
            put!(line, Quoted(value));
        }
        put!(line, "]");
    }
}
