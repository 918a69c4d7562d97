//! The module: makes sure that pciback is there.

use super::hold::is_registered;
use crate::{
    host::{Errno, Host},
    put,
    text::{Either, Line, Show, part, words},
};

/// Where the module stands below `/lib/modules/RELEASE`, as `drivers/xen/xen-pciback/Makefile` builds it.
const FILE: &str = "/kernel/drivers/xen/xen-pciback/xen-pciback";

/// What follows: plain, or compressed, as distributions do it. Linux unpacks the one kind that it was built for (`kernel/module/decompress.c`).
const ENDINGS: &str = ".ko .ko.xz .ko.zst .ko.gz";

/// What came of loading pciback: one number, which is noted where all can read it. The lowest 8 bits are one of those below, the others the kernel's errno, where there is one. 0: nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer(pub u32);

impl Answer {
    /// It is there.
    pub const READY: Answer = Answer(1);
    /// It is there, but refused its parameters.
    pub const READY_WITHOUT_PARAMETERS: Answer = Answer(2);
    /// No module file was found in the folder of the running kernel.
    const NO_FILE: Answer = Answer(3);
    /// The kernel's name, below which its modules are, cannot be read.
    const NO_RELEASE: Answer = Answer(4);
    /// The kernel did not take the module; `ENODEV` also where it did, and the driver is not there.
    const REFUSED: Answer = Answer(5);

    const fn with(self, errno: Errno) -> Answer {
        Answer(self.0 | (errno.0 as u32) << 8)
    }

    /// Whether pciback is there.
    pub const fn is_ready(self) -> bool {
        matches!(self, Answer::READY | Answer::READY_WITHOUT_PARAMETERS)
    }
}

impl Show for Answer {
    fn show(&self, line: &mut Line) {
        const TEXTS: &str = "

xen-pciback is neither loaded nor built in, and its module is not in the image
xen-pciback: /proc/sys/kernel/osrelease: 
loading xen-pciback: ";
        // [`crate::host::LATE`] is none of them, and 0 is where whoever loaded it was ended.
        let answer = if matches!(self.0 & 0xff, 1..=5) { self } else { &Answer::REFUSED.with(Errno::STUCK) };
        line.push(part(TEXTS, b'\n', (answer.0 as usize & 0xff).wrapping_sub(1)));
        if answer.0 > 0xff {
            put!(line, Errno((answer.0 >> 8) as i32));
        }
    }
}

/// Loads pciback with `parameters`, if somebody else has not yet. What is wrong with them must not cost the devices: then it is loaded without. As a last resort, modprobe is asked where there is one: it
/// finds the module wherever it is, and knows every compression.
pub fn load<H: Host>(host: &mut H, parameters: &[u8]) -> Answer {
    let mut answer = load_file(host, parameters);
    if answer == Answer::REFUSED.with(Errno::EINVAL) && !parameters.is_empty() {
        answer = load_file(host, b"");
        if answer.is_ready() {
            return Answer::READY_WITHOUT_PARAMETERS;
        }
    }
    if !answer.is_ready() {
        modprobe(host, b"xen-pciback");
        if is_registered(host) {
            answer = Answer::READY;
        }
    }
    answer
}

/// Has modprobe load a module by its name, or what a device wants by its modalias, where there is one.
#[inline(never)]
pub fn modprobe<H: Host>(host: &mut H, name: &[u8]) {
    let _ = words("/sbin/modprobe /usr/sbin/modprobe").any(|program| host.run(program, name, b"").is_ok());
}

/// Gives the module's file to the kernel.
#[inline(never)]
fn load_file<H: Host>(host: &mut H, parameters: &[u8]) -> Answer {
    let mut buffer = [0; 128];
    let release = match host.read(b"/proc/sys/kernel/osrelease", 0, &mut buffer) {
        Ok(release) => release.trim_ascii_end(),
        Err(errno) => return Answer::NO_RELEASE.with(errno),
    };
    let mut path = Line::new();
    for number in 0..8 {
        path.clear();
        put!(&mut path, Either(if number < 4 { "" } else { "/usr" }), "/lib/modules/");
        path.push(release);
        put!(&mut path, FILE);
        path.push(part(ENDINGS, b' ', number & 3));
        match host.load_module(path.bytes(), parameters, number & 3 != 0) {
            // Somebody else was quicker.
            Ok(()) | Err(Errno::EEXIST) => return if is_registered(host) { Answer::READY } else { Answer::REFUSED.with(Errno::ENODEV) },
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(errno) => return Answer::REFUSED.with(errno),
        }
    }
    Answer::NO_FILE
}
