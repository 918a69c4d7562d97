//! `pciseize guest-config`: what a guest's configuration says of devices.

use core::ffi::CStr;

use super::{
    Exit, Form, Invocation, Memory, check_selectors, forbidden, means, plan::tell_of_iommu,
};
use crate::{
    device::{Action, Device, Devices},
    facts::{dom0, guests, reserved, usage::Uses},
    host::{Console, Host, Iommu, Level},
    plan::{self, Extent},
    put,
    report::{
        Kind, Report,
        explain::explain,
        guest_config::{Syntax, print},
    },
    request::Selector,
    say,
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
    let Memory {
        request,
        devices,
        usage,
        names,
        ..
    } = memory;
    let words = &invocation.operands;
    if let Err(wrong) = check_selectors(words) {
        wrong.tell(host);
        return Exit::Usage;
    }
    let is_dom0 = dom0::is_here(host);
    request.gather(host, embedded, None);
    usage.gather(host, forbidden(request, Uses::TO_BOOT));
    plan::survey(host, request, usage, devices, Extent::Whole);
    plan::locate(host, devices, &|_| true);
    guests::look(host, devices);
    names.find(host, devices);
    let is_named = |device: &Device| words.iter().any(|word| is_meant(word, device));
    for device in devices.iter_mut() {
        device.work.is_due = is_for_guests(device) && is_named(device);
    }
    add_rest_of_cards(devices);

    let report = memory.report(Kind::List, is_dom0);
    let mut is_as_asked = true;
    for word in words {
        if !report.devices.iter().any(|device| is_meant(word, device)) {
            tell_meaningless(host, word);
            is_as_asked = false;
        }
    }
    for device in report.devices {
        let is_lent = device.work.is_due && device.is_with_pciback();
        if (device.work.is_due || is_named(device)) && !is_lent {
            tell_obstacle(host, &report, device);
            is_as_asked = false;
        }
    }
    let mut all = report.devices.iter();
    if all.any(|device| device.work.is_due) && host.read_iommu() == Ok(Iommu::NotUsed) {
        tell_of_iommu(host);
        is_as_asked = false;
    }
    let syntax = match invocation.form {
        Form::Libvirt => Syntax::Libvirt,
        _ => Syntax::Xl,
    };
    let reserved = reserved::look(host);
    let printed = print(&report, &reserved, syntax, &mut |bytes| host.print(bytes));
    Exit::of(printed.is_ok() && is_as_asked)
}

/// Whether a word means a device: see [`means`]. *Every function there* does not mean bridges.
fn is_meant(word: &CStr, device: &Device) -> bool {
    let selector = Selector::parse(word.to_bytes());
    let is_passed_over = device.is_bridge() && selector.is_ok_and(|it| it.passes_over_bridges());
    !is_passed_over && means(word, device, is_ours(device))
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
fn tell_meaningless<H: Console>(host: &mut H, word: &CStr) {
    let selector = Selector::parse(word.to_bytes());
    let is_broad = selector.is_ok_and(|selector| !selector.is_in_one_slot());
    let told = if is_broad {
        "no device of these is with pciback or asked for"
    } else {
        "no such device; see pciseize list"
    };
    let word = Escaped(word.to_bytes());
    say!(host, Level::Error, "{}: {}", word, told);
}

/// Says why no guest can have a device now, and what to type.
fn tell_obstacle<H: Console>(host: &mut H, report: &Report, device: &Device) {
    let address = device.address();
    if !is_for_guests(device) {
        let why = if device.is_bridge() {
            "a bridge, and bridges stay with dom0; name what is behind it"
        } else {
            "its domain is above ffff, which Xen cannot name"
        };
        return say!(
            host,
            Level::Error,
            "{}: no guest can have it: {}",
            address,
            why
        );
    }
    let mut line = Line::new();
    put!(
        &mut line,
        "{}: no guest can have it yet: not with pciback",
        address
    );
    match device.action {
        Action::Seize if report.request.switches.off => put!(&mut line, "; switched off"),
        Action::Seize if !report.is_dom0 => put!(&mut line, "; a boot under Xen takes it"),
        Action::Seize => put!(&mut line, "; to take it now: pciseize seize {}", address),
        Action::Unasked => put!(&mut line, "; to ask for it: pciseize add {}", address),
        _ => {}
    }
    explain(report, device, &mut line);
    host.say(Level::Error, &line);
}
