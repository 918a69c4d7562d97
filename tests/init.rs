//! The scripts for sysvinit and OpenRC: what they call, what they say, and when they run.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// A script of the package.
fn source(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name)
}

/// Writes a script that can be run.
fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("UTF-8")
}

/// A folder with a script, and with a program in the place of pciseize.
struct System {
    folder: TempDir,
    script: PathBuf,
}

/// What init's functions are on a system that has them.
const FUNCTIONS: &str = r#"
    log_success_msg() { echo "[ok] $*"; }
    log_failure_msg() { echo "[failed] $*"; }
"#;

impl System {
    /// The script for sysvinit, on a system with or without the functions for such scripts.
    fn sysvinit(functions: Option<&str>) -> System {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("init-functions");
        if let Some(functions) = functions {
            fs::write(&place, functions).expect("the functions");
        }
        let text = source("sysvinit/pciseize.in");
        let text = text.replace("/lib/lsb/init-functions", &place.display().to_string());
        System::with(folder, &text)
    }

    /// The script for OpenRC, below functions that stand in for OpenRC's own.
    fn openrc() -> System {
        const OPENRC: &str = r#"
            ebegin() { echo " * $*"; }
            eend() { status=$1; shift; [ "$status" = 0 ] || echo " ! $*"; return "$status"; }
            einfo() { echo " * $*"; }
            use() { echo "use $*"; }
            after() { echo "after $*"; }
            before() { echo "before $*"; }
        "#;
        let folder = tempfile::tempdir().expect("a folder");
        let script = source("openrc/pciseize.in");
        assert!(script.starts_with("#!/sbin/openrc-run\n"));
        System::with(folder, &format!("#!/bin/sh\n{OPENRC}\n{script}\n\"$1\"\n"))
    }

    fn with(folder: TempDir, text: &str) -> System {
        let script = folder.path().join("script");
        let sbin = folder.path().display().to_string();
        write(&script, &text.replace("@SBINDIR@", &sbin));
        let program = "#!/bin/sh\necho \"did $*\"\nexit \"$ends_with\"\n";
        write(&folder.path().join("pciseize"), program);
        System { folder, script }
    }

    /// Runs the script; the program ends with that status.
    fn run(&self, command: &str, ends_with: i32) -> Output {
        let mut script = Command::new(&self.script);
        script.args(Some(command).filter(|command| !command.is_empty()));
        script.env("ends_with", ends_with.to_string());
        script.output().expect("it runs")
    }
}

/// A command, the status with which the program ends, and what becomes of it.
type Called = (&'static str, i32, i32, &'static str);

/// Checks the exit status, and how each line begins that is printed: `/` stands between the lines.
fn assert_called(system: &System, calls: &[Called]) {
    for &(command, ends_with, status, lines) in calls {
        let output = system.run(command, ends_with);
        let printed = text(&output.stdout).to_owned() + text(&output.stderr);
        let begins: Vec<&str> = lines.split('/').filter(|line| !line.is_empty()).collect();
        let is_said = printed.lines().count() == begins.len()
            && printed
                .lines()
                .zip(begins)
                .all(|(line, begin)| line.starts_with(begin));
        assert_eq!(output.status.code(), Some(status), "{command}: {printed}");
        assert!(is_said, "{command}: '{lines}' is not: {printed}");
    }
}

/// `start` seizes, and so does what reads the configuration again. `stop` gives nothing back, and
/// says so. No other word seizes anything.
#[test]
fn sysvinit_calls_the_program() {
    assert_called(
        &System::sysvinit(Some(FUNCTIONS)),
        &[
            ("start", 0, 0, "did seize/[ok] pciseize: done"),
            ("start", 1, 1, "did seize/[failed] pciseize: not all is as"),
            ("start", 3, 1, "did seize/[failed] pciseize: not all is as"),
            ("restart", 0, 0, "did seize/[ok]"),
            ("force-reload", 0, 0, "did seize/[ok]"),
            (
                "stop",
                1,
                0,
                "[ok] pciseize: the devices stay where they are",
            ),
            ("status", 0, 0, "did status"),
            ("status", 1, 1, "did status"),
            ("reload", 0, 3, "Usage: "),
            ("try-restart", 0, 3, "Usage: "),
            ("", 0, 3, "Usage: "),
        ],
    );
}

#[test]
fn sysvinit_does_without_functions() {
    assert_called(
        &System::sysvinit(None),
        &[
            ("start", 0, 0, "did seize/pciseize: done"),
            ("start", 1, 1, "did seize/pciseize: not all is as asked"),
            ("stop", 0, 0, "pciseize: the devices stay where they are"),
            ("status", 1, 1, "did status"),
        ],
    );
}

/// This machine's own functions take what the script says.
#[test]
fn sysvinit_speaks_through_the_real_functions() {
    let Ok(functions) = fs::read_to_string("/lib/lsb/init-functions") else {
        return;
    };
    let system = System::sysvinit(Some(&functions));
    for (command, ends_with, status, said) in [
        ("start", 0, 0, "pciseize: done"),
        ("start", 1, 1, "pciseize: not all is as asked"),
        ("stop", 0, 0, "pciseize release ADDRESS"),
    ] {
        let output = system.run(command, ends_with);
        let printed = text(&output.stdout).to_owned() + text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{printed}");
        assert!(printed.contains(said), "{printed}");
    }
}

/// A script stays behind when its package is removed, and is run at each boot.
#[test]
fn sysvinit_is_silent_without_the_program() {
    let system = System::sysvinit(Some(FUNCTIONS));
    fs::remove_file(system.folder.path().join("pciseize")).expect("it was there");
    assert_called(
        &system,
        &[
            ("start", 0, 0, ""),
            ("stop", 0, 0, ""),
            ("status", 0, 4, "pciseize: there is no "),
        ],
    );
}

/// A script of another package, with the lines of its header that order it: Debian 12.
const OTHERS: [(&str, &str, &str); 6] = [
    ("mountall", "", "S"),
    ("networking", "$local_fs", "S"),
    ("rsyslog", "$local_fs", "S"),
    ("xen", "$syslog $remote_fs", "2 3 4 5"),
    ("xendomains", "$syslog $network $remote_fs xen", "2 3 4 5"),
    (
        "libvirtd",
        "$network $local_fs $remote_fs $syslog",
        "2 3 4 5",
    ),
];

/// The links that `insserv` makes for runlevel 2 from the header of the script and those of others.
fn runlevel(script: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let etc = folder.path().join("etc");
    let scripts = etc.join("init.d");
    fs::create_dir_all(&scripts).expect("a folder");
    write(&scripts.join("pciseize"), script);
    for (name, after, levels) in OTHERS {
        let header = format!(
            "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: {name}\n# Required-Start: {after}\n\
             # Required-Stop:\n# Default-Start: {levels}\n# Default-Stop:\n### END INIT INFO\n"
        );
        write(&scripts.join(name), &header);
    }
    let facilities = "$local_fs +mountall\n$network +networking\n$remote_fs $local_fs\n\
        $syslog +rsyslog\n";
    fs::write(etc.join("insserv.conf"), facilities).expect("the configuration");
    let mut insserv = Command::new("insserv");
    insserv.arg("-d").arg("-c").arg(etc.join("insserv.conf"));
    insserv.arg("-i").arg(&etc).arg("-o").arg(etc.join("none"));
    insserv.arg("-p").arg(&scripts).arg("pciseize");
    insserv.args(OTHERS.map(|(name, _, _)| name));
    let output = insserv.output().expect("insserv runs");
    let said = text(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let mut links: Vec<String> = fs::read_dir(etc.join("rc2.d"))
        .expect("the runlevel")
        .map(|link| link.expect("a link").file_name().into_string())
        .map(|name| name.expect("UTF-8"))
        .collect();
    links.sort();
    links
}

/// Where the scripts of Debian's Xen and libvirt are, pciseize comes before them.
#[test]
fn sysvinit_runs_it_before_xen() {
    let script = source("sysvinit/pciseize.in");
    assert_eq!(
        runlevel(&script),
        ["S01pciseize", "S02libvirtd", "S02xen", "S03xendomains"]
    );
    // The control.
    let unordered = script.replace("# X-Start-Before:", "# X-Nothing:");
    assert!(!runlevel(&unordered).contains(&"S02xen".to_owned()));
}

#[test]
fn openrc_calls_the_program() {
    assert_called(
        &System::openrc(),
        &[
            ("start", 0, 0, " * Taking PCI devices/did seize"),
            ("start", 3, 3, " * Taking PCI devices/did seize/ ! Not all"),
            ("stop", 1, 0, " * The devices stay where they are"),
            ("status", 0, 0, "did status"),
            ("status", 1, 1, "did status"),
        ],
    );
    let system = System::openrc();
    let output = system.run("depend", 0);
    let depend = text(&output.stdout);
    let before = depend
        .lines()
        .filter_map(|line| line.strip_prefix("before "));
    let before: Vec<&str> = before.flat_map(|line| line.split(' ')).collect();
    for service in ["xen", "xenstored", "xenconsoled", "xendomains", "libvirtd"] {
        assert!(before.contains(&service), "{service}: {depend}");
    }
    assert!(depend.starts_with("use localmount mountall\nafter net\n"));
    // OpenRC restarts by stopping and starting; then it would be wrong to say that nothing happens.
    let mut stop = Command::new(&system.script);
    let output = stop.arg("stop").env("RC_CMD", "restart").output();
    let output = output.expect("it runs");
    assert!(
        output.stdout.is_empty() && output.status.success(),
        "{output:?}"
    );
}
