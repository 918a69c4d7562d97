//! What a bad item probably means: `[10de:1b80]` has a good item in it, and `0000:82.0.0` has the
//! digits of an address and the wrong separators.
//!
//! A hint means no more than was written. What was one item is one item in the hint, and what was
//! to be kept is kept.

use ufmt::{Formatter, uDisplay, uWrite};

use super::{
    fault::Fault,
    qubes,
    selector::{By, Selector},
    setting::Setting,
};
use crate::{
    pci::Address,
    put, show,
    text::{
        Escaped, Line, Pieces, has_byte, is_one_of, last_part, number, pieces, split, split_once,
    },
};

/// Words with which people ask for a device to be kept.
const KEEP_WORDS: [&str; 13] = [
    "keep", "except", "exclude", "ignore", "skip", "not", "leave", "never", "dont", "deny",
    "protect", "unhide", "release",
];

/// Whether a text that cannot be read may be a keep: a `!` stands in it, or a word or another sign
/// that says so.
///
/// ```
/// use pciseize::request::syntax::hints::may_be_keep;
///
/// assert!(may_be_keep(b"03:00.0 !04:00.0") && may_be_keep(b"keep = 04:00.0"));
/// assert!(!may_be_keep(b"keeper"));
/// ```
pub fn may_be_keep(text: &[u8]) -> bool {
    has_byte(text, b'!') || has_keep_word(text) || has_keep(text)
}

/// Whether one of the items in a bad one keeps what it means.
pub fn has_keep(text: &[u8]) -> bool {
    items_within(text).any(|item| item.is_keep)
}

/// Whether a word asks for a keep: `keep`, `except`.
pub fn is_keep_word(word: &[u8]) -> bool {
    is_one_of(&KEEP_WORDS, word)
}

/// Whether a word in a text asks for a keep: `keep = 03:00.0`, `not-this`.
pub fn has_keep_word(text: &[u8]) -> bool {
    let mut words = pieces(text, |byte| !byte.is_ascii_alphanumeric());
    words.any(|word| is_keep_word(word.text))
}

/// An item that a bad one probably means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likely<'t> {
    is_keep: bool,
    /// The ids in front of `@`.
    ids: Option<&'t [u8]>,
    text: &'t [u8],
    form: Form,
    /// Whether nothing of it is missing: behind ids with a lone `@` is a place.
    is_whole: bool,
}

/// How an item is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As everywhere.
    Plain,
    /// With `0x` in front of numbers.
    Hex,
    /// As Qubes writes it.
    Qubes,
    /// A path with the bus of each step, as `lspci -PP` shows it.
    Buses,
    /// With letters in place of digits that look like them: `10de:1b8O`.
    Letters,
}

impl<'t> Likely<'t> {
    /// Reads one word.
    fn parse(word: &'t [u8]) -> Option<Likely<'t>> {
        // Other languages write a keep with these.
        let (is_keep, word) = match word {
            [b'!' | b'-' | b'~' | b'^', rest @ ..] => (true, rest),
            word => (false, word),
        };
        Some(Likely {
            is_keep,
            ..find_item(word)?
        })
    }

    /// An item that is written this way.
    const fn written(text: &'t [u8], form: Form) -> Likely<'t> {
        Likely {
            is_keep: false,
            ids: None,
            text,
            form,
            is_whole: true,
        }
    }

    /// The item that a place and these ids make. `None` if it is no place, or they are no ids.
    fn with_ids(self, ids: &Likely<'t>) -> Option<Likely<'t>> {
        (self.is_place() && ids.is_ids()).then_some(Likely {
            ids: Some(ids.text),
            is_whole: true,
            ..self
        })
    }

    /// What `text` means.
    fn selector(&self) -> Result<Selector, Fault> {
        let mut line = Line::new();
        match self.form {
            Form::Plain => return Selector::parse(self.text),
            Form::Qubes => return qubes::parse(self.text),
            Form::Hex => add_without_hex(self.text, &mut line),
            Form::Buses => add_without_buses(self.text, &mut line),
            Form::Letters => add_digits(self.text, &mut line),
        }
        Selector::parse(line.bytes())
    }

    /// Whether `text` means no more than was meant: `03:00,0` has `03:00` in it, which means every
    /// function.
    fn is_exact(&self) -> bool {
        self.selector()
            .is_ok_and(|selector| selector.by() != By::Address || self.has(b'.'))
    }

    /// Whether it is ids, with no place. No other item has neither a dot nor a word in front.
    fn is_ids(&self) -> bool {
        self.form == Form::Plain && !self.has(b'.') && !self.text.starts_with(b"class:")
    }

    /// Whether it is a place, with no ids.
    fn is_place(&self) -> bool {
        self.has(b'.') && !self.has(b'@') && self.ids.is_none()
    }

    fn has(&self, byte: u8) -> bool {
        has_byte(self.text, byte)
    }

    /// Whether it keeps what it means.
    pub const fn is_keep(&self) -> bool {
        self.is_keep
    }
}

impl uDisplay for Likely<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(f, "{}", if self.is_keep { "!" } else { "" })?;
        if let Some(ids) = self.ids {
            show!(f, "{}@", Escaped(ids))?;
        }
        match (self.form, self.selector()) {
            (Form::Plain, _) | (_, Err(_)) => show!(f, "{}", Escaped(self.text)),
            (_, Ok(selector)) => show!(f, "{}", selector),
        }
    }
}

/// The item in a word.
fn find_item(word: &[u8]) -> Option<Likely<'_>> {
    let plain = |text| Likely::written(text, Form::Plain);
    if plain(word).is_exact() {
        return Some(plain(word));
    }
    if let Some((before, after)) = split_once(word, b'@') {
        // The wrong way round.
        if is_address(before) && is_identity(after) {
            return Some(Likely {
                ids: Some(after),
                ..plain(before)
            });
        }
        // xl: an address, and the slot in the guest. lshw: `pci@`, and an address.
        let text = if before == b"pci" { after } else { before };
        if is_address(text) {
            return Some(plain(text));
        }
    }
    if let Some(text) = word.strip_suffix(b":").filter(|text| is_address(text)) {
        return Some(plain(text));
    }
    if split(word, b':').any(|field| field.starts_with(b"0x")) {
        let item = Likely::written(word, Form::Hex);
        return item.is_exact().then_some(item);
    }
    // A path in sysfs: what is at its end. Below a device's folder are its attributes.
    if word.starts_with(b"/") {
        let device = split(word, b'/').filter(|part| is_address(part)).last();
        return device.map(plain);
    }
    if split(word, b'/').all(is_address) {
        return Some(Likely::written(word, Form::Buses));
    }
    let qubes = word.strip_prefix(b"dom0:").unwrap_or(word);
    let item = Likely::written(qubes, Form::Qubes);
    if item.has(b'_') && item.selector().is_ok() {
        return Some(item);
    }
    let item = Likely::written(word, Form::Letters);
    (word.iter().any(u8::is_ascii_digit) && item.is_exact()).then_some(item)
}

fn is_identity(text: &[u8]) -> bool {
    Selector::parse(text).is_ok_and(|selector| selector.by() == By::Identity)
}

fn is_address(text: &[u8]) -> bool {
    Address::parse(text).is_ok()
}

/// Adds a text without the `0x` in front of its numbers.
fn add_without_hex(text: &[u8], line: &mut Line) {
    let mut separator = "";
    for field in split(text, b':') {
        put!(line, "{}", separator);
        line.push(field.strip_prefix(b"0x").unwrap_or(field));
        separator = ":";
    }
}

/// Adds a text with digits for the letters that look like them.
fn add_digits(text: &[u8], line: &mut Line) {
    for &letter in text {
        line.push(match letter {
            b'O' | b'o' => b"0",
            b'l' | b'I' => b"1",
            _ => core::slice::from_ref(&letter),
        });
    }
}

/// Adds a path without the buses behind its first step.
fn add_without_buses(text: &[u8], line: &mut Line) {
    let mut steps = split(text, b'/');
    line.push(steps.next().unwrap_or_default());
    for step in steps {
        put!(line, "/");
        line.push(last_part(step, b':'));
    }
}

/// The items in a bad one: see [`items_within`].
pub struct Items<'t> {
    words: Pieces<'t>,
    /// The last item, to which more may belong.
    held: Option<Likely<'t>>,
    /// After a `!` that stands alone.
    keeps_next: bool,
    /// After a word that asks for a keep.
    keeps_rest: bool,
    /// After a `@` that stands alone, or at the end of a word.
    joins_next: bool,
}

/// The good items in a bad one, between brackets, quotes, blanks or commas, and those that are
/// written as other programs write them. Ids and a place around a lone `@` are one item.
///
/// ```
/// use pciseize::{put, request::syntax::hints::items_within, text::Line};
///
/// let mut line = Line::new();
/// items_within(b"class:usb ! 00:14.0").for_each(|item| put!(&mut line, "{} ", item));
/// assert_eq!(line.bytes(), b"class:usb !00:14.0 ");
/// ```
pub fn items_within(text: &[u8]) -> Items<'_> {
    Items {
        words: pieces(text, is_around),
        held: None,
        keeps_next: false,
        keeps_rest: false,
        joins_next: false,
    }
}

impl<'t> Items<'t> {
    /// Reads the next word. `None`: it is no item, or one with that before it.
    fn read(&mut self, word: &'t [u8]) -> Option<Likely<'t>> {
        if word == b"!" {
            self.keeps_next = true;
            return None;
        }
        self.keeps_rest |= has_keep_word(word);
        let (word, joins) = match word {
            [b'@', rest @ ..] => (rest, true),
            word => (word, self.joins_next),
        };
        let (word, joins_next) = match word {
            [rest @ .., b'@'] => (rest, true),
            word => (word, word.is_empty()),
        };
        self.joins_next = joins_next;
        if word.is_empty() {
            if let Some(before) = &mut self.held {
                before.is_whole = false;
            }
            return None;
        }
        let keeps = core::mem::take(&mut self.keeps_next) || self.keeps_rest;
        let mut item = Likely::parse(word)?;
        item.is_keep |= keeps;
        item.is_whole = !joins_next;
        if joins && let Some(before) = self.held.take() {
            let joined = before.with_ids(&item).or_else(|| item.with_ids(&before));
            self.held = joined.map(|item| Likely {
                is_keep: before.is_keep,
                ..item
            });
            return None;
        }
        self.hold(Some(item))
    }

    /// Holds the next item, and gives out the one before it.
    fn hold(&mut self, next: Option<Likely<'t>>) -> Option<Likely<'t>> {
        core::mem::replace(&mut self.held, next).filter(|before| before.is_whole)
    }
}

impl<'t> Iterator for Items<'t> {
    type Item = Likely<'t>;

    fn next(&mut self) -> Option<Likely<'t>> {
        while let Some(word) = self.words.next() {
            let item = self.read(word.text);
            if item.is_some() {
                return item;
            }
        }
        self.hold(None)
    }
}

/// The device in a line of `lspci -n` or `lspci -nn`: its address first, its ids later.
pub fn shown_by_lspci(text: &[u8]) -> Option<Likely<'_>> {
    let mut items = items_within(text);
    let (place, ids) = (items.next()?, items.next()?);
    let after = text.strip_prefix(place.text)?;
    let is_row = after.first().is_some_and(u8::is_ascii_whitespace)
        && !ids.is_keep
        && items.next().is_none();
    place.with_ids(&ids).filter(|_| is_row)
}

/// The ids that a bad item probably means: vendor and device with a blank between, as the kernel's
/// `new_id` files take them.
///
/// ```
/// use pciseize::request::syntax::hints::likely_ids;
///
/// assert_eq!(likely_ids(b"!10de 1b80"), Some((&b"10de"[..], &b"1b80"[..])));
/// assert_eq!(likely_ids(b"10de 1b80 1043"), None);
/// ```
pub fn likely_ids(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut words = pieces(text, |byte| is_around(byte) || byte == b'!');
    let (vendor, device) = (words.next()?.text, words.next()?.text);
    let is_id = |text: &[u8]| text.len() == 4 && number(text, 16).is_some();
    let is_pair = is_id(vendor) && is_id(device) && words.next().is_none();
    is_pair.then_some((vendor, device))
}

/// What stands behind the word `class`, whatever is between: `class=usb`.
///
/// ```
/// use pciseize::request::syntax::hints::class_behind;
///
/// assert_eq!(class_behind(b"class = usb"), Some(b"usb".as_slice()));
/// assert_eq!(class_behind(b"classic"), None);
/// ```
pub fn class_behind(text: &[u8]) -> Option<&[u8]> {
    let rest = text.strip_prefix(b"class")?;
    let is_between = |&byte: &u8| is_around(byte) || byte == b':';
    let at = rest.iter().position(|byte| !is_between(byte))?;
    rest.get(at..).filter(|_| at > 0)
}

/// The setting that a bad item probably means: a name alone, or as on the kernel's command line.
///
/// ```
/// use pciseize::request::syntax::{hints::likely_setting, setting::Setting};
///
/// assert_eq!(likely_setting(b"strict"), Some(Setting::Strict(true)));
/// assert_eq!(likely_setting(b"timeout: 5"), Some(Setting::Timeout(5)));
/// assert_eq!(likely_setting(b"nonsense"), None);
/// ```
pub fn likely_setting(text: &[u8]) -> Option<Setting> {
    let text = text.strip_prefix(b"pciseize.").unwrap_or(text);
    let mut words = pieces(text, |byte| is_around(byte) || byte == b':');
    let (name, value) = (words.next()?, words.next());
    let setting = Setting::parse(name.text, value.map(|value| value.text)).ok();
    setting.filter(|_| words.next().is_none())
}

/// Whether a byte stands around items, not within.
pub const fn is_around(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(
            byte,
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b'\'' | b',' | b';' | b'='
        )
}

/// The address that a bad item probably means: its digits are right, its separators are not.
///
/// ```
/// use pciseize::request::{Selector, syntax::hints::likely_address};
///
/// assert_eq!(likely_address(b"0000:82.0.0"), Selector::parse(b"0000:82:00.0").ok());
/// assert_eq!(likely_address(b"nonsense"), None);
/// ```
pub fn likely_address(text: &[u8]) -> Option<Selector> {
    // A comma may stand for the dot, but not at the end of a list.
    let is_outside = |byte| byte != b',' && is_around(byte) || byte == b'!';
    let word = pieces(text, is_outside).next()?.text;
    let word = word.strip_suffix(b",").unwrap_or(word);
    // As libvirt names a device.
    let word = word.strip_prefix(b"pci_").unwrap_or(word);
    // A SCSI address ends in a colon.
    if !word.last()?.is_ascii_hexdigit() {
        return None;
    }
    let mut line = Line::new();
    let mut fields = 0;
    for digits in pieces(word, |byte| {
        matches!(byte, b':' | b'.' | b',' | b'_' | b'-')
    }) {
        // A domain has at least four digits. Anything shorter in front is a bus, or of a SCSI
        // address, which then has a number too many.
        if fields == 0 && digits.text.len() < 4 {
            line.push(b"0");
            fields = 1;
        }
        line.push(match fields {
            0 => b"",
            3 => b".",
            _ => b":",
        });
        line.push(digits.text);
        fields += 1;
    }
    let address = Address::parse(line.bytes()).ok()?;
    (fields == 4).then_some(Selector::at(address))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::host::testing::shown;

    #[test]
    fn guesses_an_address() {
        for (text, expected) in [
            ("0000:82.0.0", Some("0000:82:00.0")),
            ("!0000:82.0.0", Some("0000:82:00.0")),
            ("0b::00.1", Some("0000:0b:00.1")),
            ("0000.02:00.3", Some("0000:02:00.3")),
            ("0000:03:00:0", Some("0000:03:00.0")),
            ("0000_03_00_1", Some("0000:03:00.1")),
            ("pci_0000_03_00_1", Some("0000:03:00.1")),
            ("02:00:0", Some("0000:02:00.0")),
            ("02:00,0", Some("0000:02:00.0")),
            ("82.0.0,", Some("0000:82:00.0")),
            ("82.0.0,83.0.0", None),
            ("1:0:1:0:", None),
            ("1:0:1:0", None),
            ("100:0:1:0", None),
            ("10.0.0.1", None),
            ("00:1c/00.0", None),
            ("nonsense", None),
            ("feedback", None),
            ("1.2.3.4.5", None),
            ("99:99.9", None),
            ("", None),
        ] {
            let expected = expected.map(|text| Selector::parse(text.as_bytes()).expect(text));
            assert_eq!(likely_address(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn finds_items_within() {
        for (text, expected) in [
            ("[10de:1b80]", ["10de:1b80"].as_slice()),
            ("(!03:00.0)", &["!03:00.0"]),
            ("03:00.0,!04:00.0", &["03:00.0", "!04:00.0"]),
            ("03:00,0", &[]),
            ("03:00.0,04:00.0", &["03:00.0", "04:00.0"]),
            ("0000:08:00.0  e1000e", &["0000:08:00.0"]),
            ("0000:08:00.0\te1000e", &["0000:08:00.0"]),
            (
                "options xen-pciback hide=(08:00.0)(09:00.0)",
                &["08:00.0", "09:00.0"],
            ),
            ("class:usb ! 00:14.0", &["class:usb", "!00:14.0"]),
            (
                "class:usb ! 00:14.0 01:00.0",
                &["class:usb", "!00:14.0", "01:00.0"],
            ),
            ("! nonsense 00:14.0", &["00:14.0"]),
            ("10de:1b80 @ 01:00.0", &["10de:1b80@01:00.0"]),
            ("1b21:1242 @03:00.0", &["1b21:1242@03:00.0"]),
            ("1b21:1242@ 00:1c.0/00.0", &["1b21:1242@00:1c.0/00.0"]),
            (
                "! 1b21:1242 @ 03:00.0 01:00.0",
                &["!1b21:1242@03:00.0", "01:00.0"],
            ),
            ("03:00.0 @ 1b21:1242", &["1b21:1242@03:00.0"]),
            ("03:00.0@1b21:1242", &["1b21:1242@03:00.0"]),
            // What is missing would make it mean less.
            ("1b21:1242@", &[]),
            ("1b21:1242 @", &[]),
            ("1b21:1242 @ class:usb", &[]),
            ("1b21:1242@ nonsense 03:00.0", &["03:00.0"]),
            ("keep 00:14.0", &["!00:14.0"]),
            (
                "-00:14.0 ~00:1a.0 ^03:00.0",
                &["!00:14.0", "!00:1a.0", "!03:00.0"],
            ),
            (
                "class:usb except 00:14.0 00:1a.0",
                &["class:usb", "!00:14.0", "!00:1a.0"],
            ),
            ("pciseize.keep=00:14.0", &["!00:14.0"]),
            ("36:00.0@20,seize=1", &["36:00.0"]),
            ("pci@0000:03:00.0", &["0000:03:00.0"]),
            ("03:00.0:", &["03:00.0"]),
            ("dom0:03_00.0", &["0000:03:00.0"]),
            ("dom0:00_1c.0-00_00.0", &["0000:00:1c.0/00.0"]),
            ("00_1c.0-00_00.0", &["0000:00:1c.0/00.0"]),
            (
                "/sys/bus/pci/devices/0000:03:00.0/driver",
                &["0000:03:00.0"],
            ),
            (
                "/sys/devices/pci0000:00/0000:00:1c.0/0000:03:00.0",
                &["0000:03:00.0"],
            ),
            ("/dev/sda", &[]),
            ("0x1b21:0x1242", &["1b21:1242"]),
            ("0x03:0x00.0", &["0000:03:00.0"]),
            ("00:1c.0/03:00.0", &["0000:00:1c.0/00.0"]),
            ("!00:1c.0/03:00.0/04:00.1", &["!0000:00:1c.0/00.0/00.1"]),
            ("nonsense", &[]),
            ("@", &[]),
        ] {
            let found: std::vec::Vec<_> = items_within(text.as_bytes()).map(shown).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn knows_a_line_of_lspci() {
        for (text, expected) in [
            ("03:00.0 0c03: 1b21:1242", Some("1b21:1242@03:00.0")),
            (
                "03:00.0 0c03: 1b21:1242 (rev 01)",
                Some("1b21:1242@03:00.0"),
            ),
            (
                "03:00.0 USB [0c03]: ASMedia, Inc. [1b21:1242]",
                Some("1b21:1242@03:00.0"),
            ),
            ("03:00.0,1b21:1242", None),
            ("1b21:1242 03:00.0", None),
            ("!03:00.0 1b21:1242", None),
            ("03:00.0 1b21:1242 04:00.0", None),
            ("03:00.0 0c03:", None),
            ("03:00.0", None),
        ] {
            let found = shown_by_lspci(text.as_bytes()).map(shown);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn knows_what_may_be_a_keep() {
        for (text, expected) in [
            ("!03:00.0", true),
            ("03:00.0 !", true),
            ("keep 03:00.0", true),
            ("Keep=03:00.0", true),
            ("pciseize.keep=03:00.0", true),
            ("class:usb except 03:00.0", true),
            ("-03:00.0", true),
            ("~class:usb", true),
            ("-v", false),
            ("keeper", false),
            ("notebook", false),
            ("03:00.0", false),
            ("", false),
        ] {
            assert_eq!(may_be_keep(text.as_bytes()), expected, "{text}");
        }
    }
}
