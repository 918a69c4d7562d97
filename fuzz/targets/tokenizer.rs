//! The kernel's command line: the library and a second tokenizer, written rule by rule, must agree.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pciseize::request::syntax::parameter::Parameters;

fuzz_target!(|line: &[u8]| {
    let expected = cut(line);
    let mut count = 0;
    for parameter in Parameters::new(line) {
        // The reported offset of a name is the real one.
        assert!(line[parameter.name_at..].starts_with(parameter.name));
        if let Some(value) = parameter.value {
            assert!(line[value.at..].starts_with(value.text));
        }
        let expected = expected
            .get(count)
            .expect("a parameter more than there are");
        let found = (parameter.name, parameter.value_text());
        assert_eq!(found, (expected.0.as_slice(), expected.1.as_deref()));
        count += 1;
    }
    assert_eq!(count, expected.len(), "parameters were lost");
});

type Cut = (Vec<u8>, Option<Vec<u8>>);

/// The parameters, by the rules one after another: first the words, then the parts of each word.
fn cut(line: &[u8]) -> Vec<Cut> {
    let mut found = Vec::new();
    for word in words(line) {
        let (name, value) = name_and_value(&word);
        if name == b"--" && value.is_none() {
            break;
        }
        found.push((name, value));
    }
    found
}

/// White space separates words if an even number of quotes stands before it in its word.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word = Vec::new();
    let mut quotes = 0;
    // A last blank ends the last word, unless a quote is open.
    for &byte in line.iter().chain(b" ") {
        if !is_blank(byte) || quotes % 2 == 1 {
            quotes += usize::from(byte == b'"');
            word.push(byte);
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
            quotes = 0;
        }
    }
    // The last word, if its quote never ends.
    if !word.is_empty() {
        word.pop();
        words.push(word);
    }
    words
}

/// The kernel's table is Latin-1: the blanks are those of ASCII and the no-break space.
fn is_blank(byte: u8) -> bool {
    [b' ', b'\t', b'\n', 0x0b, 0x0c, b'\r', 0xa0].contains(&byte)
}

/// A quote before a word wraps the word; a quote before a value wraps the value. Either is closed
/// by a quote at the very end, if there is one. At most one quote is dropped there.
fn name_and_value(word: &[u8]) -> Cut {
    let is_wrapped = word[0] == b'"';
    let inner = if is_wrapped { &word[1..] } else { word };
    // The first `=` with something before it.
    let equals = (1..inner.len()).find(|&at| inner[at] == b'=');
    let (name, value) = match equals {
        Some(at) => (&inner[..at], Some(&inner[at + 1..])),
        None => (inner, None),
    };
    let cut_end = |text: &[u8], really: bool| -> Vec<u8> {
        let mut text = text.to_vec();
        if really && text.last() == Some(&b'"') {
            text.pop();
        }
        text
    };
    match value {
        None => (cut_end(name, is_wrapped), None),
        Some(value) if value.first() == Some(&b'"') => {
            (name.to_vec(), Some(cut_end(&value[1..], true)))
        }
        Some(value) => (name.to_vec(), Some(cut_end(value, is_wrapped))),
    }
}
