//! A plan as a table. Each of its lines may be pasted into `/etc/xen/pciback.conf`: what follows the address is a comment, and so is a line about what cannot be asked for.

use super::{Report, explain};
use crate::{
    device::Device,
    host::{Errno, Host},
    plan::Action,
    put,
    request::{Request, problem::At},
    text::{Line, Shown, behind, last_part, split},
};

/// Most columns of a line, as far as its words allow.
const WIDTH: usize = 80;

/// Prints it.
///
/// # Errors
/// The first that was met.
pub fn print<H: Host>(host: &mut H, report: &Report) -> Result<(), Errno> {
    report.devices.iter().try_for_each(|device| {
        let line = row(host, report.request, device);
        host.print(line.bytes())
    })
}

/// One device: what may be pasted, what is to be done, ids, class, driver, who asked for it; below, why it is not to be taken.
fn row<H: Host>(host: &mut H, request: &Request, device: &Device) -> Line {
    let mut line = Line::new();
    let Some(item) = device.item(request) else { return line };
    put!(
        &mut line,
        match device.action {
            Action::Seize => "",
            Action::Keep(_) => "!",
            _ => "#",
        }
    );
    match device.known_address(request) {
        Some(address) => put!(&mut line, address),
        None => put!(&mut line, item),
    }
    pad(&mut line, 14);
    put!(&mut line, "# ", device.action);
    if let Some(identity) = device.identity {
        pad(&mut line, 25);
        put!(&mut line, identity.model(), " ", identity.class());
    }
    pad(&mut line, 42);
    put!(&mut line, Shown(&device.driver));
    pad(&mut line, 52);
    let mut asked = Line::new();
    put!(&mut asked, At(request, item.origin));
    wrap(&mut line, asked.bytes());
    if let Some(why) = behind(b"; ", explain(host, request, device).bytes()) {
        put!(&mut line, "\n#  ");
        split(why, b' ').for_each(|word| wrap(&mut line, word));
    }
    put!(&mut line, "\n");
    line
}

/// Fills the line with blanks up to a column, at least one.
fn pad(line: &mut Line, column: usize) {
    put!(line, " ");
    while line.bytes().len() < column {
        put!(line, " ");
    }
}

/// Adds a blank and a word, on a comment line of its own if there is no room for it.
fn wrap(line: &mut Line, word: &[u8]) {
    let used = last_part(line.bytes(), b'\n').len();
    put!(line, if used + word.len() < WIDTH { " " } else { "\n#   " });
    line.push(word);
}
