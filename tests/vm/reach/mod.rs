//! `make check-reach`: platforms that `make check` has no time for, and `docs/platforms.md`, the
//! table of what was seen on all of them.
//!
//! One file a kind of platform. Each of its tests is one row: it calls [`platform`]. Where a file
//! has a quick one that does not depend on sid, `make check` runs it too: it is not ignored.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

pub use crate::lab::NotToBeHad;
use crate::lab::{progress, repository, target_directory, tool};

mod arm64;
mod hvm;
mod pvh;
mod roots;
mod sriov;
mod suites;

/// Every row of the table: the name of its record, and what the table calls it.
const PLATFORMS: &[(&str, &str)] = &[
    (
        "hvm-debian-12",
        "an HVM guest with a network card: Debian 12, Linux 6.1, Xen 4.17",
    ),
    (
        "hvm-debian-13",
        "an HVM guest with a network card: Debian 13, Linux 6.12, Xen 4.20",
    ),
    (
        "bullseye-initramfs-tools",
        "Debian 11: Linux 5.10, Xen 4.14, initramfs-tools",
    ),
    (
        "bullseye-dracut",
        "Debian 11: Linux 5.10, Xen 4.14, dracut 051 with systemd",
    ),
    (
        "bullseye-dracut-without-systemd",
        "Debian 11: Linux 5.10, Xen 4.14, dracut 051 without systemd",
    ),
    (
        "sid-initramfs-tools",
        "Debian sid: Linux 7.2, Xen 4.20, initramfs-tools",
    ),
    (
        "sid-dracut",
        "Debian sid: Linux 7.2, Xen 4.20, dracut 112 with systemd",
    ),
    (
        "sid-dracut-without-systemd",
        "Debian sid: Linux 7.2, Xen 4.20, dracut 112 without systemd",
    ),
    (
        "sid-on-old-xen",
        "Linux 7.2 of sid on Xen 4.17 of Debian 12",
    ),
    (
        "pvh",
        "PVH dom0 of Debian sid: Linux 7.2, Xen 4.20, amd-iommu",
    ),
    (
        "pvh-on-old-xen",
        "PVH dom0 of Debian sid on Xen 4.17 of Debian 12: Linux 7.2, amd-iommu",
    ),
    (
        "arm64-busybox",
        "64-bit ARM: Linux 6.1, Xen 4.17, busybox and `rdinit=`",
    ),
    (
        "arm64-initramfs-tools",
        "64-bit ARM: Linux 6.1, Xen 4.17, initramfs-tools",
    ),
    (
        "arm64-xen-4.20",
        "64-bit ARM: Linux 6.1 on Xen 4.20 of Debian 13, initramfs-tools",
    ),
    (
        "arm64-debian-13",
        "64-bit ARM: Linux 6.12, Xen 4.20, initramfs-tools",
    ),
    (
        "arm64-linux-7.2",
        "64-bit ARM: Linux 7.2, Xen 4.20, initramfs-tools",
    ),
    (
        "arm64-packages",
        "64-bit ARM: the packages of Debian and rpm",
    ),
    (
        "sriov",
        "virtual functions of a network card (SR-IOV): Debian 12 in QEMU 10",
    ),
    (
        "smp-initramfs-tools",
        "Debian 12 on two processors, initramfs-tools",
    ),
    (
        "smp-dracut",
        "Debian 12 on two processors, dracut with systemd",
    ),
    (
        "btrfs-on-two-disks-initramfs-tools",
        "/ on btrfs on two disks: Debian 12, initramfs-tools",
    ),
    (
        "btrfs-on-two-disks-dracut",
        "/ on btrfs on two disks: Debian 12, dracut",
    ),
    (
        "lvm-on-raid1-initramfs-tools",
        "/ on LVM on RAID1: Debian 12, initramfs-tools",
    ),
    (
        "lvm-on-raid1-dracut",
        "/ on LVM on RAID1: Debian 12, dracut",
    ),
    (
        "luks-initramfs-tools",
        "/ on LUKS, with a passphrase: Debian 12, initramfs-tools",
    ),
    (
        "luks-dracut",
        "/ on LUKS, with a passphrase: Debian 12, dracut",
    ),
    (
        "plymouth-initramfs-tools",
        "quiet splash with plymouth: Debian 12, initramfs-tools",
    ),
    (
        "plymouth-dracut",
        "quiet splash with plymouth: Debian 12, dracut",
    ),
    (
        "nfs-initramfs-tools",
        "/ on NFS: Debian 12, initramfs-tools",
    ),
    ("nfs-dracut", "/ on NFS: Debian 12, dracut"),
    ("boot-on-nfs", "/boot on NFS: Debian 12"),
];

/// Does what is to be seen on a platform of [`PLATFORMS`], and records what the story gives back:
/// a few words that say what was seen, without a full stop.
pub fn platform(key: &'static str, story: impl FnOnce() -> Result<String>) -> Result<()> {
    if !PLATFORMS.iter().any(|(known, _)| *known == key) {
        bail!("{key} has no row in the table of platforms");
    }
    let begin = Instant::now();
    let outcome = story();
    let (seen, end) = match outcome {
        Ok(seen) => (seen, Ok(())),
        Err(error) if error.is::<NotToBeHad>() => {
            progress::say(&format!("  {key}: {error}"));
            (error.to_string(), Ok(()))
        }
        Err(error) => ("FAILED".to_owned(), Err(error)),
    };
    record(key, &seen, begin.elapsed())?;
    end
}

/// Where the record of a row is.
fn record_of(key: &str) -> PathBuf {
    target_directory().join("reach").join(key)
}

fn record(key: &str, seen: &str, took: Duration) -> Result<()> {
    let file = record_of(key);
    fs::create_dir_all(file.parent().context("it is in a folder")?)?;
    let mut date = Command::new("date");
    date.args(["--utc", "+%F"]);
    let day = tool::run(date)?;
    let record = json!({ "seen": seen, "seconds": took.as_secs(), "day": day.trim() });
    Ok(fs::write(file, record.to_string())?)
}

/// What begins and ends the table in `docs/platforms.md`.
const MARKS: [&str; 2] = ["<!-- table -->\n", "<!-- end of table -->\n"];

const HEADER: &str = "| platform | seen | seconds | on |\n| --- | --- | ---: | --- |\n";

/// The row of a platform: from the record of this run, or as it was. One that was never run is
/// named, too.
fn row(key: &str, title: &str, before: &str) -> Result<String> {
    let begin = format!("| {title} |");
    if let Ok(text) = fs::read_to_string(record_of(key)) {
        let record: Value = serde_json::from_str(&text)?;
        let word = |name: &str| record[name].as_str().context("a record lacks words");
        let (seen, seconds) = (word("seen")?, &record["seconds"]);
        return Ok(format!("{begin} {seen} | {seconds} | {} |\n", word("day")?));
    }
    let known = before.lines().find(|line| line.starts_with(&begin));
    Ok(known.map_or(format!("{begin} not run | | |\n"), |row| format!("{row}\n")))
}

/// Prints the rows of this run, and writes them into the table of `docs/platforms.md`.
#[test]
#[ignore = "writes docs/platforms.md: make check-reach"]
fn writes_the_table() -> Result<()> {
    let page = repository().join("docs/platforms.md");
    let text = fs::read_to_string(&page)?;
    let parts = text.split_once(MARKS[0]).and_then(|(head, rest)| {
        let (table, tail) = rest.split_once(MARKS[1])?;
        Some((head, table, tail))
    });
    let (head, before, tail) = parts.context("docs/platforms.md has no marks of its table")?;
    let mut table = HEADER.to_owned();
    for &(key, title) in PLATFORMS {
        let row = row(key, title, before)?;
        if record_of(key).exists() {
            print!("{row}");
        }
        table.push_str(&row);
    }
    let text = format!("{head}{}{table}{}{tail}", MARKS[0], MARKS[1]);
    Ok(fs::write(page, text)?)
}
