//! One line of a configuration file.
//!
//! ```text
//! line    = [ entry ] [ "#" COMMENT ]
//! entry   = item | NAME "=" item | SETTING "=" VALUE
//! item    = [ "!" ] selector                         a "!" first: never a setting
//! ```
//!
//! Blanks around an entry, a name and a value mean nothing, and neither does the CR of a CRLF.

use crate::text::{first_part, split_once, trim_end};

/// What stands on a line.
///
/// ```
/// use pciseize::request::syntax::entry::{Content, Entry};
///
/// let entry = Entry::parse(b"  03:00.0  # the card").unwrap();
/// assert_eq!((entry.text, entry.at), (b"03:00.0".as_slice(), 2));
/// assert_eq!(entry.content, Content::Item);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'t> {
    /// The line without comment and blanks. Not empty.
    pub text: &'t [u8],
    /// Where `text` begins in the line, in bytes from 0.
    pub at: usize,
    /// What `text` is.
    pub content: Content<'t>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'t> {
    /// An item, good or bad.
    Item,
    /// A setting and its value, or a name and its item; known or not, good or bad.
    #[allow(missing_docs)]
    Setting { name: &'t [u8], value: &'t [u8] },
}

impl<'t> Entry<'t> {
    /// Reads one line. `None` for a line without an entry. Every line can be read; its item or
    /// setting has a parser of its own.
    pub fn parse(line: &'t [u8]) -> Option<Entry<'t>> {
        let spoken = first_part(line, b'#');
        let start = spoken.trim_ascii_start();
        let at = spoken.len() - start.len();
        let text = trim_end(start);
        if text.is_empty() {
            return None;
        }
        let content = match split_once(text, b'=') {
            // A keep with a `=` in it is a bad item. As a setting it would be lost as a keep.
            Some((name, value)) if !text.starts_with(b"!") => Content::Setting {
                name: trim_end(name),
                value: value.trim_ascii_start(),
            },
            _ => Content::Item,
        };
        Some(Entry { text, at, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line() {
        let item = |text: &'static str, at| {
            Some(Entry {
                text: text.as_bytes(),
                at,
                content: Content::Item,
            })
        };
        let setting = |text: &'static str, at, name: &'static str, value: &'static str| {
            let content = Content::Setting {
                name: name.as_bytes(),
                value: value.as_bytes(),
            };
            Some(Entry {
                text: text.as_bytes(),
                at,
                content,
            })
        };
        for (line, expected) in [
            ("", None),
            ("   # nothing", None),
            ("\r", None),
            ("0000:03:00.0", item("0000:03:00.0", 0)),
            ("\t03:00.0 # the card\r", item("03:00.0", 1)),
            ("03:00.0#", item("03:00.0", 0)),
            ("a b", item("a b", 0)),
            ("!03:00.0", item("!03:00.0", 0)),
            ("!03:00.0 = yes", item("!03:00.0 = yes", 0)),
            ("strict = yes", setting("strict = yes", 0, "strict", "yes")),
            (" strict=", setting("strict=", 1, "strict", "")),
            ("=", setting("=", 0, "", "")),
            ("a = b = c", setting("a = b = c", 0, "a", "b = c")),
        ] {
            assert_eq!(Entry::parse(line.as_bytes()), expected, "{line:?}");
        }
    }
}
