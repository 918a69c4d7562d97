//! A setting: a switch and its value.
//!
//! ```text
//! name  = "off" | "strict" | "debug" | "force"       with a truth: see `value`
//!       | "timeout"                                  with seconds
//! ```
//!
//! Names are read in upper or lower case. A source splits name and value its own way: the file at
//! `=`, the kernel's command line at the first `=` of `pciseize.NAME=VALUE`.

use ufmt::{Formatter, uDisplay, uWrite};

use super::{
    fault::{Fault, Mistake},
    value::{parse_seconds, parse_truth},
};
use crate::{
    show,
    text::{find_word, is_word},
};

/// A switch and its value.
///
/// ```
/// use pciseize::request::syntax::setting::Setting;
///
/// assert_eq!(Setting::parse(b"strict", None), Ok(Setting::Strict(true)));
/// assert_eq!(Setting::parse(b"timeout", Some(b"30")), Ok(Setting::Timeout(30)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Do nothing at all in this boot.
    Off(bool),
    /// Stop the boot unless everything is as asked.
    Strict(bool),
    /// Log more.
    Debug(bool),
    /// Seize devices in use too.
    Force(bool),
    /// How long one step of the kernel's may take, in seconds.
    Timeout(u32),
}

/// A setting that is on or off.
type Switch = fn(bool) -> Setting;

/// All of them, by their names.
const SWITCHES: [(&str, Switch); 4] = [
    ("off", Setting::Off),
    ("strict", Setting::Strict),
    ("debug", Setting::Debug),
    ("force", Setting::Force),
];

impl Setting {
    /// Reads a setting. `value` is `None` for a name that stands alone.
    ///
    /// # Errors
    /// [`Mistake::UnknownName`], or what is wrong with the value.
    pub fn parse(name: &[u8], value: Option<&[u8]>) -> Result<Setting, Fault> {
        if is_word(name, b"timeout") {
            return parse_seconds(value).map(Setting::Timeout);
        }
        let setting = find_word(&SWITCHES, name).ok_or(Fault::Is(Mistake::UnknownName))?;
        parse_truth(value).map(setting)
    }
}

/// As a line of the configuration file.
impl uDisplay for Setting {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let (name, on) = match *self {
            Setting::Off(on) => ("off", on),
            Setting::Strict(on) => ("strict", on),
            Setting::Debug(on) => ("debug", on),
            Setting::Force(on) => ("force", on),
            Setting::Timeout(seconds) => return show!(f, "timeout = {}", seconds),
        };
        show!(f, "{} = {}", name, if on { "yes" } else { "no" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        put,
        request::syntax::entry::{Content, Entry},
        text::Line,
    };

    #[test]
    fn reads_names_and_values() {
        for (name, value, expected) in [
            ("off", None, Ok(Setting::Off(true))),
            ("OFF", Some("no"), Ok(Setting::Off(false))),
            ("strict", Some("yes"), Ok(Setting::Strict(true))),
            ("debug", Some("1"), Ok(Setting::Debug(true))),
            ("force", Some("0"), Ok(Setting::Force(false))),
            ("timeout", Some("30"), Ok(Setting::Timeout(30))),
            ("timeout", None, Err(Fault::Is(Mistake::NoSeconds))),
            ("strict", Some("perhaps"), Err(Fault::Is(Mistake::NoTruth))),
            ("", None, Err(Fault::Is(Mistake::UnknownName))),
            (
                "hide",
                Some("03:00.0"),
                Err(Fault::Is(Mistake::UnknownName)),
            ),
        ] {
            let value = value.map(str::as_bytes);
            assert_eq!(Setting::parse(name.as_bytes(), value), expected, "{name}");
        }
    }

    #[test]
    fn prints_a_line_that_reads_back() {
        for setting in [
            Setting::Off(true),
            Setting::Strict(false),
            Setting::Debug(true),
            Setting::Force(false),
            Setting::Timeout(3600),
        ] {
            let mut line = Line::new();
            put!(&mut line, "{}", setting);
            let entry = Entry::parse(line.bytes()).expect("a setting");
            let Content::Setting { name, value } = entry.content else {
                panic!("{entry:?}")
            };
            assert_eq!(Setting::parse(name, Some(value)), Ok(setting));
        }
    }
}
