//! Selectors: which functions an item means.
//!
//! ```text
//! selector  = address | path | identity | class | identity "@" ( address | path )
//! address   = [ DOMAIN ":" ] BUS ":" DEVICE "." FUNCTION      FUNCTION may be "*", and then DEVICE too
//!           | [ DOMAIN ":" ] BUS ":" DEVICE                   BUS and DEVICE of 1 or 2 digits: every function
//! path      = [ DOMAIN ":" ] BUS ":" DEVICE "." FUNCTION ( "/" DEVICE "." FUNCTION )+
//! identity  = VENDOR ":" DEVICE [ ":" VENDOR ":" DEVICE ]     each exactly 4 digits, or "*"
//!           | "pci:" the same                                 each of any width, 0 or "*" for any
//! class     = "class:" ( CC [ SS [ PP ] ] | name )            names: see `class`
//! ```
//!
//! Digits are hexadecimal, of any case. The second pair of an identity is that of the subsystem. What has a dot is an address or a path; what has none and two or four fields, one of them of more than two
//! digits, is an identity.

use super::{Fault, Mistake, class};
use crate::{
    pci::{
        Address, Identity, Place,
        address::{self, Pattern},
        place::{Steps, Way},
    },
    put,
    text::{Either, Hex, Line, Show, behind, next_piece, number, split, split_once},
};

/// What functions are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Their address.
    Address,
    /// The way to them from the root bus.
    Path,
    /// Vendor, device, subsystem.
    Identity,
    /// Class, subclass, programming interface.
    Class,
}

/// What an item means: a number that a function has, and the bits of it that have to agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Which number.
    pub by: By,
    /// Its value, and the bits of it that count. Of an address [`Address::bits`], also for the first address of a path; of an identity [`Identity::ids`]; of a class its 24 bits.
    number: Pattern,
    /// The further steps of a path.
    steps: Steps,
    /// What stands before `@`: the ids, and the bits of them that count.
    ids: Pattern,
}

/// A function, as far as selectors ask. `None`: not known, or not looked for.
#[derive(Clone, Debug)]
pub struct Function<'p> {
    /// Where it is.
    pub address: Address,
    /// What it is.
    pub identity: Option<Identity>,
    /// The way to it.
    pub place: Option<&'p Place>,
}

impl Selector {
    /// Reads a selector: see the grammar above.
    ///
    /// # Errors
    /// What is wrong, seen from the left. No other byte is allowed, not even a blank.
    pub fn parse(text: &[u8]) -> Result<Selector, Fault> {
        let mut selector = Selector::plain(By::Address, 0, 0);
        selector.read(text).map(|()| selector)
    }

    fn read(&mut self, text: &[u8]) -> Result<(), Fault> {
        if let Some(name) = behind(b"class:", text) {
            let (value, mask) = class::parse(name).ok_or(Fault::Is(Mistake::NoClass))?;
            (self.by, self.number) = (By::Class, Pattern { value: value.into(), mask: mask.into() });
            return Ok(());
        }
        if let Some((what, place)) = split_once(text, b'@') {
            self.ids = identity(what)?;
            return self.read_place(place);
        }
        if is_place(text) {
            return self.read_place(text);
        }
        self.by = By::Identity;
        self.number = identity(text)?;
        if self.number.mask >> 48 == 0 { Err(Fault::Is(Mistake::OpenVendor)) } else { Ok(()) }
    }

    /// Reads an address or a path.
    #[inline(never)]
    fn read_place(&mut self, text: &[u8]) -> Result<(), Fault> {
        let form = Err(Fault::Address(address::Fault::Form));
        if !is_place(text) {
            return form;
        }
        let mut steps = split(text, b'/');
        self.number = Pattern::parse(steps.next().unwrap_or_default()).map_err(Fault::Address)?;
        for step in steps {
            // A step is an address without bus, and all of a path is exact.
            let step_has_bus = split_once(step, b':').is_some();
            let mut address = Line::new();
            put!(&mut address, "0:");
            address.push(step);
            let step = Address::parse(address.bytes()).map_err(Fault::Address)?;
            if self.number.mask != !0 || step_has_bus {
                return form;
            }
            self.steps.push(step.devfn()).map_err(|_| Fault::Is(Mistake::DeepPath))?;
            self.by = By::Path;
        }
        Ok(())
    }

    const fn plain(by: By, value: u64, mask: u64) -> Selector {
        Selector { by, number: Pattern { value, mask }, steps: Steps::new(), ids: Pattern { value: 0, mask: 0 } }
    }

    /// The one address that it means, where it is one without `*`.
    pub fn address(&self) -> Option<Address> {
        self.number.single().filter(|_| self.by == By::Address)
    }

    /// The path that it means, if it is one.
    pub fn path(&self) -> Option<Way<'_>> {
        (self.by == By::Path).then(|| Way { root: self.number, steps: &self.steps })
    }

    /// Whether it asks for whatever is at an address, or at several.
    pub fn is_plain(&self) -> bool {
        self.by == By::Address && self.ids.mask == 0
    }

    /// Whether it names one place: an address without `*`, or a path.
    pub fn is_one_place(&self) -> bool {
        self.by == By::Path || self.address().is_some()
    }

    /// Whether bridges are passed over: they are not what somebody means who says *every function there* or *every device of that class*.
    pub fn passes_over_bridges(&self) -> bool {
        match self.by {
            By::Path => false,
            By::Address => self.number.mask != !0,
            // Only vendor and device together name one.
            By::Identity => self.number.mask >> 32 != 0xffff_ffff,
            By::Class => true,
        }
    }

    /// What all selectors have in common that a function may match, if it matches this one: the number that is compared, and the bits that count.
    pub(super) fn shape(&self) -> Shape {
        Shape { by: self.by, mask: self.number.mask }
    }

    /// The number that a function has that matches, as [`Shape::key`] finds it.
    pub(super) fn key(&self) -> u64 {
        with_steps(self.number.value, &self.steps)
    }

    /// Whether it means the place of the function, or where it names no place, the function itself.
    pub fn is_at(&self, function: &Function) -> bool {
        self.shape().value(function) == Some(self.number.value) && (self.by != By::Path || function.place.is_some_and(|place| place.steps == self.steps))
    }

    /// Whether the function is the one that is expected at this place. Without `@` any is.
    pub fn is_expected(&self, function: &Function) -> bool {
        let Pattern { value, mask } = self.ids;
        mask == 0 || function.identity.is_some_and(|identity| identity.ids & mask == value)
    }
}

/// What some selectors are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub by: By,
    mask: u64,
}

impl Shape {
    /// What is compared of a function, if it is known.
    fn value(self, function: &Function) -> Option<u64> {
        let value = match self.by {
            By::Address => function.address.bits(),
            By::Path => function.place?.root.value,
            By::Identity => function.identity?.ids,
            By::Class => function.identity?.class.into(),
        };
        Some(value & self.mask)
    }

    /// The number by which selectors are found that may match the function.
    pub fn key(self, function: &Function) -> Option<u64> {
        let value = self.value(function)?;
        match (self.by, function.place) {
            (By::Path, Some(place)) => Some(with_steps(value, &place.steps)),
            _ => Some(value),
        }
    }
}

/// A number for a path: few paths of a machine have the same.
fn with_steps(root: u64, steps: &[u8]) -> u64 {
    steps.iter().fold(root, |sum, &step| sum.wrapping_mul(0x1_0001) ^ u64::from(step) ^ 0x100)
}

/// Whether the text is to be an address or a path: it has a dot, or is `[DOMAIN:]BUS:DEVICE` without function, two fields of one or two digits, and perhaps one in front.
fn is_place(text: &[u8]) -> bool {
    let (mut colons, mut bus, mut device) = (0_u32, 0_u32, 0_u32);
    if split_once(text, b'.').is_some() {
        return true;
    }
    for byte in text {
        match byte {
            b':' => (colons, bus, device) = (colons + 1, device, 0),
            _ if byte.is_ascii_hexdigit() => device += 1,
            _ => return false,
        }
    }
    matches!((colons, bus, device), (1 | 2, 1 | 2, 1 | 2))
}

/// Reads an identity: its ids, and the bits of them that count.
fn identity(text: &[u8]) -> Result<Pattern, Fault> {
    let lax = behind(b"pci:", text);
    let (mut value, mut mask, mut count) = (0, 0, 0);
    for field in split(lax.unwrap_or(text), b':') {
        let id = match field {
            b"*" => 0x1_0000,
            _ if lax.is_none() && field.len() != 4 => return Err(Fault::Is(Mistake::NoSelector)),
            _ => number(field, 16).filter(|&id| id <= 0xffff).ok_or(Fault::Is(Mistake::NoSelector))?,
        };
        let is_any = id > 0xffff || lax.is_some() && id == 0;
        value = value << 16 | u64::from(id & 0xffff);
        mask = mask << 16 | if is_any { 0 } else { 0xffff };
        count += 1;
    }
    match count {
        2 => Ok(Pattern { value: value << 32, mask: mask << 32 }),
        4 => Ok(Pattern { value, mask }),
        _ => Err(Fault::Is(Mistake::NoSelector)),
    }
}

/// The next good item that a bad one has in it, from `at` on, behind brackets, blanks or commas.
pub fn next_within<'t>(text: &'t [u8], at: &mut usize) -> Option<&'t [u8]> {
    loop {
        let piece = next_piece(text, at, is_around)?;
        // `03:00,0` has `03:00` in it, and that would be too much.
        if Selector::parse(behind(b"!", piece).unwrap_or(piece)).is_ok_and(|selector| selector.by != By::Address || split_once(piece, b'.').is_some()) {
            return Some(piece);
        }
    }
}

/// Whether a byte stands around items, and not within.
pub fn is_around(byte: u8) -> bool {
    matches!(byte, b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b'\'' | b',' | b';' | b'=' | b' ')
}

/// The address that was probably meant by a bad item whose digits are right, and whose separators are not.
pub fn meant(text: &[u8]) -> Option<Selector> {
    let first = next_piece(text, &mut 0, |byte| is_around(byte) || byte == b'!')?;
    // What ends in a colon is a SCSI address; so is what begins with a number that is too short for a domain.
    if !first.last()?.is_ascii_hexdigit() || !first.iter().all(|&b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'_' | b'-')) {
        return None;
    }
    let (mut domain, mut bus, mut device, mut function, mut count) = (0, 0, 0, 0, 0);
    let mut at = 0;
    while let Some(digits) = next_piece(first, &mut at, |byte| !byte.is_ascii_hexdigit()) {
        (domain, bus, device, function, count) = (bus, device, function, u64::from(number(digits, 16)?), count + 1);
        if count == 1 && digits.len() < 4 {
            // Three numbers follow a domain, two a bus.
            count += 1;
        }
    }
    let is_one = count == 4 && bus <= 0xff && device <= 0x1f && function <= 7;
    is_one.then_some(Selector::plain(By::Address, domain << 16 | bus << 8 | device << 3 | function, !0))
}

/// Shows ids, `*` for those that do not count; the subsystem only where it does.
fn show_ids(line: &mut Line, Pattern { value, mask }: Pattern) {
    let fields: &[u32] = if mask as u32 == 0 { &[48, 32] } else { &[48, 32, 16, 0] };
    let mut separator = "";
    for &shift in fields {
        put!(line, Either(separator));
        separator = ":";
        if mask >> shift & 0xffff == 0 { put!(line, "*") } else { put!(line, Hex((value >> shift) as u32 & 0xffff, 4)) }
    }
}

impl Show for Selector {
    fn show(&self, line: &mut Line) {
        let Selector { by, number, ref steps, ids } = *self;
        let Pattern { value, mask } = number;
        match by {
            By::Identity => show_ids(line, number),
            By::Class if mask == class::AUDIO_MASK.into() => put!(line, "class:", class::AUDIO),
            By::Class => {
                let below = mask.trailing_zeros();
                put!(line, "class:", Hex((value as u32) >> below, 6 - (below / 4) as u8))
            }
            By::Address | By::Path => {
                if ids.mask != 0 {
                    show_ids(line, ids);
                    put!(line, "@");
                }
                put!(line, Way { root: number, steps });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::{String, ToString};

    use super::*;

    fn shown(selector: &Selector) -> String {
        let mut line = Line::new();
        selector.show(&mut line);
        String::from_utf8_lossy(line.bytes()).to_string()
    }

    #[test]
    fn reads_every_form() {
        for (text, canonical) in [
            ("3:0.1", "0000:03:00.1"),
            ("0000:0A:1f.*", "0000:0a:1f.*"),
            ("0a:1f", "0000:0a:1f.*"),
            ("1:0a:1f", "0001:0a:1f.*"),
            ("0000:0a:*.*", "0000:0a:*.*"),
            ("00:1c.0/0.1", "0000:00:1c.0/00.1"),
            ("10de:1B80", "10de:1b80"),
            ("10de:*", "10de:*"),
            ("10de:*:1043:*", "10de:*:1043:*"),
            ("pci:10de:0", "10de:*"),
            ("pci:8086:d:0:1", "8086:000d:*:0001"),
            ("class:USB", "class:0c03"),
            ("class:02", "class:02"),
            ("class:0c0330", "class:0c0330"),
            ("class:sound", "class:audio"),
            ("10de:1b80@03:00.0", "10de:1b80@0000:03:00.0"),
            ("*:*@03:00.*", "0000:03:00.*"),
            ("pci:10de:1b80@00:1c.0/00.0", "10de:1b80@0000:00:1c.0/00.0"),
        ] {
            let selector = Selector::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
            assert_eq!(shown(&selector), canonical, "{text}");
            assert_eq!(Selector::parse(canonical.as_bytes()).as_ref(), Ok(&selector), "{canonical}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        use address::{Fault as Bad, Field};
        for (text, fault) in [
            ("", Fault::Is(Mistake::NoSelector)),
            ("nonsense", Fault::Is(Mistake::NoSelector)),
            ("10de:1b8", Fault::Is(Mistake::NoSelector)),
            ("10de:1b80:1043", Fault::Is(Mistake::NoSelector)),
            ("pci:10000:1", Fault::Is(Mistake::NoSelector)),
            ("*:*", Fault::Is(Mistake::OpenVendor)),
            ("pci:0:10", Fault::Is(Mistake::OpenVendor)),
            ("class:", Fault::Is(Mistake::NoClass)),
            ("class:c03", Fault::Is(Mistake::NoClass)),
            ("class:usbb", Fault::Is(Mistake::NoClass)),
            ("0b::00.1", Fault::Address(Bad::Digits(Field::Bus))),
            ("03:00.*/00.0", Fault::Address(Bad::Form)),
            ("03:00.0/00.*", Fault::Address(Bad::Form)),
            ("03:00.0/", Fault::Address(Bad::Digits(Field::Device))),
            ("12:34", Fault::Address(Bad::Range(Field::Device))),
            ("10de@03:00.0", Fault::Is(Mistake::NoSelector)),
            ("10de:1b80@10de:1b80", Fault::Address(Bad::Form)),
            ("10de:1b80@0000:0001", Fault::Address(Bad::Form)),
            ("class:FF~F0", Fault::Is(Mistake::NoClass)),
            ("class:~", Fault::Is(Mistake::NoClass)),
            ("03:00.0 ", Fault::Address(Bad::Digits(Field::Function))),
        ] {
            assert_eq!(Selector::parse(text.as_bytes()), Err(fault), "{text}");
        }
    }

    #[test]
    fn guesses_what_was_meant() {
        for (text, selector) in [
            ("0000:82.0.0", Some("0000:82:00.0")),
            ("!0000:82.0.0", Some("0000:82:00.0")),
            ("0b::00.1", Some("0000:0b:00.1")),
            ("0000.02:00.3", Some("0000:02:00.3")),
            ("0000:03:00:0", Some("0000:03:00.0")),
            ("0000_03_00_1", Some("0000:03:00.1")),
            ("1:0:1:0:", None),
            ("1:0:1:0", None),
            ("10.0.0.1", None),
            ("00:1c/00.0", None),
            ("nonsense", None),
            ("feedback", None),
            ("1.2.3.4.5", None),
            ("99:99.9", None),
            ("", None),
        ] {
            assert_eq!(meant(text.as_bytes()).map(|meant| shown(&meant)).as_deref(), selector, "{text}");
        }
    }

    #[test]
    fn finds_what_stands_within() {
        for (text, selectors) in [
            ("[10de:1b80]", ["10de:1b80"].as_slice()),
            ("(!03:00.0)", &["!03:00.0"]),
            ("03:00.0,!04:00.0", &["03:00.0", "!04:00.0"]),
            ("03:00,0", &[]),
            ("03:00.0,04:00.0", &["03:00.0", "04:00.0"]),
            ("0000:08:00.0  e1000e", &["0000:08:00.0"]),
            ("options xen-pciback hide=(08:00.0)(09:00.0)", &["08:00.0", "09:00.0"]),
            ("nonsense", &[]),
        ] {
            let mut at = 0;
            let found: std::vec::Vec<_> = core::iter::from_fn(|| next_within(text.as_bytes(), &mut at)).map(String::from_utf8_lossy).collect();
            assert_eq!(found, selectors, "{text}");
        }
    }
}
