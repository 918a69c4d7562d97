//! What `add` and `remove` have in common: the lock, the words, and what is said of the file.

use super::{Memory, alone, is_meant_by};
use crate::{
    device::{Device, order},
    edit::{self, Fault, Seen},
    facts::usage::Uses,
    host::{Console, Errno, Files, Host, Level, Workers},
    plan::{self, Extent},
    request::Selector,
    say,
};

/// Whoever has locked this file edits the drop-in.
const LOCK: &str = "/run/pciseize/edit.lock";

/// How many seconds another edit is waited for.
const PATIENCE: u32 = 30;

/// Waits until nobody else edits the drop-in, and looks at it. `None`: nothing can be done, and
/// that was said.
pub fn begin<H: Files + Workers + Console>(host: &mut H) -> Option<Seen> {
    if let Err(errno) = alone::lock(host, LOCK, PATIENCE) {
        say!(
            host,
            Level::Error,
            "{}: {}: nothing is written, as another pciseize may be at it{}",
            LOCK,
            errno,
            hint(errno)
        );
        return None;
    }
    match edit::look(host) {
        Ok(seen) => Some(seen),
        Err(fault) => {
            tell(host, &fault);
            None
        }
    }
}

/// What to do about an error that has to do with who somebody is.
fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::EACCES | Errno::EPERM => "; run as root",
        _ => "",
    }
}

/// Says why the file is as it was before.
pub fn tell<H: Console>(host: &mut H, fault: &Fault) {
    say!(host, Level::Error, "{}; nothing is written", fault);
}

/// Reads what is asked for, looks at every function, and decides on each as a boot would.
///
/// # Errors
/// Why the bus cannot be listed. Each item tells of that too.
pub fn survey<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8]) -> Result<(), Errno> {
    let walked = memory.survey(host, embedded, None, (Uses::TO_BOOT, Extent::Whole));
    let Memory {
        request,
        devices,
        usage,
        ..
    } = memory;
    plan::note_untraced(request, usage);
    plan::locate(host, devices, &|_| true);
    order::find_twins(devices);
    walked
}

/// Whether a selector means a function that is there.
pub fn means(selector: &Selector, device: &Device) -> bool {
    is_meant_by(device, selector) && !(device.is_bridge() && selector.passes_over_bridges())
}

/// Whether a selector passes over a function that is there, a bridge.
pub fn passes_over(selector: &Selector, device: &Device) -> bool {
    device.is_bridge() && selector.passes_over_bridges() && is_meant_by(device, selector)
}
