//! Devices for which the firmware has reserved memory, as the table DMAR of ACPI tells (Intel's
//! Virtualization Technology for Directed I/O, chapter 8).
//!
//! ```text
//! table     = 48 bytes { structure }
//! structure = TYPE:2 LENGTH:2 ...
//! reserved  = 1:2 LENGTH:2 0:2 SEGMENT:2 FIRST:8 LAST:8 { scope }
//! scope     = TYPE:1 LENGTH:1 0:2 0:1 BUS:1 { DEVICE:1 FUNCTION:1 }
//! ```
//!
//! All numbers are little-endian. The path of a scope leads from its bus through bridges to the
//! device. Xen gives the table another name before dom0 starts, so that dom0 leaves the IOMMU alone
//! (`xen/drivers/passthrough/vtd/dmar.c`, `acpi_dmar_zap`).

use heapless::Vec;

use crate::{
    host::{Errno, Files},
    pci::{Address, bus},
    put,
    text::{Line, number},
};

/// Most devices with reserved memory that are told.
const DEVICES: usize = 32;

/// Devices for which the firmware has reserved memory.
pub type Reserved = Vec<Address, DEVICES>;

/// Where Linux shows the table: the name that Xen gives it, the one that Xen once gave it, and its
/// own.
const TABLES: [&str; 3] = [
    "/sys/firmware/acpi/tables/RMAD",
    "/sys/firmware/acpi/tables/XMAR",
    "/sys/firmware/acpi/tables/DMAR",
];

/// Most bytes of a table that are read.
const TABLE_SIZE: usize = 8192;

/// Bytes in front of the first structure, of the head of a structure for reserved memory, and of
/// the head of a scope.
const TABLE_HEAD: usize = 48;
const RESERVED_HEAD: usize = 24;
const SCOPE_HEAD: usize = 6;

/// The type of a structure for reserved memory, and that of a scope that is one device.
const RESERVED_MEMORY: u16 = 1;
const ENDPOINT: u8 = 1;

/// Looks for the devices. Only root can read the table; without it there are none.
// 12 KiB less memory of a seizure, with `Rivals::gather`: all commands would have the buffer.
#[inline(never)]
pub fn look<H: Files>(host: &mut H) -> Reserved {
    let mut reserved = Reserved::new();
    let mut buffer = [0; TABLE_SIZE];
    for path in TABLES {
        if let Ok(length) = read_whole(host, path, &mut buffer) {
            let table = buffer.get(..length).unwrap_or_default();
            read_table(host, table, &mut reserved);
            break;
        }
    }
    reserved
}

/// Reads a table, as far as there is room. One read gives at most a page of it
/// (`fs/kernfs/file.c`, `kernfs_file_read_iter`).
fn read_whole<H: Files>(
    host: &mut H,
    path: &str,
    buffer: &mut [u8; TABLE_SIZE],
) -> Result<usize, Errno> {
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match host.read(path.as_bytes(), length as u64, rest)?.len() {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// Reads a table, as far as it is sound.
fn read_table<H: Files>(host: &mut H, table: &[u8], reserved: &mut Reserved) {
    let mut rest = table.get(TABLE_HEAD..).unwrap_or_default();
    while let Some((&[type_low, type_high, length_low, length_high], _)) = rest.split_first_chunk()
    {
        let length = u16::from_le_bytes([length_low, length_high]).into();
        let Some((structure, next)) = rest.split_at_checked(length) else {
            return;
        };
        if length == 0 {
            return;
        }
        rest = next;
        if u16::from_le_bytes([type_low, type_high]) == RESERVED_MEMORY
            && let Some(&[_, _, _, _, _, _, low, high]) = structure.first_chunk()
        {
            let segment = u16::from_le_bytes([low, high]);
            let scopes = structure.get(RESERVED_HEAD..).unwrap_or_default();
            read_scopes(host, segment, scopes, reserved);
        }
    }
}

/// Reads the devices of one reserved region.
fn read_scopes<H: Files>(host: &mut H, segment: u16, mut rest: &[u8], reserved: &mut Reserved) {
    while let Some(&[kind, length, _, _, _, bus]) = rest.first_chunk::<SCOPE_HEAD>() {
        let length = usize::from(length).max(SCOPE_HEAD);
        let Some((scope, next)) = rest.split_at_checked(length) else {
            return;
        };
        rest = next;
        let path = scope.get(SCOPE_HEAD..).unwrap_or_default().as_chunks().0;
        if kind == ENDPOINT
            && let Some(address) = follow(host, segment, bus.into(), path)
            && !reserved.contains(&address)
        {
            let _ = reserved.push(address);
        }
    }
}

/// Follows a path through bridges to its device.
fn follow<H: Files>(host: &mut H, segment: u16, mut bus: u32, path: &[[u8; 2]]) -> Option<Address> {
    let mut found = None;
    for [device, function] in path {
        if let Some(bridge) = found {
            let mut buffer = [0; 8];
            let text = bus::read(host, bridge, "/secondary_bus_number", &mut buffer).ok()?;
            bus = number(text, 10)?;
        }
        let mut line = Line::new();
        put!(
            &mut line,
            "{:x}:{:x}:{:x}.{:x}",
            u32::from(segment),
            bus,
            u32::from(*device),
            u32::from(*function)
        );
        found = Some(Address::parse(line.bytes()).ok()?);
    }
    found
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec as List};

    use super::*;
    use crate::host::testing::{Machine, shown};

    /// A scope with its path.
    fn scope(kind: u8, bus: u8, path: &[u8]) -> List<u8> {
        let length = SCOPE_HEAD + path.len();
        [&[kind, length as u8, 0, 0, 0, bus], path].concat()
    }

    /// A structure with its scopes.
    fn structure(kind: u8, segment: u8, scopes: &[List<u8>]) -> List<u8> {
        let scopes = scopes.concat();
        let length = (RESERVED_HEAD + scopes.len()) as u8;
        let head = [kind, 0, length, 0, 0, 0, segment, 0];
        [&head, [0; 16].as_slice(), &scopes].concat()
    }

    /// The devices with reserved memory where that is the table.
    fn found(name: &str, structures: &[u8]) -> List<String> {
        let mut host = Machine::new();
        let bridge = "/sys/bus/pci/devices/0000:00:1c.0/secondary_bus_number";
        host.file(bridge, "19\n");
        let table = [[0; TABLE_HEAD].as_slice(), structures].concat();
        host.bytes(&std::format!("/sys/firmware/acpi/tables/{name}"), &table);
        look(&mut host).iter().map(shown).collect()
    }

    #[test]
    fn finds_the_devices() {
        let usb = || scope(ENDPOINT, 0, &[0x14, 0]);
        let unit = structure(0, 0, &[scope(ENDPOINT, 0, &[2, 0])]);
        for (structures, expected) in [
            (List::new(), [].as_slice()),
            (unit.clone(), &[]),
            (structure(1, 0, &[]), &[]),
            (structure(1, 0, &[usb()]), &["0000:00:14.0"]),
            (structure(1, 0, &[usb(), usb()]), &["0000:00:14.0"]),
            (
                [
                    unit,
                    structure(1, 0, &[usb()]),
                    structure(1, 2, &[scope(ENDPOINT, 5, &[3, 1])]),
                ]
                .concat(),
                &["0000:00:14.0", "0002:05:03.1"],
            ),
            // Behind a bridge, and behind one that is not there.
            (
                structure(1, 0, &[scope(ENDPOINT, 0, &[0x1c, 0, 4, 2])]),
                &["0000:13:04.2"],
            ),
            (
                structure(1, 0, &[scope(ENDPOINT, 0, &[0x1d, 0, 4, 2])]),
                &[],
            ),
            // A bridge with all behind it.
            (structure(1, 0, &[scope(2, 0, &[0x1c, 0])]), &[]),
            // No address.
            (structure(1, 0, &[scope(ENDPOINT, 0, &[0x20, 0])]), &[]),
            (structure(1, 0, &[scope(ENDPOINT, 0, &[])]), &[]),
        ] {
            for name in ["RMAD", "XMAR", "DMAR"] {
                assert_eq!(found(name, &structures), expected, "{structures:?}");
            }
            assert_eq!(found("APIC", &structures), [""; 0]);
        }
    }

    #[test]
    fn survives_what_is_no_table() {
        let sound = structure(1, 0, &[scope(ENDPOINT, 0, &[0x14, 0])]);
        for end in 0..sound.len() {
            assert!(found("DMAR", &sound[..end]).is_empty(), "{end}");
        }
        // Every byte as small and as large as it can be.
        for at in 0..sound.len() {
            for byte in [0, 1, 2, 0xff] {
                let mut table = sound.clone();
                table[at] = byte;
                assert!(found("DMAR", &table).len() <= 1);
            }
        }
        assert!(look(&mut Machine::new()).is_empty());
    }
}
