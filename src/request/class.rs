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

/// The class that `text` means, and the bits of it that count: a name in any case, or 2, 4 or 6 hexadecimal digits for class, subclass and programming interface. `None` for anything else.
pub fn parse(text: &[u8]) -> Option<(u32, u32)> {
    let named = words(NAMES).filter_map(|entry| split_once(entry, b'=')).find(|&(name, _)| is_word(text, name));
    let code = match named {
        Some((_, b"~")) => return Some((0x04_0100, AUDIO_MASK)),
        Some((_, code)) => code,
        None => text,
    };
    let below = match code.len() {
        2 => 16,
        4 => 8,
        6 => 0,
        _ => return None,
    };
    Some((number(code, 16)? << below, 0xff_ffff & !((1 << below) - 1)))
}
