//! `pciseize name-guests`: gives named devices their names in Xen.

use super::{Exit, Memory, forbidden, is_idle};
use crate::{
    facts::{dom0, usage::Uses},
    host::{Host, Level},
    naming::{Change, give_names},
    pci::Address,
    plan::{self, Extent},
    put,
    report::log::tell_problems,
    say,
    text::{Escaped, Line},
};

/// Gives the names, takes back those that nobody asks for any more, and prints a line for each.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8]) -> Exit {
    let Memory {
        request,
        devices,
        usage,
        ..
    } = memory;
    let is_dom0 = dom0::is_here(host);
    request.gather(host, embedded, None);
    if is_idle(host, is_dom0, request) {
        return Exit::AsAsked;
    }
    usage.gather(host, forbidden(request, Uses::TO_BOOT));
    plan::survey(host, request, usage, devices, Extent::Requested);
    tell_problems(request, 0, &mut |level, line| host.say(level, line));
    let mut is_as_asked = request.problems.is_empty();
    let given = give_names(
        host,
        request,
        devices,
        &mut |host, address, name, change| {
            let printed = host.print(row(address, name, change).bytes());
            is_as_asked &= printed.is_ok() && change.is_as_asked();
        },
    );
    // Where no name is asked for, xenstore may be missing.
    if let Err(errno) = given
        && devices.iter().any(|device| device.name.is_some())
    {
        say!(
            host,
            Level::Error,
            "xenstore does not tell its names: {}; no name is given; is xenstored running?",
            errno
        );
        is_as_asked = false;
    }
    Exit::of(is_as_asked)
}

/// What became of a name.
fn row(address: Address, name: &[u8], change: Change) -> Line {
    let mut line = Line::new();
    let name = Escaped(name);
    put!(&mut line, "{}  ", address);
    match change {
        Change::Given => put!(&mut line, "named {}", name),
        Change::Had => put!(&mut line, "named {} before", name),
        Change::NotSeized => put!(
            &mut line,
            "not named {}: pciback has not got it; see pciseize status",
            name
        ),
        Change::Moved => put!(
            &mut line,
            "no longer named {}: another device is to have that name",
            name
        ),
        Change::TakenBack => put!(
            &mut line,
            "no longer named {}: nobody asks for that name",
            name
        ),
        Change::Failed(errno) => put!(
            &mut line,
            "the name {} cannot be changed: xenstore says {}",
            name,
            errno
        ),
    }
    put!(&mut line, "\n");
    line
}
