//! `pciseize plan`: what `seize` would do now.

use core::ffi::CStr;

use super::{Exit, Form, Invocation, Memory, first, is_idle};
use crate::{
    device::{Action, Device, Devices, order},
    facts::{dom0, fitness, usage::Uses},
    host::{Console, Files, Host, Iommu, Level, Xen},
    plan::{
        self, Extent,
        rivals::{CLAIMS, SOURCES},
        warnings,
    },
    put,
    report::{
        Kind, Report, explain,
        groups::why_unknown,
        json,
        log::{tell_plan, tell_problems},
        table,
    },
    request::Item,
    say,
    text::Line,
};

/// Decides as `seize` does in a boot, up to the hold, and prints what comes out: as JSON, or as a
/// table, with the problems told apart.
pub fn run<H: Host>(
    host: &mut H,
    memory: &mut Memory,
    embedded: &[u8],
    invocation: &Invocation,
) -> Exit {
    let (form, cmdline) = (invocation.form, invocation.cmdline);
    let is_dom0 = dom0::is_here(host);
    // A boot seizes devices even if the host uses them now; only boot-critical ones are refused.
    let walked = memory.survey(host, embedded, cmdline, (Uses::TO_BOOT, Extent::Whole));
    let Memory {
        request,
        devices,
        usage,
        warnings,
        rivals,
        behind,
        names,
        groups,
        ..
    } = memory;
    plan::note_untraced(request, usage);
    if request.switches.off {
        switch_off(devices);
    }
    let is_told = |device: &Device| match form {
        Form::Json => device.wish.item.is_some(),
        _ => device.action == Action::Seize,
    };
    plan::locate(host, devices, &is_told);
    fitness::read_resets(host, devices, &is_told);
    let may_mean_twin = |item: &Item| item.selector.is_at_address();
    if request.items.iter().any(may_mean_twin) {
        order::find_twins(devices);
    }
    groups.look_among(host, devices, walked);
    warnings::look(host, devices, groups, warnings);
    if form != Form::Warnings {
        // Nobody misses a device because of them, so images are made without a word.
        rivals.gather(host, cmdline.map(CStr::to_bytes));
        warnings::look_at_names(devices, groups, warnings);
    }
    behind.look(host, devices);
    let terminal = host.terminal();
    if !terminal.is_none() {
        names.find(host, devices);
    }

    let mut report = memory.report(Kind::Plan, is_dom0);
    report.terminal = terminal;
    let out = &mut |bytes: &[u8]| host.print(bytes);
    let printed = match form {
        Form::Json => json::write(&report, out),
        Form::Warnings => table::print(&report, &|device| is_to_be_missed(&report, device), out),
        Form::Text | Form::All | Form::Boot | Form::Names | Form::Libvirt => {
            tell_problems(report.request, 0, &mut |level, line| host.say(level, line));
            let printed = table::print(&report, &|_| true, &mut |bytes| host.print(bytes));
            tell_verdict(host, &report);
            printed
        }
    };
    Exit::of(printed.is_ok() && report.is_as_asked())
}

/// Decides anew for a boot in which nothing is done.
pub(super) fn switch_off(devices: &mut Devices) {
    for device in devices.iter_mut() {
        device.action = match device.action {
            Action::Seize => Action::LeaveOff,
            Action::Expect => Action::Absent,
            action => action,
        };
    }
}

/// Says so if others ask for more devices than are looked at.
pub(super) fn tell_more_claims<H: Console>(host: &mut H, report: &Report) {
    if report.rivals.has_more() {
        say!(
            host,
            Level::Notice,
            "other programs ask for more devices than are looked at ({}, in {} files)",
            CLAIMS as u32,
            SOURCES as u32
        );
    }
}

/// Says what the table does not.
fn tell_verdict<H: Files + Xen + Console>(host: &mut H, report: &Report) {
    if is_idle(host, report.is_dom0, report.request) {
        return;
    }
    first::tell_missing(host);
    tell_plan(report, &mut |level, line| host.say(level, line));
    tell_unknown_groups(host, report);
    tell_more_claims(host, report);
    if report
        .devices
        .iter()
        .any(|device| device.action == Action::Seize)
    {
        tell_of_iommu(host);
    }
    if report.is_to_stop() {
        say!(
            host,
            Level::Notice,
            "strict: not all is as asked; seize asks the boot to stop"
        );
    }
}

/// Says that nobody knows what has to go with a device, since registers cannot be read.
fn tell_unknown_groups<H: Console>(host: &mut H, report: &Report) {
    let is_unknown = |device: &&Device| {
        device.action == Action::Seize && !report.groups.is_known(device.address())
    };
    let mut unknown = report.devices.iter().filter(is_unknown);
    if let Some(first) = unknown.next().filter(|_| report.groups.has_unread()) {
        let more = unknown.count();
        let mut line = Line::new();
        put!(&mut line, "{}", first.address());
        if more > 0 {
            put!(&mut line, " and {} more", more as u32);
        }
        put!(
            &mut line,
            ": IOMMU group not known: {}",
            why_unknown(report.groups)
        );
        host.say(Level::Notice, &line);
    }
}

/// Says so if Xen surely uses no IOMMU. Since 4.14 xl then starts no guest with a device, of
/// whatever kind (`tools/libs/light/libxl_create.c`, `libxl__domain_config_setdefault`).
pub fn tell_of_iommu<H: Xen + Console>(host: &mut H) {
    if host.read_iommu() == Ok(Iommu::NotUsed) {
        say!(
            host,
            Level::Notice,
            "CAUTION: Xen uses no IOMMU, so xl starts no guest with a device: switch on VT-d or \
             AMD-Vi in the firmware, and have no iommu=no on Xen's command line"
        );
    }
}

/// Whether somebody may miss a device once it is taken, or miss that it is refused.
fn is_to_be_missed(report: &Report, device: &Device) -> bool {
    let mut why = Line::new();
    explain::explain(report, device, &mut why);
    let may_be_missed = matches!(
        device.action,
        Action::Seize | Action::RefuseInUse | Action::LeaveNeeded
    );
    may_be_missed && !why.bytes().is_empty()
}
