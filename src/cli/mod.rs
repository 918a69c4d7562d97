//! The command line of pciseize itself: one file per command.

pub mod check;
pub mod plan;
pub mod seize;

use core::ffi::CStr;

use heapless::Vec;

use crate::{
    device::Devices,
    host::{Host, Level},
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

  seize           hold the devices asked for and give them to xen-pciback
  plan [--json] [--cmdline TEXT]
                  show what seize would do; TEXT in place of /proc/cmdline
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

/// What the program was called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `seize`
    Seize,
    /// `plan`
    Plan,
    /// `check`
    Check,
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
    /// `--json`
    pub is_json: bool,
    /// `--cmdline`: what is to be read in place of the kernel's command line.
    pub cmdline: Option<&'a CStr>,
    /// The words behind the command: the files for `check`.
    pub operands: Vec<&'a CStr, OPERANDS>,
}

/// The large things that a command keeps. New, all of it is zeros: as a static variable it takes no place in the program's file, and no memory before it is used.
#[derive(Debug)]
pub struct Memory {
    /// What is asked for.
    pub request: Request,
    /// What becomes of it.
    pub devices: Devices,
}

impl Memory {
    /// Empty.
    pub const fn new() -> Memory {
        Memory { request: Request::new(), devices: Devices::new() }
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

impl<'a> Invocation<'a> {
    /// Not called for anything but help.
    pub const fn new() -> Invocation<'a> {
        Invocation { root: None, command: Command::Help, is_json: false, cmdline: None, operands: Vec::new() }
    }

    /// Understands the words, the program's own name left out. `--help` and `--version` win wherever they stand.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn read(&mut self, mut words: impl Iterator<Item = &'a CStr>) -> Result<(), Usage<'a>> {
        let mut command = None;
        let mut wrong = None;
        while let Some(word) = words.next() {
            let bytes = word.to_bytes();
            // The arms go by the order of these words.
            match word_number("seize plan check --help -h --version -V --root --cmdline --json", bytes) {
                Some(number @ 3..=6) => {
                    self.command = if number < 5 { Command::Help } else { Command::Version };
                    return Ok(());
                }
                Some(number @ 7..=8) => {
                    let value = words.next();
                    if value.is_none() {
                        note(&mut wrong, "a value is missing behind", Some(word));
                    }
                    *(if number == 7 { &mut self.root } else { &mut self.cmdline }) = value;
                }
                Some(9) => self.is_json = true,
                Some(number) if command.is_none() => {
                    command = Some(match number {
                        0 => Command::Seize,
                        1 => Command::Plan,
                        _ => Command::Check,
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
            if command != Command::Check && !self.operands.is_empty() {
                note(&mut wrong, "this command takes no", self.operands.first().copied());
            }
            if command != Command::Plan && (self.is_json || self.cmdline.is_some()) {
                note(&mut wrong, "only 'plan' takes --json and --cmdline", None);
            }
        } else {
            note(&mut wrong, "which command?", None);
        }
        wrong.map_or(Ok(()), Err)
    }

    /// Does what was asked for. `embedded` is the binary's own configuration section.
    pub fn run<H: Host>(&self, host: &mut H, memory: &mut Memory, stage: Stage, embedded: &[u8]) -> Exit {
        match self.command {
            Command::Seize => seize::run(host, memory, stage, embedded),
            Command::Plan => plan::run(host, memory, embedded, self.is_json, self.cmdline),
            Command::Check => check::run(host, &mut memory.request, embedded, &self.operands),
            Command::Help => print(host, HELP),
            Command::Version => print(host, VERSION),
        }
    }
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
