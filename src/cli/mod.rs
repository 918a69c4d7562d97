//! The command line of pciseize: one file per command.
//!
//! [`options`] has the tables of words; [`Invocation`] understands a command line by them.

pub mod add;
pub mod alone;
pub mod check;
pub mod drop_in;
pub mod first;
pub mod guest_config;
pub mod images;
pub mod list;
pub mod name_guests;
pub mod options;
pub mod plan;
pub mod release;
pub mod remove;
pub mod seize;
pub mod show;
pub mod status;

use core::ffi::CStr;

use heapless::Vec;

use crate::{
    device::{Device, Devices},
    facts::{
        groups::Groups,
        names::Names,
        usage::{Usage, Uses},
    },
    host::{Console, Errno, Host, Level, Terminal},
    pci::Address,
    pciback::Answer,
    plan::{Extent, behind::BehindList, rivals::Rivals, warnings::WarningList},
    put,
    report::{Kind, Report, Stage},
    request::{Request, Selector, names::GuestName, syntax::name::Name},
    say,
    text::{Escaped, Line, split_once},
};
pub use options::{Along, Command, Form, Naming, Since};
use options::{
    CommandSpec, OPTIONS, Operands, OptionSpec, Setting, find_command, find_option, print_help,
};
use remove::Removal;

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
        if is_as_asked {
            Exit::AsAsked
        } else {
            Exit::NotAsAsked
        }
    }
}

/// Whether `seize` takes what is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// It does: `--force`.
    Yes,
    /// It does not.
    No,
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
    /// Whether it takes what is in use.
    pub force: Force,
    /// What is to be read in place of the kernel's command line.
    pub cmdline: Option<&'a CStr>,
    /// How devices that are to be asked for are named.
    pub naming: Naming,
    /// What is asked for along with them.
    pub along: Along,
    /// When they are taken.
    pub since: Since,
    /// The name that a device gets for guests.
    pub name: Option<&'a CStr>,
    /// The words behind the command: the files for `check`, the addresses for `release` and
    /// `seize`.
    pub operands: Vec<&'a CStr, OPERANDS>,
}

/// The large things that a command keeps. New, all of it is zeros: as a static variable it takes no
/// place in the file of the program, and no memory before it is used.
#[derive(Debug)]
pub struct Memory {
    /// What is asked for.
    pub request: Request,
    /// What becomes of it.
    pub devices: Devices,
    /// What dom0 uses.
    pub usage: Usage,
    /// How it is called.
    pub names: Names,
    /// What an IOMMU cannot tell apart.
    pub groups: Groups,
    /// What a plan warns of.
    pub warnings: WarningList,
    /// Who else asks for devices.
    pub rivals: Rivals,
    /// What is behind refused bridges.
    pub behind: BehindList,
    /// What `remove` takes out.
    pub removal: Removal,
}

impl Memory {
    /// Empty.
    pub const fn new() -> Memory {
        Memory {
            request: Request::new(),
            devices: Devices::new(),
            usage: Usage::new(),
            names: Names::new(),
            groups: Groups::new(),
            warnings: WarningList::new(),
            rivals: Rivals::new(),
            behind: BehindList::new(),
            removal: Removal::new(),
        }
    }

    /// Forgets everything, for another command.
    pub fn clear(&mut self) {
        self.request.clear();
        self.devices.clear();
        self.usage.clear();
        self.names.clear();
    }

    /// Reads what is asked for and what dom0 uses, and decides on each function as a boot does.
    /// `cmdline`: what is read in place of the kernel's command line. `how`: what a device is not
    /// taken away from, unless the user forces it, and which functions are looked at.
    ///
    /// # Errors
    /// Why the bus cannot be listed. Each item tells of that too.
    pub fn survey<H: Host>(
        &mut self,
        host: &mut H,
        embedded: &[u8],
        cmdline: Option<&CStr>,
        how: (Uses, Extent),
    ) -> Result<(), Errno> {
        let cmdline = cmdline.map(CStr::to_bytes);
        self.request.gather(host, embedded, cmdline);
        self.decide(host, how)
    }

    /// The same for a request that has been read.
    ///
    /// # Errors
    /// As [`Memory::survey`].
    pub fn decide<H: Host>(
        &mut self,
        host: &mut H,
        (uses, extent): (Uses, Extent),
    ) -> Result<(), Errno> {
        let Memory {
            request,
            devices,
            usage,
            ..
        } = self;
        usage.gather(host, forbidden(request, uses));
        crate::plan::find_virtuals(host, request, usage);
        crate::plan::survey(host, request, usage, devices, extent)
    }

    /// The report of what is known, where nothing was done.
    // 248 bytes less of the program: some callers would each have a copy.
    #[inline(never)]
    pub fn report(&self, kind: Kind, is_dom0: bool) -> Report<'_> {
        Report {
            kind,
            request: &self.request,
            devices: &self.devices,
            names: &self.names,
            groups: &self.groups,
            usage: &self.usage,
            warnings: &self.warnings,
            rivals: &self.rivals,
            behind: &self.behind,
            is_dom0,
            nameless: None,
            stage: Stage::Host,
            pciback: Answer::Ready,
            image: None,
            terminal: Terminal::default(),
        }
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

/// What is wrong with the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongUsage<'a> {
    /// What is wrong.
    pub message: &'static str,
    /// The offending word; `None` if a word is missing.
    pub word: Option<&'a CStr>,
}

impl WrongUsage<'_> {
    /// Tells it.
    pub fn tell<H: Console>(&self, host: &mut H) {
        let mut line = Line::new();
        put!(&mut line, "{}", self.message);
        if let Some(word) = self.word {
            put!(&mut line, " '{}'", Escaped(word.to_bytes()));
        }
        put!(&mut line, "; see 'pciseize --help'");
        host.say(Level::Error, &line);
    }
}

impl<'a> Invocation<'a> {
    /// No word read yet: the command is `Help`.
    pub const fn new() -> Invocation<'a> {
        Invocation {
            root: None,
            command: Command::Help,
            form: Form::Text,
            force: Force::No,
            cmdline: None,
            naming: Naming::IdentityAtPath,
            along: Along::Nothing,
            since: Since::NextBoot,
            name: None,
            operands: Vec::new(),
        }
    }

    /// Understands the words, the program's own name left out. `--help` and `--version` win
    /// wherever they stand.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn read(
        &mut self,
        mut words: impl Iterator<Item = &'a CStr>,
    ) -> Result<(), WrongUsage<'a>> {
        let mut reading = Reading::default();
        let mut first_wrong = Ok(());
        while let Some(word) = words.next() {
            let bytes = word.to_bytes();
            let wrong = if reading.has_ended || !bytes.starts_with(b"-") {
                self.read_word(&mut reading, word)
            } else if bytes == b"--" {
                reading.has_ended = true;
                None
            } else if let Some((spec, attached)) = find_written_option(word) {
                let value = match (spec.value, attached) {
                    (Some(_), None) => words.next(),
                    _ => attached,
                };
                reading.note_option(spec, word);
                match spec.setting {
                    Setting::Command(command) => {
                        self.command = command;
                        return Ok(());
                    }
                    Setting::Root => self.root = value,
                    Setting::Cmdline => self.cmdline = value,
                    Setting::Form(form) => self.form = form,
                    Setting::Force => self.force = Force::Yes,
                    Setting::Naming(naming) => self.naming = naming,
                    Setting::Along(along) => self.along = along,
                    Setting::Since(since) => self.since = since,
                    Setting::Name => self.name = value,
                }
                match (spec.value, value) {
                    (Some(_), None) => Some("a value is missing behind"),
                    (None, Some(_)) => Some("no value can stand in"),
                    _ => None,
                }
            } else {
                Some("no such option")
            };
            if let (Some(message), Ok(())) = (wrong, first_wrong) {
                let word = Some(word);
                first_wrong = Err(WrongUsage { message, word });
            }
        }
        if let Some(spec) = reading.command {
            self.command = spec.command;
        }
        first_wrong.and_then(|()| self.check(&reading))
    }

    /// Reads a word that is no option: the command, or what stands behind it. Gives back what is
    /// wrong with it.
    fn read_word(&mut self, reading: &mut Reading<'a>, word: &'a CStr) -> Option<&'static str> {
        if reading.command.is_none() {
            reading.command = find_command(word.to_bytes());
            return reading.command.is_none().then_some("no such command");
        }
        let taken = self.operands.push(word);
        taken.is_err().then_some("too many words, from")
    }

    /// Checks that the command takes all that was written.
    fn check(&self, reading: &Reading<'a>) -> Result<(), WrongUsage<'a>> {
        let wrong = |message, word| Err(WrongUsage { message, word });
        let Some(spec) = reading.command else {
            return wrong("which command?", None);
        };
        let is_foreign = |(option, _): &&(&OptionSpec, _)| !option.commands.includes(spec.command);
        if let Some(&(_, word)) = reading.options.iter().find(is_foreign) {
            return wrong("this command does not take", Some(word));
        }
        let has_alternative = |(option, _): &&(&OptionSpec, _)| {
            let mut others = reading.options.iter();
            others.any(|(other, _)| option.is_alternative_to(other))
        };
        if let Some(&(_, word)) = reading.options.iter().filter(has_alternative).nth(1) {
            return wrong("an option before it rules out", Some(word));
        }
        match (spec.operands, self.operands.first()) {
            (Operands::None, Some(&word)) => wrong("this command takes no", Some(word)),
            (Operands::Some(_), None) => wrong("which device?", None),
            _ => Ok(()),
        }
    }

    /// Does what was asked for. `embedded` is the configuration inside the binary.
    pub fn run<H: Host>(
        &self,
        host: &mut H,
        memory: &mut Memory,
        stage: Stage,
        embedded: &[u8],
    ) -> Exit {
        match self.command {
            Command::Seize => match read_addresses(&self.operands) {
                Ok(only) => {
                    let boot = seize::Run {
                        stage,
                        force: self.force,
                        only: &only,
                    };
                    seize::run(host, memory, embedded, boot)
                }
                Err(wrong) => {
                    wrong.tell(host);
                    Exit::Usage
                }
            },
            Command::Plan => in_own_frame(|| plan::run(host, memory, embedded, self)),
            Command::List => in_own_frame(|| list::run(host, memory, embedded, self.form)),
            Command::Status => in_own_frame(|| status::run(host, memory, embedded, self.form)),
            Command::Show => in_own_frame(|| show::run(host, memory, embedded, self)),
            Command::Add => in_own_frame(|| add::run(host, memory, stage, embedded, self)),
            Command::Remove => in_own_frame(|| remove::run(host, memory, embedded, &self.operands)),
            Command::GuestConfig => {
                in_own_frame(|| guest_config::run(host, memory, embedded, self))
            }
            Command::NameGuests => in_own_frame(|| name_guests::run(host, memory, embedded)),
            Command::Release => {
                in_own_frame(|| release::run(host, memory, embedded, &self.operands))
            }
            Command::Check => check::run(host, &mut memory.request, embedded, &self.operands),
            Command::Help => Exit::of(print_help(&mut |bytes| host.print(bytes)).is_ok()),
            Command::Version => Exit::of(host.print(VERSION.as_bytes()).is_ok()),
        }
    }
}

/// Runs a command in a frame of its own on the stack.
// 40 KiB less memory of a seizure, which would have the buffers of all commands on its stack.
#[inline(never)]
fn in_own_frame(command: impl FnOnce() -> Exit) -> Exit {
    command()
}

impl Default for Invocation<'_> {
    fn default() -> Self {
        Invocation::new()
    }
}

/// What was found so far in a command line.
#[derive(Default)]
struct Reading<'a> {
    command: Option<&'static CommandSpec>,
    /// Each option that was written, once, with the word.
    options: Vec<(&'static OptionSpec, &'a CStr), { OPTIONS.len() }>,
    /// Whether `--` was written: what follows is no option, whatever it begins with.
    has_ended: bool,
}

/// The option that a word writes, and the value in the same word: `--root=DIR`.
fn find_written_option(word: &CStr) -> Option<(&'static OptionSpec, Option<&CStr>)> {
    match split_once(word.to_bytes_with_nul(), b'=') {
        Some((name, value)) => Some((find_option(name)?, CStr::from_bytes_with_nul(value).ok())),
        None => Some((find_option(word.to_bytes())?, None)),
    }
}

impl<'a> Reading<'a> {
    /// Notes an option.
    fn note_option(&mut self, spec: &'static OptionSpec, word: &'a CStr) {
        if !self
            .options
            .iter()
            .any(|(known, _)| known.name == spec.name)
        {
            // There is room for each of the table.
            let _ = self.options.push((spec, word));
        }
    }
}

/// Addresses on the command line.
type Addresses = Vec<Address, OPERANDS>;

/// Reads words that have to be addresses.
fn read_addresses<'a>(words: &[&'a CStr]) -> Result<Addresses, WrongUsage<'a>> {
    let mut addresses = Addresses::new();
    for word in words {
        let wrong = WrongUsage {
            message: "not an address",
            word: Some(word),
        };
        let address = Address::parse(word.to_bytes()).map_err(|_| wrong)?;
        // There is room for as many words as are taken.
        let _ = addresses.push(address);
    }
    Ok(addresses)
}

/// Checks that each word is a selector, which may name devices of the machine.
fn check_selectors<'a>(words: &[&'a CStr]) -> Result<(), WrongUsage<'a>> {
    const MESSAGE: &str = "expected an address (03:00.0), a path, ids (10de:1b80) or a class \
                           (class:usb), not";
    check_words(words, &is_selector, MESSAGE)
}

/// Checks that each word is a selector, or the name for guests of an item of the request. Where not
/// all of that could be read, it may be the name of any.
fn check_devices<'a>(words: &[&'a CStr], request: &Request) -> Result<(), WrongUsage<'a>> {
    const MESSAGE: &str = "expected an address (03:00.0), a path, ids (10de:1b80), a class \
                           (class:usb) or a name that an item has, not";
    let may_be_name = |word: &[u8]| match Name::parse(word) {
        Ok(name) => request.names.find(&name).is_some() || !request.problems.is_empty(),
        Err(_) => false,
    };
    check_words(
        words,
        &|word| is_selector(word) || may_be_name(word),
        MESSAGE,
    )
}

fn is_selector(word: &[u8]) -> bool {
    Selector::parse(word).is_ok()
}

fn check_words<'a>(
    words: &[&'a CStr],
    is_fine: &dyn Fn(&[u8]) -> bool,
    message: &'static str,
) -> Result<(), WrongUsage<'a>> {
    let mut wrong = words.iter().filter(|word| !is_fine(word.to_bytes()));
    let word = wrong.next().copied();
    word.map_or(Ok(()), |_| Err(WrongUsage { message, word }))
}

/// The selector that a word is, or that the item of that name has: a name means what its item does.
/// A name that two items have, or that may mean more than one device, means none.
fn selector_of(word: &CStr, request: &Request) -> Option<Selector> {
    let is_of_one = name_of(word, request).is_none_or(GuestName::is_of_one);
    selector_to_show(word, request).filter(|_| is_of_one)
}

/// The same for a command that touches no device: such a name means what its first item does.
fn selector_to_show(word: &CStr, request: &Request) -> Option<Selector> {
    let selector_of_name = || {
        let item = name_of(word, request)?.item;
        Some(request.items.get(usize::from(item))?.selector.clone())
    };
    Selector::parse(word.to_bytes())
        .ok()
        .or_else(selector_of_name)
}

/// The name that a word is. No selector is one.
fn name_of<'r>(word: &CStr, request: &'r Request) -> Option<&'r GuestName> {
    let name = Name::parse(word.to_bytes()).ok()?;
    request.names.get(request.names.find(&name)?)
}

/// What is to be said of a word that means no device.
fn why_meaningless(word: &CStr, request: &Request) -> &'static str {
    match name_of(word, request) {
        Some(name) if !name.is_of_one() => {
            "the name does not mean one device; pciseize plan says why"
        }
        None if !is_selector(word.to_bytes()) => "no device has this name",
        _ => "no such device; see pciseize list",
    }
}

/// Whether a word means a device of the machine. A selector that means more than a slot means only
/// what pciback has or may have: anything else is none of our business.
fn means(word: &CStr, request: &Request, device: &Device, is_ours: bool) -> bool {
    selector_of(word, request).is_some_and(|selector| {
        let is_meant = selector.is_in_one_slot() || is_ours;
        is_meant && is_meant_by(device, &selector)
    })
}

/// Whether a function of the machine is meant by a selector.
fn is_meant_by(device: &Device, selector: &Selector) -> bool {
    let candidate = device.candidate();
    let is_there = device.function.is_there;
    is_there && selector.is_at(&candidate) && selector.is_expected(&candidate)
}

/// The uses that a device is not given away for: none, where the user forces it.
fn forbidden(request: &Request, uses: Uses) -> Uses {
    if request.switches.force {
        Uses::NONE
    } else {
        uses
    }
}

/// Whether `seize` does nothing here, whatever is asked for. Then that is said.
fn is_idle<H: Console>(host: &mut H, is_dom0: bool, request: &Request) -> bool {
    let why = match (is_dom0, request.switches.off) {
        (false, _) => "not a Xen dom0",
        (true, true) => "switched off",
        (true, false) => return false,
    };
    say!(host, Level::Notice, "{}: no device is touched", why);
    true
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::format;

    use super::*;
    use crate::{
        host::testing::{Machine, boxed},
        request::source::embedded::section,
    };

    /// What a command line means: root, command, number of operands.
    fn read<'a>(words: &[&'a CStr]) -> Result<(Option<&'a CStr>, Command, usize), &'static str> {
        let mut invocation = Invocation::new();
        invocation
            .read(words.iter().copied())
            .map_err(|usage| usage.message)?;
        Ok((
            invocation.root,
            invocation.command,
            invocation.operands.len(),
        ))
    }

    /// What a command finds after another is what it would find alone.
    #[test]
    fn forgets_everything() {
        let mut host = Machine::new();
        host.function("pci0000:00/0000:00:04.0", "8086:10d3", "020000");
        host.file(
            "/etc/xen/pciback.boot",
            "8086:10d3@00:05.0\nroute = 00:06.0\n",
        );
        let text = "nic = 00:04.0\n!class:usb\nnonsense\nstrict = yes\nclass:network\n!!\n";
        host.file("/etc/xen/pciback.conf", text);
        host.file(
            "/etc/modprobe.d/a.conf",
            "options xen-pciback passthrough=1\n",
        );
        host.file("/usr/share/pci.ids", "8086  Intel\n\t10d3  82574L\n");
        let embedded = section(b"").expect("room");
        let mut memory = boxed(Memory::new);
        let shown = |memory: &Memory| format!("{memory:?}");
        let new = shown(&memory);
        let mut look = |memory: &mut Memory| {
            let walked = drop_in::survey(&mut host, memory, &embedded);
            assert_eq!(walked, Ok(()));
            memory.names.find(&mut host, &mut memory.devices);
            shown(memory)
        };
        let first = look(&mut memory);
        memory.clear();
        assert!(shown(&memory) == new, "something is left");
        assert!(look(&mut memory) == first, "another look finds the same");
    }

    #[test]
    fn understands_its_words() {
        for (words, meaning) in [
            (&[c"seize"][..], Ok((None, Command::Seize, 0))),
            (
                &[c"--root", c"/x", c"check", c"a", c"b"],
                Ok((Some(c"/x"), Command::Check, 2)),
            ),
            (
                &[c"check", c"--root", c"/x"],
                Ok((Some(c"/x"), Command::Check, 0)),
            ),
            (
                &[c"list", c"--json", c"--json"],
                Ok((None, Command::List, 0)),
            ),
            (
                &[c"--root=/x", c"plan", c"--cmdline=a=b"],
                Ok((Some(c"/x"), Command::Plan, 0)),
            ),
            (&[c"check", c"--ROOT="], Ok((Some(c""), Command::Check, 0))),
            (
                &[c"check", c"--", c"--json", c"--"],
                Ok((None, Command::Check, 2)),
            ),
            (&[c"--", c"list"], Ok((None, Command::List, 0))),
            (&[c"--", c"--help"], Err("no such command")),
            (&[c"list", c"--"], Ok((None, Command::List, 0))),
            (&[c"list", c"--json=yes"], Err("no value can stand in")),
            (&[c"list", c"--nonsense=yes"], Err("no such option")),
            (&[c"nonsense", c"--help"], Ok((None, Command::Help, 0))),
            (&[c"seize", c"-V"], Ok((None, Command::Version, 0))),
            (&[], Err("which command?")),
            (&[c"release"], Err("which device?")),
            (&[c"status", c"x"], Err("this command takes no")),
            (&[c"seize", c"--json"], Err("this command does not take")),
            (&[c"sieze"], Err("no such command")),
            (&[c"seize", c"-x"], Err("no such option")),
            (&[c"seize", c"--root"], Err("a value is missing behind")),
        ] {
            assert_eq!(read(words), meaning, "{words:?}");
        }
    }
}
