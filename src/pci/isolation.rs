//! What stands between a function and the others, as its configuration space tells it.
//!
//! An IOMMU tells functions apart by the address that their requests come with. Two things defeat
//! it: a bridge to conventional PCI, behind which all requests come with one address, and requests
//! from one function to another that never reach the IOMMU. Against the second PCI Express has
//! Access Control Services (ACS), which bridges and functions of one slot may have or not.
//!
//! The rules are those of Linux (`drivers/pci/pci.c`, `pci_acs_enabled`, and
//! `drivers/pci/search.c`, `pci_for_each_dma_alias`), but for its lists of devices that it trusts
//! without ACS, or with another address than their own: here those are as their registers say.

use super::{Address, bus};
use crate::host::{Errno, Files};

/// What keeps a function apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// Whether its registers could be read. If not, the other fields say the worst.
    pub is_known: bool,
    /// Whether all that is behind it comes with one address: where that is no port of PCI Express.
    pub is_alias: bool,
    /// Whether requests between what is behind it, or between it and the rest of its slot, have to
    /// pass the IOMMU.
    pub isolates: bool,
    /// Whether it passes requests to the other ports of its switch: a port downstream without ACS.
    pub passes_on: bool,
    /// Whether its slot has more functions than it.
    pub is_multifunction: bool,
}

/// The registers (`include/uapi/linux/pci_regs.h`).
const STATUS: usize = 0x06;
const HEADER_TYPE: usize = 0x0e;
const CAPABILITIES: usize = 0x34;
const HEADER: usize = 0x40;
const EXTENDED_CAPABILITIES: u64 = 0x100;

/// The bit of the status that says that there are capabilities (`PCI_STATUS_CAP_LIST`).
const HAS_CAPABILITIES: u8 = 0x10;

/// The bit of the header type that says that the slot has more functions.
const MULTIFUNCTION: u8 = 0x80;

/// The capabilities that are looked for.
const EXPRESS: u8 = 0x10;
const ACCESS_CONTROL: u16 = 0x0d;

/// What ACS has to do: check who asks, and send requests, answers and what was redirected upwards
/// (`drivers/iommu/iommu.c`, `REQ_ACS_FLAGS`).
const NEEDED: u16 = 0x01 | 0x04 | 0x08 | 0x10;

/// Most capabilities of either list: as many as have room, so that a list that runs in a circle
/// ends.
const MOST: usize = 960;

impl Isolation {
    /// What is assumed where nothing can be read.
    pub const UNKNOWN: Isolation = Isolation {
        is_known: false,
        is_alias: true,
        isolates: false,
        passes_on: true,
        is_multifunction: true,
    };

    /// Reads what the registers of a function tell.
    ///
    /// # Errors
    /// Why they cannot be read; `EIO` for those of a function that does not answer, and for a list
    /// without an end; `EACCES` for what the kernel shows only to root: to others the file ends
    /// before (`drivers/pci/pci-sysfs.c`, `pci_read_config`).
    pub fn read<H: Files>(host: &mut H, address: Address) -> Result<Isolation, Errno> {
        let file = bus::attribute(address, "/config");
        let mut registers = Registers {
            host,
            address,
            file,
        };
        registers.isolation()
    }
}

/// The registers of a function.
struct Registers<'h, H> {
    host: &'h mut H,
    address: Address,
    /// The path of the file that has them.
    file: bus::Attribute,
}

impl<H: Files> Registers<'_, H> {
    fn isolation(&mut self) -> Result<Isolation, Errno> {
        let registers: [u8; HEADER] = self.bytes(0)?.ok_or(Errno::EIO)?;
        let [status, header, capabilities] =
            [STATUS, HEADER_TYPE, CAPABILITIES].map(|at| registers.get(at).copied());
        let header = header.unwrap_or(u8::MAX);
        // A function that does not answer reads as ones.
        if header == u8::MAX {
            return Err(Errno::EIO);
        }
        // The kernel counts all but the first function of a slot as such (`drivers/pci/probe.c`,
        // `pci_scan_slot`), and no virtual one (`drivers/pci/iov.c`, `pci_iov_add_virtfn`). A slot
        // of more than eight functions goes on in the next.
        let is_multifunction = (header & MULTIFUNCTION != 0 || self.address.devfn() != 0)
            && !bus::is_virtual(self.host, self.address);
        let kind = match capabilities {
            Some(first) if status.is_some_and(|status| status & HAS_CAPABILITIES != 0) => {
                self.kind(first)?
            }
            _ => None,
        };
        let isolates = match kind {
            // Ports: of the root, and downstream in a switch.
            Some(4 | 6) => self.read_access_control()?,
            // Endpoints, the upper port of a switch, endpoints of the root complex.
            Some(0 | 1 | 5 | 9) => !is_multifunction || self.read_access_control()?,
            _ => false,
        };
        Ok(Isolation {
            is_known: true,
            is_alias: !matches!(kind, Some(4..=6)),
            isolates,
            passes_on: kind == Some(6) && !isolates,
            is_multifunction,
        })
    }

    /// What kind of device it is in PCI Express (`PCI_EXP_FLAGS_TYPE`). `None`: it is conventional.
    /// `first` is where the first capability is.
    fn kind(&mut self, first: u8) -> Result<Option<u8>, Errno> {
        let mut at = first;
        for _ in 0..MOST {
            // The two lowest bits mean nothing. There is nothing below the header.
            at &= !3;
            if at < 0x40 {
                return Ok(None);
            }
            let [id, next, flags, _] = self.word(at.into())?;
            if id == EXPRESS {
                return Ok(Some(flags >> 4));
            }
            at = next;
        }
        Err(Errno::EIO)
    }

    /// Whether ACS does all that is needed, now. A kernel in a dom0 turns it on
    /// (`arch/x86/xen/enlighten_pv.c` and `drivers/pci/pci.c`, `pci_request_acs`).
    fn read_access_control(&mut self) -> Result<bool, Errno> {
        let mut at = EXTENDED_CAPABILITIES;
        for _ in 0..MOST {
            // Where nobody reaches these registers, the file ends before.
            let Some(word) = self.bytes(at)? else {
                return Ok(false);
            };
            let word = u32::from_le_bytes(word);
            if word == 0 || word == u32::MAX {
                return Ok(false);
            }
            if word as u16 == ACCESS_CONTROL {
                let [has, has_high, does, does_high] = self.word(at + 4)?;
                let has = u16::from_le_bytes([has, has_high]);
                let does = u16::from_le_bytes([does, does_high]);
                // What it does not have it does not need: there is nothing to redirect.
                let needed = NEEDED & has;
                return Ok(does & needed == needed);
            }
            at = u64::from(word >> 20) & !3;
            if at < EXTENDED_CAPABILITIES {
                return Ok(false);
            }
        }
        Err(Errno::EIO)
    }

    fn word(&mut self, at: u64) -> Result<[u8; 4], Errno> {
        self.bytes(at)?.ok_or(Errno::EACCES)
    }

    /// The bytes of some registers. `None`: the file ends before.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn bytes<const SIZE: usize>(&mut self, at: u64) -> Result<Option<[u8; SIZE]>, Errno> {
        let mut buffer = [0; SIZE];
        let read = self.host.read(&self.file, at, &mut buffer)?;
        Ok(read.try_into().ok())
    }
}

/// Configuration spaces for tests.
#[cfg(test)]
pub mod testing {
    extern crate std;
    use std::{string::String, vec, vec::Vec};

    use super::{ACCESS_CONTROL, EXPRESS, HAS_CAPABILITIES, NEEDED};

    /// How a function is built.
    #[derive(Clone, Copy, Debug)]
    pub struct Built {
        /// The header type, with its bit for more functions.
        pub header: u8,
        /// The kind of device in PCI Express. `None`: conventional.
        pub kind: Option<u8>,
        /// What ACS can do and does. `None`: there is no ACS.
        pub access_control: Option<(u16, u16)>,
    }

    impl Built {
        /// By words: `port`, `downstream`, `upstream`, `endpoint`, `integrated` (in the root
        /// complex), `to-pci`, `from-pci`, `bridge` (conventional), `device` (conventional); then
        /// `many` for a slot with more functions, and `acs` for ACS that is on.
        pub fn of(words: &str) -> Built {
            let has = |word: &str| words.split(' ').any(|own| own == word);
            let kinds = [
                ("endpoint", 0),
                ("port", 4),
                ("upstream", 5),
                ("downstream", 6),
                ("to-pci", 7),
                ("from-pci", 8),
                ("integrated", 9),
            ];
            let kind = kinds.into_iter().find(|(word, _)| has(word));
            let bridges = [
                "port",
                "upstream",
                "downstream",
                "to-pci",
                "from-pci",
                "bridge",
            ];
            let is_bridge = bridges.into_iter().any(has);
            Built {
                header: u8::from(is_bridge) | if has("many") { 0x80 } else { 0 },
                kind: kind.map(|(_, kind)| kind),
                access_control: has("acs").then_some((NEEDED, NEEDED)),
            }
        }

        /// Its configuration space.
        pub fn config(&self) -> Vec<u8> {
            let mut config = vec![0; if self.kind.is_some() { 0x1000 } else { 0x100 }];
            config[0x0e] = self.header;
            if let Some(kind) = self.kind {
                config[0x06] = HAS_CAPABILITIES;
                // Another capability comes first.
                config[0x34] = 0x40;
                config[0x40..0x42].copy_from_slice(&[0x01, 0x60]);
                config[0x60..0x63].copy_from_slice(&[EXPRESS, 0, kind << 4 | 2]);
                // An extended one too: version 1, and the next is at 0x140.
                config[0x100..0x104].copy_from_slice(&0x1401_0001_u32.to_le_bytes());
            }
            if let Some((has, does)) = self.access_control {
                let id = 0x0001_0000 | u32::from(ACCESS_CONTROL);
                config[0x140..0x144].copy_from_slice(&id.to_le_bytes());
                config[0x144..0x146].copy_from_slice(&has.to_le_bytes());
                config[0x146..0x148].copy_from_slice(&does.to_le_bytes());
            }
            config
        }
    }

    /// The file with the configuration space of a function.
    pub fn file_of(address: &str) -> String {
        std::format!("/sys/bus/pci/devices/{address}/config")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::{
        testing::{Built, file_of},
        *,
    };
    use crate::host::testing::Machine;

    fn read(config: &[u8]) -> Result<Isolation, Errno> {
        let mut host = Machine::new();
        host.bytes(&file_of("0000:03:00.0"), config);
        let address = Address::parse(b"03:00.0").expect("an address");
        Isolation::read(&mut host, address)
    }

    #[test]
    fn tells_what_keeps_a_function_apart() {
        for (words, is_alias, isolates) in [
            ("port acs", false, true),
            ("port", false, false),
            ("downstream acs", false, true),
            ("downstream", false, false),
            ("upstream", false, true),
            ("upstream many", false, false),
            ("endpoint", true, true),
            ("endpoint many", true, false),
            ("endpoint many acs", true, true),
            ("integrated", true, true),
            ("integrated many", true, false),
            ("to-pci acs", true, false),
            ("from-pci acs", true, false),
            ("bridge", true, false),
            ("device", true, false),
        ] {
            let found = read(&Built::of(words).config());
            let expected = Isolation {
                is_known: true,
                is_alias,
                isolates,
                passes_on: words == "downstream",
                is_multifunction: words.contains("many"),
            };
            assert_eq!(found, Ok(expected), "{words}");
        }
    }

    /// What ACS does not have it does not need to do; what it has it has to do.
    #[test]
    fn asks_acs_for_what_it_has() {
        for (has, does, isolates) in [
            (NEEDED, NEEDED, true),
            (NEEDED, NEEDED & !0x10, false),
            (0x01, 0x01, true),
            (0x01 | 0x02, 0x01, true),
            (0, 0, true),
            (NEEDED, 0, false),
        ] {
            let mut port = Built::of("port");
            port.access_control = Some((has, does));
            let found = read(&port.config()).map(|found| found.isolates);
            assert_eq!(found, Ok(isolates), "{has:x} {does:x}");
        }
    }

    /// Nothing is guessed, and nothing is read for ever.
    #[test]
    fn says_what_cannot_be_read() {
        let port = Built::of("port acs").config();
        let changed = |at: usize, bytes: &[u8]| {
            let mut config = port.clone();
            config[at..at + bytes.len()].copy_from_slice(bytes);
            config
        };
        for (what, config) in [
            ("nothing", Vec::new()),
            ("half a header", port[..0x10].into()),
            ("only ones", std::vec![0xff; 0x100]),
            ("capabilities in a circle", changed(0x41, &[0x40])),
            ("extended ones in a circle", changed(0x103, &[0x10])),
        ] {
            assert_eq!(read(&config), Err(Errno::EIO), "{what}");
        }
        assert_eq!(read(&port[..0x40]), Err(Errno::EACCES));
        // As long as the kernel reaches only the old registers, there is no ACS.
        let short = read(&port[..0x100]).expect("the old registers");
        assert!(short.is_known && !short.isolates, "{short:?}");
    }
}
