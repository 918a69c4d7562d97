//! Classes of devices by name: the words that an administrator would try.
//!
//! Codes are those of the PCI Code and ID Assignment Specification; `lspci -nn` shows them.

use crate::text::{is_word, number, split_once, words};

/// Names and codes. `~` is [`AUDIO_MASK`].
const NAMES: &str = "storage=01 scsi=0100 ide=0101 raid=0104 sata=0106 ahci=010601 sas=0107 nvme=0108 network=02 ethernet=0200 wifi=0280 \
display=03 gpu=03 vga=0300 multimedia=04 video=0400 audio=~ sound=~ serial=0700 sdcard=0805 \
firewire=0c00 usb=0c03 uhci=0c0300 ohci=0c0310 ehci=0c0320 xhci=0c0330 usb4=0c0340 fibre=0c04 smbus=0c05 wireless=0d bluetooth=0d11 crypto=10 accelerator=12";

/// The only class that digits cannot say, so that it is shown by its name.
pub const AUDIO: &str = "audio";

/// The bits of a class that count for `class:audio`: HD audio is 0403, other sound cards are 0401.
pub const AUDIO_MASK: u32 = 0xff_fd00;

/// The names that there are.
pub fn names() -> impl Iterator<Item = &'static [u8]> {
    words(NAMES).filter_map(|entry| Some(split_once(entry, b'=')?.0))
}

/// The name that says most of a class.
pub fn name(class: u32) -> Option<&'static [u8]> {
    let (mut best, mut most) = (None, 0);
    for (name, code) in words(NAMES).filter_map(|entry| split_once(entry, b'=')) {
        if let Some((value, mask)) = of_code(code)
            && class & mask == value
            && mask > most
        {
            (best, most) = (Some(name), mask);
        }
    }
    best
}

/// The class that `text` means, and the bits of it that count: a name in any case, or 2, 4 or 6 hexadecimal digits for class, subclass and programming interface. `None` for anything else.
pub fn parse(text: &[u8]) -> Option<(u32, u32)> {
    let named = words(NAMES).filter_map(|entry| split_once(entry, b'=')).find(|&(name, _)| is_word(text, name));
    // The mark of a code that digits cannot say is none of a text.
    of_code(named.map_or(text, |(_, code)| code)).filter(|_| text != AUDIO_CODE)
}

/// What stands for a code of [`NAMES`] that digits cannot say.
const AUDIO_CODE: &[u8] = b"~";

/// The class of a code, and the bits of it that count.
#[inline(never)]
fn of_code(code: &[u8]) -> Option<(u32, u32)> {
    let below = match code.len() {
        1 if code == AUDIO_CODE => return Some((0x04_0100, AUDIO_MASK)),
        2 => 16,
        4 => 8,
        6 => 0,
        _ => return None,
    };
    Some((number(code, 16)? << below, 0xff_ffff & !((1 << below) - 1)))
}
