//! The kernel's command line, and what dracut keeps besides it.
//!
//! | parameter | means |
//! | --- | --- |
//! | `pciseize.hide=`, `xen-pciback.hide=`, `pciback.hide=` | a list of items |
//! | `pciseize.off`, `.strict`, `.debug`, `.force`, `.timeout=` | the switches |
//! | `xen-pciback.passthrough` and others; the same with `pciback` | for the module |
//! | `rd.qubes.hide_pci=`, `rd.qubes.dom0_usb=` | a list of items, of keeps, as Qubes writes them |
//! | `rd.qubes.hide_all_usb` | `class:usb` |
//!
//! Parameters that select another driver (`vfio-pci.ids=`, `pci-stub.ids=`) ask for nothing: `plan`
//! tells of them.

use super::{
    folder,
    list::{Passage, Spelling, add_items, is_cut_off, looks_like_items, note_cut_off},
};
use crate::{
    host::{Errno, Files, Path},
    request::{
        Fault, Intent, Mistake, Origin, Request, Selector, SourceId,
        syntax::{
            parameter::{Parameter, Parameters, is_same_name, is_space},
            setting::Setting,
            value::parse_truth,
        },
    },
    text::{is_nearly, is_word, last_part, split, without_mark},
};

/// Where the kernel shows its command line.
pub const FILE: &str = "/proc/cmdline";

/// The name of a command line that `plan` is given instead.
pub const OPTION: &str = "--cmdline";

/// Where dracut keeps more of it: in `*.conf` of a folder, then in a file. See dracut.cmdline(7).
const DRACUT_FOLDER: &str = "/etc/cmdline.d";
const DRACUT_FILE: &[u8] = b"/etc/cmdline";

/// Most bytes of a command line. The kernel's own limit is 2,048 on x86, more only with a boot
/// configuration.
pub const CMDLINE_SIZE: usize = 8192;

/// A buffer for a command line. A last byte that is read means that the line goes on.
type Buffer = [u8; CMDLINE_SIZE + 1];

/// What a parameter means.
#[derive(Clone, Copy)]
enum Meaning {
    Items(Spelling),
    AllUsb,
    Module,
    Switch,
    /// It is none, but its name begins like one of these.
    Unknown,
}

/// How the names of parameters begin, with `-` and with `_`. A name that goes on in a way of its
/// own is a slip, and so is one of which a part is nearly one of these.
const BEGINNINGS: [&str; 7] = [
    "pciseize",
    "xen_pciback",
    "xen-pciback",
    "pciback",
    "rd.qubes.hide",
    "rd.qubes.dom0_usb",
    "rd.qubes.dom0-usb",
];

/// The parameters, but for the switches.
const PARAMETERS: [(&str, Meaning); 10] = [
    ("pciseize.hide", Meaning::Items(Spelling::Plain)),
    ("xen_pciback.hide", Meaning::Items(Spelling::Plain)),
    ("pciback.hide", Meaning::Items(Spelling::Plain)),
    ("rd.qubes.hide_pci", Meaning::Items(Spelling::Qubes)),
    ("rd.qubes.dom0_usb", Meaning::Items(Spelling::QubesKeeps)),
    ("rd.qubes.hide_all_usb", Meaning::AllUsb),
    ("xen_pciback.passthrough", Meaning::Module),
    ("xen_pciback.permissive", Meaning::Module),
    ("pciback.passthrough", Meaning::Module),
    ("pciback.permissive", Meaning::Module),
];

/// How every name begins that is only ours.
const PROGRAM: &[u8] = b"pciseize";

/// How the name of a switch begins.
const SWITCHES: &[u8] = b"pciseize.";

/// Reads the kernel's command line.
pub(in crate::request) fn read_kernel<H: Files>(
    request: &mut Request,
    host: &mut H,
    source: SourceId,
) {
    let mut buffer: Buffer = [0; CMDLINE_SIZE + 1];
    let line = host.read(FILE.as_bytes(), 0, &mut buffer);
    apply_read(request, source, line);
}

/// Reads what dracut keeps besides the kernel's line.
pub(in crate::request) fn read_dracut<H: Files>(request: &mut Request, host: &mut H) {
    folder::each(request, host, &[DRACUT_FOLDER], &mut read_file);
    read_file(request, host, DRACUT_FILE);
}

/// Reads a file that has a command line. A file that is not there is no source.
fn read_file<H: Files>(request: &mut Request, host: &mut H, path: Path) {
    let mut buffer: Buffer = [0; CMDLINE_SIZE + 1];
    let line = host.read(path, 0, &mut buffer);
    if line == Err(Errno::ENOENT) {
        return;
    }
    if let Some(source) = request.add_source(path) {
        apply_read(request, source, line.map(without_mark));
    }
}

fn apply_read(request: &mut Request, source: SourceId, line: Result<&[u8], Errno>) {
    match line {
        Ok(line) => apply(request, source, line),
        Err(errno) => request.note_source_problem(source, Fault::Unreadable(errno)),
    }
}

/// Applies the parameters of a command line that are for pciseize.
pub fn apply(request: &mut Request, source: SourceId, line: &[u8]) {
    let mut text = line;
    if line.len() > CMDLINE_SIZE {
        request.note_source_problem(source, Fault::Is(Mistake::LongCmdline));
        // The last parameter may be cut, and half a list is another list.
        let whole = line
            .iter()
            .rposition(|&byte| is_space(byte))
            .unwrap_or_default();
        text = line.get(..whole).unwrap_or_default();
    }
    let passage = Passage {
        text,
        origin: Origin {
            source,
            line: 1,
            column: 1,
        },
    };
    // How the last list was written. `None`: nothing of ours was read yet.
    let mut before = None;
    let mut end = 0;
    for parameter in Parameters::new(text) {
        end = parameter.end();
        match (meaning(&parameter), before) {
            (Some(meaning), _) => {
                apply_parameter(request, &passage, &parameter, meaning);
                before = match meaning {
                    Meaning::Items(spelling) => Some(spelling),
                    _ => before.or(Some(Spelling::Plain)),
                };
            }
            (None, Some(spelling)) if is_cut_off(&parameter) => {
                note_cut_off(request, &passage, &parameter, spelling);
            }
            (None, _) => {}
        }
    }
    note_behind_end(request, &passage, end);
}

/// Notes parameters behind a bare `--`, where they are arguments of the first program.
fn note_behind_end(request: &mut Request, passage: &Passage, end: usize) {
    let rest = passage.text.get(end..).unwrap_or_default();
    let dashes = rest
        .iter()
        .position(|&byte| byte == b'-')
        .unwrap_or(rest.len());
    let parameters = Parameters::starting_at(passage.text, end + dashes + b"--".len());
    for parameter in parameters {
        if let Some(meaning) = meaning(&parameter) {
            request.lacks_keep |= matches!(meaning, Meaning::Items(Spelling::QubesKeeps));
            passage.note(request, &parameter, Fault::Is(Mistake::BehindEnd));
        }
    }
}

/// What a parameter means, if it is for pciseize.
fn meaning(parameter: &Parameter) -> Option<Meaning> {
    let name = parameter.name;
    let mut known = PARAMETERS.iter();
    if let Some(&(_, meaning)) = known.find(|(known, _)| is_same_name(known.as_bytes(), name)) {
        return Some(meaning);
    }
    if name.starts_with(SWITCHES) {
        return Some(Meaning::Switch);
    }
    let mut beginnings = BEGINNINGS.iter();
    let found = beginnings.find_map(|beginning| rest_of_name(beginning.as_bytes(), name));
    let Some(rest) = found else {
        return is_slip(parameter).then_some(Meaning::Unknown);
    };
    // The kernel passes over a parameter that a module does not have.
    let is_word = |name: &[u8]| {
        let may_stand = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        name.iter().all(may_stand)
    };
    let is_of_module = !is_own(name) && rest.strip_prefix(b".").is_some_and(is_word);
    let is_list = parameter.value_text().is_some_and(looks_like_items);
    Some(if is_of_module && !is_list {
        Meaning::Module
    } else {
        Meaning::Unknown
    })
}

/// Whether a name begins like ours, in upper or lower case.
fn is_own(name: &[u8]) -> bool {
    let start = name.get(..PROGRAM.len());
    start.is_some_and(|start| is_word(start, PROGRAM))
}

/// Whether a parameter that means nothing here was probably to mean something: its name, or a part
/// of it between dots, is one of these but for a slip, or before a list only the rest of one
/// stands: `hide=03:00.0`. `rd.pciseize.off` has a part too many.
fn is_slip(parameter: &Parameter) -> bool {
    let name = parameter.name;
    let is_list = || parameter.value_text().is_some_and(looks_like_items);
    let is_nearly_one = |part: &[u8]| {
        let mut names = BEGINNINGS.iter();
        names.any(|own| is_nearly(part, own.as_bytes()))
    };
    is_own(name)
        || split(name, b'.').any(is_nearly_one)
        || PARAMETERS.iter().any(|(own, _)| {
            let own = own.as_bytes();
            is_nearly(name, own) || (is_same_name(name, last_part(own, b'.')) && is_list())
        })
}

/// What follows in a name that begins so, in upper or lower case. `None` for any other name, also
/// for a longer word.
fn rest_of_name<'t>(beginning: &[u8], name: &'t [u8]) -> Option<&'t [u8]> {
    let (start, rest) = name.split_at_checked(beginning.len())?;
    let is_longer = rest.first().is_some_and(u8::is_ascii_alphanumeric);
    (is_word(start, beginning) && !is_longer).then_some(rest)
}

fn apply_parameter(
    request: &mut Request,
    passage: &Passage,
    parameter: &Parameter,
    meaning: Meaning,
) {
    let origin = passage.origin_of(parameter.name_at);
    let value = parameter.value_text();
    match meaning {
        Meaning::Items(spelling) => add_items(request, passage, parameter, spelling),
        Meaning::AllUsb => match parse_truth(value) {
            Ok(true) => {
                let usb = Selector::parse(b"class:0c03");
                let before = request.items.len();
                request.add_selector(origin, parameter.name, Intent::Seize, usb);
                request.make_explicit(before);
            }
            Ok(false) => {}
            Err(fault) => passage.note(request, parameter, fault),
        },
        Meaning::Module => {
            request.add_parameter(origin, last_part(parameter.name, b'.'), value);
        }
        Meaning::Unknown => {
            let name = parameter.name;
            request.lacks_keep |=
                name.ends_with(b"dom0_usb") || is_nearly(name, b"rd.qubes.dom0_usb");
            passage.note(request, parameter, Fault::Is(Mistake::UnknownParameter));
        }
        Meaning::Switch => {
            let name = parameter.name.strip_prefix(SWITCHES).unwrap_or_default();
            request.set(origin, parameter.text, Setting::parse(name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{boxed::Box, string::String, vec::Vec};

    use super::*;
    use crate::{put, text::Line};

    fn read(line: &[u8]) -> Box<Request> {
        let mut request = Box::new(Request::new());
        let source = request.add_source(FILE.as_bytes()).expect("room for it");
        apply(&mut request, source, line);
        request
    }

    fn items(request: &Request) -> Vec<String> {
        let shown = |item: &crate::request::Item| {
            let mut line = Line::new();
            put!(&mut line, "{}", item);
            String::from_utf8_lossy(line.bytes()).into_owned()
        };
        request.items.iter().map(shown).collect()
    }

    #[test]
    fn takes_what_is_meant_for_it() {
        for (line, expected) in [
            ("quiet root=/dev/sda1 vfio-pci.ids=10de:1b80", [].as_slice()),
            ("pciseize.hide=03:00.0", &["0000:03:00.0"]),
            (
                "xen-pciback.hide=(3:0.0)(4:0.*)",
                &["0000:03:00.0", "0000:04:00.*"],
            ),
            (
                "xen_pciback.hide=3:0.0 pciback.hide=4:0.0",
                &["0000:03:00.0", "0000:04:00.0"],
            ),
            ("rd.qubes.hide_pci=00_1c.0-00_00.0", &["0000:00:1c.0/00.0"]),
            ("rd.qubes.dom0_usb=04:00.4", &["!0000:04:00.4"]),
            ("rd.qubes.hide_all_usb", &["class:usb"]),
            ("rd.qubes.hide_all_usb=0", &[]),
        ] {
            let request = read(line.as_bytes());
            assert_eq!(items(&request), expected, "{line}");
            assert!(request.problems.is_empty(), "{line}");
        }
    }

    #[test]
    fn sets_switches_and_hands_parameters_on() {
        let request = read(
            b"pciseize.strict pciseize.timeout=5 xen-pciback.passthrough=1 pciback.permissive \
              xen-pciback.new=1 xen-pcibackend.a=1 -- quiet",
        );
        assert!(request.switches.strict && request.switches.timeout == Some(5));
        assert_eq!(
            request.module_parameters.as_slice(),
            b"passthrough=1 permissive new=1"
        );
        assert!(request.problems.is_empty());
    }

    #[test]
    fn reports_what_it_cannot_read() {
        for (line, fault) in [
            ("pciseize.nonsense=1", Fault::Is(Mistake::UnknownName)),
            ("pciseize.strict=perhaps", Fault::Is(Mistake::NoTruth)),
            ("pciseize.hide=", Fault::Is(Mistake::NoItem)),
            ("rd.qubes.hide_all_usb=perhaps", Fault::Is(Mistake::NoTruth)),
            (
                "xen-pciback.passthrough=\"a b\"",
                Fault::Is(Mistake::BadParameter),
            ),
            (
                "quiet -- pciseize.hide=03:00.0",
                Fault::Is(Mistake::BehindEnd),
            ),
            (
                "xen-pciback.hid=(03:00.0)",
                Fault::Is(Mistake::UnknownParameter),
            ),
            (
                "xen-pciback.hide(03:00.0)",
                Fault::Is(Mistake::UnknownParameter),
            ),
            (
                "xen-pciback=(03:00.0)",
                Fault::Is(Mistake::UnknownParameter),
            ),
            (
                "PCIseize.hide=03:00.0",
                Fault::Is(Mistake::UnknownParameter),
            ),
            ("pciseize=03:00.0", Fault::Is(Mistake::UnknownParameter)),
            ("rd.qubes.hide_usb", Fault::Is(Mistake::UnknownParameter)),
            ("pciseize.hide=03:00.0,", Fault::Is(Mistake::Comma)),
            ("pciseize.hide=03:00.0, quiet", Fault::Is(Mistake::Comma)),
            ("pciseize.hide=03:00.0, 04:00.0", Fault::Is(Mistake::CutOff)),
            ("pciseize.hide=03:00.0 !04:00.0", Fault::Is(Mistake::CutOff)),
            (
                "pciseize.strict quiet (04:00.0)",
                Fault::Is(Mistake::CutOff),
            ),
        ] {
            let request = read(line.as_bytes());
            let faults: Vec<_> = request
                .problems
                .iter()
                .map(|problem| problem.fault)
                .collect();
            assert_eq!(faults, [fault], "{line}");
        }
    }

    /// What a blank cut off may be a keep if it has a `!`, or stands behind a list of keeps.
    #[test]
    fn lacks_a_keep_that_was_cut_off() {
        for (line, lacks_keep) in [
            ("pciseize.hide=class:usb, !00:14.0", true),
            ("pciseize.hide=class:usb,!00:14.0 quiet", false),
            ("pciseize.hide=class:usb,!00:14.0,", false),
            ("pciseize.hide=class:usb, 03:00.0", false),
            ("rd.qubes.dom0_usb=00:14.0, 00:1a.0", true),
            ("rd.qubes.dom0_usb=00:14.0,", true),
            (
                "rd.qubes.dom0_usb=00:14.0 pciseize.hide=03:00.0 04:00.0",
                false,
            ),
            ("!00:14.0 quiet", false),
        ] {
            assert_eq!(read(line.as_bytes()).lacks_keep, lacks_keep, "{line}");
        }
    }

    #[test]
    fn drops_the_parameter_that_is_cut() {
        let mut line = Vec::from(b"pciseize.hide=03:00.0 ".as_slice());
        line.resize(CMDLINE_SIZE - 17, b'x');
        line.extend_from_slice(b" pciseize.hide=04:00.0,05:00.0");
        line.truncate(CMDLINE_SIZE + 1);
        let request = read(&line);
        assert_eq!(items(&request), ["0000:03:00.0"]);
        assert_eq!(request.problems.count(), 1);
        assert!(request.lacks_keep);
    }
}
