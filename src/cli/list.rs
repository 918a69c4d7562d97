//! `pciseize list`: every function of the machine, and what dom0 uses it for.

use super::{Exit, Form, Memory};
use crate::{
    device::{Devices, order},
    facts::{fitness, guests, usage::Uses},
    host::{Errno, Files, Host},
    pciback,
    plan::{self, Extent},
    report::{Kind, Report, json, list, list::Bridges, log::tell_problems, sink::Out},
    request::Need,
};

/// Prints the list.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], form: Form) -> Exit {
    let walked = memory.survey(host, embedded, None, (Uses::NONE, Extent::Whole));
    let Memory {
        request,
        devices,
        usage,
        names,
        groups,
        behind,
        ..
    } = memory;
    plan::locate(host, devices, &|_| true);
    guests::look(host, devices);
    if form != Form::Boot {
        names.find(host, devices);
    }
    match form {
        Form::Boot => {}
        Form::Names => order::sort_by(devices, &|device| device.model().unwrap_or_default()),
        Form::Text | Form::All | Form::Json | Form::Warnings | Form::Libvirt => {
            find_held(host, devices);
            order::find_twins(devices);
        }
    }
    if !matches!(form, Form::Boot | Form::Names) {
        groups.look_among(host, devices, walked);
    }
    if form == Form::Json {
        fitness::read_resets(host, devices, &|_| true);
        behind.look(host, devices);
    }
    let told = request.problems.iter().len();
    plan::note_untraced(request, usage);
    let is_all_found = form != Form::Boot || usage.knows_what_boots();
    let mut report = memory.report(Kind::List, false);
    report.terminal = host.terminal();
    if form == Form::Boot {
        tell_problems(report.request, told, &mut |level, line| {
            host.say(level, line)
        });
    }
    let out = &mut |bytes: &[u8]| host.print(bytes);
    let bridges = if form == Form::All {
        Bridges::Shown
    } else {
        Bridges::Hidden
    };
    let printed = match form {
        Form::Json => json::write(&report, out),
        Form::Boot => print_boot_items(&report, out),
        Form::Names => list::print_names(&report, out),
        Form::Text | Form::All | Form::Warnings | Form::Libvirt => {
            list::print(&report, bridges, out)
        }
    };
    Exit::of(printed.is_ok() && is_all_found)
}

/// Finds out which devices no driver can take, since the hold of a seizure is in place.
fn find_held<H: Files>(host: &mut H, devices: &mut Devices) {
    for device in devices.iter_mut() {
        let is_free = device.function.is_there && device.state.driver.is_empty();
        device.work.is_held =
            is_free && pciback::has_our_override(host, device.address()) == Ok(true);
    }
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
