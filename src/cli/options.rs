//! The words of the command line: one table of commands and one of options, from which the words
//! are understood and `--help` is printed.
//!
//! Tests hold manual page and completion to the same tables.

use crate::{
    host::Errno,
    put,
    report::sink::{Out, Sink},
    text::{Line, is_word},
};

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `list`
    List,
    /// `plan`
    Plan,
    /// `seize`
    Seize,
    /// `status`
    Status,
    /// `release`
    Release,
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
    /// What it does, in lines of the help.
    pub help: &'static [&'static str],
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
    /// Whether it says how the result is told: of such options one can be chosen.
    pub const fn is_form(&self) -> bool {
        matches!(self.setting, Setting::Form(_))
    }
}

/// The commands, in the order of the help.
pub const COMMANDS: [CommandSpec; 6] = [
    CommandSpec {
        name: "list",
        command: Command::List,
        operands: Operands::None,
        help: &["show every device, and what dom0 uses it for"],
    },
    CommandSpec {
        name: "plan",
        command: Command::Plan,
        operands: Operands::None,
        help: &["show what a boot would do; TEXT in place of /proc/cmdline"],
    },
    CommandSpec {
        name: "seize",
        command: Command::Seize,
        operands: Operands::Any("ADDRESS"),
        help: &[
            "hold the devices asked for and give them to xen-pciback,",
            "or only those at ADDRESS; --force: also those in use",
        ],
    },
    CommandSpec {
        name: "status",
        command: Command::Status,
        operands: Operands::None,
        help: &["show what became of them, and whether the image is current"],
    },
    CommandSpec {
        name: "release",
        command: Command::Release,
        operands: Operands::Some("DEVICE"),
        help: &["give devices back to dom0"],
    },
    CommandSpec {
        name: "check",
        command: Command::Check,
        operands: Operands::Any("FILE"),
        help: &[
            "read the configuration and report every problem in it;",
            "without FILE: everything that seize would read",
        ],
    },
];

/// The options, in the order of the help.
pub const OPTIONS: [OptionSpec; 10] = [
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
        commands: TakenBy::These(&[Command::List, Command::Plan, Command::Status]),
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
        name: "--force",
        short: None,
        value: None,
        setting: Setting::Force,
        commands: TakenBy::These(&[Command::Seize]),
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
const HELP_COLUMN: usize = 18;

/// Prints the help. It fits a screen of 80 columns and 24 lines.
///
/// # Errors
/// The first of `out`.
pub fn print_help<'o>(out: &'o mut Out<'o>) -> Result<(), Errno> {
    let mut sink = Sink::new(out);
    put!(
        &mut sink.line,
        "Usage: pciseize [--root DIR] COMMAND\n\n\
         Takes PCI devices away from a Xen dom0, for guests to have them.\n\n"
    );
    for spec in &COMMANDS {
        add_command(&mut sink.line, spec);
        sink.flush();
    }
    put!(
        &mut sink.line,
        "\n  --root DIR      put DIR in front of every path that is read or written\n  \
         --help, --version; a value may stand behind '=', and '--' ends the options\n\n\
         Devices are asked for in /etc/xen/pciback.conf: see pciback.conf(5).\n\n\
         Exit status: 0 all is as asked, 1 not so, 2 wrong usage, 3 as 1 and 'strict'.\n"
    );
    sink.end()
}

/// Adds a command to the help: its name with all that it takes, then what it does.
fn add_command(line: &mut Line, spec: &CommandSpec) {
    let mut usage = Line::new();
    put!(&mut usage, "  {}", spec.name);
    add_options(&mut usage, spec.command);
    match spec.operands {
        Operands::None => {}
        Operands::Any(name) => put!(&mut usage, " [{}...]", name),
        Operands::Some(name) => put!(&mut usage, " {}...", name),
    }
    let mut is_new_line = usage.bytes().len() >= HELP_COLUMN;
    line.push(usage.bytes());
    let mut column = usage.bytes().len();
    for text in spec.help {
        if core::mem::replace(&mut is_new_line, true) {
            put!(line, "\n");
            column = 0;
        }
        (column..HELP_COLUMN).for_each(|_| put!(line, " "));
        put!(line, "{}", *text);
    }
    put!(line, "\n");
}

/// Adds the options that not every command takes.
fn add_options(line: &mut Line, command: Command) {
    let is_own =
        |spec: &&OptionSpec| spec.commands != TakenBy::All && spec.commands.includes(command);
    let (mut before, mut end) = (" [", "");
    for spec in OPTIONS.iter().filter(is_own).filter(|spec| spec.is_form()) {
        put!(line, "{}{}", before, spec.name);
        (before, end) = (" | ", "]");
    }
    put!(line, "{}", end);
    for spec in OPTIONS.iter().filter(is_own).filter(|spec| !spec.is_form()) {
        match spec.value {
            Some(value) => put!(line, " [{} {}]", spec.name, value),
            None => put!(line, " [{}]", spec.name),
        }
    }
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
        assert!(
            help.contains("  plan [--json | --warnings] [--cmdline TEXT]\n"),
            "{help}"
        );
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
