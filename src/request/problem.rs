//! What is wrong with an item or a source, and how it is said: where, what stands there, what was expected.

use heapless::Vec;

use super::{Origin, Request, class, selector};
use crate::{
    host::Errno,
    pci::address,
    put,
    text::{Decimal, Either, Excerpt, Hex, Line, Show, Shown, behind, part},
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
        matches!(self.fault, Fault::Is(Mistake::KeepsNothing))
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An address, or a step of a path, is none.
    Address(address::Fault),
    /// A source cannot be read.
    Unreadable(Errno),
    /// Anything else.
    Is(Mistake),
}

/// Declares the mistakes with what is said of them. The texts are one list: a third of the size of a table of them.
macro_rules! mistakes {
    ($($(#[$meta:meta])* $name:ident = $message:literal,)*) => {
        /// What is wrong, where that has no further number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
        pub enum Mistake {
            $($(#[$meta])* $name,)*
        }

        /// What is said of each.
        const MESSAGES: &str = concat!($($message, "\n"),*);
    };
}

// The numbers in the messages are those of the constants: a test compares them. Up to `UnknownName` they are mistakes in an item, where something else may have been meant: see `Fault::is_of_item`.
mistakes! {
    /// The item has no form that a selector has.
    NoSelector = "expected an address (03:00.0), a path (00:1c.0/00.0), ids of 4 digits each (10de:1b80) or a class (class:usb)",
    /// An identity without a fixed vendor, and without a place.
    OpenVendor = "a vendor is needed where there is no @ADDRESS",
    /// No such class.
    NoClass = "expected 2, 4 or 6 hexadecimal digits or a name:",
    /// A path with more than [`DEPTH`](crate::pci::place::DEPTH) bridges.
    DeepPath = "more than 32 bridges",
    /// No such parameter or setting, or a line of another configuration.
    UnknownName = "no such setting (off, strict, debug, force, timeout; on the kernel command line hide); a device stands alone on its line, options for xen-pciback belong in modprobe.d",
    /// A keep that means no function. A notice: all is as asked.
    KeepsNothing = "keeps nothing: no device here is meant",
    /// The module did not take its parameters.
    RefusedParameters = "xen-pciback refused these, and was loaded without",
    /// A list of items without one.
    NoItem = "no device given; expected ITEM[,ITEM...]",
    /// Neither a yes nor a no.
    NoTruth = "expected yes or no",
    /// Not a number of seconds.
    NoSeconds = "expected a number of seconds from 1 to 3600",
    /// A parameter for the module that cannot be handed on.
    BadParameter = "not for xen-pciback: single words only, in all at most 128 bytes",
    /// A line is longer than [`LINE_SIZE`](crate::lines::LINE_SIZE).
    LongLine = "the line has more than 1024 bytes; ignored",
    /// A line of `modprobe.d` ends in `\\`.
    Continued = "not read: write it in one line",
    /// A file is longer than [`FILE_SIZE`](crate::lines::FILE_SIZE).
    LongFile = "more than 65536 bytes; the rest was not read",
    /// The command line is longer than [`CMDLINE_SIZE`](super::cmdline::CMDLINE_SIZE).
    LongCmdline = "more than 8192 bytes; the rest was not read",
    /// The embedded configuration does not have its size, or not its end mark where that belongs.
    Section = "damaged: no end mark after 2048 bytes; ignored; install it anew",
    /// An embedded configuration that does not fit.
    LongSection = "more than 2032 bytes cannot be embedded",
    /// More than [`ITEMS`](super::ITEMS).
    TooManyItems = "more than 4096 items; this one is ignored",
    /// More than [`SOURCES`](super::SOURCES).
    TooManySources = "more than 64 sources; this one is ignored",
    /// More functions than there is room for.
    TooManyDevices = "more than 8192 devices; this one is ignored",
}

impl Show for Fault {
    fn show(&self, line: &mut Line) {
        match *self {
            Fault::Address(fault) => {
                match fault {
                    address::Fault::Form => put!(line, "not an address"),
                    address::Fault::Digits(field) => put!(line, field, " is not hexadecimal"),
                    address::Fault::Range(field) => put!(line, field, " is greater than ", Hex(field.greatest(), 1)),
                }
                put!(line, "; expected [DOMAIN:]BUS:DEVICE.FUNCTION in hexadecimal, like 0000:03:00.0");
            }
            Fault::Unreadable(errno) => put!(line, "cannot be read: ", errno),
            Fault::Is(mistake) => {
                line.push(part(MESSAGES, b'\n', mistake as usize));
                if mistake == Mistake::NoClass {
                    class::names().for_each(|name| put!(line, " ", Shown(name)));
                }
            }
        }
    }
}

impl Fault {
    /// Whether it is an item that means nothing, so that something else may have been meant.
    fn is_of_item(self) -> bool {
        match self {
            Fault::Address(_) => true,
            Fault::Unreadable(_) => false,
            Fault::Is(mistake) => mistake <= Mistake::UnknownName,
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
        if !self.fault.is_of_item() {
            return;
        }
        let text = self.text.pieces();
        // What was to be kept must not become something to take.
        let keep = if text.starts_with(b"!") { "!" } else { "" };
        let mut at = 0;
        let mut before = "; did you mean ";
        while let Some(piece) = selector::next_within(text, &mut at) {
            put!(line, Either(before), Either(keep), Shown(behind(b"!", piece).filter(|_| !keep.is_empty()).unwrap_or(piece)));
            before = " and ";
        }
        if before == " and " {
            put!(line, "?");
        } else if let Some(selector) = selector::meant(text) {
            put!(line, Either(before), Either(keep), selector, "?");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::DEVICES,
        lines::{FILE_SIZE, LINE_SIZE},
        pci::place::DEPTH,
        request::{ITEMS, LONGEST_TIMEOUT, SOURCES, cmdline, embedded},
    };

    #[test]
    fn says_the_numbers_that_hold() {
        for (mistake, number) in [
            (Mistake::DeepPath, DEPTH),
            (Mistake::NoSeconds, LONGEST_TIMEOUT as usize),
            (Mistake::BadParameter, cmdline::PARAMETERS_SIZE),
            (Mistake::LongLine, LINE_SIZE),
            (Mistake::LongFile, FILE_SIZE as usize),
            (Mistake::LongCmdline, cmdline::CMDLINE_SIZE),
            (Mistake::Section, embedded::SECTION_SIZE),
            (Mistake::LongSection, embedded::TEXT_SIZE),
            (Mistake::TooManyItems, ITEMS),
            (Mistake::TooManySources, SOURCES),
            (Mistake::TooManyDevices, DEVICES),
        ] {
            let (mut said, mut expected) = (Line::new(), Line::new());
            put!(&mut said, Fault::Is(mistake));
            put!(&mut expected, Decimal(number as u32));
            let mut words = said.bytes().split(|&b| b == b' ' || b == b';');
            assert!(words.any(|word| word == expected.bytes()), "{mistake:?}");
        }
    }
}
