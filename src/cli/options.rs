//! The words of the command line: one table of commands and one of options, from which the words
//! are understood and `--help` is printed.
//!
//! Tests hold manual page and completion to the same tables.

use crate::{
    host::Errno,
    put,
    report::{
        layout::pad,
        sink::{Out, Sink},
    },
    text::{Line, is_word},
};

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `list`
    List,
    /// `show`
    Show,
    /// `plan`
    Plan,
    /// `add`
    Add,
    /// `remove`
    Remove,
    /// `seize`
    Seize,
    /// `status`
    Status,
    /// `release`
    Release,
    /// `guest-config`
    GuestConfig,
    /// `name-guests`
    NameGuests,
    /// `check`
    Check,
    /// `--help`
    Help,
    /// `--version`
    Version,
}

/// How a command tells what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// The same, of a list, with the bridges also on a terminal.
    All,
    /// For programs.
    Json,
    /// Of a plan, what somebody may miss, a line for each device.
    Warnings,
    /// Of a list, an item for each function that the host boots from.
    Boot,
    /// Of a list, the names of its functions, as pci.ids(5) has them.
    Names,
    /// Of a guest's configuration, the elements of libvirt.
    Libvirt,
}

/// How an item names a device that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// By its identity and its path: only this device, and only there.
    #[default]
    IdentityAtPath,
    /// By its address.
    Address,
    /// By its identity.
    Identity,
}

/// What is asked for along with a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Along {
    /// Nothing.
    #[default]
    Nothing,
    /// The other functions of its slot.
    Slot,
    /// What an IOMMU cannot tell from it.
    Group,
}

/// When what is asked for is to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// From the next boot on.
    #[default]
    NextBoot,
    /// At once.
    Now,
}

/// The words behind a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// None.
    None,
    /// Any number, called so in the help.
    Any(&'static str),
    /// At least one, called so in the help.
    Some(&'static str),
}

/// A command: how it is called, and what it takes.
#[derive(Debug)]
pub struct CommandSpec {
    /// Its name.
    pub name: &'static str,
    /// Which one.
    pub command: Command,
    /// What stands behind it.
    pub operands: Operands,
    /// What it does, in a line of the help.
    pub help: &'static str,
}

/// What an option changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The command itself, whatever else is written.
    Command(Command),
    /// The folder in front of every path.
    Root,
    /// What is read in place of the kernel's command line.
    Cmdline,
    /// How the result is told.
    Form(Form),
    /// What is in use is taken too.
    Force,
    /// How a device is named.
    Naming(Naming),
    /// What goes along with it.
    Along(Along),
    /// When it is taken.
    Since(Since),
    /// Its name for guests.
    Name,
}

/// Which commands take an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenBy {
    /// All.
    All,
    /// These.
    These(&'static [Command]),
}

impl TakenBy {
    /// Whether a command takes the option.
    pub fn includes(self, command: Command) -> bool {
        match self {
            TakenBy::All => true,
            TakenBy::These(commands) => commands.contains(&command),
        }
    }
}

/// An option: how it is called, and who takes it.
#[derive(Debug)]
pub struct OptionSpec {
    /// Its name.
    pub name: &'static str,
    /// Its short name, if it has one.
    pub short: Option<&'static str>,
    /// How its value is called in the help, if it has one.
    pub value: Option<&'static str>,
    /// What it changes.
    pub setting: Setting,
    /// Which commands take it.
    pub commands: TakenBy,
}

impl OptionSpec {
    /// Whether both say the same thing, each in its way: of such options one can be chosen.
    pub fn is_alternative_to(&self, other: &OptionSpec) -> bool {
        let is_same_kind = matches!(
            (self.setting, other.setting),
            (Setting::Form(_), Setting::Form(_))
                | (Setting::Naming(_), Setting::Naming(_))
                | (Setting::Along(_), Setting::Along(_))
        );
        is_same_kind && self.name != other.name
    }
}

/// The commands, in the order of the help.
pub const COMMANDS: [CommandSpec; 11] = [
    CommandSpec {
        name: "list",
        command: Command::List,
        operands: Operands::None,
        help: "show every device, and what dom0 uses it for",
    },
    CommandSpec {
        name: "show",
        command: Command::Show,
        operands: Operands::Some("DEVICE"),
        help: "show all that is known of a device, and what to type",
    },
    CommandSpec {
        name: "plan",
        command: Command::Plan,
        operands: Operands::None,
        help: "show what a boot would do",
    },
    CommandSpec {
        name: "add",
        command: Command::Add,
        operands: Operands::Some("DEVICE"),
        help: "ask for devices for good, from the next boot on",
    },
    CommandSpec {
        name: "remove",
        command: Command::Remove,
        operands: Operands::Some("DEVICE"),
        help: "ask no longer for what 'add' has asked for",
    },
    CommandSpec {
        name: "seize",
        command: Command::Seize,
        operands: Operands::Any("ADDRESS"),
        help: "take what is asked for, or only what is at ADDRESS",
    },
    CommandSpec {
        name: "status",
        command: Command::Status,
        operands: Operands::None,
        help: "show what became of it, and if the image is current",
    },
    CommandSpec {
        name: "release",
        command: Command::Release,
        operands: Operands::Some("DEVICE"),
        help: "give devices back to dom0",
    },
    CommandSpec {
        name: "guest-config",
        command: Command::GuestConfig,
        operands: Operands::Some("DEVICE"),
        help: "print what a guest's configuration says of them",
    },
    CommandSpec {
        name: "name-guests",
        command: Command::NameGuests,
        operands: Operands::None,
        help: "tell Xen the names that devices have for guests",
    },
    CommandSpec {
        name: "check",
        command: Command::Check,
        operands: Operands::Any("FILE"),
        help: "report every mistake in the configuration, or in FILE",
    },
];

/// The options, in the order of the help.
pub const OPTIONS: [OptionSpec; 17] = [
    OptionSpec {
        name: "--all",
        short: None,
        value: None,
        setting: Setting::Form(Form::All),
        commands: TakenBy::These(&[Command::List]),
    },
    OptionSpec {
        name: "--json",
        short: None,
        value: None,
        setting: Setting::Form(Form::Json),
        commands: TakenBy::These(&[Command::List, Command::Show, Command::Plan, Command::Status]),
    },
    OptionSpec {
        name: "--boot",
        short: None,
        value: None,
        setting: Setting::Form(Form::Boot),
        commands: TakenBy::These(&[Command::List]),
    },
    OptionSpec {
        name: "--names",
        short: None,
        value: None,
        setting: Setting::Form(Form::Names),
        commands: TakenBy::These(&[Command::List]),
    },
    OptionSpec {
        name: "--warnings",
        short: None,
        value: None,
        setting: Setting::Form(Form::Warnings),
        commands: TakenBy::These(&[Command::Plan]),
    },
    OptionSpec {
        name: "--cmdline",
        short: None,
        value: Some("TEXT"),
        setting: Setting::Cmdline,
        commands: TakenBy::These(&[Command::Plan]),
    },
    OptionSpec {
        name: "--address",
        short: None,
        value: None,
        setting: Setting::Naming(Naming::Address),
        commands: TakenBy::These(&[Command::Add]),
    },
    OptionSpec {
        name: "--identity",
        short: None,
        value: None,
        setting: Setting::Naming(Naming::Identity),
        commands: TakenBy::These(&[Command::Add]),
    },
    OptionSpec {
        name: "--slot",
        short: None,
        value: None,
        setting: Setting::Along(Along::Slot),
        commands: TakenBy::These(&[Command::Add]),
    },
    OptionSpec {
        name: "--group",
        short: None,
        value: None,
        setting: Setting::Along(Along::Group),
        commands: TakenBy::These(&[Command::Add]),
    },
    OptionSpec {
        name: "--name",
        short: None,
        value: Some("NAME"),
        setting: Setting::Name,
        commands: TakenBy::These(&[Command::Add]),
    },
    OptionSpec {
        name: "--now",
        short: None,
        value: None,
        setting: Setting::Since(Since::Now),
        commands: TakenBy::These(&[Command::Add]),
    },
    OptionSpec {
        name: "--force",
        short: None,
        value: None,
        setting: Setting::Force,
        commands: TakenBy::These(&[Command::Add, Command::Seize]),
    },
    OptionSpec {
        name: "--libvirt",
        short: None,
        value: None,
        setting: Setting::Form(Form::Libvirt),
        commands: TakenBy::These(&[Command::GuestConfig]),
    },
    OptionSpec {
        name: "--root",
        short: None,
        value: Some("DIR"),
        setting: Setting::Root,
        commands: TakenBy::All,
    },
    OptionSpec {
        name: "--help",
        short: Some("-h"),
        value: None,
        setting: Setting::Command(Command::Help),
        commands: TakenBy::All,
    },
    OptionSpec {
        name: "--version",
        short: Some("-V"),
        value: None,
        setting: Setting::Command(Command::Version),
        commands: TakenBy::All,
    },
];

/// The command of that name, in any case.
pub fn find_command(word: &[u8]) -> Option<&'static CommandSpec> {
    COMMANDS
        .iter()
        .find(|spec| is_word(word, spec.name.as_bytes()))
}

/// The option of that name, in any case.
pub fn find_option(word: &[u8]) -> Option<&'static OptionSpec> {
    let is_it = |name: &str| is_word(word, name.as_bytes());
    OPTIONS
        .iter()
        .find(|spec| is_it(spec.name) || spec.short.is_some_and(is_it))
}

/// The column in which the help of a command begins.
const HELP_COLUMN: usize = 26;

/// The column in which its options begin.
const OPTIONS_COLUMN: usize = 16;

/// Prints the help. It fits a screen of 80 columns and 24 lines.
///
/// # Errors
/// The first of `out`.
pub fn print_help<'o>(out: &'o mut Out<'o>) -> Result<(), Errno> {
    let mut sink = Sink::new(out);
    put!(
        &mut sink.line,
        "Usage: pciseize [--root DIR] COMMAND\n\
         Takes the PCI devices of /etc/xen/pciback.conf away from a Xen dom0.\n\n"
    );
    for spec in &COMMANDS {
        add_command(&mut sink.line, spec);
        sink.flush();
    }
    put!(&mut sink.line, "\n");
    for spec in &COMMANDS {
        add_options(&mut sink.line, spec);
        sink.flush();
    }
    put!(
        &mut sink.line,
        "  --root DIR, --help, --version; '--' ends the options\n\
         Exit status: 0 all is as asked, 1 not so, 2 wrong usage, 3 as 1 and 'strict'.\n"
    );
    sink.end()
}

/// Adds a command to the help: its name with what stands behind it, then what it does.
fn add_command(line: &mut Line, spec: &CommandSpec) {
    put!(line, "  {}", spec.name);
    match spec.operands {
        Operands::None => {}
        Operands::Any(name) => put!(line, " [{}...]", name),
        Operands::Some(name) => put!(line, " {}...", name),
    }
    pad(line, HELP_COLUMN);
    put!(line, "{}\n", spec.help);
}

/// Adds the options of a command that not every command takes, if there are any.
fn add_options(line: &mut Line, command: &CommandSpec) {
    let is_own = |spec: &&OptionSpec| {
        spec.commands != TakenBy::All && spec.commands.includes(command.command)
    };
    let mut own = OPTIONS.iter().filter(is_own).peekable();
    if own.peek().is_none() {
        return;
    }
    put!(line, "  {}", command.name);
    pad(line, OPTIONS_COLUMN);
    let mut before = "";
    for spec in own {
        put!(line, "{}{}", before, spec.name);
        if let Some(value) = spec.value {
            put!(line, " {}", value);
        }
        before = " ";
    }
    put!(line, "\n");
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec};

    use super::*;

    fn help() -> String {
        let mut help = Vec::new();
        let mut out = |bytes: &[u8]| {
            help.extend_from_slice(bytes);
            Ok(())
        };
        print_help(&mut out).expect("a vector takes everything");
        String::from_utf8(help).expect("ASCII")
    }

    #[test]
    fn help_fits_a_screen() {
        let help = help();
        assert!(help.lines().count() <= 24);
        assert!(help.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn help_names_everything() {
        let help = help();
        let names = OPTIONS.iter().map(|spec| spec.name);
        for name in COMMANDS.iter().map(|spec| spec.name).chain(names) {
            assert!(help.contains(name), "{name}");
        }
        let plan = "  plan          --json --warnings --cmdline TEXT\n";
        assert!(help.contains(plan), "{help}");
    }

    #[test]
    fn words_are_unique() {
        let options = OPTIONS
            .iter()
            .flat_map(|spec| [Some(spec.name), spec.short]);
        let commands = COMMANDS.iter().map(|spec| Some(spec.name));
        let mut words: Vec<_> = options.chain(commands).flatten().collect();
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
    }
}
