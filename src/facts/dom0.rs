//! Is this machine a Xen dom0?

use crate::{host::Files, text::number};

/// Bit of `features` that only the initial domain has (`XENFEAT_dom0` in Xen's `features.h`).
const XENFEAT_DOM0: u32 = 1 << 11;

/// Whether this is dom0, PV or PVH alike. Where that cannot be read, it is not.
///
/// `/sys/hypervisor/properties/features` (`drivers/xen/sys-hypervisor.c`) needs no mount but sysfs,
/// and unlike `/sys/hypervisor/type` tells dom0 from a guest.
pub fn is_here<H: Files>(host: &mut H) -> bool {
    let mut buffer = [0; 16];
    let Ok(text) = host.read(b"/sys/hypervisor/properties/features", 0, &mut buffer) else {
        return false;
    };
    number(text.trim_ascii_end(), 16).is_some_and(|features| features & XENFEAT_DOM0 != 0)
}
