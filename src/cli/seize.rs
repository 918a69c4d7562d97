//! `pciseize seize`: the boot action, and right on a running host too.

use super::{Exit, Force, Memory, alone, alone::Alone, forbidden, is_idle};
use crate::{
    device::{Device, Devices, Outcome},
    facts::{
        dom0,
        usage::{Use, Uses},
    },
    host::{Console, Files, Host, Level, Workers},
    pci::Address,
    pciback::Answer,
    plan, put,
    report::{
        Kind, Report, Stage,
        log::{add_counts, tell_devices, tell_problems},
        store,
    },
    say,
    seize::{LIMIT, give_to_pciback, hold::hold_requested, prove::prove_all, timeout},
    text::{Line, column, number},
};

/// Exists once `strict` has stopped this boot.
pub const STOPPED: &[u8] = b"/run/pciseize/stopped";

/// What is said in place of a stop before `/init`: there is no shell yet, and `/init` always runs.
const NO_STOP: &str = "strict: not all is as asked; rdinit= stops no boot, the image's own hook of \
                       pciseize does, where there is one";

/// In what circumstances `seize` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// In the initramfs, or on the running host.
    pub stage: Stage,
    /// Whether it takes what is in use.
    pub force: Force,
    /// The only addresses that it takes devices at. Empty: it takes all that is asked for.
    pub only: &'a [Address],
}

/// The story of the boot: is this dom0, what is asked for, take it, tell it.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], run: Run) -> Exit {
    let only = run.only;
    let is_dom0 = dom0::is_here(host);
    if is_dom0 {
        memory.request.gather(host, embedded, None);
    }
    if is_idle(host, is_dom0, &memory.request) {
        // Keep the report of an earlier run.
        if !store::is_there(host) {
            let mut report = memory.report(Kind::Seizure, is_dom0);
            report.stage = run.stage;
            keep(host, &report);
        }
        return Exit::AsAsked;
    }

    let Memory {
        request,
        devices,
        usage,
        behind,
        names,
        ..
    } = memory;
    request.switches.force |= run.force == Force::Yes;
    let alone = match run.stage {
        // Before `/init` there is no other.
        Stage::FirstProcess => {
            host.post(LIMIT, timeout(request));
            Alone::Yes
        }
        Stage::Initramfs | Stage::Host => alone::wait(host, timeout(request)),
    };
    // In an initramfs nothing is in use yet: what must not be taken is in the request. Elsewhere a
    // disk may have been mounted, and a guest may have got a device, while this run waited.
    if run.stage == Stage::Host {
        // What a guest has is never taken from it.
        let uses = forbidden(request, Uses::IN_USE).with(Use::WithGuest);
        usage.gather(host, uses);
        plan::note_untraced(request, usage);
        plan::find_virtuals(host, request, usage);
    }
    // The hold comes before every word: a console may be slow, and a terminal may stand still.
    hold_requested(host, request, usage, devices, only);
    alone.tell(host);
    tell_problems(request, 0, &mut |level, line| host.say(level, line));
    let told = request.problems.iter().len();
    // Before devices are taken that the file of names may be on.
    names.find(host, devices);
    // The hold is safe, a bind beside another would not be.
    let pciback = match alone.is_refuted() {
        true => Answer::Ready,
        false => give_to_pciback(host, request, devices),
    };
    tell_problems(request, told, &mut |level, line| host.say(level, line));
    let image = store::remember(host, devices);
    prove_all(host, devices);
    note_pending(devices, only);
    tell_unasked(host, devices, only);
    plan::locate(host, devices, &|_| true);
    behind.look(host, devices);
    let mut report = memory.report(Kind::Seizure, is_dom0);
    report.stage = run.stage;
    report.pciback = pciback;
    report.image = image;
    conclude(host, &report)
}

/// Notes which devices this run was not to take, nor any before.
fn note_pending(devices: &mut Devices, only: &[Address]) {
    for device in devices {
        let is_meant = only.is_empty() || only.contains(&device.address());
        if !is_meant && device.first_run.is_none() && device.outcome == Outcome::Lost {
            device.outcome = Outcome::Pending;
        }
    }
}

/// Tells what became of the devices, keeps the report, and stops the boot if that is asked for.
fn conclude<H: Host>(host: &mut H, report: &Report) -> Exit {
    tell_devices(report, &mut |level, line| host.say(level, line));
    keep(host, report);
    if report.stage != Stage::Host {
        show_in_quiet(host, report);
    }
    if report.is_to_stop() {
        match report.stage {
            Stage::FirstProcess => say!(host, Level::Error, "{}", NO_STOP),
            Stage::Initramfs => stop(host),
            Stage::Host => {}
        }
        return Exit::Strict;
    }
    Exit::of(report.is_as_asked())
}

/// Says which of the addresses that the user wrote no item asks for. That is no failure: the udev
/// rule has every function looked at that is added.
fn tell_unasked<H: Console>(host: &mut H, devices: &Devices, only: &[Address]) {
    for address in only {
        let asks_for_it =
            |device: &Device| device.address() == *address && device.wish.item.is_some();
        if !devices.iter().any(asks_for_it) {
            say!(
                host,
                Level::Notice,
                "{}: nothing asks for it; to ask for it: pciseize add {}",
                address,
                address
            );
        }
    }
}

/// Shows on the console how it has ended, where `quiet` keeps that line of the kernel log from it.
/// A write that would have to wait is left out. Where nothing is asked for, there is no line.
fn show_in_quiet<H: Files>(host: &mut H, report: &Report) {
    let level = Level::of(report.is_as_asked());
    if report.devices.is_empty() && level == Level::Info {
        return;
    }
    let mut buffer = [0; 32];
    // First stands the level below which messages show
    // (Documentation/admin-guide/sysctl/kernel.rst).
    let levels = host.read_value(b"/proc/sys/kernel/printk", &mut buffer);
    let shown = levels.map(|levels| number(column(levels, 0), 10));
    if matches!(shown, Ok(Some(shown)) if shown <= level as u32) {
        let mut line = Line::new();
        put!(&mut line, "pciseize: ");
        add_counts(report, "seized", &mut line);
        put!(&mut line, "\n");
        let _ = host.write(b"/dev/console", line.bytes());
    }
}

/// Says that the boot stops.
fn stop<H: Files + Console>(host: &mut H) {
    let line = "strict: the boot stops here; leave the shell to go on, or boot with pciseize.off";
    say!(host, Level::Error, "{}", line);
    // For a service manager, which begins the service anew when the shell is left.
    let _ = host.append(STOPPED, b"");
}

/// Keeps the report. If that fails, nothing changes for the devices: it is only said.
fn keep<H: Files + Workers + Console>(host: &mut H, report: &Report) {
    if let Err(errno) = store::write(host, report) {
        say!(
            host,
            Level::Error,
            "{} cannot be written: {}",
            store::file_of(report.stage),
            errno
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{Action, Wish},
        host::testing::{Machine, boxed},
    };

    /// What the console shows, by the level below which messages of the kernel show there: `quiet`
    /// is 4.
    #[test]
    fn shows_the_end_where_the_kernel_log_does_not() {
        for (levels, outcome, shown) in [
            (
                "4\t4\t1\t7\n",
                Outcome::Seized,
                Some("1 of 1 devices seized"),
            ),
            ("6 4 1 7\n", Outcome::Seized, Some("1 of 1 devices seized")),
            ("7 4 1 7\n", Outcome::Seized, None),
            ("4 4 1 7\n", Outcome::Held, None),
            ("3 4 1 7\n", Outcome::Held, Some("0 of 1 devices seized")),
            ("", Outcome::Seized, None),
        ] {
            let mut host = Machine::new();
            host.file("/proc/sys/kernel/printk", levels);
            host.file("/dev/console", "");
            let mut memory = boxed(Memory::new);
            show_in_quiet(&mut host, &memory.report(Kind::Seizure, true));
            assert!(host.calls_of("write").is_empty(), "nothing is asked for");
            let wish = Wish {
                item: Some(0),
                is_by_address: true,
            };
            let address = Address::parse(b"03:00.0").expect("an address");
            let mut device = Device::new(address, wish, Action::Seize);
            device.outcome = outcome;
            memory.devices.push(device).expect("room");
            show_in_quiet(&mut host, &memory.report(Kind::Seizure, true));
            let calls = host.calls_of("write");
            assert_eq!(
                calls.len(),
                usize::from(shown.is_some()),
                "{levels}: {calls:?}"
            );
            if let Some(shown) = shown {
                assert!(calls[0].contains(shown), "{levels}: {calls:?}");
            }
        }
    }

    /// A disk may be mounted, and a route come up, while this run waits for another.
    #[test]
    fn looks_at_what_dom0_uses_after_the_wait() {
        let mut host = Machine::new();
        host.file("/sys/hypervisor/properties/features", "00000800\n");
        host.file("/etc/xen/pciback.conf", "03:00.0\n");
        host.function("pci0000:00/0000:03:00.0", "8086:10d3", "020000");
        let mut memory = boxed(Memory::new);
        let now = Run {
            stage: Stage::Host,
            force: Force::No,
            only: &[],
        };
        run(&mut host, &mut memory, b"", now);
        let place = |call: &str| host.calls.iter().position(|own| own.starts_with(call));
        let (wait, mounts) = (place("lock "), place("read /proc/self/mountinfo"));
        assert!(wait.is_some() && mounts.is_some(), "{:?}", host.calls);
        assert!(wait < mounts, "{:?}", host.calls);
        assert!(mounts < place("write "), "{:?}", host.calls);
    }
}
