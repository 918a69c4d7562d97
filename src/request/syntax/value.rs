//! The values of switches.
//!
//! ```text
//! truth   = "1" | "y" | "yes" | "on" | "true"        a switch without a value is on
//!         | "0" | "n" | "no" | "off" | "false"
//! seconds = 1 to 3600, in decimal digits
//! ```
//!
//! Words are read in upper or lower case.

use super::fault::{Fault, Mistake};
use crate::text::{is_word, number};

/// The longest timeout, in seconds.
pub const LONGEST_TIMEOUT: u32 = 3600;

/// Each word for a yes, and the word for a no that goes with it.
const TRUTHS: [(&str, &str); 5] = [
    ("1", "0"),
    ("y", "n"),
    ("yes", "no"),
    ("on", "off"),
    ("true", "false"),
];

/// Reads a yes or a no. `None`, a switch without a value, is a yes.
///
/// ```
/// use pciseize::request::syntax::value::parse_truth;
///
/// assert_eq!(parse_truth(Some(b"Off")), Ok(false));
/// assert_eq!(parse_truth(None), Ok(true));
/// ```
///
/// # Errors
/// [`Mistake::NoTruth`] for any other text.
pub fn parse_truth(value: Option<&[u8]>) -> Result<bool, Fault> {
    let Some(value) = value else { return Ok(true) };
    for (yes, no) in &TRUTHS {
        if is_word(value, yes.as_bytes()) {
            return Ok(true);
        }
        if is_word(value, no.as_bytes()) {
            return Ok(false);
        }
    }
    Err(Fault::Is(Mistake::NoTruth))
}

/// Reads a number of seconds, 1 to [`LONGEST_TIMEOUT`].
///
/// # Errors
/// [`Mistake::NoSeconds`] for any other text, and for no value.
pub fn parse_seconds(value: Option<&[u8]>) -> Result<u32, Fault> {
    number(value.unwrap_or_default(), 10)
        .filter(|seconds| (1..=LONGEST_TIMEOUT).contains(seconds))
        .ok_or(Fault::Is(Mistake::NoSeconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_truth() {
        assert_eq!(parse_truth(None), Ok(true));
        for (text, expected) in [
            ("1", Ok(true)),
            ("YES", Ok(true)),
            ("0", Ok(false)),
            ("Off", Ok(false)),
            ("", Err(Fault::Is(Mistake::NoTruth))),
            ("2", Err(Fault::Is(Mistake::NoTruth))),
            ("perhaps", Err(Fault::Is(Mistake::NoTruth))),
        ] {
            assert_eq!(parse_truth(Some(text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn reads_seconds() {
        assert_eq!(parse_seconds(None), Err(Fault::Is(Mistake::NoSeconds)));
        for (text, expected) in [
            ("1", Some(1)),
            ("0030", Some(30)),
            ("3600", Some(3600)),
            ("0", None),
            ("3601", None),
            ("99999999999", None),
            ("-1", None),
            ("1s", None),
            ("", None),
        ] {
            assert_eq!(
                parse_seconds(Some(text.as_bytes())).ok(),
                expected,
                "{text}"
            );
        }
    }
}
