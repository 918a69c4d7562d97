//! A function in a line of `list`: its path, which pastes into the configuration, and behind that
//! what it is and who uses it, as a comment.

use super::{
    Report,
    explain::add_uses,
    layout::{add_words, pad},
};
use crate::{
    device::{Action, Device, Guest},
    host::Terminal,
    put,
    request::syntax::class,
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
    add_uses(report, device.address(), "; ", line);
    match device.state.guest {
        Guest::Domain(domain) => put!(line, "; with guest {}", domain),
        _ if device.is_with_pciback() => put!(line, "; with pciback"),
        _ => {}
    }
    if matches!(device.action, Action::Keep(_)) {
        put!(line, "; kept");
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
    add_path(device, line);
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
    pad(line, column + DRIVER);
    let driver: &[u8] = if device.state.driver.is_empty() {
        b"-"
    } else {
        &device.state.driver
    };
    put!(line, "{}", Escaped(driver));
    let mut rest = Line::new();
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

/// What a function is and where, as an item for the image to know what the host boots from.
pub fn boot_item(report: &Report, device: &Device) -> Line {
    let mut line = Line::new();
    put!(
        &mut line,
        "{}@",
        device.function.identity.unwrap_or_default().model()
    );
    add_path(device, &mut line);
    put!(&mut line, " #");
    add_uses(report, device.address(), " ", &mut line);
    put!(&mut line, "\n");
    line
}
