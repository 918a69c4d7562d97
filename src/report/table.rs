//! A table: a row for each device that is asked for, with where it is, what becomes of it, what it
//! is, its driver, who asks for it, and why it is not as asked.
//!
//! Each line of a table pastes into `/etc/xen/pciback.conf`: what follows the address is a comment,
//! and so is a line about what cannot be asked for.

use super::{
    Kind, Report, explain,
    layout::{Colour, Wrap, add_word, add_words, begin_colour, end_colour, go_on, pad},
    list,
    sink::{Out, Sink},
};
use crate::{
    device::{Action, Device, Outcome},
    host::Errno,
    put,
    request::problem::At,
    text::{Escaped, Line},
};

/// Most columns of a line that goes into a pipe, as far as its words allow.
const WIDTH: usize = 80;

/// For what has no line of its own in a pipe.
const UNWRAPPED: Wrap = Wrap::comment(0, 0);

/// The columns where the parts of a row begin.
struct Columns {
    driver: usize,
    asked: usize,
}

const WORD: usize = 14;
const IDS: usize = 25;
const CLASS: usize = 35;

/// In a pipe, with the class as its code.
const IN_PIPE: Columns = Columns {
    driver: 42,
    asked: 53,
};

/// On a terminal, with the class as a word.
const ON_TERMINAL: Columns = Columns {
    driver: 45,
    asked: 60,
};

/// Prints the row of every device that is asked for and `is_shown`, on a terminal with a header.
///
/// # Errors
/// The first of `out`.
pub fn print<'o>(
    report: &Report,
    is_shown: &dyn Fn(&Device) -> bool,
    out: &'o mut Out<'o>,
) -> Result<(), Errno> {
    let mut sink = Sink::new(out);
    let is_row = |device: &&Device| device.wish.item.is_some() && is_shown(device);
    let is_terminal = !report.terminal.is_none();
    let form = if !is_terminal {
        Form::Pipe
    } else if report.kind == Kind::Status && report.is_as_asked() {
        Form::Brief
    } else {
        Form::Full
    };
    let mut has_header = !is_terminal;
    for device in report.devices.iter().filter(is_row) {
        if !has_header {
            add_header(report, form, &mut sink.line);
            has_header = true;
        }
        add_row(report, device, form, &mut sink);
    }
    sink.end()
}

/// What the rows have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// All but names: for programs as well.
    Pipe,
    /// All.
    Full,
    /// No more than names, as nothing is wrong.
    Brief,
}

/// Adds the header, which is a comment as well.
fn add_header(report: &Report, form: Form, line: &mut Line) {
    put!(line, "# ADDRESS");
    pad(line, WORD);
    put!(
        line,
        "  {}",
        if report.has_outcomes() {
            "NOW"
        } else {
            "AT BOOT"
        }
    );
    pad(line, IDS);
    if form == Form::Brief {
        return put!(line, "DEVICE\n");
    }
    put!(line, "IDS");
    pad(line, CLASS);
    put!(line, "CLASS");
    pad(line, ON_TERMINAL.driver);
    put!(line, "DRIVER");
    pad(line, ON_TERMINAL.asked);
    add_word(line, b"ASKED FOR AT", wrap(report));
    put!(line, "\n");
}

/// Where a row wraps.
fn wrap(report: &Report) -> Wrap {
    let columns = report.terminal.columns.into();
    Wrap::comment(if columns == 0 { WIDTH } else { columns }, 4)
}

/// The colour of a row: red for what is not as asked, yellow for what dom0 loses, green for what
/// pciback has or gets.
fn colour(report: &Report, device: &Device) -> Colour {
    if report.request.switches.off {
        Colour::None
    } else if !report.is_device_as_asked(device) {
        Colour::Red
    } else if device.action != Action::Seize {
        Colour::None
    } else if report.has_outcomes() || report.usage.uses(device.address()).is_empty() {
        Colour::Green
    } else {
        Colour::Yellow
    }
}

/// Adds the row of a device: nothing for one that nobody asks for.
fn add_row(report: &Report, device: &Device, form: Form, sink: &mut Sink) {
    let Some(item) = device.item(report.request) else {
        return;
    };
    let wrap = wrap(report);
    let is_full = form == Form::Full;
    let columns = if is_full { ON_TERMINAL } else { IN_PIPE };
    let colour = colour(report, device);
    let line = &mut sink.line;
    begin_colour(line, report.terminal, colour);
    let mark = match device.action {
        Action::Seize => "",
        Action::Keep(_) => "!",
        _ => "#",
    };
    put!(line, "{}", mark);
    if device.function.is_there {
        put!(line, "{}", device.address());
    } else {
        put!(line, "{}", item);
    }
    pad(line, WORD);
    put!(line, "# ");
    if report.has_outcomes() {
        put!(line, "{}", device.outcome);
    } else {
        put!(line, "{}", device.action);
    }
    let mut text = Line::new();
    pad(line, IDS);
    if form == Form::Brief {
        list::add_title(report, device, &mut text);
        list::add_guest_name(report, device, "; ", &mut text);
        add_words(line, text.bytes(), wrap);
        text.clear();
    } else {
        if let Some(identity) = device.function.identity {
            put!(line, "{} ", identity.model());
            if is_full {
                list::add_class(identity, line);
            } else {
                put!(line, "{}", identity.class());
            }
        }
        pad(line, columns.driver);
        if is_full && device.function.is_there {
            put!(line, "{}", list::driver(device));
        } else {
            put!(line, "{}", Escaped(&device.state.driver));
        }
        pad(line, columns.asked);
        put!(&mut text, "{}", At(report.request, item.origin));
        let asked = text.bytes();
        let short = asked.strip_prefix(FOLDER).filter(|_| is_full);
        add_word(line, short.unwrap_or(asked), wrap);
        if device.name.is_some() {
            text.clear();
            list::add_guest_name(report, device, "", &mut text);
            put!(line, ",");
            add_words(line, text.bytes(), if is_full { wrap } else { UNWRAPPED });
        }
        if !device.origin().is_empty() && device.outcome == Outcome::Seized {
            text.clear();
            put!(&mut text, "taken from {}", Escaped(device.origin()));
            put!(line, ",");
            add_words(line, text.bytes(), if is_full { wrap } else { UNWRAPPED });
        }
        text.clear();
        if is_full {
            list::add_names(report, device, &mut text);
        }
    }
    end_colour(line, report.terminal, colour);
    sink.flush();
    add_remark(&mut sink.line, text.bytes(), wrap);
    text.clear();
    explain::explain(report, device, &mut text);
    let why = text.bytes().strip_prefix(b"; ").unwrap_or_default();
    add_remark(&mut sink.line, why, wrap);
    put!(&mut sink.line, "\n");
    sink.flush();
}

/// The folder that is left out in front of a source on a terminal.
const FOLDER: &[u8] = b"/etc/xen/";

/// Adds a text on a line of its own, which is a comment.
fn add_remark(line: &mut Line, text: &[u8], wrap: Wrap) {
    if !text.is_empty() {
        go_on(line, wrap);
        add_words(line, text, wrap);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String};

    use super::*;
    use crate::{
        cli::Memory,
        device::Guest,
        facts::usage::Uses,
        host::testing::{boxed, shown, text},
        report::{
            Kind,
            testing::{add, driver, machine_in_use, memory, written},
        },
        request::{Request, source::file::apply_line},
    };

    /// The table, for a terminal of so many columns. 0: a pipe.
    fn shown_on(memory: &Memory, kind: Kind, columns: u16) -> String {
        let mut report = memory.report(kind, true);
        report.terminal.columns = columns;
        text(&written(|out| print(&report, &|_| true, out)))
    }

    #[test]
    fn has_a_row_for_each_device() {
        let mut memory = memory("03:00.0");
        let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
        device.state.driver = driver("pciback");
        device.work.previous_driver = driver("e1000e");
        let rest = "8086:10d3 020000 pciback    conf:1:1";
        let taken = format!("{rest}, taken from e1000e");
        for (kind, outcome, expected) in [
            (
                Kind::Plan,
                Outcome::Absent,
                format!("0000:03:00.0  # seize    {rest}\n"),
            ),
            (
                Kind::Status,
                Outcome::Seized,
                format!("0000:03:00.0  # seized   {taken}\n"),
            ),
        ] {
            memory.devices[0].outcome = outcome;
            assert_eq!(shown_on(&memory, kind, 0), expected);
        }
    }

    #[test]
    fn says_why_below_the_row() {
        let mut memory = memory("03:00.0");
        let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
        device.outcome = Outcome::Exposed;
        device.function.identity = None;
        assert_eq!(
            shown_on(&memory, Kind::Seizure, 0),
            "0000:03:00.0  # exposed                              conf:1:1\n\
             #   nothing keeps a driver from taking it\n"
        );
    }

    #[test]
    fn names_the_item_of_what_is_not_there() {
        let mut memory = memory("class:usb");
        let device = add(&mut memory, "ffff:ff:1f.7", Some(0), Action::Absent);
        device.function.is_there = false;
        let row = shown_on(&memory, Kind::Plan, 0);
        assert!(row.starts_with("#class:usb    # absent "), "{row}");
    }

    #[test]
    fn is_empty_where_nobody_asks_for_anything() {
        let mut memory = memory("03:00.0");
        add(&mut memory, "04:00.0", None, Action::Unasked);
        for columns in [0, 80] {
            assert_eq!(shown_on(&memory, Kind::Plan, columns), "");
        }
    }

    /// Every row of a table is a part of a configuration: it asks for the address of what is
    /// seized, keeps that of what is kept, and asks for nothing else, whatever it tells.
    #[test]
    fn pastes_back() {
        for (action, meant) in [
            (Action::Seize, Some("0000:03:00.0")),
            (Action::Keep(1), Some("!0000:03:00.0")),
            (Action::RefuseBridge, None),
            (Action::RefuseDomain, None),
            (Action::RefuseBoot, None),
            (Action::RefuseInUse, None),
            (Action::Mismatch, None),
            (Action::Absent, None),
            (Action::Expect, None),
            (Action::Leave, None),
            (Action::LeaveStorage, None),
        ] {
            let mut memory = memory("03:00.0\n!03:00.*\n");
            let device = add(&mut memory, "03:00.0", Some(0), action);
            device.outcome = Outcome::Lost;
            device.state.driver = driver("odd\n04:00.0 #driver");
            device.state.guest = Guest::Domain(7);
            memory.usage.gather(&mut machine_in_use(), Uses::ALL);
            for (kind, columns) in [(Kind::Plan, 0), (Kind::Status, 0), (Kind::Status, 80)] {
                let row = shown_on(&memory, kind, columns);
                assert!(row.ends_with('\n'), "{row:?}");
                let mut again = boxed(Request::new);
                let source = again.add_source(b"again").expect("room");
                for line in row.lines() {
                    assert!(line.len() <= WIDTH, "more than 80 columns: {line}");
                    apply_line(&mut again, source, 1, line.as_bytes());
                }
                let items: std::vec::Vec<String> = again.items.iter().map(shown).collect();
                assert_eq!(items, meant.as_slice(), "{action:?}: {row}");
                assert!(again.problems.is_empty(), "{action:?}: {row}");
            }
        }
    }

    #[test]
    fn wraps_before_a_long_name_of_a_source() {
        let mut memory = memory("");
        let name = format!("/etc/xen/pciback.conf.d/{}.conf", "x".repeat(60));
        let source = memory.request.add_source(name.as_bytes()).expect("room");
        apply_line(&mut memory.request, source, 1, b"03:00.0");
        add(&mut memory, "03:00.0", Some(0), Action::Seize);
        let row = shown_on(&memory, Kind::Plan, 0);
        let first = "0000:03:00.0  # seize    8086:10d3 020000";
        assert_eq!(row, format!("{first}\n#   {name}:1:1\n"));
    }
}
