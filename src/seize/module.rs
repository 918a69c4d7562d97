//! The module: makes sure that pciback is there.

use super::hold::is_registered;
use crate::{
    host::{Errno, Host},
    put,
    text::{Line, Show, words},
};

/// Where the module stands below `/lib/modules/RELEASE`, as `drivers/xen/xen-pciback/Makefile` builds it.
const FILE: &str = "/kernel/drivers/xen/xen-pciback/xen-pciback";

/// What follows: plain, or compressed, as distributions do it. Linux unpacks the one kind that it was built for (`kernel/module/decompress.c`).
const ENDINGS: &str = ".ko .ko.xz .ko.zst .ko.gz";

/// Why pciback is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No module file was found in the folder of the running kernel.
    NoFile,
    /// The kernel's name, below which its modules are, cannot be read.
    NoRelease(Errno),
    /// The kernel did not take the module.
    Refused(Errno),
    /// The kernel took the module, and yet there is no such driver.
    NoDriver,
    /// Loading it has not come back.
    Late,
}

impl Show for Missing {
    fn show(&self, line: &mut Line) {
        match *self {
            Missing::NoFile => put!(line, "xen-pciback is neither loaded nor built in, and its module is not in the image"),
            Missing::NoRelease(errno) => put!(line, "xen-pciback: /proc/sys/kernel/osrelease: ", errno),
            Missing::Refused(errno) => put!(line, "loading xen-pciback: ", errno),
            Missing::NoDriver => put!(line, "xen-pciback was loaded, but the driver pciback did not appear"),
            Missing::Late => put!(line, "loading xen-pciback: not done in time"),
        }
    }
}

/// The answer of [`load`]: pciback is there.
pub const READY: u32 = 1;

/// The answer of [`load`]: it is there, but refused its parameters.
pub const READY_WITHOUT_PARAMETERS: u32 = 2;

/// Whether an answer says that pciback is there.
pub const fn is_ready(answer: u32) -> bool {
    matches!(answer, READY | READY_WITHOUT_PARAMETERS)
}

/// What an answer says.
///
/// # Errors
/// Why pciback is not there.
pub const fn missing(answer: u32) -> Result<(), Missing> {
    let errno = Errno((answer >> 8) as i32);
    Err(match answer & 0xff {
        1 | 2 => return Ok(()),
        3 => Missing::NoFile,
        4 => Missing::NoDriver,
        5 => Missing::NoRelease(errno),
        6 => Missing::Refused(errno),
        _ => Missing::Late,
    })
}

/// The answer that [`missing`] understands.
const fn answer(missing: Missing) -> u32 {
    match missing {
        Missing::NoFile => 3,
        Missing::NoDriver => 4,
        Missing::NoRelease(errno) => 5 | (errno.0 as u32) << 8,
        Missing::Refused(errno) => 6 | (errno.0 as u32) << 8,
        Missing::Late => 7,
    }
}

/// Loads pciback with `parameters`, if somebody else has not yet. What is wrong with them must not cost the devices: then it is loaded without. As a last resort, modprobe is asked where there is one: it
/// finds the module wherever it is, and knows every compression.
pub fn load<H: Host>(host: &mut H, parameters: &[u8]) -> u32 {
    let mut ready = READY;
    let mut loaded = load_file(host, parameters);
    if loaded == Err(Missing::Refused(Errno::EINVAL)) && !parameters.is_empty() {
        ready = READY_WITHOUT_PARAMETERS;
        loaded = load_file(host, b"");
    }
    let Err(missing) = loaded else { return ready };
    for program in words("/sbin/modprobe /usr/sbin/modprobe") {
        let _ = host.run(program, b"xen-pciback");
        if is_registered(host) {
            return READY;
        }
    }
    answer(missing)
}

/// Gives the module's file to the kernel.
#[inline(never)]
fn load_file<H: Host>(host: &mut H, parameters: &[u8]) -> Result<(), Missing> {
    let mut buffer = [0; 128];
    let release = host.read(b"/proc/sys/kernel/osrelease", 0, &mut buffer).map_err(Missing::NoRelease)?.trim_ascii_end();

    let mut path = Line::new();
    for folder in words("/lib /usr/lib") {
        for ending in words(ENDINGS) {
            path.clear();
            path.push(folder);
            put!(&mut path, "/modules/");
            path.push(release);
            put!(&mut path, FILE);
            path.push(ending);
            match host.load_module(path.bytes(), parameters, ending != b".ko") {
                // Somebody else was quicker.
                Ok(()) | Err(Errno::EEXIST) => return if is_registered(host) { Ok(()) } else { Err(Missing::NoDriver) },
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(errno) => return Err(Missing::Refused(errno)),
            }
        }
    }
    Err(Missing::NoFile)
}
