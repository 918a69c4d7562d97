//! Is this machine a Xen dom0?

use crate::{host::Host, path};

/// Bit of `features` that only the initial domain has (`XENFEAT_dom0` in Xen's `features.h`).
const XENFEAT_DOM0: u32 = 1 << 11;

/// Whether this is dom0, PV or PVH alike. `/sys/hypervisor/properties/features` (`drivers/xen/sys-hypervisor.c`) needs no mount but sysfs, and unlike `/sys/hypervisor/type` tells dom0 from a guest.
/// Where it cannot be read, this is not dom0.
pub fn is_here<H: Host>(host: &mut H) -> bool {
    let mut buffer = [0; 16];
    let Ok(length) = host.read(&path!("/sys/hypervisor/properties/features"), 0, &mut buffer) else { return false };
    let digits = buffer.get(..length).unwrap_or_default().trim_ascii();
    let features = core::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
    features.is_some_and(|features| features & XENFEAT_DOM0 != 0)
}
