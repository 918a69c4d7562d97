//! Problems, and the messages about them: where, what stands there, what was probably meant, what
//! is wrong with it, and what was expected.

use heapless::Vec;
use ufmt::{Formatter, uDisplay, uWrite};

use super::{
    Origin, Request,
    syntax::{
        class,
        fault::{Fault, Mistake},
        hints::{
            class_behind, has_keep, items_within, likely_address, likely_ids, likely_setting,
            may_be_keep, shown_by_lspci,
        },
        name::likely_name,
    },
};
use crate::{
    host::Errno,
    pci::address,
    show,
    text::{Escaped, Excerpt},
};

/// Something that could not be understood or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// What stands there. Empty for a source as a whole.
    pub text: Excerpt,
    /// What is wrong with it.
    pub fault: Fault,
    /// How many items may be meant by the part of it that is not kept.
    pub more_items: u32,
}

impl Problem {
    /// A problem with `text`.
    pub fn new(origin: Origin, text: &[u8], fault: Fault) -> Problem {
        let kept = Excerpt::of(text);
        let count = |text| items_within(text).count() as u32;
        let more_items = match shown_by_lspci(text) {
            Some(_) => 0,
            None => count(text).saturating_sub(count(kept.whole_words())),
        };
        Problem {
            origin,
            text: kept,
            fault,
            more_items,
        }
    }

    /// Whether the problem is a notice: worth reading, but everything is as asked.
    pub fn is_notice(&self) -> bool {
        matches!(
            self.fault,
            Fault::Is(
                Mistake::KeepsNothing
                    | Mistake::Overruled
                    | Mistake::OtherName
                    | Mistake::GuardElsewhere
                    | Mistake::GuardNowhere
                    | Mistake::Untraced
                    | Mistake::UntracedRoute
                    | Mistake::NoMounts
                    | Mistake::NameOfUntaken
            )
        )
    }

    /// Whether only the name of an item for guests is wrong. A boot takes the device all the same,
    /// and has no use for names.
    pub fn is_of_name(&self) -> bool {
        matches!(
            self.fault,
            Fault::Is(
                Mistake::BadName
                    | Mistake::AmbiguousName
                    | Mistake::TooManyNames
                    | Mistake::NameOfMany
                    | Mistake::SecondName
                    | Mistake::NameOfUntaken
            )
        )
    }
}

impl Mistake {
    /// What is wrong, and what was expected. A test compares the numbers with the constants.
    // 224 bytes less of the program: a table. In its caller each text would be code.
    #[inline(never)]
    const fn message(self) -> &'static str {
        match self {
            Mistake::NoSelector => {
                "expected an address (03:00.0), a path (00:1c.0/00.0), ids of 4 digits each \
                 (10de:1b80) or a class (class:usb)"
            }
            Mistake::OpenVendor => "no vendor; ids need one unless @ADDRESS follows",
            Mistake::NoClass => "no such class; expected 2, 4 or 6 hexadecimal digits or a name:",
            Mistake::DeepPath => "the path has more than 32 bridges",
            Mistake::OpenPath => "a path takes no *; write each function in an item of its own",
            Mistake::UnknownName => {
                "no such setting; expected off, strict, debug, force or timeout (on the kernel \
                 command line also hide); a device stands alone on its line, options for \
                 xen-pciback belong in modprobe.d"
            }
            Mistake::UnknownLine => {
                "neither a setting (off, strict, debug, force, timeout) nor a device with a name \
                 (gpu = 10de:1b80@03:00.0); a device without a name stands alone on its line, \
                 options for xen-pciback belong in modprobe.d"
            }
            Mistake::BadName => {
                "no name for guests, so nobody gets it; expected a letter, then at most 30 of \
                 a-z 0-9 - _"
            }
            Mistake::ReservedName => {
                "no name for a device: the word has a meaning of its own; a device without a name \
                 stands alone on its line"
            }
            Mistake::NamedKeep => "what stays with dom0 has no name for guests",
            Mistake::AmbiguousName => "the name stands before several devices; nobody gets it",
            Mistake::TooManyNames => "more than 256 names; nobody gets this one",
            Mistake::NameOfNone => "no device of this machine matches; nobody gets the name",
            Mistake::NameOfUnread => {
                "the ids of a device cannot be read, so nobody can tell which is meant, nor gets \
                 the name"
            }
            Mistake::NameOfMany => {
                "it means more than one device; nobody gets the name; write one function, like \
                 03:00.0"
            }
            Mistake::SecondName => {
                "the device has the name of an item before this one; nobody gets this name"
            }
            Mistake::NameOfUntaken => "the device is not to be seized; nobody gets the name",
            Mistake::UnknownParameter => {
                "no such parameter; expected pciseize.hide=ITEM[,ITEM...], pciseize.SETTING, \
                 xen-pciback.hide=(ITEM)..., rd.qubes.hide_pci=, rd.qubes.hide_all_usb or \
                 rd.qubes.dom0_usb="
            }
            Mistake::BehindEnd => {
                "not read: it stands behind --, where the parameters of the kernel end"
            }
            Mistake::NoOptions => {
                "not read; expected: options xen-pciback hide=(ITEM)... (in a list of modules \
                 without options)"
            }
            Mistake::OtherName => "passed over, as is every file whose name does not end in .conf",
            Mistake::KeepsNothing => "keeps nothing: no device of this machine matches",
            Mistake::Overruled => "not there; another device is, and is asked for by another item",
            Mistake::GuardElsewhere => {
                "not there; the host may boot from it at another place, so no device with these \
                 ids is taken; make the image anew if this is no surprise"
            }
            Mistake::GuardNowhere => {
                "nowhere on this machine; the host may boot from another disk, so no storage is \
                 taken; pciseize.force takes it; make the image anew if this is no surprise"
            }
            Mistake::Untraced => {
                "the devices that hold it were not found: keep them with ! in the configuration"
            }
            Mistake::UntracedRoute => {
                "the network card that carries this default route was not found: if dom0 needs it, \
                 keep it with ! in the configuration"
            }
            Mistake::NoMounts => {
                "cannot be read, so nobody knows what this host boots from: keep it with ! in the \
                 configuration"
            }
            Mistake::RefusedParameters => {
                "xen-pciback refused these parameters and was loaded without them"
            }
            Mistake::OtherParameters => {
                "xen-pciback was there before, without these parameters; they count when it is \
                 loaded anew"
            }
            Mistake::UnknownParameters => {
                "xen-pciback does not show whether it has these parameters"
            }
            Mistake::NoItem => "no device given; expected ITEM[,ITEM...]",
            Mistake::Comma => {
                "the list ends in a comma; write its items without blanks, or the list in double \
                 quotes"
            }
            Mistake::CutOff => {
                "not read: a blank ended the list before it; write the items without blanks, or \
                 the list in double quotes"
            }
            Mistake::Return => {
                "not read: it follows a carriage return within a line; end each line with a newline"
            }
            Mistake::NoTruth => "expected yes or no",
            Mistake::NoSeconds => "expected a number of seconds from 1 to 3600",
            Mistake::BadParameter => {
                "not passed to xen-pciback; expected single words, at most 128 bytes in all"
            }
            Mistake::LongLine => "the line has more than 1024 bytes; ignored",
            Mistake::Continued => "ignored: the line ends in a backslash; write it in one line",
            Mistake::LongFile => "the file has more than 65536 bytes; the rest was not read",
            Mistake::LongCmdline => {
                "the command line has more than 8192 bytes; the rest was not read"
            }
            Mistake::Section => {
                "damaged: no end mark after 2048 bytes; ignored; install pciseize again"
            }
            Mistake::LongSection => "more than 2032 bytes cannot be embedded",
            Mistake::TooManyItems => "more than 4096 items; this one is ignored",
            Mistake::TooManyNeeds => "more than 64 lines of this kind; this one is ignored",
            Mistake::TooManySources => "more than 64 sources; this one is ignored",
            Mistake::TooManyDevices => "more than 8192 devices; this one is ignored",
        }
    }
}

impl uDisplay for Fault {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        match *self {
            Fault::Address(fault) => show_address_fault(f, fault),
            Fault::Unreadable(Errno::ENOENT) => show!(f, "cannot be read: no such file"),
            Fault::Unreadable(errno) => show!(f, "cannot be read: {}", errno),
            Fault::UnreadableIdentity(errno) => show!(
                f,
                "the identity of this device cannot be read: {}; this item may mean it",
                errno
            ),
            Fault::Is(mistake) => {
                f.write_str(mistake.message())?;
                if mistake == Mistake::NoClass {
                    for name in class::names() {
                        show!(f, " {}", name)?;
                    }
                }
                Ok(())
            }
        }
    }
}

fn show_address_fault<W: uWrite + ?Sized>(
    f: &mut Formatter<'_, W>,
    fault: address::Fault,
) -> Result<(), W::Error> {
    match fault {
        address::Fault::Form => show!(f, "not an address")?,
        address::Fault::Digits(field) => show!(f, "{} is not hexadecimal", field)?,
        address::Fault::Range(field) => {
            show!(f, "{} is greater than {:x}", field, field.greatest())?;
        }
    }
    show!(
        f,
        "; expected [DOMAIN:]BUS:DEVICE.FUNCTION in hexadecimal, like 0000:03:00.0"
    )
}

/// The message: what was probably meant, what is wrong, and what was expected.
impl uDisplay for Problem {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        if self.fault.is_of_item() {
            show_hint(f, self)?;
        }
        show!(f, "{}", self.fault)
    }
}

/// Shows what a bad item probably means, if anything.
fn show_hint<W: uWrite + ?Sized>(
    f: &mut Formatter<'_, W>,
    problem: &Problem,
) -> Result<(), W::Error> {
    let text = problem.text.whole_words();
    if let Some(item) = shown_by_lspci(text) {
        return show!(f, "did you mean {}? ", item);
    }
    // A bad keep must not become something to seize: every item in it is kept, unless the text says
    // which.
    let keeps_all = text.starts_with(b"!") || may_be_keep(text) && !has_keep(text);
    if let Some((name, value)) = likely_name(text) {
        return show!(f, "did you mean {} = {}? ", name, Escaped(value));
    }
    let mut is_first = true;
    for item in items_within(text) {
        let separator = if is_first { "did you mean " } else { " and " };
        let sign = if keeps_all && !item.is_keep() {
            "!"
        } else {
            ""
        };
        show!(f, "{}{}{}", separator, sign, item)?;
        is_first = false;
    }
    if !is_first {
        if problem.more_items > 0 {
            show!(f, " and {} more", problem.more_items)?;
        }
        return show!(f, "? ");
    }
    if let Some(setting) = likely_setting(text) {
        return show!(f, "did you mean the setting {}? ", setting);
    }
    let sign = if keeps_all { "!" } else { "" };
    if let Some(selector) = likely_address(text) {
        return show!(f, "did you mean {}{}? ", sign, selector);
    }
    if let Some((vendor, device)) = likely_ids(text) {
        return show!(
            f,
            "did you mean {}{}:{}? ",
            sign,
            Escaped(vendor),
            Escaped(device)
        );
    }
    let word = text.strip_prefix(b"!").unwrap_or(text);
    let class = class_behind(word);
    match class::nearest(class.unwrap_or(word)) {
        // Without `class:` only the name itself.
        Some(name) if class.is_some() || name.as_bytes() == word => {
            show!(f, "did you mean {}class:{}? ", sign, name)
        }
        _ => Ok(()),
    }
}

/// A place in a source: `/etc/xen/pciback.conf:7:1`.
pub struct At<'r>(pub &'r Request, pub Origin);

impl uDisplay for At<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let At(request, origin) = self;
        show!(f, "{}", Escaped(request.source(origin.source)))?;
        for number in [origin.line, origin.column] {
            if number != 0 {
                show!(f, ":{}", number)?;
            }
        }
        Ok(())
    }
}

/// A whole problem: `/etc/xen/pciback.conf:7:1: "0000:82.0.0": the device is greater than 1f; ...;
/// did you mean 0000:82:00.0?`.
pub struct Found<'r>(pub &'r Request, pub &'r Problem);

impl uDisplay for Found<'_> {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        let Found(request, problem) = self;
        show!(f, "{}: ", At(request, problem.origin))?;
        if !problem.text.is_empty() {
            show!(f, "\"{}\": ", problem.text)?;
        }
        show!(f, "{}", problem)
    }
}

/// Most problems that are kept one by one. The others are counted.
pub const PROBLEMS: usize = 256;

/// The problems of a request, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Problems {
    kept: Vec<Problem, PROBLEMS>,
    /// How many more problems there are.
    pub beyond: u32,
    notices: u32,
}

impl Problems {
    /// No problem.
    pub const fn new() -> Problems {
        Problems {
            kept: Vec::new(),
            beyond: 0,
            notices: 0,
        }
    }

    /// Forgets all problems.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.beyond = 0;
        self.notices = 0;
    }

    /// Keeps one more problem, or counts it.
    pub fn add(&mut self, problem: Problem) {
        self.notices += u32::from(problem.is_notice());
        if self.kept.push(problem).is_err() {
            self.beyond = self.beyond.saturating_add(1);
        }
    }

    /// The problems that were kept.
    pub fn iter(&self) -> core::slice::Iter<'_, Problem> {
        self.kept.iter()
    }

    /// How many problems there are, kept or not, without the notices.
    pub fn count(&self) -> u32 {
        (self.kept.len() as u32)
            .saturating_add(self.beyond)
            .saturating_sub(self.notices)
    }

    /// Whether there is no problem, or only notices.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;

    use super::*;
    use crate::{
        device::DEVICES,
        host::lines::{FILE_SIZE, LINE_SIZE},
        pci::place::DEPTH,
        put,
        request::{
            ITEMS, LONGEST_TIMEOUT, NAMES, NEEDS, PARAMETERS_SIZE, SOURCES,
            source::{cmdline, embedded},
            syntax::{name::NAME_SIZE, selector::Selector},
        },
        text::Line,
    };

    fn shown(value: impl uDisplay) -> String {
        let mut line = Line::new();
        put!(&mut line, "{}", value);
        String::from_utf8_lossy(line.bytes()).into_owned()
    }

    #[test]
    fn says_the_numbers_that_hold() {
        for (mistake, number) in [
            (Mistake::DeepPath, DEPTH),
            (Mistake::NoSeconds, LONGEST_TIMEOUT as usize),
            (Mistake::BadParameter, PARAMETERS_SIZE),
            (Mistake::LongLine, LINE_SIZE),
            (Mistake::LongFile, FILE_SIZE as usize),
            (Mistake::LongCmdline, cmdline::CMDLINE_SIZE),
            (Mistake::Section, embedded::SECTION_SIZE),
            (Mistake::LongSection, embedded::TEXT_SIZE),
            (Mistake::TooManyItems, ITEMS),
            (Mistake::TooManyNeeds, NEEDS),
            (Mistake::TooManyNames, NAMES),
            (Mistake::BadName, NAME_SIZE - 1),
            (Mistake::TooManySources, SOURCES),
            (Mistake::TooManyDevices, DEVICES),
        ] {
            let (said, expected) = (shown(Fault::Is(mistake)), shown(number as u32));
            assert!(
                said.split([' ', ';']).any(|word| word == expected),
                "{said}"
            );
        }
    }

    #[test]
    fn suggests_what_was_meant() {
        let origin = Request::new().module_parameters_at;
        for (text, hint) in [
            ("0000:82.0.0", Some("did you mean 0000:82:00.0? ")),
            ("!0000:82.0.0", Some("did you mean !0000:82:00.0? ")),
            ("[10de:1b80]", Some("did you mean 10de:1b80? ")),
            (
                "03:00.0,!04:00.0",
                Some("did you mean 03:00.0 and !04:00.0? "),
            ),
            (
                "!(03:00.0)(!04:00.0)",
                Some("did you mean !03:00.0 and !04:00.0? "),
            ),
            (
                "class:usb ! 00:14.0",
                Some("did you mean class:usb and !00:14.0? "),
            ),
            ("00:14.0 keep", Some("did you mean !00:14.0? ")),
            (
                "!class:usb 00:14.0",
                Some("did you mean !class:usb and !00:14.0? "),
            ),
            ("keep 0000:82.0.0x", None),
            (
                "03:00.0 0c03: 1b21:1242",
                Some("did you mean 1b21:1242@03:00.0? "),
            ),
            ("strict", Some("did you mean the setting strict = yes? ")),
            (
                "01:00.0 01:00.1 01:00.2 01:00.3 00:14.0 00:1f.6 2c:00.0 54:00.0",
                Some(
                    "did you mean 01:00.0 and 01:00.1 and 01:00.2 and 01:00.3 and 00:14.0 and \
                     00:1f.6 and 2c:00.0 and 1 more? ",
                ),
            ),
            ("usb", Some("did you mean class:usb? ")),
            ("class:usbs", Some("did you mean class:usb? ")),
            ("!class:netwrok", Some("did you mean !class:network? ")),
            ("class:us", None),
            ("class:", None),
            ("usbs", None),
            ("nonsense", None),
        ] {
            let fault = Selector::parse(text.as_bytes()).expect_err(text);
            let problem = Problem::new(origin, text.as_bytes(), fault);
            let expected = String::from(hint.unwrap_or_default()) + &shown(fault);
            assert_eq!(shown(&problem), expected, "{text}");
        }
        for (errno, told) in [
            (Errno::EIO, "cannot be read: EIO (5)"),
            (Errno::ENOENT, "cannot be read: no such file"),
        ] {
            let problem = Problem::new(origin, b"03:00.0", Fault::Unreadable(errno));
            assert_eq!(shown(&problem), told);
        }
    }

    #[test]
    fn says_where() {
        let mut request = std::boxed::Box::new(Request::new());
        let source = request.add_source(b"/a\n").expect("room for it");
        for (line, column, expected) in [
            (0, 0, "/a\\x0a"),
            (7, 0, "/a\\x0a:7"),
            (7, 3, "/a\\x0a:7:3"),
        ] {
            assert_eq!(
                shown(At(
                    &request,
                    Origin {
                        source,
                        line,
                        column
                    }
                )),
                expected
            );
        }
        let fault = Fault::Is(Mistake::NoTruth);
        let origin = Origin {
            source,
            line: 7,
            column: 1,
        };
        let problem = Problem::new(origin, b"x y", fault);
        assert_eq!(
            shown(Found(&request, &problem)),
            "/a\\x0a:7:1: \"x y\": expected yes or no"
        );
        let whole = Problem::new(Origin::whole(source), b"", fault);
        assert_eq!(
            shown(Found(&request, &whole)),
            "/a\\x0a: expected yes or no"
        );
    }

    #[test]
    fn counts_what_it_does_not_keep() {
        let mut problems = Problems::new();
        let problem =
            |mistake| Problem::new(Request::new().module_parameters_at, b"", Fault::Is(mistake));
        problems.add(problem(Mistake::KeepsNothing));
        assert!(problems.is_empty());
        (0..PROBLEMS).for_each(|_| problems.add(problem(Mistake::NoItem)));
        assert_eq!((problems.iter().len(), problems.beyond), (PROBLEMS, 1));
        assert_eq!(problems.count(), PROBLEMS as u32);
    }
}
