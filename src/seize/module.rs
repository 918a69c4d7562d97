//! The module: makes sure that pciback is there.

use heapless::Vec;

use crate::{
    host::{ARGUMENTS, Compression, Errno, Files, NotLoaded, Programs, run_modprobe},
    pciback::{self, Answer},
    put,
    text::{Line, split},
};

/// The folders that have modules by release of the kernel.
const FOLDERS: [&str; 2] = ["/lib/modules/", "/usr/lib/modules/"];

/// A folder below that of a release, and where the module may stand in it.
struct Part {
    folder: &'static str,
    /// Without the ending.
    files: &'static [&'static str],
}

/// What was added to a release, as DKMS does it: it comes before what the kernel brought along, as
/// depmod has it (depmod.d(5), `search`: `updates` on Debian and Arch, on Fedora `extra` too).
const ADDED: [Part; 2] = [
    Part {
        folder: "/updates",
        files: &[
            "/dkms/xen-pciback",
            "/xen-pciback",
            "/drivers/xen/xen-pciback/xen-pciback",
        ],
    },
    Part {
        folder: "/extra",
        files: &["/xen-pciback", "/xen-pciback/xen-pciback"],
    },
];

/// The kernel's own, as `drivers/xen/xen-pciback/Makefile` builds it.
const OWN: Part = Part {
    folder: "/kernel",
    files: &["/drivers/xen/xen-pciback/xen-pciback"],
};

/// What follows the name: the module is plain, or compressed as distributions do it.
const ENDINGS: [(&str, Compression); 4] = [
    (".ko", Compression::None),
    (".ko.xz", Compression::ByKernel),
    (".ko.zst", Compression::ByKernel),
    (".ko.gz", Compression::ByKernel),
];

/// Loads pciback with `parameters`, if nobody else has yet.
///
/// What is wrong with the parameters must not cost the devices: the module is then loaded without
/// them. As a last resort modprobe is asked where there is one: it finds the module wherever it is,
/// and knows every compression.
pub fn load<H: Files + Programs>(host: &mut H, parameters: &[u8]) -> Answer {
    let mut answer = load_file(host, parameters);
    if answer == Answer::Refused(Errno::EINVAL) && !parameters.is_empty() {
        answer = load_file(host, b"");
        if answer.is_ready() {
            return Answer::ReadyWithoutParameters;
        }
    }
    if answer.is_ready() {
        return answer;
    }
    ask_modprobe(host, parameters);
    if pciback::is_registered(host) {
        return Answer::Ready;
    }
    if !parameters.is_empty() {
        ask_modprobe(host, b"");
        if pciback::is_registered(host) {
            return Answer::ReadyWithoutParameters;
        }
    }
    answer
}

/// Has modprobe load pciback, so that it takes nothing while it loads.
///
/// modprobe adds the parameters of modprobe.d and of the kernel's command line to those that it is
/// given, `hide=` among them, whose devices pciback would take at once: also one that an item
/// keeps. Of a parameter that is given twice the later one counts, and those that modprobe is given
/// come last.
fn ask_modprobe<H: Programs>(host: &mut H, parameters: &[u8]) {
    let given: [&[u8]; 2] = [b"xen-pciback", b"hide="];
    let words = split(parameters, b' ').filter(|word| !word.is_empty());
    let mut arguments: Vec<&[u8], ARGUMENTS> = Vec::new();
    for word in given.into_iter().chain(words) {
        // There is room for as many words as the parameters can have.
        let _ = arguments.push(word);
    }
    run_modprobe(host, &arguments);
}

/// Gives the file of the module to the kernel.
fn load_file<H: Files + Programs>(host: &mut H, parameters: &[u8]) -> Answer {
    let mut buffer = [0; 128];
    let release = match host.read_value(b"/proc/sys/kernel/osrelease", &mut buffer) {
        Ok(release) => release,
        Err(errno) => return Answer::NoRelease(errno),
    };
    for folder in &FOLDERS {
        let mut place = Line::new();
        put!(&mut place, "{}", folder);
        place.push(release);
        for part in &ADDED {
            // Mostly nothing was added: one look for the folder, not one for each file.
            if is_there(host, &place, part.folder)
                && let Some(answer) = load_from(host, &place, part, parameters)
            {
                return answer;
            }
        }
        if let Some(answer) = load_from(host, &place, &OWN, parameters) {
            return answer;
        }
    }
    Answer::NoFile
}

/// Whether a folder of a release may be there. It can be opened, but not read like a file.
fn is_there<H: Files>(host: &mut H, place: &Line, folder: &str) -> bool {
    let mut path = Line::new();
    path.push(place.bytes());
    put!(&mut path, "{}", folder);
    host.read(path.bytes(), 0, &mut []) != Err(Errno::ENOENT)
}

/// Gives the first file of the module to the kernel that is in this part. `None`: there is none.
fn load_from<H: Files + Programs>(
    host: &mut H,
    place: &Line,
    part: &Part,
    parameters: &[u8],
) -> Option<Answer> {
    let mut path = Line::new();
    for file in part.files {
        for (ending, compression) in &ENDINGS {
            path.clear();
            path.push(place.bytes());
            put!(&mut path, "{}{}{}", part.folder, file, ending);
            match host.load_module(path.bytes(), parameters, *compression) {
                Err(NotLoaded::NotOpened(Errno::ENOENT | Errno::ENOTDIR)) => {}
                loaded => return Some(answer_to(host, loaded)),
            }
        }
    }
    None
}

/// What the kernel made of a file that is there.
fn answer_to<H: Files>(host: &mut H, loaded: Result<(), NotLoaded>) -> Answer {
    match loaded {
        // EEXIST: somebody else was quicker.
        Ok(()) | Err(NotLoaded::Refused(Errno::EEXIST)) if pciback::is_registered(host) => {
            Answer::Ready
        }
        Ok(()) | Err(NotLoaded::Refused(Errno::EEXIST)) => Answer::Refused(Errno::ENODEV),
        Err(NotLoaded::Refused(errno)) => Answer::Refused(errno),
        Err(NotLoaded::NotOpened(errno)) => Answer::NotOpened(errno),
        Err(NotLoaded::OtherRoot) => Answer::OtherRoot,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{Machine, shown};

    const OWN_FILE: &str = "/lib/modules/6.1/kernel/drivers/xen/xen-pciback/xen-pciback.ko";

    /// A machine of release 6.1 on which pciback is there as soon as it was loaded.
    fn machine(files: &[&str]) -> Machine {
        let mut host = Machine::new();
        host.file("/proc/sys/kernel/osrelease", "6.1\n");
        host.folder(pciback::FOLDER);
        for file in files {
            host.file(file, "a module");
        }
        host
    }

    #[test]
    fn prefers_what_was_added_to_the_release() {
        for added in [
            "updates/dkms/xen-pciback.ko.zst",
            "updates/xen-pciback.ko.xz",
            "updates/drivers/xen/xen-pciback/xen-pciback.ko",
            "extra/xen-pciback.ko",
            "extra/xen-pciback/xen-pciback.ko.gz",
        ] {
            let added = std::format!("/lib/modules/6.1/{added}");
            let mut host = machine(&[OWN_FILE, &added]);
            assert_eq!(load(&mut host, b""), Answer::Ready);
            let tried = host.calls_of("module").last().map(|call| call.trim_end());
            assert_eq!(tried, Some(added.as_str()));
        }
    }

    #[test]
    fn looks_for_no_file_in_a_folder_that_is_not_there() {
        let mut host = machine(&[OWN_FILE]);
        assert_eq!(load(&mut host, b""), Answer::Ready);
        assert_eq!(host.calls_of("module"), [std::format!("{OWN_FILE} ")]);
    }

    /// Both calls fail with ENOENT: the file is missing, or a symbol.
    #[test]
    fn tells_a_missing_symbol_from_a_missing_file() {
        let mut host = machine(&[OWN_FILE]);
        host.refuse("module", Errno::ENOENT);
        host.refuse("list", Errno::ENOENT);
        let answer = load(&mut host, b"");
        assert_eq!(answer, Answer::Refused(Errno::ENOENT));
        assert!(shown(answer).contains("a symbol that this kernel does not have"));
        let mut host = machine(&[]);
        host.refuse("list", Errno::ENOENT);
        assert_eq!(load(&mut host, b""), Answer::NoFile);
    }

    #[test]
    fn asks_modprobe_for_the_module_alone_with_its_parameters() {
        for (parameters, words) in [
            ("", [" xen-pciback hide="].as_slice()),
            (
                "passthrough=1 permissive",
                &[
                    " xen-pciback hide= passthrough=1 permissive",
                    " xen-pciback hide=",
                ],
            ),
        ] {
            let mut host = machine(&[]);
            host.refuse("list", Errno::ENOENT);
            assert_eq!(load(&mut host, parameters.as_bytes()), Answer::NoFile);
            let expected = words.iter().flat_map(|words| {
                ["/sbin/modprobe", "/usr/sbin/modprobe"].map(|path| std::format!("{path}{words}"))
            });
            assert!(host.calls_of("run").into_iter().eq(expected));
        }
    }

    extern crate std;
}
