//! What else decides whether a guest can use a device: whether it can be reset, whether the kernel
//! has found room for its BARs, whether the firmware has run its ROM, and whether it has reserved
//! memory for it.

use crate::{
    device::{Device, Devices, Reset},
    facts::reserved::{self, Reserved},
    host::{Errno, Files},
    pci::{Address, bus},
    put,
    text::{Line, number, split},
};

/// What stands in the way of a guest that is to have a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fitness {
    /// Whether the kernel surely knows no way to reset it.
    pub is_without_reset: bool,
    /// The BARs for which the kernel found no room, one bit each from the lowest.
    pub unassigned: u8,
    /// Whether the firmware has run its ROM.
    pub has_used_rom: bool,
    /// Whether the firmware has reserved memory for it.
    pub has_reserved_memory: bool,
}

/// What is to be known of the host before one looks at its devices.
#[derive(Clone, Debug, Default)]
pub struct Basis {
    /// Whether the kernel tells how devices are reset.
    tells_resets: bool,
    reserved: Reserved,
}

impl Basis {
    /// Looks at the host. `devices` are all that it has.
    pub fn look<H: Files>(host: &mut H, devices: &Devices) -> Basis {
        Basis {
            tells_resets: tells_resets(host, devices),
            reserved: reserved::look(host),
        }
    }
}

/// The BARs of a function that is no bridge.
const BARS: u8 = 6;

/// The kernel found no room for it (`include/linux/ioport.h`, `IORESOURCE_UNSET`).
const UNSET: u32 = 0x2000_0000;

/// It is a place for ports or memory (`IORESOURCE_IO`, `IORESOURCE_MEM`).
const PORTS_OR_MEMORY: u32 = 0x300;

/// Where the registers of the BARs begin (`include/uapi/linux/pci_regs.h`, `PCI_BASE_ADDRESS_0`).
const REGISTERS_AT: usize = 0x10;

/// A BAR of two registers: memory, with an address of 64 bits.
const MEMORY_OF_64_BITS: u32 = 4;

/// Bytes of `resource`: seven lines of three numbers (`drivers/pci/pci-sysfs.c`, `resource_show`).
const RESOURCE_SIZE: usize = 7 * 57;

/// Bytes of `reset_method`, if all seven methods of Linux 7.1 are there, and some more.
const RESETS_SIZE: usize = 64;

impl Fitness {
    /// Looks at a device. How it can be reset is known ([`read_resets`]).
    pub fn look<H: Files>(host: &mut H, device: &Device, basis: &Basis) -> Fitness {
        let address = device.address();
        let is_display = device
            .function
            .identity
            .is_some_and(|identity| identity.class >> 16 == 0x03);
        Fitness {
            is_without_reset: match &device.function.reset {
                Reset::Unread => false,
                Reset::NoFile => basis.tells_resets,
                Reset::Methods(methods) => methods.is_empty(),
            },
            unassigned: find_unassigned(host, address),
            has_used_rom: is_display && has_used_rom(host, address),
            has_reserved_memory: basis.reserved.contains(&address),
        }
    }

    /// Adds it in words, each piece with `; ` in front.
    pub fn add_words(self, line: &mut Line) {
        if self.is_without_reset {
            put!(
                line,
                "; no way to reset it, so the next guest gets it as the last one left it: \
                 reboot the host in between"
            );
        }
        let mut before = "; no address for its BAR ";
        for bar in (0..BARS).filter(|bar| self.unassigned & 1 << bar != 0) {
            put!(line, "{}{}", before, bar);
            before = ", ";
        }
        if self.unassigned != 0 {
            put!(
                line,
                ", which no guest can use: room may come from 'Above 4G Decoding' in the firmware, \
                 or from pci=realloc on the kernel command line"
            );
        }
        if self.has_used_rom {
            put!(
                line,
                "; the firmware has run its ROM, and a guest may fail to: \
                 choose another display in the firmware"
            );
        }
        if self.has_reserved_memory {
            put!(
                line,
                "; the firmware has reserved memory for it: if xl refuses it for an HVM guest, \
                 write rdm_policy=relaxed behind its address in the guest's file"
            );
        }
    }
}

/// Reads how the kernel can reset every device that is wanted, where nobody has read it yet.
pub fn read_resets<H: Files>(
    host: &mut H,
    devices: &mut Devices,
    is_wanted: &dyn Fn(&Device) -> bool,
) {
    for device in devices {
        let function = &device.function;
        if function.is_there && function.reset == Reset::Unread && is_wanted(device) {
            device.function.reset = read_reset(host, device.address());
        }
    }
}

/// How the kernel can reset a function (`drivers/pci/pci.c`, `reset_method_show`).
fn read_reset<H: Files>(host: &mut H, address: Address) -> Reset {
    let mut buffer = [0; RESETS_SIZE];
    match bus::read(host, address, "/reset_method", &mut buffer) {
        Ok(text) => text.try_into().map_or(Reset::Unread, Reset::Methods),
        Err(Errno::ENOENT) => Reset::NoFile,
        Err(_) => Reset::Unread,
    }
}

/// Whether the kernel tells how devices are reset, as it does since Linux 5.15. It makes
/// `reset_method` only for functions that it can reset (`pci_dev_reset_attr_is_visible`), so one
/// file of that name shows that a function without it cannot be reset.
fn tells_resets<H: Files>(host: &mut H, devices: &Devices) -> bool {
    let known = |device: &Device| matches!(device.function.reset, Reset::Methods(_));
    let unread =
        |device: &&Device| device.function.is_there && device.function.reset == Reset::Unread;
    devices.iter().any(known)
        || devices
            .iter()
            .filter(unread)
            .any(|device| matches!(read_reset(host, device.address()), Reset::Methods(_)))
}

/// Finds the BARs for which the kernel found no room. A kernel marks such a BAR, or forgets it
/// (`drivers/pci/setup-bus.c`, `reset_resource`): then the device still says what it is.
fn find_unassigned<H: Files>(host: &mut H, address: Address) -> u8 {
    let mut buffer = [0; RESOURCE_SIZE];
    let text = bus::read(host, address, "/resource", &mut buffer).unwrap_or_default();
    let mut registers = [0; REGISTERS_AT + 4 * BARS as usize];
    let path = bus::attribute(address, "/config");
    let config = host.read(&path, 0, &mut registers).unwrap_or_default();
    // What does not answer reads as ones.
    let is_silent = config.starts_with(b"\xff\xff");
    let registers = config.get(REGISTERS_AT..).unwrap_or_default();
    let registers = registers.as_chunks().0.iter().filter(|_| !is_silent);
    let mut registers = registers.map(|&register| u32::from_le_bytes(register));
    let mut is_upper_half = false;
    let mut unassigned = 0;
    for (bar, line) in (0..BARS).zip(split(text, b'\n')) {
        let register = registers.next().unwrap_or_default();
        let is_bar = !is_upper_half;
        is_upper_half = is_bar && register & 7 == MEMORY_OF_64_BITS;
        let is_without_room = match read_flags(line) {
            Some(0) => is_bar && register != 0,
            Some(flags) => flags & UNSET != 0 && flags & PORTS_OR_MEMORY != 0,
            None => false,
        };
        unassigned |= u8::from(is_without_room) << bar;
    }
    unassigned
}

/// Reads the flags in a line of `resource`.
fn read_flags(line: &[u8]) -> Option<u32> {
    number(split(line, b' ').nth(2)?.strip_prefix(b"0x")?, 16)
}

/// Whether a display is the one that the firmware began with, and has a ROM, which the firmware has
/// run.
fn has_used_rom<H: Files>(host: &mut H, address: Address) -> bool {
    bus::read(host, address, "/boot_vga", &mut [0; 4]) == Ok(b"1")
        && bus::read(host, address, "/rom", &mut []).is_ok()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec as List};

    use super::*;
    use crate::{
        device::{Action, Wish},
        host::testing::{Machine, boxed, text},
        pci::Identity,
    };

    const FOLDER: &str = "/sys/bus/pci/devices/0000:03:00.0";

    fn device(at: &str) -> Device {
        let wish = Wish {
            item: None,
            is_by_address: false,
        };
        let address = Address::parse(at.as_bytes()).expect(at);
        Device::new(address, wish, Action::Seize)
    }

    fn words(fitness: Fitness) -> String {
        let mut line = Line::new();
        fitness.add_words(&mut line);
        text(line.bytes())
    }

    #[test]
    fn knows_what_cannot_be_reset() {
        // What the kernel tells of the device, and of another one.
        for (own, other, expected) in [
            (Some("flr bus\n"), None, false),
            (Some("\n"), None, true),
            (None, None, false),
            (None, Some("bus\n"), true),
            (None, Some("\n"), true),
            (Some("pm\n"), Some("bus\n"), false),
        ] {
            let mut host = Machine::new();
            let mut devices = boxed(Devices::new);
            for (at, methods) in [("03:00.0", own), ("04:00.0", other)] {
                devices.push(device(at)).expect("room");
                if let Some(methods) = methods {
                    let path = std::format!("/sys/bus/pci/devices/0000:{at}/reset_method");
                    host.file(&path, methods);
                }
            }
            let is_first = |device: &Device| device.address() == first();
            read_resets(&mut host, &mut devices, &is_first);
            let basis = Basis::look(&mut host, &devices);
            let fitness = Fitness::look(&mut host, &devices[0], &basis);
            assert_eq!(fitness.is_without_reset, expected, "{own:?} {other:?}");
            let is_told = words(fitness).contains("no way to reset it");
            assert_eq!(is_told, expected);
        }
    }

    fn first() -> Address {
        Address::parse(b"03:00.0").expect("an address")
    }

    #[test]
    fn reads_methods_once_and_none_that_are_cut() {
        let long = "x".repeat(64);
        for (methods, expected) in [
            (
                "flr\n",
                Reset::Methods(b"flr".as_slice().try_into().expect("room")),
            ),
            (long.as_str(), Reset::Unread),
        ] {
            let mut host = Machine::new();
            host.file(&std::format!("{FOLDER}/reset_method"), methods);
            assert_eq!(read_reset(&mut host, first()), expected);
        }
    }

    #[test]
    fn finds_bars_without_an_address() {
        const NONE: &str = "0x0000000000000000 0x0000000000000000 0x0000000000000000";
        const MEMORY: &str = "0x00000000fea80000 0x00000000fea9ffff 0x0000000000040200";
        const UNSET: &str = "0x0000000000000000 0x0000000000000fff 0x0000000020040200";
        const ROM: &str = "0x0000000000000000 0x0000000000000fff 0x0000000020046200";
        for (lines, registers, expected) in [
            ([MEMORY; 6].as_slice(), [0xfea8_0000; 6], 0),
            (&[NONE; 6], [0; 6], 0),
            (&[MEMORY, UNSET, NONE, UNSET], [0; 6], 0b1010),
            // The ROM is none.
            (&[NONE, NONE, NONE, NONE, NONE, NONE, ROM], [0; 6], 0),
            // What the kernel forgets: Linux 6.1 with a BAR of 1 TiB.
            (
                &[MEMORY, MEMORY, NONE, NONE, NONE, NONE],
                [0xfeb2_5000, 0xe201, 0xc, 0x100, 0, 0],
                0b100,
            ),
            // The upper half of an address is no BAR.
            (
                &[MEMORY, NONE, NONE, NONE, NONE, NONE],
                [4, 1, 0, 0, 0, 0],
                0,
            ),
            (&[NONE; 6], [u32::MAX; 6], 0),
            (&["", "nonsense", "0x0 0x0 zero"], [1; 6], 0),
            (&[], [1; 6], 0),
        ] {
            let mut host = Machine::new();
            host.file(&std::format!("{FOLDER}/resource"), &lines.join("\n"));
            let is_silent = registers == [u32::MAX; 6];
            let header = if is_silent { u32::MAX } else { 0 };
            let config: List<u8> = [header; 4]
                .iter()
                .chain(&registers)
                .flat_map(|register| register.to_le_bytes())
                .collect();
            host.bytes(&std::format!("{FOLDER}/config"), &config);
            let fitness = Fitness::look(&mut host, &device("03:00.0"), &Basis::default());
            assert_eq!(fitness.unassigned, expected, "{lines:?}");
        }
        let fitness = Fitness {
            unassigned: 0b101,
            ..Fitness::default()
        };
        let words = words(fitness);
        assert!(
            words.starts_with("; no address for its BAR 0, 2, which"),
            "{words}"
        );
        assert!(words.ends_with("on the kernel command line"), "{words}");
    }

    #[test]
    fn knows_reserved_memory() {
        let basis = Basis {
            reserved: [first()].into_iter().collect(),
            ..Basis::default()
        };
        for (at, expected) in [("03:00.0", true), ("03:00.1", false)] {
            let fitness = Fitness::look(&mut Machine::new(), &device(at), &basis);
            assert_eq!(fitness.has_reserved_memory, expected, "{at}");
            assert_eq!(words(fitness).contains("rdm_policy=relaxed"), expected);
        }
    }

    #[test]
    fn knows_the_rom_of_the_boot_display() {
        for (class, boot_vga, has_rom, expected) in [
            (0x03_0000, Some("1\n"), true, true),
            (0x03_0000, Some("0\n"), true, false),
            (0x03_0000, Some("1\n"), false, false),
            (0x03_0200, None, true, false),
            (0x02_0000, Some("1\n"), true, false),
        ] {
            let mut host = Machine::new();
            for (name, content) in [("boot_vga", boot_vga), ("rom", has_rom.then_some(""))] {
                if let Some(content) = content {
                    host.file(&std::format!("{FOLDER}/{name}"), content);
                }
            }
            let mut device = device("03:00.0");
            device.function.identity = Some(Identity { ids: 0, class });
            let fitness = Fitness::look(&mut host, &device, &Basis::default());
            assert_eq!(fitness.has_used_rom, expected, "{class:x} {boot_vga:?}");
        }
    }
}
