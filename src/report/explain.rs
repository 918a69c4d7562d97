//! Why a device is not as asked, and what to know before it is taken: pieces of a sentence, each
//! with `; ` in front.

use super::{Kind, Report};
use crate::{
    device::{Action, Device, Guest, Outcome},
    pci::Address,
    plan::warnings::{self, Others},
    put,
    request::problem::At,
    text::{Escaped, Line},
};

/// Adds all that is to be said of a device.
pub fn explain(report: &Report, device: &Device, line: &mut Line) {
    if report.has_outcomes() {
        add_outcome(device, line);
    }
    add_action(report, device, line);
    match device.state.guest {
        Guest::None => {}
        Guest::Domain(domain) => put!(line, "; guest {} has it", domain),
        Guest::Unknown(errno) => {
            put!(
                line,
                "; xenstore does not say which guest has it: {}",
                errno
            );
        }
    }
    if device.action == Action::RefuseInUse {
        add_uses(report, device.address(), "; it ", line);
    }
    if report.kind == Kind::Plan && device.action == Action::Seize {
        add_warnings(report, device, line);
    }
    if report.kind == Kind::Status
        && let Some(first) = device
            .first_outcome()
            .filter(|first| *first != device.outcome)
    {
        put!(line, "; at boot: {}", first);
    }
    if device.action == Action::RefuseBridge {
        add_behind(report, device.address(), line);
    }
    if let Some(failure) = device.work.failure {
        put!(line, "; {}", failure);
    }
}

/// Adds what an outcome means that is not as asked.
fn add_outcome(device: &Device, line: &mut Line) {
    match device.outcome {
        Outcome::Held => put!(
            line,
            "; no driver can take it, but pciback does not have it"
        ),
        Outcome::Unready => {
            put!(
                line,
                "; pciback has it, but is not known to have initialised it"
            );
        }
        Outcome::Exposed => put!(line, "; nothing keeps a driver from taking it"),
        Outcome::Lost if device.state.driver.is_empty() => {
            put!(line, "; its driver is not known");
        }
        Outcome::Lost => put!(line, "; driver {} has it", Escaped(&device.state.driver)),
        Outcome::Seized
        | Outcome::Absent
        | Outcome::Mismatch
        | Outcome::Refused
        | Outcome::Kept
        | Outcome::Assigned => {}
    }
}

/// Adds why a device is left alone.
fn add_action(report: &Report, device: &Device, line: &mut Line) {
    let item = |item| report.request.items.get(usize::from(item));
    match device.action {
        Action::Seize | Action::Unasked => {}
        Action::Keep(keep) => {
            if let Some(keep) = item(keep) {
                put!(
                    line,
                    "; kept by {} at {}",
                    keep,
                    At(report.request, keep.origin)
                );
            }
        }
        Action::RefuseBridge => put!(line, "; it is a bridge, and bridges stay with dom0"),
        Action::RefuseDomain => put!(
            line,
            "; its domain is above ffff, which Xen cannot name \
             (behind Intel VMD: switch VMD off in the firmware)"
        ),
        Action::RefuseBoot => {
            put!(line, "; this host boots from it; pciseize.force takes it");
        }
        Action::RefuseInUse => put!(
            line,
            "; dom0 uses it; --force (in a boot pciseize.force) takes it"
        ),
        Action::Mismatch => {
            if let Some(expected) = device.item(report.request) {
                put!(line, "; this is not {}", expected);
            }
        }
        // The failure says why it was not found.
        Action::Absent if device.work.failure.is_some() => {}
        Action::Absent => put!(line, "; no such device"),
        Action::Expect => put!(
            line,
            "; no such device; pciback takes whatever appears there, a bridge with all behind it"
        ),
        Action::Leave => {
            put!(
                line,
                "; left alone: an item that cannot be read may be what keeps it"
            );
        }
    }
}

/// Adds what a function is used for, with `before` in front of each use.
pub fn add_uses(report: &Report, address: Address, before: &str, line: &mut Line) {
    for one in report.usage.uses(address).iter() {
        put!(line, "{}{}", before, one.text());
        if one.has_name()
            && let Some(name) = report.usage.name(address)
        {
            put!(line, "{}", name);
        }
    }
}

/// Adds what a plan warns of.
fn add_warnings(report: &Report, device: &Device, line: &mut Line) {
    add_uses(report, device.address(), "; it ", line);
    let Some(warnings) = warnings::of(report.warnings, device.address()) else {
        return;
    };
    if warnings.virtual_functions > 0 {
        let count = warnings.virtual_functions;
        put!(
            line,
            "; its virtual functions ({}) end with its driver",
            count
        );
    }
    add_others(&warnings.of_card, "; dom0 keeps others of its card:", line);
    add_others(
        &warnings.behind_bridge,
        "; dom0 keeps others behind its PCI bridge:",
        line,
    );
}

fn add_others(others: &Others, before: &str, line: &mut Line) {
    let mut before = before;
    for address in &others.first {
        put!(line, "{} {}", before, address);
        before = "";
    }
    if others.has_more {
        put!(line, " ...");
    }
}

/// Adds what is behind a bridge.
fn add_behind(report: &Report, bridge: Address, line: &mut Line) {
    let mut before = "; behind it: ";
    for function in report.behind.of(bridge) {
        match function {
            Some(address) => put!(line, "{}{}", before, address),
            None => put!(line, " ..."),
        }
        before = " ";
    }
}
