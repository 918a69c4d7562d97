//! Measures the cost of a run: user instructions and system calls, counted one by one. Neither
//! depends on the speed or load of the host.
//!
//! valgrind counts the instructions: it needs no performance counters, which virtual machines
//! rarely have. strace counts the system calls. For a seizure, ptrace counts the calls of the
//! parent only, so that the test can play the kernel's part between the calls. The memory of the
//! parent is read from its page tables as it ends.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    libc,
    sys::{
        ptrace::{self, Options},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use tempfile::TempDir;

/// A machine in files, and the program to be measured on it.
pub struct Bench {
    program: PathBuf,
    folder: TempDir,
}

/// The cost of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub instructions: u64,
    pub calls: u64,
}

/// The cost of a seizure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seizure {
    /// The exit status of the parent.
    pub status: i32,
    /// The system calls of the parent.
    pub calls: u64,
    /// The number of processes that it started.
    pub children: usize,
    /// The peak memory of the parent in KiB. It frees no memory before its end, so this is its
    /// resident size as it ends.
    pub memory: u64,
}

/// A bus behind a bridge.
struct Bus {
    number: usize,
    link: String,
}

/// Buses with devices. Half of them are behind two further bridges.
const BUSES: usize = 16;

/// The bridges of a machine: the host's, a root port for each of the first buses and one for the
/// switch, the switch's upstream port, and a downstream port for each of the other buses.
pub const BRIDGES: usize = 1 + BUSES / 2 + 1 + 1 + BUSES / 2;

/// The devices that items may name. Every machine has them, so items mean the same on all machines.
const NAMED: usize = 40;

/// The vendors in a machine's pci.ids, besides that of its devices, and the models of each. The
/// file has some 32,000 lines, like the real one.
const VENDORS: usize = 512;
const MODELS: usize = 64;

/// The arrangement of a machine's bridges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Side by side.
    Ports,
    /// All but two behind the second of those two, which is behind the first.
    Switch,
}

/// Functions behind each bridge that is asked for.
const BEHIND: usize = 8;

impl Shape {
    /// Bridges that have only bridges behind them.
    const fn above(self) -> usize {
        match self {
            Shape::Ports => 0,
            Shape::Switch => 2,
        }
    }

    /// The functions of a machine with that many bridges.
    pub const fn functions(self, bridges: usize) -> usize {
        bridges + (bridges - self.above()) * BEHIND
    }
}

/// The fewest functions of a machine.
pub const FEWEST: usize = BRIDGES + NAMED;

impl Bench {
    /// A dom0 with that many functions, bridges included.
    pub fn new(program: &Path, functions: usize) -> Bench {
        assert!(
            functions >= FEWEST,
            "a machine has at least {FEWEST} functions"
        );
        let bench = Bench::empty(program);
        let buses = bench.buses();
        for at in 0..functions - BRIDGES {
            let address = address(at);
            let driver = [Some("e1000e"), Some("nvme"), None][at % 3];
            bench.function(
                &buses[at % BUSES].link,
                &address,
                &ids(at),
                "020000",
                driver,
            );
        }
        bench
    }

    /// Takes ACS from all bridges: then an IOMMU cannot tell apart what is behind one.
    #[allow(dead_code, reason = "the bench has no such machine")]
    pub fn remove_acs(&self) {
        let folder = self.path("sys/bus/pci/devices");
        for function in fs::read_dir(folder).expect("functions") {
            let folder = function.expect("a function").path();
            let modalias = fs::read_to_string(folder.join("modalias")).expect("what it is");
            if modalias.contains("bc06") {
                let mut registers = registers(true);
                registers[0x180] = 0x19;
                fs::write(folder.join("config"), registers).expect("registers");
            }
        }
    }

    /// A dom0 whose configuration names each of its bridges, so that each is refused and the
    /// message lists the functions behind it. Each has [`BEHIND`] of them, except the first two
    /// bridges of a switch.
    pub fn of_bridges(program: &Path, bridges: usize, shape: Shape) -> Bench {
        let bench = Bench::empty(program);
        let root = "sys/devices/pci0000:00".to_owned();
        let mut named = Vec::new();
        let mut bridge = |parent: &Bus, devfn: usize, bus: usize| {
            let address = format!(
                "0000:{:02x}:{:02x}.{:x}",
                parent.number,
                devfn / 8,
                devfn % 8
            );
            let bus = bench.bridge(&parent.link, &address, bus);
            named.push(address);
            bus
        };
        let mut parent = Bus {
            number: 0,
            link: root,
        };
        for level in 1..=shape.above() {
            parent = bridge(&parent, 8, level);
        }
        for at in shape.above()..bridges {
            let bus = bridge(&parent, 8 + at, at + 1);
            for function in 0..BEHIND {
                bench.function(
                    &bus.link,
                    &format!("0000:{:02x}:00.{function:x}", bus.number),
                    &ids(at * BEHIND + function),
                    "020000",
                    Some("e1000e"),
                );
            }
        }
        bench.file("etc/xen/pciback.conf", &(named.join("\n") + "\n"));
        bench.file("proc/cmdline", "quiet\n");
        bench
    }

    /// A dom0 without PCI.
    fn empty(program: &Path) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let bench = Bench {
            program: program.to_owned(),
            folder,
        };
        bench.file("sys/hypervisor/properties/features", "00000800\n");
        bench.file("proc/sys/kernel/osrelease", "6.1.0-bench\n");
        // The system is in memory.
        bench.file("proc/self/mountinfo", "1 1 0:2 / / rw - rootfs rootfs rw\n");
        fs::create_dir_all(bench.path("sys/bus/pci/devices")).expect("a folder");
        for driver in ["pcieport", "e1000e", "nvme"] {
            fs::create_dir_all(bench.path(&format!("sys/bus/pci/drivers/{driver}")))
                .expect("a folder");
        }
        bench
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("its folder");
        fs::write(path, content).expect("a file");
    }

    /// Makes a bridge. The devices on its bus are in its folder, as in sysfs.
    fn bridge(&self, parent: &str, address: &str, bus: usize) -> Bus {
        self.function(
            parent,
            address,
            &["1b36", "000c", "0000", "0000"].map(str::to_owned),
            "060400",
            Some("pcieport"),
        );
        let link = format!("{parent}/{address}");
        Bus { number: bus, link }
    }

    /// Makes the bridges, and returns the buses for devices.
    fn buses(&self) -> Vec<Bus> {
        let root = "sys/devices/pci0000:00".to_owned();
        self.function(
            &root,
            "0000:00:00.0",
            &["8086", "29c0", "0000", "0000"].map(str::to_owned),
            "060000",
            None,
        );
        let mut buses: Vec<Bus> = (1..=BUSES / 2)
            .map(|bus| self.bridge(&root, &format!("0000:00:{bus:02x}.0"), bus))
            .collect();
        // The switch has its upstream port on bus 40 and its downstream ports on bus 41.
        let port = self.bridge(&root, &format!("0000:00:{:02x}.0", BUSES / 2 + 1), 0x40);
        let upstream = self.bridge(&port.link, &format!("0000:{:02x}:00.0", port.number), 0x41);
        buses.extend((BUSES / 2 + 1..=BUSES).map(|bus| {
            self.bridge(
                &upstream.link,
                &format!("0000:{:02x}:{bus:02x}.0", upstream.number),
                bus,
            )
        }));
        buses
    }

    /// Makes a function, with the files that `plan` reads.
    fn function(
        &self,
        parent: &str,
        address: &str,
        ids: &[String; 4],
        class: &str,
        driver: Option<&str>,
    ) {
        let folder = format!("{parent}/{address}");
        let [vendor, device, subvendor, subdevice] = ids.each_ref().map(|id| id.to_uppercase());
        let (base, sub, interface) = (&class[..2], &class[2..4], &class[4..]);
        let modalias = format!(
            "pci:v0000{vendor}d0000{device}sv0000{subvendor}sd0000{subdevice}\
             bc{base}sc{sub}i{interface}\n"
        );
        self.file(&format!("{folder}/modalias"), &modalias);
        if let Some(driver) = driver {
            let up = "../".repeat(folder.matches('/').count());
            symlink(
                format!("{up}bus/pci/drivers/{driver}"),
                self.path(&format!("{folder}/driver")),
            )
            .expect("a link");
        }
        let config = self.path(&format!("{folder}/config"));
        fs::write(config, registers(class.starts_with("06"))).expect("registers");
        // The function is on PCI Express, where functions do not share a bridge.
        self.file(&format!("{folder}/max_link_speed"), "8.0 GT/s PCIe\n");
        symlink(
            format!("../../../{}", &folder["sys/".len()..]),
            self.path(&format!("sys/bus/pci/devices/{address}")),
        )
        .expect("a link");
    }

    /// Writes a configuration with `items` items. The last asks for every device, so that each is
    /// examined, decided on and reported.
    pub fn ask(&self, items: usize) {
        let text: String = (0..items - 1).map(|at| item(at) + "\n").collect();
        self.file("etc/xen/pciback.conf", &text);
        self.file("proc/cmdline", "quiet pciseize.hide=class:network\n");
    }

    /// Prepares the machine for a seizure, as early in a boot: no driver has a device, and every
    /// file that is written to exists. pciback is there too, since no module can be loaded here.
    pub fn make_seizable(&self) {
        for device in self.functions() {
            fs::write(device.join("driver_override"), "(null)\n").expect("a file");
            if fs::read_link(device.join("driver"))
                .is_ok_and(|driver| !driver.ends_with("pcieport"))
            {
                fs::remove_file(device.join("driver")).expect("the link goes");
            }
        }
        self.file("sys/bus/pci/drivers/pciback/bind", "");
        // The report of an earlier run.
        let _ = fs::remove_dir_all(self.path("run"));
    }

    /// Plays the kernel's part in a seizure: binds each named device whose override is pciback.
    fn bind(&self, named: &[PathBuf]) {
        for device in named {
            let link = device.join("driver");
            if !link.is_symlink()
                && fs::read(device.join("driver_override")).is_ok_and(|name| name == b"pciback")
            {
                symlink("/sys/bus/pci/drivers/pciback", link).expect("a link");
            }
        }
    }

    /// The folders of all functions.
    fn functions(&self) -> impl Iterator<Item = PathBuf> {
        fs::read_dir(self.path("sys/bus/pci/devices"))
            .expect("a folder")
            .map(|entry| entry.expect("its entry").path())
    }

    /// Writes a configuration that names so many devices by their addresses.
    pub fn name(&self, devices: usize) {
        let text: String = (0..devices).map(|at| address(at) + "\n").collect();
        self.file("etc/xen/pciback.conf", &text);
        self.file("proc/cmdline", "quiet\n");
    }

    /// Adds a pci.ids that has the names of the devices among many others.
    fn name_models(&self) {
        let mut text = String::new();
        for vendor in (0..VENDORS).map(|at| 0x1000 + at * 0x1d).chain([0x8086]) {
            text += &format!("{vendor:04x}  Vendor of {vendor}\n");
            for model in 0..MODELS {
                let model = 0x1000 + model;
                text +=
                    &format!("\t{model:04x}  Model {model} of many [with a name like others]\n");
            }
        }
        self.file("usr/share/misc/pci.ids", &text);
    }

    fn run(&self, command: &str, arguments: &[&str], words: &[&str]) -> String {
        let counted = self.path("counted");
        // valgrind does not know `openat2`. The program then takes another root, as on an old
        // kernel, for which it has to be root, at least in a namespace of its own.
        let mut counter = Command::new("unshare");
        counter.args(["--map-root-user", command]);
        let output = counter
            .args(arguments)
            .arg(match command {
                "strace" => format!("--output={}", counted.display()),
                _ => format!("--log-file={}", counted.display()),
            })
            .arg(&self.program)
            .arg("--root")
            .arg(self.folder.path())
            .args(words)
            .output()
            .unwrap_or_else(|e| panic!("{command}: {e} (make requirements)"));
        // Exit status 1: not every device is as asked.
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{command}: {output:?}"
        );
        fs::read_to_string(counted).expect("the counts")
    }

    /// The cost of the program with these arguments.
    pub fn cost(&self, words: &[&str]) -> Cost {
        Cost {
            instructions: self.instructions(words),
            calls: self.calls(words),
        }
    }

    /// Counts only the system calls.
    fn calls(&self, words: &[&str]) -> u64 {
        // The log has one line for each call, and one for the exit status. A call that is made
        // again, since somebody renamed something at that moment, counts once.
        self.run("strace", &[], words)
            .lines()
            .filter(|line| !line.starts_with('+') && !line.contains("EAGAIN"))
            .count() as u64
    }

    /// Seizes the named devices. The machine is made of files; the test plays the kernel's part
    /// between the system calls of the children.
    #[allow(
        clippy::zombie_processes,
        reason = "its end is waited for with what happens to its children"
    )]
    pub fn seize(&self) -> Seizure {
        // The shell waits until it is traced, and then becomes the program. Its addresses are the
        // same each time, or its stack would now and then take a page more.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "read -r _ && exec setarch -R env -i \"$@\"", "sh"])
            .arg(&self.program)
            .arg("--root")
            .arg(self.folder.path())
            .arg("seize");
        let mut process = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let id = Pid::from_raw(process.id().try_into().expect("a process"));
        let children_too = Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE;
        let options = Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEEXIT
            | Options::PTRACE_O_TRACESYSGOOD
            | children_too;
        ptrace::seize(id, options).expect("it is watched");
        process
            .stdin
            .take()
            .expect("a pipe")
            .write_all(b"\n")
            .expect("it goes on");

        let named = fs::read_to_string(self.path("etc/xen/pciback.conf")).expect("the names");
        let named: Vec<PathBuf> = named
            .lines()
            .map(|address| self.path("sys/bus/pci/devices").join(address))
            .collect();
        let (mut is_program, mut stops, mut memory) = (false, 0, 0);
        let mut children = 0;
        let status = loop {
            let status = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD))
                .expect("an event of a process");
            let mut signal = None;
            match status {
                WaitStatus::Exited(of, status) if of == id => break status,
                WaitStatus::PtraceEvent(of, _, libc::PTRACE_EVENT_EXEC) if of == id => {
                    is_program = fs::read_link(format!("/proc/{id}/exe"))
                        .is_ok_and(|program| program == self.program);
                }
                WaitStatus::PtraceEvent(of, _, libc::PTRACE_EVENT_EXIT) if of == id => {
                    memory = resident(id)
                }
                // The program does not wait for the end of the last ones.
                WaitStatus::PtraceEvent(of, _, event) if of == id && begins_process(event) => {
                    children += 1;
                }
                WaitStatus::PtraceSyscall(of) if of == id => stops += 1,
                WaitStatus::PtraceSyscall(_) => self.bind(&named),
                WaitStatus::Stopped(_, sent) => signal = Some(sent),
                _ => {}
            }
            let Some(of) = status.pid() else { continue };
            // Continuing a process fails if it has just died, which is no error.
            let _ = if is_program {
                ptrace::syscall(of, signal)
            } else {
                ptrace::cont(of, signal)
            };
        };
        // Each call stops twice, as it begins and as it ends. The first stop is the end of
        // `execve`, the last the beginning of `exit_group`.
        Seizure {
            status,
            calls: stops / 2,
            children,
            memory,
        }
    }

    /// Counts only the instructions. Counting the system calls takes a thousand times as long.
    pub fn instructions(&self, words: &[&str]) -> u64 {
        // valgrind writes what it counted as the program ends, and so perhaps in the other root:
        // the same path has to be there too.
        let folder = self.folder.path();
        let again = folder.strip_prefix("/").expect("an absolute path");
        fs::create_dir_all(folder.join(again)).expect("a folder");
        let counts = format!("--cachegrind-out-file={}", self.path("counts").display());
        let told = self.run(
            "valgrind",
            &[
                "--tool=cachegrind",
                "--cache-sim=no",
                "--vgdb=no",
                &counts,
                "--child-silent-after-fork=yes",
            ],
            words,
        );
        let count = told
            .lines()
            .find_map(|line| line.split_once("refs:"))
            .unwrap_or_else(|| panic!("no count: {told}"))
            .1;
        count.trim().replace(',', "").parse().expect("a count")
    }

    /// Counts only the instructions of a `list` that names every device.
    pub fn list(&self) -> u64 {
        self.name_models();
        let listed = self.output(&["list"]);
        let has_names =
            listed.matches("with a name like others").count() == self.functions().count() - BRIDGES;
        assert!(has_names, "the list lacks names:\n{listed}");
        self.instructions(&["list"])
    }

    /// The output of the program.
    pub fn output(&self, words: &[&str]) -> String {
        let output = Command::new(&self.program)
            .arg("--root")
            .arg(self.folder.path())
            .args(words)
            .output()
            .expect("it runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// Whether an event is the start of a process.
const fn begins_process(event: i32) -> bool {
    matches!(
        event,
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE
    )
}

/// The resident memory of a process in KiB, from its page tables.
///
/// `ru_maxrss` would include the process as it was before `exec`. The kernel updates `VmHWM` in
/// batches larger than the program.
fn resident(id: Pid) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).expect("its memory");
    let resident = maps
        .lines()
        .find_map(|line| line.strip_prefix("Rss:"))
        .expect("the resident size");
    resident
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

/// The address of a device; the lowest numbers are on every machine. Once the buses are full, the
/// addresses continue in another domain. So a wildcard means no more devices on a larger machine,
/// and no device shares a card with others, which would each add a message.
fn address(at: usize) -> String {
    let (bus, device) = (at % BUSES + 1, at / BUSES);
    format!("{:04x}:{bus:02x}:{:02x}.0", device / 32, device % 32)
}

/// The path of a device.
fn path(at: usize) -> String {
    let (bus, devfn) = (at % BUSES + 1, at / BUSES);
    let way = if bus <= BUSES / 2 {
        format!("00:{bus:02x}.0")
    } else {
        format!("00:{:02x}.0/00.0/{bus:02x}.0", BUSES / 2 + 1)
    };
    format!("{way}/{:02x}.{:x}", devfn % 32, devfn / 32)
}

/// The ids of a device. The devices that items may name have different ids, and no other device has
/// any of them.
fn ids(at: usize) -> [String; 4] {
    let device = if at < NAMED { at } else { NAMED + at % 16 };
    [
        format!("{:04x}", 0x8086),
        format!("{:04x}", 0x1000 + device),
        format!("{:04x}", 0x1028),
        format!("{at:04x}"),
    ]
}

/// An item, by turns of every kind, each for another device. Only a wildcard means a few more
/// devices on a larger machine.
fn item(at: usize) -> String {
    let (kind, device) = (at % 8, at / 8);
    let [vendor, model, subvendor, subdevice] = ids(device);
    match kind {
        0 => address(device),
        1 => format!("{vendor}:{model}"),
        2 => path(device),
        3 => format!("!{}", address((device + NAMED / 2) % NAMED)),
        4 => format!("{vendor}:{model}:{subvendor}:{subdevice}"),
        5 => format!("{vendor}:{model}@{}", path((device + 7) % NAMED)),
        6 => format!("{}.*", &address(device)[..10]),
        // No function has that class.
        _ => format!("!class:0c03{device:02x}"),
    }
}

/// The configuration space of a port with ACS, or of an endpoint without, in a slot with others.
fn registers(is_bridge: bool) -> [u8; 0x200] {
    let (header, kind) = if is_bridge {
        (0x81, 0x42)
    } else {
        (0x80, 0x02)
    };
    let mut registers = [0; 0x200];
    for (at, bytes) in [
        (0x06, &[0x10][..]),
        (0x0e, &[header]),
        (0x34, &[0x40]),
        // MSI, then PCI Express.
        (0x40, &[0x05, 0x60]),
        (0x60, &[0x10, 0, kind]),
        // A serial number, and ACS with all that counts.
        (0x100, &[0x03, 0, 0x01, 0x18]),
        (
            0x180,
            &[
                if is_bridge { 0x0d } else { 0x19 },
                0,
                0x01,
                0,
                0x1d,
                0,
                0x1d,
                0,
            ],
        ),
    ] {
        registers[at..at + bytes.len()].copy_from_slice(bytes);
    }
    registers
}

/// The most instructions that a further function may cost for each item. A comparison of the two
/// takes more.
pub const MOST_PER_PAIR: f64 = 2.0;

/// The instructions for each pair of a function and an item, besides the cost of each alone.
///
/// If the cost is `a + b × functions + c × items`, the result is 0 for all `a`, `b` and `c`.
/// If the program compares every function with every item, the result is the cost of a comparison.
///
/// `costs` has the costs of few functions, with few items and with many, then the same of many
/// functions.
pub fn instructions_per_pair(
    functions: (usize, usize),
    items: (usize, usize),
    costs: [[Cost; 2]; 2],
) -> f64 {
    let [[few, more_items], [more_functions, both]] =
        costs.map(|row| row.map(|cost| cost.instructions as f64));
    let pairs = (functions.1 - functions.0) * (items.1 - items.0);
    (both - more_functions - more_items + few) / pairs as f64
}

/// The functions of a large machine, and the most instructions that a `list` with their names may
/// take.
pub const LISTED: usize = 4096;
pub const MOST_OF_A_LIST: u64 = 280_000_000;

/// The most system calls that a further device may cost, if the devices are named by address. It is
/// measured with `--root`, where a link takes three calls to be read, and not one.
pub const MOST_CALLS_PER_DEVICE: f64 = 26.0;

/// The system calls of the parent that a further device costs.
pub fn calls_per_device(devices: (usize, usize), calls: (u64, u64)) -> f64 {
    (calls.1 as f64 - calls.0 as f64) / (devices.1 - devices.0) as f64
}

/// The most memory of the parent in KiB, by the number of functions, with 16 named devices.
pub const MOST_MEMORY: [(usize, u64); 2] = [(64, 352), (4096, 512)];

/// The most that the cost of a further function may grow in a large machine. Sorting makes it a
/// little more than 1; if every function is compared with every other, it is the ratio of the
/// sizes.
pub const MOST_GROWTH: f64 = 1.5;

/// The cost of a further function between the second and the third size, divided by that between
/// the first and the second.
pub fn growth(sizes: [usize; 3], instructions: [u64; 3]) -> f64 {
    let step = |from: usize, to: usize| {
        (instructions[to] as f64 - instructions[from] as f64) / (sizes[to] - sizes[from]) as f64
    };
    step(1, 2) / step(0, 1)
}
