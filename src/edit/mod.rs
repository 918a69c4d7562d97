//! The drop-in that `add` and `remove` edit, and no other file.
//!
//! | file | |
//! | --- | --- |
//! | this one | how the file is replaced |
//! | [`cut`] | a text without some of its lines |
//!
//! The file is the administrator's: whatever stands there stays as it is, byte for byte, and in
//! its order; new lines come last. The new text is written into a file beside the old one. Only
//! when all of it is on the disk does the new file take the name of the old one, in one step
//! (`rename(2)`); then the folder is written to the disk. So whatever happens, a crash or a full
//! disk, the name leads to the whole old text or to the whole new one. A file beside it that a
//! crash has left is no drop-in by its name, and the next edit replaces it.
//!
//! Two runs must not edit at the same time: the callers have a lock. An editor does not ask for it.
//! So the old text is summed up when it is first looked at, and again before the step; where it has
//! changed, nothing is done.

pub mod cut;

use core::ops::ControlFlow;

use ufmt::{Formatter, uDisplay, uWrite};

use crate::{
    host::{Errno, Files, lines::FILE_SIZE},
    request::{digest::Digest, source::file::DROP_INS},
    show,
    text::{Escaped, Excerpt},
};
use cut::Cut;

/// The drop-in.
pub const FILE: &str = "/etc/xen/pciback.conf.d/50-added.conf";

/// The new text, until it is whole. A name that begins with a dot is no drop-in.
const UNFINISHED: &str = "/etc/xen/pciback.conf.d/.50-added.conf.new";

/// The folders on the way.
const FOLDERS: [&str; 3] = ["/etc", "/etc/xen", DROP_INS];

/// What a new file begins with. A file that has nothing else is as good as none, and is removed.
pub const HEADER: &str = concat!(
    "# What 'pciseize add' asks for, until 'pciseize remove'. ",
    "You may edit this file: pciback.conf(5).\n",
);

/// The length of a text, and its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sum {
    length: u64,
    digest: Digest,
}

impl Sum {
    const fn new() -> Sum {
        Sum {
            length: 0,
            digest: Digest::new(),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.digest.add_bytes(bytes);
    }

    fn of(text: &str) -> Sum {
        let mut sum = Sum::new();
        sum.add(text.as_bytes());
        sum
    }
}

/// The file as it was when somebody looked at it. `None`: it is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen(Option<Sum>);

/// Why the file was not edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is a link to this.
    Link(Excerpt),
    /// Somebody else has changed it in the meantime.
    Changed,
    /// It would have more bytes than are read.
    TooLong,
    /// A call failed.
    Failed {
        /// With this path.
        path: &'static str,
        /// In this way.
        errno: Errno,
    },
}

impl Fault {
    fn at(path: &'static str) -> impl Fn(Errno) -> Fault {
        move |errno| Fault::Failed { path, errno }
    }
}

impl uDisplay for Fault {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        match self {
            Fault::Link(target) => show!(
                f,
                "{} is a link to {}, which is not to be replaced: edit that file",
                FILE,
                target
            ),
            Fault::Changed => show!(f, "{} was changed in the meantime: try again", FILE),
            Fault::TooLong => show!(
                f,
                "{} would have more than {} bytes, which no boot reads: write a wider item there, \
                 or another file in its folder",
                FILE,
                FILE_SIZE as u32
            ),
            Fault::Failed { path, errno } => {
                show!(f, "{}: {}", Escaped(path.as_bytes()), errno)?;
                match *errno {
                    Errno::EACCES | Errno::EPERM => show!(f, "; run as root"),
                    Errno::EINVAL | Errno::EISDIR | Errno::ESPIPE => show!(f, "; not a plain file"),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Looks at the file, to be edited later.
///
/// # Errors
/// Why it will not be edited.
pub fn look<H: Files>(host: &mut H) -> Result<Seen, Fault> {
    let mut buffer = [0; 512];
    match host.read_link(FILE.as_bytes(), &mut buffer) {
        Ok(target) => return Err(Fault::Link(Excerpt::of(target))),
        // No link.
        Err(Errno::EINVAL) => {}
        Err(Errno::ENAMETOOLONG) => return Err(Fault::Link(Excerpt::of(b"..."))),
        Err(Errno::ENOENT) => return Ok(Seen(None)),
        Err(errno) => return Err(Fault::at(FILE)(errno)),
    }
    let mut sum = Sum::new();
    let read = host.stream(FILE.as_bytes(), &mut |_, piece| {
        sum.add(piece);
        ControlFlow::Continue(())
    });
    read.map_err(Fault::at(FILE))?;
    Ok(Seen(Some(sum)))
}

/// The new text, as it is written.
#[derive(Debug)]
pub struct Draft {
    written: Sum,
    /// Whether the last line has its end.
    is_ended: bool,
}

impl Draft {
    /// Adds a line, which comes with its end.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn add<H: Files>(&mut self, host: &mut H, line: &[u8]) -> Result<(), Fault> {
        if !self.is_ended {
            self.write(host, b"\n")?;
        }
        self.write(host, line)
    }

    fn write<H: Files>(&mut self, host: &mut H, bytes: &[u8]) -> Result<(), Fault> {
        if let Some(last) = bytes.last() {
            self.is_ended = *last == b'\n';
            self.written.add(bytes);
            let appended = host.append(UNFINISHED.as_bytes(), bytes);
            appended.map_err(Fault::at(UNFINISHED))?;
        }
        Ok(())
    }

    /// Copies the old text, without some of its lines.
    fn copy<H: Files>(&mut self, host: &mut H, without: &[u32]) -> Result<(), Fault> {
        let (mut cut, mut result) = (Cut::new(without), Ok(()));
        let read = host.stream(FILE.as_bytes(), &mut |host, piece| {
            cut.pass(piece, &mut |part| {
                if result.is_ok() {
                    result = self.write(host, part);
                }
            });
            match result {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        read.map_err(Fault::at(FILE))?;
        result
    }
}

/// A function that adds lines to the new text.
pub type More<'m, H> = dyn FnMut(&mut H, &mut Draft) -> Result<(), Fault> + 'm;

/// Replaces the file by one without the lines of these numbers, which are in order, and with more
/// lines at its end.
///
/// # Errors
/// Why the file is as it was before.
pub fn replace<H: Files>(
    host: &mut H,
    seen: Seen,
    without: &[u32],
    more: &mut More<H>,
) -> Result<(), Fault> {
    for folder in FOLDERS {
        host.make_folder(folder.as_bytes())
            .map_err(Fault::at(folder))?;
    }
    let result = remove_unfinished(host).and_then(|()| {
        let drafted = write_draft(host, seen, without, more);
        drafted.and_then(|written| take_the_name(host, seen, written))
    });
    if result.is_err() {
        let _ = host.remove(UNFINISHED.as_bytes());
    }
    result
}

/// Removes what a crash has left of another edit.
fn remove_unfinished<H: Files>(host: &mut H) -> Result<(), Fault> {
    match host.remove(UNFINISHED.as_bytes()) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(Fault::at(UNFINISHED)(errno)),
    }
}

/// Writes the new text, to the disk. Gives back its sum.
fn write_draft<H: Files>(
    host: &mut H,
    seen: Seen,
    without: &[u32],
    more: &mut More<H>,
) -> Result<Sum, Fault> {
    host.create(UNFINISHED.as_bytes(), FILE.as_bytes())
        .map_err(|errno| {
            // Not a plain file.
            let is_of_old = errno == Errno::EINVAL;
            Fault::at(if is_of_old { FILE } else { UNFINISHED })(errno)
        })?;
    let mut draft = Draft {
        written: Sum::new(),
        is_ended: true,
    };
    match seen {
        Seen(Some(_)) => draft.copy(host, without)?,
        Seen(None) => draft.write(host, HEADER.as_bytes())?,
    }
    let copied = draft.written.length;
    more(host, &mut draft)?;
    // One that is too long already may become shorter.
    if draft.written.length > FILE_SIZE.max(copied) {
        return Err(Fault::TooLong);
    }
    host.sync(UNFINISHED.as_bytes())
        .map_err(Fault::at(UNFINISHED))?;
    Ok(draft.written)
}

/// Has the new text take the name of the old one, or removes both where only the header is left.
fn take_the_name<H: Files>(host: &mut H, seen: Seen, written: Sum) -> Result<(), Fault> {
    if look(host)? != seen {
        return Err(Fault::Changed);
    }
    let replaced = if written == Sum::of(HEADER) || written.length == 0 {
        let _ = host.remove(UNFINISHED.as_bytes());
        match host.remove(FILE.as_bytes()) {
            Err(Errno::ENOENT) => Ok(()),
            removed => removed,
        }
    } else {
        host.rename(UNFINISHED.as_bytes(), FILE.as_bytes())
    };
    replaced.map_err(Fault::at(FILE))?;
    // Done already. At worst a crash brings the old text back.
    let _ = host.sync(DROP_INS.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String, vec::Vec};

    use super::*;
    use crate::host::testing::{Machine, shown};

    const OLD: &str = "# mine\r\n03:00.0\n\x01 bad\n04:00.0 # no end";

    /// A machine with that drop-in, if there is one.
    fn machine(text: Option<&str>) -> Machine {
        let mut host = Machine::new();
        if let Some(text) = text {
            host.file(FILE, text);
        }
        host
    }

    /// Takes lines out, and adds one.
    fn edit(host: &mut Machine, without: &[u32], line: Option<&str>) -> Result<(), Fault> {
        let seen = look(host)?;
        replace(host, seen, without, &mut |host, draft| match line {
            Some(line) => draft.add(host, line.as_bytes()),
            None => Ok(()),
        })
    }

    #[test]
    fn changes_what_is_asked_for_and_nothing_else() {
        let long = "x".repeat(3000) + "\n";
        let with_header = String::from(HEADER) + "05:00.0\n";
        for (old, without, line, expected) in [
            (None, &[][..], Some("05:00.0\n"), Some(with_header.clone())),
            (Some(""), &[], Some("05:00.0\n"), Some("05:00.0\n".into())),
            (
                Some(OLD),
                &[],
                Some("05:00.0\n"),
                Some(format!("{OLD}\n05:00.0\n")),
            ),
            (Some(OLD), &[2], None, Some(OLD.replace("03:00.0\n", ""))),
            (
                Some(OLD),
                &[4],
                None,
                Some(OLD.replace("04:00.0 # no end", "")),
            ),
            (
                Some(OLD),
                &[4],
                Some("a\n"),
                Some(OLD.replace("04:00.0 # no end", "a\n")),
            ),
            (Some(&long), &[], Some("a\n"), Some(long.clone() + "a\n")),
            // Nothing is left that somebody wrote.
            (Some(&with_header), &[2], None, None),
            (Some("05:00.0\n"), &[1], None, None),
            (Some("#\n05:00.0\n"), &[2], None, Some("#\n".into())),
        ] {
            let mut host = machine(old);
            assert_eq!(edit(&mut host, without, line), Ok(()));
            assert_eq!(host.content(FILE), expected, "{old:?} {without:?} {line:?}");
            assert_eq!(host.content(UNFINISHED), None);
        }
    }

    /// The new text is on the disk before it takes the name, and the name before that is told.
    #[test]
    fn replaces_the_file_in_one_step() {
        let mut host = machine(Some(OLD));
        assert_eq!(edit(&mut host, &[], Some("a\n")), Ok(()));
        let is_step = |call: &&String| !call.starts_with("read") && !call.starts_with("link");
        let steps: Vec<_> = host.calls.iter().filter(is_step).collect();
        let begins = [
            format!("remove {UNFINISHED}"),
            format!("create {UNFINISHED} {FILE}"),
            format!("append {UNFINISHED} "),
            format!("append {UNFINISHED} "),
            format!("append {UNFINISHED} "),
            format!("sync {UNFINISHED}"),
            format!("rename {UNFINISHED} {FILE}"),
            format!("sync {DROP_INS}"),
        ];
        let steps = steps.get(FOLDERS.len()..).expect("the folders come first");
        assert_eq!(steps.len(), begins.len(), "{steps:#?}");
        for (step, begin) in steps.iter().zip(begins) {
            assert!(step.starts_with(&begin), "{step} {begin}");
        }
    }

    #[test]
    fn leaves_the_old_file_whatever_fails() {
        for (call, errno) in [
            ("make_folder /etc/xen", Errno::EACCES),
            ("remove", Errno::EROFS),
            ("create", Errno::EACCES),
            ("append", Errno::ENOSPC),
            ("sync /etc/xen/pciback.conf.d/.50", Errno::EIO),
            ("rename", Errno::EIO),
            ("read", Errno::EIO),
            ("link", Errno::EACCES),
        ] {
            let mut host = machine(Some(OLD));
            host.refuse(call, errno);
            let result = edit(&mut host, &[], Some("a\n"));
            assert!(
                matches!(result, Err(Fault::Failed { errno: own, .. }) if own == errno),
                "{call}: {result:?}"
            );
            assert_eq!(host.content(FILE).as_deref(), Some(OLD), "{call}");
            assert_eq!(
                host.content(UNFINISHED).filter(|_| call != "remove"),
                None,
                "{call}"
            );
        }
    }

    #[test]
    fn goes_on_where_a_crash_has_left_something() {
        let mut host = machine(Some(OLD));
        host.file(UNFINISHED, "half a li");
        assert_eq!(edit(&mut host, &[2], None), Ok(()));
        assert_eq!(host.content(FILE), Some(OLD.replace("03:00.0\n", "")));
    }

    #[test]
    fn loses_nothing_that_an_editor_writes_meanwhile() {
        for (old, at) in [
            (Some(OLD), "before"),
            (Some(OLD), "within"),
            (None, "within"),
        ] {
            let mut host = machine(old);
            let seen = look(&mut host).expect("a file, or none");
            let new = "# another text\n";
            if at == "before" {
                host.file(FILE, new);
            }
            let result = replace(&mut host, seen, &[1], &mut |host, draft| {
                host.file(FILE, new);
                draft.add(host, b"a\n")
            });
            assert_eq!(result, Err(Fault::Changed), "{old:?} {at}");
            assert_eq!(host.content(FILE).as_deref(), Some(new));
            assert_eq!(host.content(UNFINISHED), None);
        }
    }

    #[test]
    fn replaces_no_link() {
        let mut host = Machine::new();
        host.link(FILE, "/srv/managed.conf");
        let result = edit(&mut host, &[], Some("a\n"));
        let why = shown(result.expect_err("a link"));
        assert!(why.contains("is a link to /srv/managed.conf"), "{why}");
        assert!(host.calls_of("create").is_empty());
    }

    #[test]
    fn writes_no_more_than_is_read() {
        let size = FILE_SIZE as usize;
        for (length, without, line, is_fine) in [
            (size - 2, &[][..], Some("a\n"), true),
            (size - 1, &[], Some("a\n"), false),
            // It becomes no longer.
            (size + 10, &[1], None, true),
            (size + 10, &[], Some("a\n"), false),
        ] {
            let old = format!("#\n{}", &"x\n".repeat(length)[..length - 2]);
            let mut host = machine(Some(&old));
            let result = edit(&mut host, without, line);
            let expected = if is_fine { Ok(()) } else { Err(Fault::TooLong) };
            assert_eq!(result, expected, "{length}");
            assert_eq!(host.content(FILE).as_deref() == Some(&old), !is_fine);
        }
    }
}
