//! `pciseize name-guests`: gives named devices their names in Xen.

use super::{Exit, Memory, is_idle};
use crate::{
    facts::{
        dom0::{self, Nameless},
        usage::Uses,
    },
    host::{Errno, Host, Level},
    naming::{Change, Known, Stopped, give_names},
    pci::Address,
    plan::Extent,
    put,
    report::log::tell_problems,
    request::Request,
    say,
    text::{Escaped, Line},
};

/// Gives the names, takes back those that nobody asks for any more, and prints a line for each.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8]) -> Exit {
    let is_dom0 = dom0::is_here(host);
    memory.request.gather(host, embedded, None);
    if is_idle(host, is_dom0, &memory.request) {
        return Exit::AsAsked;
    }
    // Any line that was not understood may be one with a name. What is not there, or has two names,
    // was understood.
    let known = if memory.request.problems.is_empty() {
        Known::All
    } else {
        Known::Part
    };
    let walked = memory.decide(host, (Uses::TO_BOOT, Extent::Requested));
    let Memory {
        request, devices, ..
    } = memory;
    tell_problems(request, 0, &mut |level, line| host.say(level, line));
    if tell_obstacle(host, request, walked) {
        return Exit::of(false);
    }
    let mut is_as_asked = request.problems.is_empty();
    let given = give_names(
        host,
        request,
        devices,
        known,
        &mut |host, address, name, change| {
            let printed = host.print(row(address, name, change).bytes());
            is_as_asked &= printed.is_ok() && change.is_as_asked();
        },
    );
    // Where no name is asked for, xenstore may be missing.
    let is_needed =
        |stopped: &Stopped| !request.names.is_empty() || !matches!(stopped, Stopped::Unlisted(_));
    if let Some(stopped) = given.err().filter(is_needed) {
        host.say(Level::Error, &why(stopped));
        is_as_asked = false;
    }
    Exit::of(is_as_asked)
}

/// Says why names cannot be given at all, if so.
fn tell_obstacle<H: Host>(host: &mut H, request: &Request, walked: Result<(), Errno>) -> bool {
    if let Err(errno) = walked {
        say!(
            host,
            Level::Error,
            "/sys/bus/pci/devices cannot be listed: {}; no name is given or taken back",
            errno
        );
        return true;
    }
    if request.names.is_empty() {
        return false;
    }
    let nameless = Nameless::look(host);
    if let Some(xen) = nameless {
        say!(host, Level::Error, "{}; no name is given", xen);
    }
    nameless.is_some()
}

/// Why no more names were changed.
fn why(stopped: Stopped) -> Line {
    let mut line = Line::new();
    let errno = match stopped {
        Stopped::Unlisted(errno) => {
            put!(
                &mut line,
                "xenstore does not tell its names: {}; no name is given",
                errno
            );
            errno
        }
        Stopped::Unread(address, errno) => {
            put!(
                &mut line,
                "{}: xenstore does not tell its name: {}",
                address,
                errno
            );
            put!(&mut line, "; no name is given or taken back");
            errno
        }
        Stopped::Silent(address, errno) => {
            put!(
                &mut line,
                "{}: xenstore does not answer: {}",
                address,
                errno
            );
            put!(&mut line, "; no more names are changed");
            errno
        }
    };
    put!(&mut line, "{}", hint(errno));
    line
}

/// What to look for.
const fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::E2BIG | Errno::ENAMETOOLONG => "; it knows too many devices",
        // It has answered.
        Errno::EIO | Errno::EACCES | Errno::EPERM | Errno::EISDIR => "",
        _ => "; is xenstored running?",
    }
}

/// What became of a name.
fn row(address: Address, name: &[u8], change: Change) -> Line {
    let mut line = Line::new();
    let (before, behind) = words(change);
    put!(
        &mut line,
        "{}  {}{}{}",
        address,
        before,
        Escaped(name),
        behind
    );
    if let Change::Failed(errno) = change {
        put!(&mut line, "{}", errno);
    }
    put!(&mut line, "\n");
    line
}

/// What stands before the name and behind it.
const fn words(change: Change) -> (&'static str, &'static str) {
    match change {
        Change::Given => ("named ", ""),
        Change::Had => ("named ", " before"),
        Change::NotSeized => (
            "not named ",
            ": pciback has not got it; see pciseize status",
        ),
        Change::Moved => ("no longer named ", ": another device is to have that name"),
        Change::Replaced => ("no longer named ", ": it is to have another name"),
        Change::TakenBack => ("no longer named ", ": nobody asks for that name"),
        Change::StillAsked => (
            "still named ",
            ": an item has that name, but no device gets it now; see pciseize plan",
        ),
        Change::Unsure => (
            "still named ",
            ": what could not be read may ask for that name; see pciseize check",
        ),
        Change::DriverUnread => (
            "the name ",
            " is left as it is: the driver of the device cannot be read",
        ),
        Change::Held => ("not named ", ": another device still has that name"),
        Change::Failed(_) => ("the name ", " cannot be changed: xenstore says "),
    }
}
