//! What can be wrong with what is asked for.
//!
//! One type for parsers and readers, so that one list holds all that was found. `problem.rs` of the
//! request puts the faults into words.

use crate::{host::Errno, pci::address};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An address, or a step of a path, cannot be read.
    Address(address::Fault),
    /// A source cannot be read.
    Unreadable(Errno),
    /// What a function is cannot be read.
    UnreadableIdentity(Errno),
    /// Anything else.
    Is(Mistake),
}

/// What is wrong, for faults without a further value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// An item does not have the form of a selector.
    NoSelector,
    /// An identity has neither a vendor nor a place.
    OpenVendor,
    /// A class has no such name or code.
    NoClass,
    /// A path has more than [`DEPTH`](crate::pci::place::DEPTH) bridges.
    DeepPath,
    /// A path has a `*`.
    OpenPath,
    /// A setting has an unknown name, or the line belongs to another configuration.
    UnknownName,
    /// A line with a `=` is neither a setting nor an item with a name.
    UnknownLine,
    /// A name for guests does not have the form of one.
    BadName,
    /// A name for guests has a meaning of its own.
    ReservedName,
    /// A keep has a name.
    NamedKeep,
    /// Several items have one name.
    AmbiguousName,
    /// There are more names than a request holds.
    TooManyNames,
    /// An item with a name means no function.
    NameOfNone,
    /// An item with a name means no function whose ids can be read, and there are others.
    NameOfUnread,
    /// An item with a name means more than one function.
    NameOfMany,
    /// The function that an item with a name means has the name of another item.
    SecondName,
    /// The function that an item with a name means is not to be seized. This is a notice.
    NameOfUntaken,
    /// A parameter has a name that is nearly one of ours.
    UnknownParameter,
    /// A parameter stands behind the bare `--` that ends the kernel's part of a command line.
    BehindEnd,
    /// A line of `modprobe.d` names the module, and has no options for it.
    NoOptions,
    /// A file in the folder of drop-ins is none by its name. This is a notice.
    OtherName,
    /// A keep matches no function. This is a notice: everything is as asked.
    KeepsNothing,
    /// An item expects another device at its place than other items ask for. This is a notice.
    Overruled,
    /// A guard means no function at its place, but its identity is elsewhere. This is a notice.
    GuardElsewhere,
    /// A guard means no function, and its identity is nowhere. This is a notice.
    GuardNowhere,
    /// It is not known from which disk a file system is. This is a notice.
    Untraced,
    /// It is not known which card carries a default route. This is a notice.
    UntracedRoute,
    /// The table of mounts cannot be read. This is a notice.
    NoMounts,
    /// The module refused its parameters.
    RefusedParameters,
    /// The module was there before, and does not have these parameters.
    OtherParameters,
    /// The module does not show whether it has these parameters.
    UnknownParameters,
    /// A list of items is empty.
    NoItem,
    /// A list of items ends in a comma: what was to follow is no part of it.
    Comma,
    /// A text stands where no parameter does: blanks have cut it off a list of items.
    CutOff,
    /// A text follows a carriage return within a line.
    Return,
    /// A value is neither a yes nor a no.
    NoTruth,
    /// A value is no number of seconds in range.
    NoSeconds,
    /// A parameter cannot be handed to the module.
    BadParameter,
    /// A line is longer than [`LINE_SIZE`](crate::host::lines::LINE_SIZE).
    LongLine,
    /// A line of `modprobe.d` ends in `\`.
    Continued,
    /// A file is longer than [`FILE_SIZE`](crate::host::lines::FILE_SIZE).
    LongFile,
    /// A command line is longer than `CMDLINE_SIZE`.
    LongCmdline,
    /// The embedded configuration has another size, or no end mark at its end.
    Section,
    /// A text does not fit into the embedded configuration.
    LongSection,
    /// There are more items than a request holds.
    TooManyItems,
    /// There are more things that dom0 needs than a request holds.
    TooManyNeeds,
    /// There are more sources than a request holds.
    TooManySources,
    /// There are more functions than a run holds.
    TooManyDevices,
}

impl Fault {
    /// Whether an item cannot be read, so that the text may mean something else.
    pub const fn is_of_item(self) -> bool {
        match self {
            Fault::Address(_) => true,
            Fault::Unreadable(_) | Fault::UnreadableIdentity(_) => false,
            Fault::Is(mistake) => matches!(
                mistake,
                Mistake::NoSelector
                    | Mistake::OpenVendor
                    | Mistake::NoClass
                    | Mistake::DeepPath
                    | Mistake::OpenPath
                    | Mistake::UnknownName
                    | Mistake::UnknownLine
                    | Mistake::BadName
                    | Mistake::ReservedName
                    | Mistake::NamedKeep
            ),
        }
    }
}

impl From<address::Fault> for Fault {
    fn from(fault: address::Fault) -> Fault {
        Fault::Address(fault)
    }
}
