//! The configuration files: `/etc/xen/pciback.conf`, then `/etc/xen/pciback.conf.d/*.conf` in byte
//! order.
//!
//! Each line is one entry: see [`Entry`]. An item may have a name for guests before it. The file of
//! the original init script, one long address a line, works unchanged.

use super::folder::{self, Folders};
use crate::{
    host::lines::{self, FILE_SIZE, TextLine},
    host::{Errno, Files, Path},
    request::{
        Fault, Intent, Mistake, Origin, Problem, Request, Selector, SourceId,
        syntax::{
            entry::{Content, Entry},
            hints::likely_address,
            name::Name,
            setting::Setting,
        },
    },
    text::{has_byte, split_once, trim_end},
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
        Content::Setting { name, value } => match Setting::parse(name, Some(value)) {
            Err(Fault::Is(Mistake::UnknownName)) => {
                if let Err(mistake) = apply_named(request, origin, entry, name, value) {
                    request.note_problem(origin, entry.text, Fault::Is(mistake));
                }
            }
            setting => request.set(origin, entry.text, setting),
        },
    }
}

/// Applies an item with a name. What is wrong with the line as a whole is given back.
fn apply_named(
    request: &mut Request,
    origin: Origin,
    entry: &Entry,
    name: &[u8],
    value: &[u8],
) -> Result<(), Mistake> {
    // The value ends where the entry ends.
    let before = entry.text.len().saturating_sub(value.len());
    let origin = Origin {
        column: origin.column + before as u32,
        ..origin
    };
    let is_name = Name::parse(name);
    if let Some(selector) = value.strip_prefix(b"!") {
        let is_keep = Selector::parse(selector.trim_ascii_start()).is_ok();
        return Err(match is_name {
            Ok(_) if is_keep => Mistake::NamedKeep,
            _ => Mistake::UnknownLine,
        });
    }
    match (is_name, Selector::parse(value)) {
        (Ok(name), Ok(selector)) => {
            let id = request.items.len();
            request.add_selector(origin, value, Intent::Seize, Ok(selector));
            request.name_item(id, name);
            Ok(())
        }
        // Which device is meant is clear.
        (Err(Fault::Is(Mistake::BadName)), Ok(selector)) if Name::is_nearly(name) => {
            request.add_selector(origin, value, Intent::Seize, Ok(selector));
            Err(Mistake::BadName)
        }
        (Err(Fault::Is(Mistake::ReservedName)), Ok(_)) => Err(Mistake::ReservedName),
        (Ok(_), Err(fault)) if may_be_item(value) => {
            request.note_problem(origin, value, fault);
            Ok(())
        }
        _ => Err(Mistake::UnknownLine),
    }
}

/// Whether a bad item is one by its looks: a single word with the signs of one. Anything else
/// belongs to a line that was meant for another program, or is the value of no setting.
fn may_be_item(value: &[u8]) -> bool {
    let is_of_item = |byte: &u8| byte.is_ascii_alphanumeric() || b":.,*@/_-".contains(byte);
    let has_form = has_byte(value, b':') || likely_address(value).is_some();
    has_form && value.iter().all(is_of_item)
}
