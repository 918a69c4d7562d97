//! The name of a device for guests.
//!
//! ```text
//! name  = LETTER { LETTER | DIGIT | "-" | "_" }      at most 31; letters in lower case
//! ```
//!
//! A setting's name is none, nor is one of [`RESERVED`], nor one in which a word asks for a keep:
//! `keep`, `not-this`. Whoever writes those before a device does not name it.

use heapless::Vec;
use ufmt::{Formatter, uDisplay, uWrite};

use super::{
    fault::{Fault, Mistake},
    hints::has_keep_word,
    selector::Selector,
    setting::Setting,
};
use crate::{
    show,
    text::{Escaped, is_word, split_once, trim_end},
};

/// Most bytes of a name.
pub const NAME_SIZE: usize = 31;

/// Words that nobody calls a device: they say who is to have it, or belong to the module.
pub const RESERVED: [&str; 9] = [
    "hide",
    "hidden",
    "dom0",
    "host",
    "no",
    "blacklist",
    "pciback",
    "permissive",
    "passthrough",
];

/// A name for guests.
///
/// ```
/// use pciseize::request::syntax::name::Name;
///
/// assert_eq!(Name::parse(b"gpu-1").unwrap().as_bytes(), b"gpu-1");
/// assert!(Name::parse(b"GPU").is_err() && Name::parse(b"strict").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Vec<u8, NAME_SIZE>);

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// [`Mistake::ReservedName`] for a word with a meaning of its own, [`Mistake::BadName`] for
    /// another form.
    pub fn parse(text: &[u8]) -> Result<Name, Fault> {
        let is_setting = Setting::parse(text, None) != Err(Fault::Is(Mistake::UnknownName));
        let is_reserved = RESERVED.iter().any(|word| is_word(text, word.as_bytes()));
        if is_setting || is_reserved || has_keep_word(text) {
            return Err(Fault::Is(Mistake::ReservedName));
        }
        let is_fine = text.first().is_some_and(u8::is_ascii_lowercase)
            && text.iter().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
            });
        match Vec::from_slice(text) {
            Ok(name) if is_fine => Ok(Name(name)),
            _ => Err(Fault::Is(Mistake::BadName)),
        }
    }

    /// Reads a name that may be written in capitals.
    ///
    /// # Errors
    /// As [`Name::parse`].
    pub fn parse_any_case(text: &[u8]) -> Result<Name, Fault> {
        let mut lower =
            Vec::<u8, NAME_SIZE>::from_slice(text).map_err(|_| Fault::Is(Mistake::BadName))?;
        lower.make_ascii_lowercase();
        Name::parse(&lower)
    }

    /// Whether a text is one word of letters, digits, `-` and `_`: a name, or nearly one.
    pub fn is_nearly(text: &[u8]) -> bool {
        let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !text.is_empty() && text.iter().all(is_of_name)
    }

    /// The name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl uDisplay for Name {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(f, "{}", Escaped(&self.0))
    }
}

/// The name and the item that a line means whose name has capitals.
///
/// ```
/// use pciseize::request::syntax::name::{Name, likely_name};
///
/// let (name, item) = likely_name(b"GPU = 03:00.0").unwrap();
/// assert_eq!((name, item), (Name::parse(b"gpu").unwrap(), &b"03:00.0"[..]));
/// assert_eq!(likely_name(b"class = 03:00.0"), None);
/// ```
pub fn likely_name(text: &[u8]) -> Option<(Name, &[u8])> {
    let (name, item) = split_once(text, b'=')?;
    let (name, item) = (trim_end(name), item.trim_ascii_start());
    let has_capitals = name.iter().any(u8::is_ascii_uppercase);
    let is_meant = has_capitals && Selector::parse(item).is_ok();
    let name = Name::parse_any_case(name).ok().filter(|_| is_meant)?;
    Some((name, item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::shown;

    const BAD: Result<(), Fault> = Err(Fault::Is(Mistake::BadName));
    const RESERVED: Result<(), Fault> = Err(Fault::Is(Mistake::ReservedName));

    #[test]
    fn reads_a_name() {
        for (text, expected) in [
            ("gpu", Ok(())),
            ("g", Ok(())),
            ("lan-2_b", Ok(())),
            ("a234567890123456789012345678901", Ok(())),
            ("a2345678901234567890123456789012", BAD),
            ("", BAD),
            ("GPU", BAD),
            ("2nd", BAD),
            ("-a", BAD),
            ("a b", BAD),
            ("a.b", BAD),
            ("a,b", BAD),
            ("g\u{fc}", BAD),
            ("off", RESERVED),
            ("Strict", RESERVED),
            ("timeout", RESERVED),
            ("hide", RESERVED),
            ("keep", RESERVED),
            ("not-this", RESERVED),
            ("notebook", Ok(())),
            ("offline", Ok(())),
        ] {
            let name = Name::parse(text.as_bytes());
            assert_eq!(name.clone().map(drop), expected, "{text}");
            if let Ok(name) = name {
                assert_eq!(shown(&name), text);
            }
        }
    }

    #[test]
    fn knows_what_was_meant_by_capitals() {
        let read = |text: &str| Name::parse_any_case(text.as_bytes()).map(|name| shown(&name));
        assert_eq!(read("GPU").as_deref(), Ok("gpu"));
        assert_eq!(read("2ND"), Err(Fault::Is(Mistake::BadName)));
        assert_eq!(read("OFF"), Err(Fault::Is(Mistake::ReservedName)));
        for (text, expected) in [("GPU", true), ("2nd", true), ("a b", false), ("", false)] {
            assert_eq!(Name::is_nearly(text.as_bytes()), expected, "{text}");
        }
    }
}
