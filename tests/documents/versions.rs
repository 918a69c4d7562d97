//! The version of the package is told in several files, with its day in some. They agree.

use std::fs;

use crate::PACKAGE;

const VERSION: &str = env!("CARGO_PKG_VERSION");

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// What the changes are called that no version has yet.
const UNRELEASED: &str = "## Unreleased";

/// The first line of a file that begins so, from the line `after` on. What is not released yet has
/// no version.
fn line(file: &str, after: &str, begin: &str) -> String {
    let text = fs::read_to_string(format!("{PACKAGE}/{file}")).expect(file);
    let mut lines = text.lines().skip_while(|line| !line.starts_with(after));
    let found = lines.find(|line| line.starts_with(begin) && *line != UNRELEASED);
    found
        .unwrap_or_else(|| panic!("{file} has no line {begin:?}"))
        .to_owned()
}

/// Cargo itself looks at `Cargo.lock`; nobody looks at that of the fuzz targets.
#[test]
fn all_files_tell_one_version() {
    for (file, after, begin, version) in [
        ("CHANGELOG.md", "", "## ", format!("## {VERSION} (")),
        (
            "debian/changelog",
            "",
            "pciseize ",
            format!("pciseize ({VERSION}-1) "),
        ),
        (
            "rpm/pciseize.spec",
            "",
            "Version:",
            format!("Version:        {VERSION}"),
        ),
        (
            "docs/first-boot.md",
            "",
            "# apt-get install ",
            format!("# apt-get install ./pciseize_{VERSION}-1_"),
        ),
        (
            "fuzz/Cargo.lock",
            "name = \"pciseize\"",
            "version = ",
            format!("version = \"{VERSION}\""),
        ),
    ] {
        let told = line(file, after, begin);
        assert!(told.starts_with(&version), "{file}: {told}");
    }
    let told = line("rpm/pciseize.spec", "%changelog", "* ");
    assert!(told.ends_with(&format!(" - {VERSION}-1")), "{told}");
}

/// The day of the version is the same for every reader.
#[test]
fn all_changelogs_tell_one_day() {
    let heading = line("CHANGELOG.md", "", "## ");
    let day = heading.split(['(', ')']).nth(1).unwrap_or_default();
    let numbers: Vec<usize> = day
        .split('-')
        .filter_map(|number| number.parse().ok())
        .collect();
    let [year, month, day] = numbers[..] else {
        panic!("{heading:?} has no day like 2026-11-26");
    };
    let month = MONTHS[month - 1];
    for (file, after, begin, day) in [
        (
            "debian/changelog",
            "",
            " -- ",
            format!(", {day:02} {month} {year} "),
        ),
        (
            "rpm/pciseize.spec",
            "%changelog",
            "* ",
            format!(" {month} {day:02} {year} "),
        ),
    ] {
        let told = line(file, after, begin);
        assert!(told.contains(&day), "{heading}, but {file}: {told}");
    }
}
