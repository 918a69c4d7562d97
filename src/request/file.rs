//! The configuration files: `/etc/xen/pciback.conf`, then `/etc/xen/pciback.conf.d/*.conf` in byte order.
//!
//! One item a line, or `name = value`. `#` starts a comment anywhere; blank lines, blanks around the text and CRLF mean nothing. The file of the original init script, one long address a line, works
//! unchanged.

use super::{Fault, Mistake, Origin, Request, SourceId, folder};
use crate::{
    host::{Errno, Host},
    lines::{self, FILE_SIZE},
    text::{first_part, split_once},
};

/// The configuration file.
pub const FILE: &str = "/etc/xen/pciback.conf";

/// The folder of its drop-ins.
pub const DROP_INS: &str = "/etc/xen/pciback.conf.d";

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'t> {
    /// The line without comment and blanks. Not empty.
    pub text: &'t [u8],
    /// Where it begins, in bytes from 0.
    pub at: usize,
    /// Its name and value, where it is a setting: `name = value`.
    pub setting: Option<(&'t [u8], &'t [u8])>,
}

impl<'t> Entry<'t> {
    /// Reads one line. `None` when it says nothing.
    pub fn of(line: &'t [u8]) -> Option<Entry<'t>> {
        let said = first_part(line, b'#');
        let text = said.trim_ascii();
        if text.is_empty() {
            return None;
        }
        let at = said.len() - said.trim_ascii_start().len();
        let setting = split_once(text, b'=').map(|(name, value)| (name.trim_ascii(), value.trim_ascii()));
        Some(Entry { text, at, setting })
    }
}

/// Takes one line of a configuration into the request.
pub fn line(request: &mut Request, source: SourceId, number: u32, line: &[u8]) {
    let Some(entry) = Entry::of(line) else { return };
    let origin = Origin { source, line: number, column: entry.at as u32 + 1 };
    match entry.setting {
        // An `=` makes no setting of what was to be kept.
        Some(_) if entry.text.starts_with(b"!") => request.item(origin, entry.text),
        Some((name, value)) => request.switch(origin, entry.text, name, Some(value)),
        None => request.item(origin, entry.text),
    }
}

/// Reads the file and its drop-ins into the request. Where there are none, nothing is asked for, and nothing is wrong.
pub(super) fn read_all<H: Host>(request: &mut Request, host: &mut H) {
    read(request, host, FILE.as_bytes(), true);
    folder::each(request, host, DROP_INS, &mut |request, host, path| read(request, host, path, false));
}

/// Reads one file into the request. `may_lack`: that it is not there is fine.
pub fn read<H: Host>(request: &mut Request, host: &mut H, name: &[u8], may_lack: bool) {
    let Some(source) = request.open(name) else { return };
    let result = lines::each(host, name, FILE_SIZE, &mut |_, number, text, is_whole| {
        if number == 1 {
            request.digest.add(name);
        }
        request.digest.add(text);
        if is_whole {
            line(request, source, number, text);
        } else {
            request.problem(Origin { source, line: number, column: 0 }, text, Fault::Is(Mistake::LongLine));
        }
    });
    match result {
        Ok(()) => {}
        Err(Errno::ENOENT) if may_lack => {}
        Err(errno) => request.source_problem(source, Fault::Unreadable(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line() {
        let item = |text: &'static str, at| Some(Entry { text: text.as_bytes(), at, setting: None });
        for (line, expected) in [
            ("", None),
            ("   # nothing", None),
            ("\r", None),
            ("0000:03:00.0", item("0000:03:00.0", 0)),
            ("\t03:00.0 # the card\r", item("03:00.0", 1)),
            ("03:00.0#", item("03:00.0", 0)),
            ("a b", item("a b", 0)),
            ("strict = yes", Some(Entry { text: b"strict = yes", at: 0, setting: Some((b"strict", b"yes")) })),
            (" strict=", Some(Entry { text: b"strict=", at: 1, setting: Some((b"strict", b"")) })),
        ] {
            assert_eq!(Entry::of(line.as_bytes()), expected, "{line:?}");
        }
    }
}
