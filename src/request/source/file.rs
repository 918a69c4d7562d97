//! The configuration files: `/etc/xen/pciback.conf`, then `/etc/xen/pciback.conf.d/*.conf` in byte
//! order.
//!
//! Each line is one entry: see [`Entry`]. The file of the original init script, one long address a
//! line, works unchanged.

use super::folder::{self, Folders};
use crate::{
    host::lines::{self, FILE_SIZE, TextLine},
    host::{Errno, Files, Path},
    request::{
        Fault, Mistake, Origin, Problem, Request, SourceId,
        syntax::{
            entry::{Content, Entry},
            setting::Setting,
        },
    },
    text::{split_once, trim_end},
};

/// The configuration file.
pub const FILE: &str = "/etc/xen/pciback.conf";

/// The folder of its drop-ins.
pub const DROP_INS: &str = "/etc/xen/pciback.conf.d";

/// What becomes of a file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It asks for nothing.
    Allowed,
    /// It is a problem.
    Problem,
}

/// Reads the file and its drop-ins. None of them has to be there.
pub(in crate::request) fn read_all<H: Files>(request: &mut Request, host: &mut H) {
    read(request, host, FILE.as_bytes(), Missing::Allowed);
    folder::each(request, host, &[DROP_INS], &mut |request, host, path| {
        read(request, host, path, Missing::Problem);
    });
    note_other_name(request, host);
}

/// Notes the first file of the folder that is no drop-in by its name, and may have been meant as
/// one. What begins with a dot or ends in `~` is an editor's.
fn note_other_name<H: Files>(request: &mut Request, host: &mut H) {
    let mut files = Folders::new(&[DROP_INS], |name| {
        let is_of_editor = name.starts_with(b".") || name.ends_with(b"~");
        !is_of_editor && !name.ends_with(b".conf")
    });
    if files.next(host).is_some()
        && let Some(source) = request.add_source(DROP_INS.as_bytes())
    {
        let fault = Fault::Is(Mistake::OtherName);
        request
            .problems
            .add(Problem::new(Origin::whole(source), &files.name, fault));
    }
}

/// Reads one file.
pub fn read<H: Files>(request: &mut Request, host: &mut H, path: Path, missing: Missing) {
    let Some(source) = request.add_source(path) else {
        return;
    };
    let result = lines::each(host, path, FILE_SIZE, &mut |_, line| {
        let TextLine {
            number,
            text,
            is_whole,
        } = line;
        if number == 1 {
            request.digest.add(path);
        }
        request.digest.add(text);
        if is_whole {
            apply_line(request, source, number, text);
        } else {
            let origin = Origin {
                source,
                line: number,
                column: 0,
            };
            request.note_problem(origin, text, Fault::Is(Mistake::LongLine));
        }
    });
    match result {
        Ok(()) => {}
        Err(Errno::ENOENT) if missing == Missing::Allowed => {}
        Err(errno) => request.note_source_problem(source, Fault::Unreadable(errno)),
    }
}

/// The text of a line, and what follows a carriage return within it. That is not read: on an old
/// Mac it is the next line, and to every other reader part of the same item or comment.
pub(super) fn split_at_return(line: &[u8]) -> (&[u8], &[u8]) {
    split_once(trim_end(line), b'\r').unwrap_or((line, b""))
}

/// Applies one line.
pub fn apply_line(request: &mut Request, source: SourceId, number: u32, line: &[u8]) {
    let (text, rest) = split_at_return(line);
    let at = |column| Origin {
        source,
        line: number,
        column,
    };
    if let Some(entry) = Entry::parse(text) {
        apply_entry(request, at(entry.at as u32 + 1), &entry);
    }
    if !rest.is_empty() {
        let origin = at(text.len() as u32 + 2);
        request.note_problem(origin, rest, Fault::Is(Mistake::Return));
    }
}

fn apply_entry(request: &mut Request, origin: Origin, entry: &Entry) {
    match entry.content {
        Content::Item => request.add_item(origin, entry.text),
        Content::Setting { name, value } => {
            request.set(origin, entry.text, Setting::parse(name, Some(value)));
        }
    }
}
