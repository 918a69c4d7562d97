//! `pciseize show`: all that is known of a device.

use core::ffi::CStr;

use super::{
    Exit, Form, Invocation, Memory, check_devices, images, is_idle, is_meant_by,
    plan::{switch_off, tell_more_claims, tell_of_iommu},
    selector_to_show, status,
};
use crate::{
    device::{Action, Device, Devices, order},
    edit,
    facts::{
        claims::Claims,
        dom0,
        fitness::{self, Basis, Fitness},
        guests,
        usage::Uses,
    },
    host::{Console, Errno, Files, Host, Level},
    pci::bus,
    plan::{
        self, Extent,
        decide::Says,
        warnings::{self, count_virtual_functions},
    },
    report::{
        Kind, Report,
        show::{self, Details, Page},
        sink::Sink,
        store,
    },
    request::{By, Candidate, Item, Request, Selector},
    say,
    seize::prove::prove,
    text::Escaped,
};

/// Prints a page for each device that is meant. Changes nothing.
pub fn run<H: Host>(
    host: &mut H,
    memory: &mut Memory,
    embedded: &[u8],
    invocation: &Invocation,
) -> Exit {
    let words = &invocation.operands;
    let is_dom0 = dom0::is_here(host);
    // As `plan`: what a boot does.
    let walked = memory.survey(host, embedded, None, (Uses::TO_BOOT, Extent::Whole));
    if let Err(wrong) = check_devices(words, &memory.request) {
        wrong.tell(host);
        return Exit::Usage;
    }
    let Memory {
        request,
        devices,
        usage,
        warnings,
        behind,
        names,
        groups,
        rivals,
        ..
    } = memory;
    let are_all_found = mark_meant(host, request, devices, words);
    let is_wanted = |device: &Device| device.work.is_meant || device.action == Action::Seize;
    plan::locate(host, devices, &is_wanted);
    fitness::read_resets(host, devices, &is_wanted);
    let basis = Basis::look(host, devices);
    rivals.gather(host, None);
    order::find_twins(devices);
    groups.look_among(host, devices, walked);
    warnings::look(host, devices, groups, warnings);
    warnings::look_at_names(devices, groups, warnings);
    behind.look(host, devices);
    guests::look(host, devices);
    store::remember(host, devices);
    for device in devices.iter_mut().filter(|device| device.work.is_meant) {
        device.outcome = prove(host, device);
        if !request.switches.off {
            status::judge(device, usage);
        }
    }
    if request.switches.off {
        switch_off(devices);
    }
    names.find(host, devices);

    is_idle(host, is_dom0, request);
    tell_problems(host, request);
    let is_to_be_taken = |device: &Device| device.work.is_meant && device.action == Action::Seize;
    if devices.iter().any(is_to_be_taken) {
        tell_of_iommu(host);
    }
    let mut plan = memory.report(Kind::Plan, is_dom0);
    plan.terminal = host.terminal();
    tell_more_claims(host, &plan);
    let printed = print(host, &plan, &basis, invocation.form);
    Exit::of(printed.is_ok() && are_all_found)
}

/// Marks what the words mean: functions, or for a word that means none what the configuration has
/// of it. Says which words mean none, and gives back whether there is no such word.
fn mark_meant<H: Host>(
    host: &mut H,
    request: &Request,
    devices: &mut Devices,
    words: &[&CStr],
) -> bool {
    let selectors = || words.iter().map(|word| selector_to_show(word, request));
    // Only what is told apart by its way needs it looked up.
    if selectors()
        .flatten()
        .any(|selector| selector.by() == By::Path)
    {
        plan::locate(host, devices, &|_| true);
    }
    let mut are_all_found = true;
    for (word, selector) in words.iter().zip(selectors()) {
        let is_meant = |selector: &Selector| mark(devices, &|own| is_meant_by(own, selector));
        if selector.as_ref().is_some_and(is_meant) {
            continue;
        }
        are_all_found = false;
        say!(
            host,
            Level::Error,
            "no such device: {}",
            Escaped(word.to_bytes())
        );
        if let Some(selector) = &selector {
            mark(devices, &|device| {
                let item = device.item(request);
                item.is_some_and(|item| is_named_by(item, selector))
            });
        }
    }
    are_all_found
}

/// Marks devices, and gives back whether there are such.
fn mark(devices: &mut Devices, is_meant: &dyn Fn(&Device) -> bool) -> bool {
    let mut is_found = false;
    for device in devices.iter_mut() {
        if is_meant(device) {
            device.work.is_meant = true;
            is_found = true;
        }
    }
    is_found
}

/// Whether an item is about what a selector means: both say the same, or one names the place of the
/// other, or the ids that it expects there.
fn is_named_by(item: &Item, selector: &Selector) -> bool {
    let item = &item.selector;
    let expects =
        |one: &Selector, other: &Selector| one.expected_anywhere().is_some_and(|ids| ids == *other);
    item == selector
        || is_at_place_of(item, selector)
        || is_at_place_of(selector, item)
        || expects(item, selector)
}

/// Whether a selector means the place of another, if that has one place.
fn is_at_place_of(one: &Selector, other: &Selector) -> bool {
    let Some(address) = other
        .address()
        .or_else(|| other.path().map(|path| path.root))
    else {
        return false;
    };
    let candidate = Candidate {
        address,
        identity: None,
        place: other.path(),
        is_virtual: false,
    };
    // The root of a path is the address of a bridge.
    let is_same_kind = other.path().is_none() || one.by() == By::Path;
    is_same_kind && one.is_at(&candidate)
}

/// Says that not all of the configuration could be read: it may be about these devices.
fn tell_problems<H: Console>(host: &mut H, request: &Request) {
    if !request.problems.is_empty() {
        say!(
            host,
            Level::Error,
            "problems in what is asked for: {}; pciseize check tells them",
            request.problems.count()
        );
    }
}

/// Prints the pages.
fn print<H: Host>(host: &mut H, plan: &Report, basis: &Basis, form: Form) -> Result<(), Errno> {
    let mut before: &[u8] = if form == Form::Json { b"[\n" } else { b"" };
    let image_command = images::find_command(host);
    for device in plan.devices.iter().filter(|device| device.work.is_meant) {
        let mut details = look(host, plan.request, device, image_command);
        if device.function.is_there {
            details.fitness = Fitness::look(host, device, basis);
            details.claims = Claims::look(host, device.address());
        }
        let page = Page {
            plan,
            device,
            details: &details,
        };
        host.print(before)?;
        if form == Form::Json {
            let out = &mut |bytes: &[u8]| host.print(bytes);
            let mut sink = Sink::new(out);
            show::write(&page, &mut sink);
            sink.end()?;
            before = b",\n";
        } else {
            show::print(&page, &mut |bytes| host.print(bytes))?;
            before = b"\n";
        }
    }
    match (form, before) {
        (Form::Json, b"[\n") => host.print(b"[]\n"),
        (Form::Json, _) => host.print(b"]\n"),
        _ => Ok(()),
    }
}

/// Looks up what only a page tells.
fn look<H: Files>(
    host: &mut H,
    request: &Request,
    device: &Device,
    image_command: Option<&'static str>,
) -> Details {
    let mut details = Details {
        image_command,
        ..Details::default()
    };
    if !device.function.is_there {
        if let Some(item) = device.wish.item {
            details.asked_by.insert(item);
        }
        let source = device
            .item(request)
            .map(|item| request.source(item.origin.source));
        details.is_added = source == Some(edit::FILE.as_bytes());
        return details;
    }
    let address = device.address();
    details.physical = bus::physical(host, address);
    details.virtual_functions = count_virtual_functions(host, address);
    // The place of a virtual function in the plan is its address; keeps mean its way.
    let place = bus::place(host, address);
    let candidate = Candidate {
        address,
        identity: device.function.identity,
        place: place.as_ref(),
        is_virtual: bus::is_virtual(host, address),
    };
    for (id, item) in request.matches(&candidate) {
        if id < request.guards() {
            continue;
        }
        match Says::of(item, &candidate) {
            Says::Asks => details.asked_by.insert(id),
            Says::Keeps => details.kept_by.insert(id),
            Says::AsksForOther => details.other_asked_by.insert(id),
            Says::KeepsOther | Says::NothingOfBridge | Says::NothingOfVirtual => {}
        }
    }
    details
}
