//! Runs the program on small trees of files. Each case is one folder, and a new case needs no code.
//!
//! `tests/README.md` tells how to add a case, and which topic has which cases.
//!
//! | in `tests/cases/TOPIC/NAME/` | |
//! | --- | --- |
//! | `run` | `# ` and one sentence: the rule that the case proves; then the commands, one a line |
//! | `machine` | optional: the PCI functions of the machine, or a name from `tests/machines/` |
//! | `root/` | the tree as the machine shows it; with a `machine`, the files to add or replace |
//! | `prepare` | optional: a shell script that runs in a copy of the tree |
//! | `expected` | for each command: exit status, output, and the changes in the tree |
//!
//! A command is written as in a shell, with `--root root`. Further lines that begin with `#` are
//! comments. `COLUMNS=80` in front runs the command on a terminal of that width, and `NO_COLOR=1`
//! without colours; in the expectation `\e[32m` begins a colour. `{NAME}` in a command stands for
//! every line of the case's file NAME: the command runs once for each. Empty lines and comments of
//! that file are left out.
//!
//! `prepare` makes files that git cannot keep (a fifo, an empty folder) and files that are too
//! large to keep.
//!
//! # A machine
//!
//! One text describes in thirty lines the two hundred files of sysfs. A line is a folder below
//! `/sys/devices`, indented below the folder that holds it. A function has its ids, its class and,
//! if a driver has the function, the driver. `#` begins a comment.
//!
//! ```text
//! pci0000:00
//!   0000:00:1c.0      8086:a110:1043:8694 060400 pcieport
//!     0000:03:00.0    1b21:1242:1043:8675 0c0330 xhci_hcd
//! ```
//!
//! From the text the harness makes the folders with `modalias` and `driver_override`, the links
//! from `/sys/bus/pci/devices` and to the drivers, a Xen dom0, and a command line without requests.
//!
//! # Checks after every command
//!
//! - All JSON is as `schema.json` says. A report and a plan agree with the exit status.
//! - `plan`, `check`, `list`, `show`, `status` and `guest-config` change nothing.
//! - The pages of `show` say in words what its JSON says, and no line is longer than 80 columns but
//!   for one word alone.
//! - `seize` does what `plan` says: on a copy of the tree it writes the overrides of the planned
//!   devices and of no other.
//! - The table that `plan` prints is a configuration with the same meaning.
//! - The output of `guest-config` is comments and one list of xl.cfg(5), or XML.
//! - The output of `list` is a configuration that asks for every function that may be seized.
//!
//! A tree is no kernel: a write to `bind` has no effect. The tests in `tests/model/` cover the
//! effects.

mod schema;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    ffi::{OsStr, OsString},
    fmt::{self, Write},
    fs, io,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use regex::Regex;
use schema::Kind;
use serde_json::Value;
use tempfile::TempDir;
use tryfn::{Case, Data, Harness};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");

/// The text that tells how to add cases. It has the only table of topics.
const README: &str = include_str!("README.md");

fn main() {
    // Check the folders first: the harness passes over a `run` in any other place, and would be
    // content without a single case.
    let faults = layout_faults(Path::new(CASES), README).expect("the folders of cases are read");
    assert!(faults.is_empty(), "tests/cases:\n{}", faults.join("\n"));
    Harness::new(CASES, case, transcript)
        .select(["/*/*/run"])
        .test();
}

fn case(run: PathBuf) -> Case {
    let folder = run.parent().expect("the case's folder");
    let name = folder
        .strip_prefix(CASES)
        .expect("a folder of tests/cases")
        .display()
        .to_string();
    // Raw: without it, `...` and `[..]` in the expectation would match anything.
    let expected = Data::read_from(&folder.join("expected"), None).raw();
    Case {
        name,
        fixture: run,
        expected,
    }
}

/// The faults of the folders: every topic needs a row in the table and a folder, every folder in a
/// topic must be a case, and no name may begin with a number.
fn layout_faults(cases: &Path, readme: &str) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut missing = topics_of_table(readme);
    for topic in names_in(cases)? {
        if !missing.remove(topic.as_str()) {
            faults.push(format!(
                "{topic}: not in the table of topics in tests/README.md"
            ));
        }
        if has_number(&topic) {
            faults.push(format!("{topic}: begins with a number"));
        }
        for name in names_in(&cases.join(&topic))? {
            if has_number(&name) {
                faults.push(format!("{topic}/{name}: begins with a number"));
            }
            let run = fs::read_to_string(cases.join(&topic).join(&name).join("run"));
            let fault = match &run {
                Ok(text) => rule_fault(text.lines().next().unwrap_or_default()),
                Err(_) => Some("is no case: it has no file `run`"),
            };
            faults.extend(fault.map(|fault| format!("{topic}/{name}: {fault}")));
        }
    }
    faults.extend(
        missing
            .iter()
            .map(|topic| format!("{topic}: in the table, but no folder")),
    );
    Ok(faults)
}

fn has_number(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_digit())
}

/// The topics in the table below the heading `## Topics`.
fn topics_of_table(readme: &str) -> BTreeSet<&str> {
    let lines = readme
        .lines()
        .skip_while(|line| *line != "## Topics")
        .skip(1);
    let section = lines.take_while(|line| !line.starts_with('#'));
    section
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0))
        .collect()
}

fn names_in(folder: &Path) -> Result<BTreeSet<String>> {
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into());
    fs::read_dir(folder)
        .map_err(|e| format!("{}: {e}", folder.display()))?
        .map(name)
        .collect()
}

/// The fault of the first line of a `run`, if it has one.
fn rule_fault(line: &str) -> Option<&'static str> {
    let Some(rule) = line.strip_prefix("# ") else {
        return Some("`run` does not begin with `# ` and its rule");
    };
    if line.chars().count() > 100 {
        return Some("the rule in `run` has more than 100 columns");
    }
    let has_inner_end = [". ", "? ", "! "].iter().any(|end| rule.contains(end));
    (has_inner_end || !rule.ends_with('.')).then_some("the rule in `run` is not one sentence")
}

/// Runs the commands of a case, one after another on the same copy of its tree, and records their
/// effects.
fn transcript(run: &Path) -> Result<String> {
    let folder = run.parent().ok_or("no folder")?;
    let copy = tempfile::tempdir()?;
    let root = copy.path().join("root");
    fs::create_dir(&root)?;
    make_tree(folder, &root)?;

    let mut told = String::new();
    let mut mirror = None;
    let text = fs::read_to_string(run)?;
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (terminal, line) = Terminal::of(line)?;
        for Words { shown, words } in commands(folder, line)? {
            let before = files(&root)?;
            touch_nothing_real(&words)?;
            if let Some(terminal) = terminal {
                let screen = terminal.run_in(copy.path(), &words[1..])?;
                writeln!(told, "$ {terminal} {shown}\n{}", screen.shown())?;
                screen.agrees(copy.path(), &words)?;
                continue;
            }
            let output = run_in(copy.path(), &words[1..])?;
            let after = files(&root)?;

            let status = output.status.code().ok_or("ended by a signal")?;
            writeln!(told, "$ {shown}\n[exit {status}]")?;
            tell(&mut told, "stdout", &output.stdout)?;
            tell(&mut told, "stderr", &output.stderr)?;
            tell_changes(&mut told, &before, &after)?;
            let done = Done {
                words: &words,
                output: &output,
                has_changed: before != after,
            };
            done.agrees(copy.path(), &mut mirror)
                .map_err(|e| format!("{shown}: {e}"))?;
        }
    }
    Ok(told)
}

/// Makes the tree of a case from its machine, its files, and its script.
fn make_tree(folder: &Path, root: &Path) -> Result<()> {
    if folder.join("machine").exists() {
        make_machine(&description(&folder.join("machine"))?, root)?;
    }
    if folder.join("root").exists() {
        copy_tree(&folder.join("root"), root)?;
    }
    let script = folder.join("prepare");
    if script.exists() {
        let status = Command::new("sh")
            .arg("-eu")
            .arg(script)
            .current_dir(root)
            .status()?;
        if !status.success() {
            return Err("the case's script 'prepare' failed".into());
        }
    }
    // Without a table of mounts nobody knows what the machine boots from. This one is in memory.
    let mounts = root.join("proc/self/mountinfo");
    if fs::symlink_metadata(&mounts).is_err() {
        fs::create_dir_all(root.join("proc/self"))?;
        fs::write(mounts, "1 1 0:2 / / rw - rootfs rootfs rw\n")?;
    }
    Ok(())
}

/// A finished command.
struct Done<'a> {
    words: &'a [OsString],
    output: &'a Output,
    has_changed: bool,
}

impl Done<'_> {
    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }

    /// Runs the checks for every case. The mirror is dropped when a command changes the tree.
    fn agrees(&self, folder: &Path, mirror: &mut Option<Mirror>) -> Result<()> {
        let root = folder.join("root");
        let status = self.output.status.code();
        if self.has("seize") {
            *mirror = None;
            report_agrees(&root.join("run/pciseize/report"), self.output)?;
        } else if ["release", "name-guests", "add", "remove"]
            .iter()
            .any(|own| self.has(own))
        {
            *mirror = None;
        } else if self.has_changed {
            return Err("something was changed".into());
        } else if self.has("guest-config") {
            pastes_into_guest(
                std::str::from_utf8(&self.output.stdout)?,
                self.has("--libvirt"),
            )?;
        } else if self.has("show") {
            if status != Some(2) {
                page_agrees(folder, self.words, self.output)?;
            }
        } else if self.has("list") && !self.has("--json") && !self.has("--boot") {
            if status == Some(0) {
                list_is_configuration(folder, self.words, self.output)?;
                json_is_sound(Kind::List, folder, self.words)?;
            }
        } else if self.has("status") && !self.has("--json") && status != Some(2) {
            json_is_sound(Kind::Status, folder, self.words)?;
        } else if self.has("plan") && !self.has("--warnings") && status != Some(2) {
            if self.has("--json") {
                let plan = plan_agrees(self.output)?;
                let mirror = match mirror {
                    Some(mirror) => mirror,
                    None => mirror.insert(Mirror::of(&root)?),
                };
                mirror.agrees(self.words, &plan)?;
            } else {
                table_is_configuration(folder, self.words, self.output)?;
            }
        } else if self.has("--json") && status != Some(2) {
            let kind = if self.has("list") {
                Kind::List
            } else {
                Kind::Status
            };
            schema::read(kind, &self.output.stdout)?;
        }
        Ok(())
    }
}

/// Checks what `guest-config` prints, which may be nothing: comments and one list for xl, or
/// comments and elements for libvirt, well-formed if they stand in an element.
fn pastes_into_guest(printed: &str, is_xml: bool) -> Result<()> {
    if let Some(long) = printed
        .lines()
        .find(|line| line.len() > 80 && !line.starts_with("pci = ["))
    {
        return Err(format!("a long line: {long}").into());
    }
    if !is_xml {
        let form = Regex::new(r"\A(?:(?:#.*\n)+pci = \['[^'\n]+'(?:, '[^'\n]+')*\]\n)?\z")?;
        return form
            .is_match(printed)
            .then_some(())
            .ok_or_else(|| "no comments and one list".into());
    }
    let comment = Regex::new(r"<!--((?s:.*?))-->")?;
    for text in comment.captures_iter(printed) {
        if text[1].contains("--") || text[1].ends_with('-') {
            return Err(format!("two hyphens in a comment: {}", &text[0]).into());
        }
    }
    let plain = comment.replace_all(printed, "");
    let tag = Regex::new(r"<(/?)(\w+)((?: \w+='[^'<&]*')*)(/?)>")?;
    let mut open = Vec::new();
    for parts in tag.captures_iter(&plain) {
        match (&parts[1], &parts[4]) {
            ("", "") => open.push(parts[2].to_owned()),
            ("/", "") if open.pop().as_deref() == Some(&parts[2]) => {}
            ("", "/") => {}
            _ => return Err(format!("not well-formed: {}", &parts[0]).into()),
        }
    }
    let rest = tag.replace_all(&plain, "");
    if !open.is_empty() || !rest.trim().is_empty() {
        return Err(format!("not well-formed: {open:?} {rest}").into());
    }
    Ok(())
}

/// What `show` prints is sound as JSON, and tells as many devices as pages; its item asks for the
/// device. Each line fits into 80 columns, but for one word alone.
fn page_agrees(folder: &Path, words: &[OsString], output: &Output) -> Result<()> {
    let json: Vec<OsString> = words[1..]
        .iter()
        .filter(|word| *word != "--json")
        .cloned()
        .chain(["--json".into()])
        .collect();
    let devices = schema::read(Kind::Show, &run_in(folder, &json)?.stdout)?;
    let devices = devices.as_array().ok_or("no array")?;
    if words.iter().any(|word| word == "--json") {
        return Ok(());
    }
    let text = std::str::from_utf8(&output.stdout)?;
    let pages: Vec<&str> = text.split("\n\n").filter(|page| !page.is_empty()).collect();
    if pages.len() != devices.len() {
        return Err("as many pages as devices".into());
    }
    for line in text.lines() {
        let text = line.get(14..).unwrap_or_default();
        if line.len() > 80 && text.trim().contains(' ') {
            return Err(format!("too long: {line}").into());
        }
    }
    for (page, device) in pages.iter().zip(devices) {
        let whole = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let asked = ["asked_by", "kept_by", "other_asked_by"].map(|key| device[key].as_array());
        for item in asked.into_iter().flatten().flatten() {
            let selector = item["selector"].as_str().ok_or("no selector")?;
            let source = item["source"].as_str().ok_or("no source")?;
            if !whole.contains(&format!("{selector} at {source}")) {
                return Err(format!("no line for {item}").into());
            }
        }
        if let Some(next) = device["next"].as_str()
            && !whole.ends_with(&format!(" to do {next}"))
        {
            return Err(format!("does not end in: {next}").into());
        }
    }
    Ok(())
}

/// Runs the program. After ten minutes a hanging program is ended with status 124. A run takes some
/// milliseconds, so no machine is slow enough to reach that limit.
fn run_in(folder: &Path, words: &[OsString]) -> Result<Output> {
    let mut command = Command::new("timeout");
    command
        .args(["10m", env!("CARGO_BIN_EXE_pciseize")])
        .args(words)
        .current_dir(folder);
    Ok(command.output()?)
}

/// A terminal to run a command on.
#[derive(Clone, Copy)]
struct Terminal {
    columns: usize,
    has_colours: bool,
}

impl Terminal {
    /// The terminal that is written in front of a command, and the command.
    fn of(line: &str) -> Result<(Option<Terminal>, &str)> {
        let Some(rest) = line.strip_prefix("COLUMNS=") else {
            return Ok((None, line));
        };
        let (columns, rest) = rest.split_once(' ').ok_or("no command")?;
        let without = rest.strip_prefix("NO_COLOR=1 ");
        let terminal = Terminal {
            columns: columns.parse()?,
            has_colours: without.is_none(),
        };
        Ok((Some(terminal), without.unwrap_or(rest)))
    }

    /// Runs the program on it.
    fn run_in(self, folder: &Path, words: &[OsString]) -> Result<Screen> {
        let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
        let words = shlex::try_join(words.ok_or("not UTF-8")?)?;
        let program = shlex::try_quote(env!("CARGO_BIN_EXE_pciseize"))?;
        let command = format!("stty cols {} && exec {program} {words}", self.columns);
        let mut script = Command::new("timeout");
        script
            .args([
                "10m",
                "script",
                "--quiet",
                "--return",
                "--command",
                &command,
                "/dev/null",
            ])
            .env("NO_COLOR", if self.has_colours { "" } else { "1" })
            .current_dir(folder);
        let output = script.output()?;
        Ok(Screen {
            terminal: self,
            status: output.status.code().ok_or("ended by a signal")?,
            text: String::from_utf8(output.stdout)?.replace('\r', ""),
        })
    }
}

impl fmt::Display for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colours = if self.has_colours { "" } else { " NO_COLOR=1" };
        write!(f, "COLUMNS={}{colours}", self.columns)
    }
}

/// What stands on a terminal after a command, results and messages.
struct Screen {
    terminal: Terminal,
    status: i32,
    text: String,
}

impl Screen {
    fn shown(&self) -> String {
        let text = self.text.replace('\x1b', "\\e");
        format!("[exit {}]\n[terminal]\n{}", self.status, text.trim_end())
    }

    /// No line is too long, colours are only where they are wanted, and the results mean the same
    /// as those that go into a pipe if somebody pastes them.
    fn agrees(&self, folder: &Path, words: &[OsString]) -> Result<()> {
        let colour = Regex::new("\x1b\\[[0-9]*m")?;
        if !self.terminal.has_colours && colour.is_match(&self.text) {
            return Err("a colour".into());
        }
        let plain = colour.replace_all(&self.text, "");
        // A terminal that does not know its width has that of most.
        let columns = match self.terminal.columns {
            0 => 80,
            columns => columns,
        };
        if let Some(long) = plain.lines().find(|line| line.len() > columns) {
            return Err(format!("too long for the terminal: {long}").into());
        }
        // The verdict and the messages are for people, with the lines in which they go on.
        let mut is_message = false;
        let is_result = |line: &&str| {
            let begins = ["pciseize: ", "OK: ", "FAILED: "].map(|word| line.starts_with(word));
            is_message = begins.contains(&true) || is_message && line.starts_with("    ");
            !is_message
        };
        let results: Vec<&str> = plain.lines().filter(is_result).collect();
        if ["list", "plan", "status"]
            .iter()
            .any(|own| words.iter().any(|word| word == own))
        {
            let piped = run_in(folder, &words[1..])?;
            if pasted(folder, words, results.join("\n").as_bytes())?
                != pasted(folder, words, &piped.stdout)?
            {
                return Err("pasted, it means something else than from a pipe".into());
            }
        }
        Ok(())
    }
}

/// A command, and its text in the transcript.
struct Words {
    shown: String,
    words: Vec<OsString>,
}

/// The commands of a line: one, or with `{NAME}` one for each line of that file.
fn commands(folder: &Path, line: &str) -> Result<Vec<Words>> {
    let words = shlex::split(line).ok_or_else(|| format!("{line}: an open quote"))?;
    let place = words
        .iter()
        .position(|word| word.starts_with('{') && word.ends_with('}'));
    let Some(place) = place else {
        let words = words.into_iter().map(OsString::from).collect();
        return Ok(vec![Words {
            shown: line.into(),
            words,
        }]);
    };
    let name = words[place].trim_matches(['{', '}']);
    let text = fs::read(folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
    let lines = text.split(|&b| b == b'\n');
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    let command = |text| {
        let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
        words[place] = OsStr::from_bytes(text).into();
        let shown = line.replace(&format!("{{{name}}}"), &String::from_utf8_lossy(text));
        Words { shown, words }
    };
    Ok(lines.map(command).collect())
}

/// The description of the machine of a case, which may be in `tests/machines/`.
fn description(machine: &Path) -> Result<String> {
    let text = fs::read_to_string(machine)?;
    if text.trim().contains(char::is_whitespace) {
        return Ok(text);
    }
    let machines = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines"));
    let shared = machines.join(text.trim());
    fs::read_to_string(&shared).map_err(|e| format!("{}: {e}", shared.display()).into())
}

/// Makes the files of a machine.
fn make_machine(description: &str, root: &Path) -> Result<()> {
    write_below(root, "sys/hypervisor/properties/features", "00000800\n")?;
    write_below(root, "proc/cmdline", "root=/dev/sda1 ro quiet\n")?;
    write_below(root, "proc/sys/kernel/osrelease", "6.1.0-test\n")?;
    fs::create_dir_all(root.join("sys/bus/pci/devices"))?;

    // The enclosing folders of the next line, each with its indentation.
    let mut around: Vec<(usize, &str)> = Vec::new();
    for line in description.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        let indentation = line.len() - line.trim_start().len();
        around.retain(|&(outer, _)| outer < indentation);
        around.push((indentation, name));
        let Some(ids) = words.next() else { continue };
        let class = words.next().ok_or_else(|| format!("{line}: no class"))?;
        let folders: Vec<&str> = around.iter().map(|&(_, name)| name).collect();
        let function = Function {
            folders: &folders,
            ids,
            class,
            driver: words.next(),
        };
        function.make(root).map_err(|e| format!("{line}: {e}"))?;
    }
    Ok(())
}

/// A function of a machine.
struct Function<'a> {
    /// The folders from `/sys/devices` down to its own.
    folders: &'a [&'a str],
    ids: &'a str,
    class: &'a str,
    driver: Option<&'a str>,
}

impl Function<'_> {
    fn make(&self, root: &Path) -> Result<()> {
        let device = format!("devices/{}", self.folders.join("/"));
        write_below(root, &format!("sys/{device}/modalias"), &self.modalias()?)?;
        write_below(root, &format!("sys/{device}/driver_override"), "(null)\n")?;
        let name = self.folders.last().ok_or("no folder")?;
        let link = root.join("sys/bus/pci/devices").join(name);
        symlink(format!("../../../{device}"), link)?;
        let Some(driver) = self.driver else {
            return Ok(());
        };
        write_below(root, &format!("sys/bus/pci/drivers/{driver}/bind"), "")?;
        write_below(root, &format!("sys/bus/pci/drivers/{driver}/unbind"), "")?;
        let up = "../".repeat(self.folders.len() + 1);
        let link = root.join("sys").join(&device).join("driver");
        symlink(format!("{up}bus/pci/drivers/{driver}"), link)?;
        Ok(())
    }

    fn modalias(&self) -> Result<String> {
        let ids: Vec<String> = self.ids.split(':').map(str::to_uppercase).collect();
        let [vendor, model, subvendor, submodel] = ids.as_slice() else {
            return Err("not four ids".into());
        };
        let [base, sub, interface] = [0, 2, 4].map(|at| self.class[at..at + 2].to_uppercase());
        let ids = format!("v0000{vendor}d0000{model}sv0000{subvendor}sd0000{submodel}");
        Ok(format!("pci:{ids}bc{base}sc{sub}i{interface}\n"))
    }
}

/// Writes a file below a folder, and makes the folders on the way.
fn write_below(root: &Path, path: &str, text: &str) -> io::Result<()> {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap_or(root))?;
    fs::write(path, text)
}

/// A test may run on a real dom0, as root. It must not seize that machine's devices. (With `--root`
/// the program loads no module.)
fn touch_nothing_real(words: &[OsString]) -> Result<()> {
    let is_rooted = words.windows(2).any(|pair| pair == ["--root", "root"]);
    let is_ours = words.first().is_some_and(|word| word == "pciseize");
    let is_seize = words.iter().any(|word| word == "seize");
    if !is_ours || is_seize && !is_rooted {
        return Err("a command is 'pciseize …', and 'seize' needs '--root root'".into());
    }
    Ok(())
}

/// Every file below a folder, by its path from there. The content of a link or fifo is a
/// description.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(root: &Path) -> Result<Files> {
    let mut found = Files::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let content = if kind.is_file() {
                fs::read(&path)?
            } else if kind.is_symlink() {
                format!("-> {}", fs::read_link(&path)?.display()).into_bytes()
            } else {
                b"(neither file nor link)".to_vec()
            };
            found.insert(path.strip_prefix(root)?.to_owned(), content);
        }
    }
    Ok(found)
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
            copy_tree(&path, &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(&path)?, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

/// Adds a titled section to the transcript, unless the text is empty. The text must be UTF-8.
fn tell(told: &mut String, title: &str, text: &[u8]) -> Result<()> {
    if !text.is_empty() {
        let text = str::from_utf8(text).map_err(|e| format!("{title}: {e}"))?;
        let end = if text.ends_with('\n') { "" } else { "\n" };
        write!(told, "[{title}]\n{text}{end}")?;
    }
    Ok(())
}

fn tell_changes(told: &mut String, before: &Files, after: &Files) -> Result<()> {
    let paths: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    for path in paths {
        let shown = path.display();
        match (before.get(path), after.get(path)) {
            (None, Some(content)) => tell(told, &format!("new {shown}"), content)?,
            (Some(_), None) => writeln!(told, "[removed {shown}]")?,
            // Children work on the devices side by side, so the address written last varies.
            (Some(old), Some(new)) if old != new => {
                let is_of_driver = path
                    .parent()
                    .and_then(Path::parent)
                    .is_some_and(|of| of.ends_with("drivers"));
                let content: &[u8] = if is_of_driver { b"an address" } else { new };
                tell(told, &format!("changed {shown}"), content)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The report, if there is one, is as the schema says, and agrees with the exit status.
fn report_agrees(report: &Path, output: &Output) -> Result<()> {
    let Ok(text) = fs::read(report) else {
        return Ok(());
    };
    let report = schema::read(Kind::Report, &text)?;
    let is = |key: &str| {
        report[key]
            .as_bool()
            .ok_or(format!("the report has no {key}"))
    };
    let devices = report["devices"]
        .as_array()
        .ok_or("the report has no devices")?;
    let problems = report["problems"]
        .as_array()
        .ok_or("the report has no problems")?;
    let is_well = |device: &Value| match device["latest"].as_str() {
        Some("seized" | "assigned") => true,
        Some("kept") => device["driver"] != "pciback",
        _ => false,
    };
    // What dom0 needs and a broad item asks for stops no boot.
    let is_no_reason = |device: &Value| {
        is_well(device) || pieces(device).any(|piece| piece.contains(" keeps it, "))
    };
    let has_no_problem = problems.iter().all(is_notice);
    let is_as_asked = has_no_problem && devices.iter().all(is_well);
    let goes_on = has_no_problem && devices.iter().all(is_no_reason);
    let expected = match (
        is_as_asked || !is("dom0")? || is("off")?,
        is("strict")? && !goes_on,
    ) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 3,
    };
    const WRONG_USAGE: Option<i32> = Some(2);
    if ![Some(expected), WRONG_USAGE].contains(&output.status.code()) {
        let status = output.status;
        return Err(format!("by the report the exit status is {expected}, not {status}").into());
    }
    Ok(())
}

/// Whether this is only a notice, which does not change the exit status: a keep that matches
/// nothing, an item that others overrule, a file that is no drop-in, or something that the host
/// boots from and that was not found.
fn is_notice(problem: &Value) -> bool {
    let message = problem["message"].as_str().unwrap_or_default();
    let source = problem["source"].as_str().unwrap_or_default();
    message.starts_with("keeps nothing")
        || message.starts_with("not there; another device is")
        || message.starts_with("passed over")
        || message.contains("the host may boot from")
        || ["/proc/self/mountinfo", "/proc/net/route"].contains(&source)
}

/// A plan is as the schema says, and agrees with the exit status.
fn plan_agrees(output: &Output) -> Result<Value> {
    let plan = schema::read(Kind::Plan, &output.stdout)?;
    let devices = plan["devices"]
        .as_array()
        .ok_or("the plan has no devices")?;
    let problems = plan["problems"]
        .as_array()
        .ok_or("the plan has no problems")?;
    // A device to be seized is not as asked if an earlier step has failed. Warnings change nothing.
    let has_failed = |device: &Value| pieces(device).any(|piece| piece.starts_with("reading "));
    let is_well = |device: &Value| match device["action"].as_str() {
        Some("keep") => true,
        Some("seize") => !has_failed(device),
        // Switched off, nothing is to be done.
        Some("leave") => pieces(device).any(|piece| piece.starts_with("switched off")),
        _ => false,
    };
    let is_as_asked = problems.iter().all(is_notice) && devices.iter().all(is_well);
    if output.status.code() != Some(i32::from(!is_as_asked)) {
        return Err(format!("by the plan as asked: {is_as_asked}, yet {}", output.status).into());
    }
    Ok(plan)
}

/// The parts of a device's explanation.
fn pieces(device: &Value) -> impl Iterator<Item = &str> {
    let warnings = device["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    warnings.flat_map(|warning| warning.split("; "))
}

/// Whether dom0 uses a device. A boot seizes the device all the same, and `seize` on the running
/// host leaves it.
fn is_in_use(device: &Value) -> bool {
    let is_use = |piece: &str| {
        let piece = piece.strip_prefix("CAUTION: ").unwrap_or(piece);
        let begins = |begin| piece.starts_with(begin);
        let is_held = begins("it holds ") || begins("it carries ") || begins("it may hold /");
        let is_of_guests =
            begins("it has virtual functions") || begins("it has a virtual function");
        is_held
            || is_of_guests
            || begins("it is the boot display")
            || begins("it has the last keyboard")
    };
    pieces(device).any(is_use)
}

/// A copy of a case's tree on which `seize` may do what the plans say. It is made when first needed
/// and restored after each use.
struct Mirror(TempDir);

impl Mirror {
    fn of(root: &Path) -> Result<Mirror> {
        let mirror = tempfile::tempdir()?;
        fs::create_dir(mirror.path().join("root"))?;
        copy_tree(root, &mirror.path().join("root"))?;
        Ok(Mirror(mirror))
    }

    /// `seize` does what the plan says, except for devices in use: it writes the overrides of the
    /// devices to be seized, and of no others.
    fn agrees(&self, words: &[OsString], plan: &Value) -> Result<()> {
        let root = self.0.path().join("root");
        let cmdline = fs::read(root.join("proc/cmdline"));
        if let Some(place) = words.iter().rposition(|word| word == "--cmdline") {
            fs::write(root.join("proc/cmdline"), words[place + 1].as_bytes())?;
        }
        let before = overrides(&root);
        run_in(
            self.0.path(),
            &["--root".into(), "root".into(), "seize".into()],
        )?;
        let after = overrides(&root);
        let has_changed = |device: &&str| before[*device] != after[*device];
        let devices = before.keys().map(String::as_str);
        let written: BTreeSet<&str> = devices.filter(has_changed).collect();

        // A device without that file has nothing to write.
        let mut planned = planned_to_take(plan);
        planned.retain(|device| before.contains_key(*device));
        if planned != written {
            return Err(format!("planned were {planned:?}, written {written:?}").into());
        }

        let devices = root.join("sys/bus/pci/devices");
        for device in written {
            fs::write(
                devices.join(device).join("driver_override"),
                &before[device],
            )?;
        }
        if let Ok(cmdline) = cmdline {
            fs::write(root.join("proc/cmdline"), cmdline)?;
        }
        let _ = fs::remove_dir_all(root.join("run/pciseize"));
        Ok(())
    }
}

/// The devices that the plan lets `seize` take on the running host.
fn planned_to_take(plan: &Value) -> BTreeSet<&str> {
    if plan["dom0"] != true || plan["off"] != false {
        return BTreeSet::new();
    }
    let is_taken = |device: &&Value| device["action"] == "seize" && !is_in_use(device);
    let taken = plan["devices"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(is_taken);
    taken
        .filter_map(|device| device["address"].as_str())
        .collect()
}

/// The overrides of all devices that have one.
fn overrides(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let devices = fs::read_dir(root.join("sys/bus/pci/devices"))
        .into_iter()
        .flatten()
        .flatten();
    let with_override = devices.filter_map(|device| {
        let content = fs::read(device.path().join("driver_override")).ok()?;
        Some((device.file_name().into_string().ok()?, content))
    });
    with_override.collect()
}

/// With `--json` the command prints what the schema says.
fn json_is_sound(kind: Kind, folder: &Path, words: &[OsString]) -> Result<()> {
    let output = run_in(folder, &[&words[1..], &["--json".into()]].concat())?;
    schema::read(kind, &output.stdout)?;
    Ok(())
}

/// What a configuration comes to on the machine of a case that has none of its own.
fn pasted(folder: &Path, words: &[OsString], configuration: &[u8]) -> Result<Value> {
    let pasted = folder.join("pasted");
    let root = pasted.join("root");
    fs::create_dir_all(&pasted)?;
    copy_tree(&folder.join("root"), &root).ok();
    for known in [
        "etc",
        "proc/cmdline",
        "proc/net",
        "proc/bus",
        "proc/swaps",
        "run",
    ] {
        let path = root.join(known);
        let _ = if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
    }
    let mounts = "1 1 0:2 / / rw - rootfs rootfs rw\n";
    let _ = fs::remove_dir(root.join("proc/self/mountinfo"));
    fs::write(root.join("proc/self/mountinfo"), mounts)?;
    fs::create_dir_all(root.join("etc/xen"))?;
    fs::write(root.join("etc/xen/pciback.conf"), configuration)?;

    let plan = ["plan", "--cmdline", "", "--json"].map(OsString::from);
    let plan = plan_agrees(&run_in(&pasted, &[&words[1..3], &plan].concat())?)?;
    fs::remove_dir_all(pasted)?;
    Ok(plan)
}

/// The output of `list` can be pasted as a configuration. On the same machine without its own
/// configuration, it asks for exactly the functions on the lines that are not comments, and all of
/// them are seized.
fn list_is_configuration(folder: &Path, words: &[OsString], output: &Output) -> Result<()> {
    let plan = pasted(folder, words, &output.stdout)?;
    let devices = plan["devices"].as_array().into_iter().flatten();
    let taken = devices.filter(|device| device["action"] == "seize");
    let taken = taken.filter_map(|device| device["address"].as_str());
    let lines = str::from_utf8(&output.stdout)?
        .lines()
        .filter(|line| !line.starts_with('#'));
    let listed = lines.filter_map(|line| line.split_once("# ")?.1.split(' ').next());
    let has_problem = plan["problems"]
        .as_array()
        .is_none_or(|problems| !problems.is_empty());
    if !taken.eq(listed) || has_problem {
        return Err(format!("pasted, the list means something else: {plan:#}").into());
    }
    Ok(())
}

/// The table of `plan` is a configuration without mistakes. The lines that are not comments are the
/// devices to be seized and, with `!`, those to be kept.
fn table_is_configuration(folder: &Path, words: &[OsString], output: &Output) -> Result<()> {
    fs::write(folder.join("pasted.conf"), &output.stdout)?;
    let checked = run_in(folder, &["check".into(), "pasted.conf".into()])?;
    if checked.status.code() != Some(0) {
        let mistakes = String::from_utf8_lossy(&checked.stdout);
        return Err(format!("the table cannot be pasted: {mistakes}").into());
    }
    let plan = plan_agrees(&run_in(
        folder,
        &[&words[1..], &["--json".into()]].concat(),
    )?)?;
    let devices = plan["devices"].as_array().into_iter().flatten();
    let planned = devices.filter_map(|device| {
        let address = device["address"].as_str()?;
        match device["action"].as_str()? {
            "seize" => Some(address.to_owned()),
            "keep" => Some(format!("!{address}")),
            _ => None,
        }
    });
    let lines = str::from_utf8(&output.stdout)?
        .lines()
        .filter(|line| !line.starts_with('#'));
    if !planned.eq(lines.filter_map(|line| line.split_whitespace().next())) {
        return Err("pasted, the table would mean other devices than the plan".into());
    }
    Ok(())
}
