//! The program on small trees of files: one folder a case, no code for a new one.
//!
//! | in `tests/cases/NN-name/` | |
//! | --- | --- |
//! | `run` | the commands, one a line, with `--root root`; `#` begins a comment that says what the case is about |
//! | `root/` | the tree, as the machine would show it |
//! | `prepare` | if it is there, a shell script that runs in a copy of the tree: for what git cannot keep (a fifo, an empty folder) and what is too large to keep |
//! | `expected` | for each command its exit status, what it wrote, and which files of the tree it made, changed or removed |
//!
//! `SNAPSHOTS=overwrite cargo test --test cases` writes `expected` anew: read the difference before you keep it.
//!
//! A tree is no kernel: what is written into `bind` has no effect. What follows from effects is told in `tests/model.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fmt::Write,
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tryfn::{Case, Data, Harness};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() {
    // A harness that finds nothing to do would be content with it.
    assert!(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/01-nothing-asked/run")).exists(), "the cases are not where they belong");
    Harness::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"), case, transcript).select(["/*/run"]).test();
}

fn case(run: PathBuf) -> Case {
    let folder = run.parent().expect("the case's folder");
    let name = folder.file_name().expect("its name").to_string_lossy().into_owned();
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
    for command in fs::read_to_string(run)?.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let before = files(&root)?;
        touch_nothing_real(&words, &before)?;
        // What waits for ever exits with 124.
        let output = Command::new("timeout").args(["20", env!("CARGO_BIN_EXE_pciseize")]).args(&words[1..]).current_dir(copy.path()).output()?;
        let after = files(&root)?;

        writeln!(told, "$ {command}\n[exit {}]", output.status.code().ok_or("ended by a signal")?)?;
        tell(&mut told, "stdout", &output.stdout)?;
        tell(&mut told, "stderr", &output.stderr)?;
        tell_changes(&mut told, &before, &after)?;
        if words.contains(&"seize") {
            report_agrees(&root.join("run/pciseize/report"), &output)?;
        }
    }
    Ok(told)
}

/// A test may run on a real dom0, as root. It must neither seize that machine's devices nor load a module into its kernel.
fn touch_nothing_real(words: &[&str], files: &Files) -> Result<()> {
    let is_rooted = words.windows(2).any(|pair| pair == ["--root", "root"]);
    if words.first() != Some(&"pciseize") || words.contains(&"seize") && !is_rooted {
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
            fs::create_dir(&target)?;
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
    let is_as_asked = problems.is_empty() && devices.iter().all(|device| device["latest"] == "seized");
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
