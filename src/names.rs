//! The names of vendors and devices, from `pci.ids` as distributions install it (pci.ids(5)).
//!
//! The file has some 40,000 lines. It is read once, whatever number of functions there is, and of it only the names of those are kept: memory grows with the models that a machine has, not with the file.

use heapless::Vec;

use crate::{
    device::{Device, Devices, comb, count_before, sort},
    host::Host,
    lines, put,
    text::{Either, Line, Shown, behind, first_part, number},
};

/// Where it may be: Debian, Fedora and Arch, older ones.
const FILES: [&[u8]; 3] = [b"/usr/share/misc/pci.ids", b"/usr/share/hwdata/pci.ids", b"/usr/share/pci.ids"];

/// Most bytes of it that are read: twice what it has in 2026.
const SIZE: u64 = 4 << 20;

/// Most bytes of all names of a machine: room for some 3,000 models.
pub const NAMES_SIZE: usize = 128 << 10;

/// The names that were found, each with its end.
pub type Names = Vec<u8, NAMES_SIZE>;

/// Where a name begins among them, from 1. 0: there is none.
pub type Place = u32;

/// Vendor and device in one number.
fn model(device: &Device) -> u64 {
    device.identity.unwrap_or_default().ids >> 32
}

/// Looks for the names of all functions. A model for whose name there is no room has none.
pub fn find<H: Host>(host: &mut H, devices: &mut Devices, names: &mut Names) {
    // What is in the order of the models can be found by them.
    comb(devices, &model);
    for file in FILES {
        let (mut vendor, mut is_wanted) = (0, false);
        let read = lines::each(host, file, SIZE, &mut |_, _, line, _| {
            let (text, column) = match behind(b"\t", line) {
                None => (line, 0),
                Some(text) => (text, 1),
            };
            let is_vendor = column == 0;
            let (Some(id), Some(name)) = (text.get(..4).and_then(|digits| number(digits, 16)), behind(b"  ", text.get(4..).unwrap_or_default())) else {
                // Classes have no vendor above them, though they are written much like devices.
                is_wanted &= !line.starts_with(b"C ");
                return;
            };
            let (first, mask) = if is_vendor { (u64::from(id) << 16, !0xffff) } else { (vendor | u64::from(id), !0) };
            if is_vendor {
                (vendor, is_wanted) = (first, false);
            } else if !is_wanted {
                return;
            }
            let place = names.len() as Place + 1;
            let mut is_new = true;
            let at = count_before(devices.len(), &|at| devices.get(at).is_some_and(|device| model(device) < first));
            for device in devices.iter_mut().skip(at).take_while(|device| model(device) & mask == first) {
                is_wanted = true;
                if core::mem::take(&mut is_new) && (names.extend_from_slice(name).is_err() || names.push(b'\n').is_err()) {
                    return;
                }
                if let Some(own) = device.names.get_mut(column) {
                    *own = place;
                }
            }
        });
        if read.is_ok() {
            break;
        }
    }
    sort(devices);
}

/// Adds the names of a function to a line: vendor and device.
pub fn show(names: &[u8], device: &Device, line: &mut Line) {
    let mut before = "";
    for place in device.names {
        if let Some(text) = (place as usize).checked_sub(1).and_then(|start| names.get(start..)) {
            put!(line, Either(before), Shown(first_part(text, b'\n')));
            before = " ";
        }
    }
}
