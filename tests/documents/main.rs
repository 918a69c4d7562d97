//! The documents, Markdown and manual pages: every example in them is run, and their tables are
//! compared with the program. A new example needs no code.
//!
//! **Literal blocks** say of what kind they are: in Markdown behind the backquotes, in a manual
//! page in a comment above them (`; example: KIND`).
//!
//! | kind | what stands in it | what is tested |
//! | --- | --- | --- |
//! | `conf` | a configuration | it has no problem, and all that it asks for would be done |
//! | `conf FILE` | the same for another file than `/etc/xen/pciback.conf` | the same |
//! | `conf mistakes` | lines that are all wrong | each is a problem |
//! | `booted` | a configuration | as `conf`, and below it the boot has seized what it asks for |
//! | `cmdline` | kernel command lines, one a line | as `conf` |
//! | `dracut` | lines of dracut's own configuration that name a file | what stands in that file counts |
//! | `grub` | a menu entry, as GRUB's editor shows it | what stands on the line of dom0's kernel is understood and changes the plan, and no other line has anything of it |
//! | `guest` | a guest's configuration for `xl` | it names devices that are seized, each for itself, and only keys that `xl` knows |
//! | `console` | `$ COMMAND`, and below it what that writes, lines of more than 100 columns folded | it writes exactly this; the files of the blocks above it, as far as the next heading, are there |
//! | `sh` | commands | each succeeds, with stand-ins for programs of other people's; `reboot` seizes what is asked for, before a driver has it |
//! | `KIND not run: REASON` | anything | nothing: `names.rs` lists these |
//!
//! **Tables** are known by their headings.
//!
//! | a column | what is tested |
//! | --- | --- |
//! | `Example` | each code in it is read without a problem: a kernel parameter, a line of modprobe.d, or lines of a configuration |
//! | `Example` and `Takes` | those are the functions that it takes |
//! | `There` and `Here` | both ask for the same |
//! | `Mistake` and `Did you mean` | it is a problem, and this is what the message says in the end |
//! | `Name` and `Class` | these are the names of classes that there are, and their codes |
//! | `Outcome`, `Action`, `Key`, `Key of …` | these are all there are |
//! | `At most` | the program has these limits |
//! | `Command` | these are the commands; so say the pages' SYNOPSIS and COMMANDS, and `--help` |
//! | `Address` and `Driver` | this is the machine on which everything is run |
//!
//! `SNAPSHOTS=overwrite cargo test --test documents` writes anew the output in `console` blocks:
//! read the difference before you keep it.

mod machine;
mod monitor;
mod names;
mod page;
#[path = "../schema/mod.rs"]
mod schema;
mod schema_file;
mod versions;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, mem, panic,
    path::Path,
    process::Command,
};

use machine::{Machine, Plan};
use page::{Example, Page, Table, cell};
use pciseize::{
    cli,
    device::{self, Outcome},
    host::{self, lines},
    pci, request, text,
};
use regex::{Captures, Regex};
use schema::Kind;
use serde_json::Value;

const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");
const README: &str = "README.md";
const PROGRAM_PAGE: &str = "man/pciseize.8.scd";
const FILE_PAGE: &str = "man/pciback.conf.5.scd";
const FILE: &str = "/etc/xen/pciback.conf";

/// All documents, the README first.
fn pages() -> Vec<Page> {
    let mut pages = markdown();
    pages.extend([PROGRAM_PAGE, FILE_PAGE].map(Page::manual));
    pages
}

/// Those in Markdown: the package's, its folder of documents, and what stands beside the tests.
fn markdown() -> Vec<Page> {
    let mut names = BTreeSet::new();
    for folder in ["", "docs/", "tests/"] {
        for entry in fs::read_dir(Path::new(PACKAGE).join(folder)).expect("a folder") {
            let name = entry
                .expect("its entry")
                .file_name()
                .into_string()
                .expect("UTF-8");
            if name.ends_with(".md") {
                names.insert(format!("{folder}{name}"));
            }
        }
    }
    assert!(names.remove(README), "there is no {README}");
    [README.to_owned()]
        .into_iter()
        .chain(names)
        .map(|name| Page::markdown(&name))
        .collect()
}

fn machine() -> Machine {
    Machine::of(&Page::manual(FILE_PAGE))
}

/// What is wrong with a document, by the place where it stands.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn expect(&mut self, is_right: bool, page: &Page, at: usize, what: impl FnOnce() -> String) {
        if !is_right {
            self.0.push(format!("{}: {}", page.place(at), what()));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "\n{}", self.0.join("\n"));
    }
}

/// All that is asked for is understood, and would be done.
fn is_as_asked(plan: &Plan) -> Result<(), String> {
    let not_done: Vec<_> = plan
        .devices()
        .into_iter()
        .filter(|(_, action)| action != "seize" && action != "keep")
        .collect();
    let problems = plan.problems();
    if problems.is_empty() && not_done.is_empty() {
        Ok(())
    } else {
        Err(format!("problems {problems:?}, not done {not_done:?}"))
    }
}

/// As [`is_as_asked`], and something is asked for.
fn asks_and_gets(plan: &Plan) -> Result<(), String> {
    is_as_asked(plan)?;
    if plan.devices().is_empty() {
        Err("asks for nothing".to_owned())
    } else {
        Ok(())
    }
}

#[test]
fn examples_do_what_they_say() {
    let mut faults = Faults::default();
    let overwrite = env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite");
    for page in pages() {
        let (mut machine, mut section) = (machine(), 0);
        let mut replacements = Vec::new();
        for example in &page.examples {
            if mem::replace(&mut section, example.section) != example.section {
                machine = self::machine();
            }
            match run(&machine, example) {
                Ok(Some(written)) if overwrite => {
                    replacements.push((example.range.clone(), written))
                }
                Ok(Some(written)) => {
                    faults.expect(written == example.text, &page, example.range.start, || {
                        format!("the program writes:\n{written}")
                    })
                }
                Ok(None) => {}
                Err(what) => faults.expect(false, &page, example.range.start, || what),
            }
        }
        if !replacements.is_empty() {
            page.replace(replacements);
        }
    }
    faults.none();
}

/// Does with an example what its kind says. Gives what should stand there, where that is for the
/// program to say.
fn run(machine: &Machine, example: &Example) -> Result<Option<String>, String> {
    let text = example.text.as_str();
    if example.not_run().is_some() {
        return Ok(None);
    }
    match example
        .kind
        .split_once(' ')
        .unwrap_or((&example.kind, FILE))
    {
        ("conf", "mistakes") => mistakes(machine, text)?,
        ("conf", file) => configuration(machine, file, text)?,
        ("booted", _) => {
            configuration(machine, FILE, text)?;
            machine.boot();
        }
        ("cmdline", _) => {
            for line in text.lines() {
                asks_and_gets(&machine.plan(&["--cmdline", line]))
                    .map_err(|what| format!("{line}: {what}"))?;
            }
        }
        ("dracut", _) => named_to_dracut(text)?,
        ("grub", _) => menu_entry(machine, text)?,
        ("guest", _) => guest(machine, text)?,
        ("console", _) => {
            let commands = text.lines().filter_map(|line| line.strip_prefix("$ "));
            let told: String = commands
                .map(|command| format!("$ {command}\n{}", machine.shell(command).0))
                .collect();
            return if told.is_empty() {
                Err("no command".to_owned())
            } else {
                Ok(Some(folded(&told)))
            };
        }
        ("sh", _) => {
            for line in text.lines() {
                if line == "reboot" {
                    machine.reboot();
                    continue;
                }
                let (written, status) = machine.shell(line);
                if status != Some(0) {
                    return Err(format!("'{line}' ends with {status:?}: {written}"));
                }
            }
            // What they may have written.
            is_as_asked(&machine.plan(&[]))?;
        }
        _ => return Err(format!("an example of no kind: '{}'", example.kind)),
    }
    Ok(None)
}

/// The text as a page shows it: a line that is too long goes on below, behind blanks.
fn folded(text: &str) -> String {
    const COLUMNS: usize = 100;
    let mut folded = String::new();
    for line in text.lines() {
        let mut rest = line.to_owned();
        while rest.len() > COLUMNS {
            let Some(at) = rest[8..=COLUMNS].rfind(' ') else {
                break;
            };
            let (head, tail) = rest.split_at(8 + at);
            folded += &format!("{head}\n");
            rest = format!("        {}", &tail[1..]);
        }
        folded += &format!("{rest}\n");
    }
    folded
}

/// What dracut is to put into the image is a source.
fn named_to_dracut(text: &str) -> Result<(), String> {
    let machine = machine();
    // Dracut's configuration is shell, and a name needs blanks around it: others add to the same
    // list.
    let script = format!(
        "install_items=before\n{text}\ninstall_items+=behind\nprintf '%s\\n' $install_items"
    );
    let output = Command::new("bash")
        .args(["-euc", &script])
        .output()
        .expect("bash runs");
    let words = String::from_utf8(output.stdout).expect("UTF-8");
    let words: Vec<&str> = words.lines().collect();
    let ["before", files @ .., "behind"] = words.as_slice() else {
        return Err(format!("it says {words:?}"));
    };
    for file in files {
        machine.write(file, "pciseize.hide=04:00.0\n");
    }
    asks_and_gets(&machine.plan(&[]))
}

/// What the reader adds in GRUB's editor belongs on the line of dom0's kernel, and has an effect
/// there.
fn menu_entry(machine: &Machine, text: &str) -> Result<(), String> {
    let is_kernel = |line: &&str| {
        let mut words = line.split_whitespace();
        words.next() == Some("module2")
            && words
                .next()
                .is_some_and(|file| file.starts_with("/boot/vmlinuz"))
    };
    let (kernels, others): (Vec<&str>, Vec<&str>) = text.lines().partition(is_kernel);
    let [kernel] = kernels[..] else {
        return Err(format!("{} lines are those of a kernel", kernels.len()));
    };
    if let Some(line) = others.iter().find(|line| line.contains("pci")) {
        return Err(format!("this is not the line of the kernel: {line}"));
    }
    // The command and the file come first.
    let parameters: Vec<&str> = kernel.split_whitespace().skip(2).collect();
    let (before, plan) = (
        machine.plan(&[]),
        machine.plan(&["--cmdline", &parameters.join(" ")]),
    );
    if plan.problems().is_empty() && plan.devices() != before.devices() {
        Ok(())
    } else {
        Err(format!(
            "problems {:?}, {:?} where there were {:?}",
            plan.problems(),
            plan.devices(),
            before.devices()
        ))
    }
}

/// Keys that `xl` knows: xl-pci-configuration(5) of Xen 4.17.
const XL_KEYS: [&str; 6] = [
    "permissive",
    "msitranslate",
    "seize",
    "power_mgmt",
    "rdm_policy",
    "name",
];

/// A guest gets only what is seized for it.
fn guest(machine: &Machine, text: &str) -> Result<(), String> {
    let pattern = |pattern| Regex::new(pattern).expect("a pattern");
    let kind = pattern(r#"(?m)^type = "(hvm|pv)"$"#);
    let list = pattern(r"(?m)^pci = \[(.*)\]$");
    let (Some(_), Some(list)) = (kind.captures(text), list.captures(text)) else {
        return Err("it lacks a type of guest that can have a device, or the devices".to_owned());
    };
    let plan = machine.plan(&[]);
    let mut seized: Vec<String> = taken(&plan)
        .iter()
        .map(|own| format!("0000:{own}"))
        .collect();
    seized.extend(plan.names().iter().map(|name| format!("name={name}")));
    let mut devices = 0;
    for spec in pattern("'([^']*)'").captures_iter(&list[1]) {
        devices += 1;
        let (address, keys) = spec[1].split_once(',').unwrap_or((&spec[1], ""));
        if !seized.iter().any(|own| own == address) {
            return Err(format!("{address} is not seized, but {seized:?}"));
        }
        for key in keys.split(',').filter(|key| !key.is_empty()) {
            let (name, _) = key.split_once('=').ok_or(format!("'{key}' has no value"))?;
            if !XL_KEYS.contains(&name) {
                return Err(format!("xl knows no '{name}'"));
            }
        }
    }
    if devices == list[1].split("', '").count() {
        Ok(())
    } else {
        Err(format!("it is no list: {}", &list[1]))
    }
}

fn mistakes(machine: &Machine, text: &str) -> Result<(), String> {
    machine.write(FILE, text);
    let plan = machine.plan(&[]);
    let wrong: BTreeSet<u64> = plan.0["problems"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|problem| problem["line"].as_u64())
        .collect();
    match (1..)
        .zip(text.lines())
        .find(|(number, _)| !wrong.contains(number))
    {
        Some((_, line)) => Err(format!("'{line}' is no mistake")),
        None => Ok(()),
    }
}

fn configuration(machine: &Machine, file: &str, text: &str) -> Result<(), String> {
    machine.write(file, text);
    let checked = machine.run(&["check", file]);
    if file == FILE || !file.starts_with('/') {
        // What another line asks for as well would hide that a line is wrong.
        let items = text.lines().filter(|line| {
            !line.starts_with(['#', '!']) && !line.contains('=') && !line.is_empty()
        });
        for line in items {
            asks_and_gets(&plan_for(&[line.to_owned()]))
                .map_err(|what| format!("{line}: {what}"))?;
        }
        if !checked.status.success() {
            return Err(format!(
                "check: {}",
                String::from_utf8_lossy(&checked.stdout)
            ));
        }
    }
    // A file in no place that counts asks for nothing.
    let plan = machine.plan(&[]);
    if file.starts_with('/') {
        asks_and_gets(&plan)
    } else {
        is_as_asked(&plan)
    }
}

/// The plan for what stands in a table: on the command line, in modprobe.d, or in the
/// configuration.
fn plan_for(lines: &[String]) -> Plan {
    let machine = machine();
    let text = lines.join("\n");
    let parameter =
        Regex::new(r"^(pciseize|xen[-_]pciback|pciback|rd\.qubes)\.").expect("a pattern");
    if parameter.is_match(&text) {
        return machine.plan(&["--cmdline", &text]);
    }
    machine.write(
        if text.starts_with("options ") {
            "/etc/modprobe.d/example.conf"
        } else {
            FILE
        },
        &text,
    );
    machine.plan(&[])
}

/// The functions that would be seized, as the pages write them: without the domain 0.
fn taken(plan: &Plan) -> Vec<String> {
    plan.devices()
        .into_iter()
        .filter(|(_, action)| action == "seize")
        .map(|(address, _)| address.trim_start_matches("0000:").to_owned())
        .collect()
}

#[test]
fn examples_in_tables_take_what_they_say() {
    let mut faults = Faults::default();
    let mut compared = 0;
    for page in pages() {
        for table in page
            .tables
            .iter()
            .filter(|table| table.column("Example").is_some())
        {
            // A mistyped heading would leave the table alone.
            let says_what = table.column("Takes").or(table.column("Meaning")).is_some();
            faults.expect(says_what, &page, table.at, || {
                "neither a column 'Takes' nor 'Meaning'".to_owned()
            });
            for row in &table.rows {
                for code in &row[table.column("Example").expect("it is there")].code {
                    let plan = plan_for(std::slice::from_ref(code));
                    faults.expect(is_as_asked(&plan).is_ok(), &page, table.at, || {
                        format!("{code}: {}", is_as_asked(&plan).unwrap_err())
                    });
                    let Some(column) = table.column("Takes") else {
                        continue;
                    };
                    compared += 1;
                    let (says, does) = (&row[column].text, taken(&plan));
                    let agrees = match says.as_str() {
                        "-" => does.is_empty(),
                        says => does == says.split(' ').collect::<Vec<_>>(),
                    };
                    faults.expect(agrees, &page, table.at, || {
                        format!("{code} takes {does:?}, not {says}")
                    });
                }
            }
        }
    }
    assert!(compared > 0, "no table says what its examples take");
    faults.none();
}

/// What was written elsewhere and what is to be written here ask for the same.
#[test]
fn who_comes_from_elsewhere_gets_the_same() {
    let mut faults = Faults::default();
    let mut compared = 0;
    for page in &pages() {
        for table in page
            .tables
            .iter()
            .filter(|table| table.column("There").is_some())
        {
            let column = |heading| {
                table
                    .column(heading)
                    .unwrap_or_else(|| panic!("{}: no column '{heading}'", page.place(table.at)))
            };
            for row in &table.rows {
                compared += 1;
                let here = plan_for(&row[column("Here")].code);
                faults.expect(
                    is_as_asked(&here).is_ok() && !taken(&here).is_empty(),
                    page,
                    table.at,
                    || format!("{:?}: {:?}", row[column("Here")], here.devices()),
                );
                // Of a command line that another program sets, the parameter counts.
                let there: Vec<String> = row[column("There")]
                    .code
                    .iter()
                    .map(|code| code.split('"').nth(1).unwrap_or(code).to_owned())
                    .collect();
                if !there.is_empty() {
                    let there = plan_for(&there);
                    faults.expect(
                        there.problems().is_empty() && there.devices() == here.devices(),
                        page,
                        table.at,
                        || {
                            format!(
                                "there {:?} {:?}, here {:?}",
                                there.problems(),
                                there.devices(),
                                here.devices()
                            )
                        },
                    );
                }
            }
        }
    }
    assert!(
        compared > 0,
        "no table is for those who come from elsewhere"
    );
    faults.none();
}

/// What was probably meant is what the program says, too.
#[test]
fn mistakes_are_told_as_they_say() {
    let mut faults = Faults::default();
    let pages = pages();
    for (page, table, meant) in column(&pages, "Did you mean") {
        let mistakes = table
            .rows
            .iter()
            .flat_map(|row| &row[table.column("Mistake").expect("the column 'Mistake'")].code);
        for (mistake, meant) in mistakes.zip(meant) {
            let machine = machine();
            machine.write(FILE, mistake);
            let problems = machine.plan(&[]).problems();
            let is_told =
                problems.len() == 1 && problems[0].contains(&format!("\"did you mean {meant}? "));
            faults.expect(is_told, page, table.at, || {
                format!("{mistake}: {problems:?}")
            });
        }
    }
    faults.none();
}

/// The rows of every table with that heading, as texts.
fn column<'p>(pages: &'p [Page], heading: &str) -> Vec<(&'p Page, &'p Table, Vec<String>)> {
    let tables = pages
        .iter()
        .flat_map(|page| page.tables.iter().map(move |table| (page, table)));
    let found: Vec<_> = tables
        .filter_map(|(page, table)| {
            let column = table.column(heading)?;
            Some((
                page,
                table,
                table
                    .rows
                    .iter()
                    .map(|row| row[column].text.clone())
                    .collect(),
            ))
        })
        .collect();
    assert!(
        !found.is_empty(),
        "no document has a table with the heading '{heading}'"
    );
    found
}

/// The names are those that `check` lists, and each means the codes beside it.
#[test]
fn classes_are_those_that_there_are() {
    let machine = machine();
    machine.write(FILE, "class:nonsense\n");
    let problems = machine.plan(&[]).problems();
    let (_, listed) = problems[0]
        .trim_end_matches('"')
        .split_once("or a name: ")
        .expect("the names that there are");
    let listed: Vec<&str> = listed.split(' ').collect();
    let pages = pages();
    for (page, table, codes) in column(&pages, "Class")
        .into_iter()
        .filter(|(_, table, _)| table.column("Name").is_some())
    {
        let names: Vec<&str> = table
            .rows
            .iter()
            .map(|row| {
                row[table.column("Name").expect("it is there")]
                    .text
                    .as_str()
            })
            .collect();
        assert_eq!(names, listed, "{}", page.place(table.at));
        for (name, codes) in names.iter().zip(codes) {
            let means = |class: &str| {
                machine.write(FILE, &format!("class:{class}\n"));
                machine.plan(&[]).0["devices"][0]["selector"].clone()
            };
            // Two codes have no other name than the name: digits cannot say both.
            let expected = if codes.contains(' ') {
                let same = names
                    .iter()
                    .find(|&&own| means(own) == format!("class:{own}"));
                assert!(same.is_some(), "{}: {name}", page.place(table.at));
                means(name)
            } else {
                means(&codes)
            };
            assert_eq!(means(name), expected, "{}: {name}", page.place(table.at));
        }
    }
}

#[test]
fn outcomes_are_those_that_there_are() {
    let all: BTreeSet<(String, bool)> = Outcome::ALL
        .iter()
        .map(|outcome| (shown(outcome), outcome.is_as_asked()))
        .collect();
    for (page, table, outcomes) in column(&pages(), "Outcome") {
        assert_eq!(with_yes(table, outcomes), all, "{}", page.place(table.at));
    }
}

/// The words of a column, each with the yes or no beside it.
fn with_yes(table: &Table, words: Vec<String>) -> BTreeSet<(String, bool)> {
    let as_asked = table.column("As asked").expect("the column 'as asked'");
    words
        .into_iter()
        .zip(&table.rows)
        .map(|(word, row)| (word, row[as_asked].text == "yes"))
        .collect()
}

/// A plan in which every action occurs.
#[test]
fn actions_are_those_that_there_are() {
    let actions = |conf: &str| -> BTreeSet<(String, bool)> {
        let machine = machine();
        machine.write(FILE, conf);
        let is_as_asked = machine.run(&["plan"]).status.success();
        machine
            .plan(&[])
            .devices()
            .into_iter()
            .map(|(_, action)| (action, is_as_asked))
            .collect()
    };
    let mut all = actions("03:00.0\nclass:usb\n!00:14.0\n");
    for conf in [
        "00:1c.0",
        "8086:10d3@03:00.0",
        "09:00.0",
        "class:display\n!nonsense",
    ] {
        all.extend(actions(conf));
    }
    for (page, table, own) in column(&pages(), "Action") {
        assert_eq!(with_yes(table, own), all, "{}", page.place(table.at));
    }
}

fn shown(what: impl ufmt::uDisplay) -> String {
    let mut line = text::Line::new();
    pciseize::put!(&mut line, "{}", what);
    String::from_utf8_lossy(line.bytes()).into_owned()
}

/// The keys of the objects that the program writes. In a table several may stand in one cell.
#[test]
fn keys_are_those_that_there_are() {
    let machine = machine();
    machine.write(FILE, "class:network\n!8086:15bb\n82.0.0\n");
    let plan = machine.plan(&[]).0;
    machine.run(&["seize"]);
    let report = fs::read(machine.path("/run/pciseize/report")).expect("a report");
    let report = schema::read(Kind::Report, &report).expect("a report");
    let pages = pages();
    let keys = |value: &Value| -> BTreeSet<String> {
        value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect()
    };
    let own = |heading: &str| -> BTreeSet<String> {
        let found = column(&pages, heading);
        found
            .iter()
            .flat_map(|(_, _, keys)| keys.iter().flat_map(|key| key.split(", ")))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(own("Key"), keys(&plan));
    assert_eq!(own("Key of a device"), keys(&plan["devices"][0]));
    assert_eq!(own("Key of a problem"), keys(&plan["problems"][0]));
    let (report_only, device_only) = (
        own("Key of the report"),
        own("Key of a device in the report"),
    );
    assert_eq!(&own("Key") | &report_only, keys(&report));
    let mut device = own("Key of a device");
    assert!(device.remove("action"));
    let mut in_report = &device | &device_only;
    assert!(in_report.remove("group"));
    assert!(in_report.remove("reset"), "a boot asks for no resets");
    assert_eq!(in_report, keys(&report["devices"][0]));
    assert_eq!(own("Key of a problem"), keys(&report["problems"][0]));

    let told = |kind, command| {
        let told = machine.run(&[command, "--json"]).stdout;
        schema::read(kind, &told).expect("as the schema says")
    };
    let status = told(Kind::Status, "status");
    assert_eq!(&own("Key") | &own("Key of the status"), keys(&status));
    assert_eq!(
        &device | &own("Key of a device in the status"),
        keys(&status["devices"][0])
    );
    let shown = machine.run(&["show", "--json", "class:network"]).stdout;
    let shown = schema::read(Kind::Show, &shown).expect("as the schema says");
    assert_eq!(
        &own("Key of a device") | &own("Key of a device that is shown"),
        keys(&shown[0])
    );
    assert!(device.remove("selector") && device.remove("source"));
    assert_eq!(
        &device | &own("Key of a device in the list"),
        keys(&told(Kind::List, "list")[0])
    );
}

#[test]
fn limits_are_those_that_there_are() {
    let limits: BTreeMap<&str, usize> = BTreeMap::from([
        ("items", request::ITEMS),
        (
            "devices that are asked for, and items that mean none",
            device::DEVICES,
        ),
        (
            "files for pciseize check, addresses for pciseize release",
            cli::OPERANDS,
        ),
        ("names for guests", request::NAMES),
        ("sources", request::SOURCES),
        ("bytes of a file", lines::FILE_SIZE as usize),
        ("bytes of a line", lines::LINE_SIZE),
        (
            "bytes of a kernel command line",
            request::source::cmdline::CMDLINE_SIZE,
        ),
        (
            "bytes of parameters for the module",
            request::PARAMETERS_SIZE,
        ),
        (
            "bytes of the embedded configuration",
            request::source::embedded::TEXT_SIZE,
        ),
        ("bytes of a path name", host::PATH_SIZE - 1),
        ("bridges on the way to a device", pci::place::DEPTH),
        ("bytes of a driver's name", pci::bus::DRIVER_SIZE),
        ("problems told one by one", request::problem::PROBLEMS),
    ]);
    let pages = pages();
    let tables = column(&pages, "At most");
    let told: BTreeMap<&str, usize> = tables
        .iter()
        .flat_map(|(_, table, numbers)| {
            table
                .rows
                .iter()
                .map(|row| row[0].text.as_str())
                .zip(numbers)
        })
        .map(|(what, number)| {
            (
                what,
                number
                    .replace(',', "")
                    .parse()
                    .unwrap_or_else(|e| panic!("{what}: {number}: {e}")),
            )
        })
        .collect();
    assert_eq!(told, limits);
}

/// The commands with their words, as the SYNOPSIS has them: `plan [--json] [--cmdline TEXT]`.
fn synopsis(page: &Page) -> BTreeSet<String> {
    let own = |line: String| {
        line.strip_prefix("pciseize [--root DIR] ")
            .map(str::to_owned)
    };
    starred(page, "SYNOPSIS").filter_map(own).collect()
}

/// The lines of a chapter that begin with a command, each with the line in which it goes on.
fn starred<'p>(page: &'p Page, chapter: &str) -> impl Iterator<Item = String> + use<'p> {
    let lines: Vec<&str> = page.chapter(chapter).collect();
    let starts = (0..lines.len()).filter({
        let lines = lines.clone();
        move |&at| lines[at].starts_with('*')
    });
    starts.map(move |at| {
        let goes_on = |line: &&&str| !line.is_empty() && !line.starts_with(['*', '\t']);
        let next = lines.get(at + 1).filter(goes_on);
        let whole = match next {
            Some(next) => format!("{} {next}", lines[at]),
            None => lines[at].to_owned(),
        };
        cell(whole.trim_end_matches("++")).text
    })
}

#[test]
fn commands_are_those_that_there_are() {
    let option = Regex::new(r"--[a-z]+").expect("a pattern");
    let options = |text: &str| -> BTreeSet<String> {
        option
            .find_iter(text)
            .map(|found| found.as_str().to_owned())
            .collect()
    };
    let first_word = |line: &String| line.split(' ').next().unwrap_or_default().to_owned();
    let (readme, program_page) = (Page::markdown(README), Page::manual(PROGRAM_PAGE));

    let synopsis = self::synopsis(&program_page);
    let chapter: BTreeSet<String> = starred(&program_page, "COMMANDS").collect();
    assert_eq!(chapter, synopsis, "COMMANDS and SYNOPSIS of {PROGRAM_PAGE}");

    let table = readme
        .tables
        .iter()
        .find(|table| table.column("Command").is_some())
        .expect("the README's table of commands");
    let told: BTreeSet<String> = table
        .rows
        .iter()
        .flat_map(|row| &row[0].code)
        .map(|code| code.trim_start_matches("pciseize ").to_owned())
        .collect();
    assert_eq!(told, synopsis, "{}", readme.place(table.at));

    let help = machine().run(&["--help"]);
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let command = Regex::new(r"(?m)^  ([a-z][a-z-]*)\b").expect("a pattern");
    let commands: BTreeSet<String> = command
        .captures_iter(&help)
        .map(|found| found[1].to_owned())
        .collect();
    assert_eq!(
        commands,
        synopsis.iter().map(first_word).collect(),
        "--help and {PROGRAM_PAGE}"
    );
    let chapter: String = ["SYNOPSIS", "OPTIONS"]
        .iter()
        .flat_map(|heading| program_page.chapter(heading))
        .collect::<Vec<_>>()
        .join("\n");
    assert_eq!(
        options(&help),
        options(&chapter),
        "--help and {PROGRAM_PAGE}"
    );
    let own: BTreeSet<String> = program_page
        .chapter("OPTIONS")
        .filter(|line| line.starts_with('*'))
        .flat_map(options)
        .collect();
    assert_eq!(
        own,
        options(&chapter),
        "OPTIONS and SYNOPSIS of {PROGRAM_PAGE}"
    );

    // Each with all its options, and with each form, on one machine: whatever else comes of it, the
    // usage is right.
    let group = Regex::new(r"\[([^]]* \| [^]]*)\]").expect("a valid pattern");
    for line in &synopsis {
        let forms = group
            .captures(line)
            .map_or(String::new(), |found| found[1].to_owned());
        for form in forms.split(" | ") {
            let line = group.replace(line, form);
            // Of a further choice the first.
            let line = group.replace_all(&line, |found: &Captures| {
                found[1].split(" | ").next().unwrap_or_default().to_owned()
            });
            let line = line.replace("NAME", "gpu");
            let line = line.replace("ADDRESS...", "06:00.0");
            let line = line.replace("DEVICE...", "06:00.0");
            let words: Vec<&str> = line
                .split([' ', '[', ']'])
                .filter(|word| !word.is_empty() && !word.contains("..."))
                .collect();
            let status = machine().run(&words).status.code();
            assert!(matches!(status, Some(0 | 1)), "{words:?}: {status:?}");
        }
    }
}

/// Three checkers have no objection, on terminals of several widths. On one of 80 columns no table
/// is wider than that, and a code in a table is in one piece, to be copied.
#[test]
fn pages_are_sound() {
    let ready = tempfile::tempdir().expect("a folder");
    let mut make = Command::new("make");
    make.args(["-C", PACKAGE, "man"])
        .arg(format!("READY={}", ready.path().display()));
    let make = make.env_remove("MAKEFLAGS").output().expect("make runs");
    assert!(
        make.status.success(),
        "{}",
        String::from_utf8_lossy(&make.stderr)
    );
    for name in [PROGRAM_PAGE, FILE_PAGE] {
        let page = Page::manual(name);
        let built = ready.path().join(name.trim_end_matches(".scd"));
        let text = fs::read_to_string(&built).expect("the page");
        assert_eq!(
            text.lines().next(),
            Some("'\\\" t"),
            "{name} does not say that it has tables"
        );
        let shown = checked(&built);

        let code = page
            .tables
            .iter()
            .flat_map(|table| table.rows.iter().flatten())
            .flat_map(|cell| &cell.code);
        for word in code.flat_map(|code| code.split(' ')) {
            assert!(shown.contains(word), "{name}: {word} is broken");
        }
        // Examples are as they are. They stand further to the right than everything else.
        let wide = shown
            .lines()
            .find(|line| line.chars().count() > 80 && !line.starts_with("           "));
        assert!(wide.is_none(), "{name}: {wide:?}");
    }
    // The control: a table that does not fit.
    let wide = ready.path().join("wide.8");
    let cell = "x".repeat(90);
    let text = format!(
        "'\\\" t\n.TH WIDE 8 2026-11-26\n.SH NAME\nwide \\- wide\n.TS\nl l.\n{cell}\t{cell}\n.TE\n"
    );
    fs::write(&wide, text).expect("a page");
    assert!(panic::catch_unwind(|| checked(&wide)).is_err());
}

/// The page as a terminal of 80 columns shows it. Panics if a checker objects.
fn checked(page: &Path) -> String {
    let run = |words: &str, page: &Path| -> (String, Vec<String>) {
        let mut command = Command::new(words.split(' ').next().expect("a program"));
        command
            .args(words.split(' ').skip(1))
            .arg(page)
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "80")
            .env("MANROFFSEQ", "");
        let output = command
            .output()
            .unwrap_or_else(|e| panic!("{words}: {e} (make requirements)"));
        let said = String::from_utf8_lossy(&output.stderr)
            .lines()
            .map(str::to_owned)
            .collect();
        (String::from_utf8(output.stdout).expect("UTF-8"), said)
    };
    // The limit of a line of the source is 100 columns, and the generator adds to that.
    let (lint, said) = run("mandoc -T lint -W style", page);
    let lint: Vec<&str> = lint
        .lines()
        .filter(|line| !line.contains("longer than 80 bytes"))
        .collect();
    assert!(lint.is_empty() && said.is_empty(), "{lint:#?} {said:#?}");
    for words in [
        "groff -man -ww -z",
        "groff -man -t -T utf8 -rLL=100n -ww -z",
        "groff -man -t -T utf8 -rLL=78n -ww -z",
        "man --warnings -E UTF-8 -l -Tutf8 -Z",
    ] {
        let (_, said) = run(words, page);
        assert!(said.is_empty(), "{words}: {said:#?}");
    }
    let (shown, said) = run("groff -man -t -T utf8 -P -cbou -rLL=80n -ww", page);
    assert!(said.is_empty(), "{said:#?}");
    shown
}
