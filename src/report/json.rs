//! A plan or a report as JSON (RFC 8259), one device and one problem a line.

use heapless::Vec;

use super::{Report, row::explain};
use crate::{
    device::Device,
    host::{Errno, Host, Path},
    pci::{
        Place,
        bus::{self, DriverName},
    },
    put,
    request::Problem,
    text::{Decimal, Either, Hex, Line, Quoted, Show, Shown, behind, words},
};

/// Most bytes that wait to be written: some twenty entries. To write each by itself would take three system calls for it.
const WAITING_SIZE: usize = 8192;

/// Text on its way into a file or to the standard output, piece by piece.
struct Sink<'h, H> {
    host: &'h mut H,
    path: Option<Path<'h>>,
    line: Line,
    waiting: Vec<u8, WAITING_SIZE>,
    result: Result<(), Errno>,
}

impl<H: Host> Sink<'_, H> {
    /// Has the line wait with others: after every entry, since an empty line has room for any.
    #[inline(never)]
    fn flush(&mut self) {
        if self.waiting.extend_from_slice(self.line.bytes()).is_err() {
            self.write_out();
            let _ = self.waiting.extend_from_slice(self.line.bytes());
        }
        self.line.clear();
    }

    /// Writes out what is waiting.
    #[inline(never)]
    fn write_out(&mut self) {
        self.result = self.result.and_then(|()| match self.path {
            Some(path) => self.host.append(path, &self.waiting),
            None => self.host.print(&self.waiting),
        });
        self.waiting.clear();
    }
}

/// Appends the whole report to the file at `path`, or without one prints it.
///
/// # Errors
/// The first that was met.
pub fn write<H: Host>(host: &mut H, path: Option<Path>, report: &Report) -> Result<(), Errno> {
    let mut sink = Sink { host, path, line: Line::new(), waiting: Vec::new(), result: Ok(()) };
    let switches = report.request.switches;
    put!(&mut sink.line, "{\"schema\":1,\"dom0\":", Truth(report.is_dom0), ",\"strict\":", Truth(switches.strict), ",\"off\":", Truth(switches.off));
    if report.is_done {
        put!(&mut sink.line, ",\"stage\":", Quoted(Either(report.stage.word())), ",\"config_digest\":", Quoted(report.request.digest));
    }
    put!(&mut sink.line, ",\n\"devices\":[");
    let mut separator = "\n";
    for device in report.devices {
        put!(&mut sink.line, Either(separator));
        self::device(&mut sink, report, device);
        sink.flush();
        separator = ",\n";
    }
    put!(&mut sink.line, "],\n\"problems\":[");
    let mut separator = "\n";
    for problem in report.request.problems.iter() {
        put!(&mut sink.line, Either(separator));
        self::problem(&mut sink.line, report, problem);
        sink.flush();
        separator = ",\n";
    }
    put!(&mut sink.line, "],\"more_problems\":", Decimal(report.request.problems.beyond), "}\n");
    sink.flush();
    sink.write_out();
    sink.result
}

/// A device.
#[inline(never)]
fn device<H: Host>(sink: &mut Sink<H>, report: &Report, device: &Device) {
    let mut why = explain(sink.host, report, device);
    if device.is_pending && !report.pciback.is_ready() {
        put!(&mut why, "; ", report.pciback);
    }
    let Some(item) = device.item(report.request) else { return };
    let place = if device.is_there { bus::place(sink.host, device.address) } else { None };
    let way = place.as_ref().map(Place::way).or(item.selector.path());
    let line = &mut sink.line;
    put!(line, "{\"address\":", Maybe(device.known_address(report.request)), ",\"path\":", Maybe(way));
    let identity = device.identity.unwrap_or_default();
    let mut ids = identity.ids;
    for key in words("vendor device subvendor subdevice") {
        ids = ids.rotate_left(16);
        put!(line, ",\"", Shown(key), "\":", Maybe(device.identity.map(|_| Hex(ids as u32 & 0xffff, 4))));
    }
    put!(line, ",\"class\":", Maybe(device.identity.map(|_| Hex(identity.class, 6))), ",\"driver\":", driver(&device.driver));
    if report.is_done {
        put!(line, ",\"origin\":", driver(&device.origin));
        put!(line, ",\"outcome\":", Quoted(device.first_outcome.unwrap_or(device.outcome)), ",\"latest\":", Quoted(device.outcome));
    } else {
        put!(line, ",\"action\":", Quoted(device.action));
    }
    put!(line, ",\"selector\":", Quoted(item), ",\"source\":", Quoted(Shown(report.request.source(item.origin.source))), ",\"warnings\":[");
    // A line has room for one long name with all its escapes, not for two.
    sink.flush();
    let line = &mut sink.line;
    if let Some(why) = behind(b"; ", why.bytes()) {
        put!(line, Quoted(Shown(why)));
    }
    put!(line, "]}");
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
