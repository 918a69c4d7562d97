//! The machine, as the library sees it: one trait, and the few types that cross it.
//!
//! Everything that pciseize knows or does goes through [`Host`]. The program implements it with system calls (`src/main.rs`), the tests with a model. The calls keep no state
//! between them (no open files, no positions), so that a model of the machine needs none either.

use crate::{
    put,
    text::{Decimal, Line, Show, part},
};

/// A path: absolute, bytes as they are, no NUL in them. One that is longer than [`PATH_SIZE`] gives [`Errno::ENAMETOOLONG`]; no shortened path is ever opened.
pub type Path<'p> = &'p [u8];

/// Most bytes of a path, its final NUL included: room for a drop-in whose name has the 255 bytes that a file name may have, and for any attribute of a PCI device.
pub const PATH_SIZE: usize = 320;

/// What the library may ask of the machine.
///
/// Paths are absolute, as on the machine itself; an implementation may put them below another root.
pub trait Host {
    /// Reads the file at `path` from `offset` on, until `buffer` is full or the file ends. Returns what was read; fewer bytes than `buffer` holds mean that the file ended.
    fn read<'b>(&mut self, path: Path, offset: u64, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno>;

    /// Writes `bytes` into the existing file at `path`, in one `write(2)`: what a sysfs attribute expects.
    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno>;

    /// Reads the target of the symbolic link at `path`. One that does not fit into `buffer` is `ENAMETOOLONG`.
    fn link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno>;

    /// Calls `visit` for every name in the folder at `path`, in no particular order, without `.` and `..`.
    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno>;

    /// Makes the folder at `path`, mode 0755. One that exists already is fine.
    fn make_folder(&mut self, path: Path) -> Result<(), Errno>;

    /// Appends `bytes` to the file at `path`, which is made (mode 0644) if it is not there.
    fn append(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno>;

    /// Gives the file `from` the name `to`, replacing what is there, in one step (`rename(2)`).
    fn rename(&mut self, from: Path, to: Path) -> Result<(), Errno>;

    /// Removes the file at `path`.
    fn remove(&mut self, path: Path) -> Result<(), Errno>;

    /// Gives the module file at `path` to the kernel with `finit_module(2)`. `compressed`: the kernel is to unpack it itself (flag `MODULE_INIT_COMPRESSED_FILE`, Linux 5.17).
    fn load_module(&mut self, path: Path, parameters: &[u8], compressed: bool) -> Result<(), Errno>;

    /// Runs the program at `path` with one argument or two, the second not empty, and waits for its end. What it says is lost: what came of it is looked for.
    ///
    /// # Errors
    /// Why it could not be started; `ECHILD` where it ended otherwise than with status 0.
    fn run(&mut self, path: Path, argument: &[u8], second: &[u8]) -> Result<(), Errno>;

    /// Does tasks side by side: each in a process of its own, with a copy of all that this one has, so that whatever a task does not write with [`Host::note`] is lost. A task is done in turns: `work` is called
    /// with its number until it answers [`Turn::Done`]. A host that can do but one thing at a time may do the turns of all tasks in any order.
    ///
    /// Comes back when all are done, and `seconds` after it began at the latest. What is not done then may still go on; that is no longer waited for.
    fn side_by_side(&mut self, tasks: &mut dyn FnMut() -> Option<usize>, seconds: u32, work: &dyn Fn(&mut Self, usize) -> Turn);

    /// Notes a number at a place, 0 to [`PLACES`] - 1, where all who work side by side can read it.
    ///
    /// The first note at place 0 is what those wait for who answer [`Turn::Wait`], and it is kept: whoever comes later changes nothing.
    fn note(&mut self, place: usize, value: u32);

    /// The number at a place: 0 as long as nobody has noted another.
    fn noted(&mut self, place: usize) -> u32;

    /// What xenstore has at a path, which counts from dom0's own folder. Where it does not answer within some seconds, that is [`Errno::ETIMEDOUT`]. A host without one has nothing there.
    ///
    /// # Errors
    /// `ENOENT` where there is nothing; why it cannot be asked.
    fn xenstore<'b>(&mut self, _path: Path, _buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        Err(Errno::ENOENT)
    }

    /// The command line that Xen itself was booted with.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn xen_cmdline<'b>(&mut self, _buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        Err(Errno::ENOENT)
    }

    /// What standard output is.
    fn terminal(&mut self) -> Terminal {
        Terminal::default()
    }

    /// Gives one line, without its end, to the people who watch: the kernel log in an initramfs, standard error elsewhere.
    fn say(&mut self, level: Level, line: &Line);

    /// Writes result text to standard output.
    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno>;
}

/// Where results go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Its width. 0: no terminal, or one that does not know.
    pub columns: u16,
    /// Whether it may be coloured.
    pub has_colours: bool,
}

/// How many places there are to note something at: one for each device, and one for what all wait for.
pub const PLACES: usize = 8193;

/// What is at place 0 where nobody has noted anything there in time.
pub const LATE: u32 = u32::MAX;

/// How a task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// With another turn.
    Again,
    /// With another turn, as soon as something is noted at place 0. If that is not so within the time that all tasks have, [`LATE`] is, and there is one second more for those who waited.
    Wait,
    /// It is done.
    Done,
}

/// How much a line matters: the kernel log's own levels (`include/linux/kern_levels.h`). [`Level::Error`] shows on the console even under `quiet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something asked for is not so.
    Error = 3,
    /// Worth reading, but everything is as asked.
    Notice = 5,
    /// What was done.
    Info = 6,
}

/// An error number of the kernel's (`errno(3)`), with the names that its PCI, driver and module code gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// None of the kernel's, which are 1 to 4095: what was asked for has not come back, or was not come to.
    pub const STUCK: Errno = Errno(4096);
}

/// Declares the errnos that have a name here. The numbers are those of `asm-generic/errno*.h`: x86, Arm and RISC-V.
macro_rules! errnos {
    ($($name:ident = $number:literal),* $(,)?) => {
        #[allow(missing_docs)]
        impl Errno {
            $(pub const $name: Errno = Errno($number);)*

            /// Every errno that has a name, with that.
            #[cfg(test)]
            const NAMED: &[(Errno, &str)] = &[$((Errno($number), stringify!($name))),*];
        }
    };
}

errnos! {
    EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, ENXIO = 6, ENOEXEC = 8, ECHILD = 10, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17, ENODEV = 19, ENOTDIR = 20,
    EISDIR = 21, EINVAL = 22, ENFILE = 23, EMFILE = 24, ETXTBSY = 26, EFBIG = 27, ENOSPC = 28, ESPIPE = 29, EROFS = 30, ENAMETOOLONG = 36, ENOSYS = 38, ELOOP = 40, EOPNOTSUPP = 95,
    ETIMEDOUT = 110, EKEYREJECTED = 129,
}

/// The name of each errno from 0 on, with blanks between them; what would be 41 to 94 is left out. Many have none: such a list is read with less code than one of pairs.
const NAMES: &str = " EPERM ENOENT  EINTR EIO ENXIO  ENOEXEC  ECHILD EAGAIN ENOMEM EACCES EFAULT  EBUSY EEXIST  ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE  ETXTBSY EFBIG ENOSPC ESPIPE EROFS      \
ENAMETOOLONG  ENOSYS  ELOOP EOPNOTSUPP               ETIMEDOUT                   EKEYREJECTED";

impl Show for Errno {
    fn show(&self, line: &mut Line) {
        if *self == Errno::STUCK {
            return put!(line, "not done in time");
        }
        let place = match self.0 {
            0..41 => self.0,
            95.. => self.0 - 54,
            _ => i32::MAX,
        };
        let name = part(NAMES, b' ', place as usize);
        line.push(if name.is_empty() { b"errno" } else { name });
        put!(line, " (", Decimal(self.0 as u32), ")")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String};

    use super::*;

    #[test]
    fn names_errnos() {
        let shown = |errno: Errno| {
            let mut line = Line::new();
            errno.show(&mut line);
            String::from_utf8_lossy(line.bytes()).into_owned()
        };
        for &(errno, name) in Errno::NAMED {
            assert_eq!(shown(errno), format!("{name} ({})", errno.0));
        }
        for number in [0, 3, 41, 94, 128, 130, 4095] {
            assert_eq!(shown(Errno(number)), format!("errno ({number})"));
        }
    }
}
