//! The machine on which the examples are run: a tree of files, made from the table of it in
//! `pciback.conf(5)`.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Output},
};

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    PACKAGE,
    page::Page,
    schema::{self, Kind},
};

/// A function of the machine, as the table has it.
#[derive(Clone, Debug)]
struct Function {
    address: String,
    path: String,
    ids: Vec<String>,
    class: String,
    driver: Option<String>,
}

/// A machine that can be written to. Nothing outside of its folder is.
pub struct Machine {
    folder: TempDir,
}

/// What stands in the place of programs that an example may call. No others are found.
const STAND_INS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/documents/stand-ins");

/// How long `timeout` lets an example run: for ever, but for one that waits for what never comes.
const PATIENCE: &str = "10m";

impl Machine {
    /// The machine of the table in `page`: the one with addresses and drivers.
    pub fn of(page: &Page) -> Machine {
        let mut tables = page
            .tables
            .iter()
            .filter(|table| table.column("Address").is_some() && table.column("Driver").is_some());
        let table = tables.next().expect("the table of the machine");
        let functions: Vec<Function> = table
            .rows
            .iter()
            .map(|row| {
                let of = |heading| row[table.column(heading).expect(heading)].text.clone();
                Function {
                    address: format!("0000:{}", of("Address")),
                    path: of("Path"),
                    ids: of("Identity").split(':').map(str::to_uppercase).collect(),
                    class: of("Class"),
                    driver: Some(of("Driver")).filter(|driver| driver != "-"),
                }
            })
            .collect();

        let machine = Machine {
            folder: tempfile::tempdir().expect("a folder"),
        };
        fs::create_dir(machine.path("/")).expect("its root");
        machine.write("/sys/hypervisor/properties/features", "00000f05\n");
        machine.write("/proc/cmdline", "root=/dev/sda1 ro quiet\n");
        machine.write(
            "/proc/self/mountinfo",
            "1 1 0:2 / / rw - rootfs rootfs rw\n",
        );
        machine.write("/proc/sys/kernel/osrelease", "6.1.0\n");
        fs::create_dir_all(machine.path("/etc/xen")).expect("a folder");
        for file in ["bind", "unbind", "irq_handlers"] {
            machine.write(&format!("/sys/bus/pci/drivers/pciback/{file}"), "");
        }
        for function in &functions {
            machine.add(function, &functions);
        }
        machine
    }

    /// Adds a function, below the bridges on its path.
    fn add(&self, function: &Function, all: &[Function]) {
        let mut folder = String::from("/sys/devices/pci0000:00");
        for (end, _) in function
            .path
            .match_indices('/')
            .chain([(function.path.len(), "")])
        {
            let step = all
                .iter()
                .find(|other| other.path == function.path[..end])
                .unwrap_or_else(|| {
                    panic!("{}: no bridge {}", function.path, &function.path[..end])
                });
            folder = format!("{folder}/{}", step.address);
        }
        let [vendor, device, subvendor, subdevice] = &function.ids[..] else {
            panic!("{}: its identity is not in full", function.address)
        };
        let (class, rest) = function.class.split_at(2);
        let (subclass, interface) = rest.split_at(2);
        let ids = format!("v0000{vendor}d0000{device}sv0000{subvendor}sd0000{subdevice}");
        let modalias = format!("pci:{ids}bc{class}sc{subclass}i{interface}\n");
        self.write(&format!("{folder}/modalias"), &modalias);
        self.write(&format!("{folder}/driver_override"), "(null)\n");
        let up = "../".repeat(folder.matches('/').count() - 2);
        if let Some(driver) = &function.driver {
            self.write(&format!("/sys/bus/pci/drivers/{driver}/bind"), "");
            self.write(&format!("/sys/bus/pci/drivers/{driver}/unbind"), "");
            symlink(
                format!("{up}../bus/pci/drivers/{driver}"),
                self.path(&format!("{folder}/driver")),
            )
            .expect("a link");
        }
        let devices = self.path("/sys/bus/pci/devices");
        fs::create_dir_all(&devices).expect("a folder");
        symlink(
            folder.replace("/sys/", "../../../"),
            devices.join(&function.address),
        )
        .expect("a link");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder
            .path()
            .join("root")
            .join(name.trim_start_matches('/'))
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is below the root")).expect("its folder");
        fs::write(path, text).expect(name);
    }

    /// Runs a line of shell as the reader would, with stand-ins for what belongs to the real
    /// machine. Gives all that it writes, in order, and its status.
    pub fn shell(&self, line: &str) -> (String, Option<i32>) {
        assert!(
            !line.contains('>'),
            "a stand-in cannot keep '{line}' from writing outside of its folder"
        );
        let mut shell = Command::new("/usr/bin/timeout");
        shell
            .args([PATIENCE, "/bin/sh", "-euc"])
            .arg(format!("exec 2>&1\n{line}"))
            .current_dir(self.path("/"));
        shell
            .env("real_path", env::var_os("PATH").unwrap_or_default())
            .env("PATH", STAND_INS)
            .env_remove("MAKEFLAGS");
        shell
            .env("program", env!("CARGO_BIN_EXE_pciseize"))
            .env("root", self.path("/"))
            .env("package", PACKAGE)
            .env("cargo", env!("CARGO"));
        let output = shell.output().expect("a shell runs");
        (utf8(output.stdout), output.status.code())
    }

    /// Runs the program.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command
            .arg(PATIENCE)
            .arg(env!("CARGO_BIN_EXE_pciseize"))
            .arg("--root")
            .arg(self.path("/"))
            .args(words);
        command.output().expect("the program runs")
    }

    /// Does what a kernel and an image would have done at boot, which a tree cannot: what is asked
    /// for is bound to pciback, which lists it, and the report says so.
    pub fn boot(&self) {
        self.run(&["seize"]);
        let report = self.path("/run/pciseize/report");
        let text = fs::read_to_string(&report).expect("a report");
        fs::write(
            &report,
            text.replace("\"outcome\":\"lost\"", "\"outcome\":\"seized\"")
                .replace("\"stage\":\"host\"", "\"stage\":\"initramfs\""),
        )
        .expect("a report");
        let mut handlers = String::new();
        for (address, action) in self.plan(&[]).devices() {
            let link = self.path(&format!("/sys/bus/pci/devices/{address}/driver"));
            if action == "seize" {
                fs::remove_file(&link).expect("each has a driver");
                symlink("../../bus/pci/drivers/pciback", &link).expect("a link");
                handlers.push_str(&format!("{address}:off:not acking:0\n"));
            }
        }
        self.write("/sys/bus/pci/drivers/pciback/irq_handlers", &handlers);
    }

    /// As [`Machine::boot`], but pciseize comes before any other driver.
    pub fn reboot(&self) {
        self.boot();
        let report = self.path("/run/pciseize/report");
        let text = fs::read_to_string(&report).expect("a report");
        let origin = Regex::new("\"origin\":\"[^\"]*\"").expect("a pattern");
        let text = origin.replace_all(&text, "\"origin\":null");
        fs::write(&report, text.as_bytes()).expect("a report");
    }

    /// What would be done, with further words for `plan`.
    pub fn plan(&self, words: &[&str]) -> Plan {
        let output = self.run(&[&["plan", "--json"], words].concat());
        let plan = schema::read(Kind::Plan, &output.stdout);
        Plan(plan.unwrap_or_else(|e| panic!("plan {words:?}: {e}: {}", utf8(output.stderr))))
    }
}

/// The object that `plan --json` prints.
pub struct Plan(pub Value);

impl Plan {
    /// The problems, as they are told.
    pub fn problems(&self) -> Vec<String> {
        self.0["problems"]
            .as_array()
            .expect("problems")
            .iter()
            .map(|problem| format!("{}: {}", problem["text"], problem["message"]))
            .collect()
    }

    /// Each device with its action.
    pub fn devices(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or("null").to_owned();
        self.0["devices"]
            .as_array()
            .expect("devices")
            .iter()
            .map(|device| (text(&device["address"]), text(&device["action"])))
            .collect()
    }

    /// The names that devices get for guests.
    pub fn names(&self) -> Vec<String> {
        let devices = self.0["devices"].as_array().expect("devices").iter();
        let names = devices.filter_map(|device| device["guest_name"].as_str());
        names.map(str::to_owned).collect()
    }
}

fn utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("what is written is UTF-8")
}
