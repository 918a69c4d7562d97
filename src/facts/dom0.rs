//! Is this machine a Xen dom0?

use ufmt::{Formatter, uDisplay, uWrite};

use crate::{host::Files, show, text::number};

/// Bit of `features` that only the initial domain has (`XENFEAT_dom0` in Xen's `features.h`).
const XENFEAT_DOM0: u32 = 1 << 11;

/// Whether this is dom0, PV or PVH alike. Where that cannot be read, it is not.
///
/// `/sys/hypervisor/properties/features` (`drivers/xen/sys-hypervisor.c`) needs no mount but sysfs,
/// and unlike `/sys/hypervisor/type` tells dom0 from a guest.
pub fn is_here<H: Files>(host: &mut H) -> bool {
    let mut buffer = [0; 16];
    let Ok(text) = host.read_value(b"/sys/hypervisor/properties/features", &mut buffer) else {
        return false;
    };
    number(text, 16).is_some_and(|features| features & XENFEAT_DOM0 != 0)
}

/// The first Xen that knows names for devices: `name2bdf` of libxl came with it.
const FIRST_WITH_NAMES: [u32; 2] = [4, 15];

/// A Xen that knows no names for devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nameless {
    version: [u32; 2],
}

impl Nameless {
    /// Whether this Xen is one. Where nobody can tell, it is not.
    pub fn look<H: Files>(host: &mut H) -> Option<Nameless> {
        let version = xen_version(host).filter(|version| *version < FIRST_WITH_NAMES);
        version.map(|version| Nameless { version })
    }
}

impl uDisplay for Nameless {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let [major, minor] = self.version;
        show!(
            f,
            "Xen {}.{} knows no names of devices, only Xen 4.15 and later do",
            major,
            minor
        )
    }
}

/// The version of Xen: `[4, 17]`. `None`: nobody can tell. `major` and `minor` are in the same file
/// of the kernel (`major_show`, `minor_show`).
fn xen_version<H: Files>(host: &mut H) -> Option<[u32; 2]> {
    let mut read = |path| {
        let mut buffer = [0; 16];
        number(host.read_value(path, &mut buffer).ok()?, 10)
    };
    let major = read(b"/sys/hypervisor/version/major".as_slice())?;
    Some([major, read(b"/sys/hypervisor/version/minor")?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Errno, testing::Machine};

    #[test]
    fn knows_dom0_by_its_feature() {
        for (features, is_dom0) in [
            ("00000800\n", true),
            ("00002f05\n", true),
            ("ffffffff", true),
            ("00000705\n", false),
            ("00001000\n", false),
            ("\n", false),
            ("nonsense\n", false),
        ] {
            let mut host = Machine::new();
            host.file("/sys/hypervisor/properties/features", features);
            assert_eq!(is_here(&mut host), is_dom0, "{features}");
            host.refuse("read", Errno::EACCES);
            assert!(!is_here(&mut host), "nobody can tell");
        }
        assert!(!is_here(&mut Machine::new()), "no Xen");
    }
    #[test]
    fn tells_the_version_of_xen() {
        let mut host = Machine::new();
        assert_eq!(xen_version(&mut host), None);
        host.file("/sys/hypervisor/version/major", "4\n");
        assert_eq!(xen_version(&mut host), None);
        host.file("/sys/hypervisor/version/minor", "17\n");
        assert_eq!(xen_version(&mut host), Some([4, 17]));
        host.file("/sys/hypervisor/version/minor", "nonsense\n");
        assert_eq!(xen_version(&mut host), None);
    }
}
