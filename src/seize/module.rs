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
}

impl Show for Missing {
    fn show(&self, line: &mut Line) {
        match *self {
            Missing::NoFile => put!(line, "xen-pciback is neither loaded nor built in, and its module is not in the image"),
            Missing::NoRelease(errno) => put!(line, "xen-pciback: /proc/sys/kernel/osrelease: ", errno),
            Missing::Refused(errno) => put!(line, "loading xen-pciback: ", errno),
            Missing::NoDriver => put!(line, "xen-pciback was loaded, but the driver pciback did not appear"),
        }
    }
}

/// Sees to it that pciback is registered: built in, loaded already, or loaded now with `parameters`.
///
/// # Errors
/// Why it is not there.
#[inline(never)]
pub fn ready<H: Host>(host: &mut H, parameters: &[u8]) -> Result<(), Missing> {
    if is_registered(host) {
        return Ok(());
    }
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
