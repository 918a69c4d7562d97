//! The configuration inside the finished program: embedded by `PCISEIZE_CONFIG=file cargo build
//! --release`, embedded by `make embed`, and damaged by `objcopy`.

mod release;

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use pciseize::{
    request::{
        Fault, Mistake,
        source::embedded::{END_MARK, SECTION_SIZE, TEXT_SIZE},
    },
    text::Line,
};
use tempfile::TempDir;

const GOOD: &str = "# two cards\n0000:03:00.0\n04:00.1 # without a domain\n";
const BAD: &str = "0000:03:00.0\n\n  0000:82.0.0\nstrict = perhaps\n";
/// The problems in [`BAD`], with their places.
const BAD_AT: [&str; 2] = [
    ":3:3: \"0000:82.0.0\": did you mean 0000:82:00.0? the device is greater than 1f",
    ":4:1: \"strict = perhaps\": expected yes or no",
];

/// A folder for a test, with the root of a machine without requests.
struct Bench(TempDir);

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("root/proc")).expect("a root");
        fs::write(folder.path().join("root/proc/cmdline"), "quiet\n").expect("a command line");
        Bench(folder)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).expect(name);
        path
    }

    fn install(&self, program: &[u8]) -> PathBuf {
        release::install(program, self.0.path())
    }

    /// The output of `check`, and its exit status.
    fn check(&self, program: &Path) -> (String, Option<i32>) {
        let output = Command::new(program)
            .args(["--root", "root", "check"])
            .current_dir(self.0.path())
            .output()
            .expect("the program starts");
        (
            String::from_utf8(output.stdout).expect("UTF-8"),
            output.status.code(),
        )
    }
}

/// The result of [`Bench::check`] without problems.
fn as_asked(items: usize) -> (String, Option<i32>) {
    (
        format!("items: {items}, problems: 0 (pciseize plan looks at the devices)\n"),
        Some(0),
    )
}

/// The library's text for a fault.
fn said(fault: Fault) -> String {
    let mut line = Line::new();
    pciseize::put!(&mut line, "{}", fault);
    String::from_utf8_lossy(line.bytes()).into_owned()
}

#[test]
fn a_build_embeds() {
    let bench = Bench::new();
    assert_eq!(
        bench.check(&bench.install(&release::program())),
        as_asked(0)
    );
    let config = bench.file("good.conf", GOOD);
    let program = release::build(&[("PCISEIZE_CONFIG", &config)]).expect("it builds");
    assert_eq!(bench.check(&bench.install(&program)), as_asked(2));
}

#[test]
fn a_build_refuses_a_bad_item() {
    let bench = Bench::new();
    let config = bench.file("bad.conf", BAD);
    let messages = release::build(&[("PCISEIZE_CONFIG", &config)])
        .map(drop)
        .expect_err("a bad item is embedded");
    for at in BAD_AT {
        assert!(
            messages.contains(&format!("{}{at}", config.display())),
            "{messages}"
        );
    }
}

#[test]
fn a_build_refuses_what_does_not_fit() {
    let bench = Bench::new();
    let config = bench.file("long.conf", "#".repeat(TEXT_SIZE + 1));
    let messages = release::build(&[("PCISEIZE_CONFIG", &config)])
        .map(drop)
        .expect_err("too long a text is embedded");
    assert!(
        messages.contains(&format!(
            "{}: {}",
            config.display(),
            said(Fault::Is(Mistake::LongSection))
        )),
        "{messages}"
    );
}

#[test]
fn a_build_refuses_a_file_that_is_not_there() {
    let messages = release::build(&[("PCISEIZE_CONFIG", Path::new("/nonexistent.conf"))])
        .map(drop)
        .expect_err("nothing is embedded");
    assert!(
        messages.contains("PCISEIZE_CONFIG=/nonexistent.conf: No such file"),
        "{messages}"
    );
}

/// Runs `make embed`.
fn make_embed(config: &Path, binary: &Path) -> Output {
    let cargo = env::var("CARGO").unwrap_or("cargo".into());
    Command::new("make")
        .args(["--no-print-directory", "embed"])
        .args([
            format!("CARGO={cargo}"),
            format!("CONFIG={}", config.display()),
            format!("BINARY={}", binary.display()),
        ])
        .current_dir(release::PACKAGE)
        // The variables of a make that started the tests must not reach this one.
        .env_remove("MAKEFLAGS")
        .output()
        .expect("make runs")
}

#[test]
fn make_embed_replaces_the_section_and_nothing_else() {
    let bench = Bench::new();
    let before = release::program();
    let program = bench.install(&before);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o750)).expect("a mode");
    let name = bench.0.path().join("link");
    symlink("pciseize", &name).expect("a link");

    // Through a link, twice; the second text is shorter than the first.
    for (text, items) in [(GOOD, 2), ("strict=1\n05:00.0", 1)] {
        let output = make_embed(&bench.file("good.conf", text), &name);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(bench.check(&program), as_asked(items));
    }
    assert!(name.is_symlink());
    assert_eq!(
        fs::metadata(&program)
            .expect("the program")
            .permissions()
            .mode()
            & 0o7777,
        0o750
    );

    let after = fs::read(&program).expect("the program");
    assert_eq!(after.len(), before.len());
    let place = place(&before);
    assert!(after[place..].starts_with(b"strict=1\n05:00.0\n\n"));
    assert_eq!(after[..place], before[..place]);
    assert_eq!(
        after[place + SECTION_SIZE..],
        before[place + SECTION_SIZE..]
    );
    let left: Vec<_> = fs::read_dir(bench.0.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left.len(), 4, "something was left behind: {left:?}");
}

/// The offset of the section in a program without a configuration.
fn place(program: &[u8]) -> usize {
    let end = program
        .windows(END_MARK.len())
        .rposition(|bytes| bytes == END_MARK)
        .expect("the end mark")
        + END_MARK.len();
    end - SECTION_SIZE
}

#[test]
fn make_embed_refuses() {
    let bench = Bench::new();
    let good = bench.file("good.conf", GOOD);
    let bad = bench.file("bad.conf", BAD);
    let long = bench.file("long.conf", "#".repeat(TEXT_SIZE + 1));
    let whole = release::program();
    let mut markless = whole.clone();
    markless[place(&whole) + SECTION_SIZE - 2] = b'!';
    let other = fs::read(env::current_exe().expect("this test")).expect("this test");
    let short = objcopy(&bench, &whole, b"0000:03:00.0\n");

    for (config, binary, expected) in [
        (&bad, &whole, BAD_AT.as_slice()),
        (&long, &whole, &[&*said(Fault::Is(Mistake::LongSection))]),
        (
            &bench.0.path().join("none.conf"),
            &whole,
            &["none.conf: No such file"],
        ),
        (
            &good,
            &markless,
            &["its section .pciseize does not end in its end mark"],
        ),
        (
            &good,
            &short,
            &["its section .pciseize has 13 bytes instead of 2048"],
        ),
        (
            &good,
            &other,
            &["it has no section .pciseize: this is not pciseize"],
        ),
        (&good, &b"#!/bin/sh\n".to_vec(), &["this is no program"]),
    ] {
        let program = bench.install(binary);
        let output = make_embed(config, &program);
        assert!(!output.status.success(), "{output:?}");
        let messages = String::from_utf8_lossy(&output.stderr);
        for expected in expected {
            assert!(messages.contains(expected), "{messages}");
        }
        assert!(
            fs::read(&program).expect("the program") == *binary,
            "the program has changed: {messages}"
        );
    }
}

/// The program after `objcopy` has replaced its section.
fn objcopy(bench: &Bench, program: &[u8], section: &[u8]) -> Vec<u8> {
    let section = format!(".pciseize={}", bench.file("section", section).display());
    let (from, to) = (bench.file("before", program), bench.0.path().join("after"));
    let output = Command::new("objcopy")
        .args(["--update-section", &section])
        .args([&from, &to])
        .output()
        .expect("objcopy runs");
    assert!(output.status.success(), "{output:?}");
    fs::read(to).expect("what objcopy made")
}

/// `objcopy` accepts a section of any length, but a program knows only the original place of its
/// section, and the 2,048 bytes there.
///
/// Seen with binutils 2.40:
/// - A shorter section shortens the segment that it ends. Without the byte that `static.ld` adds
///   after the section, the rest of the place was no longer mapped, and the program died of SIGSEGV
///   before its first line.
/// - A longer section covers the data after it in memory. If that is the writable segment, the
///   kernel maps that segment on top.
///
/// So the program starts in every case, and finds no end mark.
#[test]
fn a_section_of_another_size_is_told() {
    let bench = Bench::new();
    let program = release::program();
    let whole = |size: usize| {
        [
            b"0000:03:00.0".to_vec(),
            vec![b'\n'; size - 12 - END_MARK.len()],
            END_MARK.to_vec(),
        ]
        .concat()
    };
    let config = bench.file("root/proc/cmdline", "pciseize.hide=03:00.0\n");
    assert!(config.exists());

    // The control: a section of the right size with its end mark is a configuration.
    let right = bench.install(&objcopy(&bench, &program, &whole(SECTION_SIZE)));
    assert_eq!(bench.check(&right), as_asked(2));

    let damaged = format!(
        "embedded: {}\nitems: 1, problems: 1 (pciseize plan looks at the devices)\n",
        said(Fault::Is(Mistake::Section))
    );
    let sizes = [
        64,
        SECTION_SIZE - 1,
        SECTION_SIZE + 1,
        SECTION_SIZE + END_MARK.len(),
        3000,
        2 * SECTION_SIZE,
        100_000,
    ]
    .map(whole);
    for section in sizes.iter().map(Vec::as_slice).chain([
        b"".as_slice(),
        b"0000:03:00.0\n",
        &[b'\n'; SECTION_SIZE],
    ]) {
        let program = bench.install(&objcopy(&bench, &program, section));
        assert_eq!(
            bench.check(&program),
            (damaged.clone(), Some(1)),
            "{} bytes",
            section.len()
        );
    }
}
