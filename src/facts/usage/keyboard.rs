//! Keyboards: which functions they hang on.

use super::{Usage, Use, function_in};
use crate::{
    host::{
        Files,
        lines::{self, FILE_SIZE},
    },
    pci::Address,
};

/// How the keys of a keyboard end: it has all of the first 31, which are escape, digits and letters
/// (`include/uapi/linux/input-event-codes.h`).
///
/// So udev tells keyboards (`ID_INPUT_KEYBOARD`) from what has but some keys: power buttons,
/// hotkeys, remote controls.
const KEYS: &[u8] = b"fffffffe";

/// What an input device hangs on.
#[derive(Clone, Copy)]
enum Parent {
    /// A PCI function.
    Function(Address),
    /// Something else, like the keyboard port of a PC.
    Other,
    /// Nothing: a program makes the input.
    Virtual,
}

impl Parent {
    /// By the path of the input device below `/sys`.
    fn of(path: &[u8]) -> Parent {
        match function_in(path) {
            Some(address) => Parent::Function(address),
            None if path.starts_with(b"/devices/virtual/") => Parent::Virtual,
            None => Parent::Other,
        }
    }
}

/// Looks for keyboards in `/proc/bus/input/devices` (`drivers/input/input.c`,
/// `input_devices_seq_show`). The path of a device comes before its keys.
pub fn gather<H: Files>(host: &mut H, usage: &mut Usage) {
    let (mut parent, mut has_others) = (Parent::Virtual, false);
    let _ = lines::each(
        host,
        b"/proc/bus/input/devices",
        FILE_SIZE,
        &mut |_, line| {
            if let Some(path) = line.text.strip_prefix(b"S: Sysfs=") {
                parent = Parent::of(path);
            }
            let keys = line.text.strip_prefix(b"B: KEY=");
            if keys.is_some_and(|keys| keys.ends_with(KEYS)) {
                match parent {
                    Parent::Function(address) => usage.add(address, Use::Keyboard, b""),
                    Parent::Other => has_others = true,
                    Parent::Virtual => {}
                }
            }
        },
    );
    usage.keyboards = usage.keyboards.saturating_add(u8::from(has_others));
}
