//! The kernel's command line, cut into parameters as the kernel cuts it, and what pciseize takes from it.
//!
//! The rules are those of `next_arg` (`lib/cmdline.c`) and `parse_args` (`kernel/params.c`): white space outside `"` separates; there are no escapes; the first `=` ends the name; quotes around a whole
//! parameter or around a value are taken off; in names `-` and `_` are the same; a bare `--` ends the kernel's part.
//!
//! | parameter | means |
//! | --- | --- |
//! | `pciseize.hide=`, `xen-pciback.hide=`, `pciback.hide=` | items, with commas, blanks or parentheses around each |
//! | `pciseize.off`, `.strict`, `.debug`, `.timeout=` | the switches |
//! | `xen-pciback.passthrough`, `.permissive` | handed to the module |
//! | `rd.qubes.hide_pci=`, `rd.qubes.dom0_usb=` | items, and items to keep; a path may be written as Qubes does ([`from_qubes`]) |
//! | `rd.qubes.hide_all_usb` | `class:0c03` |
//!
//! What selects another driver (`vfio-pci.ids=`, `pci-stub.ids=`) is left alone.

use super::{Fault, Mistake, Origin, Request, SourceId, folder, truth};
use crate::{
    host::{Errno, Host, Path},
    put,
    text::{Either, Line, behind, last_part, next_piece, number, split, split_once, words},
};

/// Where the kernel shows it.
pub const FILE: &str = "/proc/cmdline";

/// How one is called that `plan` was given instead.
pub const OPTION: &str = "--cmdline";

/// Where dracut keeps more of it: in `*.conf` of a folder, then in a file. See dracut.cmdline(7).
const DRACUT_FOLDER: &str = "/etc/cmdline.d";
const DRACUT_FILE: &[u8] = b"/etc/cmdline";

/// Most bytes of a command line. The kernel's own limit is 2,048 on x86, more only with a boot configuration.
pub const CMDLINE_SIZE: usize = 8192;

/// Most bytes of the module parameters that are handed on.
pub const PARAMETERS_SIZE: usize = 128;

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'t> {
    /// All of it, without a quote in front.
    pub text: &'t [u8],
    /// What stands before the first `=`, or all of it.
    pub name: &'t [u8],
    /// What stands behind the first `=`, without the quotes around it.
    pub value: Option<&'t [u8]>,
    /// Where the name begins, in bytes from 0.
    pub name_at: usize,
    /// Where the value begins, in bytes from 0. Means something only where there is a value.
    pub value_at: usize,
}

/// The parameters of a command line, in order, up to a bare `--`.
pub struct Parameters<'t> {
    line: &'t [u8],
    /// Where the next one is looked for.
    pub(super) at: usize,
}

impl<'t> Parameters<'t> {
    /// Cuts `line`.
    pub fn of(line: &'t [u8]) -> Parameters<'t> {
        Parameters { line, at: 0 }
    }
}

impl<'t> Iterator for Parameters<'t> {
    type Item = Parameter<'t>;

    fn next(&mut self) -> Option<Parameter<'t>> {
        let rest = self.line.get(self.at..)?;
        let blanks = rest.iter().position(|&b| !is_space(b))?;
        let rest = rest.get(blanks..)?;
        let (quoted, rest) = match rest.split_first() {
            Some((b'"', rest)) => (true, rest),
            _ => (false, rest),
        };
        let name_at = self.at + blanks + usize::from(quoted);
        let mut in_quote = quoted;
        let ends = |&byte: &u8| {
            in_quote ^= byte == b'"';
            is_space(byte) && !in_quote
        };
        let (text, _) = rest.split_at_checked(rest.iter().position(ends).unwrap_or(rest.len()))?;
        self.at = name_at + text.len();

        // As in the kernel, a name is not empty: an `=` in front belongs to it.
        let equals = text.iter().skip(1).position(|&b| b == b'=').and_then(|before| text.split_at_checked(before + 1));
        let Some((name, value)) = equals else {
            let name = if quoted { without_quote(text) } else { text };
            if name == b"--" {
                self.at = self.line.len();
                return None;
            }
            return Some(Parameter { text, name, value: None, name_at, value_at: self.at });
        };
        let value_at = name_at + name.len() + 1;
        Some(match value {
            [_, b'"', value @ ..] => Parameter { text, name, value: Some(without_quote(value)), name_at, value_at: value_at + 1 },
            [_, value @ ..] => Parameter { text, name, value: Some(if quoted { without_quote(value) } else { value }), name_at, value_at },
            [] => Parameter { text, name, value: None, name_at, value_at },
        })
    }
}

/// The text without the quote at its end.
fn without_quote(text: &[u8]) -> &[u8] {
    match text {
        [before @ .., b'"'] => before,
        _ => text,
    }
}

/// White space as `isspace` of the kernel has it (`lib/ctype.c`): its table is Latin-1, so that 0xa0 counts.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0xa0)
}

/// Whether two names are the same to the kernel (`kernel/params.c`, `parameq`).
pub fn same_name(one: &[u8], other: &[u8]) -> bool {
    let folded = |&byte: &u8| if byte == b'-' { b'_' } else { byte };
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| folded(one) == folded(other))
}

/// Reads what dracut keeps besides the kernel's line. Where there is none, nothing is asked for.
pub(super) fn read_dracut<H: Host>(request: &mut Request, host: &mut H) {
    folder::each(request, host, DRACUT_FOLDER, &mut |request, host, path| read(request, host, None, path));
    read(request, host, None, DRACUT_FILE);
}

/// Reads a file that has a command line. One that was not entered as a source before is one only if it is there.
#[inline(never)]
pub(super) fn read<H: Host>(request: &mut Request, host: &mut H, source: Option<SourceId>, path: Path) {
    // One byte more than may be there shows that there is more.
    let mut buffer = [0; CMDLINE_SIZE + 1];
    let result = host.read(path, 0, &mut buffer);
    if source.is_none() && result == Err(Errno::ENOENT) {
        return;
    }
    let Some(source) = source.or_else(|| request.open(path)) else { return };
    match result {
        Ok(line) => parse(request, source, line),
        Err(errno) => request.source_problem(source, Fault::Unreadable(errno)),
    }
}

/// Takes from a command line what is meant for pciseize.
pub fn parse(request: &mut Request, source: SourceId, line: &[u8]) {
    let mut line = line;
    if line.len() > CMDLINE_SIZE {
        request.source_problem(source, Fault::Is(Mistake::LongCmdline));
        // The last parameter may be cut short, and half a list is another list.
        let whole = line.iter().rposition(|&b| is_space(b)).unwrap_or_default();
        line = line.get(..whole).unwrap_or_default();
    }
    let text = Text { line, origin: Origin { source, line: 1, column: 1 } };
    for parameter in Parameters::of(line) {
        let (name, origin) = (parameter.name, text.origin(parameter.name_at));
        match words(NAMES).position(|own| same_name(own, name)) {
            Some(number @ 0..5) => {
                let form = match number {
                    3 => Items::Qubes,
                    4 => Items::KeptByQubes,
                    _ => Items::Plain,
                };
                hide(request, &text, &parameter, form);
            }
            Some(5) => match truth(parameter.value) {
                Some(true) => request.selector(origin, name, false, b"class:0c03"),
                Some(false) => {}
                None => request.problem(origin, parameter.text, Fault::Is(Mistake::NoTruth)),
            },
            Some(_) => module_parameter(request, origin, last_part(name, b'.'), parameter.value),
            None => {
                if let Some(switch) = behind(b"pciseize.", name) {
                    request.switch(origin, parameter.text, switch, parameter.value);
                }
            }
        }
    }
}

/// The parameters that are known, but for the switches. The order is that of [`parse`].
const NAMES: &str = "pciseize.hide xen_pciback.hide pciback.hide rd.qubes.hide_pci rd.qubes.dom0_usb rd.qubes.hide_all_usb \
xen_pciback.passthrough xen_pciback.permissive pciback.passthrough pciback.permissive";

/// Takes the options of `xen-pciback` in a line, from `at` on: what they hide becomes items, the others are for the module itself.
pub(super) fn module_options(request: &mut Request, origin: Origin, line: &[u8], at: usize) {
    let text = Text { line, origin };
    for parameter in (Parameters { line, at }) {
        if parameter.name == b"hide" {
            hide(request, &text, &parameter, Items::Plain);
        } else {
            module_parameter(request, text.origin(parameter.name_at), parameter.name, parameter.value);
        }
    }
}

/// A text, and where in its source it begins.
struct Text<'t> {
    line: &'t [u8],
    origin: Origin,
}

impl Text<'_> {
    /// Where the byte at `at` stands, in lines and columns.
    fn origin(&self, at: usize) -> Origin {
        let before = self.line.get(..at).unwrap_or_default();
        let column = last_part(before, b'\n').len();
        let lines = before.iter().filter(|&&b| b == b'\n').count();
        Origin { source: self.origin.source, line: self.origin.line + lines as u32, column: column as u32 + 1 }
    }
}

/// How items are written in a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Items {
    /// As everywhere.
    Plain,
    /// As Qubes does.
    Qubes,
    /// As Qubes does, without the `!` that is meant.
    KeptByQubes,
}

/// Takes a list of items. An empty one asks for nothing.
///
/// The kernel writes `(03:00.0)(04:00.*)`. People also write `(03:00.0),(04:00.0)`, `(03:00.0,04:00.0)` and blanks between; for the kernel's module each of those hides nothing at all. Here all are lists.
fn hide(request: &mut Request, text: &Text, parameter: &Parameter, form: Items) {
    let value = parameter.value.unwrap_or_default();
    let (mut at, mut has_any) = (0, false);
    // A `!` that a blank or a parenthesis parts from what it keeps.
    let mut keeps_next = false;
    while let Some(piece) = next_piece(value, &mut at, |byte| is_space(byte) || matches!(byte, b'(' | b')' | b',')) {
        keeps_next |= piece == b"!";
        if piece == b"!" {
            continue;
        }
        has_any = true;
        let origin = text.origin(parameter.value_at + at - piece.len());
        match form {
            Items::Plain if core::mem::take(&mut keeps_next) => request.selector(origin, piece, true, piece),
            Items::Plain => request.item(origin, piece),
            Items::Qubes | Items::KeptByQubes => {
                let mut spelled = Line::new();
                // What cannot be read stays as it is, and is a bad item.
                let is_spelled = from_qubes(piece, &mut spelled).is_some();
                request.selector(origin, piece, form == Items::KeptByQubes, if is_spelled { spelled.bytes() } else { piece });
            }
        }
    }
    if !has_any || keeps_next {
        request.lacks_keep |= keeps_next || form == Items::KeptByQubes;
        request.problem(text.origin(parameter.name_at), parameter.text, Fault::Is(Mistake::NoItem));
    }
}

/// Spells a path as pciseize does that is written as Qubes does: `[DOMAIN_]BUS_DEVICE.FUNCTION(-BUS_DEVICE.FUNCTION)*`. In the further steps BUS counts from the first bus behind the bridge;
/// anything but 00 is a virtual function's, and not to be had as a path. `None` where it is no such path.
pub fn from_qubes(text: &[u8], spelled: &mut Line) -> Option<()> {
    let mut steps = split(text, b'-');
    let mut separator = "";
    for field in split(steps.next()?, b'_') {
        put!(spelled, Either(separator));
        spelled.push(field);
        separator = ":";
    }
    for step in steps {
        let (_, step) = split_once(step, b'_').filter(|&(bus, _)| number(bus, 16) == Some(0))?;
        put!(spelled, "/");
        spelled.push(step);
    }
    Some(())
}

/// A parameter for the module, handed on as kmod would hand it on: `name=value`, or the name alone.
fn module_parameter(request: &mut Request, origin: Origin, name: &[u8], value: Option<&[u8]>) {
    let mut text = Line::new();
    put!(&mut text, Either(if request.module_parameters.is_empty() { "" } else { " " }));
    text.push(name);
    if let Some(value) = value {
        put!(&mut text, "=");
        text.push(value);
    }
    // In the module's own line blanks separate parameters, and a NUL ends it.
    let is_one_word = !value.unwrap_or_default().iter().any(|&b| is_space(b) || b == 0);
    if is_one_word && request.module_parameters.extend_from_slice(text.bytes()).is_ok() {
        request.module_parameters_at = origin;
    } else {
        request.problem(origin, value.unwrap_or(name), Fault::Is(Mistake::BadParameter));
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec};

    use super::*;

    /// Each parameter as `name` or `name|value`.
    fn cut(line: &[u8]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Parameters::of(line).map(|p| text(p.name) + &p.value.map_or(String::new(), |v| String::from("|") + &text(v))).collect()
    }

    #[test]
    fn cuts_as_the_kernel_does() {
        for (line, expected) in [
            ("", [].as_slice()),
            ("  \n", &[]),
            ("root=/dev/sda1 ro quiet\n", &["root|/dev/sda1", "ro", "quiet"]),
            ("a=b=c", &["a|b=c"]),
            ("=a =b=c", &["=a", "=b|c"]),
            ("\"k=a b\" next", &["k|a b", "next"]),
            ("k=\"a b\" next", &["k|a b", "next"]),
            ("k=a\" \"b next", &["k|a\" \"b", "next"]),
            ("k=\"a b", &["k|a b"]),
            ("k=\"", &["k|"]),
            ("\"a b\"", &["a b"]),
            ("\"k=\"a b\"\"", &["k|a", "b\"\""]),
            ("a\tb\u{b}c\rd", &["a", "b", "c", "d"]),
            ("a -- b", &["a"]),
            ("a --=x b", &["a", "--|x", "b"]),
            ("k=a\\\"b c\\\" d", &["k|a\\\"b c\\\"", "d"]),
        ] {
            assert_eq!(cut(line.as_bytes()), expected, "{line:?}");
        }
        assert_eq!(cut(b"a\xa0b"), ["a", "b"]);
    }

    #[test]
    fn knows_where_each_stands() {
        let line = br#"ro  "pciseize.hide=1" x="y""#;
        let places: Vec<_> = Parameters::of(line).map(|p| (p.name_at, p.value_at)).collect();
        assert_eq!(places, [(0, 2), (5, 19), (22, 25)]);
    }

    #[test]
    fn spells_paths_of_qubes() {
        let spelled = |text: &str| {
            let mut spelled = Line::new();
            from_qubes(text.as_bytes(), &mut spelled).map(|()| String::from_utf8_lossy(spelled.bytes()).into_owned())
        };
        for (text, expected) in [
            ("03:00.0", Some("03:00.0")),
            ("0000:03:00.0", Some("0000:03:00.0")),
            ("00_1c.0", Some("00:1c.0")),
            ("0001_00_1c.0-00_00.1", Some("0001:00:1c.0/00.1")),
            ("00_1c.0-00_00.0-0_1f.7", Some("00:1c.0/00.0/1f.7")),
            ("00_1c.0-01_00.0", None),
            ("00_1c.0-00.0", None),
        ] {
            assert_eq!(spelled(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn folds_hyphens_in_names() {
        assert!(same_name(b"xen-pciback.hide", b"xen_pciback.hide"));
        assert!(!same_name(b"xen-pciback", b"xen-pcibac"));
    }
}
