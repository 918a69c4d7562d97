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
