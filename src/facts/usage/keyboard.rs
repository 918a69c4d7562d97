//! Keyboards: which functions they hang on.

use super::{Usage, Use, function_in};
use crate::{
    host::{
        Files,
        lines::{self, FILE_SIZE},
    },
    pci::Address,
    text::Excerpt,
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
/// `input_devices_seq_show`). Name and path of a device come before its keys.
///
/// Not every one of them has somebody's hands on it: a security key types letters too, and so does
/// what a management controller shows of a keyboard elsewhere. Therefore their names are told.
pub fn gather<H: Files>(host: &mut H, usage: &mut Usage) {
    let (mut parent, mut has_others) = (Parent::Virtual, false);
    let mut name = Excerpt::default();
    let _ = lines::each(
        host,
        b"/proc/bus/input/devices",
        FILE_SIZE,
        &mut |_, line| {
            if let Some(text) = line.text.strip_prefix(b"N: Name=") {
                name = Excerpt::of(text.trim_ascii());
            }
            if let Some(path) = line.text.strip_prefix(b"S: Sysfs=") {
                parent = Parent::of(path);
            }
            let keys = line.text.strip_prefix(b"B: KEY=");
            if keys.is_some_and(|keys| keys.ends_with(KEYS)) {
                match parent {
                    Parent::Function(address) => {
                        usage.add(address, Use::Keyboard, b"");
                        usage.add_keyboard(Some(address), &name);
                    }
                    Parent::Other => {
                        has_others = true;
                        usage.add_keyboard(None, &name);
                    }
                    Parent::Virtual => {}
                }
            }
        },
    );
    usage.keyboards = usage.keyboards.saturating_add(u8::from(has_others));
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String};

    use super::*;
    use crate::host::testing::{Machine, boxed, shown};

    const ONE: &str = "/devices/pci0000:00/0000:00:14.0/usb1/1-1/0003:046D:C31C.0001/input/input3";
    const OTHER: &str = "/devices/pci0000:00/0000:00:1a.0/usb2/input/input4";
    const PORT: &str = "/devices/platform/i8042/serio0/input/input0";
    const PROGRAM: &str = "/devices/virtual/input/input9";

    /// An input device, as the kernel tells of it.
    fn input(path: &str, keys: &str) -> String {
        format!("I: Bus=0003\nN: Name=\"x\"\nS: Sysfs={path}\nB: EV=120013\nB: KEY={keys}\n\n")
    }

    /// A keyboard.
    fn keyboard(path: &str) -> String {
        input(
            path,
            "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe",
        )
    }

    #[test]
    fn names_the_keyboards_that_are_left() {
        let at = |text: &str| Address::parse(text.as_bytes()).expect(text);
        let named = |input: String, name: &str| input.replace("\"x\"", name);
        let mut host = Machine::new();
        let inputs = [
            named(keyboard(ONE), "\"A\""),
            named(keyboard(OTHER), "\"Yubico\""),
            named(keyboard(OTHER), "\"Yubico\""),
            named(keyboard(PORT), "\"AT\""),
            named(keyboard(PROGRAM), "\"Virtual\""),
        ];
        host.file("/proc/bus/input/devices", &inputs.concat());
        let mut usage = boxed(Usage::new);
        gather(&mut host, &mut usage);
        assert_eq!(usage.keyboards_left_by(at("00:14.0")).count(), 0);
        usage.give(at("00:14.0"));
        let left = usage.keyboards_left_by(at("00:14.0")).map(shown);
        assert!(left.eq(["\"Yubico\"", "\"AT\""].map(String::from)));
        assert_eq!(usage.keyboards_left_by(at("00:1a.0")).count(), 0);
    }

    #[test]
    fn finds_the_function_of_the_last_keyboard() {
        let button = input(ONE, "10000000000000 0");
        for (inputs, is_last) in [
            ("".into(), [false, false]),
            (keyboard(ONE), [true, false]),
            (keyboard(ONE) + &keyboard(ONE), [true, false]),
            (keyboard(ONE) + &keyboard(OTHER), [false, false]),
            // The port of a PC is one more; what a program makes is none.
            (keyboard(ONE) + &keyboard(PORT), [false, false]),
            (keyboard(PORT), [false, false]),
            (keyboard(PROGRAM) + &keyboard(OTHER), [false, true]),
            (button.clone(), [false, false]),
            (button + &keyboard(OTHER), [false, true]),
        ] {
            let mut host = Machine::new();
            host.file("/proc/bus/input/devices", &inputs);
            let mut usage = boxed(Usage::new);
            gather(&mut host, &mut usage);
            let found = ["00:14.0", "00:1a.0"].map(|at| {
                let address = Address::parse(at.as_bytes()).expect(at);
                usage.uses(address).has(Use::Keyboard)
            });
            assert_eq!(found, is_last, "{inputs}");
        }
    }
}
