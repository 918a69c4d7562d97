//! Options for `xen-pciback` in `modprobe.d`: `options xen-pciback hide=(03:00.0) passthrough=1`.
//!
//! pciseize loads the module without kmod, so it reads them itself. Devices to hide become items;
//! the other parameters are handed to the module. See modprobe.d(5).

use super::{
    folder,
    list::{Passage, Spelling, add_items},
};
use crate::{
    host::lines::{self, FILE_SIZE, TextLine},
    host::{Files, Path},
    request::{
        Fault, Mistake, Origin, Request,
        syntax::parameter::{Parameters, is_same_name},
    },
};

/// The folders, in the order in which they are read. modprobe lets a file in `/etc` hide one of the
/// same name elsewhere; here all count.
const FOLDERS: [&str; 3] = ["/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d"];

/// What no image has a copy of: it is no part of the digest.
const OF_THIS_BOOT: &[u8] = b"/run/";

/// Reads every file of every folder.
pub(in crate::request) fn read_all<H: Files>(request: &mut Request, host: &mut H) {
    for folder in FOLDERS {
        folder::each(request, host, folder, &mut read_file);
    }
}

/// Reads one file. It is a source only if it has options for the module.
fn read_file<H: Files>(request: &mut Request, host: &mut H, path: Path) {
    let mut source = None;
    let mut is_continued = false;
    let result = lines::each(host, path, FILE_SIZE, &mut |_, line| {
        let TextLine {
            number,
            text,
            is_whole,
        } = line;
        // modprobe joins lines before it reads them: a continued line is part of a comment, or of
        // an option that was reported.
        let goes_on = text.ends_with(b"\\");
        let was_continued = core::mem::replace(&mut is_continued, goes_on);
        let Some(options) = module_options(text).filter(|_| !was_continued) else {
            return;
        };
        if !path.starts_with(OF_THIS_BOOT) {
            request.digest.add(text);
        }
        source = source.or_else(|| request.add_source(path));
        let Some(source) = source else { return };
        let origin = Origin {
            source,
            line: number,
            column: 1,
        };
        let mistake = match (goes_on, is_whole) {
            (true, _) => Mistake::Continued,
            (false, false) => Mistake::LongLine,
            (false, true) => return apply(request, &Passage { text, origin }, options),
        };
        request.note_problem(origin, text, Fault::Is(mistake));
        request.lacks_keep = true;
    });
    if let Err(errno) = result
        && let Some(source) = source.or_else(|| request.add_source(path))
    {
        request.note_source_problem(source, Fault::Unreadable(errno));
    }
}

/// The options in a line that has some for the module.
fn module_options(line: &[u8]) -> Option<Parameters<'_>> {
    let mut parameters = Parameters::new(line);
    let is_options = parameters.next()?.name == b"options";
    let is_module = is_same_name(parameters.next()?.name, b"xen_pciback");
    (is_options && is_module).then_some(parameters)
}

/// Applies the options: devices to hide become items, the others are for the module.
fn apply(request: &mut Request, passage: &Passage, options: Parameters) {
    for parameter in options {
        if parameter.name == b"hide" {
            add_items(request, passage, &parameter, Spelling::Plain);
        } else {
            let origin = passage.origin_of(parameter.name_at);
            request.add_parameter(origin, parameter.name, parameter.value_text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_options_for_the_module() {
        for (line, expected) in [
            ("options xen-pciback hide=(03:00.0)", true),
            (" options\txen_pciback passthrough=1", true),
            ("options xen-pciback", true),
            ("options xen-netback a=1", false),
            ("softdep xen-pciback pre: x", false),
            ("# options xen-pciback hide=(03:00.0)", false),
            ("options", false),
            ("", false),
        ] {
            let options = module_options(line.as_bytes());
            assert_eq!(options.is_some(), expected, "{line}");
        }
    }
}
