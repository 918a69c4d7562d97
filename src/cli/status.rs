//! `pciseize status`: what was asked for, and how that is now.

use super::{Exit, Form, Memory, is_idle, survey};
use crate::{
    guests,
    host::{Host, Level},
    needs::TO_BOOT,
    report::{self, Kind, Report},
    say, seize,
    text::{Shown, first_part, next_piece, part, split, words},
};

/// How an image is made anew, where there is the program.
const GENERATORS: &str = "/usr/sbin/update-initramfs -u\n/usr/bin/dracut --force";

/// Most bytes of Xen's own command line (`XENVER_commandline`, `xen/include/public/version.h`).
const XEN_CMDLINE_SIZE: usize = 1024;

/// Looks at every device that is asked for, and changes nothing.
#[inline(never)]
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], form: Form) -> Exit {
    let Memory { request, devices, needs, .. } = memory;
    let is_dom0 = seize::dom0::is_here(host);
    request.gather(host, embedded, None);
    needs.gather(host, TO_BOOT, request.switches.force);
    survey(host, request, needs, devices, false);
    guests::look(host, devices);
    let image = report::kept::remember(host, devices);
    seize::proof::everything(host, devices);

    let report = Report { image, ..Report::new(Kind::Status, request, devices, needs, is_dom0) };
    let printed = if form == Form::Json {
        report::json::write(host, None, &report)
    } else {
        report::log::problems(host, request, 0);
        let printed = devices.iter().try_for_each(|device| {
            let line = report::row::row(host, &report, device, true);
            host.print(line.bytes())
        });
        if !is_idle(host, is_dom0, request) {
            tell_of_the_image(host, &report);
        }
        printed
    };
    Exit::of(printed.is_ok() && (report.is_as_asked() || request.switches.off))
}

/// Says whether what this boot's image was made with is what the files say now.
fn tell_of_the_image<H: Host>(host: &mut H, report: &Report) {
    let what = part("\nthis boot's image was made with another configuration\nthis boot's image did not run pciseize", b'\n', report.agreement());
    if !what.is_empty() {
        let command = split(GENERATORS.as_bytes(), b'\n').find(|command| host.read(first_part(command, b' '), 0, &mut [0]).is_ok());
        say!(host, Level::Notice, Shown(what), "; to make a new one: ", Shown(command.unwrap_or(b"see pciseize(8)")));
    }
    let mut buffer = [0; XEN_CMDLINE_SIZE];
    let Ok(text) = host.xen_cmdline(&mut buffer) else { return };
    let mut at = 0;
    while let Some(word) = next_piece(text, &mut at, |byte| byte == b' ') {
        if words("pciseize. xen-pciback. pciback. xen_pciback.").any(|name| word.starts_with(name)) {
            say!(host, Level::Error, "on Xen's command line, where it does nothing: ", Shown(word));
        }
    }
}
