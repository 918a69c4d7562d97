//! A device in a line: where it is, what becomes of it, what it is, its driver, who asks for it,
//! and why it is not as asked.
//!
//! Each line of a table pastes into `/etc/xen/pciback.conf`: what follows the address is a comment,
//! and so is a line about what cannot be asked for.

use super::{
    Report, explain,
    layout::{add_word, add_words, pad},
};
use crate::{
    device::{Action, Device, Outcome},
    put,
    request::problem::At,
    text::{Escaped, Line},
};

/// Most columns of a line of a table, as far as its words allow.
const WIDTH: usize = 80;

/// The columns of a line, each by where it begins.
const WORD: usize = 14;
const IDENTITY: usize = 25;
const DRIVER: usize = 42;
const ASKED: usize = 52;

/// What a line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A table: it ends, wraps, and pastes into the configuration.
    Table,
    /// A line of a log.
    Log,
}

/// The line of a device. Empty for a device that nobody asks for.
pub fn row(report: &Report, device: &Device, form: Form) -> Line {
    let mut line = Line::new();
    let Some(item) = device.item(report.request) else {
        return line;
    };
    if form == Form::Table {
        let mark = match device.action {
            Action::Seize => "",
            Action::Keep(_) => "!",
            _ => "#",
        };
        put!(&mut line, "{}", mark);
    }
    if device.function.is_there {
        put!(&mut line, "{}", device.address());
    } else {
        put!(&mut line, "{}", item);
    }
    pad(&mut line, WORD);
    if form == Form::Table {
        put!(&mut line, "# ");
    }
    if report.has_outcomes() {
        put!(&mut line, "{}", device.outcome);
    } else {
        put!(&mut line, "{}", device.action);
    }
    pad(&mut line, IDENTITY);
    if let Some(identity) = device.function.identity {
        put!(&mut line, "{} {}", identity.model(), identity.class());
    }
    pad(&mut line, DRIVER);
    put!(&mut line, "{}", Escaped(&device.state.driver));
    pad(&mut line, ASKED);
    let width = if form == Form::Table { WIDTH } else { 0 };
    let mut text = Line::new();
    put!(&mut text, "{}", At(report.request, item.origin));
    add_word(&mut line, text.bytes(), width);
    if !device.origin().is_empty() && device.outcome == Outcome::Seized {
        put!(&mut line, ", taken from {}", Escaped(device.origin()));
    }
    text.clear();
    explain::explain(report, device, &mut text);
    if let Some(why) = text.bytes().strip_prefix(b"; ") {
        put!(
            &mut line,
            "{}",
            if form == Form::Table { "\n#  " } else { ":" }
        );
        add_words(&mut line, why, width);
    }
    if form == Form::Table {
        put!(&mut line, "\n");
    }
    line
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
            testing::{add, driver, machine_in_use, memory},
        },
        request::{Request, source::file::apply_line},
    };

    /// The row of the first device.
    fn shown_row(memory: &Memory, kind: Kind, form: Form) -> String {
        let report = memory.report(kind, true);
        text(row(&report, &memory.devices[0], form).bytes())
    }

    #[test]
    fn has_the_same_columns_in_both_forms() {
        let mut memory = memory("03:00.0");
        let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
        device.state.driver = driver("pciback");
        device.work.previous_driver = driver("e1000e");
        let rest = "8086:10d3 020000 pciback    conf:1:1";
        let taken = format!("{rest}, taken from e1000e");
        for (kind, form, outcome, expected) in [
            (
                Kind::Plan,
                Form::Table,
                Outcome::Absent,
                format!("0000:03:00.0  # seize    {rest}\n"),
            ),
            (
                Kind::Status,
                Form::Table,
                Outcome::Seized,
                format!("0000:03:00.0  # seized   {taken}\n"),
            ),
            (
                Kind::Seizure,
                Form::Log,
                Outcome::Seized,
                format!("0000:03:00.0  seized     {taken}"),
            ),
        ] {
            memory.devices[0].outcome = outcome;
            assert_eq!(shown_row(&memory, kind, form), expected);
        }
    }

    #[test]
    fn says_why_behind_the_row() {
        let mut memory = memory("03:00.0");
        let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
        device.outcome = Outcome::Exposed;
        device.function.identity = None;
        assert_eq!(
            shown_row(&memory, Kind::Seizure, Form::Log),
            "0000:03:00.0  exposed                                conf:1:1: \
             nothing keeps a driver from taking it"
        );
        assert_eq!(
            shown_row(&memory, Kind::Seizure, Form::Table),
            "0000:03:00.0  # exposed                              conf:1:1\n\
             #   nothing keeps a driver from taking it\n"
        );
    }

    #[test]
    fn names_the_item_of_what_is_not_there() {
        let mut memory = memory("class:usb");
        let device = add(&mut memory, "ffff:ff:1f.7", Some(0), Action::Absent);
        device.function.is_there = false;
        let row = shown_row(&memory, Kind::Plan, Form::Table);
        assert!(row.starts_with("#class:0c03   # absent "), "{row}");
    }

    #[test]
    fn is_empty_for_what_nobody_asks_for() {
        let mut memory = memory("03:00.0");
        add(&mut memory, "04:00.0", None, Action::Unasked);
        for form in [Form::Table, Form::Log] {
            assert_eq!(shown_row(&memory, Kind::Plan, form), "");
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
            for kind in [Kind::Plan, Kind::Status] {
                let row = shown_row(&memory, kind, Form::Table);
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
        let row = shown_row(&memory, Kind::Plan, Form::Table);
        let first = "0000:03:00.0  # seize    8086:10d3 020000";
        assert_eq!(row, format!("{first}\n#   {name}:1:1\n"));
        let log = shown_row(&memory, Kind::Plan, Form::Log);
        assert_eq!(log.lines().count(), 1, "{log}");
    }
}
