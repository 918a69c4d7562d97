//! The command line of pciseize itself: one file per command.

pub mod check;
pub mod list;
pub mod plan;
pub mod release;
pub mod seize;
pub mod status;

use core::ffi::CStr;

use heapless::Vec;

use crate::{
    device::{Devices, Step},
    host::{Host, Level},
    names::Names,
    needs::Needs,
    pci::bus,
    put,
    report::Stage,
    request::Request,
    say,
    text::{Either, Line, Shown, word_number},
};

/// What `--help` prints. It fits a screen of 80 columns and 24 lines.
pub const HELP: &str = "\
Usage: pciseize [--root DIR] COMMAND

Takes PCI devices away from a Xen dom0, for guests to have them.

  list [--json | --boot]
                  show every device, and what dom0 needs it for
  plan [--json | --warnings] [--cmdline TEXT]
                  show what a boot would do; TEXT in place of /proc/cmdline
  seize [--force] hold the devices asked for and give them to xen-pciback,
                  with --force also those that are in use
  status [--json] show what became of them, and whether the image is current
  release ADDRESS...
                  give devices back to dom0
  check [FILE...] read the configuration and report every problem in it;
                  without FILE: everything that seize would read

  --root DIR      put DIR in front of every path that is read or written
  --help, --version

Devices are asked for in /etc/xen/pciback.conf: see pciback.conf(5).

Exit status: 0 all is as asked, 1 not so, 2 wrong usage, 3 as 1 and 'strict'.
";

/// What `--version` prints.
pub const VERSION: &str = concat!("pciseize ", env!("CARGO_PKG_VERSION"), "\n");

/// Most words behind a command.
pub const OPERANDS: usize = 256;

/// The exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is as asked.
    AsAsked = 0,
    /// Something asked for is not so: a device, or a bad item.
    NotAsAsked = 1,
    /// Wrong usage.
    Usage = 2,
    /// As [`Exit::NotAsAsked`], and `strict` asks for the boot to stop.
    Strict = 3,
}

impl Exit {
    /// Whether all is as asked.
    const fn of(is_as_asked: bool) -> Exit {
        if is_as_asked { Exit::AsAsked } else { Exit::NotAsAsked }
    }
}

/// How a command tells what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs: `--json`.
    Json,
    /// Of a plan, what somebody may miss, a line for each device: `--warnings`.
    Warnings,
    /// Of a list, an item for each function that the system boots from: `--boot`.
    Boot,
}

/// What the program was called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `seize`
    Seize,
    /// `plan`
    Plan,
    /// `check`
    Check,
    /// `list`
    List,
    /// `status`
    Status,
    /// `release`
    Release,
    /// `--help`
    Help,
    /// `--version`
    Version,
}

/// The words of the command line, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation<'a> {
    /// The folder to put in front of every path.
    pub root: Option<&'a CStr>,
    /// The command.
    pub command: Command,
    /// How it is to tell what it finds.
    pub form: Form,
    /// `--force`
    pub is_forced: bool,
    /// `--cmdline`: what is to be read in place of the kernel's command line.
    pub cmdline: Option<&'a CStr>,
    /// The words behind the command: the files for `check`, the addresses for `release`.
    pub operands: Vec<&'a CStr, OPERANDS>,
}

/// The large things that a command keeps. New, all of it is zeros: as a static variable it takes no place in the program's file, and no memory before it is used.
#[derive(Debug)]
pub struct Memory {
    /// What is asked for.
    pub request: Request,
    /// What becomes of it.
    pub devices: Devices,
    /// What dom0 uses.
    pub needs: Needs,
    /// How it is called.
    pub names: Names,
}

impl Memory {
    /// Empty.
    pub const fn new() -> Memory {
        Memory { request: Request::new(), devices: Devices::new(), needs: Needs::new(), names: Names::new() }
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

/// What is wrong with the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage<'a> {
    /// What is wrong.
    pub message: &'static str,
    /// With which word, where it is not one that is missing.
    pub word: Option<&'a CStr>,
}

impl Usage<'_> {
    /// Tells it.
    pub fn tell<H: Host>(&self, host: &mut H) {
        let mut line = Line::new();
        put!(&mut line, Either(self.message));
        if let Some(word) = self.word {
            put!(&mut line, " '", Shown(word.to_bytes()), "'");
        }
        put!(&mut line, "; see 'pciseize --help'");
        host.say(Level::Error, &line);
    }
}

/// The options, and behind them the commands in their order.
const WORDS: &str = "--help -h --version -V --root --cmdline --json --warnings --boot --force seize plan check list status release";

/// The commands that take each option: a bit for each.
const TAKERS: [u8; 10] = {
    const ALL: u8 = u8::MAX;
    const PLAN: u8 = 1 << Command::Plan as u8;
    const LIST: u8 = 1 << Command::List as u8;
    [ALL, ALL, ALL, ALL, ALL, PLAN, PLAN | LIST | 1 << Command::Status as u8, PLAN, LIST, 1 << Command::Seize as u8]
};

impl<'a> Invocation<'a> {
    /// Not called for anything but help.
    pub const fn new() -> Invocation<'a> {
        Invocation { root: None, command: Command::Help, form: Form::Text, is_forced: false, cmdline: None, operands: Vec::new() }
    }

    /// Understands the words, the program's own name left out. `--help` and `--version` win wherever they stand.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn read(&mut self, mut words: impl Iterator<Item = &'a CStr>) -> Result<(), Usage<'a>> {
        let mut command = None;
        let mut wrong = None;
        // The last option, and the commands that take all that there were.
        let (mut option, mut takers) = (None, u8::MAX);
        while let Some(word) = words.next() {
            let bytes = word.to_bytes();
            let number = word_number(WORDS, bytes);
            if let Some(commands) = number.and_then(|number| TAKERS.get(number)) {
                (option, takers) = (Some(word), takers & commands);
            }
            // The arms go by the order of these words.
            match number {
                Some(number @ 0..=3) => {
                    self.command = if number < 2 { Command::Help } else { Command::Version };
                    return Ok(());
                }
                Some(number @ 4..=5) => {
                    let value = words.next();
                    if value.is_none() {
                        note(&mut wrong, "a value is missing behind", Some(word));
                    }
                    *(if number == 4 { &mut self.root } else { &mut self.cmdline }) = value;
                }
                Some(number @ 6..=9) => {
                    self.is_forced |= number == 9;
                    self.form = match number {
                        6 => Form::Json,
                        7 => Form::Warnings,
                        8 => Form::Boot,
                        _ => Form::Text,
                    };
                }
                Some(number) if command.is_none() => {
                    command = Some(match number {
                        10 => Command::Seize,
                        11 => Command::Plan,
                        12 => Command::Check,
                        13 => Command::List,
                        14 => Command::Status,
                        _ => Command::Release,
                    });
                }
                _ if bytes.first() == Some(&b'-') => note(&mut wrong, "no such option", Some(word)),
                _ if command.is_none() => note(&mut wrong, "no such command", Some(word)),
                _ if self.operands.push(word).is_err() => note(&mut wrong, "too many words, from", Some(word)),
                _ => {}
            }
        }
        if let Some(command) = command {
            self.command = command;
            match self.operands.first() {
                Some(word) if !matches!(command, Command::Check | Command::Release) => note(&mut wrong, "this command takes no", Some(word)),
                None if command == Command::Release => note(&mut wrong, "which address?", None),
                _ => {}
            }
            if let Some(option) = option.filter(|_| takers & 1 << command as u8 == 0) {
                note(&mut wrong, "this command does not take", Some(option));
            }
        } else {
            note(&mut wrong, "which command?", None);
        }
        wrong.map_or(Ok(()), Err)
    }

    /// Does what was asked for. `embedded` is the binary's own configuration section.
    pub fn run<H: Host>(&self, host: &mut H, memory: &mut Memory, stage: Stage, embedded: &[u8]) -> Exit {
        match self.command {
            Command::Seize => seize::run(host, memory, stage, embedded, self.is_forced),
            Command::Plan => plan::run(host, memory, embedded, self.form, self.cmdline),
            Command::List => list::run(host, memory, embedded, self.form),
            Command::Status => status::run(host, memory, embedded, self.form),
            Command::Release => release::run(host, memory, embedded, &self.operands),
            Command::Check => check::run(host, &mut memory.request, embedded, &self.operands),
            Command::Help => print(host, HELP),
            Command::Version => print(host, VERSION),
        }
    }
}

/// Decides on every function, and reads which driver has it. Nothing is touched.
#[inline(never)]
fn survey<H: Host>(host: &mut H, request: &mut Request, needs: &mut Needs, devices: &mut Devices, is_whole: bool) {
    crate::plan::make(host, request, needs, devices, is_whole, &mut |host, device| {
        let read = bus::driver(host, device.address, &mut device.driver);
        device.note(Step::Driver, read);
    });
}

/// Whether `seize` has nothing to do here, whatever is asked for. Then that is said.
#[inline(never)]
fn is_idle<H: Host>(host: &mut H, is_dom0: bool, request: &Request) -> bool {
    let why = match (is_dom0, request.switches.off) {
        (false, _) => "not a Xen dom0",
        (true, true) => "switched off",
        (true, false) => return false,
    };
    say!(host, Level::Notice, Either(why), ": no device is touched");
    true
}

/// Notes what is wrong, if nothing was before.
#[inline(never)]
fn note<'a>(wrong: &mut Option<Usage<'a>>, message: &'static str, word: Option<&'a CStr>) {
    if wrong.is_none() {
        *wrong = Some(Usage { message, word });
    }
}

impl Default for Invocation<'_> {
    fn default() -> Self {
        Invocation::new()
    }
}

fn print<H: Host>(host: &mut H, text: &str) -> Exit {
    Exit::of(host.print(text.as_bytes()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(words: &[&'a CStr]) -> Result<(Option<&'a CStr>, Command, usize), &'static str> {
        let mut invocation = Invocation::new();
        invocation.read(words.iter().copied()).map_err(|usage| usage.message)?;
        Ok((invocation.root, invocation.command, invocation.operands.len()))
    }

    #[test]
    fn understands_its_words() {
        assert_eq!(of(&[c"seize"]), Ok((None, Command::Seize, 0)));
        assert_eq!(of(&[c"--root", c"/x", c"check", c"a", c"b"]), Ok((Some(c"/x"), Command::Check, 2)));
        assert_eq!(of(&[c"check", c"--root", c"/x"]), Ok((Some(c"/x"), Command::Check, 0)));
        assert_eq!(of(&[c"nonsense", c"--help"]), Ok((None, Command::Help, 0)));
        assert_eq!(of(&[]), Err("which command?"));
        assert_eq!(of(&[c"seize", c"x"]), Err("this command takes no"));
        assert_eq!(of(&[c"sieze"]), Err("no such command"));
        assert_eq!(of(&[c"seize", c"-x"]), Err("no such option"));
        assert_eq!(of(&[c"seize", c"--root"]), Err("a value is missing behind"));
    }

    #[test]
    fn help_fits_a_screen() {
        assert!(HELP.lines().count() <= 24);
        assert!(HELP.lines().all(|line| line.len() <= 80));
    }
}
