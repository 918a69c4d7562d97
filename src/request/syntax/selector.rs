//! Selectors: which functions an item means.
//!
//! ```text
//! selector = [ ids "@" ] ( pattern | path )          "@": only if that function is there
//!          | ids                                     with a vendor
//!          | "class:" class
//! path     = address ( "/" DEVICE "." FUNCTION )+
//! ```
//!
//! `pattern` is an address in which `*` may stand ([`Pattern`]); for `ids` and `class` see
//! [`Ids`] and [`Class`]. A text with a dot is an address or a path. So is `[DOMAIN:]BUS:DEVICE`
//! with a bus and a device of one or two digits each, and a domain of at least four. Any other text
//! with colons is ids.

use ufmt::{Formatter, uDisplay, uWrite};

use super::{
    class::Class,
    fault::{Fault, Mistake},
    ids::Ids,
};
use crate::{
    pci::{
        Address, Identity, Pattern, Place, address,
        place::{Steps, parse_step},
    },
    show,
    text::{has_byte, number, split, split_once},
};

/// What a selector tells functions apart by.
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

/// What an item means.
///
/// ```
/// use pciseize::{put, request::Selector, text::Line};
///
/// for (text, printed) in [
///     ("3:0.1", "0000:03:00.1"),
///     ("00:1c.0/0.1", "0000:00:1c.0/00.1"),
///     ("10de:*", "10de:*"),
///     ("class:0c03", "class:usb"),
///     ("10de:1b80@3:0", "10de:1b80@0000:03:00.*"),
/// ] {
///     let mut line = Line::new();
///     put!(&mut line, "{}", Selector::parse(text.as_bytes()).unwrap());
///     assert_eq!(line.bytes(), printed.as_bytes());
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    target: Target,
    /// The ids before `@`. Any ids where there is no `@`, or `*:*@`.
    expected: Ids,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Address(Pattern),
    /// A way with at least one bridge.
    Path(Place),
    Identity(Ids),
    Class(Class),
}

/// A function, as far as selectors ask. `None`: unknown, or not looked up.
#[derive(Clone, Debug)]
pub struct Candidate<'p> {
    /// The address of the function.
    pub address: Address,
    /// What the function is.
    pub identity: Option<Identity>,
    /// The way to the function.
    pub place: Option<&'p Place>,
    /// Whether it is known to be a virtual function. Its way may be that of the function that it
    /// belongs to: bus numbers tell them apart, and a path has none.
    pub is_virtual: bool,
}

impl Candidate<'_> {
    /// Whether the function is known to be a bridge.
    pub fn is_bridge(&self) -> bool {
        self.identity.is_some_and(Identity::is_bridge)
    }
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// The first thing that is wrong, seen from the left. No blank is allowed.
    pub fn parse(text: &[u8]) -> Result<Selector, Fault> {
        if let Some(class) = text.strip_prefix(b"class:") {
            return Ok(Target::Class(Class::parse(class)?).into());
        }
        let (expected, text) = match split_once(text, b'@') {
            Some((ids, place)) => (Some(Ids::parse(ids)?), place),
            None => (None, text),
        };
        if is_place(text) {
            return Ok(Selector {
                target: parse_place(text)?,
                expected: expected.unwrap_or(Ids::ANY),
            });
        }
        if expected.is_some() {
            return Err(Fault::Address(address::Fault::Form));
        }
        let ids = Ids::parse(text)?;
        if !ids.has_vendor() {
            return Err(Fault::Is(Mistake::OpenVendor));
        }
        Ok(Target::Identity(ids).into())
    }

    /// The selector of one address.
    pub const fn at(address: Address) -> Selector {
        Selector {
            target: Target::Address(Pattern::exact(address)),
            expected: Ids::ANY,
        }
    }

    /// What the selector tells functions apart by.
    pub const fn by(&self) -> By {
        match self.target {
            Target::Address(_) => By::Address,
            Target::Path(_) => By::Path,
            Target::Identity(_) => By::Identity,
            Target::Class(_) => By::Class,
        }
    }

    /// The one address that is meant. `None` for an address with `*`, and anything else.
    pub fn address(&self) -> Option<Address> {
        match &self.target {
            Target::Address(pattern) => pattern.address(),
            _ => None,
        }
    }

    /// The path that is meant, if the selector is one.
    pub const fn path(&self) -> Option<&Place> {
        match &self.target {
            Target::Path(place) => Some(place),
            _ => None,
        }
    }

    /// The domain of the place that is meant, if the selector has a place.
    pub const fn domain(&self) -> Option<u32> {
        match &self.target {
            Target::Address(pattern) => Some(Address::from_bits(pattern.bits()).domain()),
            Target::Path(place) => Some(place.root.domain()),
            Target::Identity(_) | Target::Class(_) => None,
        }
    }

    /// Whether the selector means any function at an address, or at several.
    pub const fn is_plain(&self) -> bool {
        matches!(self.target, Target::Address(_)) && self.expected.is_any()
    }

    /// The selector of what is expected at a place, wherever it is. `None` where nothing is, or
    /// something without a vendor.
    pub fn expected_anywhere(&self) -> Option<Selector> {
        // Any ids are without a vendor too.
        self.expected
            .has_vendor()
            .then(|| Target::Identity(self.expected).into())
    }

    /// Whether the selector may mean a function whose ids and class are not known.
    pub fn may_mean_unread(&self, candidate: &Candidate) -> bool {
        matches!(self.by(), By::Identity | By::Class)
            || !self.expected.is_any() && self.is_at(candidate)
    }

    /// Whether the selector names one place: an address without `*`, or a path.
    pub fn is_one_place(&self) -> bool {
        self.path().is_some() || self.address().is_some()
    }

    /// Whether the selector names a slot: all that it means is there.
    pub const fn is_in_one_slot(&self) -> bool {
        match self.target {
            Target::Path(_) => true,
            Target::Address(pattern) => pattern.is_in_one_slot(),
            Target::Identity(_) | Target::Class(_) => false,
        }
    }

    /// Whether the selector is an address, with or without ids: it does not tell two devices of one
    /// model apart.
    pub const fn is_at_address(&self) -> bool {
        matches!(self.target, Target::Address(_))
    }

    /// Whether the selector passes over bridges: *every function there* and *every device of that
    /// class* do not mean them.
    pub fn passes_over_bridges(&self) -> bool {
        match &self.target {
            Target::Path(_) => false,
            Target::Address(pattern) => pattern.address().is_none(),
            Target::Identity(ids) => !ids.has_model(),
            Target::Class(_) => true,
        }
    }

    /// Whether the selector means the place of the function, or with no place in it, the function.
    pub fn is_at(&self, candidate: &Candidate) -> bool {
        match &self.target {
            // Paths may share a key.
            Target::Path(path) => candidate.place == Some(path),
            _ => self.shape().key(candidate) == Some(self.key()),
        }
    }

    /// Whether the function is the one that is expected at its place. Without `@` any function is.
    pub fn is_expected(&self, candidate: &Candidate) -> bool {
        self.expected.is_any()
            || candidate
                .identity
                .is_some_and(|own| self.expected.matches(own))
    }

    /// How functions are compared with the selector.
    pub(in crate::request) fn shape(&self) -> Shape {
        let mask = match &self.target {
            Target::Address(pattern) => pattern.mask(),
            Target::Path(_) => !0,
            Target::Identity(ids) => ids.mask(),
            Target::Class(class) => class.mask().into(),
        };
        Shape {
            by: self.by(),
            mask,
        }
    }

    /// The key of every function that the selector is at: see [`Shape::key`].
    pub(in crate::request) fn key(&self) -> u64 {
        match &self.target {
            Target::Address(pattern) => pattern.bits(),
            Target::Path(path) => path_key(path),
            Target::Identity(ids) => ids.bits(),
            Target::Class(class) => class.code().into(),
        }
    }
}

impl From<Target> for Selector {
    fn from(target: Target) -> Selector {
        Selector {
            target,
            expected: Ids::ANY,
        }
    }
}

/// Reads a pattern or a path.
fn parse_place(text: &[u8]) -> Result<Target, Fault> {
    let mut parts = split(text, b'/');
    let first = Pattern::parse(parts.next().unwrap_or_default())?;
    let mut steps = Steps::new();
    for part in parts {
        if has_byte(text, b'*') {
            return Err(Fault::Is(Mistake::OpenPath));
        }
        let step = parse_step(part)?;
        first.address().ok_or(address::Fault::Form)?;
        steps.push(step).map_err(|_| Fault::Is(Mistake::DeepPath))?;
    }
    match first.address() {
        Some(root) if !steps.is_empty() => Ok(Target::Path(Place { root, steps })),
        _ => Ok(Target::Address(first)),
    }
}

/// Whether the text is to be read as an address or a path, not as ids.
fn is_place(text: &[u8]) -> bool {
    if has_byte(text, b'.') {
        return true;
    }
    let is_short = |field: &[u8]| field.len() <= 2 && number(field, 16).is_some();
    let Some((first, rest)) = split_once(text, b':') else {
        return false;
    };
    let (domain, bus, device) = match split_once(rest, b':') {
        Some((bus, device)) => (first, bus, device),
        None => (b"0000".as_slice(), first, rest),
    };
    // A shorter domain is a bus, and a colon stands where the dot belongs: `02:00:0`.
    let is_domain = domain.len() >= 4 && domain.iter().all(u8::is_ascii_hexdigit);
    is_domain && is_short(bus) && is_short(device)
}

/// A way to compare functions with selectors. Selectors of one shape differ only in their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::request) struct Shape {
    pub by: By,
    /// The bits that count.
    mask: u64,
}

impl Shape {
    /// The key of a function, if what it is made of is known. Every selector of this shape that is
    /// at the function has the same key.
    pub fn key(self, candidate: &Candidate) -> Option<u64> {
        let key = match self.by {
            By::Address => candidate.address.bits(),
            By::Path => path_key(candidate.place?),
            By::Identity => candidate.identity?.ids,
            By::Class => candidate.identity?.class.into(),
        };
        Some(key & self.mask)
    }
}

/// A number for a path. Few paths of a machine share one.
fn path_key(path: &Place) -> u64 {
    path.steps.iter().fold(path.root.bits(), |sum, &step| {
        sum.wrapping_mul(0x1_0001) ^ u64::from(step) ^ 0x100
    })
}

impl uDisplay for Selector {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        if !self.expected.is_any() {
            show!(f, "{}@", self.expected)?;
        }
        match &self.target {
            Target::Address(pattern) => show!(f, "{}", pattern),
            Target::Path(path) => show!(f, "{}", path),
            Target::Identity(ids) => show!(f, "{}", ids),
            Target::Class(class) => show!(f, "class:{}", class),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::{String, ToString};

    use super::*;
    use crate::{pci::place::DEPTH, put, text::Line};

    fn shown(selector: &Selector) -> String {
        let mut line = Line::new();
        put!(&mut line, "{}", selector);
        String::from_utf8_lossy(line.bytes()).to_string()
    }

    fn selector(text: &str) -> Selector {
        Selector::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    #[test]
    fn reads_every_form() {
        for (text, canonical) in [
            ("3:0.1", "0000:03:00.1"),
            ("0000:0A:1f.*", "0000:0a:1f.*"),
            ("0a:1f", "0000:0a:1f.*"),
            ("0001:0a:1f", "0001:0a:1f.*"),
            ("0000:0a:*.*", "0000:0a:*.*"),
            ("00:1c.0/0.1", "0000:00:1c.0/00.1"),
            ("10de:1B80", "10de:1b80"),
            ("10de:*", "10de:*"),
            ("10de:*:1043:*", "10de:*:1043:*"),
            ("pci:10de:0", "10de:*"),
            ("pci:8086:d:0:1", "8086:000d:*:0001"),
            ("class:USB", "class:usb"),
            ("class:02", "class:network"),
            ("class:0c0330", "class:xhci"),
            ("class:sound", "class:audio"),
            ("10de:1b80@03:00.0", "10de:1b80@0000:03:00.0"),
            ("*:*@03:00.*", "0000:03:00.*"),
            ("*:1b80@03:00.0", "*:1b80@0000:03:00.0"),
            ("pci:10de:1b80@00:1c.0/00.0", "10de:1b80@0000:00:1c.0/00.0"),
        ] {
            let parsed = selector(text);
            assert_eq!(shown(&parsed), canonical, "{text}");
            assert_eq!(selector(canonical), parsed, "{canonical}");
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
            ("03:00.*/00.0", Fault::Is(Mistake::OpenPath)),
            ("03:00.0/00.*", Fault::Is(Mistake::OpenPath)),
            ("00:1c.0/03:00.0", Fault::Address(Bad::Form)),
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
    fn has_room_for_deep_paths() {
        let path = |bridges: usize| String::from("00:1c.0") + &"/00.0".repeat(bridges);
        assert_eq!(
            selector(&path(DEPTH)).path().expect("a path").steps.len(),
            DEPTH
        );
        let deeper = path(DEPTH + 1);
        assert_eq!(
            Selector::parse(deeper.as_bytes()),
            Err(Fault::Is(Mistake::DeepPath))
        );
    }

    #[test]
    fn tells_addresses_from_ids() {
        for (text, expected) in [
            ("03:00", true),
            ("3:0", true),
            ("0000:03:00", true),
            ("10000:03:00", true),
            (":03:00", false),
            ("02:00:0", false),
            ("anything with a .", true),
            ("003:00", false),
            ("03:", false),
            ("10de:1b80", false),
            ("0:0:0:0", false),
            ("03:0g", false),
            ("03", false),
            ("", false),
        ] {
            assert_eq!(is_place(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn passes_over_bridges_unless_they_are_named() {
        for (text, expected) in [
            ("00:1c.0", false),
            ("00:1c.*", true),
            ("00:1c.0/00.0", false),
            ("8086:10d3", false),
            ("8086:*", true),
            ("*:*:8086:*@00:1c.0", false),
            ("8086:*:8086:*", true),
            ("class:06", true),
        ] {
            assert_eq!(selector(text).passes_over_bridges(), expected, "{text}");
        }
    }

    #[test]
    fn is_at_what_it_means() {
        let target = b"../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.1";
        let place = Place::from_link(target).expect("a place");
        let nic = Identity {
            ids: 0x8086_10d3_1af4_1100,
            class: 0x02_0000,
        };
        let address = Address::parse(b"03:00.1").expect("an address");
        let candidate = Candidate {
            address,
            identity: Some(nic),
            place: Some(&place),
            is_virtual: false,
        };
        let unknown = Candidate {
            address,
            identity: None,
            place: None,
            is_virtual: false,
        };
        for (text, is_at, is_at_unknown) in [
            ("03:00.1", true, true),
            ("03:00", true, true),
            ("03:00.0", false, false),
            ("00:1c.0/00.1", true, false),
            ("00:1c.0/00.0", false, false),
            ("00:1d.0/00.1", false, false),
            ("8086:10d3", true, false),
            ("8086:10d4", false, false),
            ("class:network", true, false),
            ("class:usb", false, false),
            ("10de:1b80@03:00.1", true, true),
        ] {
            let selector = selector(text);
            assert_eq!(selector.is_at(&candidate), is_at, "{text}");
            assert_eq!(selector.is_at(&unknown), is_at_unknown, "{text}");
            // What a selector is at is found by its key.
            let found = selector.shape().key(&candidate) == Some(selector.key());
            assert!(found || !is_at, "{text}");
        }
        assert!(!selector("10de:1b80@03:00.1").is_expected(&candidate));
        assert!(selector("8086:*@03:00.1").is_expected(&candidate));
        assert!(selector("03:00.1").is_expected(&unknown));
    }
}
