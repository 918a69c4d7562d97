//! The configuration files: `/etc/xen/pciback.conf`, then `/etc/xen/pciback.conf.d/*.conf` in byte order.
//!
//! One item a line, or `name = value`. `#` starts a comment anywhere; blank lines, blanks around the text and CRLF mean nothing. The file of the original init script, one long address a line, works
//! unchanged.

use heapless::Vec;

use super::{Fault, Origin, Request, SourceId};
use crate::{
    host::{Errno, Host},
    lines::{self, FILE_SIZE, Line},
    put, text,
};

/// The configuration file.
pub const FILE: &str = "/etc/xen/pciback.conf";

/// The folder of its drop-ins.
pub const DROP_INS: &str = "/etc/xen/pciback.conf.d";

/// The name of a file: at most as many bytes as Linux allows (`NAME_MAX`).
type FileName = Vec<u8, 255>;

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
        let said = line.split(|&b| b == b'#').next().unwrap_or_default();
        let text = said.trim_ascii();
        if text.is_empty() {
            return None;
        }
        let at = said.len() - said.trim_ascii_start().len();
        let setting = text.iter().position(|&b| b == b'=').and_then(|equals| {
            let (name, value) = text.split_at_checked(equals)?;
            Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
        });
        Some(Entry { text, at, setting })
    }
}

/// Takes one line of a configuration into the request.
pub fn line(request: &mut Request, source: SourceId, number: u32, line: &[u8]) {
    let Some(entry) = Entry::of(line) else { return };
    let origin = Origin { source, line: number, column: entry.at as u32 + 1 };
    match entry.setting {
        Some((name, value)) => request.switch(origin, entry.text, name, Some(value)),
        None => request.item(origin, entry.text),
    }
}

/// Reads the file and its drop-ins into the request. Where there are none, nothing is asked for, and nothing is wrong.
pub(super) fn read_all<H: Host>(request: &mut Request, host: &mut H) {
    read(request, host, FILE.as_bytes(), true);
    let mut name = FileName::new();
    let errno = loop {
        match next_name(host, &mut name) {
            Ok(true) => {}
            Ok(false) | Err(Errno::ENOENT) => return,
            Err(errno) => break errno,
        }
        let mut path = text::Line::new();
        put!(&mut path, DROP_INS, "/");
        path.push(&name);
        read(request, host, path.bytes(), false);
    };
    if let Some(source) = request.open(DROP_INS.as_bytes()) {
        request.source_problem(source, Fault::Unreadable(errno));
    }
}

/// Reads one file into the request. `may_lack`: that it is not there is fine.
pub fn read<H: Host>(request: &mut Request, host: &mut H, name: &[u8], may_lack: bool) {
    let Some(source) = request.open(name) else { return };
    let result = lines::each(host, name, FILE_SIZE, &mut |_, number, text| match text {
        Line::Whole(text) => {
            if number == 1 {
                request.digest.add(name);
                request.digest.add(b"\n");
            }
            request.digest.add(text);
            request.digest.add(b"\n");
            line(request, source, number, text);
        }
        Line::TooLong(text) => {
            request.digest.add(text);
            request.problem(Origin { source, line: number, column: 0 }, text, Fault::LongLine);
        }
    });
    match result {
        Ok(()) => {}
        Err(Errno::ENOENT) if may_lack => {}
        Err(Errno::EFBIG) => request.source_problem(source, Fault::LongFile),
        Err(errno) => request.source_problem(source, Fault::Unreadable(errno)),
    }
}

/// Replaces the name of a drop-in by the one that follows in byte order, if there is one. The folder is read anew each time, so that the number of its files needs no memory.
fn next_name<H: Host>(host: &mut H, name: &mut FileName) -> Result<bool, Errno> {
    let mut next = FileName::new();
    host.list(DROP_INS.as_bytes(), &mut |_, entry| {
        if entry.ends_with(b".conf") && entry > name.as_slice() && (next.is_empty() || entry < next.as_slice()) {
            // A name that the file system has fits.
            next.clear();
            let _ = next.extend_from_slice(entry);
        }
    })?;
    *name = next;
    Ok(!name.is_empty())
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
