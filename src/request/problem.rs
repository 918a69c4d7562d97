//! What is wrong with an item or a source, and how it is said: where, what stands there, what was expected.

use heapless::Vec;

use super::{
    ITEMS, LONGEST_TIMEOUT, Origin, Request, SOURCES, class,
    cmdline::{CMDLINE_SIZE, PARAMETERS_SIZE},
    embedded::{SECTION_SIZE, TEXT_SIZE},
    selector,
};
use crate::{
    host::Errno,
    lines::{FILE_SIZE, LINE_SIZE},
    pci::{address, place::DEPTH},
    put,
    text::{Decimal, Excerpt, Hex, Line, Show, Shown},
};

/// Something that could not be understood or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// What stands there. Empty where a source as a whole is meant.
    pub text: Excerpt,
    /// What is wrong with it.
    pub fault: Fault,
}

impl Problem {
    /// Whether it is only worth reading, and all is as asked.
    pub fn is_notice(&self) -> bool {
        self.fault == Fault::KeepsNothing
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An item is not a selector.
    Selector(selector::Fault),
    /// A line of another configuration.
    Pasted,
    /// A keep that means no function. A notice: all is as asked.
    KeepsNothing,
    /// The module did not take its parameters.
    RefusedParameters,
    /// A list of items without one.
    NoItem,
    /// No such parameter or setting.
    UnknownName,
    /// Neither a yes nor a no.
    NoTruth,
    /// Not a number of seconds.
    NoSeconds,
    /// A parameter for the module that cannot be handed on.
    BadParameter,
    /// A line is longer than [`LINE_SIZE`].
    LongLine,
    /// A file is longer than [`FILE_SIZE`].
    LongFile,
    /// The command line is longer than [`CMDLINE_SIZE`].
    LongCmdline,
    /// A source cannot be read.
    Unreadable(Errno),
    /// The embedded configuration does not have its size, or not its end mark where that belongs.
    Section,
    /// An embedded configuration that does not fit.
    LongSection,
    /// More than [`ITEMS`].
    TooManyItems,
    /// More than [`SOURCES`].
    TooManySources,
    /// More functions than there is room for.
    TooManyDevices,
}

impl Show for Fault {
    fn show(&self, line: &mut Line) {
        // What is said, and the number that stands in it for `#`.
        let (text, number) = match *self {
            Fault::Selector(fault) => {
                let expected = match fault {
                    selector::Fault::Address(fault) => {
                        match fault {
                            address::Fault::Form => put!(line, "not an address"),
                            address::Fault::Digits(field) => put!(line, "the ", field.name(), " is not hexadecimal"),
                            address::Fault::Range(field) => put!(line, "the ", field.name(), " is greater than ", Hex(field.greatest(), 1)),
                        }
                        "; expected [DOMAIN:]BUS:DEVICE.FUNCTION in hexadecimal, like 0000:03:00.0"
                    }
                    selector::Fault::Identity => {
                        "expected an address (03:00.0), a path (00:1c.0/00.0), ids of 4 digits each (10de:1b80) or a class (class:usb)"
                    }
                    selector::Fault::Vendor => "the vendor has to be given where there is no @ADDRESS",
                    selector::Fault::Class => {
                        put!(line, "expected 2, 4 or 6 hexadecimal digits or a name:");
                        class::names().for_each(|name| put!(line, " ", Shown(name)));
                        ""
                    }
                    selector::Fault::Depth => "more than # bridges",
                };
                (expected, DEPTH)
            }
            Fault::Pasted => ("this is for modprobe.d or the kernel command line; expected one device a line, like 0000:03:00.0", 0),
            Fault::KeepsNothing => ("keeps nothing: no device here is meant", 0),
            Fault::RefusedParameters => ("xen-pciback refused its parameters, and was loaded without any", 0),
            Fault::NoItem => ("no device given; expected ITEM[,ITEM...]", 0),
            Fault::UnknownName => ("no such setting; there are off, strict, debug, timeout (and on the kernel command line pciseize.hide)", 0),
            Fault::NoTruth => ("expected yes or no (or 1, y, on, true, 0, n, off, false)", 0),
            Fault::NoSeconds => ("expected a number of seconds from 1 to #", LONGEST_TIMEOUT as usize),
            Fault::BadParameter => ("not handed to xen-pciback: its parameters are single words, in all at most # bytes", PARAMETERS_SIZE),
            Fault::LongLine => ("the line has more than # bytes; ignored", LINE_SIZE),
            Fault::LongFile => ("more than # bytes; what follows them was not read", FILE_SIZE as usize),
            Fault::LongCmdline => ("more than # bytes; parameters beyond were not read", CMDLINE_SIZE),
            Fault::Unreadable(errno) => return put!(line, "cannot be read: ", errno),
            Fault::Section => ("damaged: no end mark after # bytes; ignored; install a fresh copy of the program", SECTION_SIZE),
            Fault::LongSection => ("more than # bytes cannot be embedded", TEXT_SIZE),
            Fault::TooManyItems => ("more than # items; this one is ignored", ITEMS),
            Fault::TooManySources => ("more than # sources; this one is ignored", SOURCES),
            Fault::TooManyDevices => ("more than # devices; this one is ignored", ITEMS),
        };
        let mut pieces = text.as_bytes().split(|&b| b == b'#');
        line.push(pieces.next().unwrap_or_default());
        for after in pieces {
            put!(line, Decimal(number as u32));
            line.push(after);
        }
    }
}

/// A place in a source: `/etc/xen/pciback.conf:7:1`.
pub struct At<'r>(pub &'r Request, pub Origin);

impl Show for At<'_> {
    fn show(&self, line: &mut Line) {
        let At(request, origin) = self;
        put!(line, Shown(request.source(origin.source)));
        for number in [origin.line, origin.column] {
            if number != 0 {
                put!(line, ":", Decimal(number));
            }
        }
    }
}

/// A problem, whole: `/etc/xen/pciback.conf:7:1: "0000:82.0.0": the device is greater than 1f; …; did you mean 0000:82:00.0?`.
pub struct Found<'r>(pub &'r Request, pub &'r Problem);

impl Show for Found<'_> {
    fn show(&self, line: &mut Line) {
        let Found(request, problem) = self;
        put!(line, At(request, problem.origin), ": ");
        if !problem.text.is_empty() {
            put!(line, "\"", problem.text, "\": ");
        }
        put!(line, problem)
    }
}

/// The message: what is wrong, what was expected, and what was probably meant.
impl Show for Problem {
    fn show(&self, line: &mut Line) {
        put!(line, self.fault);
        if let (Fault::Selector(_) | Fault::Pasted, Some(text)) = (self.fault, self.text.whole())
            && let Some(meant) = selector::meant(text)
        {
            put!(line, "; did you mean ", if text.starts_with(b"!") { "!" } else { "" }, meant, "?");
        }
    }
}

/// Most problems that are kept one by one. The others are counted.
pub const PROBLEMS: usize = 256;

/// The problems of a request, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Problems {
    kept: Vec<Problem, PROBLEMS>,
    /// How many more there were than were kept.
    pub beyond: u32,
    notices: u32,
}

impl Problems {
    /// None yet.
    pub const fn new() -> Problems {
        Problems { kept: Vec::new(), beyond: 0, notices: 0 }
    }

    /// Keeps one more, or counts it.
    pub fn add(&mut self, problem: Problem) {
        self.notices += u32::from(problem.is_notice());
        if self.kept.push(problem).is_err() {
            self.beyond = self.beyond.saturating_add(1);
        }
    }

    /// Those that were kept.
    pub fn iter(&self) -> core::slice::Iter<'_, Problem> {
        self.kept.iter()
    }

    /// How many there are, kept or not, notices left out.
    pub fn count(&self) -> u32 {
        (self.kept.len() as u32).saturating_add(self.beyond).saturating_sub(self.notices)
    }

    /// Whether there is none but notices.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}
