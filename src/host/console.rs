//! What people and programs read.

use super::Errno;
use crate::text::Line;

/// Where results go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Its width. 0: standard output is no terminal.
    pub columns: u16,
    /// Whether it may be coloured.
    pub has_colours: bool,
}

impl Terminal {
    /// Whether there is none: the text goes into a pipe or a file.
    pub const fn is_none(self) -> bool {
        self.columns == 0
    }
}

/// How much a line matters: levels of the kernel log (`include/linux/kern_levels.h`).
/// [`Level::Error`] shows on the console even under `quiet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something asked for is not so.
    Error = 3,
    /// Worth reading, but everything is as asked.
    Notice = 5,
    /// What was done.
    Info = 6,
}

impl Level {
    /// How much a line matters that tells how something has ended.
    pub const fn of(is_as_asked: bool) -> Level {
        if is_as_asked {
            Level::Info
        } else {
            Level::Error
        }
    }
}

/// Messages and results.
pub trait Console {
    /// What standard output is.
    fn terminal(&mut self) -> Terminal {
        Terminal::default()
    }

    /// Gives one line, without its end, to the people who watch: to the kernel log in an initramfs,
    /// to standard error elsewhere.
    fn say(&mut self, level: Level, line: &Line);

    /// Writes result text to standard output.
    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno>;
}
