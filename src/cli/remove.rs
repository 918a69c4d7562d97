//! `pciseize remove`: asks no longer for what `add` has asked for.
//!
//! A line goes if all that its item means is meant by the words. Where its device is gone, it goes
//! if a word says the same as the item, or names its place or its identity.

use core::ffi::CStr;

use heapless::Vec;

use super::{Exit, Memory, OPERANDS, drop_in, images};
use crate::{
    device::{Action, Device, Devices},
    edit::{self, Seen},
    host::{
        Console, Files, Host, Level,
        lines::{self, TextLine},
    },
    pciback, put,
    report::log::tell_problems,
    request::{
        Candidate, Cursor, ITEMS, Item, ItemId, Request, Selector, SourceId,
        problem::At,
        syntax::entry::{Content, Entry},
    },
    say,
    text::{Escaped, Line, has_byte},
};

/// What is taken out. New, it is all zeros.
#[derive(Debug)]
pub struct Removal {
    /// How many functions each item means, in the order of the request.
    meant: Vec<Meant, ITEMS>,
    /// The numbers of the lines.
    lines: Vec<u32, ITEMS>,
    /// Their items, where they could be read.
    items: Vec<Option<ItemId>, ITEMS>,
}

/// Most items that are named as asking for one device.
const OTHERS: usize = 16;

/// How many functions an item means.
#[derive(Clone, Copy, Debug, Default)]
struct Meant {
    all: u32,
    /// Those of them that the words mean.
    by_words: u32,
}

impl Removal {
    /// Nothing.
    pub const fn new() -> Removal {
        Removal {
            meant: Vec::new(),
            lines: Vec::new(),
            items: Vec::new(),
        }
    }
}

impl Default for Removal {
    fn default() -> Removal {
        Removal::new()
    }
}

/// The words, and which of them have meant a line.
struct Words<'w> {
    words: &'w [&'w CStr],
    selectors: Vec<Option<Selector>, OPERANDS>,
    have_met: Vec<bool, OPERANDS>,
}

impl<'w> Words<'w> {
    fn new(words: &'w [&'w CStr]) -> Words<'w> {
        let (mut selectors, mut have_met) = (Vec::new(), Vec::new());
        for word in words {
            // There is room for as many words as are taken.
            let _ = selectors.push(Selector::parse(word.to_bytes()).ok());
            let _ = have_met.push(false);
        }
        Words {
            words,
            selectors,
            have_met,
        }
    }

    /// Whether a word means a device.
    fn mean(&self, device: &Device) -> bool {
        let mut selectors = self.selectors.iter().flatten();
        selectors.any(|selector| drop_in::means(selector, device))
    }

    /// Notes which words are met by something. Gives back whether any is.
    fn note(&mut self, is_met: &mut dyn FnMut(&[u8], Option<&Selector>) -> bool) -> bool {
        let mut is_any = false;
        let words = self.words.iter().zip(&self.selectors);
        for ((word, selector), has_met) in words.zip(&mut self.have_met) {
            if is_met(word.to_bytes(), selector.as_ref()) {
                *has_met = true;
                is_any = true;
            }
        }
        is_any
    }

    /// Notes which word is the name of an item for guests: it means what the item means. Gives back
    /// whether any is.
    fn note_name(&mut self, name: &[u8], item: &Item) -> bool {
        let mut is_any = false;
        let words = self.words.iter().zip(&mut self.selectors);
        for ((word, selector), has_met) in words.zip(&mut self.have_met) {
            if word.to_bytes() == name {
                *selector = Some(item.selector.clone());
                *has_met = true;
                is_any = true;
            }
        }
        is_any
    }

    /// The words that have met nothing.
    fn unmet(&self) -> impl Iterator<Item = &'w CStr> {
        let words = self.words.iter().zip(&self.have_met);
        words
            .filter(|(_, has_met)| !**has_met)
            .map(|(word, _)| *word)
    }
}

/// Takes the lines out that the words mean, prints them, and says who else asks.
pub fn run<H: Host>(host: &mut H, memory: &mut Memory, embedded: &[u8], words: &[&CStr]) -> Exit {
    let mut words = Words::new(words);
    let Some(seen) = drop_in::begin(host) else {
        return Exit::NotAsAsked;
    };
    // Where the bus cannot be listed, each item tells of it.
    let _ = drop_in::survey(host, memory, embedded);
    tell_problems(&memory.request, 0, &mut |level, line| host.say(level, line));
    let is_whole = find_lines(host, memory, &mut words);
    if !memory.removal.lines.is_empty() && !write(host, memory, seen) {
        return Exit::NotAsAsked;
    }
    let is_any = !memory.removal.lines.is_empty();
    let mut is_good = is_whole && is_any;
    for word in words.unmet() {
        is_good = false;
        let word = Escaped(word.to_bytes());
        say!(
            host,
            Level::Error,
            "{}: no line of {} asks for it",
            word,
            edit::FILE
        );
    }
    if !is_good {
        tell_gone(host, memory);
    }
    // What asks now.
    memory.clear();
    let _ = drop_in::survey(host, memory, embedded);
    tell_others(host, &mut memory.request, &memory.devices, &words);
    if is_any {
        tell_taken(host, &memory.devices, &words);
        images::tell_command(host);
    }
    Exit::of(is_good)
}

/// Names the items of the drop-in that mean no device: a word for a device that is gone may have
/// meant one of them.
fn tell_gone<H: Console>(host: &mut H, memory: &Memory) {
    let request = &memory.request;
    let Some(source) = request.source_of(edit::FILE) else {
        return;
    };
    let removal = &memory.removal;
    let items = (0..).zip(request.items.iter().zip(&removal.meant));
    for (id, (item, meant)) in items {
        let is_gone = meant.all == 0 && !removal.items.contains(&Some(id));
        if item.origin.source == source && !item.is_keep && is_gone {
            say!(
                host,
                Level::Notice,
                "{}: no such device: 'pciseize remove {}' takes that out",
                At(request, item.origin),
                item
            );
        }
    }
}

/// Finds the lines that are to go. Gives back whether none of them has to stay for another device.
fn find_lines<H: Host>(host: &mut H, memory: &mut Memory, words: &mut Words) -> bool {
    let Memory {
        request,
        devices,
        removal,
        ..
    } = memory;
    let Some(source) = request.source_of(edit::FILE) else {
        return true;
    };
    count_meant(request, devices, removal, words, source);
    let mut next = 0;
    let mut is_whole = true;
    let read = lines::each(host, edit::FILE.as_bytes(), u64::MAX, &mut |host, line| {
        let Some(entry) = Entry::parse(line.text).filter(|_| line.is_whole) else {
            return;
        };
        let item = item_at(request, source, line.number, &mut next);
        match judge(words, removal, item, &entry) {
            Fate::Stays => {}
            Fate::Shared => {
                is_whole = false;
                say_stays(host, &line, entry.text, "it means other devices too");
            }
            // What follows it is not read, and somebody wrote it.
            Fate::Goes if has_byte(entry.text, b'\r') => {
                is_whole = false;
                say_stays(host, &line, entry.text, "there is a carriage return within");
            }
            Fate::Goes => {
                if removal.lines.push(line.number).is_err() {
                    is_whole = false;
                    say_stays(
                        host,
                        &line,
                        entry.text,
                        "too many at once; repeat the command",
                    );
                } else {
                    // There is room for as many.
                    let _ = removal.items.push(item.map(|(id, _)| id));
                }
            }
        }
    });
    if let Err(errno) = read {
        say!(host, Level::Error, "{}: {}", edit::FILE, errno);
        removal.lines.clear();
        return false;
    }
    is_whole
}

/// Says why a line stays.
fn say_stays<H: Console>(host: &mut H, line: &TextLine, text: &[u8], why: &str) {
    let text = Escaped(text);
    say!(
        host,
        Level::Error,
        "{}:{}: {} stays: {}",
        edit::FILE,
        line.number,
        text,
        why
    );
}

/// The item of a line. The items of a source are in the order of its lines.
fn item_at<'r>(
    request: &'r Request,
    source: SourceId,
    line: u32,
    next: &mut usize,
) -> Option<(ItemId, &'r Item)> {
    while let Some(item) = request.items.get(*next) {
        let origin = item.origin;
        if origin.source == source && origin.line == line {
            return Some((*next as ItemId, item));
        }
        if origin.source == source && origin.line > line {
            return None;
        }
        *next += 1;
    }
    None
}

/// Counts how many functions each item of the drop-in means, and notes the words that mean one.
fn count_meant(
    request: &mut Request,
    devices: &Devices,
    removal: &mut Removal,
    words: &mut Words,
    source: SourceId,
) {
    removal.meant.clear();
    // There is room for every item.
    let _ = removal.meant.resize_default(request.items.len());
    for device in devices.iter().filter(|device| device.function.is_there) {
        let is_given = words.mean(device);
        let mut is_of_file = false;
        each_item(request, device, &mut |id, item| {
            if item.origin.source == source
                && let Some(meant) = removal.meant.get_mut(usize::from(id))
            {
                is_of_file = true;
                meant.all += 1;
                meant.by_words += u32::from(is_given);
            }
        });
        if is_given && is_of_file {
            words.note(&mut |_, selector| {
                selector.is_some_and(|selector| drop_in::means(selector, device))
            });
        }
    }
}

/// Calls `visit` with each item that asks for a device, with some more than once.
fn each_item(request: &mut Request, device: &Device, visit: &mut dyn FnMut(ItemId, &Item)) {
    let candidate = device.candidate();
    let guards = request.guards();
    let mut cursor = Cursor::default();
    while let Some((id, item)) = request.next_match(&candidate, &mut cursor) {
        let is_wish = id >= guards && !item.is_keep;
        let is_passed_over = device.is_bridge() && item.selector.passes_over_bridges();
        if is_wish && !is_passed_over && item.selector.is_expected(&candidate) {
            visit(id, item);
        }
    }
}

/// What becomes of a line.
enum Fate {
    Goes,
    Stays,
    /// Its item means more than the words do.
    Shared,
}

/// Decides on a line with this entry, and with this item where it could be read.
fn judge(
    words: &mut Words,
    removal: &Removal,
    item: Option<(ItemId, &Item)>,
    entry: &Entry,
) -> Fate {
    let is_written = words.note(&mut |word, _| word == entry.text);
    let Some((id, item)) = item.filter(|(_, item)| !item.is_keep) else {
        return if is_written { Fate::Goes } else { Fate::Stays };
    };
    let is_named = match entry.content {
        Content::Setting { name, .. } => words.note_name(name, item),
        Content::Item => false,
    };
    if is_written || is_named {
        return Fate::Goes;
    }
    let meant = removal.meant.get(usize::from(id)).copied();
    let meant = meant.unwrap_or_default();
    let is_said = words.note(&mut |_, selector| {
        selector.is_some_and(|word| {
            *word == item.selector || meant.all == 0 && names_gone(word, &item.selector)
        })
    });
    if is_said || meant.all > 0 && meant.by_words == meant.all {
        Fate::Goes
    } else if meant.by_words > 0 {
        Fate::Shared
    } else {
        Fate::Stays
    }
}

/// Whether a word means what an item means whose device is gone: its place, or its identity.
fn names_gone(word: &Selector, gone: &Selector) -> bool {
    let has_no_identity = word.expected_anywhere().is_none();
    let is_place = match (gone.address(), gone.path()) {
        (Some(address), _) => {
            word.is_plain()
                && word.is_at(&Candidate {
                    address,
                    identity: None,
                    place: None,
                    is_virtual: false,
                })
        }
        (None, Some(path)) => has_no_identity && word.path() == Some(path),
        (None, None) => false,
    };
    is_place || gone.expected_anywhere().as_ref() == Some(word)
}

/// Takes the lines out, and prints their items. Gives back whether that was done.
fn write<H: Host>(host: &mut H, memory: &Memory, seen: Seen) -> bool {
    let removal = &memory.removal;
    if let Err(fault) = edit::replace(host, seen, &removal.lines, &mut |_, _| Ok(())) {
        drop_in::tell(host, &fault);
        return false;
    }
    let mut is_printed = true;
    for id in removal.items.iter().flatten() {
        if let Some(item) = memory.request.items.get(usize::from(*id)) {
            let mut line = Line::new();
            if let Some(name) = memory.request.name_of(*id) {
                put!(&mut line, "{} = ", name);
            }
            put!(&mut line, "{}\n", item);
            is_printed &= host.print(line.bytes()).is_ok();
        }
    }
    say!(host, Level::Notice, "taken out of {}", edit::FILE);
    is_printed
}

/// Says who else asks for what the words mean.
fn tell_others<H: Console>(host: &mut H, request: &mut Request, devices: &Devices, words: &Words) {
    for device in devices.iter().filter(|device| words.mean(device)) {
        let mut asking: Vec<ItemId, OTHERS> = Vec::new();
        each_item(request, device, &mut |id, _| {
            if !asking.contains(&id) {
                // What is beyond is told once these are taken out.
                let _ = asking.push(id);
            }
        });
        for item in asking
            .iter()
            .filter_map(|id| request.items.get(usize::from(*id)))
        {
            let at = At(request, item.origin);
            let address = device.address();
            say!(
                host,
                Level::Notice,
                "{}: asked for by {} at {}",
                address,
                item,
                at
            );
        }
    }
    let first = usize::from(request.guards());
    let wishes = request
        .items
        .iter()
        .skip(first)
        .filter(|item| !item.is_keep);
    for item in wishes.filter(|item| !item.has_matched) {
        let mut selectors = words.selectors.iter().flatten();
        if selectors.any(|word| *word == item.selector || names_gone(word, &item.selector)) {
            let at = At(request, item.origin);
            say!(host, Level::Notice, "asked for by {} at {}", item, at);
        }
    }
}

/// Says what is with pciback though nobody asks for it any more.
fn tell_taken<H: Files + Console>(host: &mut H, devices: &Devices, words: &Words) {
    for device in devices.iter().filter(|device| words.mean(device)) {
        let address = device.address();
        let is_asked = device.action == Action::Seize;
        let is_taken =
            device.is_with_pciback() || pciback::has_our_override(host, address) == Ok(true);
        if is_taken && !is_asked {
            say!(
                host,
                Level::Notice,
                "{}: taken until 'pciseize release {}', or a boot with a new image",
                address,
                address
            );
        }
    }
}
