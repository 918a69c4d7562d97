//! `pciseize status`: what was asked for, and how that is now.

use super::{Exit, Form, Memory, forbidden, is_idle};
use crate::{
    facts::{dom0, guests, usage::Uses},
    host::{Console, Errno, Files, Host, Level, Xen},
    plan::{self, Extent},
    report::{
        Agreement, Kind, Report, json,
        log::tell_problems,
        store,
        table::{self, row},
    },
    say,
    seize::prove::prove_all,
    text::{Escaped, split},
};

/// A program that makes images, and how it makes one anew.
struct Generator {
    program: &'static str,
    command: &'static str,
}

/// The generators, in the order in which they are looked for.
const GENERATORS: [Generator; 2] = [
    Generator {
        program: "/usr/sbin/update-initramfs",
        command: "/usr/sbin/update-initramfs -u",
    },
    Generator {
        program: "/usr/bin/dracut",
        command: "/usr/bin/dracut --force",
    },
];

/// Most bytes of Xen's own command line (`XENVER_commandline`, `xen/include/public/version.h`).
const XEN_CMDLINE_SIZE: usize = 1024;

/// Looks at every device that is asked for, and changes nothing.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], form: Form) -> Exit {
    let Memory {
        request,
        devices,
        usage,
        behind,
        ..
    } = memory;
    let is_dom0 = dom0::is_here(host);
    request.gather(host, embedded, None);
    usage.gather(host, forbidden(request, Uses::TO_BOOT));
    plan::survey(host, request, usage, devices, Extent::Requested);
    guests::look(host, devices);
    let image = store::remember(host, devices);
    prove_all(host, devices);
    if form == Form::Json {
        plan::locate(host, devices, &|_| true);
    }
    behind.look(host, devices);

    let report = Report {
        image,
        ..memory.report(Kind::Status, is_dom0)
    };
    let printed = match form {
        Form::Json => json::write(&report, &mut |bytes| host.print(bytes)),
        _ => print(host, &report),
    };
    Exit::of(printed.is_ok() && (report.is_as_asked() || report.request.switches.off))
}

/// Prints the table, and says what is to be known besides.
fn print<H: Host>(host: &mut H, report: &Report) -> Result<(), Errno> {
    tell_problems(report.request, 0, &mut |level, line| host.say(level, line));
    let mut rows = report.devices.iter();
    let printed =
        rows.try_for_each(|device| host.print(row(report, device, table::Form::Table).bytes()));
    if !is_idle(host, report.is_dom0, report.request) {
        tell_of_image(host, report);
        tell_of_xen_cmdline(host);
    }
    printed
}

/// Says whether what this boot's image was made with is what the files say now.
fn tell_of_image<H: Files + Console>(host: &mut H, report: &Report) {
    let what = match report.agreement() {
        Agreement::Same => return,
        Agreement::Another => "this boot's image was made with another configuration",
        Agreement::Missing => "this boot's image did not run pciseize",
    };
    let is_there =
        |generator: &&Generator| host.read(generator.program.as_bytes(), 0, &mut [0]).is_ok();
    let command = GENERATORS
        .iter()
        .find(is_there)
        .map(|generator| generator.command);
    let command = command.unwrap_or("see pciseize(8)");
    say!(
        host,
        Level::Notice,
        "{}; to make a new one: {}",
        what,
        command
    );
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
