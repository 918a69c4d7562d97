//! A list of items in a parameter of the kernel's, or of the module's.
//!
//! ```text
//! list = { separator } item { separator { separator } item } { separator }
//! separator = "(" | ")" | "," | blank
//! ```
//!
//! The kernel writes `(03:00.0)(04:00.*)`. People also write `(03:00.0),(04:00.0)`,
//! `(03:00.0,04:00.0)` and blanks between; to the kernel's module each of those hides nothing. Here
//! all are lists. A `!` may be separated from the item that it keeps.
//!
//! Outside of double quotes a blank ends the parameter, and so the list. What was to follow is not
//! lost without a word: [`is_cut_off`] knows it by its looks.

use crate::{
    request::{
        Fault, Intent, Mistake, Origin, Request, Selector,
        syntax::{
            hints::is_keep_word,
            parameter::{Parameter, Parameters, is_space},
            qubes,
        },
    },
    text::{last_part, pieces},
};

/// A text, and where in its source it begins.
pub(super) struct Passage<'t> {
    pub text: &'t [u8],
    pub origin: Origin,
}

impl Passage<'_> {
    /// Where the byte at `at` stands, in lines and columns.
    pub fn origin_of(&self, at: usize) -> Origin {
        let before = self.text.get(..at).unwrap_or_default();
        let lines = before.iter().filter(|&&byte| byte == b'\n').count();
        Origin {
            source: self.origin.source,
            line: self.origin.line + lines as u32,
            column: last_part(before, b'\n').len() as u32 + 1,
        }
    }

    /// Notes what is wrong with a parameter.
    pub fn note(&self, request: &mut Request, parameter: &Parameter, fault: Fault) {
        request.note_problem(self.origin_of(parameter.name_at), parameter.text, fault);
    }
}

/// How the items of a list are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As everywhere.
    Plain,
    /// As Qubes writes them.
    Qubes,
    /// As Qubes writes them. Each is a keep, without a `!`.
    QubesKeeps,
}

/// Adds the items of a list. An empty list is a problem, and so is a comma at its end.
pub(super) fn add_items(
    request: &mut Request,
    passage: &Passage,
    parameter: &Parameter,
    spelling: Spelling,
) {
    let value = parameter.value.unwrap_or_default();
    let mut is_empty = true;
    // After a `!` that a separator parts from its item.
    let mut keeps_next = false;
    // After a word that asks for a keep.
    let mut keeps_word = false;
    for piece in pieces(value.text, is_separator) {
        let text = piece.text;
        if text == b"!" {
            keeps_next = true;
            continue;
        }
        is_empty = false;
        let origin = passage.origin_of(value.at + piece.at);
        // A bad item. But what follows is not to be seized.
        if is_keep_word(text) {
            request.note_problem(origin, text, Fault::Is(Mistake::NoSelector));
            keeps_word = true;
            continue;
        }
        let (intent, selector) = match spelling {
            Spelling::Plain if core::mem::take(&mut keeps_next) | keeps_word => {
                (Intent::Keep, Selector::parse(text))
            }
            Spelling::Plain => {
                request.add_item(origin, text);
                continue;
            }
            Spelling::Qubes if !keeps_word => (Intent::Seize, qubes::parse(text)),
            Spelling::Qubes | Spelling::QubesKeeps => (Intent::Keep, qubes::parse(text)),
        };
        request.add_selector(origin, text, intent, selector);
    }
    if is_empty || keeps_next {
        request.lacks_keep |= keeps_next || spelling == Spelling::QubesKeeps;
        passage.note(request, parameter, Fault::Is(Mistake::NoItem));
    }
    // Of a list with nothing in it the comma is no further fault.
    if !is_empty || keeps_next {
        note_comma(request, passage, parameter, spelling);
    }
}

/// Notes a comma at the end of a list, unless what the comma announces is known: that is told.
fn note_comma(request: &mut Request, passage: &Passage, list: &Parameter, spelling: Spelling) {
    let mut rest = Parameters::starting_at(passage.text, list.end());
    let is_told = rest.next().is_some_and(|next| is_cut_off(&next));
    if is_told || !list.text.ends_with(b",") {
        return;
    }
    request.lacks_keep |= spelling == Spelling::QubesKeeps;
    let origin = passage.origin_of(list.end() - 1);
    request.note_problem(origin, b",", Fault::Is(Mistake::Comma));
}

/// Notes what blanks have cut off a list of this spelling.
pub(super) fn note_cut_off(
    request: &mut Request,
    passage: &Passage,
    parameter: &Parameter,
    spelling: Spelling,
) {
    request.lacks_keep |= spelling == Spelling::QubesKeeps;
    passage.note(request, parameter, Fault::Is(Mistake::CutOff));
}

/// Whether a parameter is none, but looks like items that blanks have cut off a list.
pub(super) fn is_cut_off(parameter: &Parameter) -> bool {
    looks_like_items(parameter.text) || is_keep_word(parameter.text)
}

/// Whether a text looks like items, good or bad.
pub(super) fn looks_like_items(text: &[u8]) -> bool {
    if matches!(text.first(), Some(b'!' | b'(' | b',')) {
        return true;
    }
    let Some(first) = pieces(text, is_separator).next() else {
        return false;
    };
    // With a sign that may stand for a `!`.
    let selector = match first.text {
        [b'-' | b'~' | b'^', selector @ ..] => selector,
        selector => selector,
    };
    qubes::parse(selector).is_ok()
}

fn is_separator(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'(' | b')' | b',')
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{boxed::Box, string::String, vec::Vec};

    use super::*;
    use crate::{put, text::Line};

    fn read(line: &str, spelling: Spelling) -> (Vec<String>, u32, bool) {
        let mut request = Box::new(Request::new());
        let source = request.add_source(b"test").expect("room for it");
        let origin = Origin {
            source,
            line: 1,
            column: 1,
        };
        let passage = Passage {
            text: line.as_bytes(),
            origin,
        };
        for parameter in Parameters::new(passage.text) {
            add_items(&mut request, &passage, &parameter, spelling);
        }
        let shown = |item: &crate::request::Item| {
            let mut line = Line::new();
            put!(&mut line, "{} {}", item.origin.column, item);
            String::from_utf8_lossy(line.bytes()).into_owned()
        };
        let items = request.items.iter().map(shown).collect();
        (items, request.problems.count(), request.lacks_keep)
    }

    #[test]
    fn reads_a_list() {
        use Spelling::*;
        for (line, spelling, items, problems, lacks_keep) in [
            ("h=03:00.0", Plain, ["3 0000:03:00.0"].as_slice(), 0, false),
            (
                "h=(3:0.0)(!4:0.0)",
                Plain,
                &["4 0000:03:00.0", "11 !0000:04:00.0"],
                0,
                false,
            ),
            (
                "h=\"! (3:0.0), 4:0.0\"",
                Plain,
                &["7 !0000:03:00.0", "15 0000:04:00.0"],
                0,
                false,
            ),
            (
                "h=\"3:0.0 keep 4:0.0\"",
                Plain,
                &["4 0000:03:00.0", "15 !0000:04:00.0"],
                1,
                true,
            ),
            ("h=()", Plain, &[], 1, false),
            ("h", Plain, &[], 1, false),
            ("h=(!)", Plain, &[], 1, true),
            ("h=3:0.0,!", Plain, &["3 0000:03:00.0"], 1, true),
            ("h=nonsense", Plain, &[], 1, false),
            (
                "h=00_1c.0-00_00.0",
                Qubes,
                &["3 0000:00:1c.0/00.0"],
                0,
                false,
            ),
            ("h=00_1c.0-00_00.0", Plain, &[], 1, false),
            ("h=03:00.0", QubesKeeps, &["3 !0000:03:00.0"], 0, false),
            ("h", QubesKeeps, &[], 1, true),
        ] {
            let (found, count, lacks) = read(line, spelling);
            assert_eq!(
                (found.as_slice(), count, lacks),
                (&owned(items)[..], problems, lacks_keep)
            );
        }
    }

    #[test]
    fn knows_what_was_cut_off() {
        for (text, expected) in [
            ("!00:14.0", true),
            ("!keyboard", true),
            ("(03:00.0)", true),
            (",03:00.0", true),
            ("03:00.0", true),
            ("03:00.0,04:00.0", true),
            ("00:1c.0/00.0", true),
            ("8086:10d3", true),
            ("class:usb", true),
            ("00_1c.0-00_00.0", true),
            ("-00:14.0", true),
            ("keep", true),
            ("-1", false),
            ("quiet", false),
            ("3", false),
            ("root=/dev/sda1", false),
            ("BOOT_IMAGE=(hd0,gpt2)/vmlinuz", false),
            ("module.parameter", false),
            ("ip=10.0.0.1::10.0.0.254", false),
            ("usbcore.quirks=1d6b:0002:e", false),
        ] {
            let parameter = Parameters::new(text.as_bytes()).next().expect(text);
            assert_eq!(is_cut_off(&parameter), expected, "{text}");
        }
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.into()).collect()
    }

    #[test]
    fn places_bytes_in_lines() {
        let source = Request::new().module_parameters_at.source;
        let origin = Origin {
            source,
            line: 7,
            column: 1,
        };
        let passage = Passage {
            text: b"ab\ncd",
            origin,
        };
        for (at, line, column) in [(0, 7, 1), (1, 7, 2), (3, 8, 1), (4, 8, 2)] {
            assert_eq!(
                passage.origin_of(at),
                Origin {
                    source,
                    line,
                    column
                }
            );
        }
    }
}
