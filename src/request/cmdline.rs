//! The kernel's command line, cut into parameters as the kernel cuts it.
//!
//! The rules are those of `next_arg` (`lib/cmdline.c`) and `parse_args` (`kernel/params.c`): white space outside `"` separates; there are no escapes; the first `=` ends the name; quotes around a whole
//! parameter or around a value are taken off; in names `-` and `_` are the same; a bare `--` ends the kernel's part.

use super::{Fault, Origin, Request, SourceId};
use crate::{host::Host, text::words};

/// Where the kernel shows it.
pub const FILE: &str = "/proc/cmdline";

/// Most bytes of a command line. The kernel's own limit is 2,048 on x86, more only with a boot configuration.
pub const CMDLINE_SIZE: usize = 8192;

/// Most bytes of the module parameters that are handed on.
pub const PARAMETERS_SIZE: usize = 128;

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'t> {
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
    at: usize,
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
            return Some(Parameter { name, value: None, name_at, value_at: self.at });
        };
        let value_at = name_at + name.len() + 1;
        Some(match value {
            [_, b'"', value @ ..] => Parameter { name, value: Some(without_quote(value)), name_at, value_at: value_at + 1 },
            [_, value @ ..] => Parameter { name, value: Some(if quoted { without_quote(value) } else { value }), name_at, value_at },
            [] => Parameter { name, value: None, name_at, value_at },
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

/// What follows `prefix` in a name.
fn behind<'t>(prefix: &[u8], name: &'t [u8]) -> Option<&'t [u8]> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    same_name(start, prefix).then_some(rest)
}

/// Reads the file into the request.
pub(super) fn read<H: Host>(request: &mut Request, host: &mut H, source: SourceId) {
    // One byte more than may be there shows that there is more.
    let mut buffer = [0; CMDLINE_SIZE + 1];
    match host.read(FILE.as_bytes(), 0, &mut buffer) {
        Ok(line) => parse(request, source, line),
        Err(errno) => request.source_problem(source, Fault::Unreadable(errno)),
    }
}

/// Reads a command line into the request.
pub fn parse(request: &mut Request, source: SourceId, line: &[u8]) {
    let mut line = line;
    if line.len() > CMDLINE_SIZE {
        request.source_problem(source, Fault::LongCmdline);
        // The last parameter may be cut short, and half a list is another list.
        let whole = line.iter().rposition(|&b| is_space(b)).unwrap_or_default();
        line = line.get(..whole).unwrap_or_default();
    }
    for parameter in Parameters::of(line) {
        let origin = Origin { source, line: 1, column: parameter.name_at as u32 + 1 };
        if let Some(name) = behind(b"pciseize.", parameter.name) {
            if name == b"hide" {
                hide(request, origin, &parameter);
            } else {
                request.switch(origin, parameter.name, name, parameter.value);
            }
        } else if let Some(name) = behind(b"xen-pciback.", parameter.name)
            && words("passthrough permissive").any(|known| known == name)
        {
            module_parameter(request, origin, name, parameter.value);
        }
    }
}

/// `pciseize.hide=item,item…`: items with commas between them. An empty one asks for nothing.
fn hide(request: &mut Request, origin: Origin, parameter: &Parameter) {
    let value = parameter.value.unwrap_or_default();
    let mut at = parameter.value_at;
    let mut any = false;
    for piece in value.split(|&b| b == b',') {
        let item = piece.trim_ascii();
        let blanks = piece.len() - piece.trim_ascii_start().len();
        if !item.is_empty() {
            any = true;
            request.item(Origin { column: (at + blanks) as u32 + 1, ..origin }, item);
        }
        at += piece.len() + 1;
    }
    if !any {
        request.problem(origin, parameter.name, Fault::NoItem);
    }
}

/// A parameter for the module, handed on as kmod would hand it on: `name=value`, or the name alone.
fn module_parameter(request: &mut Request, origin: Origin, name: &[u8], value: Option<&[u8]>) {
    let before = request.module_parameters.len();
    let mut add = |bytes: &[u8]| request.module_parameters.extend_from_slice(bytes).is_ok();
    let separator: &[u8] = if before == 0 { b"" } else { b" " };
    // In the module's own line blanks separate parameters, and a NUL ends it.
    let is_one_word = !value.unwrap_or_default().iter().any(|&b| is_space(b) || b == 0);
    if !(is_one_word && add(separator) && add(name) && value.is_none_or(|value| add(b"=") && add(value))) {
        request.module_parameters.truncate(before);
        request.problem(origin, value.unwrap_or(name), Fault::BadParameter);
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
    fn folds_hyphens_in_names() {
        assert!(same_name(b"xen-pciback.hide", b"xen_pciback.hide"));
        assert!(!same_name(b"xen-pciback", b"xen-pcibac"));
        assert_eq!(behind(b"xen-pciback.", b"xen_pciback.permissive"), Some(b"permissive".as_slice()));
        assert_eq!(behind(b"xen-pciback.", b"xen"), None);
    }
}
