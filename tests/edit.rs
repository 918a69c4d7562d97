//! The drop-in that `add` and `remove` edit, on real file systems: a full one, one that cannot be
//! written, a run that is killed, several runs at once, modes and owners.
//!
//! `tests/cases/add/` and `tests/cases/remove/` have what is written, and the unit tests of
//! `src/edit/` every call that may fail.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pciseize");

/// A machine in files, with so many functions on its root bus.
struct Machine(TempDir);

impl Machine {
    fn new(functions: usize) -> Machine {
        let folder = tempfile::tempdir().expect("a folder");
        let devices = folder.path().join("sys/bus/pci/devices");
        fs::create_dir_all(&devices).expect("a folder");
        for at in 0..functions {
            let name = address(at);
            let own = folder.path().join("sys/devices/pci0000:00").join(&name);
            fs::create_dir_all(&own).expect("a folder");
            let modalias = "pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00\n";
            fs::write(own.join("modalias"), modalias).expect("a file");
            let link = format!("../../../devices/pci0000:00/{name}");
            symlink(link, devices.join(&name)).expect("a link");
        }
        let machine = Machine(folder);
        machine.write("proc/self/mountinfo", "1 1 0:2 / / rw - rootfs rootfs rw\n");
        machine.write("proc/cmdline", "quiet\n");
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("its folder");
        fs::write(path, text).expect("a file");
    }

    /// Runs `pciseize --root ROOT WORDS` in a shell that was set up by a script.
    fn run(&self, setup: &str, words: &[&str]) -> Output {
        let mut command = Command::new("sh");
        let script = format!("{setup}\nexec \"$@\"");
        command.args(["-c", &script, "sh", PROGRAM, "--root"]);
        command.arg(self.0.path()).args(words);
        command.env("ROOT", self.0.path());
        command.output().expect("sh runs")
    }

    /// What is in the folder of the drop-ins.
    fn names(&self) -> Vec<String> {
        let folder = fs::read_dir(self.path("etc/xen/pciback.conf.d")).expect("the folder");
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        folder.map(|entry| name(entry.expect("a name"))).collect()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path(DROP_IN)).expect("the drop-in")
    }
}

const DROP_IN: &str = "etc/xen/pciback.conf.d/50-added.conf";

fn address(at: usize) -> String {
    format!("0000:00:{:02x}.{:x}", at / 8, at % 8)
}

/// A text of more than one block of 512 bytes, with something of everybody's.
fn old_text() -> String {
    "# somebody's\n".repeat(60) + "\r\n\x01 not an item\n!00:1f.0\n0000:00:00.0 # no end"
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_file_system_leaves_the_old_file() {
    let machine = Machine::new(8);
    machine.write(DROP_IN, &old_text());
    // A file may have no more than 512 bytes: what is written beyond fails as on a full disk.
    let full = machine.run("trap '' XFSZ; ulimit -f 1", &["add", "00:00.1"]);
    assert_eq!(full.status.code(), Some(1));
    assert!(
        said(&full).contains("50-added.conf.new: EFBIG (27); nothing is written"),
        "{full:?}"
    );
    assert_eq!(machine.text(), old_text());
    assert_eq!(machine.names(), ["50-added.conf"]);
    let full = machine.run("trap '' XFSZ; ulimit -f 1", &["remove", "00:00.0"]);
    assert_eq!((full.status.code(), machine.text()), (Some(1), old_text()));
}

#[test]
fn a_read_only_file_system_leaves_the_old_file() {
    let machine = Machine::new(8);
    machine.write(DROP_IN, &old_text());
    let script = r#"
        mount --bind "$ROOT/etc" "$ROOT/etc"
        mount -o remount,bind,ro "$ROOT/etc"
        exec "$@""#;
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-euc", script, "sh"])
        .args([PROGRAM, "--root"])
        .arg(machine.0.path())
        .args(["add", "00:00.1"])
        .env("ROOT", machine.0.path())
        .output()
        .expect("unshare runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        said(&output).contains("EROFS (30); nothing is written"),
        "{output:?}"
    );
    assert_eq!(machine.text(), old_text());
}

/// A signal ends the run while it writes the new text.
#[test]
fn a_killed_run_leaves_the_old_file_and_the_next_one_goes_on() {
    let machine = Machine::new(8);
    machine.write(DROP_IN, &old_text());
    let killed = machine.run("ulimit -f 1", &["add", "00:00.1"]);
    assert!(killed.status.signal().is_some(), "{killed:?}");
    assert_eq!(machine.text(), old_text());
    assert_eq!(machine.names().len(), 2, "the unfinished one is left");
    // It is no drop-in: nobody reads it, and nobody is told of it.
    let checked = machine.run("", &["check"]);
    assert!(!said(&checked).contains(".new"), "{checked:?}");
    let added = machine.run("", &["add", "00:00.1"]);
    assert_eq!(added.status.code(), Some(0), "{added:?}");
    let line = "\n8086:10d3@0000:00:00.1  # ethernet\n";
    assert_eq!(machine.text(), old_text() + line);
    assert_eq!(machine.names(), ["50-added.conf"]);
}

#[test]
fn several_at_once_lose_nothing() {
    const RUNS: usize = 24;
    let machine = Machine::new(RUNS + 8);
    machine.write(DROP_IN, &old_text());
    let begin = |words: [&str; 2]| {
        let mut command = Command::new(PROGRAM);
        command.arg("--root").arg(machine.0.path()).args(words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the program runs")
    };
    let mut runs: Vec<_> = (1..=RUNS).map(|at| begin(["add", &address(at)])).collect();
    runs.push(begin(["remove", &address(0)]));
    for run in &mut runs {
        assert!(run.wait().expect("an end").success());
    }
    let (text, old) = (machine.text(), old_text());
    let kept = old.trim_end_matches("0000:00:00.0 # no end");
    assert!(text.starts_with(kept), "{text}");
    let mut lines: Vec<&str> = text[kept.len()..].lines().collect();
    lines.sort_unstable();
    let line = |at| format!("8086:10d3@{}  # ethernet", address(at));
    let expected: Vec<String> = (1..=RUNS).map(line).collect();
    assert_eq!(lines, expected);
}

#[test]
fn mode_and_owner_stay() {
    let machine = Machine::new(8);
    machine.write(DROP_IN, &old_text());
    let file = machine.path(DROP_IN);
    fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("a mode");
    let is_root = fs::metadata("/proc/self").expect("who runs this").uid() == 0;
    if is_root {
        chown(&file, Some(1234), Some(2345)).expect("an owner");
    }
    let of = |file: &Path| {
        let found = fs::metadata(file).expect("the file");
        (found.mode() & 0o7777, found.uid(), found.gid())
    };
    let before = of(&file);
    let added = machine.run("umask 077", &["add", "00:00.1"]);
    assert_eq!(added.status.code(), Some(0), "{added:?}");
    assert_eq!(of(&file), before);
    let removed = machine.run("umask 077", &["remove", "00:00.1", "00:00.0"]);
    assert_eq!(removed.status.code(), Some(0), "{removed:?}");
    assert_eq!(of(&file), before);
    fs::remove_file(&file).expect("the file");
    machine.run("umask 077", &["add", "00:00.1"]);
    assert_eq!(
        of(&file).0,
        0o644,
        "whoever reads the other files reads this one"
    );
}

/// Where standard output is closed, nothing that is printed gets into a file of pciseize's own.
#[test]
fn a_closed_stream_is_no_file() {
    let machine = Machine::new(1);
    machine.run("exec >&- 2>&-", &["add", &address(0)]);
    assert!(machine.text().contains(&address(0)), "{}", machine.text());
    let lock = fs::read_to_string(machine.path("run/pciseize/edit.lock")).expect("the lock");
    assert_eq!(lock, "");
}

/// A folder that is made is for all to read, whatever the umask.
#[test]
fn a_new_folder_is_for_all() {
    let machine = Machine::new(1);
    machine.run("umask 077", &["add", &address(0)]);
    let folder = fs::metadata(machine.path("etc/xen/pciback.conf.d")).expect("the folder");
    assert_eq!(folder.permissions().mode() & 0o777, 0o755);
}
