//! The smaller parsers: a value that was read prints as a text that reads as the same value.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use pciseize::{
    pci::{Address, Pattern, place},
    request::{
        Selector,
        syntax::{
            class::Class,
            entry::{Content, Entry},
            ids::Ids,
            name::Name,
            qubes,
            setting::Setting,
        },
    },
    text::Line,
};

fuzz_target!(|text: &[u8]| {
    reads_back(text, Address::parse);
    reads_back(text, Pattern::parse);
    reads_back(text, Class::parse);
    reads_back(text, Ids::parse);
    reads_back(text, Name::parse);
    reads_back(text, read_setting);
    // An address is a pattern that matches only itself.
    let pattern = Pattern::parse(text).ok().and_then(Pattern::address);
    assert_eq!(pattern, Address::parse(text).ok());
    // A step is an address without a bus.
    if let Ok(step) = place::parse_step(text) {
        let address = Address::parse(&[b"0:", text].concat()).expect("a step is an address");
        assert_eq!(step, address.devfn());
    }
    // A path in the syntax of Qubes is a selector, and prints as one.
    if let Ok(selector) = qubes::parse(text) {
        assert_eq!(Selector::parse(&shown(&selector)), Ok(selector));
    }
});

/// Reads a line of the file as a setting.
fn read_setting(line: &[u8]) -> Result<Setting, ()> {
    match Entry::parse(line).map(|entry| entry.content) {
        Some(Content::Setting { name, value }) => Setting::parse(name, Some(value)).map_err(drop),
        _ => Err(()),
    }
}

fn reads_back<T, E>(text: &[u8], parse: fn(&[u8]) -> Result<T, E>)
where
    T: ufmt::uDisplay + Debug + PartialEq,
{
    if let Ok(value) = parse(text) {
        let printed = shown(&value);
        let again = parse(&printed).ok();
        assert_eq!(again, Some(value), "{}", String::from_utf8_lossy(&printed));
    }
}

fn shown(value: impl ufmt::uDisplay) -> Vec<u8> {
    let mut line = Line::new();
    pciseize::put!(&mut line, "{}", value);
    line.bytes().to_vec()
}
