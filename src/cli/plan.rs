//! `pciseize plan`: what `seize` would do now.

use core::ffi::CStr;

use super::{Exit, Memory, is_idle};
use crate::{
    device::Step,
    host::{Host, Level},
    pci::bus,
    plan,
    report::{self, Report, Stage},
    say,
    seize::{self, module::Answer},
};

/// Decides as `seize` does, up to the hold, and prints what comes out: as JSON, or as a table, with the problems told apart. `cmdline`, if given, stands in for `/proc/cmdline`.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], is_json: bool, cmdline: Option<&CStr>) -> Exit {
    let Memory { request, devices } = memory;
    let is_dom0 = seize::dom0::is_here(host);
    request.gather(host, embedded, cmdline.map(CStr::to_bytes));
    plan::make(host, request, devices, &mut |host, device| {
        let read = bus::driver(host, device.address, &mut device.driver);
        device.note(Step::Driver, read);
    });

    let report = Report { is_done: false, request, devices, is_dom0, stage: Stage::Host, pciback: Answer::READY };
    let printed = if is_json {
        report::json::write(host, None, &report)
    } else {
        report::log::problems(host, request, 0);
        if !is_idle(host, is_dom0, request) {
            if request.items.is_empty() {
                say!(host, Level::Notice, "nothing is asked for");
            }
            if request.switches.strict && !report.is_as_asked() {
                say!(host, Level::Notice, "strict: not all is as asked, seize asks for the boot to stop");
            }
        }
        devices.iter().try_for_each(|device| {
            let line = report::row::row(host, &report, device, true);
            host.print(line.bytes())
        })
    };
    Exit::of(printed.is_ok() && report.is_as_asked())
}
