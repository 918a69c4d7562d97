//! `pciseize list`: every function of the machine, and who needs it.

use super::{Exit, Form, Memory, survey};
use crate::{
    device::Device,
    guests,
    host::{Errno, Host},
    names,
    needs::TO_BOOT,
    put,
    report::{self, Kind, Report, list, sink::Sink},
    seize::is_pciback,
    text::{Either, Line},
};

/// Prints the list.
#[inline(never)]
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], form: Form) -> Exit {
    let Memory { request, devices, needs, names } = memory;
    request.gather(host, embedded, None);
    needs.gather(host, 0, false);
    survey(host, request, needs, devices, true);
    guests::look(host, devices);
    if form != Form::Boot {
        names::find(host, devices, names);
    }
    let report = Report { names, ..Report::new(Kind::List, request, devices, needs, false) };
    let printed = match form {
        Form::Json => report::json::write(host, None, &report),
        Form::Boot => devices.iter().try_for_each(|device| {
            if needs.uses(device.address) & TO_BOOT == 0 {
                return Ok(());
            }
            let line = list::item(host, &report, device);
            host.print(line.bytes())
        }),
        _ => lines(host, &report),
    };
    Exit::of(printed.is_ok())
}

/// Most columns for the paths. A line whose path is longer does not line up.
const WIDEST: usize = 40;

/// Prints a line for each function.
fn lines<H: Host>(host: &mut H, report: &Report) -> Result<(), Errno> {
    let mut width = 0;
    for device in report.devices.iter().filter(|device| device.is_there) {
        let mut path = Line::new();
        list::path(host, device, &mut path);
        width = width.max(path.bytes().len());
    }
    let terminal = host.terminal();
    let mut sink = Sink::new(host, None);
    for device in report.devices.iter().filter(|device| device.is_there) {
        let [before, after] = if terminal.has_colours { [colour(report, device), "\x1b[m"] } else { [""; 2] };
        put!(&mut sink.line, Either(before));
        sink.flush();
        list::row(sink.host, report, device, width.min(WIDEST) + 2, terminal, &mut sink.line);
        put!(&mut sink.line, Either(after));
        sink.flush();
    }
    sink.end()
}

/// What begins the colour of a line: green for what pciback has, yellow for what dom0 needs, faint for bridges.
fn colour(report: &Report, device: &Device) -> &'static str {
    if is_pciback(&device.driver) {
        "\x1b[32m"
    } else if report.needs.uses(device.address) != 0 {
        "\x1b[33m"
    } else if device.is_bridge() {
        "\x1b[2m"
    } else {
        ""
    }
}
