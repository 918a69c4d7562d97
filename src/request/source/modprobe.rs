//! Options for `xen-pciback` in the files of modprobe, and in the lists of modules to load at boot.
//!
//! | file | line |
//! | --- | --- |
//! | `modprobe.d` | `options xen-pciback hide=(03:00.0) passthrough=1` |
//! | `/etc/initramfs-tools/modules`, `/etc/modules`, `modules-load.d` | the same without `options` |
//!
//! pciseize loads the module without kmod and before any of them, so it reads them itself. Devices
//! to hide become items; the other parameters are handed to the module. See modprobe.d(5).

use super::{
    file::split_at_return,
    folder,
    list::{Passage, Spelling, add_items, is_cut_off, looks_like_items, note_cut_off},
};
use crate::{
    host::lines::{self, FILE_SIZE, TextLine},
    host::{Errno, Files, PATH_SIZE, Path},
    request::{
        Fault, Mistake, Origin, Request,
        syntax::parameter::{Parameter, Parameters, is_same_name},
    },
    text::{is_one_of, last_part, pieces},
};

/// The folders, the one that wins first: see modprobe.d(5).
pub const FOLDERS: [&str; 5] = [
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];

/// What no image has a copy of: it is no part of the digest.
const OF_THIS_BOOT: &[u8] = b"/run/";

/// Modules that an image of initramfs-tools loads: the file on the host, and its copy in an image.
/// Then those that the host loads later.
const MODULES: [&str; 3] = [
    "/etc/initramfs-tools/modules",
    "/conf/modules",
    "/etc/modules",
];

/// The folder with more of them.
const MODULES_FOLDER: &str = "/etc/modules-load.d";

/// What the lines of a file are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Those of modprobe.d(5).
    Modprobe,
    /// A module and its parameters.
    Modules,
}

/// Reads every file.
pub(in crate::request) fn read_all<H: Files>(request: &mut Request, host: &mut H) {
    folder::each(request, host, &FOLDERS, &mut |request, host, path| {
        read_file(request, host, path, Form::Modprobe);
    });
    for path in &MODULES {
        read_file(request, host, path.as_bytes(), Form::Modules);
    }
    folder::each(
        request,
        host,
        &[MODULES_FOLDER],
        &mut |request, host, path| {
            // Debian has a link to /etc/modules there, and its lines count once.
            let mut buffer = [0; PATH_SIZE];
            let target = host.read_link(path, &mut buffer);
            if !target.is_ok_and(|target| last_part(target, b'/') == b"modules") {
                read_file(request, host, path, Form::Modules);
            }
        },
    );
}

/// Reads one file. It is a source only if it has options for the module.
fn read_file<H: Files>(request: &mut Request, host: &mut H, path: Path, form: Form) {
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
        let goes_on = form == Form::Modprobe && text.ends_with(b"\\");
        let was_continued = core::mem::replace(&mut is_continued, goes_on);
        let whole = text;
        let (text, rest) = split_at_return(text);
        let found = if names_module(rest) {
            Line::Slip(Mistake::Return)
        } else {
            read_line(text, form)
        };
        if was_continued || matches!(found, Line::Other) {
            return;
        }
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
        let mistake = match (found, goes_on, is_whole) {
            (Line::Slip(mistake), ..) => mistake,
            (_, true, _) => Mistake::Continued,
            (_, false, false) => Mistake::LongLine,
            (Line::Options(options), false, true) => {
                return apply(request, &Passage { text, origin }, options);
            }
            (Line::Other, ..) => return,
        };
        request.note_problem(origin, whole, Fault::Is(mistake));
        request.lacks_keep |= !matches!(mistake, Mistake::NoOptions);
    });
    match result {
        Ok(()) => {}
        // A file that is not there has no options. In a folder it is a link to nowhere, and told.
        Err(Errno::ENOENT) if form == Form::Modules || is_mask(host, path) => {}
        Err(errno) => {
            if let Some(source) = source.or_else(|| request.add_source(path)) {
                request.note_source_problem(source, Fault::Unreadable(errno));
            }
        }
    }
}

/// Whether a file is a link to /dev/null, which only hides files of the same name. Below `--root`
/// there may be no such device.
fn is_mask<H: Files>(host: &mut H, path: Path) -> bool {
    let mut buffer = [0; 16];
    host.read_link(path, &mut buffer) == Ok(b"/dev/null".as_slice())
}

/// What a line is to pciseize.
enum Line<'t> {
    /// Options for the module.
    Options(Parameters<'t>),
    /// It names the module, and somebody may have meant options for it.
    Slip(Mistake),
    /// Anything else.
    Other,
}

/// Other commands of modprobe.d(5), which have no options.
const OTHER_COMMANDS: [&str; 6] = [
    "alias",
    "blacklist",
    "install",
    "remove",
    "softdep",
    "weakdep",
];

/// Reads a line.
fn read_line(text: &[u8], form: Form) -> Line<'_> {
    let mut options = Parameters::new(text);
    let mut next = || options.next().map_or(b"".as_slice(), |word| word.text);
    let first = match form {
        Form::Modules => b"options",
        Form::Modprobe => next(),
    };
    let second = next();
    let is_options = first == b"options";
    if is_options && is_module(second) {
        return Line::Options(options);
    }
    if first.starts_with(b"#") || second.starts_with(b"#") {
        return Line::Other;
    }
    let may_be_options = if is_one_of(&OTHER_COMMANDS, first) {
        // An `install` line may have options. pciseize loads the module itself, and runs none.
        first == b"install" && is_module(second) && has_list(text)
    } else {
        names_module(second) || !is_options && names_module(first)
    };
    if may_be_options {
        Line::Slip(Mistake::NoOptions)
    } else {
        Line::Other
    }
}

/// Whether a text is the name of the module. It was once called `pciback`, and modprobe and the
/// kernel's command line know both names.
fn is_module(name: &[u8]) -> bool {
    is_same_name(name, b"xen_pciback") || name == b"pciback"
}

/// Whether a word of the text is the module's name, or begins with it: `xen-pciback.hide=`.
fn names_module(text: &[u8]) -> bool {
    let is_end = |byte: u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_');
    pieces(text, is_end).any(|word| is_module(word.text))
}

/// Whether a line has devices to hide.
fn has_list(text: &[u8]) -> bool {
    Parameters::new(text).any(|parameter| is_hide(&parameter))
}

/// Applies the options: devices to hide become items, the others are for the module.
fn apply(request: &mut Request, passage: &Passage, options: Parameters) {
    for parameter in options {
        if is_hide(&parameter) {
            add_items(request, passage, &parameter, Spelling::Plain);
        } else if is_cut_off(&parameter) {
            note_cut_off(request, passage, &parameter, Spelling::Plain);
        } else if parameter.value_text().is_some_and(looks_like_items) {
            // The kernel passes over a parameter that a module does not have.
            passage.note(request, &parameter, Fault::Is(Mistake::NoOptions));
        } else {
            let origin = passage.origin_of(parameter.name_at);
            request.add_parameter(origin, parameter.name, parameter.value_text());
        }
    }
}

/// Whether a parameter has items. Some write it as on the kernel's command line.
fn is_hide(parameter: &Parameter) -> bool {
    last_part(parameter.name, b'.') == b"hide"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_options_for_the_module() {
        for (line, expected) in [
            ("options xen-pciback hide=(03:00.0)", true),
            ("options pciback hide=(03:00.0)", true),
            ("options vfio-pciback hide=(03:00.0)", false),
            ("xen-pciback hide=(03:00.0)", false),
            (" options\txen_pciback passthrough=1", true),
            ("options xen-pciback", true),
            ("options xen-netback a=1", false),
            ("softdep xen-pciback pre: x", false),
            ("# options xen-pciback hide=(03:00.0)", false),
            ("options", false),
            ("", false),
        ] {
            let line_is = read_line(line.as_bytes(), Form::Modprobe);
            assert_eq!(matches!(line_is, Line::Options(_)), expected, "{line}");
        }
        for (line, expected) in [
            ("xen-pciback hide=(03:00.0)", true),
            ("xen_pciback", true),
            ("pciback passthrough=1", true),
            ("# xen-pciback hide=(03:00.0)", false),
            ("#xen-pciback hide=(03:00.0)", false),
            ("loop", false),
            ("options xen-pciback hide=(03:00.0)", false),
            ("", false),
        ] {
            let line_is = read_line(line.as_bytes(), Form::Modules);
            assert_eq!(matches!(line_is, Line::Options(_)), expected, "{line}");
        }
    }

    #[test]
    fn knows_a_slip() {
        for (line, form, expected) in [
            ("option xen-pciback hide=(03:00.0)", Form::Modprobe, true),
            ("Options xen-pciback hide=(03:00.0)", Form::Modprobe, true),
            ("xen-pciback hide=(03:00.0)", Form::Modprobe, true),
            ("options xen-pciback.hide=(03:00.0)", Form::Modprobe, true),
            ("options xen-pciback: hide=(03:00.0)", Form::Modprobe, true),
            (
                "install xen-pciback /sbin/x hide=(03:00.0)",
                Form::Modprobe,
                true,
            ),
            ("install xen-pciback /bin/true", Form::Modprobe, false),
            ("blacklist xen-pciback", Form::Modprobe, false),
            ("softdep xen-pciback pre: x", Form::Modprobe, false),
            ("alias pciback xen-pciback", Form::Modprobe, false),
            ("options vfio-pciback hide=(03:00.0)", Form::Modprobe, false),
            ("#options xen-pciback hide=(03:00.0)", Form::Modprobe, false),
            ("# xen-pciback hide=(03:00.0)", Form::Modprobe, false),
            ("options", Form::Modprobe, false),
            ("xen-pciback.hide=(03:00.0)", Form::Modules, true),
            ("#xen-pciback.hide=(03:00.0)", Form::Modules, false),
            ("loop", Form::Modules, false),
        ] {
            let is_slip = matches!(read_line(line.as_bytes(), form), Line::Slip(_));
            assert_eq!(is_slip, expected, "{line}");
        }
    }
}
