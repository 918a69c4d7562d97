//! The module: makes sure that pciback is there.

use core::ffi::CStr;

use heapless::Vec;

use super::hold::is_registered;
use crate::{
    host::{Errno, Host},
    put,
    request::cmdline::PARAMETERS_SIZE,
    text::{Line, Show},
};

/// Where the module stands below `/lib/modules/RELEASE`, as `drivers/xen/xen-pciback/Makefile` builds it.
const FILE: &str = "kernel/drivers/xen/xen-pciback/xen-pciback.ko";

/// What distributions add to that when they compress it. Linux unpacks the one kind that it was built for (`kernel/module/decompress.c`).
const ENDINGS: [&str; 4] = ["", ".xz", ".zst", ".gz"];

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
            Missing::NoRelease(errno) => put!(line, "xen-pciback cannot be looked for: /proc/sys/kernel/osrelease: ", errno),
            Missing::Refused(errno) => put!(line, "loading xen-pciback: ", errno),
            Missing::NoDriver => put!(line, "xen-pciback was loaded, but the driver pciback did not appear"),
        }
    }
}

/// Sees to it that pciback is registered: built in, loaded already, or loaded now with `parameters`.
///
/// # Errors
/// Why it is not there.
pub fn ready<H: Host>(host: &mut H, parameters: &[u8]) -> Result<(), Missing> {
    if is_registered(host) {
        return Ok(());
    }
    let mut arguments: Vec<u8, { PARAMETERS_SIZE + 1 }> = Vec::new();
    let _ = arguments.extend_from_slice(parameters);
    let _ = arguments.push(0);
    let arguments = CStr::from_bytes_with_nul(&arguments).map_err(|_| Missing::Refused(Errno::EINVAL))?;

    let mut buffer = [0; 128];
    let length = host.read(&[b"/proc/sys/kernel/osrelease"], 0, &mut buffer).map_err(Missing::NoRelease)?;
    let release = buffer.get(..length).unwrap_or_default().trim_ascii_end();

    let mut refused = None;
    for folder in ["/lib/modules/", "/usr/lib/modules/"] {
        for ending in ENDINGS {
            match host.load_module(&[folder.as_bytes(), release, b"/", FILE.as_bytes(), ending.as_bytes()], arguments, !ending.is_empty()) {
                // Somebody else was quicker.
                Ok(()) | Err(Errno::EEXIST) => return if is_registered(host) { Ok(()) } else { Err(Missing::NoDriver) },
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(errno) => refused = refused.or(Some(errno)),
            }
        }
    }
    Err(refused.map_or(Missing::NoFile, Missing::Refused))
}
