//! A selector as Qubes OS writes it.
//!
//! ```text
//! qubes = [ DOMAIN "_" ] BUS "_" DEVICE "." FUNCTION ( "-" BUS "_" DEVICE "." FUNCTION )*
//!       | selector
//! ```
//!
//! In the further steps BUS counts from the first bus behind the bridge. A path names functions on
//! that first bus only, so BUS is 0 there: any other one is a virtual function's.

use super::{fault::Fault, selector::Selector};
use crate::{
    put,
    text::{Line, number, split, split_once},
};

/// Reads a selector, or a path as Qubes spells it.
///
/// ```
/// use pciseize::request::{Selector, syntax::qubes};
///
/// let path = qubes::parse(b"00_1c.0-00_00.0").unwrap();
/// assert_eq!(Selector::parse(b"00:1c.0/00.0"), Ok(path));
/// ```
///
/// # Errors
/// What is wrong with the text as a selector.
pub fn parse(text: &[u8]) -> Result<Selector, Fault> {
    let mut spelled = Line::new();
    if respell(text, &mut spelled).is_none() {
        return Selector::parse(text);
    }
    Selector::parse(spelled.bytes())
}

/// Spells a path as [`Selector`] reads it. `None` for a path that it cannot name.
fn respell(text: &[u8], spelled: &mut Line) -> Option<()> {
    let mut steps = split(text, b'-');
    for &byte in steps.next()? {
        spelled.push(&[if byte == b'_' { b':' } else { byte }]);
    }
    for step in steps {
        let (bus, step) = split_once(step, b'_')?;
        if number(bus, 16) != Some(0) {
            return None;
        }
        put!(spelled, "/");
        spelled.push(step);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_paths_of_qubes() {
        for (text, expected) in [
            ("03:00.0", "03:00.0"),
            ("0000:03:00.0", "0000:03:00.0"),
            ("10de:1b80", "10de:1b80"),
            ("00_1c.0", "00:1c.0"),
            ("0001_00_1c.0-00_00.1", "0001:00:1c.0/00.1"),
            ("00_1c.0-00_00.0-0_1f.7", "00:1c.0/00.0/1f.7"),
        ] {
            let selector = Selector::parse(expected.as_bytes());
            assert!(selector.is_ok(), "{expected}");
            assert_eq!(parse(text.as_bytes()), selector, "{text}");
        }
    }

    #[test]
    fn refuses_what_no_path_names() {
        for text in [
            "",
            "00_1c.0-01_00.0",
            "00_1c.0-00.0",
            "00_1c.0-",
            "-00_00.0",
            "!03:00.0",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
