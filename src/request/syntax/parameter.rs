//! A command line, cut into parameters as the kernel cuts it.
//!
//! ```text
//! line      = { blank } { parameter blank { blank } } [ "--" ... ]
//! parameter = NAME [ "=" VALUE ]                     blanks only inside quotes
//! ```
//!
//! The rules are those of `next_arg` (`lib/cmdline.c`) and `parse_args` (`kernel/params.c`). White
//! space outside `"` separates; there are no escapes; the first `=` ends the name; quotes around a
//! whole parameter or around a value are dropped; in names `-` and `_` are the same; a bare `--`
//! ends the kernel's part.

/// One parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'t> {
    /// The whole parameter, without a quote in front.
    pub text: &'t [u8],
    /// The text before the first `=`, or all of it.
    pub name: &'t [u8],
    /// Where the name begins in the line, in bytes from 0.
    pub name_at: usize,
    /// The value, if there is a `=`.
    pub value: Option<Value<'t>>,
}

/// The value of a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Value<'t> {
    /// The text behind the first `=`, without the quotes around it.
    pub text: &'t [u8],
    /// Where `text` begins in the line, in bytes from 0.
    pub at: usize,
}

/// The parameters of a command line, in order, up to a bare `--`.
///
/// ```
/// use pciseize::request::syntax::parameter::Parameters;
///
/// let mut parameters = Parameters::new(br#"quiet "k=a b" -- k=c"#);
/// assert_eq!(parameters.next().unwrap().name, b"quiet");
/// let second = parameters.next().unwrap();
/// assert_eq!((second.name, second.value.unwrap().text), (b"k".as_slice(), b"a b".as_slice()));
/// assert_eq!(parameters.next(), None);
/// ```
#[derive(Clone)]
pub struct Parameters<'t> {
    line: &'t [u8],
    /// Where the next parameter is looked for.
    at: usize,
}

/// Whether a quote stands in front of a parameter and wraps all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrap {
    None,
    Quotes,
}

impl<'t> Parameters<'t> {
    /// Cuts `line` from its beginning.
    pub const fn new(line: &'t [u8]) -> Parameters<'t> {
        Parameters::starting_at(line, 0)
    }

    /// Cuts `line` from `at` on. Parameters are placed by their distance from the line's beginning.
    pub const fn starting_at(line: &'t [u8], at: usize) -> Parameters<'t> {
        Parameters { line, at }
    }

    /// Where the next parameter is looked for: the end of the last one.
    pub const fn at(&self) -> usize {
        self.at
    }
}

impl<'t> Iterator for Parameters<'t> {
    type Item = Parameter<'t>;

    fn next(&mut self) -> Option<Parameter<'t>> {
        let rest = self.line.get(self.at..)?;
        let blanks = rest.iter().position(|&byte| !is_space(byte))?;
        let (wrap, rest) = match rest.get(blanks..)? {
            [b'"', rest @ ..] => (Wrap::Quotes, rest),
            rest => (Wrap::None, rest),
        };
        let at = self.at + blanks + usize::from(wrap == Wrap::Quotes);
        let text = rest.get(..length(rest, wrap))?;
        self.at = at + text.len();
        let parameter = Parameter::parse(text, at, wrap)?;
        if parameter.name == b"--" && parameter.value.is_none() {
            self.at = self.line.len();
            return None;
        }
        Some(parameter)
    }
}

/// How long the parameter is that `rest` begins with.
fn length(rest: &[u8], wrap: Wrap) -> usize {
    let mut is_quoted = wrap == Wrap::Quotes;
    let ends = |&byte: &u8| {
        is_quoted ^= byte == b'"';
        is_space(byte) && !is_quoted
    };
    rest.iter().position(ends).unwrap_or(rest.len())
}

impl<'t> Parameter<'t> {
    /// Splits a parameter that begins at `at` into name and value.
    fn parse(text: &'t [u8], at: usize, wrap: Wrap) -> Option<Parameter<'t>> {
        let unwrap = |text| {
            if wrap == Wrap::Quotes {
                without_end_quote(text)
            } else {
                text
            }
        };
        // As in the kernel, a name is not empty: a `=` in front belongs to it.
        let Some(before) = text.iter().skip(1).position(|&byte| byte == b'=') else {
            return Some(Parameter {
                text,
                name: unwrap(text),
                name_at: at,
                value: None,
            });
        };
        let (name, value) = (text.get(..before + 1)?, text.get(before + 2..)?);
        let value_at = at + name.len() + 1;
        let value = match value {
            [b'"', value @ ..] => Value {
                text: without_end_quote(value),
                at: value_at + 1,
            },
            value => Value {
                text: unwrap(value),
                at: value_at,
            },
        };
        Some(Parameter {
            text,
            name,
            name_at: at,
            value: Some(value),
        })
    }

    /// Where the parameter ends in the line.
    pub const fn end(&self) -> usize {
        self.name_at + self.text.len()
    }

    /// The text of the value, if there is a value.
    pub fn value_text(&self) -> Option<&'t [u8]> {
        self.value.map(|value| value.text)
    }
}

/// The text without the quote at its end.
fn without_end_quote(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"\"").unwrap_or(text)
}

/// Whether a byte is white space to the kernel's `isspace` (`lib/ctype.c`). Its table is Latin-1,
/// so 0xa0 counts.
pub const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0xa0)
}

/// Whether two names are the same to the kernel (`kernel/params.c`, `parameq`).
///
/// ```
/// use pciseize::request::syntax::parameter::is_same_name;
///
/// assert!(is_same_name(b"xen-pciback.hide", b"xen_pciback.hide"));
/// ```
pub fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    let folded = |&byte: &u8| if byte == b'-' { b'_' } else { byte };
    let mut pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.all(|(one, other)| folded(one) == folded(other))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec};

    use super::*;

    /// Each parameter as `name` or `name|value`.
    fn cut(line: &[u8]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = |parameter: Parameter| match parameter.value_text() {
            None => text(parameter.name),
            Some(value) => std::format!("{}|{}", text(parameter.name), text(value)),
        };
        Parameters::new(line).map(shown).collect()
    }

    #[test]
    fn cuts_as_the_kernel_does() {
        for (line, expected) in [
            ("", [].as_slice()),
            ("  \n", &[]),
            (
                "root=/dev/sda1 ro quiet\n",
                &["root|/dev/sda1", "ro", "quiet"],
            ),
            ("a=b=c", &["a|b=c"]),
            ("=a =b=c", &["=a", "=b|c"]),
            ("k= x", &["k|", "x"]),
            ("\"k=a b\" next", &["k|a b", "next"]),
            ("k=\"a b\" next", &["k|a b", "next"]),
            ("k=a\" \"b next", &["k|a\" \"b", "next"]),
            ("k=\"a b", &["k|a b"]),
            ("k=\"", &["k|"]),
            ("\"", &[""]),
            ("\"a b\"", &["a b"]),
            ("\"k=\"a b\"\"", &["k|a", "b\"\""]),
            ("a\tb\u{b}c\rd", &["a", "b", "c", "d"]),
            ("a -- b", &["a"]),
            ("a \"--\" b", &["a"]),
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
        let places: Vec<_> = Parameters::new(line)
            .map(|parameter| (parameter.name_at, parameter.value.map(|value| value.at)))
            .collect();
        assert_eq!(places, [(0, None), (5, Some(19)), (22, Some(25))]);
    }

    #[test]
    fn starts_anywhere() {
        let mut parameters = Parameters::starting_at(b"options a=b", 7);
        assert_eq!(
            parameters.next().map(|parameter| parameter.name_at),
            Some(8)
        );
        assert_eq!(parameters.at(), 11);
    }

    #[test]
    fn folds_hyphens_in_names() {
        for (one, other, expected) in [
            ("xen-pciback.hide", "xen_pciback.hide", true),
            ("xen_pciback", "xen-pciback", true),
            ("xen-pciback", "xen-pcibac", false),
            ("xen-pciback", "Xen-pciback", false),
        ] {
            assert_eq!(
                is_same_name(one.as_bytes(), other.as_bytes()),
                expected,
                "{one}"
            );
        }
    }
}
