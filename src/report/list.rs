//! A function in a line of `list`: its path, which may be pasted into the configuration, and behind that what it is and who needs it, as a comment.

use super::{
    Report,
    row::{pad, wrap},
};
use crate::{
    device::Device,
    guests::Guest,
    host::{Host, Terminal},
    names,
    pci::bus,
    plan::Action,
    put,
    request::class,
    seize::is_pciback,
    text::{Decimal, Either, Line, Show, Shown, behind, split},
};

/// Adds what is to be known of a function beyond what it is, each with `; ` in front.
pub fn marks(report: &Report, device: &Device, line: &mut Line) {
    if device.is_bridge() {
        put!(line, "; bridge");
    }
    report.needs.show(device.address, report.needs.uses(device.address), "; ", line);
    match device.guest {
        Guest::Domain(domain) => put!(line, "; with guest ", Decimal(domain)),
        _ if is_pciback(&device.driver) => put!(line, "; with pciback"),
        _ => {}
    }
    if matches!(device.action, Action::Keep(_)) {
        put!(line, "; kept");
    }
}

/// Adds the path of a function, as far as it can be told.
#[inline(never)]
pub fn path<H: Host>(host: &mut H, device: &Device, line: &mut Line) {
    match bus::place(host, device.address) {
        Some(place) => place.way().show(line),
        None => put!(line, device.address),
    }
}

/// Adds the line, with its end, to an empty one. `column`: where the comment begins. On a terminal it goes on in the next line where it is too long.
pub fn row<H: Host>(host: &mut H, report: &Report, device: &Device, column: usize, terminal: Terminal, line: &mut Line) {
    let is_never_taken = device.is_bridge() || !device.address.is_known_to_xen();
    put!(line, Either(if is_never_taken { "#" } else { "" }));
    path(host, device, line);
    pad(line, column);
    put!(line, "# ", device.address, " ");
    if let Some(identity) = device.identity {
        put!(line, identity.model());
        pad(line, column + 25);
        match class::name(identity.class) {
            Some(name) => put!(line, Shown(name)),
            None => put!(line, identity.class()),
        }
    }
    pad(line, column + 35);
    put!(line, Shown(if device.driver.is_empty() { b"-" } else { &device.driver }));
    let mut rest = Line::new();
    names::show(report.names, device, &mut rest);
    marks(report, device, &mut rest);
    // Without a name the first mark needs nothing in front.
    let rest = behind(b"; ", rest.bytes()).unwrap_or(rest.bytes());
    if !rest.is_empty() {
        pad(line, column + 45);
        split(rest, b' ').for_each(|word| wrap(line, word, terminal.columns.into()));
    }
    put!(line, "\n");
}

/// The way of a function and the marks of it, as an item that keeps it: for the image.
pub fn item<H: Host>(host: &mut H, report: &Report, device: &Device) -> Line {
    let mut line = Line::new();
    put!(&mut line, device.identity.unwrap_or_default().model(), "@");
    path(host, device, &mut line);
    put!(&mut line, " #");
    report.needs.show(device.address, report.needs.uses(device.address), " ", &mut line);
    put!(&mut line, "\n");
    line
}
