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
    text::{Decimal, Hex, Line, Quoted, Show, Shown, words},
};

/// Text on its way into a file, piece by piece.
struct Sink<'h, H> {
    host: &'h mut H,
    path: Path<'h>,
    line: Line,
    result: Result<(), Errno>,
}

impl<H: Host> Sink<'_, H> {
    /// Writes out what is waiting: after every entry, since an empty line has room for any.
    fn flush(&mut self) {
        self.result = self.result.and_then(|()| self.host.append(self.path, self.line.bytes()));
        self.line.clear();
    }
}

/// Appends the whole report to the file at `path`.
///
/// # Errors
/// The first that the file met.
pub fn write<H: Host>(host: &mut H, path: Path, report: &Report) -> Result<(), Errno> {
    let mut sink = Sink { host, path, line: Line::new(), result: Ok(()) };
    let switches = report.request.switches;
    put!(&mut sink.line, "{\"schema\":1,\"dom0\":", Truth(report.is_dom0), ",\"strict\":", Truth(switches.strict), ",\"off\":", Truth(switches.off));
    put!(&mut sink.line, ",\"stage\":", Quoted(report.stage.word()), ",\"config_digest\":", Quoted(report.request.digest), ",\n\"devices\":[");
    let mut separator = "\n";
    for device in report.devices {
        let place = if device.is_there { bus::place(sink.host, device.address) } else { None };
        put!(&mut sink.line, separator);
        self::device(&mut sink.line, report, device, place.as_ref());
        sink.flush();
        separator = ",\n";
    }
    put!(&mut sink.line, "],\n\"problems\":[");
    let mut separator = "\n";
    for problem in report.request.problems.iter() {
        put!(&mut sink.line, separator);
        self::problem(&mut sink.line, report, problem);
        sink.flush();
        separator = ",\n";
    }
    put!(&mut sink.line, "],\"more_problems\":", Decimal(report.request.problems.beyond), "}\n");
    sink.flush();
    sink.result
}

/// A device.
fn device(line: &mut Line, report: &Report, device: &Device, place: Option<&Place>) {
    let identity = device.identity.unwrap_or_default();
    put!(line, "{\"address\":", Quoted(device.address), ",\"path\":", Maybe(place));
    let ids = [(identity.vendor.into(), 4), (identity.device.into(), 4), (identity.subvendor.into(), 4), (identity.subdevice.into(), 4), (identity.class, 6)];
    for (key, &(id, digits)) in words("vendor device subvendor subdevice class").zip(&ids) {
        put!(line, ",\"", Shown(key), "\":", Maybe(device.identity.map(|_| Hex(id, digits))));
    }
    put!(line, ",\"driver\":", driver(&device.driver), ",\"origin\":", driver(&device.origin));
    put!(line, ",\"outcome\":", Quoted(device.first_outcome.unwrap_or(device.outcome)), ",\"latest\":", Quoted(device.outcome));
    put!(line, ",\"selector\":", Quoted(device.address), ",\"source\":", Quoted(Shown(report.request.source(device.asked.source))));
    put!(line, ",\"warnings\":[");
    let mut separator = "";
    if let Some(failure) = device.failure {
        put!(line, Quoted(failure));
        separator = ",";
    }
    if let (Err(missing), true) = (report.pciback, device.is_pending) {
        put!(line, separator, Quoted(missing));
    }
    put!(line, "]}");
}

/// A problem.
fn problem(line: &mut Line, report: &Report, problem: &Problem) {
    let origin = problem.origin;
    put!(line, "{\"source\":", Quoted(Shown(report.request.source(origin.source))), ",\"line\":", Decimal(origin.line), ",\"column\":", Decimal(origin.column));
    put!(line, ",\"text\":", Quoted(&problem.text), ",\"message\":", Quoted(problem.fault), "}");
}

/// A driver's name.
fn driver(name: &DriverName) -> Maybe<Shown<'_>> {
    Maybe((!name.is_empty()).then_some(Shown(name)))
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
