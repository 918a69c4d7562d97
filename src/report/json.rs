//! The report as JSON (RFC 8259), one device and one problem a line.

use ufmt::{uDisplay, uWrite, uwrite};

use super::Report;
use crate::{
    host::{Errno, Host, Path},
    line,
    pci::bus,
    request::Problem,
    seize::Device,
    text::{Decimal, Hex, Line, first_character},
};

/// A JSON string, quotes included. Bytes that are not UTF-8 become `\xNN`, spelled out.
struct Quoted<'t>(&'t [u8]);

impl uDisplay for Quoted<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        f.write_str("\"")?;
        let mut rest = self.0;
        while let Some((character, after)) = first_character(rest) {
            match character {
                Ok(character @ ('"' | '\\')) => uwrite!(f, "\\{}", character)?,
                Ok(control) if control < ' ' => uwrite!(f, "\\u{}", Hex(control.into(), 4))?,
                Ok(character) => f.write_char(character)?,
                Err(byte) => uwrite!(f, "\\\\x{}", Hex(byte.into(), 2))?,
            }
            rest = after;
        }
        f.write_str("\"")
    }
}

/// A JSON string of whatever can be shown, or `null`.
struct Maybe<T>(Option<T>);

impl<T: uDisplay> uDisplay for Maybe<T> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        let Some(value) = &self.0 else { return f.write_str("null") };
        uwrite!(f, "{}", Quoted(line!("{}", value).bytes()))
    }
}

/// Text on its way into a file, piece by piece.
pub struct Sink<'h, H> {
    host: &'h mut H,
    path: Path<'h>,
    waiting: Line,
    result: Result<(), Errno>,
}

impl<'h, H: Host> Sink<'h, H> {
    /// Appends to the file at `path`.
    pub fn new(host: &'h mut H, path: Path<'h>) -> Sink<'h, H> {
        Sink { host, path, waiting: Line::default(), result: Ok(()) }
    }

    /// Writes out what is waiting.
    ///
    /// # Errors
    /// The first that any piece met.
    pub fn finish(mut self) -> Result<(), Errno> {
        self.flush();
        self.result
    }

    /// Writes out what is waiting, if a further piece might not fit.
    fn spill(&mut self) {
        if self.waiting.bytes().len() > 512 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.result.is_ok() && !self.waiting.bytes().is_empty() {
            self.result = self.host.append(self.path, self.waiting.bytes());
        }
        self.waiting.clear();
    }
}

/// Puts text into a [`Sink`]. A piece is always far shorter than a line.
macro_rules! put {
    ($sink:expr, $($format:tt)*) => {{
        let _ = uwrite!($sink.waiting, $($format)*);
        $sink.spill();
    }};
}

/// Writes the whole report.
pub fn write<H: Host>(sink: &mut Sink<'_, H>, report: &Report) {
    let switches = report.request.switches;
    put!(sink, "{{\"schema\":1,\"dom0\":{},\"strict\":{},\"off\":{},", report.is_dom0, switches.strict, switches.off);
    put!(sink, "\"stage\":\"{}\",\"config_digest\":\"{}\",\n\"devices\":[", report.stage.word(), report.request.digest);
    let mut separator = "\n";
    for device in report.devices {
        put!(sink, "{}", separator);
        self::device(sink, report, device);
        separator = ",\n";
    }
    put!(sink, "],\n\"problems\":[");
    let mut separator = "\n";
    for problem in report.request.problems.iter() {
        put!(sink, "{}", separator);
        self::problem(sink, report, problem);
        separator = ",\n";
    }
    put!(sink, "],\"more_problems\":{}}}\n", Decimal(report.request.problems.beyond));
}

fn device<H: Host>(sink: &mut Sink<'_, H>, report: &Report, device: &Device) {
    let place = if device.is_there { bus::place(sink.host, device.address) } else { None };
    let id = |pick: fn(crate::pci::Identity) -> Hex| Maybe(device.identity.map(pick));
    put!(sink, "{{\"address\":\"{}\",\"path\":{},", device.address, Maybe(place));
    put!(sink, "\"vendor\":{},\"device\":{},", id(|i| Hex(i.vendor.into(), 4)), id(|i| Hex(i.device.into(), 4)));
    put!(sink, "\"subvendor\":{},\"subdevice\":{},", id(|i| Hex(i.subvendor.into(), 4)), id(|i| Hex(i.subdevice.into(), 4)));
    put!(sink, "\"class\":{},", id(|i| Hex(i.class, 6)));
    put!(sink, "\"driver\":{},", Maybe(device.driver.as_ref().map(|name| crate::text::Shown(name))));
    put!(sink, "\"outcome\":\"{}\",\"latest\":\"{}\",", device.first_outcome.unwrap_or(device.outcome), device.outcome);
    put!(sink, "\"origin\":{},", Maybe(device.origin.as_ref().map(|name| crate::text::Shown(name))));
    put!(sink, "\"selector\":\"{}\",\"source\":{},", device.address, Quoted(report.request.source(device.asked.source)));
    put!(sink, "\"warnings\":[");
    if let Some(failure) = device.failure {
        put!(sink, "{}", Maybe(Some(failure)));
    }
    put!(sink, "]}}");
}

fn problem<H: Host>(sink: &mut Sink<'_, H>, report: &Report, problem: &Problem) {
    let origin = problem.origin;
    put!(sink, "{{\"source\":{},\"line\":{},\"column\":{},", Quoted(report.request.source(origin.source)), Decimal(origin.line), Decimal(origin.column));
    put!(sink, "\"text\":{},\"message\":{}}}", Maybe(Some(&problem.text)), Maybe(Some(problem.fault)));
}
