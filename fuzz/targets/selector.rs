//! A selector: what is understood is printed so that it is understood again, and so is what is suggested in the place of what is not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pciseize::{
    request::selector::{Selector, is_around, meant, next_within},
    text::{Line, Show},
};

fuzz_target!(|text: &[u8]| {
    match Selector::parse(text) {
        Ok(selector) => {
            assert!(is_plain(text), "not even a blank is allowed: {}", String::from_utf8_lossy(text));
            prints(&selector);
        }
        Err(fault) => {
            assert!(!shown(&fault).is_empty());
            let mut at = 0;
            for item in std::iter::from_fn(|| next_within(text, &mut at)) {
                let selector = Selector::parse(item.strip_prefix(b"!").unwrap_or(item));
                prints(&selector.expect("what is suggested is no bad item again"));
            }
            if let Some(suggestion) = meant(text) {
                prints(&suggestion);
                has_numbers_of(&suggestion, text);
            }
        }
    }
});

/// Whether there are only bytes that a selector may have.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b":.*/@".contains(byte))
}

/// What is printed can be pasted into any source, where nothing splits it, and says the same there.
fn prints(selector: &Selector) {
    let printed = shown(selector);
    assert!(is_plain(&printed), "{}", String::from_utf8_lossy(&printed));
    let again = Selector::parse(&printed);
    assert_eq!(again.as_ref(), Ok(selector), "{}", String::from_utf8_lossy(&printed));
    assert_eq!(again.map(|again| shown(&again)), Ok(printed));
}

/// A suggestion has the numbers of the first word, and no others.
fn has_numbers_of(suggestion: &Selector, text: &[u8]) {
    let printed = numbers(&shown(suggestion));
    let word = text.split(|&byte| is_around(byte) || byte == b'!').find(|word| !word.is_empty()).unwrap_or_default();
    let mut written = numbers(word);
    // The domain may be left away.
    if written.len() < printed.len() {
        written.insert(0, 0);
    }
    assert_eq!(printed, written, "{}", String::from_utf8_lossy(text));
}

fn numbers(text: &[u8]) -> Vec<u64> {
    let digits = text.split(|byte| !byte.is_ascii_hexdigit()).filter(|digits| !digits.is_empty());
    digits.map(|digits| digits.iter().fold(0, |value, &digit| value << 4 | u64::from((digit as char).to_digit(16).expect("a digit")))).collect()
}

fn shown(value: impl Show) -> Vec<u8> {
    let mut line = Line::new();
    value.show(&mut line);
    line.bytes().to_vec()
}
