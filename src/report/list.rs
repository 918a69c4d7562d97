//! A function in a line of `list`: its path, which pastes into the configuration, and behind that
//! what it is and who uses it, as a comment.

use super::{
    Report,
    explain::add_uses,
    layout::{add_word, add_words, pad},
};
use crate::{
    device::{Action, Device, Guest},
    host::Terminal,
    put,
    request::{Need, syntax::class},
    text::{Escaped, Line},
};

/// The columns of the comment, counted from where it begins.
const CLASS: usize = 25;
const DRIVER: usize = 35;
const NAME: usize = 45;

/// Adds what is to be known of a function beyond what it is, each with `; ` in front.
pub fn add_marks(report: &Report, device: &Device, line: &mut Line) {
    if device.is_bridge() {
        put!(line, "; bridge");
    }
    add_uses(report, device.address(), ["; "; 2], line);
    match device.state.guest {
        Guest::Domain(domain) => put!(line, "; with guest {}", domain),
        _ if device.is_with_pciback() => put!(line, "; with pciback"),
        _ => {}
    }
    if matches!(device.action, Action::Keep(_)) {
        put!(line, "; kept");
    }
    if let Some(twin) = device.function.twin {
        put!(line, "; twin of {}", twin);
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

/// Adds what names a function: its path, with its ids in front where it has a twin.
pub fn add_selector(device: &Device, line: &mut Line) {
    if device.function.twin.is_some() {
        add_model(device, line);
    }
    add_path(device, line);
}

/// Adds the ids of a function, to be followed by its place.
fn add_model(device: &Device, line: &mut Line) {
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

/// Adds the line of a function, with its end, to an empty one. `column`: where the comment begins.
/// On a terminal a line that is too long goes on in the next.
pub fn add_row(
    report: &Report,
    device: &Device,
    column: usize,
    terminal: Terminal,
    line: &mut Line,
) {
    let is_never_taken = device.is_bridge() || !device.address().is_known_to_xen();
    put!(line, "{}", if is_never_taken { "#" } else { "" });
    add_selector(device, line);
    pad(line, column);
    put!(line, "# {} ", device.address());
    if let Some(identity) = device.function.identity {
        put!(line, "{}", identity.model());
        pad(line, column + CLASS);
        match class::name(identity.class) {
            Some(name) => put!(line, "{}", name),
            None => put!(line, "{}", identity.class()),
        }
    }
    pad(line, column + DRIVER - 1);
    let driver: &[u8] = if device.state.driver.is_empty() {
        b"-"
    } else {
        &device.state.driver
    };
    let mut rest = Line::new();
    put!(&mut rest, "{}", Escaped(driver));
    add_word(line, rest.bytes(), terminal.columns.into());
    rest.clear();
    add_names(report, device, &mut rest);
    add_marks(report, device, &mut rest);
    // Without a name the first mark needs nothing in front.
    let rest = rest.bytes().strip_prefix(b"; ").unwrap_or(rest.bytes());
    if !rest.is_empty() {
        pad(line, column + NAME);
        add_words(line, rest, terminal.columns.into());
    }
    put!(line, "\n");
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
    use std::string::String;

    use super::*;
    use crate::{
        cli::Memory,
        facts::usage::Uses,
        host::testing::{Machine, shown, text},
        pci::{Identity, Place},
        report::{
            Kind,
            testing::{NIC, add, driver, machine_in_use, memory},
        },
        request::{Selector, syntax::entry::Entry},
    };

    const COLUMN: usize = 20;

    const BRIDGE: Identity = Identity {
        ids: 0x1b36_000c_0000_0000,
        class: 0x06_0400,
    };

    fn place() -> Option<Place> {
        Place::from_link(b"../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.0")
    }

    /// The row of the first device.
    fn shown_row(memory: &Memory, columns: u16) -> String {
        let mut line = Line::new();
        let terminal = Terminal {
            columns,
            has_colours: false,
        };
        let report = memory.report(Kind::List, true);
        add_row(&report, &memory.devices[0], COLUMN, terminal, &mut line);
        text(line.bytes())
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
        let front = "0000:00:1c.0/00.0   # 0000:03:00.0 8086:10d3";
        assert_eq!(
            shown_row(&memory, 0),
            std::format!("{front} ethernet  e1000e\n")
        );
        name(&mut memory);
        let named =
            std::format!("{front} ethernet  e1000e     Intel Corporation 82574L \\xc3\\xa9\n");
        assert_eq!(shown_row(&memory, 0), named);
        memory.devices[0].state.driver.clear();
        memory.devices[0].function.identity = Some(Identity {
            class: 0xff_0102,
            ..NIC
        });
        let without =
            std::format!("{front} ff0102    -          Intel Corporation 82574L \\xc3\\xa9\n");
        assert_eq!(shown_row(&memory, 0), without);
    }

    #[test]
    fn shows_what_cannot_be_read_by_its_address() {
        let mut memory = memory("");
        add(&mut memory, "03:00.0", None, Action::Unasked)
            .function
            .identity = None;
        let row = shown_row(&memory, 0);
        assert!(
            row.starts_with("0000:03:00.0        # 0000:03:00.0 "),
            "{row}"
        );
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
                let row = shown_row(&memory, columns);
                let mut entries = row.lines().filter_map(|line| Entry::parse(line.as_bytes()));
                let item = entries.next().map(|entry| Selector::parse(entry.text));
                let item = item.map(|selector| shown(selector.expect("a selector")));
                assert_eq!(item.as_deref(), meant, "{row}");
                assert!(entries.next().is_none(), "{row}");
            }
        }
    }

    #[test]
    fn wraps_on_a_terminal() {
        let mut memory = memory("");
        add(&mut memory, "03:00.0", None, Action::Unasked);
        name(&mut memory);
        let row = shown_row(&memory, 78);
        let lines: std::vec::Vec<&str> = row.lines().collect();
        assert!(
            lines.len() > 1 && lines.iter().all(|line| line.len() < 78),
            "{row}"
        );
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
                "; with pciback",
            ),
            (
                NIC,
                "pciback",
                Guest::Domain(7),
                Action::Seize,
                false,
                "; with guest 7",
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
