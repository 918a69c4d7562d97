//! A device in a line: where it is, what becomes of it, what it is, its driver, who asked for it, and why it is not as asked.
//!
//! In a table each line may be pasted into `/etc/xen/pciback.conf`: what follows the address is a comment, and so is a line about what cannot be asked for.

use super::{Kind, Report, warnings};
use crate::{
    device::{Device, Outcome},
    guests::Guest,
    host::Host,
    pci::{Address, bus},
    plan::Action,
    put,
    request::problem::At,
    text::{Decimal, Either, Line, Shown, behind, last_part, part, split},
};

/// Most columns of a line of a table, as far as its words allow.
const WIDTH: usize = 80;

/// The line, with its end in a table.
pub fn row<H: Host>(host: &mut H, report: &Report, device: &Device, is_table: bool) -> Line {
    let mut line = Line::new();
    let Some(item) = device.item(report.request) else { return line };
    let width = if is_table { WIDTH } else { 0 };
    if is_table {
        match device.action {
            Action::Seize => {}
            Action::Keep(_) => put!(&mut line, "!"),
            _ => put!(&mut line, "#"),
        }
    }
    if device.is_there {
        put!(&mut line, device.address);
    } else {
        put!(&mut line, item);
    }
    pad(&mut line, 14);
    put!(&mut line, Either(if is_table { "# " } else { "" }));
    if report.is_done() {
        put!(&mut line, device.outcome);
    } else {
        put!(&mut line, device.action);
    }
    pad(&mut line, 25);
    if let Some(identity) = device.identity {
        put!(&mut line, identity.model(), " ", identity.class());
    }
    pad(&mut line, 42);
    put!(&mut line, Shown(&device.driver));
    pad(&mut line, 52);
    let mut asked = Line::new();
    put!(&mut asked, At(report.request, item.origin));
    wrap(&mut line, asked.bytes(), width);
    if !device.origin.is_empty() && device.outcome == Outcome::Seized {
        put!(&mut line, ", taken from ", Shown(&device.origin));
    }
    let why = &mut asked;
    why.clear();
    explain(host, report, device, why);
    if let Some(why) = behind(b"; ", why.bytes()) {
        put!(&mut line, Either(if is_table { "\n#  " } else { ":" }));
        split(why, b' ').for_each(|word| wrap(&mut line, word, width));
    }
    if is_table {
        put!(&mut line, "\n");
    }
    line
}

/// Fills the line with blanks up to a column, at least one.
pub fn pad(line: &mut Line, column: usize) {
    put!(line, " ");
    while line.bytes().len() < column {
        put!(line, " ");
    }
}

/// Adds a blank and a word; on a comment line of its own if there is no room for it in the width, where that is not 0.
pub fn wrap(line: &mut Line, word: &[u8], width: usize) {
    if width != 0 && last_part(line.bytes(), b'\n').len() + word.len() >= width {
        line.trim_end();
        put!(line, "\n#   ");
    } else {
        put!(line, " ");
    }
    line.push(word);
}

/// What the outcomes mean that are not as asked, in their order.
const MEANINGS: &str = "
; no driver can take it, but pciback has not got it
; pciback has it, but is not known to have initialised it
; nothing keeps a driver from taking it
; it has the driver 
";

/// Adds why a device is not, or will not be, taken, and what failed: pieces of a sentence, each with `; ` in front.
#[inline(never)]
pub fn explain<H: Host>(host: &mut H, report: &Report, device: &Device, line: &mut Line) {
    if report.is_done() {
        line.push(part(MEANINGS, b'\n', device.outcome as usize));
        if device.outcome == Outcome::Lost {
            put!(line, Shown(if device.driver.is_empty() { b"?" } else { &device.driver }));
        }
    }
    if device.action != Action::Absent || device.failure.is_none() {
        line.push(device.action.reason());
    }
    let item = match device.action {
        Action::Keep(keep) => Some(keep),
        Action::Mismatch => Some(device.item),
        _ => None,
    };
    if let Some(item) = item.and_then(|item| report.request.items.get(usize::from(item))) {
        put!(line, item);
        if matches!(device.action, Action::Keep(_)) {
            put!(line, " at ", At(report.request, item.origin));
        }
    }
    match device.guest {
        Guest::None => {}
        Guest::Domain(domain) => put!(line, "; domain ", Decimal(domain), " has it"),
        Guest::Unknown(errno) => put!(line, "; xenstore does not tell whose it is: ", errno),
    }
    if device.action == Action::RefuseInUse {
        report.needs.show(device.address, report.needs.uses(device.address), "; it ", line);
    }
    if report.kind == Kind::Plan && device.action == Action::Seize {
        warnings::show(host, report, device, line);
    }
    if report.kind == Kind::Status
        && let Some(first) = device.first_outcome.filter(|first| *first != device.outcome)
    {
        put!(line, "; at boot: ", first);
    }
    if device.action == Action::RefuseBridge {
        show_behind(host, device.address, line, &mut { MOST_BEHIND }, &mut "; behind it: ");
    }
    if let Some(failure) = device.failure {
        put!(line, "; ", failure);
    }
}

/// Most functions that are looked at behind one bridge.
const MOST_BEHIND: u32 = 128;

/// Adds the functions behind a bridge to the line: they are folders in its own. `left` is how many may still be looked at, in a tree that goes round in circles too.
fn show_behind<H: Host>(host: &mut H, bridge: Address, line: &mut Line, left: &mut u32, before: &mut &str) {
    let mut last = 0;
    loop {
        // In order. The folder is read anew each time, so that the number of functions needs no memory.
        let mut next: Option<Address> = None;
        let _ = host.list(&bus::attribute(bridge, ""), &mut |_, name| {
            if let Ok(address) = Address::parse(name)
                && address.bits() > last
                && next.is_none_or(|next| address.bits() < next.bits())
            {
                next = Some(address);
            }
        });
        let Some(address) = next else { return };
        let Some(fewer) = left.checked_sub(1) else { return put!(line, " ...") };
        (last, *left) = (address.bits(), fewer);
        if bus::identity(host, address).is_ok_and(|identity| identity.is_bridge()) {
            show_behind(host, address, line, left, before);
        } else {
            put!(line, Either(core::mem::replace(before, " ")), address);
        }
    }
}
