//! What the documents name is there: files, links, headings, targets of make, the version of Rust.
//! And what is not run is listed here, with its reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use regex::Regex;

use crate::{Faults, PACKAGE, machine, markdown, page::Page, pages};

/// The literal blocks that nothing runs: the document, how many, and the reason that stands there.
const NOT_RUN: [(&str, usize, &str); 7] = [
    ("docs/first-boot.md", 8, "recorded by make transcript"),
    ("docs/second-card.md", 3, "recorded by make transcript"),
    (
        "docs/guide.md",
        2,
        "seen on a real dom0, as tests/vm/guest.rs does it",
    ),
    (
        "docs/other-initramfs.md",
        2,
        "tried by hand, with mkinitcpio 41",
    ),
    (
        "docs/other-initramfs.md",
        1,
        "tried by hand, with mkinitfs 3.12",
    ),
    (
        "docs/other-initramfs.md",
        1,
        "tried by hand, with tiny-initramfs 0.1",
    ),
    (
        "docs/other-initramfs.md",
        1,
        "tried by hand, with mkosi-initrd 25.3",
    ),
];

#[test]
fn only_these_examples_are_not_run() {
    let mut found = BTreeMap::new();
    for page in pages() {
        for reason in page.examples.iter().filter_map(|example| example.not_run()) {
            *found
                .entry((page.name.clone(), reason.to_owned()))
                .or_insert(0) += 1;
        }
    }
    let listed =
        NOT_RUN.map(|(page, blocks, reason)| ((page.to_owned(), reason.to_owned()), blocks));
    assert_eq!(found, BTreeMap::from(listed));
}

/// The files of the package that a text names, each with the place where it stands.
fn named_files(page: &Page) -> Vec<(usize, String)> {
    let folders = concat!(
        "benches|completions|debian|docs|dracut|examples|fuzz|initramfs-hooks|man|openrc|rpm|src|",
        "systemd|sysvinit|tests|udev"
    );
    let name = format!(r"(^|[^\w./-])((?:{folders})/[\w.*/-]*[\w/])");
    let name = Regex::new(&name).expect("a pattern");
    let root_file = Regex::new(r"`((?:static|build|schema|Cargo)\.\w+)`").expect("a pattern");
    let found = name
        .captures_iter(&page.text)
        .map(|found| found.get(2).expect("the name"));
    let found = found.chain(
        root_file
            .captures_iter(&page.text)
            .map(|found| found.get(1).expect("the name")),
    );
    found
        .map(|name| (name.start(), name.as_str().to_owned()))
        .collect()
}

/// Whether a file or folder of that name is there. A word in capitals stands for any folder.
fn exists(name: &str) -> bool {
    let is_any = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let mut folders = vec![Path::new(PACKAGE).to_path_buf()];
    for word in name.split('/').filter(|word| !word.is_empty()) {
        folders = match is_any(&word) && word != "README" {
            true => folders
                .iter()
                .filter_map(|folder| fs::read_dir(folder).ok())
                .flatten()
                .map(|entry| entry.expect("an entry").path())
                .collect(),
            false => folders
                .into_iter()
                .map(|folder| folder.join(word))
                .filter(|path| path.exists())
                .collect(),
        };
    }
    !folders.is_empty()
}

fn missing_files(is_looked_for: impl Fn(&str) -> bool) -> Faults {
    let mut faults = Faults::default();
    let mut names = 0;
    for page in markdown() {
        for (at, name) in named_files(&page)
            .into_iter()
            .filter(|(_, name)| is_looked_for(name))
        {
            names += 1;
            faults.expect(exists(&name), &page, at, || format!("there is no {name}"));
        }
    }
    assert!(names > 5, "the documents name {names} such files");
    faults
}

#[test]
fn named_files_exist() {
    assert!(exists("tests/cases/TOPIC/NAME") && !exists("tests/no-such-file"));
    missing_files(|name| !name.starts_with("src/")).none();
}

#[test]
fn named_source_files_exist() {
    missing_files(|name| name.starts_with("src/")).none();
}

/// Links lead to files of the package, and to headings in them.
#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)#\s]*)(#[^)\s]*)?\)").expect("a pattern");
    let mut faults = Faults::default();
    let mut links = 0;
    for page in markdown() {
        let folder = Path::new(PACKAGE)
            .join(&page.name)
            .parent()
            .expect("a folder")
            .to_path_buf();
        for found in link.captures_iter(&page.text) {
            let (at, target) = (found.get(0).expect("a link").start(), &found[1]);
            if target.contains("://") {
                continue;
            }
            links += 1;
            let path = if target.is_empty() {
                Path::new(PACKAGE).join(&page.name)
            } else {
                folder.join(target)
            };
            faults.expect(path.exists(), &page, at, || format!("there is no {target}"));
            if let (Some(heading), true) = (found.get(2), path.exists()) {
                let headings = headings(&fs::read_to_string(&path).expect("a document"));
                faults.expect(headings.contains(&heading.as_str()[1..]), &page, at, || {
                    format!("no heading {}", heading.as_str())
                });
            }
        }
    }
    assert!(links > 10, "there are {links} links");
    faults.none();
}

/// The headings of a Markdown text, as its host makes anchors of them.
fn headings(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |line: &str| {
        let words = line
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .replace(' ', "-");
        words
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
            .collect()
    };
    lines.map(anchor).collect()
}

/// A text in Markdown without its literal blocks.
fn without_code_blocks(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// `make TARGET` and `make TARGET NAME=VALUE` can be typed.
#[test]
fn named_targets_exist() {
    let target =
        Regex::new(r"`(?:[A-Z_]+=\S+ )?(?:sudo )?make ([a-z0-9-]+)[^`]*`").expect("a pattern");
    let mut targets = BTreeSet::new();
    for page in markdown() {
        let text = without_code_blocks(&page.text);
        targets.extend(target.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    assert!(targets.len() > 5, "the documents name {targets:?}");
    let has = |target: &str| {
        let mut make = Command::new("make");
        make.args(["--question", "--no-print-directory", "-C", PACKAGE, target])
            .env_remove("MAKEFLAGS");
        // 0: nothing to do. 1: something to do. 2: no such target.
        make.output().expect("make runs").status.code() != Some(2)
    };
    assert!(!has("no-such-target"));
    let missing: Vec<_> = targets.iter().filter(|target| !has(target)).collect();
    assert!(missing.is_empty(), "the Makefile has no {missing:?}");
}

#[test]
fn the_version_of_rust_is_the_one_that_is_needed() {
    let manifest = fs::read_to_string(Path::new(PACKAGE).join("Cargo.toml")).expect("the manifest");
    let needed = Regex::new("rust-version = \"([0-9.]+)\"").expect("a pattern");
    let needed = &needed.captures(&manifest).expect("a version")[1];
    let named = Regex::new(r"Rust ([0-9]+\.[0-9]+)").expect("a pattern");
    let readme = &pages()[0];
    let named: Vec<_> = named
        .captures_iter(&readme.text)
        .map(|found| found[1].to_owned())
        .collect();
    assert_eq!(named, [needed], "{}", readme.name);
}

/// The example that is installed has no mistake. Each of its lines can be switched on.
#[test]
fn the_example_configuration_is_right() {
    let example = Path::new(PACKAGE).join("examples/pciback.conf.example");
    let example = fs::read_to_string(example).expect("the example");
    let check = |text: &str| {
        let machine = machine();
        machine.write("/etc/xen/pciback.conf", text);
        let output = machine.run(&["check"]);
        (
            output.status.success(),
            String::from_utf8(output.stdout).expect("UTF-8"),
        )
    };
    let (is_right, counted) = check(&example);
    assert!(is_right && counted.starts_with("items: 0,"), "{counted}");
    // A comment has a blank behind the sign, an item has not.
    let is_item = |line: &&str| line.starts_with('#') && line.len() > 1 && !line.starts_with("# ");
    let items: Vec<&str> = example
        .lines()
        .filter(is_item)
        .map(|line| &line[1..])
        .collect();
    assert!(items.len() > 8, "{items:?}");
    for item in items {
        let (is_right, said) = check(item);
        let is_setting = item.contains(" = ");
        assert!(
            is_right && (is_setting || said.starts_with("items: 1,")),
            "{item}: {said}"
        );
    }
}

/// The pictures are those that their scripts draw from the data beside them.
#[test]
fn the_pictures_are_drawn_from_the_data() {
    let docs = Path::new(PACKAGE).join("docs");
    let pictures = [
        (
            "draw-boots",
            "who-has-the-device.log",
            "who-has-the-device.svg",
        ),
        ("draw-times", "seizure.txt", "seizure.svg"),
    ];
    for (script, data, picture) in pictures {
        let data = fs::File::open(docs.join(data)).expect(data);
        let output = Command::new(docs.join(script))
            .stdin(data)
            .output()
            .expect("python3 runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {said}");
        let is_same = output.stdout == fs::read(docs.join(picture)).expect(picture);
        assert!(
            is_same,
            "docs/{script} draws another picture than docs/{picture}"
        );
    }
}

/// The table of times is the one that follows from the bench's data.
#[test]
fn the_times_are_those_of_the_bench() {
    let data = fs::read_to_string(Path::new(PACKAGE).join("docs/seizure.txt")).expect("the data");
    let mut times = BTreeMap::new();
    for line in data.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.rsplitn(4, ' ').collect();
        let [most, median, least, run] = words[..] else {
            panic!("no times: {line}")
        };
        times.insert(run, format!("{median} ({least}–{most})"));
    }
    let mut table = String::from("| devices | limit | `pciseize seize` | `modprobe hide=` |\n");
    table += "| --- | --- | --- | --- |\n";
    for (reset, kind) in [
        ("flr", "with function-level reset (nvme)"),
        ("pm", "without it (e1000e)"),
    ] {
        for devices in [1, 4, 8, 16] {
            table += &format!("| {devices} {kind} |");
            for way in ["limit", "pciseize", "modprobe"] {
                table += &format!(
                    " {} |",
                    times[format!("none {reset} {devices} {way}").as_str()]
                );
            }
            table.push('\n');
        }
    }
    let page = Page::markdown("docs/measurements.md");
    assert!(
        page.text.contains(&table),
        "{} should have this table:\n{table}",
        page.name
    );
}
