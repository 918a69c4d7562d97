//! Who else asks for devices: the drivers `vfio-pci` and `pci-stub` by their ids, and libvirt by
//! their addresses. pciseize has a device first: while its override names pciback, no other driver
//! gets it, by new ids neither (`drivers/pci/pci-driver.c`, `pci_match_device`).
//!
//! | place | text |
//! | --- | --- |
//! | kernel's command line | `vfio-pci.ids=10de:1b80,10de:10f0` |
//! | modprobe.d | `options vfio-pci ids=10de:1b80` |
//! | modprobe.d | `softdep nouveau pre: vfio-pci` |
//! | `/etc/libvirt/libxl` | `<hostdev managed='yes'>` with the address of a device |
//!
//! And a hook of Qubes, in images that dracut makes, gives pciback every network device, kept or
//! not.
//!
//! Of what is more than has a place only that is known: these are hints.

use heapless::Vec;

use crate::{
    device::{Action, Device},
    host::{
        Files, PATH_SIZE, Path,
        lines::{self, FILE_SIZE},
    },
    pci::{Address, Identity, bus::DriverName},
    put,
    request::{
        Request,
        source::{
            cmdline::{CMDLINE_SIZE, FILE, OPTION},
            folder::Folders,
            modprobe::FOLDERS,
        },
        syntax::parameter::{Parameters, is_same_name},
    },
    text::{Escaped, Line, number, pieces, split, split_once},
};

/// Most claims that are kept.
pub const CLAIMS: usize = 64;

/// Most files that they are in.
pub const SOURCES: usize = 16;

/// Most bytes of a libvirt file that are read.
const XML_SIZE: u64 = FILE_SIZE;

/// The drivers that take devices by ids which somebody writes, as modules and as drivers.
const STUBS: [&str; 2] = ["vfio-pci", "pci-stub"];

/// Where libvirt keeps its guests of Xen.
const LIBVIRT: [&str; 1] = ["/etc/libvirt/libxl"];

/// The hook of Qubes (`dracut/modules.d/90qubes-pciback/qubes-pciback.sh` in its
/// qubes-core-admin-linux).
const QUBES: &str = "/usr/lib/dracut/modules.d/90qubes-pciback/qubes-pciback.sh";

/// What is claimed, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Claim {
    /// A driver is to take all devices with these ids.
    Ids(&'static str, Ids),
    /// A stub is to be loaded before the driver of that name.
    Before(&'static str, DriverName),
    /// libvirt is to give the device at an address to a guest.
    Guest(Address),
}

/// Ids as the two drivers take them: `vendor:device[:subvendor[:subdevice[:class[:mask]]]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    /// Vendor, device, subsystem vendor and subsystem device. `ANY` fits any.
    ids: [u32; 4],
    class: u32,
    mask: u32,
}

/// An id that fits any (`include/linux/mod_devicetable.h`, `PCI_ANY_ID`).
const ANY: u32 = u32::MAX;

impl Ids {
    /// Reads ids as the drivers do (`drivers/vfio/pci/vfio_pci.c`, `vfio_pci_fill_ids`).
    fn parse(text: &[u8]) -> Option<Ids> {
        let mut fields = split(text, b':').map(|field| number(field, 16));
        let ids = [fields.next()??, fields.next()??];
        let mut next = |default| fields.next().flatten().unwrap_or(default);
        Some(Ids {
            ids: [ids[0], ids[1], next(ANY), next(ANY)],
            class: next(0),
            mask: next(0),
        })
    }

    /// Whether a device has them.
    fn has(&self, identity: Identity) -> bool {
        let own = [48, 32, 16, 0].map(|shift| (identity.ids >> shift) as u32 & 0xffff);
        let mut pairs = self.ids.iter().zip(own);
        pairs.all(|(&wanted, own)| wanted == ANY || wanted == own)
            && (self.class ^ identity.class) & self.mask == 0
    }
}

/// A claim, and where it stands.
#[derive(Debug)]
struct Rival {
    claim: Claim,
    source: u8,
    line: u32,
}

/// Who else asks for devices.
#[derive(Debug, Default)]
pub struct Rivals {
    list: Vec<Rival, CLAIMS>,
    sources: Vec<Vec<u8, PATH_SIZE>, SOURCES>,
    /// Whether there are claims beside these.
    has_more: bool,
    /// Whether the hook of Qubes is installed.
    has_qubes: bool,
}

impl Rivals {
    /// Nobody.
    pub const fn new() -> Rivals {
        Rivals {
            list: Vec::new(),
            sources: Vec::new(),
            has_more: false,
            has_qubes: false,
        }
    }

    /// Looks who else asks for devices. `cmdline`: what is to be read in place of the kernel's.
    // 12 KiB less memory of a seizure, with `reserved::look`: all commands would have the buffer.
    #[inline(never)]
    pub fn gather<H: Files>(&mut self, host: &mut H, cmdline: Option<&[u8]>) {
        self.list.clear();
        self.sources.clear();
        self.has_more = false;
        self.has_qubes = host.read(QUBES.as_bytes(), 0, &mut []).is_ok();
        let mut buffer = [0; CMDLINE_SIZE];
        match cmdline {
            Some(text) => self.read_cmdline(OPTION.as_bytes(), text),
            None => {
                let text = host.read(FILE.as_bytes(), 0, &mut buffer);
                self.read_cmdline(FILE.as_bytes(), text.unwrap_or_default());
            }
        }
        let is_conf = |name: &[u8]| name.ends_with(b".conf") && !name.starts_with(b".");
        each_file(host, Folders::new(&FOLDERS, is_conf), &mut |host, path| {
            // What cannot be read is told by those who read the requests.
            let _ = lines::each(host, path, FILE_SIZE, &mut |_, line| {
                self.read_modprobe(path, line.number, line.text);
            });
        });
        let is_guest = |name: &[u8]| name.ends_with(b".xml");
        each_file(host, Folders::new(&LIBVIRT, is_guest), &mut |host, path| {
            self.read_guest(host, path);
        });
    }

    /// Whether there are claims that had no place: nobody can say whose.
    pub const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Adds those who ask for a device in words, each piece with `; ` in front: the place, and who
    /// wins.
    pub fn add_words(&self, device: &Device, line: &mut Line) {
        let identity = device.function.identity;
        let is_taken = device.action == Action::Seize;
        for rival in &self.list {
            let (name, what, after) = match &rival.claim {
                Claim::Ids(stub, ids) if identity.is_some_and(|own| ids.has(own)) => {
                    let who = if is_taken {
                        "pciseize wins"
                    } else {
                        "pciseize would win"
                    };
                    (*stub, "asks for it by ids", who)
                }
                Claim::Before(stub, driver) if is_same_name(driver, &device.state.driver) => (
                    *stub,
                    "is to be loaded first",
                    "pciseize does not need that",
                ),
                Claim::Guest(address) if *address == device.address() => (
                    "libvirt",
                    "manages it for a guest",
                    "it stays with pciback, as with managed='no'",
                ),
                _ => continue,
            };
            let source = self.sources.get(usize::from(rival.source));
            let source = Escaped(source.map_or(b"".as_slice(), |source| source));
            put!(
                line,
                "; {} {}, at {}:{}: {}",
                name,
                what,
                source,
                rival.line,
                after
            );
        }
    }

    /// Adds who takes a device that an item of the configuration keeps. Qubes' own word to keep one
    /// is on the kernel's command line.
    pub fn add_words_of_kept(&self, request: &Request, device: &Device, line: &mut Line) {
        let Action::Keep(keep) = device.action else {
            return;
        };
        let keep = request.items.get(usize::from(keep));
        let source = keep.map_or(b"".as_slice(), |keep| request.source(keep.origin.source));
        let is_on_cmdline = source == FILE.as_bytes() || source == OPTION.as_bytes();
        let is_network = |identity: Identity| identity.class >> 16 == 0x02;
        if self.has_qubes && !is_on_cmdline && device.function.identity.is_some_and(is_network) {
            let address = device.address();
            put!(
                line,
                "; {} takes it all the same, for pciback: rd.qubes.dom0_usb={:02x}:{:02x}.{:x} \
                 leaves it to dom0",
                QUBES,
                address.bus(),
                address.devfn() >> 3,
                address.devfn() & 7
            );
        }
    }

    /// Adds a claim.
    fn add(&mut self, claim: Claim, source: Path, line: u32) {
        let known = self.sources.iter().position(|known| known == source);
        let place = known.or_else(|| {
            let source = Vec::from_slice(source).ok()?;
            self.sources.push(source).ok()?;
            Some(self.sources.len() - 1)
        });
        let source = place.and_then(|place| u8::try_from(place).ok());
        let rival = source.map(|source| Rival {
            claim,
            source,
            line,
        });
        let is_kept = rival.is_some_and(|rival| self.list.push(rival).is_ok());
        self.has_more |= !is_kept;
    }

    /// Adds the claims of a list of ids.
    fn add_ids(&mut self, driver: &'static str, ids: &[u8], source: Path, line: u32) {
        for ids in split(ids, b',').filter_map(Ids::parse) {
            self.add(Claim::Ids(driver, ids), source, line);
        }
    }

    /// Reads a kernel command line.
    fn read_cmdline(&mut self, source: Path, text: &[u8]) {
        for parameter in Parameters::new(text) {
            if let Some((module, b"ids")) = split_once(parameter.name, b'.')
                && let Some(stub) = find_stub(module)
                && let Some(ids) = parameter.value_text()
            {
                self.add_ids(stub, ids, source, 1);
            }
        }
    }

    /// Reads a line of modprobe.d.
    fn read_modprobe(&mut self, source: Path, line: u32, text: &[u8]) {
        let mut words = Parameters::new(text);
        let command = words.next().map(|word| word.text);
        let Some(module) = words.next().map(|word| word.text) else {
            return;
        };
        if command == Some(b"options")
            && let Some(stub) = find_stub(module)
        {
            for option in words.filter(|option| option.name == b"ids") {
                self.add_ids(stub, option.value_text().unwrap_or_default(), source, line);
            }
        } else if command == Some(b"softdep")
            && let Some(stub) = words.find_map(|word| find_stub(word.text))
            && let Ok(driver) = DriverName::from_slice(module)
        {
            self.add(Claim::Before(stub, driver), source, line);
        }
    }

    /// Reads a guest of libvirt, as that writes it: an element a line.
    fn read_guest<H: Files>(&mut self, host: &mut H, path: Path) {
        let [mut is_managed, mut is_source] = [false; 2];
        let _ = lines::each(host, path, XML_SIZE, &mut |_, line| {
            let text = line.text.trim_ascii();
            if text.starts_with(b"<hostdev ") {
                is_managed = pieces(text, is_blank)
                    .any(|word| matches!(word.text, b"managed='yes'" | b"managed='yes'>"));
            } else if text.starts_with(b"<source") {
                is_source = true;
            } else if text.starts_with(b"</source") {
                is_source = false;
            } else if is_managed
                && is_source
                && let Some(address) = read_address(text)
            {
                self.add(Claim::Guest(address), path, line.number);
            }
        });
    }
}

/// Calls `visit` with the path of each file.
fn each_file<H: Files>(host: &mut H, mut files: Folders, visit: &mut dyn FnMut(&mut H, Path)) {
    while let Some(folder) = files.next(host) {
        let mut path = Line::new();
        put!(&mut path, "{}/", folder);
        path.push(&files.name);
        visit(host, path.bytes());
    }
}

/// The driver that a module is.
fn find_stub(module: &[u8]) -> Option<&'static str> {
    STUBS
        .into_iter()
        .find(|stub| is_same_name(stub.as_bytes(), module))
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

/// Reads `<address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>`.
fn read_address(text: &[u8]) -> Option<Address> {
    let text = text.strip_prefix(b"<address ")?;
    let value = |name: &str| {
        let value = pieces(text, is_blank).find_map(|word| {
            let value = word.text.strip_prefix(name.as_bytes())?;
            value.strip_prefix(b"='0x")
        });
        number(split(value?, b'\'').next()?, 16)
    };
    let [domain, bus, slot, function] = ["domain", "bus", "slot", "function"].map(value);
    let mut line = Line::new();
    put!(
        &mut line,
        "{:x}:{:x}:{:x}.{:x}",
        domain?,
        bus?,
        slot?,
        function?
    );
    Address::parse(line.bytes()).ok()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String};

    use super::*;
    use crate::{
        device::Wish,
        host::testing::{Machine, text},
        request::testing::request,
    };

    const MODPROBE: &str = "/etc/modprobe.d/x.conf";
    const GUEST: &str = "/etc/libvirt/libxl/guest.xml";

    fn device() -> Device {
        let wish = Wish {
            item: Some(0),
            is_by_address: false,
        };
        let address = Address::parse(b"03:00.0").expect("an address");
        let mut device = Device::new(address, wish, Action::Seize);
        device.function.identity = Some(Identity {
            ids: 0x10de_1b80_1043_85a4,
            class: 0x03_0000,
        });
        device.state.driver = DriverName::from_slice(b"snd-hda_intel").expect("room");
        device
    }

    /// What is said of the device where a file has that text.
    fn said(path: &str, content: &str) -> String {
        let mut host = Machine::new();
        host.file(path, content);
        let mut rivals = Rivals::new();
        rivals.gather(&mut host, None);
        let mut line = Line::new();
        rivals.add_words(&device(), &mut line);
        text(line.bytes())
    }

    #[test]
    fn knows_ids_as_the_drivers_do() {
        for (ids, expected) in [
            ("10de:1b80", true),
            ("10DE:1B80:1043:85a4", true),
            ("10de:1b80:1043", true),
            ("10de:1b80:1043:ffffffff:030000:ff0000", true),
            ("ffffffff:1b80", true),
            ("8086:1b80", false),
            ("10de:1b81", false),
            ("10de:1b80:1044", false),
            ("10de:1b80:1043:85a4:020000:ff0000", false),
            ("10de:1b80:1043:85a4:020000", true),
            ("10de", false),
            ("10de:", false),
            ("nonsense:1b80", false),
            ("", false),
        ] {
            let identity = device().function.identity.expect("an identity");
            let has = Ids::parse(ids.as_bytes()).is_some_and(|ids| ids.has(identity));
            assert_eq!(has, expected, "{ids}");
        }
    }

    #[test]
    fn finds_ids_on_the_command_line() {
        for (line, expected) in [
            ("quiet vfio-pci.ids=8086:10d3,10de:1b80 ro", "vfio-pci"),
            ("pci_stub.ids=10de:1b80", "pci-stub"),
            ("vfio-pci.ids", ""),
            ("vfio-pci.disable_vga=1 xvfio-pci.ids=10de:1b80", ""),
            ("-- vfio-pci.ids=10de:1b80", ""),
        ] {
            let expected = match expected {
                "" => String::new(),
                name => format!("; {name} asks for it by ids, at /proc/cmdline:1: pciseize wins"),
            };
            assert_eq!(said(FILE, line), expected, "{line}");
        }
    }

    #[test]
    fn finds_ids_and_softdeps_of_modprobe() {
        let ids = "; vfio-pci asks for it by ids, at /etc/modprobe.d/x.conf:2: pciseize wins";
        let softdep = "; vfio-pci is to be loaded first, at /etc/modprobe.d/x.conf:2: \
            pciseize does not need that";
        for (line, expected) in [
            ("options vfio-pci ids=10de:1b80,10de:10f0", ids),
            ("options vfio_pci disable_vga=1 ids=10de:1b80", ids),
            ("#options vfio-pci ids=10de:1b80", ""),
            ("options vfio-pci ids", ""),
            ("options vfio-pci", ""),
            ("options", ""),
            ("softdep snd_hda_intel pre: vfio-pci", softdep),
            ("softdep snd_hda_intel pre: snd vfio_pci post: x", softdep),
            ("softdep nouveau pre: vfio-pci", ""),
            ("softdep snd_hda_intel pre: snd", ""),
        ] {
            let content = format!("# vfio\n{line}\n");
            assert_eq!(said(MODPROBE, &content), expected, "{line}");
            let of_another = MODPROBE.replace(".conf", ".conf.bak");
            assert_eq!(said(&of_another, &content), "", "{line}");
        }
    }

    #[test]
    fn finds_the_guests_of_libvirt() {
        let address = "<address domain='0x0000' bus='0x03' slot='0x00' function='0x0'/>";
        let guest = |managed: &str, address: &str| {
            format!(
                "<domain type='xen'>\n  <hostdev mode='subsystem' type='pci' managed='{managed}'>\n\
                 <source>\n{address}\n</source>\n{address}\n</hostdev>\n</domain>\n"
            )
        };
        let told = "; libvirt manages it for a guest, at /etc/libvirt/libxl/guest.xml:4: \
            it stays with pciback, as with managed='no'";
        assert_eq!(said(GUEST, &guest("yes", address)), told);
        assert_eq!(said(GUEST, &guest("no", address)), "");
        let other = address.replace("0x03", "0x04");
        assert_eq!(said(GUEST, &guest("yes", &other)), "");
        for cut in ["<address", "<address bus='0x03'/>", "<address domain='0x'"] {
            assert_eq!(said(GUEST, &guest("yes", cut)), "");
        }
    }

    #[test]
    fn knows_what_the_hook_of_qubes_takes() {
        for (class, has_hook, action, expected) in [
            (0x02_0000, true, Action::Keep(0), true),
            (0x02_0000, false, Action::Keep(0), false),
            (0x03_0000, true, Action::Keep(0), false),
            (0x02_0000, true, Action::Seize, false),
        ] {
            let mut host = Machine::new();
            if has_hook {
                host.file(QUBES, "");
            }
            let mut rivals = Rivals::new();
            rivals.gather(&mut host, Some(b""));
            let mut device = device();
            device.action = action;
            device.function.identity = Some(Identity { ids: 0, class });
            let mut line = Line::new();
            rivals.add_words_of_kept(&request("!03:00.0"), &device, &mut line);
            let is_told = text(line.bytes()).contains("rd.qubes.dom0_usb=03:00.0 leaves");
            assert_eq!(is_told, expected, "{class:x} {has_hook} {action:?}");
        }
    }

    #[test]
    fn leaves_out_what_has_no_place() {
        let ids = "10de:1b80,".repeat(CLAIMS + 1);
        let said = said(FILE, &format!("vfio-pci.ids={ids}"));
        let line = "; vfio-pci asks for it by ids, at /proc/cmdline:1: pciseize wins";
        assert!(said.starts_with(line));
    }
}
