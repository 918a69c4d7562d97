//! pciseize as the first process of an initramfs: `rdinit=/usr/sbin/pciseize`.
//!
//! It stands before the image's own `/init`, and whatever happens, that runs next. So the first
//! process itself does little: a child makes the seizure.

use core::ffi::CStr;

use super::{
    Force, Memory,
    seize::{Run, run as seize},
};
use crate::{
    host::{Console, End, Errno, FileSystem, Files, FirstProcess, Host, Level, Mounted},
    report::{Stage, store},
    request::{source::cmdline, syntax::parameter::Parameters},
    say,
    seize::{LIMIT, TIMEOUT},
    text::last_part,
};

/// What a seizure needs. The folder of the devices comes first: whatever is wrong afterwards is
/// said through it.
const NEEDED: [FileSystem; 3] = [FileSystem::Dev, FileSystem::Proc, FileSystem::Sys];

/// What is executed, the first of them that can be: the image's own, then what the kernel tries
/// (`init/main.c`, `kernel_init`).
const PROGRAMS: [&CStr; 5] = [
    c"/init",
    c"/sbin/init",
    c"/etc/init",
    c"/bin/init",
    c"/bin/sh",
];

/// How many seconds a seizure may take beyond its own timeout. It keeps that by itself: this is for
/// a child that hangs where no seizure should.
const MARGIN: u32 = 30;

/// Seizes, and has the image's own first program take the place of this process. Comes back only if
/// no program can be executed; the kernel stops then, as it does without any.
pub fn run<H: Host + FirstProcess>(host: &mut H, memory: &mut Memory, embedded: &[u8]) {
    let mounted = NEEDED.map(|system| (system, host.mount(system)));
    for (system, done) in mounted {
        if let Err(errno) = done {
            tell_unmounted(host, system, errno);
        }
    }
    let limit = |host: &mut H| match host.posted(LIMIT) {
        0 => TIMEOUT.saturating_add(MARGIN),
        seconds => seconds.saturating_add(MARGIN),
    };
    let end = host.in_child(&limit, &mut |host| {
        let boot = Run {
            stage: Stage::FirstProcess,
            force: Force::No,
            only: &[],
        };
        seize(host, memory, embedded, boot) as u8
    });
    tell_end(host, end);
    for (system, done) in mounted.into_iter().rev() {
        if let Ok(done) = done {
            host.unmount(system, done);
        }
    }
    run_next(host);
}

/// Has the next program take the place of this process.
fn run_next<H: Console + FirstProcess>(host: &mut H) {
    // Where that is pciseize again, it would run for ever.
    let own = PROGRAMS
        .iter()
        .position(|program| host.is_started_as(program));
    for program in PROGRAMS.into_iter().skip(own.map_or(0, |at| at + 1)) {
        let errno = host.become_program(program);
        // The kernel log is a device.
        let mounted = host.mount(FileSystem::Dev);
        say!(
            host,
            Level::Error,
            "{} cannot be executed: {}",
            program.to_str().unwrap_or_default(),
            errno
        );
        host.unmount(FileSystem::Dev, mounted.unwrap_or(Mounted::Before));
    }
}

/// Says what is not there.
fn tell_unmounted<H: Console>(host: &mut H, system: FileSystem, errno: Errno) {
    say!(
        host,
        Level::Error,
        "{} cannot be mounted: {}",
        system.place().to_str().unwrap_or_default(),
        errno
    );
}

/// Says how the child ended, where it could not say that itself.
fn tell_end<H: Console>(host: &mut H, end: End) {
    match end {
        // The status of every seizure. The child has told the rest.
        End::Status(_) => {}
        End::Signal(signal) => say!(
            host,
            Level::Error,
            "the seizure was ended by signal {}; what it held stays held; the boot goes on",
            signal
        ),
        End::GivenUp(seconds) => say!(
            host,
            Level::Error,
            "the seizure did not end in {} seconds, and was given up; the boot goes on",
            seconds
        ),
        End::NotBegun(errno) => say!(
            host,
            Level::Error,
            "no process for the seizure: {}; the boot goes on",
            errno
        ),
    }
}

/// Says where the kernel's line names pciseize as the first program, and no image of this boot has
/// run it.
pub fn tell_missing<H: Files + Console>(host: &mut H) {
    let mut buffer = [0; cmdline::CMDLINE_SIZE];
    let line = host.read(cmdline::FILE.as_bytes(), 0, &mut buffer);
    if is_named(line.unwrap_or_default()) && store::image(host).is_none() {
        say!(
            host,
            Level::Error,
            "rdinit= names pciseize, but this boot has no report of that run: the image has no \
             such file (then the kernel ran no /init of it either), or the run was cut off (then \
             the kernel log says how)"
        );
    }
}

/// Whether `rdinit=` names pciseize. The last one counts (`init/main.c`, `rdinit_setup`).
fn is_named(line: &[u8]) -> bool {
    let all = Parameters::new(line);
    let last = all.filter(|parameter| parameter.name == b"rdinit").last();
    last.and_then(|parameter| parameter.value)
        .is_some_and(|path| last_part(path.text, b'/') == b"pciseize")
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec};

    use super::*;
    use crate::host::testing::{Machine, boxed};

    /// What is mounted, unmounted and executed, in order.
    fn story(host: &Machine) -> Vec<&String> {
        let calls = host.calls.iter();
        let is_of_it = |call: &&String| {
            ["mount ", "unmount ", "become "]
                .iter()
                .any(|kind| call.starts_with(kind))
        };
        calls.filter(is_of_it).collect()
    }

    /// Whatever becomes of the child, what was mounted is unmounted, and `/init` is next.
    #[test]
    fn init_runs_whatever_happens() {
        for (end, said) in [
            (None, "not a Xen dom0"),
            (Some(End::Signal(11)), "by signal 11"),
            (Some(End::GivenUp(0)), "in 60 seconds"),
            (Some(End::NotBegun(Errno::EAGAIN)), "EAGAIN"),
        ] {
            let mut host = Machine::new();
            host.end = end;
            run(&mut host, &mut boxed(Memory::new), b"");
            let expected = [
                "mount /dev",
                "mount /proc",
                "mount /sys",
                "unmount /sys",
                "unmount /proc",
                "unmount /dev",
                "become /init",
            ];
            assert_eq!(story(&host)[..7], expected, "{end:?}");
            let says = |call: &String| call.starts_with("say ") && call.contains(said);
            assert!(host.calls.iter().any(says), "{end:?}: {:?}", host.calls);
        }
    }

    /// What cannot be mounted is said, and not unmounted.
    #[test]
    fn goes_on_where_nothing_can_be_mounted() {
        let mut host = Machine::new();
        host.refuse("mount", Errno::ENODEV);
        run(&mut host, &mut boxed(Memory::new), b"");
        assert_eq!(story(&host)[3], "become /init");
        let says = host.calls_of("say");
        assert_eq!(says[0], "Error /dev cannot be mounted: ENODEV (19)");
    }

    /// Where `/init` cannot be executed, what the kernel would try is tried.
    #[test]
    fn tries_what_the_kernel_tries() {
        let mut host = Machine::new();
        host.refuse("become /init", Errno::EACCES);
        run(&mut host, &mut boxed(Memory::new), b"");
        let tried = host.calls_of("become");
        let expected = ["/init", "/sbin/init", "/etc/init", "/bin/init", "/bin/sh"];
        assert_eq!(tried, expected);
        let says = host.calls_of("say");
        assert!(
            says.contains(&"Error /init cannot be executed: EACCES (13)"),
            "{says:?}"
        );
    }

    /// Where `/init` is pciseize too, that would never end.
    #[test]
    fn does_not_become_itself_again() {
        for (own, next) in [
            (c"/usr/sbin/pciseize", "/init"),
            (c"/init", "/sbin/init"),
            (c"/sbin/init", "/etc/init"),
        ] {
            let mut host = Machine::new();
            host.started_as = own;
            run(&mut host, &mut boxed(Memory::new), b"");
            assert_eq!(host.calls_of("become")[0], next, "{own:?}");
        }
    }

    /// The report goes where every `/init` leaves it, and a later look finds it.
    #[test]
    fn keeps_the_report_in_the_devtmpfs() {
        let mut host = Machine::new();
        run(&mut host, &mut boxed(Memory::new), b"");
        assert!(host.content("/dev/pciseize.report").is_some());
        assert!(host.content("/run/pciseize/report").is_none());
        assert!(store::image(&mut host).is_some());
    }

    #[test]
    fn warns_where_it_is_named_and_has_not_run() {
        for (line, has_run, is_warned) in [
            ("rdinit=/usr/sbin/pciseize quiet", false, true),
            ("rdinit=/usr/bin/pciseize quiet", false, true),
            ("rdinit=/usr/sbin/pciseize", true, false),
            ("rdinit=/usr/sbin/pciseize rdinit=/init", false, false),
            ("rdinit=/init rdinit=/pciseize", false, true),
            ("init=/usr/sbin/pciseize", false, false),
            ("-- rdinit=/usr/sbin/pciseize", false, false),
            ("", false, false),
        ] {
            let mut host = Machine::new();
            host.file("/proc/cmdline", line);
            if has_run {
                let report = r#"{"stage":"initramfs","config_digest":"0123456789abcdef","#;
                host.file(store::EARLY_FILE, report);
            }
            tell_missing(&mut host);
            assert_eq!(!host.calls_of("say").is_empty(), is_warned, "{line}");
        }
    }
}
