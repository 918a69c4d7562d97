//! `pciseize plan`: what `seize` would do now.

use core::ffi::CStr;

use super::{Exit, Form, Memory, is_idle, survey};
use crate::{
    host::{Host, Level},
    needs::TO_BOOT,
    plan::Action,
    report::{self, Kind, Report},
    say, seize,
    text::Line,
};

/// Decides as `seize` does in a boot, up to the hold, and prints what comes out: as JSON, or as a table, with the problems told apart. `cmdline`, if given, stands in for `/proc/cmdline`.
#[inline(never)]
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], form: Form, cmdline: Option<&CStr>) -> Exit {
    let Memory { request, devices, needs, .. } = memory;
    let is_dom0 = seize::dom0::is_here(host);
    request.gather(host, embedded, cmdline.map(CStr::to_bytes));
    // What the running host uses otherwise a boot takes all the same.
    needs.gather(host, TO_BOOT, request.switches.force);
    survey(host, request, needs, devices, true);

    let report = Report::new(Kind::Plan, request, devices, needs, is_dom0);
    let printed = if form == Form::Json {
        report::json::write(host, None, &report)
    } else {
        let is_whole = form != Form::Warnings;
        if is_whole {
            report::log::problems(host, request, 0);
        }
        if is_whole && !is_idle(host, is_dom0, request) {
            if request.wishes() == 0 {
                say!(host, Level::Notice, "nothing is asked for");
            }
            if request.switches.strict && !report.is_as_asked() {
                say!(host, Level::Notice, "strict: not all is as asked, seize asks for the boot to stop");
            }
        }
        devices.iter().try_for_each(|device| {
            if !is_whole {
                let mut why = Line::new();
                report::row::explain(host, &report, device, &mut why);
                if why.bytes().is_empty() || !matches!(device.action, Action::Seize | Action::RefuseInUse) {
                    return Ok(());
                }
            }
            let line = report::row::row(host, &report, device, true);
            host.print(line.bytes())
        })
    };
    Exit::of(printed.is_ok() && report.is_as_asked())
}
