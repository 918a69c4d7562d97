//! The report as JSON (RFC 8259), one device and one problem a line.

use ufmt::{uDisplay, uWrite, uwrite};

use super::Report;
use crate::{
    host::{Errno, Host, Path},
    line,
    pci::bus,
    request::Problem,
    seize::Device,
    text::Line,
};

/// A JSON string, quotes included. Bytes that are not UTF-8 become `\xNN`, spelled out.
struct Quoted<'t>(&'t [u8]);

impl uDisplay for Quoted<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '"' => f.write_str("\\\"")?,
                    '\\' => f.write_str("\\\\")?,
                    character if character < ' ' => uwrite!(f, "\\u{:04x}", character as u32)?,
                    character => f.write_char(character)?,
                }
            }
            for byte in chunk.invalid() {
                uwrite!(f, "\\\\x{:02x}", *byte)?;
            }
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

/// A number as the contract writes ids: hexadecimal digits of a fixed width.
struct Id(u32, usize);

impl uDisplay for Id {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        match self.1 {
            4 => uwrite!(f, "{:04x}", self.0),
            _ => uwrite!(f, "{:06x}", self.0),
        }
    }
}

/// Text on its way into a file, piece by piece.
pub struct Sink<'h, H> {
    host: &'h mut H,
    path: &'h Path,
    waiting: heapless::Vec<u8, 1024>,
    result: Result<(), Errno>,
}

impl<'h, H: Host> Sink<'h, H> {
    /// Appends to the file at `path`.
    pub fn new(host: &'h mut H, path: &'h Path) -> Sink<'h, H> {
        Sink { host, path, waiting: heapless::Vec::new(), result: Ok(()) }
    }

    /// Writes out what is waiting.
    ///
    /// # Errors
    /// The first that any piece met.
    pub fn finish(mut self) -> Result<(), Errno> {
        self.flush();
        self.result
    }

    /// Adds a piece.
    fn add(&mut self, piece: Line) {
        if self.waiting.extend_from_slice(piece.bytes()).is_err() {
            self.flush();
            // A line fits.
            let _ = self.waiting.extend_from_slice(piece.bytes());
        }
    }

    fn flush(&mut self) {
        if self.result.is_ok() && !self.waiting.is_empty() {
            self.result = self.host.append(self.path, &self.waiting);
        }
        self.waiting.clear();
    }
}

/// Writes the whole report.
pub fn write<H: Host>(sink: &mut Sink<'_, H>, report: &Report) {
    let switches = report.request.switches;
    sink.add(line!("{{\"schema\":1,\"dom0\":{},\"strict\":{},\"off\":{},", report.is_dom0, switches.strict, switches.off));
    sink.add(line!("\"stage\":\"{}\",\"config_digest\":\"{}\",\n\"devices\":[", report.stage.word(), report.request.digest));
    let mut separator = "\n";
    for device in report.devices {
        sink.add(line!("{}", separator));
        self::device(sink, report, device);
        separator = ",\n";
    }
    sink.add(line!("],\n\"problems\":["));
    let mut separator = "\n";
    for problem in report.request.problems.iter() {
        sink.add(line!("{}", separator));
        self::problem(sink, report, problem);
        separator = ",\n";
    }
    sink.add(line!("],\"more_problems\":{}}}\n", report.request.problems.beyond));
}

fn device<H: Host>(sink: &mut Sink<'_, H>, report: &Report, device: &Device) {
    let place = if device.is_there { bus::place(sink.host, device.address) } else { None };
    let id = |pick: fn(crate::pci::Identity) -> Id| Maybe(device.identity.map(pick));
    sink.add(line!("{{\"address\":\"{}\",\"path\":{},", device.address, Maybe(place)));
    sink.add(line!("\"vendor\":{},\"device\":{},", id(|i| Id(i.vendor.into(), 4)), id(|i| Id(i.device.into(), 4))));
    sink.add(line!("\"subvendor\":{},\"subdevice\":{},", id(|i| Id(i.subvendor.into(), 4)), id(|i| Id(i.subdevice.into(), 4))));
    sink.add(line!("\"class\":{},", id(|i| Id(i.class, 6))));
    sink.add(line!("\"driver\":{},", Maybe(device.driver.as_ref().map(|name| crate::text::Shown(name)))));
    sink.add(line!("\"outcome\":\"{}\",\"latest\":\"{}\",", device.first_outcome.unwrap_or(device.outcome), device.outcome));
    sink.add(line!("\"origin\":{},", Maybe(device.origin.as_ref().map(|name| crate::text::Shown(name)))));
    sink.add(line!("\"selector\":\"{}\",\"source\":{},", device.address, Quoted(report.request.source(device.asked.source))));
    sink.add(line!("\"warnings\":["));
    if let Some(failure) = device.failure {
        sink.add(line!("{}", Maybe(Some(failure))));
    }
    sink.add(line!("]}}"));
}

fn problem<H: Host>(sink: &mut Sink<'_, H>, report: &Report, problem: &Problem) {
    let origin = problem.origin;
    sink.add(line!("{{\"source\":{},\"line\":{},\"column\":{},", Quoted(report.request.source(origin.source)), origin.line, origin.column));
    sink.add(line!("\"text\":{},\"message\":{}}}", Maybe(Some(&problem.text)), Maybe(Some(problem.fault))));
}
