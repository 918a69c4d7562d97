//! Completion in bash, zsh and fish: the words that each shell itself offers at the end of a line.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, process::Command};

use pciseize::cli::options::{COMMANDS, OPTIONS, TakenBy};
use tempfile::TempDir;

/// A machine with three devices: one with pciback, one without a driver, one with a driver of dom0.
fn machine() -> TempDir {
    let machine = tempfile::tempdir().expect("a folder");
    for (address, driver) in [
        ("0000:03:00.0", Some("pciback")),
        ("0000:03:00.1", None),
        ("0000:04:00.0", Some("e1000e")),
    ] {
        let folder = machine.path().join("bus/pci/devices").join(address);
        fs::create_dir_all(&folder).expect("a folder");
        if let Some(driver) = driver {
            symlink(
                Path::new("../../drivers").join(driver),
                folder.join("driver"),
            )
            .expect("a link");
        }
    }
    machine
}

/// The words that bash offers, in its order, after `line` was typed.
fn offered(line: &str) -> Vec<String> {
    let machine = machine();
    // Set the variables as bash does: a colon or a `=` ends a word, and is a word of its own.
    let script = r#"
        source completions/pciseize
        COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=()
        pieces=${1//:/ : } && read -ra pieces <<<"${pieces//=/ = }"
        [[ $1 == *[[:space:]] ]] && pieces+=('')
        COMP_WORDS=("${pieces[@]}") COMP_CWORD=$((${#pieces[@]} - 1))
        _pciseize pciseize "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash", line])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("PCISEIZE_SYSFS", machine.path());
    said(bash)
        .lines()
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn completes_what_can_follow() {
    for (line, expected) in [
        ("pciseize s", "seize show status"),
        (
            "pciseize ",
            "list show plan add remove seize status release guest-config name-guests check \
             --root --help --version",
        ),
        ("pciseize --root /tmp l", "list"),
        ("pciseize list --", "--all --json --boot --names"),
        ("pciseize show -", "--json"),
        (
            "pciseize add --",
            "--address --identity --slot --group --name --now --force",
        ),
        ("pciseize add --name ", ""),
        ("pciseize add --name=", ""),
        ("pciseize add 0000:04:", "00.0"),
        ("pciseize remove 0000:0", "03:00.0 03:00.1 04:00.0"),
        ("pciseize plan --", "--json --warnings --cmdline"),
        ("pciseize seize -", "--force"),
        ("pciseize guest-config -", "--libvirt"),
        ("pciseize guest-config 0000:03:", "00.0 00.1"),
        ("pciseize status ", "--json"),
        ("pciseize plan --cmdline ", ""),
        ("pciseize check Car", "Cargo.toml Cargo.lock"),
        ("pciseize --root ben", "benches"),
        ("pciseize --root=ben", "benches"),
        ("pciseize --root=/tmp l", "list"),
        ("pciseize plan --cmdline=", ""),
    ] {
        let (mut offered, mut expected) = (
            offered(line),
            expected.split_whitespace().collect::<Vec<_>>(),
        );
        offered.sort();
        expected.sort();
        assert_eq!(offered, expected, "{line}");
    }
}

/// The completion knows the words of the program's own tables, and no others.
#[test]
fn completes_the_words_of_the_program() {
    let sorted = |mut words: Vec<String>| {
        words.sort();
        words
    };
    let commands = COMMANDS.iter().map(|spec| spec.name);
    let common = OPTIONS.iter().filter(|spec| spec.commands == TakenBy::All);
    let first = commands
        .chain(common.map(|spec| spec.name))
        .map(str::to_owned);
    assert_eq!(sorted(offered("pciseize ")), sorted(first.collect()));
    for command in &COMMANDS {
        let own = OPTIONS.iter().filter(|spec| {
            spec.commands != TakenBy::All && spec.commands.includes(command.command)
        });
        let own: Vec<String> = own.map(|spec| spec.name.to_owned()).collect();
        let line = format!("pciseize {} --", command.name);
        assert_eq!(sorted(offered(&line)), sorted(own), "{line}");
    }
}

/// Offers only devices that can be released, not those with a driver of dom0. After a colon, bash
/// expects only the rest of the word.
#[test]
fn completes_addresses_that_can_be_released() {
    assert_eq!(
        offered("pciseize release "),
        ["0000:03:00.0", "0000:03:00.1"]
    );
    assert_eq!(offered("pciseize release 0000:03:0"), ["00.0", "00.1"]);
    assert_eq!(
        offered("pciseize release 0000:03:00.0 0000:03:00.1"),
        ["00.1"]
    );
    assert!(offered("pciseize release 0000:04:").is_empty());
}

#[test]
fn completes_all_addresses_that_can_be_shown() {
    let all = ["0000:03:00.0", "0000:03:00.1", "0000:04:00.0"];
    assert_eq!(offered("pciseize show "), all);
    assert_eq!(offered("pciseize show 0000:04:"), ["00.0"]);
}

/// Offers every option that the program has for a command, and no other.
#[test]
fn offers_the_options_that_there_are() {
    let help = String::from_utf8(
        Command::new(env!("CARGO_BIN_EXE_pciseize"))
            .arg("--help")
            .output()
            .expect("it runs")
            .stdout,
    )
    .expect("UTF-8");
    let mut offered: Vec<String> = [
        "",
        "list ",
        "show ",
        "plan ",
        "add ",
        "remove ",
        "seize ",
        "status ",
        "release ",
        "guest-config ",
        "check ",
    ]
    .iter()
    .flat_map(|command| offered(&format!("pciseize {command}--")))
    .collect();
    offered.sort();
    offered.dedup();
    let mut told: Vec<String> = help
        .split(|c: char| !c.is_ascii_lowercase() && c != '-')
        // A bare `--` is no option.
        .filter(|word| word.starts_with("--") && *word != "--")
        .map(str::to_owned)
        .collect();
    told.sort();
    told.dedup();
    assert_eq!(offered, told);
}

/// The shells that complete by themselves what was typed.
#[derive(Clone, Copy, Debug)]
enum Shell {
    Zsh,
    Fish,
}

impl Shell {
    /// The words that the shell offers after each of these lines was typed.
    fn offers(self, lines: &[&str]) -> Vec<BTreeSet<String>> {
        let machine = machine();
        let words = match self {
            Shell::Zsh => ["zsh", "-f", "tests/completion/offered.zsh"],
            Shell::Fish => ["fish", "--no-config", "tests/completion/offered.fish"],
        };
        let mut shell = Command::new("timeout");
        shell
            .arg("10m")
            .args(words)
            .args(lines)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("PCISEIZE_SYSFS", machine.path());
        let text = said(shell);
        // An empty line is the end of an answer. Fish tells what a word means, behind a tab.
        let answers: Vec<&str> = text.split_inclusive('\n').collect();
        let answers = answers.split(|line| *line == "\n");
        let word = |line: &&str| line.trim_end().split('\t').next().map(str::to_owned);
        let mut answers: Vec<_> = answers
            .map(|lines| lines.iter().filter_map(word).collect())
            .collect();
        assert_eq!(answers.pop(), Some(BTreeSet::new()), "{text}");
        assert_eq!(answers.len(), lines.len(), "{text}");
        answers
    }
}

fn set<T: ToString>(words: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    words.into_iter().map(|word| word.to_string()).collect()
}

/// What may follow a value, what is a value, and what is a file or a device. In zsh a folder has no
/// slash yet, and in fish `--root=` belongs to the word.
#[test]
fn zsh_and_fish_complete_what_can_follow() {
    let lines = [
        ("pciseize s", "seize show status"),
        ("pciseize show 0000:04:", "0000:04:00.0"),
        ("pciseize show -", "--json"),
        ("pciseize --root /tmp l", "list"),
        ("pciseize --root=/tmp l", "list"),
        ("pciseize --root /tmp plan --w", "--warnings"),
        ("pciseize seize ", ""),
        ("pciseize status -", "--json"),
        ("pciseize plan --cmdline ", ""),
        ("pciseize plan --cmdline=", ""),
        ("pciseize check Car", "Cargo.toml Cargo.lock"),
        ("pciseize release ", "0000:03:00.0 0000:03:00.1"),
        ("pciseize release 0000:03:0", "0000:03:00.0 0000:03:00.1"),
        ("pciseize release 0000:03:00.0 0000:03:00.1", "0000:03:00.1"),
        ("pciseize release 0000:04:", ""),
        ("pciseize add 0000:04:", "0000:04:00.0"),
        ("pciseize add --n", "--name --now"),
        ("pciseize add --name ", ""),
        ("pciseize remove 0000:04:", "0000:04:00.0"),
        ("pciseize --root ben", "benches"),
        ("pciseize --root=ben", "benches"),
    ];
    for shell in [Shell::Zsh, Shell::Fish] {
        let offered = shell.offers(&lines.map(|(line, _)| line));
        for ((line, expected), offered) in lines.iter().zip(offered) {
            let offered = offered
                .iter()
                .map(|word| word.trim_start_matches("--root=").trim_end_matches('/'));
            let expected = expected.split_whitespace();
            assert_eq!(set(offered), set(expected), "{shell:?}: {line}");
        }
    }
}

/// Zsh and fish know the words of the program's own tables, and no others. Both offer options only
/// behind a dash.
#[test]
fn zsh_and_fish_complete_the_words_of_the_program() {
    let lines = COMMANDS.map(|command| format!("pciseize {} --", command.name));
    let lines: Vec<&str> = ["pciseize ", "pciseize --"]
        .into_iter()
        .chain(lines.iter().map(String::as_str))
        .collect();
    for shell in [Shell::Zsh, Shell::Fish] {
        let mut offered = shell.offers(&lines).into_iter();
        let mut assert_next = |expected| {
            assert_eq!(offered.next(), Some(expected), "{shell:?}");
        };
        assert_next(set(COMMANDS.iter().map(|command| command.name)));
        let common = OPTIONS.iter().filter(|spec| spec.commands == TakenBy::All);
        assert_next(set(common.map(|spec| spec.name)));
        for command in &COMMANDS {
            let own = OPTIONS.iter().filter(|spec| {
                spec.commands != TakenBy::All && spec.commands.includes(command.command)
            });
            assert_next(set(own.map(|spec| spec.name)));
        }
    }
}

/// What a shell says, which has no objection.
fn said(mut shell: Command) -> String {
    let output = shell.output().expect("the shell runs");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}
