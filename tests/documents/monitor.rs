//! The examples for programs that monitor hosts. `examples/check_pciseize`: which status it ends
//! with, and what its first line says. `examples/pciseize-textfile` and `examples/pciseize-fleet`:
//! what they print.

use std::{fs, process::Command};

use crate::{FILE, machine, machine::Machine};

const PLUGIN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/check_pciseize");

const OK: i32 = 0;
const WARNING: i32 = 1;
const CRITICAL: i32 = 2;
const UNKNOWN: i32 = 3;

/// How the plug-in ends with a program, and what it says.
fn ask(program: &str, words: &[&str], machine: &Machine) -> (Option<i32>, String) {
    let mut plugin = Command::new(PLUGIN);
    plugin
        .args(words)
        .env("PCISEIZE", program)
        .env("program", env!("CARGO_BIN_EXE_pciseize"))
        .env("root", machine.path("/"));
    let output = plugin.output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    (output.status.code(), said.trim_end().to_owned())
}

/// The program, on the machine.
const PROGRAM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/documents/stand-ins/pciseize"
);

#[test]
fn tells_what_status_tells() {
    let machine = machine();
    let drop_in = |text| machine.write("/etc/xen/pciback.conf.d/later.conf", text);
    let assert_told = |words: &[&str], status, verdict: &str, devices: &[&str]| {
        let said = [&[verdict], devices].concat().join("\n");
        assert_eq!(ask(PROGRAM, words, &machine), (Some(status), said));
    };
    assert_told(&[], WARNING, "PCISEIZE WARNING - nothing is asked for", &[]);

    machine.write(FILE, "03:00.0\nclass:usb\n!00:14.0\n");
    machine.boot();
    let kept = "0000:00:14.0 kept: kept by !0000:00:14.0 at /etc/xen/pciback.conf:3:1";
    let [first, last] = ["0000:03:00.0 seized", "0000:06:00.0 seized"];
    let devices = [kept, first, last];
    let as_asked = "PCISEIZE OK - 3 devices are as asked";
    assert_told(&[], OK, as_asked, &devices);

    drop_in("debug = yes\n");
    let other_image = "PCISEIZE WARNING - 3 devices are as asked, but this boot's image does not \
        have this configuration";
    assert_told(&[], WARNING, other_image, &devices);
    assert_told(&["--no-image"], OK, as_asked, &devices);

    drop_in("off = yes\n");
    let off = "PCISEIZE WARNING - pciseize is switched off";
    assert_told(&["--no-image"], WARNING, off, &devices);

    // A device that a driver of dom0 has, and an item without an address.
    drop_in("1234:5678\n04:00.0\n");
    let pending = "0000:04:00.0 pending: driver e1000e has it; to take it: make the \
                   images anew and reboot, or now: 'pciseize seize'";
    let absent =
        "1234:5678 absent: no such device; see pciseize list for its place, or remove the item";
    let critical =
        "PCISEIZE CRITICAL - not all is as asked: 0000:04:00.0 pending, 1234:5678 absent";
    assert_told(
        &[],
        CRITICAL,
        critical,
        &[kept, first, pending, last, absent],
    );

    machine.write("/sys/hypervisor/properties/features", "00000000\n");
    let critical = "PCISEIZE CRITICAL - not all is as asked: this is no Xen dom0; \
        0000:04:00.0 pending, 1234:5678 absent";
    let pending = "0000:04:00.0 pending: driver e1000e has it; boot this host as the dom0 of Xen";
    assert_told(
        &[],
        CRITICAL,
        critical,
        &[kept, first, pending, last, absent],
    );
}

/// The details name a line that was not understood. A '|' would begin figures.
#[test]
fn tells_of_mistakes() {
    let machine = machine();
    machine.write(FILE, "03:00.0\none|two\n");
    machine.boot();
    let (status, said) = ask(PROGRAM, &[], &machine);
    assert_eq!(status, Some(CRITICAL), "{said}");
    assert!(said.starts_with("PCISEIZE CRITICAL - not all is as asked: see below\n"));
    assert!(
        said.contains("\n/etc/xen/pciback.conf:2: expected "),
        "{said}"
    );
    assert!(!said.contains('|'), "{said}");
}

#[test]
fn knows_nothing_where_the_program_does_not_tell() {
    let machine = machine();
    for (program, status, said) in [
        ("/bin/true", 0, ""),
        ("/bin/false", 1, ""),
        ("/bin/echo", 0, "\nstatus --json"),
        ("/", 126, "\n"),
        ("/no/such/program", 127, "\n"),
    ] {
        let verdict =
            format!("PCISEIZE UNKNOWN - '{program} status --json' ended with status {status}");
        let (own, told) = ask(program, &[], &machine);
        assert_eq!(own, Some(UNKNOWN), "{told}");
        assert!(told.starts_with(&format!("{verdict}{said}")), "{told}");
    }
    let usage = "PCISEIZE UNKNOWN - usage: check_pciseize [--no-image]".to_owned();
    assert_eq!(
        ask(PROGRAM, &["--nonsense"], &machine),
        (Some(UNKNOWN), usage)
    );
}

/// A machine with a device of each kind of line: as asked, not as asked, absent, not understood.
fn troubled() -> Machine {
    let machine = machine();
    machine.write(FILE, "03:00.0\n!00:14.0\nclass:usb\n");
    machine.boot();
    machine.write(
        "/etc/xen/pciback.conf.d/a\"b\\.conf",
        "04:00.0\n1234:5678\nnonsense\n",
    );
    machine
}

#[test]
fn tells_prometheus_what_status_tells() {
    let machine = troubled();
    let (printed, status) = machine.shell("pciseize-textfile");
    let expected = r#"pciseize_status 1
pciseize_image_current 0
pciseize_problems 1
pciseize_device{address="0000:00:14.0",selector="class:usb",outcome="kept"} 1
pciseize_device{address="0000:03:00.0",selector="0000:03:00.0",outcome="seized"} 1
pciseize_device{address="0000:04:00.0",selector="0000:04:00.0",outcome="pending"} 1
pciseize_device{address="0000:06:00.0",selector="class:usb",outcome="seized"} 1
pciseize_device{address="",selector="1234:5678",outcome="absent"} 1
"#;
    assert_eq!((printed.as_str(), status), (expected, Some(0)));

    // A file is replaced, and nothing else is left in its folder.
    machine.write("/metrics/pciseize.prom", "old\n");
    let (said, status) = machine.shell("pciseize-textfile metrics/pciseize.prom");
    assert_eq!((said.as_str(), status), ("", Some(0)));
    let folder = machine.path("/metrics");
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1);
    let written = fs::read_to_string(folder.join("pciseize.prom"));
    assert_eq!(written.expect("the file"), expected);

    // Without an answer the file stays.
    let textfile = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/pciseize-textfile");
    for program in ["/bin/true", "/no/such/program"] {
        let mut command = Command::new(textfile);
        let command = command.arg(folder.join("pciseize.prom"));
        let output = command.env("PCISEIZE", program).output().expect("it runs");
        assert!(!output.status.success(), "{program}: {output:?}");
        let written = fs::read_to_string(folder.join("pciseize.prom"));
        assert_eq!(written.expect("the file"), expected, "{program}");
    }
}

#[test]
fn tells_of_a_fleet() {
    let machine = troubled();
    let (printed, status) = machine.shell("pciseize-fleet first gone second");
    let of_a_host = |host: &str| {
        printed
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("{host}\t")))
            .collect::<Vec<_>>()
    };
    assert_eq!(status, Some(1), "{printed}");
    assert_eq!(of_a_host("gone"), ["-\tno answer"]);
    let first = of_a_host("first");
    assert_eq!(first, of_a_host("second"));
    let [kept, seized, pending, other, absent, problem, image] = first[..] else {
        panic!("{printed}");
    };
    assert!(kept.starts_with("0000:00:14.0\tkept\tkept by !0000:00:14.0 at "));
    assert_eq!(seized, "0000:03:00.0\tseized");
    assert!(pending.starts_with("0000:04:00.0\tpending\tdriver e1000e has it; "));
    assert_eq!(other, "0000:06:00.0\tseized");
    assert_eq!(
        absent,
        "1234:5678\tabsent\tno such device; see pciseize list for its place, or remove the item"
    );
    let place = "/etc/xen/pciback.conf.d/a\"b\\\\.conf:3\tproblem\texpected ";
    assert!(problem.starts_with(place), "{problem}");
    assert_eq!(image, "image\tof another configuration");

    let well = self::machine();
    well.write(FILE, "03:00.0\n");
    well.boot();
    let expected = "first\t0000:03:00.0\tseized\n";
    let told = well.shell("pciseize-fleet first");
    assert_eq!(told, (expected.to_owned(), Some(0)));
}
