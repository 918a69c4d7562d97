//! Words and numbers.

use heapless::{CapacityError, VecView};

/// Whether a word is one of ours, in upper or lower case. `<[u8]>::eq_ignore_ascii_case` of core
/// would link a panic.
pub fn is_word(word: &[u8], own: &[u8]) -> bool {
    let mut pairs = word.iter().zip(own);
    word.len() == own.len() && pairs.all(|(one, other)| one.eq_ignore_ascii_case(other))
}

/// Whether a word is one of some of ours, in upper or lower case.
pub fn is_one_of(words: &[&str], word: &[u8]) -> bool {
    words.iter().any(|own| is_word(word, own.as_bytes()))
}

/// Whether a name is one of ours but for one slip: upper or lower case and signs aside, at most two
/// letters that stand together are others, are missing or too many, or have changed places.
///
/// ```
/// use pciseize::text::is_nearly;
///
/// assert!(is_nearly(b"pcisieze", b"pciseize") && is_nearly(b"XEN.pci-bac", b"xen_pciback"));
/// assert!(!is_nearly(b"xen-pcibackend", b"xen_pciback"));
/// ```
pub fn is_nearly(name: &[u8], own: &[u8]) -> bool {
    let [mut name, mut own] = [name, own].map(|name| {
        let letters = name.iter().filter(|byte| byte.is_ascii_alphanumeric());
        letters.map(u8::to_ascii_lowercase)
    });
    // What both begin with, then what both end with, is taken off.
    loop {
        let mut next = (name.clone(), own.clone());
        match (next.0.next(), next.1.next()) {
            (Some(one), Some(other)) if one == other => (name, own) = next,
            _ => break,
        }
    }
    loop {
        let mut next = (name.clone(), own.clone());
        match (next.0.next_back(), next.1.next_back()) {
            (Some(one), Some(other)) if one == other => (name, own) = next,
            _ => break,
        }
    }
    name.count() <= 2 && own.count() <= 2
}

/// What a word stands for in a table, in upper or lower case.
///
/// ```
/// use pciseize::text::find_word;
///
/// let table = [("yes", true), ("no", false)];
/// assert_eq!(find_word(&table, b"YES"), Some(true));
/// assert_eq!(find_word(&table, b"maybe"), None);
/// ```
pub fn find_word<T: Copy>(table: &[(&str, T)], word: &[u8]) -> Option<T> {
    table
        .iter()
        .find(|(own, _)| is_word(word, own.as_bytes()))
        .map(|&(_, meaning)| meaning)
}

/// Adds a text to another. heapless compiles its own function again for every capacity.
///
/// # Errors
/// There is no room for all of it; then nothing is added.
// 320 bytes less of the program: 11 callers would each have a copy.
#[inline(never)]
pub fn append(text: &mut VecView<u8>, more: &[u8]) -> Result<(), CapacityError> {
    text.extend_from_slice(more)
}

/// The text without the blanks at its end. Core's function is copied into every caller.
pub fn trim_end(text: &[u8]) -> &[u8] {
    text.trim_ascii_end()
}

/// Reads a whole number: only digits of `radix` (10 or 16), in upper or lower case, at least one.
/// `None` for anything else, and for a number that 32 bits do not hold.
///
/// ```
/// use pciseize::text::number;
///
/// assert_eq!(number(b"10De", 16), Some(0x10de));
/// assert_eq!(number(b"+1", 10), None);
/// ```
pub fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0, |value: u32, &digit| {
        // With a radix that is not constant, `to_digit` links a panic.
        let digit = (digit as char)
            .to_digit(16)
            .filter(|&digit| digit < radix)?;
        value.checked_mul(radix)?.checked_add(digit)
    })
}

/// The text without the byte order mark that editors of other systems put in front of UTF-8.
///
/// ```
/// use pciseize::text::without_mark;
///
/// assert_eq!(without_mark(b"\xef\xbb\xbf03:00.0"), b"03:00.0");
/// assert_eq!(without_mark(b"03:00.0"), b"03:00.0");
/// ```
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers() {
        for (digits, radix, expected) in [
            ("0", 10, Some(0)),
            ("4294967295", 10, Some(u32::MAX)),
            ("4294967296", 10, None),
            ("10De", 16, Some(0x10de)),
            ("ffffffff", 16, Some(u32::MAX)),
            ("100000000", 16, None),
            ("0000000001", 16, Some(1)),
            ("", 10, None),
            ("1 ", 10, None),
            ("-1", 10, None),
            ("+1", 10, None),
            ("a", 10, None),
            ("g", 16, None),
        ] {
            assert_eq!(number(digits.as_bytes(), radix), expected, "{digits}");
        }
    }

    #[test]
    fn knows_a_slip() {
        for (name, own, expected) in [
            ("pciseize", "pciseize", true),
            ("pci_SEIZE", "pciseize", true),
            ("pcisieze", "pciseize", true),
            ("pcisize", "pciseize", true),
            ("pciseizes", "pciseize", true),
            ("ciseize", "pciseize", true),
            ("seize", "pciseize", false),
            ("pciseizable", "pciseize", false),
            ("pciehp", "pciseize", false),
            ("pcifront", "pciback", false),
            ("pci", "pciback", false),
            ("", "pciback", false),
            ("aa", "a", true),
        ] {
            assert_eq!(
                is_nearly(name.as_bytes(), own.as_bytes()),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn knows_its_words_in_any_case() {
        for (word, own, expected) in [
            ("usb", "usb", true),
            ("UsB", "usb", true),
            ("us", "usb", false),
            ("usbb", "usb", false),
            ("", "usb", false),
        ] {
            assert_eq!(is_word(word.as_bytes(), own.as_bytes()), expected, "{word}");
        }
    }
}
