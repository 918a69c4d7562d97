//! What people read: a line for every problem and every device, and one that counts.

use ufmt::{uDisplay, uWrite, uwrite};

use super::Report;
use crate::{
    host::{Host, Level},
    request::{Origin, Problem, Request},
    say,
    seize::{Device, Outcome, module::Missing},
    text::{Decimal, Hex, Shown},
};

/// A place in a source: `/etc/xen/pciback.conf:7:1`.
pub struct At<'r>(pub &'r Request, pub Origin);

impl uDisplay for At<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        let At(request, origin) = self;
        uwrite!(f, "{}", Shown(request.source(origin.source)))?;
        for number in [origin.line, origin.column] {
            if number != 0 {
                uwrite!(f, ":{}", Decimal(number))?;
            }
        }
        Ok(())
    }
}

/// A problem, whole: `/etc/xen/pciback.conf:7:1: "0000:82.0.0": the device is greater than 1f; …`.
pub struct Told<'r>(pub &'r Request, pub &'r Problem);

impl uDisplay for Told<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        let Told(request, problem) = self;
        uwrite!(f, "{}: ", At(request, problem.origin))?;
        if !problem.text.is_empty() {
            uwrite!(f, "\"{}\": ", problem.text)?;
        }
        uwrite!(f, "{}", problem.fault)
    }
}

/// Tells every problem of the request. Done before the first device is touched, so that the log has it whatever comes.
pub fn problems<H: Host>(host: &mut H, request: &Request) {
    for problem in request.problems.iter() {
        say!(host, Level::Error, "{}", Told(request, problem));
    }
    if request.problems.beyond > 0 {
        say!(host, Level::Error, "and {} more problems", Decimal(request.problems.beyond));
    }
}

/// Tells what became of every device, then how many are as asked.
pub fn devices<H: Host>(host: &mut H, report: &Report, pciback: Result<(), Missing>) {
    if let Err(missing) = pciback {
        say!(host, Level::Error, "{}", missing);
    }
    for device in report.devices {
        let level = if device.outcome.is_as_asked() { Level::Info } else { Level::Error };
        say!(host, level, "{}", Line(report.request, device));
    }
    let (asked, seized) = (report.devices.len() as u32, report.count(Outcome::Seized) as u32);
    let bad = report.request.problems.count();
    let level = if report.is_as_asked() { Level::Info } else { Level::Error };
    match (asked, bad) {
        (0, 0) => say!(host, level, "no device is asked for"),
        (_, 0) => say!(host, level, "{} of {} devices seized", Decimal(seized), Decimal(asked)),
        (_, 1) => say!(host, level, "{} of {} devices seized; 1 problem in what is asked for", Decimal(seized), Decimal(asked)),
        _ => say!(host, level, "{} of {} devices seized; {} problems in what is asked for", Decimal(seized), Decimal(asked), Decimal(bad)),
    }
}

/// One device: `0000:03:00.0 seized (10de:1b80, taken from nouveau)`, or what it is instead, why, and who asked for it.
struct Line<'r>(&'r Request, &'r Device);

impl uDisplay for Line<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        let Line(request, device) = self;
        uwrite!(f, "{} {}", device.address, device.outcome)?;
        if let Some(identity) = device.identity {
            uwrite!(f, " ({}:{}", Hex(identity.vendor.into(), 4), Hex(identity.device.into(), 4))?;
            if let Some(origin) = &device.origin {
                uwrite!(f, ", taken from {}", Shown(origin))?;
            }
            f.write_str(")")?;
        }
        match device.outcome {
            Outcome::Seized => {}
            Outcome::Held => f.write_str(": no driver has it and none can take it, but pciback has not got it")?,
            Outcome::Unready => f.write_str(": pciback has it, but is not known to have initialised it")?,
            Outcome::Exposed => f.write_str(": no driver has it, and nothing keeps one from taking it")?,
            Outcome::Lost => match &device.driver {
                Some(driver) => uwrite!(f, ": the driver {} has it", Shown(driver))?,
                None => f.write_str(": which driver has it cannot be told")?,
            },
            Outcome::Absent => f.write_str(": there is no such device")?,
            Outcome::Refused => {}
        }
        if let Some(refusal) = device.refusal {
            uwrite!(f, ": {}", refusal)?;
        }
        if let Some(failure) = device.failure {
            uwrite!(f, "; {}", failure)?;
        }
        if !device.outcome.is_as_asked() {
            uwrite!(f, "; asked for at {}", At(request, device.asked))?;
        }
        Ok(())
    }
}
