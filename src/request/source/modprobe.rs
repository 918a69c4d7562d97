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
    folder,
    list::{Passage, Spelling, add_items, is_cut_off, note_comma, note_cut_off},
};
use crate::{
    host::lines::{self, FILE_SIZE, TextLine},
    host::{Errno, Files, PATH_SIZE, Path},
    request::{
        Fault, Mistake, Origin, Request,
        syntax::parameter::{Parameter, Parameters, is_same_name},
    },
    text::last_part,
};

/// The folders, the one that wins first: see modprobe.d(5).
const FOLDERS: [&str; 5] = [
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];

/// What no image has a copy of: it is no part of the digest.
const IN_NO_IMAGE: [&str; 3] = ["/run/", HOST_MODULES, MODULES_FOLDER];

/// Modules that an image of initramfs-tools loads: the file on the host, and its copy in an image.
const IMAGE_MODULES: [&str; 2] = ["/etc/initramfs-tools/modules", "/conf/modules"];

/// Modules that the host loads later.
const HOST_MODULES: &str = "/etc/modules";

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
    for path in IMAGE_MODULES.iter().chain([&HOST_MODULES]) {
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
        let Some(options) = module_options(text, form).filter(|_| !was_continued) else {
            return;
        };
        if !IN_NO_IMAGE
            .iter()
            .any(|beginning| path.starts_with(beginning.as_bytes()))
        {
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
    match result {
        Ok(()) => {}
        // A file that is not there has no options. In a folder it is a link to nowhere, and told.
        Err(Errno::ENOENT) if form == Form::Modules => {}
        Err(errno) => {
            if let Some(source) = source.or_else(|| request.add_source(path)) {
                request.note_source_problem(source, Fault::Unreadable(errno));
            }
        }
    }
}

/// The options in a line that has some for the module.
fn module_options(line: &[u8], form: Form) -> Option<Parameters<'_>> {
    let mut parameters = Parameters::new(line);
    if form == Form::Modprobe && parameters.next()?.name != b"options" {
        return None;
    }
    let name = parameters.next()?.name;
    // The module was once called so, and modprobe and the kernel's command line know both names.
    let names = [b"xen_pciback".as_slice(), b"pciback"];
    names
        .iter()
        .any(|own| is_same_name(own, name))
        .then_some(parameters)
}

/// Applies the options: devices to hide become items, the others are for the module.
fn apply(request: &mut Request, passage: &Passage, mut options: Parameters) {
    while let Some(parameter) = options.next() {
        if is_hide(&parameter) {
            add_items(request, passage, &parameter, Spelling::Plain);
            let next = Parameters::starting_at(passage.text, options.at()).next();
            note_comma(request, passage, &parameter, Spelling::Plain, next);
        } else if is_cut_off(&parameter) {
            note_cut_off(request, passage, &parameter, Spelling::Plain);
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
            let options = module_options(line.as_bytes(), Form::Modprobe);
            assert_eq!(options.is_some(), expected, "{line}");
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
            let options = module_options(line.as_bytes(), Form::Modules);
            assert_eq!(options.is_some(), expected, "{line}");
        }
    }
}
