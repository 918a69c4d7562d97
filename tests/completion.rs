//! Completion in bash: what is offered for the word at the end of a line.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

/// What bash offers, in its order, where `line` was typed. The machine has a device of pciback's, one of nobody's and one of dom0's.
fn offered(line: &str) -> Vec<String> {
    let machine = tempfile::tempdir().expect("a folder");
    for (address, driver) in [("0000:03:00.0", Some("pciback")), ("0000:03:00.1", None), ("0000:04:00.0", Some("e1000e"))] {
        let folder = machine.path().join("bus/pci/devices").join(address);
        fs::create_dir_all(&folder).expect("a folder");
        if let Some(driver) = driver {
            symlink(Path::new("../../drivers").join(driver), folder.join("driver")).expect("a link");
        }
    }
    // As bash itself calls it: a colon ends a word there, and is one.
    let script = r#"
        source completions/pciseize
        COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=()
        read -ra pieces <<<"${1//:/ : }"
        [[ $1 == *[[:space:]] ]] && pieces+=('')
        COMP_WORDS=("${pieces[@]}") COMP_CWORD=$((${#pieces[@]} - 1))
        _pciseize pciseize "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash", line]).current_dir(env!("CARGO_MANIFEST_DIR")).env("PCISEIZE_SYSFS", machine.path());
    let output = bash.output().expect("bash runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").lines().filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn completes_what_can_follow() {
    for (line, expected) in [
        ("pciseize s", "seize status"),
        ("pciseize ", "list plan seize status release check --root --help --version"),
        ("pciseize --root /tmp l", "list"),
        ("pciseize list --", "--json --boot"),
        ("pciseize plan --", "--json --warnings --cmdline"),
        ("pciseize seize -", "--force"),
        ("pciseize status ", "--json"),
        ("pciseize plan --cmdline ", ""),
        ("pciseize check Car", "Cargo.toml Cargo.lock"),
        ("pciseize --root ben", "benches"),
    ] {
        let (mut offered, mut expected) = (offered(line), expected.split_whitespace().collect::<Vec<_>>());
        offered.sort();
        expected.sort();
        assert_eq!(offered, expected, "{line}");
    }
}

/// Those that can be released: without those that dom0 has. Behind a colon bash wants what follows it.
#[test]
fn completes_addresses_that_can_be_released() {
    assert_eq!(offered("pciseize release "), ["0000:03:00.0", "0000:03:00.1"]);
    assert_eq!(offered("pciseize release 0000:03:0"), ["00.0", "00.1"]);
    assert_eq!(offered("pciseize release 0000:03:00.0 0000:03:00.1"), ["00.1"]);
    assert!(offered("pciseize release 0000:04:").is_empty());
}

/// Every option that the program has for a command is offered, and no other.
#[test]
fn offers_the_options_that_there_are() {
    let help = String::from_utf8(Command::new(env!("CARGO_BIN_EXE_pciseize")).arg("--help").output().expect("it runs").stdout).expect("UTF-8");
    let mut offered: Vec<String> =
        ["", "list ", "plan ", "seize ", "status ", "release ", "check "].iter().flat_map(|command| offered(&format!("pciseize {command}--"))).collect();
    offered.sort();
    offered.dedup();
    let mut told: Vec<String> = help.split(|c: char| !c.is_ascii_lowercase() && c != '-').filter(|word| word.starts_with("--")).map(str::to_owned).collect();
    told.sort();
    told.dedup();
    assert_eq!(offered, told);
}
