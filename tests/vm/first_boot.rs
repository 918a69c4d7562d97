//! `make transcript`: does on a fresh Debian what the README says, and writes what was typed and
//! what came out of that into `docs/first-boot.md`.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::lab::board::NETWORK;
use crate::lab::debian::Suite;
use crate::lab::machine::Machine;
use crate::lab::package::{Life, Maker, Packages};
use crate::lab::product::Product;
use crate::lab::tool;
use crate::{FILE, assert_claimed};

/// The one line of configuration.
const LINE: &str = "8086:10d3@0000:00:04.0";

/// The device in the root tree in which the images are made, as the machine shows it.
const MODALIAS: (&str, &str) = (
    "/lab/devices/0000:00:04.0/modalias",
    "pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00\n",
);

const INTRODUCTION: &str = "\
# A first boot

What a new user of Debian 12 and of Debian 13 types, with nothing but the README at hand, and what
comes out. `make transcript` records this page: nothing in it was typed by hand, and nothing is left
out. Lines of more than 80 columns are folded.

The package is installed, and the images are made, in a fresh root of Debian with `chroot`. Its root
file system is an overlay whose disk nobody can find there, so pciseize warns of that. The images
then boot under Xen in QEMU, without hardware virtualisation. The machine has four network cards of
one model, of which one is for a guest.
";

/// The kind of a block in that page, for the test of the documents.
const KIND: &str = "console not run: recorded by make transcript";

/// Begins the guest's script: `show COMMAND` runs it on a terminal of 80 columns.
pub const SHOW: &str = "\
export SHELL=/bin/sh NO_COLOR=1
mkdir -p /dev/pts
[ -e /dev/pts/ptmx ] || mount -t devpts devpts /dev/pts
show() {
    echo \"# $1\"
    script --quiet --command \"stty cols 80; $1\" /dev/null | tr -d '\\r'
}
";

#[test]
#[ignore = "writes docs/first-boot.md: make transcript"]
fn transcript() -> Result<()> {
    let mut page = INTRODUCTION.to_owned();
    for (heading, suite, maker) in [
        (
            "Debian 12 with initramfs-tools",
            Suite::Bookworm,
            Maker::InitramfsTools,
        ),
        (
            "Debian 13 with initramfs-tools",
            Suite::Trixie,
            Maker::InitramfsTools,
        ),
    ] {
        write!(page, "\n## {heading}\n")?;
        record(&mut page, suite, maker)?;
    }
    fs::write(
        concat!(env!("CARGO_MANIFEST_DIR"), "/docs/first-boot.md"),
        page,
    )?;
    Ok(())
}

fn record(page: &mut String, suite: Suite, maker: Maker) -> Result<()> {
    let package = &Packages::build()?.deb.package;
    let file_name = package.file_name().context("a name")?.to_string_lossy();
    let life = Life::to_first_boot(&Packages::build()?.deb, suite, maker, LINE, &[MODALIAS])?;
    let unpacked = TempDir::new()?;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--extract").arg(package).arg(unpacked.path());
    tool::run(unpack)?;
    let host = Product {
        tree: unpacked.path().to_owned(),
    };
    let name = |boot: &str| format!("transcript-{boot}-{}-{}", suite.name(), maker.name());

    add(
        page,
        "The package that `make deb` has built:",
        &shown(
            &format!("apt-get install ./{file_name}"),
            &life.step("install")?.log,
        ),
    );

    let installed = life.image("install", suite)?;
    let seen = Machine::dom0(&installed)
        .installed(&host)
        .script(&format!(
            "{SHOW}show 'pciseize list | grep ethernet'\n\
             show 'echo {LINE} | tee -a {FILE}'\nshow 'pciseize plan'\n"
        ))
        .boot(&name("before"))?;
    assert_claimed(&seen, NETWORK.listed, NETWORK.driver);
    let said = seen.file("script.output").context("no output")?;
    ensure!(said.contains("1 to seize"), "{said}");
    add(
        page,
        "In dom0 look for the device, ask for it, and see what the next boot would do:",
        said,
    );

    let all = life.step("all")?;
    add(
        page,
        "Make the images of all kernels anew, and reboot:",
        &format!("{}# reboot\n", shown(maker.command_for_all(), &all.log)),
    );

    let seen = Machine::dom0(&life.image("all", suite)?)
        .installed(&host)
        .file(FILE, &format!("{LINE}\n"))
        .script(&format!(
            "{SHOW}show 'pciseize status'\nshow 'dmesg | grep pciseize'\n\
             show 'lspci -k -d 8086:10d3'\n"
        ))
        .boot(&name("after"))?;
    ensure!(seen.driver(NETWORK.listed) == Some("pciback"));
    assert_claimed(&seen, NETWORK.twin, NETWORK.driver);
    let said = seen.file("script.output").context("no output")?;
    ensure!(said.contains("OK: 1 of 1"), "{said}");
    add(
        page,
        "The device is ready for a guest, and dom0 has its twins:",
        said,
    );
    Ok(())
}

/// A command, and below it what it says.
fn shown(command: &str, said: &str) -> String {
    format!("# {command}\n{said}")
}

/// Adds a block to the page, with its lines folded.
pub fn add(page: &mut String, words: &str, said: &str) {
    let folded: String = said.lines().map(fold).collect();
    let _ = write!(page, "\n{words}\n\n```{KIND}\n{folded}```\n");
}

/// The line in 80 columns, as it stands at last: dpkg writes over its own. What follows the first
/// line begins with eight blanks, as in the other documents.
fn fold(line: &str) -> String {
    let last = line.trim_end().rsplit('\r').next().unwrap_or_default();
    let line = last.replace('\t', "        ");
    let (mut folded, mut rest) = (String::new(), line.trim_end().to_owned());
    while rest.chars().count() > 80 {
        let reach = rest.char_indices().nth(81).map_or(rest.len(), |(at, _)| at);
        let Some(at) = rest[..reach].rfind(' ').filter(|&at| at > 8) else {
            break;
        };
        folded += rest[..at].trim_end();
        folded.push('\n');
        rest = format!("        {}", rest[at..].trim_start());
    }
    folded + &rest + "\n"
}

#[test]
fn folds_at_a_blank() {
    let long = format!("{} {}", "a".repeat(70), "b".repeat(20));
    assert_eq!(fold("\tshort  "), "        short\n");
    assert_eq!(fold("50%\rwhole\r"), "whole\n");
    assert_eq!(
        fold(&long),
        format!("{}\n        {}\n", "a".repeat(70), "b".repeat(20))
    );
    let exact = format!("{} {}", "a".repeat(70), "b".repeat(9));
    assert_eq!(fold(&exact), format!("{exact}\n"));
    let word = "c".repeat(90);
    assert_eq!(fold(&word), format!("{word}\n"));
}
