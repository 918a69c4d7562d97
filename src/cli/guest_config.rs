//! `pciseize guest-config`: what a guest's configuration says of devices.

use core::ffi::CStr;

use super::{
    Exit, Form, Invocation, Memory, check_devices, means, plan::tell_of_iommu, selector_of,
    why_meaningless,
};
use crate::{
    device::{Action, Device, Devices, Outcome},
    edit,
    facts::{
        dom0::{self, Nameless},
        fitness::{self, Basis, Fitness},
        guests,
        usage::{Use, Uses},
    },
    host::{Console, Files, Host, Iommu, Level},
    plan::{
        self, Extent,
        warnings::{WarningList, Warnings},
    },
    put,
    report::{
        Kind, Report,
        explain::{add_uses, explain},
        guest_config::{Syntax, print},
        log::tell_problems,
        store,
    },
    request::{Fault, Mistake, Request},
    say,
    seize::prove::is_unready,
    text::{Escaped, Line},
};

/// Prints what a guest's configuration says of the functions that these selectors mean, with the
/// rest of their cards. What a guest cannot have, or not yet, is told apart.
pub fn run<H: Host>(
    host: &mut H,
    memory: &mut Memory,
    embedded: &[u8],
    invocation: &Invocation,
) -> Exit {
    let words = &invocation.operands;
    let is_dom0 = dom0::is_here(host);
    let walked = memory.survey(host, embedded, None, (Uses::TO_BOOT, Extent::Whole));
    if let Err(wrong) = check_devices(words, &memory.request) {
        wrong.tell(host);
        return Exit::Usage;
    }
    let Memory {
        request,
        devices,
        warnings,
        names,
        groups,
        ..
    } = memory;
    plan::locate(host, devices, &|_| true);
    guests::look(host, devices);
    let image = store::remember(host, devices);
    note_unready(host, devices);
    names.find(host, devices);
    for device in devices.iter_mut() {
        let is_named = is_named(words, request, device);
        device.work.is_due = is_for_guests(device) && is_named;
    }
    add_rest_of_cards(devices);
    groups.look_among(host, devices, walked);
    look_for_fitness(host, devices, warnings);

    tell_problems(request, 0, &mut |level, line| host.say(level, line));
    let report = Report {
        image,
        nameless: Nameless::look(host),
        ..memory.report(Kind::List, is_dom0)
    };
    let is_as_asked = tell_obstacles(host, &report, words) && !has_unread_source(report.request);
    let syntax = match invocation.form {
        Form::Libvirt => Syntax::Libvirt,
        _ => Syntax::Xl,
    };
    let out = &mut |bytes: &[u8]| host.print(bytes);
    let printed = print(&report, syntax, edit::FILE.as_bytes(), out);
    Exit::of(printed.is_ok() && is_as_asked)
}

/// Says what stands in the way of what the words mean. Gives back whether nothing does.
fn tell_obstacles<H: Host>(host: &mut H, report: &Report, words: &[&CStr]) -> bool {
    let mut is_as_asked = true;
    for word in words {
        let is_meant = |device: &Device| is_meant(word, report.request, device);
        if !report.devices.iter().any(is_meant) {
            tell_meaningless(host, word, report.request);
            is_as_asked = false;
        }
    }
    for device in report.devices {
        let is_ready = device.is_with_pciback() && device.outcome != Outcome::Unready;
        if device.work.is_due && !is_ready {
            tell_obstacle(host, report, device);
            is_as_asked = false;
        } else if !device.work.is_due && is_named(words, report.request, device) {
            tell_impossible(host, device);
            is_as_asked = false;
        }
    }
    let mut all = report.devices.iter();
    if all.any(|device| device.work.is_due) && host.read_iommu() == Ok(Iommu::NotUsed) {
        tell_of_iommu(host);
        is_as_asked = false;
    }
    is_as_asked
}

/// Whether a word names a device.
fn is_named(words: &[&CStr], request: &Request, device: &Device) -> bool {
    words.iter().any(|word| is_meant(word, request, device))
}

/// Notes which devices pciback has, but is not known to have initialised.
fn note_unready<H: Files>(host: &mut H, devices: &mut Devices) {
    for device in devices.iter_mut() {
        if is_unready(host, device) {
            device.outcome = Outcome::Unready;
        }
    }
}

/// Looks for what stands in the way of a guest that is to have the devices.
fn look_for_fitness<H: Files>(host: &mut H, devices: &mut Devices, warnings: &mut WarningList) {
    warnings.clear();
    fitness::read_resets(host, devices, &|device| device.work.is_due);
    let basis = Basis::look(host, devices);
    for device in devices.iter().filter(|device| device.work.is_due) {
        let found = Warnings {
            fitness: Fitness::look(host, device, &basis),
            ..Warnings::default()
        };
        // There is room for a warning of every device.
        let _ = warnings.push((device.address(), found));
    }
}

/// Whether a part of the configuration could not be read: it may be about these devices.
fn has_unread_source(request: &Request) -> bool {
    let mut problems = request.problems.iter();
    problems.any(|problem| {
        matches!(
            problem.fault,
            Fault::Unreadable(_) | Fault::Is(Mistake::LongFile)
        )
    })
}

/// Whether a word means a device: see [`means`]. *Every function there* does not mean bridges.
fn is_meant(word: &CStr, request: &Request, device: &Device) -> bool {
    let selector = selector_of(word, request);
    let is_passed_over = device.is_bridge() && selector.is_some_and(|it| it.passes_over_bridges());
    !is_passed_over && means(word, request, device, is_ours(device))
}

/// Whether pciback has a device, or a boot gives it to pciback.
fn is_ours(device: &Device) -> bool {
    device.is_with_pciback() || device.action == Action::Seize
}

/// Whether guests can have a device at all.
fn is_for_guests(device: &Device) -> bool {
    !device.is_bridge() && device.address().is_known_to_xen()
}

/// Adds the other functions of a card to those that are due, as far as they are for guests: a guest
/// gets a whole card.
fn add_rest_of_cards(devices: &mut Devices) {
    for at in 0..devices.len() {
        let due = devices.get(at).filter(|device| device.work.is_due);
        let Some(slot) = due
            .filter(|device| device.is_of_card())
            .map(|device| device.address().slot())
        else {
            continue;
        };
        let start = devices.partition_point(|device| device.address().slot() < slot);
        let rest = devices.get_mut(start..).unwrap_or_default().iter_mut();
        for other in rest.take_while(|other| other.address().slot() == slot) {
            let is_part = other.is_of_card() && is_for_guests(other) && is_ours(other);
            other.work.is_due |= is_part;
        }
    }
}

/// Says that a word means nothing.
fn tell_meaningless<H: Console>(host: &mut H, word: &CStr, request: &Request) {
    let selector = selector_of(word, request);
    let is_broad = selector.is_some_and(|selector| !selector.is_in_one_slot());
    let told = if is_broad {
        "no device of these is with pciback or asked for"
    } else {
        why_meaningless(word, request)
    };
    let word = Escaped(word.to_bytes());
    say!(host, Level::Error, "{}: {}", word, told);
}

/// Says why no guest can ever have a device.
fn tell_impossible<H: Console>(host: &mut H, device: &Device) {
    let address = device.address();
    let why = if device.is_bridge() {
        "a bridge, and bridges stay with dom0; name what is behind it"
    } else {
        "its domain is above ffff, which Xen cannot name"
    };
    say!(
        host,
        Level::Error,
        "{}: no guest can have it: {}",
        address,
        why
    );
}

/// Says why no guest can have a device now, and what to type.
fn tell_obstacle<H: Console>(host: &mut H, report: &Report, device: &Device) {
    let address = device.address();
    let mut line = Line::new();
    put!(&mut line, "{}: ", address);
    if device.outcome == Outcome::Unready {
        put!(
            &mut line,
            "start no guest with it: pciback has it, but is not known to have initialised it"
        );
    } else {
        put!(&mut line, "no guest can have it yet: not with pciback");
    }
    if matches!(device.action, Action::Seize | Action::Unasked) {
        add_uses(report, address, ["; it "; 2], &mut line);
        add_step(report, device, &mut line);
    }
    explain(report, device, &mut line);
    host.say(Level::Error, &line);
}

/// Adds what to type so that pciback gets a device that a boot takes, or that nobody asks for.
fn add_step(report: &Report, device: &Device, line: &mut Line) {
    let address = device.address();
    let uses = report.usage.uses(address);
    let switches = &report.request.switches;
    let latest = device.first_run.as_ref().and_then(|first| first.latest);
    match device.action {
        Action::Seize if switches.off => put!(line, "; switched off"),
        Action::Seize if !report.is_dom0 => put!(line, "; a boot under Xen takes it"),
        Action::Seize if device.outcome == Outcome::Unready => {
            put!(line, "; to try again: pciseize seize {}", address);
        }
        // Only a setting gets it so far. Nobody is told to take the disk of a running host away.
        Action::Seize if uses.meets(Uses::TO_BOOT) => {
            put!(line, "; {} takes it, as 'force' is set", report.due_boot());
        }
        Action::Seize if uses.has(Use::WithGuest) => put!(
            line,
            "; once no guest has a virtual function of it: pciseize seize --force {}",
            address
        ),
        // A run of this boot was to take it, and has not.
        Action::Seize if latest.is_some_and(Outcome::is_missed) => {
            put!(line, "; pciseize status says why");
        }
        Action::Seize => {
            let is_in_the_way = uses.meets(Uses::IN_USE) && !switches.force;
            let force = if is_in_the_way { "--force " } else { "" };
            put!(
                line,
                "; to take it now: pciseize seize {}{}, or {} takes it",
                force,
                address,
                report.due_boot()
            );
        }
        // `add` refuses it.
        _ if uses.meets(Uses::TO_BOOT) => {}
        _ if device.outcome == Outcome::Unready => put!(
            line,
            "; to try again: pciseize add {}, then pciseize seize {}",
            address,
            address
        ),
        _ if uses.is_empty() => put!(line, "; to ask for it: pciseize add {}", address),
        _ => put!(
            line,
            "; to ask for it, if dom0 can do without it: pciseize add {}",
            address
        ),
    }
}
