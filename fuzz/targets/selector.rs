//! A selector: a good one prints as a text that reads as the same selector. So does every
//! suggestion for a bad one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pciseize::{
    request::syntax::{
        hints::{is_around, items_within, likely_address},
        selector::Selector,
    },
    text::Line,
};

fuzz_target!(|text: &[u8]| {
    match Selector::parse(text) {
        Ok(selector) => {
            assert!(
                is_plain(text),
                "not even a blank is allowed: {}",
                String::from_utf8_lossy(text)
            );
            prints(&selector);
        }
        Err(fault) => {
            assert!(!shown(&fault).is_empty());
            for item in items_within(text) {
                let item = shown(&item);
                let selector = Selector::parse(item.strip_prefix(b"!").unwrap_or(&item));
                prints(&selector.expect("the suggestion is a good item"));
            }
            if let Some(suggestion) = likely_address(text) {
                prints(&suggestion);
                has_numbers_of(&suggestion, text);
            }
        }
    }
});

/// Whether every byte may stand in a selector.
fn is_plain(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b":.*/@".contains(byte))
}

/// A printed selector can be pasted into any source: no source splits it, and it keeps its meaning.
fn prints(selector: &Selector) {
    let printed = shown(selector);
    assert!(is_plain(&printed), "{}", String::from_utf8_lossy(&printed));
    let again = Selector::parse(&printed);
    assert_eq!(
        again.as_ref(),
        Ok(selector),
        "{}",
        String::from_utf8_lossy(&printed)
    );
    assert_eq!(again.map(|again| shown(&again)), Ok(printed));
}

/// A suggestion has the numbers of the first word, and no others. A comma may stand for the dot.
fn has_numbers_of(suggestion: &Selector, text: &[u8]) {
    let printed = numbers(&shown(suggestion));
    let word = text
        .split(|&byte| byte != b',' && is_around(byte) || byte == b'!')
        .find(|word| !word.is_empty())
        .unwrap_or_default();
    // As libvirt names devices.
    let mut written = numbers(word.strip_prefix(b"pci_").unwrap_or(word));
    // The domain may be missing.
    if written.len() < printed.len() {
        written.insert(0, 0);
    }
    assert_eq!(printed, written, "{}", String::from_utf8_lossy(text));
}

fn numbers(text: &[u8]) -> Vec<u64> {
    let digits = text
        .split(|byte| !byte.is_ascii_hexdigit())
        .filter(|digits| !digits.is_empty());
    digits
        .map(|digits| {
            digits.iter().fold(0, |value, &digit| {
                value << 4 | u64::from((digit as char).to_digit(16).expect("a digit"))
            })
        })
        .collect()
}

fn shown(value: impl ufmt::uDisplay) -> Vec<u8> {
    let mut line = Line::new();
    pciseize::put!(&mut line, "{}", value);
    line.bytes().to_vec()
}
