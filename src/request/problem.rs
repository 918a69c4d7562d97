//! What is wrong with an item or a source, and how it is said: where, what stands there, what was expected.

use heapless::Vec;
use ufmt::{uDisplay, uWrite, uwrite};

use super::{LONGEST_TIMEOUT, Origin};
use crate::{
    host::Errno,
    lines,
    pci::address,
    text::{Decimal, Excerpt, Hex},
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
    /// A line is longer than [`lines::LINE_SIZE`].
    LongLine,
    /// A file is longer than [`lines::FILE_SIZE`].
    LongFile,
    /// The command line is longer than [`super::cmdline::CMDLINE_SIZE`].
    LongCmdline,
    /// A source cannot be read.
    Unreadable(Errno),
    /// The embedded configuration does not have its size, or not its end mark where that belongs.
    Section,
    /// An embedded configuration that does not fit.
    LongSection,
    /// More than [`super::ITEMS`].
    TooManyItems,
    /// More than [`super::SOURCES`].
    TooManySources,
}

impl uDisplay for Fault {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut ufmt::Formatter<'_, W>) -> Result<(), W::Error> {
        match *self {
            Fault::Address(fault) => {
                match fault {
                    address::Fault::Form => f.write_str("not an address")?,
                    address::Fault::Digits(field) => uwrite!(f, "the {} is not hexadecimal", field.name())?,
                    address::Fault::Range(field) => uwrite!(f, "the {} is greater than {}", field.name(), Hex(field.greatest(), 1))?,
                }
                f.write_str("; expected [DOMAIN:]BUS:DEVICE.FUNCTION in hexadecimal, like 0000:03:00.0")
            }
            Fault::NoItem => f.write_str("no device given; expected pciseize.hide=ADDRESS[,ADDRESS...]"),
            Fault::UnknownName => f.write_str("no such setting; there are off, strict, debug, timeout (and on the kernel command line pciseize.hide)"),
            Fault::NoTruth => f.write_str("expected yes or no (or 1, y, on, true, 0, n, off, false)"),
            Fault::NoSeconds => uwrite!(f, "expected a number of seconds from 1 to {}", Decimal(LONGEST_TIMEOUT as u32)),
            Fault::BadParameter => {
                uwrite!(f, "not handed to xen-pciback: its parameters are single words, of {} bytes in all", Decimal(super::cmdline::PARAMETERS_SIZE as u32))
            }
            Fault::LongLine => uwrite!(f, "the line has more than {} bytes; ignored", Decimal(lines::LINE_SIZE as u32)),
            Fault::LongFile => uwrite!(f, "more than {} bytes; what follows them was not read", Decimal(lines::FILE_SIZE as u32)),
            Fault::LongCmdline => uwrite!(f, "more than {} bytes; parameters beyond were not read", Decimal(super::cmdline::CMDLINE_SIZE as u32)),
            Fault::Unreadable(errno) => uwrite!(f, "cannot be read: {}", errno),
            Fault::Section => uwrite!(
                f,
                "the configuration embedded in this binary is damaged: its end mark is not where it belongs ({} bytes); ignored; embed it again with 'make embed'",
                Decimal(super::embedded::SECTION_SIZE as u32)
            ),
            Fault::LongSection => uwrite!(f, "at most {} bytes can be embedded", Decimal(super::embedded::TEXT_SIZE as u32)),
            Fault::TooManyItems => uwrite!(f, "more than {} items; this one is ignored", Decimal(super::ITEMS as u32)),
            Fault::TooManySources => uwrite!(f, "more than {} sources; this one is ignored", Decimal(super::SOURCES as u32)),
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
