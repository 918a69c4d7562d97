//! The list: a line for each function, with its path, which pastes into the configuration, and
//! behind that what it is and who uses it, as a comment.

use super::{
    Report,
    explain::{add_use, add_uses},
    groups,
    layout::{Colour, Wrap, add_word, add_words, begin_colour, columns, end_colour, go_on, pad},
    sink::{Out, Sink},
};
use crate::{
    device::{Action, Device, Guest},
    host::Errno,
    pci::Identity,
    put,
    request::{Need, syntax::class},
    text::{Escaped, Line, split},
};

/// Adds what is to be known of a function beyond what it is, each with `; ` in front.
pub fn add_marks(report: &Report, device: &Device, line: &mut Line) {
    if device.is_bridge() {
        put!(line, "; bridge");
    }
    add_uses(report, device.address(), ["; "; 2], line);
    if device.is_with_pciback() && !matches!(device.state.guest, Guest::Domain(_)) {
        put!(line, "; with pciback");
    }
    add_state(device, "; ", line);
    add_guest_name(report, device, "; ", line);
    add_relations(report, device, line);
}

/// Adds what other functions have to do with one, each with `; ` in front.
fn add_relations(report: &Report, device: &Device, line: &mut Line) {
    if let Some(twin) = device.function.twin {
        put!(line, "; twin of {}", twin);
    }
    if let Some(first) = groups::first_in_company(report, device) {
        put!(line, "; group of {}", first);
    }
}

/// Adds which guest has a function, and who asks for it, each with `before` in front.
fn add_state(device: &Device, before: &str, line: &mut Line) {
    match device.state.guest {
        Guest::Domain(domain) => put!(line, "{}with guest {}", before, domain),
        Guest::Unknown(_) => put!(line, "{}perhaps with a guest", before),
        _ if device.work.is_held => put!(line, "{}held", before),
        _ => {}
    }
    match device.action {
        Action::Unasked => {}
        Action::Keep(_) => put!(line, "{}kept", before),
        _ => put!(line, "{}asked for", before),
    }
}

/// Adds the name that guests have for a function, with `before` in front.
pub fn add_guest_name(report: &Report, device: &Device, before: &str, line: &mut Line) {
    if let Some(name) = device.guest_name(report.request) {
        put!(line, "{}name {}", before, name);
    }
}

/// Adds the names of a function: vendor and device.
pub fn add_names(report: &Report, device: &Device, line: &mut Line) {
    let mut before = "";
    for name in device.function.names.into_iter().flatten() {
        put!(line, "{}{}", before, Escaped(report.names.get(name)));
        before = " ";
    }
}

/// Adds what a function is: its names, or its ids and class where nobody knows a name.
pub fn add_title(report: &Report, device: &Device, line: &mut Line) {
    if device.function.names.iter().any(Option::is_some) {
        add_names(report, device, line);
    } else if let Some(identity) = device.function.identity {
        put!(line, "{} ", identity.model());
        add_class(identity, line);
    } else {
        put!(line, "ids not known");
    }
}

/// Adds the class of a function: its word, or its code where there is no word.
pub fn add_class(identity: Identity, line: &mut Line) {
    match class::name(identity.class) {
        Some(name) => put!(line, "{}", name),
        None => put!(line, "{}", identity.class()),
    }
}

/// The driver of a function: `-` for none, `?` for one that cannot be told.
pub fn driver(device: &Device) -> Escaped<'_> {
    let driver = device.state.driver.as_slice();
    Escaped(match driver {
        [] if device.state.is_driver_known => b"-",
        [] => b"?",
        driver => driver,
    })
}

/// Adds what names a function: its path, with its ids in front where it has a twin.
fn add_selector(device: &Device, line: &mut Line) {
    let is_never_taken = device.is_bridge() || !device.address().is_known_to_xen();
    put!(line, "{}", if is_never_taken { "#" } else { "" });
    if device.function.twin.is_some() {
        add_model(device, line);
    }
    add_path(device, line);
}

/// Adds the ids of a function, to be followed by its place.
pub fn add_model(device: &Device, line: &mut Line) {
    if let Some(identity) = device.function.identity {
        put!(line, "{}@", identity.model());
    }
}

/// Adds the path of a function, or its address where the path cannot be told.
pub fn add_path(device: &Device, line: &mut Line) {
    match &device.function.place {
        Some(place) => put!(line, "{}", place),
        None => put!(line, "{}", device.address()),
    }
}

/// Most columns for the items. A line whose item is longer does not line up in a pipe, and has two
/// lines on a terminal.
const ITEM_COLUMNS: usize = 40;

/// The columns of the comment, counted from where it begins, with whole addresses.
const ADDRESS: usize = 2;
const IDS: usize = 15;
const CLASS: usize = 25;
const DRIVER: usize = 35;

/// What follows the driver in a pipe, and on a terminal.
const NAME: usize = 46;
const USE: usize = 50;

/// Columns for what a function is used for, where a terminal is wide enough for that and a path
/// behind one bridge.
const USE_COLUMNS: usize = 16;
const PATH_COLUMNS: usize = 19;

/// How the lines of a list are laid out.
struct Layout {
    /// Where the comments begin.
    comment: usize,
    /// How many columns the addresses have less than whole ones: their domain is left out where it
    /// is 0 for all.
    saved: usize,
    /// Where a text wraps.
    wrap: Wrap,
}

impl Layout {
    /// The columns for the functions that are shown.
    fn of<'d>(report: &Report, shown: impl Iterator<Item = &'d Device>) -> Layout {
        let (mut widest, mut has_domains) = (0, false);
        let mut item = Line::new();
        for device in shown {
            item.clear();
            add_selector(device, &mut item);
            widest = widest.max(item.bytes().len());
            has_domains |= device.address().domain() != 0;
        }
        let is_whole = has_domains || report.terminal.is_none();
        let saved = if is_whole { 0 } else { DOMAIN_COLUMNS };
        let mut comment = widest.min(ITEM_COLUMNS) + 2;
        let width = usize::from(report.terminal.columns);
        if width != 0 {
            let left = width.saturating_sub(USE - saved);
            comment = comment.min(left.min(PATH_COLUMNS).max(left.saturating_sub(USE_COLUMNS)));
        }
        Layout {
            comment,
            saved,
            wrap: Wrap::comment(width, comment + ADDRESS),
        }
    }

    /// Where a part begins that is at `column` with whole addresses.
    fn at(&self, column: usize) -> usize {
        self.comment + column - self.saved
    }
}

/// Columns of a domain, with its colon.
const DOMAIN_COLUMNS: usize = 5;

/// Whether bridges are shown on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bridges {
    /// They are.
    Shown,
    /// They are counted.
    Hidden,
}

/// Prints a line for each function, on a terminal with a header.
///
/// # Errors
/// The first of `out`.
pub fn print<'o>(report: &Report, bridges: Bridges, out: &'o mut Out<'o>) -> Result<(), Errno> {
    let is_terminal = !report.terminal.is_none();
    let has_bridges = !is_terminal || bridges == Bridges::Shown;
    let is_there = |device: &&Device| device.function.is_there;
    let is_shown = |device: &&Device| is_there(device) && (has_bridges || !device.is_bridge());
    let shown = || report.devices.iter().filter(is_shown);
    let layout = Layout::of(report, shown());
    let mut sink = Sink::new(out);
    if is_terminal {
        add_header(&layout, &mut sink.line);
    }
    for device in shown() {
        add_row(report, device, &layout, &mut sink);
    }
    if is_terminal {
        let all = report.devices.iter().filter(is_there).count();
        add_legend(report, all - shown().count(), &mut sink.line);
    }
    sink.end()
}

/// Adds the header, which is a comment as well.
fn add_header(layout: &Layout, line: &mut Line) {
    put!(line, "# ITEM");
    for (column, word) in [
        (ADDRESS + layout.saved, "ADDRESS"),
        (IDS, "IDS"),
        (CLASS, "CLASS"),
        (DRIVER, "DRIVER"),
        (USE, "USE"),
    ] {
        if layout.at(column) + word.len() < layout.wrap.width {
            pad(line, layout.at(column));
            put!(line, "{}", word);
        }
    }
    put!(line, "\n");
}

/// Adds what the list leaves out, and what its colours mean.
fn add_legend(report: &Report, hidden: usize, line: &mut Line) {
    if hidden > 0 {
        put!(
            line,
            "# Bridges that are not shown: {} (list --all).\n",
            hidden as u32
        );
    }
    if report.groups.has_unread() {
        put!(
            line,
            "# Not all IOMMU groups are known: {}.\n",
            groups::why_unknown(report.groups)
        );
    }
    if report.terminal.has_colours {
        put!(line, "# Green: pciback has it. Yellow: dom0 uses it.\n");
    }
}

/// Adds the line of a function. On a terminal its names have a line of their own, and a line that
/// is too long goes on in the next.
fn add_row(report: &Report, device: &Device, layout: &Layout, sink: &mut Sink) {
    let colour = colour(report, device);
    let line = &mut sink.line;
    begin_colour(line, report.terminal, colour);
    let is_terminal = !report.terminal.is_none();
    add_selector(device, line);
    if is_terminal && columns(line) + 2 > layout.comment {
        go_on(line, layout.wrap);
    } else {
        pad(line, layout.comment);
        put!(line, "# ");
    }
    let mut text = Line::new();
    put!(&mut text, "{}", device.address());
    line.push(text.bytes().get(layout.saved..).unwrap_or_default());
    if let Some(identity) = device.function.identity {
        pad(line, layout.at(IDS));
        put!(line, "{}", identity.model());
        pad(line, layout.at(CLASS));
        add_class(identity, line);
    }
    pad(line, layout.at(DRIVER));
    text.clear();
    put!(&mut text, "{}", driver(device));
    add_word(line, text.bytes(), layout.wrap);
    text.clear();
    if is_terminal {
        add_uses_and_state(report, device, layout, line);
        end_colour(line, report.terminal, colour);
        sink.flush();
        add_names(report, device, &mut text);
        add_guest_name(report, device, "; ", &mut text);
        add_relations(report, device, &mut text);
    } else {
        add_names(report, device, &mut text);
        add_marks(report, device, &mut text);
    }
    // Without a name the first mark needs nothing in front.
    let text = text.bytes().strip_prefix(b"; ").unwrap_or(text.bytes());
    let line = &mut sink.line;
    if !text.is_empty() {
        if is_terminal {
            go_on(line, layout.wrap);
        } else {
            pad(line, layout.at(NAME));
        }
        add_words(line, text, layout.wrap);
    }
    put!(line, "\n");
    sink.flush();
}

/// Adds what dom0 uses a function for, who has it and who asks for it: words for a column.
fn add_uses_and_state(report: &Report, device: &Device, layout: &Layout, line: &mut Line) {
    let mut parts = Line::new();
    for one in report.usage.uses(device.address()).iter() {
        put!(&mut parts, "\n");
        add_use(report, device.address(), one, &mut parts);
    }
    if device.is_bridge() {
        put!(&mut parts, "\nbridge");
    }
    add_state(device, "\n", &mut parts);
    pad(line, layout.at(USE));
    let mut before = "";
    // No part has a newline: what comes from outside is escaped.
    for part in split(parts.bytes(), b'\n').skip(1) {
        put!(line, "{}", before);
        add_word(line, part, layout.wrap);
        before = ",";
    }
    line.trim_end();
}

/// The colour of a line: green for what pciback has, yellow for what dom0 uses, faint for bridges.
fn colour(report: &Report, device: &Device) -> Colour {
    if device.is_with_pciback() {
        Colour::Green
    } else if !report.usage.uses(device.address()).is_empty() {
        Colour::Yellow
    } else if device.is_bridge() {
        Colour::Faint
    } else {
        Colour::None
    }
}

/// Prints the names of all functions, each once, as pci.ids(5) has them: for an image, which has no
/// such file. The functions are in the order of their models.
///
/// # Errors
/// The first of `out`.
pub fn print_names<'o>(report: &Report, out: &'o mut Out<'o>) -> Result<(), Errno> {
    let mut sink = Sink::new(out);
    let mut last = [None; 2];
    for device in report.devices {
        let Some(identity) = device.function.identity else {
            continue;
        };
        let names = device.function.names;
        let [vendor, own] = names;
        if let Some(name) = vendor.filter(|_| vendor != last[0]) {
            put!(&mut sink.line, "{}  ", identity.vendor());
            sink.line.push(report.names.get(name));
            put!(&mut sink.line, "\n");
        }
        if let Some(name) = own.filter(|_| own != last[1]) {
            put!(&mut sink.line, "\t{}  ", identity.device());
            sink.line.push(report.names.get(name));
            put!(&mut sink.line, "\n");
        }
        last = names;
        sink.flush();
    }
    sink.end()
}

/// What a function is and where, as an item for the image to know what the host boots from, or what
/// dom0 needs once it runs.
pub fn boot_item(report: &Report, device: &Device, need: Option<Need>) -> Line {
    let mut line = Line::new();
    if let Some(need) = need {
        put!(&mut line, "{} = ", need.word());
    }
    add_model(device, &mut line);
    add_path(device, &mut line);
    put!(&mut line, " #");
    add_uses(report, device.address(), [" "; 2], &mut line);
    put!(&mut line, "\n");
    line
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String};

    use super::*;
    use crate::{
        cli::Memory,
        facts::usage::Uses,
        host::testing::{Machine, shown, text},
        pci::{Identity, Place},
        report::{
            Kind,
            testing::{NIC, add, driver, machine_in_use, memory, written},
        },
        request::{Selector, syntax::entry::Entry},
    };

    const BRIDGE: Identity = Identity {
        ids: 0x1b36_000c_0000_0000,
        class: 0x06_0400,
    };

    fn place() -> Option<Place> {
        Place::from_link(b"../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.0")
    }

    /// The list, with the bridges, for a terminal of so many columns. 0: a pipe.
    fn listed(memory: &Memory, columns: u16) -> String {
        let mut report = memory.report(Kind::List, true);
        report.terminal.columns = columns;
        text(&written(|out| print(&report, Bridges::Shown, out)))
    }

    /// Gives the first device its names.
    fn name(memory: &mut Memory) {
        let ids = "8086  Intel Corporation\n\t10d3  82574L \u{e9}\n";
        let mut host = Machine::new();
        host.file("/usr/share/pci.ids", ids);
        let Memory { names, devices, .. } = memory;
        names.find(&mut host, devices);
    }

    #[test]
    fn shows_a_function_in_columns() {
        let mut memory = memory("");
        let device = add(&mut memory, "03:00.0", None, Action::Unasked);
        device.function.place = place();
        device.state.driver = driver("e1000e");
        let front = "0000:00:1c.0/00.0  # 0000:03:00.0 8086:10d3";
        assert_eq!(listed(&memory, 0), format!("{front} ethernet  e1000e\n"));
        name(&mut memory);
        let named = format!("{front} ethernet  e1000e     Intel Corporation 82574L \\xc3\\xa9\n");
        assert_eq!(listed(&memory, 0), named);
        memory.devices[0].state.driver.clear();
        memory.devices[0].function.identity = Some(Identity {
            class: 0xff_0102,
            ..NIC
        });
        let without = format!("{front} ff0102    -          Intel Corporation 82574L \\xc3\\xa9\n");
        assert_eq!(listed(&memory, 0), without);
    }

    #[test]
    fn shows_what_cannot_be_read_by_its_address() {
        let mut memory = memory("");
        add(&mut memory, "03:00.0", None, Action::Unasked)
            .function
            .identity = None;
        let row = listed(&memory, 0);
        assert!(row.starts_with("0000:03:00.0  # 0000:03:00.0 "), "{row}");
        assert!(row.ends_with(" -\n"), "{row}");
    }

    /// A row asks for its function, and for nothing where that is never taken.
    #[test]
    fn pastes_back() {
        for (at, identity, place, meant) in [
            ("03:00.0", NIC, place(), Some("0000:00:1c.0/00.0")),
            ("03:00.0", NIC, None, Some("0000:03:00.0")),
            ("00:1c.0", BRIDGE, None, None),
            ("10000:e1:00.0", NIC, None, None),
        ] {
            let mut memory = memory("");
            let device = add(&mut memory, at, None, Action::Unasked);
            device.function.place = place;
            device.function.identity = Some(identity);
            device.state.driver = driver("odd\n# driver");
            name(&mut memory);
            for columns in [0, 60] {
                let row = listed(&memory, columns);
                let mut entries = row.lines().filter_map(|line| Entry::parse(line.as_bytes()));
                let item = entries.next().map(|entry| Selector::parse(entry.text));
                let item = item.map(|selector| shown(selector.expect("a selector")));
                assert_eq!(item.as_deref(), meant, "{row}");
                assert!(entries.next().is_none(), "{row}");
            }
        }
    }

    /// What an image is told are the names that it is told of.
    #[test]
    fn tells_the_image_the_names() {
        let mut memory = memory("");
        for at in ["03:00.0", "04:00.0"] {
            add(&mut memory, at, None, Action::Unasked);
        }
        name(&mut memory);
        let told =
            |memory: &Memory| written(|out| print_names(&memory.report(Kind::List, true), out));
        let once = "8086  Intel Corporation\n\t10d3  82574L \u{e9}\n";
        assert_eq!(told(&memory), once.as_bytes());
        for device in &mut memory.devices {
            device.function.names = [None; 2];
        }
        assert_eq!(told(&memory), b"");
    }

    #[test]
    fn leaves_out_a_domain_only_where_all_are_0() {
        let mut memory = memory("");
        add(&mut memory, "03:00.0", None, Action::Unasked);
        let address = |memory: &Memory| {
            let list = listed(memory, 80);
            let row = list.lines().nth(1).expect("a row");
            let rest = row.split_once("# ").expect("a comment").1;
            rest.split(' ').next().map(String::from)
        };
        assert_eq!(address(&memory).as_deref(), Some("03:00.0"));
        add(&mut memory, "1:04:00.0", None, Action::Unasked);
        assert_eq!(address(&memory).as_deref(), Some("0000:03:00.0"));
    }

    #[test]
    fn marks_who_has_a_function_and_what_for() {
        let keep = Action::Keep(0);
        for (identity, driven_by, guest, action, in_use, expected) in [
            (NIC, "e1000e", Guest::None, Action::Unasked, false, ""),
            (
                BRIDGE,
                "pcieport",
                Guest::None,
                Action::Unasked,
                false,
                "; bridge",
            ),
            (
                NIC,
                "pciback",
                Guest::None,
                Action::Seize,
                false,
                "; with pciback; asked for",
            ),
            (
                NIC,
                "pciback",
                Guest::Domain(7),
                Action::Seize,
                false,
                "; with guest 7; asked for",
            ),
            (NIC, "e1000e", Guest::None, keep, false, "; kept"),
            (
                NIC,
                "e1000e",
                Guest::None,
                keep,
                true,
                "; holds /; carries the default route of eth0; kept",
            ),
        ] {
            let mut memory = memory("!03:00.0");
            let device = add(&mut memory, "03:00.0", None, action);
            device.function.identity = Some(identity);
            device.state.driver = driver(driven_by);
            device.state.guest = guest;
            if in_use {
                memory.usage.gather(&mut machine_in_use(), Uses::NONE);
            }
            let mut marks = Line::new();
            let report = memory.report(Kind::List, true);
            add_marks(&report, &memory.devices[0], &mut marks);
            assert_eq!(text(marks.bytes()), expected);
        }
    }

    #[test]
    fn tells_the_image_what_the_host_boots_from() {
        let mut memory = memory("");
        let device = add(&mut memory, "03:00.0", None, Action::Unasked);
        device.function.place = place();
        memory.usage.gather(&mut machine_in_use(), Uses::NONE);
        let report = memory.report(Kind::List, true);
        let line = boot_item(&report, &memory.devices[0], None);
        let told = "8086:10d3@0000:00:1c.0/00.0 # holds / carries the default route of eth0\n";
        assert_eq!(text(line.bytes()), told);
        let entry = Entry::parse(line.bytes()).expect("an item");
        let selector = Selector::parse(entry.text).expect("a selector");
        assert_eq!(selector.path(), place().as_ref());
        let line = boot_item(&report, &memory.devices[0], Some(Need::Route));
        assert_eq!(text(line.bytes()), std::format!("route = {told}"));
    }
}
