//! What is wrong with an item or a source, and how it is said: where, what stands there, what was expected.

use heapless::Vec;

use super::{
    ITEMS, LONGEST_TIMEOUT, Origin, SOURCES,
    cmdline::{CMDLINE_SIZE, PARAMETERS_SIZE},
    embedded::{SECTION_SIZE, TEXT_SIZE},
};
use crate::{
    host::Errno,
    lines::{FILE_SIZE, LINE_SIZE},
    pci::address,
    put,
    text::{Decimal, Excerpt, Hex, Line, Show},
};

/// Something that could not be understood or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// What stands there. Empty where a source as a whole is meant.
    pub text: Excerpt,
    /// What is wrong with it. Shown, it is the message.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An item is not an address.
    Address(address::Fault),
    /// `pciseize.hide` without an item.
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
}

impl Show for Fault {
    fn show(&self, line: &mut Line) {
        // What is said, and the number that stands in it for `#`.
        let (text, number) = match *self {
            Fault::Address(fault) => {
                match fault {
                    address::Fault::Form => put!(line, "not an address"),
                    address::Fault::Digits(field) => put!(line, "the ", field.name(), " is not hexadecimal"),
                    address::Fault::Range(field) => put!(line, "the ", field.name(), " is greater than ", Hex(field.greatest(), 1)),
                }
                ("; expected [DOMAIN:]BUS:DEVICE.FUNCTION in hexadecimal, like 0000:03:00.0", 0)
            }
            Fault::NoItem => ("no device given; expected pciseize.hide=ADDRESS[,ADDRESS...]", 0),
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
        };
        let mut pieces = text.as_bytes().split(|&b| b == b'#');
        line.push(pieces.next().unwrap_or_default());
        for after in pieces {
            put!(line, Decimal(number as u32));
            line.push(after);
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
}

impl Problems {
    /// None yet.
    pub const fn new() -> Problems {
        Problems { kept: Vec::new(), beyond: 0 }
    }

    /// Keeps one more, or counts it.
    pub fn add(&mut self, problem: Problem) {
        if self.kept.push(problem).is_err() {
            self.beyond = self.beyond.saturating_add(1);
        }
    }

    /// Those that were kept.
    pub fn iter(&self) -> core::slice::Iter<'_, Problem> {
        self.kept.iter()
    }

    /// How many there are, kept or not.
    pub fn count(&self) -> u32 {
        (self.kept.len() as u32).saturating_add(self.beyond)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}
