//! The module: makes sure that pciback is there.

use crate::{
    host::{Compression, Errno, Files, Programs, run_modprobe},
    pciback::{self, Answer},
    put,
    text::Line,
};

/// Where the module stands below `/lib/modules/RELEASE`, as `drivers/xen/xen-pciback/Makefile`
/// builds it.
const FILE: &str = "/kernel/drivers/xen/xen-pciback/xen-pciback";

/// What follows the name: the module is plain, or compressed as distributions do it.
const ENDINGS: [(&str, Compression); 4] = [
    (".ko", Compression::None),
    (".ko.xz", Compression::ByKernel),
    (".ko.zst", Compression::ByKernel),
    (".ko.gz", Compression::ByKernel),
];

/// Loads pciback with `parameters`, if nobody else has yet.
///
/// What is wrong with the parameters must not cost the devices: the module is then loaded without
/// them. As a last resort modprobe is asked where there is one: it finds the module wherever it is,
/// and knows every compression.
pub fn load<H: Files + Programs>(host: &mut H, parameters: &[u8]) -> Answer {
    let mut answer = load_file(host, parameters);
    if answer == Answer::Refused(Errno::EINVAL) && !parameters.is_empty() {
        answer = load_file(host, b"");
        if answer.is_ready() {
            return Answer::ReadyWithoutParameters;
        }
    }
    if answer.is_ready() {
        return answer;
    }
    run_modprobe(host, b"xen-pciback");
    if pciback::is_registered(host) {
        Answer::Ready
    } else {
        answer
    }
}

/// Gives the file of the module to the kernel.
fn load_file<H: Files + Programs>(host: &mut H, parameters: &[u8]) -> Answer {
    let mut buffer = [0; 128];
    let release = match host.read(b"/proc/sys/kernel/osrelease", 0, &mut buffer) {
        Ok(release) => release.trim_ascii_end(),
        Err(errno) => return Answer::NoRelease(errno),
    };
    let mut path = Line::new();
    for folder in ["/lib/modules/", "/usr/lib/modules/"] {
        for (ending, compression) in ENDINGS {
            path.clear();
            put!(&mut path, "{}", folder);
            path.push(release);
            put!(&mut path, "{}{}", FILE, ending);
            match host.load_module(path.bytes(), parameters, compression) {
                // EEXIST: somebody else was quicker.
                Ok(()) | Err(Errno::EEXIST) if pciback::is_registered(host) => {
                    return Answer::Ready;
                }
                Ok(()) | Err(Errno::EEXIST) => return Answer::Refused(Errno::ENODEV),
                Err(Errno::ENOENT | Errno::ENOTDIR) => {}
                Err(errno) => return Answer::Refused(errno),
            }
        }
    }
    Answer::NoFile
}
