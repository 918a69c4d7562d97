//! `pciseize list`: every function of the machine, and what dom0 uses it for.

use super::{Exit, Form, Memory};
use crate::{
    device::{Device, order},
    facts::{guests, usage::Uses},
    host::{Errno, Host, Terminal},
    plan::{self, Extent},
    put,
    report::{
        Kind, Report, json, list,
        log::tell_problems,
        sink::{Out, Sink},
    },
    request::Need,
    text::Line,
};

/// Prints the list.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], form: Form) -> Exit {
    let Memory {
        request,
        devices,
        usage,
        names,
        behind,
        ..
    } = memory;
    request.gather(host, embedded, None);
    usage.gather(host, Uses::NONE);
    plan::survey(host, request, usage, devices, Extent::Whole);
    plan::locate(host, devices, &|_| true);
    guests::look(host, devices);
    if form != Form::Boot {
        names.find(host, devices);
        order::find_twins(devices);
    }
    if form == Form::Json {
        behind.look(host, devices);
    }
    let told = request.problems.iter().len();
    plan::note_untraced(request, usage);
    let is_all_found = form != Form::Boot || usage.knows_what_boots();
    let report = memory.report(Kind::List, false);
    if form == Form::Boot {
        tell_problems(report.request, told, &mut |level, line| {
            host.say(level, line)
        });
    }
    let terminal = host.terminal();
    let out = &mut |bytes: &[u8]| host.print(bytes);
    let printed = match form {
        Form::Json => json::write(&report, out),
        Form::Boot => print_boot_items(&report, out),
        Form::Text | Form::Warnings => print_rows(&report, terminal, out),
    };
    Exit::of(printed.is_ok() && is_all_found)
}

/// Prints an item for each function that the host boots from, and for what dom0 needs.
fn print_boot_items(report: &Report, out: &mut Out) -> Result<(), Errno> {
    let usage = report.usage;
    for device in report.devices {
        let address = device.address();
        if usage.uses(address).meets(usage.to_boot()) {
            out(list::boot_item(report, device, None).bytes())?;
        }
        for need in Need::ALL {
            if usage.is_for_image(address, need.into()) {
                out(list::boot_item(report, device, Some(need)).bytes())?;
            }
        }
    }
    Ok(())
}

/// Most columns for the paths. A line whose path is longer does not line up.
const PATH_COLUMNS: usize = 40;

/// Prints a line for each function.
fn print_rows<'o>(report: &Report, terminal: Terminal, out: &'o mut Out<'o>) -> Result<(), Errno> {
    let is_there = |device: &&Device| device.function.is_there;
    let width = report
        .devices
        .iter()
        .filter(is_there)
        .map(columns)
        .max()
        .unwrap_or(0);
    let column = width.min(PATH_COLUMNS) + 2;
    let mut sink = Sink::new(out);
    for device in report.devices.iter().filter(is_there) {
        let colour = if terminal.has_colours {
            colour(report, device)
        } else {
            ""
        };
        put!(&mut sink.line, "{}", colour);
        sink.flush();
        list::add_row(report, device, column, terminal, &mut sink.line);
        put!(
            &mut sink.line,
            "{}",
            if terminal.has_colours { "\x1b[m" } else { "" }
        );
        sink.flush();
    }
    sink.end()
}

/// How many columns the name of a function takes.
fn columns(device: &Device) -> usize {
    let mut name = Line::new();
    list::add_selector(device, &mut name);
    name.bytes().len()
}

/// What begins the colour of a line: green for what pciback has, yellow for what dom0 uses, faint
/// for bridges.
fn colour(report: &Report, device: &Device) -> &'static str {
    if device.is_with_pciback() {
        "\x1b[32m"
    } else if !report.usage.uses(device.address()).is_empty() {
        "\x1b[33m"
    } else if device.is_bridge() {
        "\x1b[2m"
    } else {
        ""
    }
}
