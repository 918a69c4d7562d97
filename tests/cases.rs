//! The program on small trees of files: one folder a case, no code for a new one.
//!
//! | in `tests/cases/TOPIC/NAME/` | |
//! | --- | --- |
//! | `run` | the commands, one a line, in words as a shell has them, with `--root root`; `#` begins a comment that says what the case is about |
//! | `machine` | if it is there, the PCI functions of the machine, or the name of a machine in `tests/machines/` |
//! | `root/` | the tree, as the machine would show it; where there is a `machine`, what the case has besides, or otherwise |
//! | `prepare` | if it is there, a shell script that runs in a copy of the tree: for what git cannot keep (a fifo, an empty folder) and what is too large to keep |
//! | `expected` | for each command its exit status, what it wrote, and which files of the tree it made, changed or removed |
//!
//! In a command, `{NAME}` stands for every line of the case's file NAME, one after another: a command with it is many. Empty lines and comments of that file are left out.
//!
//! # A machine
//!
//! One text says in thirty lines what sysfs says in two hundred files. A line is a folder below `/sys/devices`, indented below the folder that it is in; a function has its ids, its class and, if one has it, its
//! driver. `#` begins a comment.
//!
//! ```text
//! pci0000:00
//!   0000:00:1c.0      8086:a110:1043:8694 060400 pcieport
//!     0000:03:00.0    1b21:1242:1043:8675 0c0330 xhci_hcd
//! ```
//!
//! From this come the folders with `modalias` and `driver_override`, the links from `/sys/bus/pci/devices` and to the drivers, a Xen dom0 and a command line that asks for nothing.
//!
//! # What holds for every case
//!
//! A report and a plan are JSON, and say the same as the exit status. `plan` and `check` change nothing. What `plan` says, `seize` does: on a copy of the tree it writes the overrides of those devices and of no other.
//! What `plan` prints as a table is a configuration that means the same. So is what `list` prints: it asks for every function that may be taken.
//!
//! `SNAPSHOTS=overwrite cargo test --test cases` writes `expected` anew: read the difference before you keep it.
//!
//! A tree is no kernel: what is written into `bind` has no effect. What follows from effects is told in `tests/model.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    ffi::{OsStr, OsString},
    fmt::Write,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;
use tryfn::{Case, Data, Harness};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() {
    // A harness that finds nothing to do would be content with it.
    assert!(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/seize/nothing-asked/run")).exists(), "the cases are not where they belong");
    Harness::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"), case, transcript).select(["/*/*/run"]).test();
}

fn case(run: PathBuf) -> Case {
    let folder = run.parent().expect("the case's folder");
    let name = folder.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases")).expect("a folder of cases");
    let name = name.to_string_lossy().into_owned();
    // Raw: without it, `...` and `[..]` in the expectation would match anything.
    let expected = Data::read_from(&folder.join("expected"), None).raw();
    Case { name, fixture: run, expected }
}

/// Runs the commands of a case, one after another on the same copy of its tree, and tells all that is to be seen of them.
fn transcript(run: &Path) -> Result<String> {
    let folder = run.parent().ok_or("no folder")?;
    let copy = tempfile::tempdir()?;
    let root = copy.path().join("root");
    fs::create_dir(&root)?;
    if folder.join("machine").exists() {
        make_machine(&description(&folder.join("machine"))?, &root)?;
    }
    if folder.join("root").exists() {
        copy_tree(&folder.join("root"), &root)?;
    }
    if folder.join("prepare").exists() {
        let status = Command::new("sh").arg("-eu").arg(folder.join("prepare")).current_dir(&root).status()?;
        if !status.success() {
            return Err("the case's script 'prepare' failed".into());
        }
    }

    let mut told = String::new();
    let mut mirror = None;
    for line in fs::read_to_string(run)?.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        for Words { shown, words } in commands(folder, line)? {
            let before = files(&root)?;
            touch_nothing_real(&words, &before)?;
            let output = run_in(copy.path(), &words[1..])?;
            let after = files(&root)?;

            writeln!(told, "$ {shown}\n[exit {}]", output.status.code().ok_or("ended by a signal")?)?;
            tell(&mut told, "stdout", &output.stdout)?;
            tell(&mut told, "stderr", &output.stderr)?;
            tell_changes(&mut told, &before, &after)?;
            let has = |word: &str| words.iter().any(|own| own == word);
            if has("seize") {
                mirror = None;
                report_agrees(&root.join("run/pciseize/report"), &output)?;
            } else if has("release") {
                mirror = None;
            } else if before != after {
                return Err(format!("{shown}: something was changed").into());
            } else if has("list") && !has("--json") && !has("--boot") && output.status.success() {
                list_is_configuration(copy.path(), &words, &output)?;
            } else if has("plan") && !has("--warnings") && output.status.code() != Some(2) {
                if has("--json") {
                    let plan = plan_agrees(&output)?;
                    let mirror = match &mut mirror {
                        Some(mirror) => mirror,
                        None => mirror.insert(Mirror::of(&root)?),
                    };
                    mirror.agrees(&words, &plan).map_err(|e| format!("{shown}: {e}"))?;
                } else {
                    table_is_configuration(copy.path(), &words, &output)?;
                }
            }
        }
    }
    Ok(told)
}

/// Runs the program. Where it waits for ever it is ended with status 124, in ten minutes: a run takes some
/// milliseconds, and no machine is so slow that it needs that long.
fn run_in(folder: &Path, words: &[OsString]) -> Result<Output> {
    let mut command = Command::new("timeout");
    command.args(["10m", env!("CARGO_BIN_EXE_pciseize")]).args(words).current_dir(folder);
    Ok(command.output()?)
}

/// A command, and how it is told.
struct Words {
    shown: String,
    words: Vec<OsString>,
}

/// The commands that a line means: one, or with `{NAME}` one for each line of that file.
fn commands(folder: &Path, line: &str) -> Result<Vec<Words>> {
    let words = shlex::split(line).ok_or_else(|| format!("{line}: an open quote"))?;
    let Some((place, name)) = words.iter().enumerate().find_map(|(place, word)| Some((place, word.strip_prefix('{')?.strip_suffix('}')?))) else {
        return Ok(vec![Words { shown: line.into(), words: words.into_iter().map(OsString::from).collect() }]);
    };
    let text = fs::read(folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    Ok(lines
        .map(|text| {
            let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
            words[place] = OsStr::from_bytes(text).into();
            Words { shown: line.replace(&format!("{{{name}}}"), &String::from_utf8_lossy(text)), words }
        })
        .collect())
}

/// The text that describes the machine of a case, which may stand in `tests/machines/`.
fn description(machine: &Path) -> Result<String> {
    let text = fs::read_to_string(machine)?;
    if text.trim().contains(char::is_whitespace) {
        return Ok(text);
    }
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/machines")).join(text.trim());
    fs::read_to_string(&shared).map_err(|e| format!("{}: {e}", shared.display()).into())
}

/// Makes the tree of a machine.
fn make_machine(description: &str, root: &Path) -> Result<()> {
    let write = |path: &str, text: &str| -> io::Result<()> {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(path, text)
    };
    write("sys/hypervisor/properties/features", "00000800\n")?;
    write("proc/cmdline", "root=/dev/sda1 ro quiet\n")?;
    write("proc/sys/kernel/osrelease", "6.1.0-test\n")?;
    fs::create_dir_all(root.join("sys/bus/pci/devices"))?;

    // The folders around the next line, each with its indentation.
    let mut around: Vec<(usize, &str)> = Vec::new();
    for line in description.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        let indentation = line.len() - line.trim_start().len();
        around.retain(|&(outer, _)| outer < indentation);
        around.push((indentation, name));
        let Some(ids) = words.next() else { continue };
        let (class, driver) = (words.next().ok_or_else(|| format!("{line}: no class"))?, words.next());

        let names: Vec<&str> = around.iter().map(|&(_, name)| name).collect();
        let device = format!("devices/{}", names.join("/"));
        let [vendor, model, subvendor, submodel] =
            ids.split(':').map(str::to_uppercase).collect::<Vec<_>>().try_into().map_err(|_| format!("{line}: not four ids"))?;
        let [base, sub, interface] = [0, 2, 4].map(|at| class[at..at + 2].to_uppercase());
        let modalias = format!("pci:v0000{vendor}d0000{model}sv0000{subvendor}sd0000{submodel}bc{base}sc{sub}i{interface}\n");
        write(&format!("sys/{device}/modalias"), &modalias)?;
        write(&format!("sys/{device}/driver_override"), "(null)\n")?;
        symlink(format!("../../../{device}"), root.join("sys/bus/pci/devices").join(name))?;
        if let Some(driver) = driver {
            write(&format!("sys/bus/pci/drivers/{driver}/bind"), "")?;
            write(&format!("sys/bus/pci/drivers/{driver}/unbind"), "")?;
            symlink(format!("{}bus/pci/drivers/{driver}", "../".repeat(names.len() + 1)), root.join("sys").join(&device).join("driver"))?;
        }
    }
    Ok(())
}

/// A test may run on a real dom0, as root. It must neither seize that machine's devices nor load a module into its kernel.
fn touch_nothing_real(words: &[OsString], files: &Files) -> Result<()> {
    let is_rooted = words.windows(2).any(|pair| pair == ["--root", "root"]);
    if words.first().is_none_or(|word| word != "pciseize") || words.iter().any(|word| word == "seize") && !is_rooted {
        return Err("a command is 'pciseize …', and 'seize' needs '--root root'".into());
    }
    if let Some(module) = files.keys().find(|path| path.to_string_lossy().contains(".ko")) {
        return Err(format!("{} would be loaded into the kernel of this machine", module.display()).into());
    }
    Ok(())
}

/// Every file below a folder, by its path from there. Links and fifos are told by what they are.
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

/// Tells a text under a title. What is empty is not told; the program writes nothing but UTF-8.
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
            // Devices are worked on side by side: whose address was written last is chance.
            (Some(old), Some(new)) if old != new && path.parent().is_some_and(|folder| folder.ends_with("drivers/pciback")) => {
                tell(told, &format!("changed {shown}"), b"an address")?;
            }
            (Some(old), Some(new)) if old != new => tell(told, &format!("changed {shown}"), new)?,
            _ => {}
        }
    }
    Ok(())
}

/// The report, where there is one, is JSON, and says the same as the exit status.
fn report_agrees(report: &Path, output: &Output) -> Result<()> {
    let Ok(text) = fs::read(report) else { return Ok(()) };
    let report: Value = serde_json::from_slice(&text).map_err(|e| format!("the report is not JSON: {e}"))?;
    let is = |key: &str| report[key].as_bool().ok_or(format!("the report has no {key}"));
    let devices = report["devices"].as_array().ok_or("the report has no devices")?;
    let problems = report["problems"].as_array().ok_or("the report has no problems")?;
    let is_as_asked =
        problems.iter().all(is_notice) && devices.iter().all(|device| ["seized", "assigned", "kept"].iter().any(|outcome| device["latest"] == *outcome));
    let expected = match (is_as_asked || !is("dom0")? || is("off")?, is("strict")?) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => 3,
    };
    if output.status.code() != Some(expected) {
        return Err(format!("by the report the exit status is {expected}, not {:?}", output.status.code()).into());
    }
    Ok(())
}

/// A keep that keeps nothing is worth reading, and all is as asked.
fn is_notice(problem: &Value) -> bool {
    problem["message"].as_str().is_some_and(|message| message.starts_with("keeps nothing"))
}

/// A plan is JSON with the fields that the contract names, and says the same as the exit status.
fn plan_agrees(output: &Output) -> Result<Value> {
    const FIELDS: &str = "action address class device driver path selector source subdevice subvendor vendor warnings";
    let plan: Value = serde_json::from_slice(&output.stdout).map_err(|e| format!("the plan is not JSON: {e}"))?;
    let devices = plan["devices"].as_array().ok_or("the plan has no devices")?;
    let problems = plan["problems"].as_array().ok_or("the plan has no problems")?;
    for device in devices {
        let fields: BTreeSet<&str> = device.as_object().ok_or("a device is no object")?.keys().map(String::as_str).collect();
        if !fields.iter().copied().eq(FIELDS.split(' ')) {
            return Err(format!("a device of the plan has {fields:?}").into());
        }
    }
    // A device that is to be taken is not as asked where something has failed already. Warnings change nothing.
    let has_failed = |device: &Value| pieces(device).any(|piece| piece.starts_with("reading "));
    let is_well = |device: &Value| device["action"] == "keep" || device["action"] == "seize" && !has_failed(device);
    let is_as_asked = problems.iter().all(is_notice) && devices.iter().all(is_well);
    if output.status.code() != Some(i32::from(!is_as_asked)) {
        return Err(format!("by the plan as asked: {is_as_asked}, yet {}", output.status).into());
    }
    Ok(plan)
}

/// What is said of a device, in pieces.
fn pieces(device: &Value) -> impl Iterator<Item = &str> {
    device["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).flat_map(|warning| warning.split("; "))
}

/// Whether dom0 uses a device: a boot takes it all the same, and `seize` on the running host leaves it.
fn is_in_use(device: &Value) -> bool {
    pieces(device).any(|piece| ["it holds ", "it carries ", "it is the boot display", "it has the last keyboard"].iter().any(|begin| piece.starts_with(begin)))
}

/// A copy of the tree of a case in which `seize` may do what the plans say. Made when it is first wanted, and after each use as it was.
struct Mirror(TempDir);

impl Mirror {
    fn of(root: &Path) -> Result<Mirror> {
        let mirror = tempfile::tempdir()?;
        fs::create_dir(mirror.path().join("root"))?;
        copy_tree(root, &mirror.path().join("root"))?;
        Ok(Mirror(mirror))
    }

    /// What the plan says, `seize` does, but for what is in use: the overrides that it writes are those of the devices that are to be taken.
    fn agrees(&self, words: &[OsString], plan: &Value) -> Result<()> {
        let root = self.0.path().join("root");
        let cmdline = fs::read(root.join("proc/cmdline"));
        if let Some(place) = words.iter().rposition(|word| word == "--cmdline") {
            fs::write(root.join("proc/cmdline"), words[place + 1].as_bytes())?;
        }
        let before = overrides(&root);
        run_in(self.0.path(), &["--root".into(), "root".into(), "seize".into()])?;
        let after = overrides(&root);
        let written: BTreeSet<&str> = before.keys().filter(|device| before[*device] != after[*device]).map(String::as_str).collect();

        let is_done = plan["dom0"] == true && plan["off"] == false;
        let is_taken = |device: &&Value| is_done && device["action"] == "seize" && !is_in_use(device);
        let planned = plan["devices"].as_array().into_iter().flatten().filter(is_taken).filter_map(|device| device["address"].as_str());
        // Where there is no such file there is nothing to write.
        let planned: BTreeSet<&str> = planned.filter(|&device| before.contains_key(device)).collect();
        if planned != written {
            return Err(format!("planned were {planned:?}, written {written:?}").into());
        }

        for device in written {
            fs::write(root.join("sys/bus/pci/devices").join(device).join("driver_override"), &before[device])?;
        }
        if let Ok(cmdline) = cmdline {
            fs::write(root.join("proc/cmdline"), cmdline)?;
        }
        let _ = fs::remove_dir_all(root.join("run/pciseize"));
        Ok(())
    }
}

/// The overrides of all devices that have one.
fn overrides(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let devices = fs::read_dir(root.join("sys/bus/pci/devices")).into_iter().flatten().flatten();
    devices.filter_map(|device| Some((device.file_name().into_string().ok()?, fs::read(device.path().join("driver_override")).ok()?))).collect()
}

/// What `list` prints can be pasted as it stands: on the same machine it asks for exactly the functions that are no comment, and all of them are taken, or kept by what the machine has for a configuration.
fn list_is_configuration(folder: &Path, words: &[OsString], output: &Output) -> Result<()> {
    let pasted = folder.join("listed");
    fs::create_dir_all(&pasted)?;
    copy_tree(&folder.join("root"), &pasted.join("root")).ok();
    let root = pasted.join("root");
    for configuration in ["etc", "proc/cmdline", "proc/self", "proc/net", "proc/bus", "proc/swaps", "run"] {
        let path = root.join(configuration);
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
    fs::create_dir_all(root.join("etc/xen"))?;
    fs::write(root.join("etc/xen/pciback.conf"), &output.stdout)?;
    let plan = plan_agrees(&run_in(&pasted, &[&words[1..3], &["plan".into(), "--cmdline".into(), "".into(), "--json".into()]].concat())?)?;
    let taken = plan["devices"].as_array().into_iter().flatten().filter(|device| device["action"] == "seize").filter_map(|device| device["address"].as_str());
    let addresses = str::from_utf8(&output.stdout)?.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once("# ")?.1.split(' ').next());
    if !taken.eq(addresses) || plan["problems"].as_array().is_none_or(|problems| !problems.is_empty()) {
        return Err(format!("pasted, the list means something else: {plan:#}").into());
    }
    fs::remove_dir_all(pasted)?;
    Ok(())
}

/// What `plan` prints as a table is a configuration: no line of it is a mistake, and those that are no comment are the devices that are to be taken, and with `!` those that are to be kept.
fn table_is_configuration(folder: &Path, words: &[OsString], output: &Output) -> Result<()> {
    fs::write(folder.join("pasted.conf"), &output.stdout)?;
    let checked = run_in(folder, &["check".into(), "pasted.conf".into()])?;
    if checked.status.code() != Some(0) {
        return Err(format!("the table cannot be pasted: {}", String::from_utf8_lossy(&checked.stdout)).into());
    }
    let plan = plan_agrees(&run_in(folder, &[&words[1..], &["--json".into()]].concat())?)?;
    let planned = plan["devices"].as_array().into_iter().flatten().filter_map(|device| match (device["action"].as_str()?, device["address"].as_str()?) {
        ("seize", address) => Some(address.to_owned()),
        ("keep", address) => Some(format!("!{address}")),
        _ => None,
    });
    let pasted = str::from_utf8(&output.stdout)?.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next());
    if !planned.eq(pasted) {
        return Err("pasted, the table would mean other devices than the plan".into());
    }
    Ok(())
}
