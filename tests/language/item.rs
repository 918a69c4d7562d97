//! Items, generated from their meaning: a test knows the meaning without a parser.

use proptest::{collection::vec, prelude::*};

use crate::machine::Function;

/// An item: its meaning and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub is_keep: bool,
    /// The selector, without the `!`.
    pub selector: Selector,
    /// The text of the item.
    pub text: String,
}

/// The meaning of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    Place(Place),
    Identity(Ids),
    /// The class, as digits or as a name.
    Class(String),
    IdentityAt(Ids, Place),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Domain, bus, device, function. `None` as function, or as device and function, is any.
    Address(u32, u8, Option<u8>, Option<u8>),
    /// Domain, bus, and the steps: device and function each.
    Path(u32, u8, Vec<(u8, u8)>),
}

/// Vendor, device, subsystem vendor, subsystem; `None` is any.
pub type Ids = [Option<u16>; 4];

/// Names of classes that a selector is written with.
pub const NAMES: [&str; 7] = ["usb", "network", "display", "gpu", "Audio", "NVMe", "xhci"];

/// The name with which the program prints each class, and the digits that it means. Two names for
/// one class are printed as the first.
const WORDS: [(&str, &str); 31] = [
    ("storage", "01"),
    ("scsi", "0100"),
    ("ide", "0101"),
    ("raid", "0104"),
    ("sata", "0106"),
    ("ahci", "010601"),
    ("sas", "0107"),
    ("nvme", "0108"),
    ("network", "02"),
    ("ethernet", "0200"),
    ("wifi", "0280"),
    ("display", "03"),
    ("vga", "0300"),
    ("multimedia", "04"),
    ("video", "0400"),
    ("audio", "audio"),
    ("serial", "0700"),
    ("sdcard", "0805"),
    ("firewire", "0c00"),
    ("usb", "0c03"),
    ("uhci", "0c0300"),
    ("ohci", "0c0310"),
    ("ehci", "0c0320"),
    ("xhci", "0c0330"),
    ("usb4", "0c0340"),
    ("fibre", "0c04"),
    ("smbus", "0c05"),
    ("wireless", "0d"),
    ("bluetooth", "0d11"),
    ("crypto", "10"),
    ("accelerator", "12"),
];

/// The digits of a class that is written as digits or as a name.
pub fn class_digits(text: &str) -> String {
    let text = text.to_lowercase();
    let name = if text == "gpu" { "display" } else { &text };
    let known = WORDS.iter().find(|(word, _)| *word == name);
    known.map_or(text.clone(), |(_, digits)| (*digits).to_owned())
}

impl Selector {
    /// The selector as the program prints it.
    pub fn canonical(&self) -> String {
        match self {
            Selector::Place(place) => place.canonical(),
            Selector::Identity(ids) => canonical_ids(ids),
            Selector::Class(text) => {
                let digits = class_digits(text);
                let known = WORDS.iter().find(|(_, of)| *of == digits);
                format!("class:{}", known.map_or(digits.as_str(), |(word, _)| word))
            }
            // Without ids, any device at the place will do.
            Selector::IdentityAt([None, None, None, None], place) => place.canonical(),
            Selector::IdentityAt(ids, place) => {
                format!("{}@{}", canonical_ids(ids), place.canonical())
            }
        }
    }

    /// Whether the selector names one exact place. While a keep cannot be read, only such items
    /// count.
    pub fn names_a_place(&self) -> bool {
        match self {
            Selector::Place(place) | Selector::IdentityAt(_, place) => {
                !place.canonical().contains('*')
            }
            _ => false,
        }
    }

    /// Whether the selector skips bridges: a wildcard of any kind, or a class.
    pub fn passes_over_bridges(&self) -> bool {
        match self {
            Selector::Place(place) | Selector::IdentityAt(_, place) => {
                place.canonical().contains('*')
            }
            Selector::Identity([vendor, device, ..]) => vendor.is_none() || device.is_none(),
            Selector::Class(_) => true,
        }
    }
}

impl Place {
    fn canonical(&self) -> String {
        let star = |field: &Option<u8>, width: usize| {
            field.map_or("*".to_owned(), |value| format!("{value:0width$x}"))
        };
        match self {
            Place::Address(domain, bus, device, function) => format!(
                "{domain:04x}:{bus:02x}:{}.{}",
                star(device, 2),
                star(function, 1)
            ),
            Place::Path(domain, bus, steps) => {
                let steps: Vec<String> = steps
                    .iter()
                    .map(|(device, function)| format!("{device:02x}.{function:x}"))
                    .collect();
                format!("{domain:04x}:{bus:02x}:{}", steps.join("/"))
            }
        }
    }
}

fn canonical_ids(ids: &Ids) -> String {
    let fields: Vec<String> = ids
        .iter()
        .map(|id| id.map_or("*".to_owned(), |id| format!("{id:04x}")))
        .collect();
    fields[..if ids[2..] == [None; 2] { 2 } else { 4 }].join(":")
}

/// Choices among the ways to write the same selector.
pub struct Style(u64);

impl Style {
    fn choose(&mut self, ways: u64) -> u64 {
        let choice = self.0 % ways;
        self.0 /= ways;
        choice
    }

    fn cased(&mut self, text: String) -> String {
        if self.choose(2) == 1 {
            text.to_uppercase()
        } else {
            text
        }
    }

    /// A number of any width.
    fn hex(&mut self, value: u32) -> String {
        let width = [1, 2, 4, 9][self.choose(4) as usize];
        self.cased(format!("{value:0width$x}"))
    }

    fn domain(&mut self, domain: u32) -> String {
        if domain == 0 && self.choose(2) == 0 {
            String::new()
        } else {
            self.hex(domain) + ":"
        }
    }

    fn place(&mut self, place: &Place) -> String {
        match place {
            Place::Address(domain, bus, device, function) => {
                let domain = self.domain(*domain);
                match (device, function) {
                    // Without a function, the fields must not look like ids.
                    (Some(device), None) if self.choose(2) == 0 => {
                        // A domain of fewer digits would be a bus.
                        let domain = match domain.is_empty() {
                            true => domain,
                            false => format!("{domain:0>5}"),
                        };
                        let bus = if self.choose(2) == 0 {
                            format!("{bus:x}")
                        } else {
                            format!("{bus:02X}")
                        };
                        domain + &bus + ":" + &format!("{device:02x}")
                    }
                    _ => {
                        let mut star = |field: &Option<u8>| {
                            field.map_or("*".to_owned(), |value| self.hex(value.into()))
                        };
                        let (device, function) = (star(device), star(function));
                        domain + &self.hex((*bus).into()) + ":" + &device + "." + &function
                    }
                }
            }
            Place::Path(domain, bus, steps) => {
                let domain = self.domain(*domain);
                let steps: Vec<String> = steps
                    .iter()
                    .map(|&(device, function)| {
                        self.hex(device.into()) + "." + &self.hex(function.into())
                    })
                    .collect();
                domain + &self.hex((*bus).into()) + ":" + &steps.join("/")
            }
        }
    }

    fn ids(&mut self, ids: &Ids) -> String {
        let fields = if ids[2..] == [None; 2] && self.choose(2) == 0 {
            &ids[..2]
        } else {
            &ids[..]
        };
        // In the form `pci:`, 0 means any, so an id of 0 cannot be written.
        let is_lax = self.choose(2) == 1 && !fields.contains(&Some(0));
        let written: Vec<String> = fields
            .iter()
            .map(|id| match id {
                None if is_lax && self.choose(2) == 0 => self.hex(0),
                None => "*".to_owned(),
                Some(id) if is_lax => self.hex((*id).into()),
                Some(id) => self.cased(format!("{id:04x}")),
            })
            .collect();
        (if is_lax { "pci:" } else { "" }).to_owned() + &written.join(":")
    }

    fn selector(&mut self, selector: &Selector) -> String {
        match selector {
            Selector::Place(place) => self.place(place),
            Selector::Identity(ids) => self.ids(ids),
            Selector::Class(text) => "class:".to_owned() + &self.cased(text.clone()),
            Selector::IdentityAt(ids, place) => self.ids(ids) + "@" + &self.place(place),
        }
    }
}

/// Any selector at all.
pub fn selector() -> impl Strategy<Value = Selector> {
    let ids = || prop::array::uniform4(prop::option::of(prop_oneof![Just(0), any::<u16>()]));
    let fixed = ids().prop_map(|[vendor, rest @ ..]| {
        [Some(vendor.unwrap_or(0x8086)), rest[0], rest[1], rest[2]]
    });
    let domain = || prop_oneof![Just(0), 0..0x2_0000u32, any::<u32>()];
    let address = (
        domain(),
        any::<u8>(),
        prop::option::of(0..0x20u8),
        prop::option::of(0..8u8),
    )
        .prop_map(|(domain, bus, device, function)| {
            Place::Address(domain, bus, device, function.filter(|_| device.is_some()))
        });
    let path = (domain(), any::<u8>(), vec((0..0x20u8, 0..8u8), 2..33))
        .prop_map(|(domain, bus, steps)| Place::Path(domain, bus, steps));
    let place = prop_oneof![address, path].boxed();
    let digits = prop_oneof!["[0-9a-f]{2}", "[0-9a-f]{4}", "[0-9a-f]{6}"];
    let class = prop_oneof![
        digits,
        prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
    ]
    .prop_map(Selector::Class);
    let class = class.boxed();
    prop_oneof![
        place.clone().prop_map(Selector::Place),
        fixed.prop_map(Selector::Identity),
        class,
        (ids(), place).prop_map(|(ids, place)| Selector::IdentityAt(ids, place)),
    ]
}

/// A selector, written in one of its ways.
pub fn written(selector: Selector, style: u64, is_keep: bool) -> Item {
    Item {
        is_keep,
        text: Style(style).selector(&selector),
        selector,
    }
}

/// A plan for an item: which function of the machine it means, how it selects the function, and
/// which mistake it makes.
#[derive(Clone, Debug)]
pub struct Wish {
    function: prop::sample::Index,
    other: prop::sample::Index,
    way: u8,
    mask: u8,
    style: u64,
    is_keep: bool,
}

pub fn wish(is_keep: impl Strategy<Value = bool>) -> impl Strategy<Value = Wish> {
    (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        0..14u8,
        any::<u8>(),
        any::<u64>(),
        is_keep,
    )
        .prop_map(|(function, other, way, mask, style, is_keep)| Wish {
            function,
            other,
            way,
            mask,
            style,
            is_keep,
        })
}

impl Wish {
    pub fn item(&self, machine: &[Function]) -> Item {
        let function = self.function.get(machine);
        let place = || {
            if self.way.is_multiple_of(2) {
                exact(function)
            } else {
                path(function)
            }
        };
        let selector = match self.way {
            0 | 1 => Selector::Place(place()),
            2 => Selector::Place(all_functions(function, true)),
            3 => Selector::Place(all_functions(function, false)),
            4..=6 => Selector::Identity(ids(function, self.mask & 7)),
            7 => Selector::Class(function.class[..2 + 2 * usize::from(self.mask % 3)].to_owned()),
            8 => Selector::Class(NAMES[usize::from(self.mask) % NAMES.len()].to_owned()),
            9 | 10 => Selector::IdentityAt(ids(function, self.mask & 15), place()),
            // The ids of another device at this place: a mismatch, unless both have the same ids.
            11 | 12 => Selector::IdentityAt(ids(self.other.get(machine), self.mask & 15), place()),
            // No function has this address.
            _ => Selector::Place(Place::Address(7, 7, Some(7), Some(self.mask & 7))),
        };
        written(selector, self.style, self.is_keep)
    }
}

fn number<T: TryFrom<u32>>(digits: &str) -> T {
    u32::from_str_radix(digits, 16)
        .ok()
        .and_then(|value| T::try_from(value).ok())
        .expect("digits of a machine")
}

/// Domain, bus and the rest of an address or path.
fn fields(text: &str) -> (u32, u8, &str) {
    let mut fields = text.split(':');
    let mut next = || fields.next().expect("an address");
    (number(next()), number(next()), next())
}

fn step(text: &str) -> (u8, u8) {
    let (device, function) = text.split_once('.').expect("device and function");
    (number(device), number(function))
}

fn exact(function: &Function) -> Place {
    let (domain, bus, rest) = fields(&function.address);
    let (device, function) = step(rest);
    Place::Address(domain, bus, Some(device), Some(function))
}

/// The path of a function or, without a bridge above it, the address. Of a virtual function it is
/// the path that a user may take for its own.
fn path(function: &Function) -> Place {
    let (domain, bus, rest) = fields(&function.way);
    let steps: Vec<_> = rest.split('/').map(step).collect();
    if steps.len() > 1 {
        Place::Path(domain, bus, steps)
    } else {
        exact(function)
    }
}

fn all_functions(function: &Function, of_device: bool) -> Place {
    let (domain, bus, rest) = fields(&function.address);
    Place::Address(domain, bus, of_device.then_some(step(rest).0), None)
}

/// The ids of a function. Each bit of the mask leaves one out; 8 is the vendor.
fn ids(function: &Function, mask: u8) -> Ids {
    let open = |bit: u8, id: &String| {
        if mask & bit == 0 {
            Some(number(id))
        } else {
            None
        }
    };
    let [vendor, device, subvendor, subdevice] = &function.ids;
    [
        open(8, vendor),
        open(4, device),
        open(2, subvendor),
        open(1, subdevice),
    ]
}
