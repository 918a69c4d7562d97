//! Why a device is not as asked, and what to know before it is taken: pieces of a sentence, each
//! with `; ` in front.

use super::{Kind, Report, groups::add_reasons};
use crate::{
    device::{Action, Device, Guest, Outcome, Step},
    facts::usage::{Use, Uses},
    host::Errno,
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
    if report.is_followed_by_a_step() && device.action == Action::Seize {
        add_next_step(report, device, line);
    }
    add_action(report, device, line);
    if report.has_outcomes() && device.is_wrongly_with_pciback() {
        put!(line, "; pciback has it all the same");
        if device.state.guest == Guest::None {
            let address = device.address();
            put!(line, ": 'pciseize release {}' gives it back", address);
        }
    }
    add_guest(device.state.guest, line);
    if device.action == Action::RefuseInUse {
        add_uses_and_way_past(report, device.address(), line);
    }
    if report.kind == Kind::Plan && device.action == Action::Seize {
        add_losses(report, device, line);
        report.rivals.add_words(device, line);
        add_left(report, device, Reasons::Told, line);
        if let Some(warnings) = warnings::of(report.warnings, device.address()) {
            warnings.fitness.add_words(line);
            warnings.claims.add_words(device, line);
        }
    }
    if report.kind == Kind::Plan {
        report
            .rivals
            .add_words_of_kept(report.request, device, line);
    }
    if report.kind == Kind::Status {
        add_earlier(device, line);
    }
    if device.action == Action::RefuseBridge {
        add_behind(report, device.address(), line);
    }
    add_failure(device, line);
}

/// Adds all that is to be said of what is to be done with a device, but what has lines of its own
/// on a page: who keeps it and who claims it, why others have to go with it, what is in the way of
/// a guest.
pub(super) fn explain_action(report: &Report, device: &Device, line: &mut Line) {
    match device.action {
        Action::Keep(_) => {}
        Action::Seize => {
            add_losses(report, device, line);
            add_left(report, device, Reasons::Untold, line);
        }
        _ => add_action(report, device, line),
    }
    match device.action {
        Action::RefuseInUse => add_uses_and_way_past(report, device.address(), line),
        Action::RefuseBridge => add_behind(report, device.address(), line),
        _ => {}
    }
}

/// Adds all that is to be said of what became of a device, but what is to be done about that.
pub(super) fn explain_outcome(device: &Device, line: &mut Line) {
    add_outcome(device, line);
    if device.is_wrongly_with_pciback() {
        put!(line, "; pciback has it all the same");
    }
    add_guest(device.state.guest, line);
    add_earlier(device, line);
    add_failure(device, line);
}

/// Adds which guest has a device.
fn add_guest(guest: Guest, line: &mut Line) {
    match guest {
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
}

/// Adds what had become of it earlier in this boot, if that was something else.
fn add_earlier(device: &Device, line: &mut Line) {
    if let Some(first) = device
        .first_outcome()
        .filter(|first| *first != device.outcome)
    {
        put!(line, "; earlier: {}", first);
    }
}

/// Adds the first step that failed, and what helps.
fn add_failure(device: &Device, line: &mut Line) {
    let Some(failure) = device.failure() else {
        return;
    };
    put!(line, "; {}", failure);
    if let Some(text) = refusal_by_xen(device) {
        put!(line, "; {}", text);
    }
    if failure.step == Step::Hold {
        add_hold_failure(device, failure.errno, line);
    }
}

/// What it means that this Xen cannot reset a device, and what helps. On ARM no Xen that was tried
/// can.
const NO_RESET: &str = if cfg!(target_arch = "x86_64") {
    "this Xen cannot reset it for a dom0 that is not PV: boot without dom0=pvh, \
     or with Xen 4.20 or later"
} else {
    "this Xen cannot reset it for a dom0 that is not PV: boot an older Linux, as 6.1"
};

/// What it means that Xen does not let pciback have a device, and what helps: no further try.
///
/// Where dom0 is not PV, a newer pciback has Xen reset the device (`pci_stub.c`,
/// `pcistub_reset_device_state`), by a call that not every Xen has (`PHYSDEVOP_pci_device_reset`).
/// A Xen that has it looks for the MSI-X table of the device then (`xen/drivers/vpci/msix.c`,
/// `vpci_make_msix_hole`).
pub(super) fn refusal_by_xen(device: &Device) -> Option<&'static str> {
    let failure = device.failure().filter(|_| device.outcome.is_missed())?;
    match (failure.step, failure.errno) {
        (Step::Bind, Errno::ENOSYS) => Some(NO_RESET),
        (Step::Bind, Errno::EEXIST) => Some(
            "Xen finds memory of dom0 where its MSI-X table should be, as its reset has emptied \
             its BARs: boot without dom0=pvh",
        ),
        _ => None,
    }
}

/// Adds what follows from a hold that could not be written.
fn add_hold_failure(device: &Device, errno: Errno, line: &mut Line) {
    if errno == Errno::ENOENT && matches!(device.outcome, Outcome::Lost | Outcome::Exposed) {
        put!(
            line,
            "; this kernel has no driver_override: Linux 3.16 or newer is needed"
        );
    }
    // Of an earlier run nobody knows whether it had a driver then.
    let is_of_this_run = device.work.failure.is_some();
    if device.outcome == Outcome::Lost && !device.work.is_due && is_of_this_run {
        put!(line, "; so its driver keeps it");
    }
}

/// Adds the explanation of an outcome that was not requested.
fn add_outcome(device: &Device, line: &mut Line) {
    let text = match device.outcome {
        Outcome::Held => "no driver can take it, but pciback does not have it",
        Outcome::Unready => "pciback has it, but is not known to have initialised it",
        Outcome::Exposed => "nothing keeps a driver from taking it",
        Outcome::Lost if device.state.driver.is_empty() => "its driver is not known",
        Outcome::Refused if device.is_refused_by_run() => "'pciseize seize' refused it",
        Outcome::Pending if device.state.driver.is_empty() => "it has no driver",
        Outcome::Lost | Outcome::Pending => {
            return put!(line, "; driver {} has it", Escaped(&device.state.driver));
        }
        Outcome::Seized
        | Outcome::Absent
        | Outcome::Mismatch
        | Outcome::Refused
        | Outcome::Kept
        | Outcome::Assigned => return,
    };
    put!(line, "; {}", text);
}

/// Adds what to do about an outcome that is not as asked.
fn add_next_step(report: &Report, device: &Device, line: &mut Line) {
    let is_used = !report.usage.uses(device.address()).is_empty();
    let text = match device.outcome {
        Outcome::Seized | Outcome::Assigned | Outcome::Kept => return,
        _ if report.request.switches.off => "switched off: it is left alone",
        _ if !report.is_dom0 => "boot this host as the dom0 of Xen",
        Outcome::Held if refusal_by_xen(device).is_some() => return,
        Outcome::Held => "to mend it: 'modprobe xen-pciback && pciseize seize'",
        Outcome::Exposed | Outcome::Lost | Outcome::Pending if is_used => {
            return add_uses_and_way_past(report, device.address(), line);
        }
        Outcome::Exposed | Outcome::Lost => "to take it: 'pciseize seize'",
        Outcome::Pending => "to take it: make the images anew and reboot, or now: 'pciseize seize'",
        Outcome::Unready => "to try again: 'pciseize seize'",
        Outcome::Refused if device.is_refused_by_run() => {
            return add_uses_and_way_past(report, device.address(), line);
        }
        _ => return,
    };
    put!(line, "; {}", text);
}

/// Adds why a device is left alone.
fn add_action(report: &Report, device: &Device, line: &mut Line) {
    let text = match device.action {
        Action::Seize | Action::Unasked => return,
        Action::Keep(keep) => {
            if let Some(keep) = report.request.items.get(usize::from(keep)) {
                let at = At(report.request, keep.origin);
                put!(line, "; kept by {} at {}", keep, at);
            }
            return;
        }
        Action::RefuseBridge => {
            "it is a bridge, and bridges stay with dom0; ask for what is behind it"
        }
        Action::RefuseDomain => {
            "its domain is above ffff, which Xen cannot name \
             (behind Intel VMD: switch VMD off in the firmware)"
        }
        Action::RefuseBoot => "this host boots from it; pciseize.force takes it",
        Action::RefuseInUse if is_of_guests(report, device.address()) => "in use",
        Action::RefuseInUse => "in use by dom0",
        Action::Mismatch => {
            if let Some(expected) = device.item(report.request)
                && let Some(identity) = device.function.identity
            {
                put!(
                    line,
                    "; {}:{}:{} is there, not {}; see pciseize list",
                    identity.model(),
                    identity.subsystem_vendor(),
                    identity.subsystem_device(),
                    expected
                );
            }
            return;
        }
        // The failure says why it was not found.
        Action::Absent if device.failure().is_some() => return,
        Action::Absent if has_passed_over_virtual(report, device) => {
            "no such device; a virtual function is there, which no path means: write its address"
        }
        Action::Absent => "no such device; see pciseize list for its place, or remove the item",
        Action::Expect => {
            "no such device now; pciback takes whatever appears at this address, \
             even a bridge with all behind it"
        }
        Action::Leave => "left alone: an item that cannot be read may be what keeps it",
        Action::LeaveUnread => {
            "left alone: its identity or path cannot be read, and an item depends on it"
        }
        Action::LeaveBoot => {
            "left alone: its identity or path cannot be read, and this host may boot from it; \
             pciseize.force takes it"
        }
        Action::LeaveOff => "switched off: a boot leaves it alone",
        Action::LeaveUnlisted => "nobody can tell whether it is there",
        Action::LeaveNeeded => {
            let address = device.address();
            put!(line, "; left alone");
            add_uses(report, address, ["; it "; 2], line);
            return put!(line, "; !{} keeps it, {} takes it", address, address);
        }
        Action::LeaveStorage => {
            "left alone: this host may boot from it, as not all was found that it boots from; \
             pciseize.force takes it"
        }
    };
    put!(line, "; {}", text);
}

/// Whether a function is in use by guests alone.
pub fn is_of_guests(report: &Report, address: Address) -> bool {
    let uses = report.usage.uses(address);
    !uses.is_empty() && uses.without_all(Uses::OF_GUESTS).is_empty()
}

/// Whether the item that asks for a device would mean a virtual function, if paths did.
fn has_passed_over_virtual(report: &Report, device: &Device) -> bool {
    let item = device.item(report.request);
    item.is_some_and(|item| item.has_passed_over_virtual)
}

/// Adds what a function is used for, with the first of `before` in front of the first use, and the
/// second in front of each other.
pub fn add_uses(report: &Report, address: Address, before: [&str; 2], line: &mut Line) {
    let [mut before, next] = before;
    for one in report.usage.uses(address).iter() {
        let [verb, _] = one.words();
        put!(line, "{}{}", before, verb);
        add_use(report, address, one, line);
        before = next;
    }
}

/// Adds what a function is used for, without a verb.
pub fn add_use(report: &Report, address: Address, one: Use, line: &mut Line) {
    let [_, what] = one.words();
    put!(line, "{}", what);
    if let Some(of) = one.before_name()
        && let Some(name) = report.usage.name(address).filter(|name| !name.is_empty())
    {
        put!(line, "{}{}", of, name);
    }
    if one == Use::ForGuests {
        add_virtuals(report, address, line);
    }
}

/// Most virtual functions of a function that are named.
const VIRTUALS: usize = 7;

/// Adds the virtual functions of a function that are for guests.
fn add_virtuals(report: &Report, address: Address, line: &mut Line) {
    let mut before = ": ";
    for (number, own) in report.usage.virtuals(address).enumerate() {
        if number == VIRTUALS {
            return put!(line, " ...");
        }
        put!(line, "{}{}", before, own.address);
        before = " ";
    }
}

/// Adds what dom0 uses a device for that is refused because of that, and how to take it.
fn add_uses_and_way_past(report: &Report, address: Address, line: &mut Line) {
    add_uses(report, address, ["; it "; 2], line);
    if report.usage.uses(address).meets(Uses::TO_BOOT) {
        put!(
            line,
            "; ask for it no longer; pciseize.force takes it in a boot"
        );
        return;
    }
    put!(line, "; {} takes it all the same", report.due_boot());
    if !report.usage.uses(address).has(Use::WithGuest) {
        return put!(
            line,
            "; to take it now: 'pciseize seize --force {}'",
            address
        );
    }
    match report
        .usage
        .lent(address)
        .next()
        .map(|own| (own, own.guest))
    {
        Some((own, Guest::Domain(domain))) => {
            put!(
                line,
                "; not to be had while guest {} has {}: end the guest, or xl pci-detach",
                domain,
                own.address
            );
        }
        Some((_, guest)) => {
            put!(line, "; not to be had");
            add_guest(guest, line);
        }
        None => put!(line, "; not to be had: they are too many to look at"),
    }
}

/// Adds what dom0 loses with a device.
fn add_losses(report: &Report, device: &Device, line: &mut Line) {
    add_uses(report, device.address(), ["; CAUTION: it ", "; it "], line);
    let mut before = "; its keyboard goes with it, and dom0 keeps ";
    for name in report.usage.keyboards_left_by(device.address()) {
        put!(line, "{}{}", before, name);
        if name.is_empty() {
            put!(line, "one without a name");
        }
        before = ", ";
    }
    add_twin(report, device, line);
}

/// Whether it is told why functions are of one group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reasons {
    Told,
    Untold,
}

/// Adds what ends with a device, and what stays of its card and its group.
fn add_left(report: &Report, device: &Device, reasons: Reasons, line: &mut Line) {
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
    add_others(
        &warnings.of_group,
        "; dom0 keeps others of its IOMMU group:",
        line,
    );
    if reasons == Reasons::Told && !warnings.of_group.first.is_empty() {
        put!(line, " (");
        add_reasons(report.groups, device.address(), line);
        put!(line, ")");
    }
    add_others(
        &warnings.named_of_group,
        "; one guest has to get it together with others of its IOMMU group:",
        line,
    );
    add_others(&warnings.of_card, "; dom0 keeps others of its card:", line);
    add_others(
        &warnings.behind_bridge,
        "; dom0 keeps others behind its PCI bridge:",
        line,
    );
}

/// Adds that the address in an item may come to mean a twin of the device. One in the same slot
/// cannot come there.
fn add_twin(report: &Report, device: &Device, line: &mut Line) {
    let item = device.item(report.request);
    let is_at_address = item.is_some_and(|item| item.selector.is_at_address());
    if let Some(identity) = device.function.identity.filter(|_| is_at_address)
        && let Some(place) = device
            .function
            .place
            .as_ref()
            .filter(|place| !place.steps.is_empty())
        && let Some(twin) = device
            .function
            .twin
            .filter(|twin| twin.slot() != device.address().slot())
    {
        put!(
            line,
            "; its twin {} may come to this address: {}@{} tells them apart",
            twin,
            identity.model(),
            place
        );
    }
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

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;

    use super::*;
    use crate::{
        cli::Memory,
        device::{Failure, FirstRun},
        facts::usage::Uses,
        host::testing::{Machine, text},
        report::testing::{add, address, driver, machine_in_use, machine_with_groups, memory},
    };

    /// What is said of the first device.
    fn explained(memory: &Memory, kind: Kind) -> String {
        let mut line = Line::new();
        let report = memory.report(kind, true);
        explain(&report, &memory.devices[0], &mut line);
        text(line.bytes())
    }

    #[test]
    fn says_why_a_device_is_left_alone() {
        for (action, expected) in [
            (Action::Seize, ""),
            (Action::Unasked, ""),
            (Action::Keep(1), "; kept by !0000:03:00.* at conf:2:1"),
            (Action::RefuseBridge, "; it is a bridge"),
            (
                Action::RefuseDomain,
                "; its domain is above ffff, which Xen cannot name",
            ),
            (
                Action::RefuseBoot,
                "; this host boots from it; pciseize.force",
            ),
            (
                Action::RefuseInUse,
                "; in use by dom0; a boot with a new image takes it",
            ),
            (
                Action::Mismatch,
                "; 8086:10d3:1af4:1100 is there, not 10de:1b80@0000:03:00.0",
            ),
            (Action::Absent, "; no such device"),
            (
                Action::Expect,
                "; no such device now; pciback takes whatever appears at this address",
            ),
            (Action::Leave, "; left alone: an item that cannot be read"),
            (Action::LeaveUnread, "; left alone: its identity or path"),
            (Action::LeaveBoot, "; left alone: its identity or path"),
            (Action::LeaveOff, "; switched off"),
            (
                Action::LeaveUnlisted,
                "; nobody can tell whether it is there",
            ),
            (
                Action::LeaveStorage,
                "; left alone: this host may boot from it",
            ),
        ] {
            let mut memory = memory("10de:1b80@03:00.0\n!03:00.*\n");
            add(&mut memory, "03:00.0", Some(0), action);
            for kind in [Kind::Plan, Kind::Status, Kind::Seizure, Kind::List] {
                let why = explained(&memory, kind);
                assert!(why.starts_with(expected), "{action:?} {kind:?}: {why}");
                assert_eq!(
                    why.is_empty(),
                    expected.is_empty(),
                    "{action:?} {kind:?}: {why}"
                );
            }
        }
    }

    #[test]
    fn says_what_an_outcome_means() {
        for (outcome, driven_by, expected, next) in [
            (Outcome::Seized, "pciback", "", ""),
            (
                Outcome::Held,
                "",
                "; no driver can take it, but pciback does not have it",
                "; to mend it: 'modprobe xen-pciback && pciseize seize'",
            ),
            (
                Outcome::Unready,
                "pciback",
                "; pciback has it, but is not known to have initialised it",
                "; to try again: 'pciseize seize'",
            ),
            (
                Outcome::Exposed,
                "",
                "; nothing keeps a driver from taking it",
                "; to take it: 'pciseize seize'",
            ),
            (
                Outcome::Lost,
                "",
                "; its driver is not known",
                "; to take it: 'pciseize seize'",
            ),
            (
                Outcome::Lost,
                "e1000e\n",
                "; driver e1000e\\x0a has it",
                "; to take it: 'pciseize seize'",
            ),
            (
                Outcome::Pending,
                "e1000e",
                "; driver e1000e has it",
                "; to take it: make the images anew and reboot, or now: 'pciseize seize'",
            ),
            (
                Outcome::Pending,
                "",
                "; it has no driver",
                "; to take it: make the images anew and reboot, or now: 'pciseize seize'",
            ),
            (
                Outcome::Refused,
                "nvme",
                "; 'pciseize seize' refused it",
                "; a boot with a new image takes it all the same; \
                 to take it now: 'pciseize seize --force 0000:03:00.0'",
            ),
            (Outcome::Kept, "e1000e", "", ""),
            (Outcome::Assigned, "pciback", "", ""),
        ] {
            let mut memory = memory("03:00.0");
            let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
            device.outcome = outcome;
            device.state.driver = driver(driven_by);
            let status = explained(&memory, Kind::Status);
            assert_eq!(status, [expected, next].concat(), "{outcome:?}");
            let seizure = explained(&memory, Kind::Seizure);
            assert_eq!(seizure, expected, "{outcome:?}");
            for kind in [Kind::Plan, Kind::List] {
                assert_eq!(
                    explained(&memory, kind),
                    "",
                    "{outcome:?} is no part of {kind:?}"
                );
            }
        }
    }

    #[test]
    fn says_how_to_get_back_what_pciback_must_not_have() {
        for (outcome, guest, expected) in [
            (
                Outcome::Kept,
                Guest::None,
                "; pciback has it all the same: 'pciseize release 0000:03:00.0' gives it back",
            ),
            (
                Outcome::Refused,
                Guest::None,
                "; pciback has it all the same: 'pciseize release 0000:03:00.0' gives it back",
            ),
            (
                Outcome::Mismatch,
                Guest::Domain(7),
                "; pciback has it all the same; guest 7 has it",
            ),
            (Outcome::Seized, Guest::None, ""),
        ] {
            let mut memory = memory("03:00.0");
            let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
            device.outcome = outcome;
            device.state.driver = driver("pciback");
            device.state.guest = guest;
            assert_eq!(explained(&memory, Kind::Status), expected, "{outcome:?}");
            let is_as_asked = memory.report(Kind::Status, true).is_as_asked();
            assert_eq!(is_as_asked, expected.is_empty(), "{outcome:?}");
        }
    }

    #[test]
    fn says_which_guest_has_it() {
        for (guest, expected) in [
            (Guest::None, ""),
            (Guest::Domain(7), "; guest 7 has it"),
            (
                Guest::Unknown(Errno::EIO),
                "; xenstore does not say which guest has it: EIO (5)",
            ),
        ] {
            let mut memory = memory("03:00.0");
            add(&mut memory, "03:00.0", Some(0), Action::Seize)
                .state
                .guest = guest;
            assert_eq!(explained(&memory, Kind::Seizure), expected);
        }
    }

    #[test]
    fn ends_with_what_failed() {
        let failure = Failure {
            step: Step::Bind,
            errno: Errno::ENODEV,
        };
        for (action, expected) in [
            (Action::Seize, "; binding it to pciback: ENODEV (19)"),
            // Nobody can say that it is not there.
            (Action::Absent, "; binding it to pciback: ENODEV (19)"),
        ] {
            let mut memory = memory("03:00.0");
            add(&mut memory, "03:00.0", Some(0), action).work.failure = Some(failure);
            assert_eq!(explained(&memory, Kind::Plan), expected, "{action:?}");
        }
    }

    /// No other errno of a bind, and no other step, is Xen's refusal, after which nothing helps
    /// that can be typed now.
    #[test]
    fn says_what_helps_where_xen_refuses_a_device() {
        let no_reset = ["ENOSYS (38); ", NO_RESET].concat();
        let no_table = "EEXIST (17); Xen finds memory of dom0 where its MSI-X table should be, \
            as its reset has emptied its BARs: boot without dom0=pvh";
        for (step, errno, told) in [
            (Step::Bind, Errno::ENOSYS, Some(no_reset.as_str())),
            (Step::Bind, Errno::EEXIST, Some(no_table)),
            (Step::Bind, Errno::ENODEV, None),
            (Step::Override, Errno::ENOSYS, None),
            (Step::Override, Errno::EEXIST, None),
        ] {
            let mut memory = memory("03:00.0");
            let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
            device.outcome = Outcome::Held;
            device.work.failure = Some(Failure { step, errno });
            let why = explained(&memory, Kind::Status);
            match told {
                Some(told) => assert!(why.ends_with(told), "{errno:?}: {why}"),
                None => assert!(!why.contains("dom0="), "{step:?} {errno:?}: {why}"),
            }
            let next = why.contains("; to mend it: 'modprobe xen-pciback");
            assert_eq!(next, told.is_none(), "{step:?} {errno:?}: {why}");
        }
    }

    #[test]
    fn says_what_follows_from_a_hold_that_failed() {
        let keeps = "; so its driver keeps it";
        for (outcome, errno, is_due, expected) in [
            (Outcome::Lost, Errno::EIO, false, [false, true]),
            (Outcome::Lost, Errno::ENOENT, false, [true, true]),
            (Outcome::Exposed, Errno::ENOENT, true, [true, false]),
            (Outcome::Absent, Errno::ENOENT, true, [false, false]),
            // A driver was quicker than pciback.
            (Outcome::Lost, Errno::EIO, true, [false, false]),
        ] {
            let mut memory = memory("03:00.0");
            let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
            let step = Step::Hold;
            device.work.failure = Some(Failure { step, errno });
            device.work.is_due = is_due;
            device.outcome = outcome;
            let why = explained(&memory, Kind::Seizure);
            let told =
                ["; this kernel has no driver_override", keeps].map(|text| why.contains(text));
            assert_eq!(told, expected, "{outcome:?} {errno:?}: {why}");
        }
    }

    #[test]
    fn says_what_a_device_in_use_is_used_for() {
        let uses = "it holds /; it carries the default route of eth0";
        for (action, kind, before) in [
            (Action::RefuseInUse, Kind::Seizure, Some("; ")),
            (Action::LeaveNeeded, Kind::Seizure, Some("; ")),
            (Action::LeaveNeeded, Kind::Plan, Some("; ")),
            (Action::Seize, Kind::Plan, Some("; CAUTION: ")),
            (Action::Seize, Kind::Status, None),
            (Action::RefuseBridge, Kind::Plan, None),
        ] {
            let mut memory = memory("03:00.0");
            add(&mut memory, "03:00.0", Some(0), action);
            memory.usage.gather(&mut machine_in_use(), Uses::ALL);
            let why = explained(&memory, kind);
            match before {
                Some(before) => {
                    let told = [before, uses].concat();
                    assert!(why.contains(&told), "{action:?} {kind:?}: {why}");
                }
                None => assert!(!why.contains(uses), "{action:?} {kind:?}: {why}"),
            }
        }
    }

    #[test]
    fn warns_in_a_plan_of_what_is_left_behind() {
        let mut memory = memory("03:00.0");
        add(&mut memory, "03:00.0", Some(0), Action::Seize);
        let others = |all: &[&str], has_more| Others {
            first: all.iter().map(|text| address(text)).collect(),
            has_more,
        };
        let warnings = warnings::Warnings {
            virtual_functions: 4,
            of_group: others(&["03:00.4"], false),
            of_card: others(&["03:00.1", "03:00.2"], true),
            behind_bridge: others(&["03:01.0"], false),
            ..warnings::Warnings::default()
        };
        let at = address("03:00.0");
        memory.warnings.push((at, warnings)).expect("room");
        let mut host = machine_with_groups(&["0000:03:00.0", "0000:03:00.4"]);
        memory.groups.look(&mut host);
        let told = "; its virtual functions (4) end with its driver\
            ; dom0 keeps others of its IOMMU group: 0000:03:00.4 \
            (0000:03:00.0 and 0000:03:00.4 share a slot without ACS)\
            ; dom0 keeps others of its card: 0000:03:00.1 0000:03:00.2 ...\
            ; dom0 keeps others behind its PCI bridge: 0000:03:01.0";
        assert_eq!(explained(&memory, Kind::Plan), told);
        assert_eq!(explained(&memory, Kind::Seizure), "");
    }

    #[test]
    fn names_what_is_behind_a_refused_bridge() {
        let mut host = Machine::new();
        let bridge = "pci0000:00/0000:00:1c.0";
        host.function(bridge, "1b36:000c", "060400");
        for function in ["0000:03:00.0", "0000:03:00.1"] {
            host.function(&std::format!("{bridge}/{function}"), "8086:10d3", "020000");
        }
        let mut memory = memory("00:1c.0");
        add(&mut memory, "00:1c.0", Some(0), Action::RefuseBridge);
        let Memory {
            behind, devices, ..
        } = &mut *memory;
        behind.look(&mut host, devices);
        let why = explained(&memory, Kind::Plan);
        assert!(
            why.ends_with("; behind it: 0000:03:00.0 0000:03:00.1"),
            "{why}"
        );
        memory.devices[0].action = Action::Unasked;
        assert_eq!(explained(&memory, Kind::Plan), "");
    }

    #[test]
    fn compares_a_status_with_the_first_run() {
        for (kind, first, expected) in [
            (Kind::Status, Outcome::Held, "; earlier: held"),
            (Kind::Status, Outcome::Seized, ""),
            (Kind::Seizure, Outcome::Held, ""),
        ] {
            let mut memory = memory("03:00.0");
            let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
            device.outcome = Outcome::Seized;
            device.first_run = Some(FirstRun {
                outcome: Some(first),
                latest: None,
                failure: None,
                origin: driver(""),
            });
            assert_eq!(explained(&memory, kind), expected, "{kind:?} {first:?}");
        }
    }
}
