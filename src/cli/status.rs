//! `pciseize status`: what was asked for, and how that is now.

use super::{Exit, Form, Memory, first, images, is_idle};
use crate::{
    device::{Action, Device, Outcome},
    facts::{
        dom0, fitness, guests,
        usage::{Usage, Uses},
    },
    host::{Console, Errno, Files, Host, Level, Xen},
    plan::{self, Extent},
    put,
    report::{
        Agreement, Kind, Report, json,
        layout::{Colour, Wrap, add_words, begin_colour, end_colour},
        log::{NOTHING_ASKED_FOR, add_counts, tell_problems},
        store, table,
    },
    say,
    seize::prove::prove_all,
    text::{Escaped, Line, split},
};

/// Most bytes of Xen's own command line (`XENVER_commandline`, `xen/include/public/version.h`).
const XEN_CMDLINE_SIZE: usize = 1024;

/// Looks at every device that is asked for, and changes nothing.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], form: Form) -> Exit {
    let is_dom0 = dom0::is_here(host);
    // Where the bus cannot be listed, each item tells of it.
    let _ = memory.survey(host, embedded, None, (Uses::TO_BOOT, Extent::Requested));
    let Memory {
        request,
        devices,
        usage,
        behind,
        names,
        groups,
        ..
    } = memory;
    guests::look(host, devices);
    let image = store::remember(host, devices);
    prove_all(host, devices);
    if !request.switches.off {
        devices.iter_mut().for_each(|device| judge(device, usage));
    }
    if form == Form::Json {
        plan::locate(host, devices, &|_| true);
        groups.look(host);
        fitness::read_resets(host, devices, &|_| true);
    }
    behind.look(host, devices);
    let terminal = host.terminal();
    if !terminal.is_none() {
        names.find(host, devices);
    }

    let mut report = memory.report(Kind::Status, is_dom0);
    report.terminal = terminal;
    report.image = image;
    let printed = match form {
        Form::Json => json::write(&report, &mut |bytes| host.print(bytes)),
        _ => print(host, &report),
    };
    Exit::of(printed.is_ok() && is_well(&report))
}

/// Tells by the report of this boot what no look at the machine does: what was asked for since, and
/// what the last run refused since dom0 uses it.
pub(super) fn judge(device: &mut Device, usage: &Usage) {
    let is_free = matches!(device.outcome, Outcome::Lost | Outcome::Exposed);
    if device.action != Action::Seize || !is_free || !device.state.is_driver_known {
        return;
    }
    let is_used = !usage.uses(device.address()).is_empty();
    match device.first_run.as_ref().and_then(|run| run.latest) {
        Some(Outcome::Refused) if is_used => device.outcome = Outcome::Refused,
        // No run was to take it.
        None
        | Some(
            Outcome::Refused
            | Outcome::Kept
            | Outcome::Mismatch
            | Outcome::Absent
            | Outcome::Pending,
        ) => device.outcome = Outcome::Pending,
        Some(_) => {}
    }
}

/// Whether all is as asked now, and will be after the next boot: its image is of this
/// configuration.
fn is_well(report: &Report) -> bool {
    let has_problem = !report.request.problems.is_empty();
    report.is_as_asked() && untimely_image(report).is_none()
        || report.request.switches.off && !has_problem
}

/// Says what is wrong with the image of this boot. A host without a request needs none.
fn untimely_image(report: &Report) -> Option<&'static str> {
    if !report.is_dom0 {
        // `seize` has read no configuration there.
        return None;
    }
    match report.agreement() {
        Agreement::Another => Some("this boot's image was made with another configuration"),
        Agreement::Missing if report.request.wishes() > 0 => {
            Some("this boot's image did not run pciseize")
        }
        Agreement::Same | Agreement::Missing => None,
    }
}

/// Prints the table, and says what is to be known besides.
fn print<H: Host>(host: &mut H, report: &Report) -> Result<(), Errno> {
    host.print(verdict(report).bytes())?;
    tell_problems(report.request, 0, &mut |level, line| host.say(level, line));
    let printed = table::print(report, &|_| true, &mut |bytes| host.print(bytes));
    if !is_idle(host, report.is_dom0, report.request) {
        tell_of_image(host, report);
        first::tell_missing(host);
        tell_of_xen_cmdline(host);
    }
    printed
}

/// The first line: whether all is well. Into a pipe it is a comment of the configuration that the
/// rows are.
fn verdict(report: &Report) -> Line {
    let mut line = Line::new();
    if report.terminal.is_none() {
        put!(&mut line, "# ");
    }
    let is_off = report.request.switches.off;
    let (word, colour) = match is_well(report) {
        true if is_off => ("OK", Colour::Yellow),
        true => ("OK", Colour::Green),
        false => ("FAILED", Colour::Red),
    };
    begin_colour(&mut line, report.terminal, colour);
    put!(&mut line, "{}", word);
    end_colour(&mut line, report.terminal, colour);
    put!(&mut line, ":");
    let mut text = Line::new();
    if is_off {
        put!(&mut text, "switched off; ");
    }
    if report.request.wishes() == 0 && report.request.problems.is_empty() {
        put!(&mut text, "{}", NOTHING_ASKED_FOR);
    } else {
        add_counts(report, "are with pciback", &mut text);
    }
    if let Some(what) = untimely_image(report).filter(|_| !is_off) {
        put!(&mut text, "; {}", what);
    }
    add_words(&mut line, text.bytes(), Wrap::text(report.terminal.columns));
    put!(&mut line, "\n");
    line
}

/// Says whether what this boot's image was made with is what the files say now.
fn tell_of_image<H: Files + Console>(host: &mut H, report: &Report) {
    let Some(what) = untimely_image(report) else {
        return;
    };
    let mut buffer = [0; 80];
    // Whoever boots another kernel boots another image.
    let release = host.read_value(b"/proc/sys/kernel/osrelease", &mut buffer);
    let release = Escaped(release.unwrap_or(b"?"));
    say!(
        host,
        Level::Notice,
        "{}; this boot is of Linux {}",
        what,
        release
    );
    images::tell_command(host);
}

/// Says what somebody wrote on Xen's command line that belongs on that of Linux.
fn tell_of_xen_cmdline<H: Xen + Console>(host: &mut H) {
    let mut buffer = [0; XEN_CMDLINE_SIZE];
    let Ok(text) = host.read_xen_cmdline(&mut buffer) else {
        return;
    };
    for word in split(text, b' ') {
        let is_ours = ["pciseize.", "xen-pciback.", "pciback.", "xen_pciback."]
            .iter()
            .any(|name| word.starts_with(name.as_bytes()));
        if is_ours {
            let word = Escaped(word);
            say!(
                host,
                Level::Error,
                "on Xen's command line, where it does nothing: {}",
                word
            );
        }
    }
}
