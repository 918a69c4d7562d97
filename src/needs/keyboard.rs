//! Keyboards: which functions they hang on.

use super::{Needs, Use, function_in};
use crate::{
    host::Host,
    lines::{self, FILE_SIZE},
    pci::Address,
    text::behind,
};

/// How the keys of a keyboard end: it has all of the first 31, which are escape, digits and letters (`include/uapi/linux/input-event-codes.h`). So udev tells keyboards from what has but some keys: power buttons, hotkeys,
/// remote controls (`ID_INPUT_KEYBOARD`).
const KEYS: &[u8] = b"fffffffe";

/// Looks for keyboards (`drivers/input/input.c`, `input_devices_seq_show`). The path of a device comes before its keys.
pub fn gather<H: Host>(host: &mut H, needs: &mut Needs) {
    let (mut way, mut is_there) = (Way::Virtual, false);
    let _ = lines::each(host, b"/proc/bus/input/devices", FILE_SIZE, &mut |_, _, line, _| {
        if let Some(path) = behind(b"S: Sysfs=", line) {
            way = match function_in(path) {
                Some(address) => Way::Function(address),
                None if path.starts_with(b"/devices/virtual/") => Way::Virtual,
                None => Way::Other,
            };
        } else if behind(b"B: KEY=", line).is_some_and(|keys| keys.ends_with(KEYS)) {
            match way {
                Way::Function(address) => needs.add(address, Use::Keyboard, b""),
                Way::Other => is_there = true,
                Way::Virtual => {}
            }
        }
    });
    needs.keyboards = needs.keyboards.saturating_add(u8::from(is_there));
}

/// What an input device hangs on.
#[derive(Clone, Copy)]
enum Way {
    Function(Address),
    /// Something that is no PCI function: the keyboard port of a PC.
    Other,
    /// Nothing: some program makes the input.
    Virtual,
}
