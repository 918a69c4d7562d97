//! What a run costs: user instructions and system calls, counted one by one. Neither varies with the load of the machine or its speed.
//!
//! Instructions are counted by valgrind, which needs no counters of the processor's: virtual machines rarely have them. System calls are counted by strace, and those of a seizure through ptrace, so that what
//! the kernel would do can be done in between. Only those of the process that was started count. Its memory is what the page tables say as it ends.

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

/// A machine in files, and the program that is to be measured on it.
pub struct Bench {
    program: PathBuf,
    folder: TempDir,
}

/// What one run has cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub instructions: u64,
    pub calls: u64,
}

/// What one seizure has cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seizure {
    /// The exit status of the process that was started.
    pub status: i32,
    /// Its system calls.
    pub calls: u64,
    /// The processes that it has started.
    pub children: usize,
    /// The most memory that it had in use, in KiB: what was resident as it ended, since it gives nothing back before.
    pub memory: u64,
}

/// Functions on a bus behind a bridge.
struct Bus {
    number: usize,
    link: String,
}

/// Buses with devices. Half are behind two bridges more.
const BUSES: usize = 16;

/// Bridges: the host's, a root port for each of the first buses and one for the switch, the switch's upstream port, and a downstream port for each of the other buses.
pub const BRIDGES: usize = 1 + BUSES / 2 + 1 + 1 + BUSES / 2;

/// Devices that every machine has: those that items name. So a machine's size changes nothing of what its items mean.
const NAMED: usize = 40;

/// Vendors in a machine's pci.ids beside that of its devices, and models of each. It has some 32,000
/// lines, as the real one has.
const VENDORS: usize = 512;
const MODELS: usize = 64;

/// How the bridges of a machine stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Side by side.
    Ports,
    /// All but two behind one, which is behind another.
    Switch,
}

/// Functions behind a bridge that is asked for.
const BEHIND: usize = 8;

impl Shape {
    /// Bridges with no function behind them but bridges.
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
        assert!(functions >= FEWEST, "a machine has at least {FEWEST} functions");
        let bench = Bench::empty(program);
        let buses = bench.buses();
        for at in 0..functions - BRIDGES {
            let address = address(at);
            let driver = [Some("e1000e"), Some("nvme"), None][at % 3];
            bench.function(&buses[at % BUSES].link, &address, &ids(at), "020000", driver);
        }
        bench
    }

    /// A dom0 that is asked for its bridges, each by its address, so that each is refused and what is behind it is told. Behind each are [`BEHIND`] functions, but for the first two of a switch.
    pub fn of_bridges(program: &Path, bridges: usize, shape: Shape) -> Bench {
        let bench = Bench::empty(program);
        let root = "sys/devices/pci0000:00".to_owned();
        let mut named = Vec::new();
        let mut bridge = |parent: &Bus, devfn: usize, bus: usize| {
            let address = format!("0000:{:02x}:{:02x}.{:x}", parent.number, devfn / 8, devfn % 8);
            let bus = bench.bridge(&parent.link, &address, bus);
            named.push(address);
            bus
        };
        let mut parent = Bus { number: 0, link: root };
        for level in 1..=shape.above() {
            parent = bridge(&parent, 8, level);
        }
        for at in shape.above()..bridges {
            let bus = bridge(&parent, 8 + at, at + 1);
            for function in 0..BEHIND {
                bench.function(&bus.link, &format!("0000:{:02x}:00.{function:x}", bus.number), &ids(at * BEHIND + function), "020000", Some("e1000e"));
            }
        }
        bench.file("etc/xen/pciback.conf", &(named.join("\n") + "\n"));
        bench.file("proc/cmdline", "quiet\n");
        bench
    }

    /// A dom0 without PCI.
    fn empty(program: &Path) -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let bench = Bench { program: program.to_owned(), folder };
        bench.file("sys/hypervisor/properties/features", "00000800\n");
        bench.file("proc/sys/kernel/osrelease", "6.1.0-bench\n");
        fs::create_dir_all(bench.path("sys/bus/pci/devices")).expect("a folder");
        for driver in ["pcieport", "e1000e", "nvme"] {
            fs::create_dir_all(bench.path(&format!("sys/bus/pci/drivers/{driver}"))).expect("a folder");
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

    /// Makes a bridge. The devices of its bus are in its folder, as in sysfs.
    fn bridge(&self, parent: &str, address: &str, bus: usize) -> Bus {
        self.function(parent, address, &["1b36", "000c", "0000", "0000"].map(str::to_owned), "060400", Some("pcieport"));
        let link = format!("{parent}/{address}");
        Bus { number: bus, link }
    }

    /// Makes the bridges, and gives the buses that are for devices.
    fn buses(&self) -> Vec<Bus> {
        let root = "sys/devices/pci0000:00".to_owned();
        self.function(&root, "0000:00:00.0", &["8086", "29c0", "0000", "0000"].map(str::to_owned), "060000", None);
        let mut buses: Vec<Bus> = (1..=BUSES / 2).map(|bus| self.bridge(&root, &format!("0000:00:{bus:02x}.0"), bus)).collect();
        // The switch: its upstream port is on bus 40, its downstream ports are on bus 41.
        let port = self.bridge(&root, &format!("0000:00:{:02x}.0", BUSES / 2 + 1), 0x40);
        let upstream = self.bridge(&port.link, &format!("0000:{:02x}:00.0", port.number), 0x41);
        buses.extend((BUSES / 2 + 1..=BUSES).map(|bus| self.bridge(&upstream.link, &format!("0000:{:02x}:{bus:02x}.0", upstream.number), bus)));
        buses
    }

    /// Makes a function: what `plan` reads of it.
    fn function(&self, parent: &str, address: &str, ids: &[String; 4], class: &str, driver: Option<&str>) {
        let folder = format!("{parent}/{address}");
        let [vendor, device, subvendor, subdevice] = ids.each_ref().map(|id| id.to_uppercase());
        let (base, sub, interface) = (&class[..2], &class[2..4], &class[4..]);
        self.file(&format!("{folder}/modalias"), &format!("pci:v0000{vendor}d0000{device}sv0000{subvendor}sd0000{subdevice}bc{base}sc{sub}i{interface}\n"));
        if let Some(driver) = driver {
            let up = "../".repeat(folder.matches('/').count());
            symlink(format!("{up}bus/pci/drivers/{driver}"), self.path(&format!("{folder}/driver"))).expect("a link");
        }
        // On PCI Express, where nobody shares a bridge.
        self.file(&format!("{folder}/max_link_speed"), "8.0 GT/s PCIe\n");
        symlink(format!("../../../{}", &folder["sys/".len()..]), self.path(&format!("sys/bus/pci/devices/{address}"))).expect("a link");
    }

    /// Has the machine asked for that many things. The last takes every device, so that each is looked at, decided on and told.
    pub fn ask(&self, items: usize) {
        let text: String = (0..items - 1).map(|at| item(at) + "\n").collect();
        self.file("etc/xen/pciback.conf", &text);
        self.file("proc/cmdline", "quiet pciseize.hide=class:network\n");
    }

    /// Has the machine ready for a seizure, as early in a boot: no driver has a device yet, and there are files for all that is written to. pciback is there, since no module can be loaded here.
    pub fn make_seizable(&self) {
        for device in self.functions() {
            fs::write(device.join("driver_override"), "(null)\n").expect("a file");
            if fs::read_link(device.join("driver")).is_ok_and(|driver| !driver.ends_with("pcieport")) {
                fs::remove_file(device.join("driver")).expect("the link goes");
            }
        }
        self.file("sys/bus/pci/drivers/pciback/bind", "");
        // What an earlier run has told.
        let _ = fs::remove_dir_all(self.path("run"));
    }

    /// The kernel's part in a seizure: which of the named devices has pciback's override is bound to it.
    fn bind(&self, named: &[PathBuf]) {
        for device in named {
            let link = device.join("driver");
            if !link.is_symlink() && fs::read(device.join("driver_override")).is_ok_and(|name| name == b"pciback") {
                symlink("/sys/bus/pci/drivers/pciback", link).expect("a link");
            }
        }
    }

    /// The folders of all functions.
    fn functions(&self) -> impl Iterator<Item = PathBuf> {
        fs::read_dir(self.path("sys/bus/pci/devices")).expect("a folder").map(|entry| entry.expect("its entry").path())
    }

    /// Has the machine asked for so many devices, each by its address.
    pub fn name(&self, devices: usize) {
        let text: String = (0..devices).map(|at| address(at) + "\n").collect();
        self.file("etc/xen/pciback.conf", &text);
        self.file("proc/cmdline", "quiet\n");
    }

    /// Gives the machine a pci.ids, with the names of its devices among many others.
    fn name_models(&self) {
        let mut text = String::new();
        for vendor in (0..VENDORS).map(|at| 0x1000 + at * 0x1d).chain([0x8086]) {
            text += &format!("{vendor:04x}  Vendor of {vendor}\n");
            for model in 0..MODELS {
                let model = 0x1000 + model;
                text += &format!("\t{model:04x}  Model {model} of many [with a name like others]\n");
            }
        }
        self.file("usr/share/misc/pci.ids", &text);
    }

    fn run(&self, command: &str, arguments: &[&str], words: &[&str]) -> String {
        let counted = self.path("counted");
        let output = Command::new(command)
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
        // 1: not all is as asked.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{command}: {output:?}");
        fs::read_to_string(counted).expect("what was counted")
    }

    /// What the program costs with these words.
    pub fn cost(&self, words: &[&str]) -> Cost {
        Cost { instructions: self.instructions(words), calls: self.calls(words) }
    }

    /// Only the system calls.
    fn calls(&self, words: &[&str]) -> u64 {
        // One line a call, and one for the exit status.
        self.run("strace", &[], words).lines().filter(|line| !line.starts_with('+')).count() as u64
    }

    /// Seizes the named devices. The machine is made of files, and its kernel's part is done between the system calls of the children.
    #[allow(clippy::zombie_processes, reason = "its end is waited for with those of its children")]
    pub fn seize(&self) -> Seizure {
        // The shell waits until it is watched, and becomes the program.
        let mut shell = Command::new("sh");
        shell.args(["-c", "read -r _ && exec env -i \"$@\"", "sh"]).arg(&self.program).arg("--root").arg(self.folder.path()).arg("seize");
        let mut process = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell");
        let id = Pid::from_raw(process.id().try_into().expect("a process"));
        let children_too = Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK | Options::PTRACE_O_TRACECLONE;
        let options = Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACEEXIT | Options::PTRACE_O_TRACESYSGOOD | children_too;
        ptrace::seize(id, options).expect("it is watched");
        process.stdin.take().expect("a pipe").write_all(b"\n").expect("it goes on");

        let named = fs::read_to_string(self.path("etc/xen/pciback.conf")).expect("the names");
        let named: Vec<PathBuf> = named.lines().map(|address| self.path("sys/bus/pci/devices").join(address)).collect();
        let (mut is_program, mut stops, mut memory) = (false, 0, 0);
        let mut children = 0;
        let status = loop {
            let status = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)).expect("what became of it");
            let mut signal = None;
            match status {
                WaitStatus::Exited(of, status) if of == id => break status,
                WaitStatus::PtraceEvent(of, _, libc::PTRACE_EVENT_EXEC) if of == id => {
                    is_program = fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|program| program == self.program);
                }
                WaitStatus::PtraceEvent(of, _, libc::PTRACE_EVENT_EXIT) if of == id => memory = resident(id),
                WaitStatus::PtraceEvent(_, _, libc::PTRACE_EVENT_EXIT) => children += 1,
                WaitStatus::PtraceSyscall(of) if of == id => stops += 1,
                WaitStatus::PtraceSyscall(_) => self.bind(&named),
                WaitStatus::Stopped(_, sent) => signal = Some(sent),
                _ => {}
            }
            let Some(of) = status.pid() else { continue };
            // Who is gone needs no word.
            let _ = if is_program { ptrace::syscall(of, signal) } else { ptrace::cont(of, signal) };
        };
        // One stop as a call begins and one as it ends. The first is the end of `execve`, the last the beginning of `exit_group`.
        Seizure { status, calls: stops / 2, children, memory }
    }

    /// Only the instructions. System calls take a thousand times as long to count.
    pub fn instructions(&self, words: &[&str]) -> u64 {
        let told = self.run("valgrind", &["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", "--child-silent-after-fork=yes"], words);
        let count = told.lines().find_map(|line| line.split_once("refs:")).unwrap_or_else(|| panic!("no count: {told}")).1;
        count.trim().replace(',', "").parse().expect("a count")
    }

    /// Only the instructions of a `list` that names every device.
    pub fn list(&self) -> u64 {
        self.name_models();
        let listed = self.output(&["list"]);
        let has_names = listed.matches("with a name like others").count() == self.functions().count() - BRIDGES;
        assert!(has_names, "what is measured is not a list of names:\n{listed}");
        self.instructions(&["list"])
    }

    /// What the program prints.
    pub fn output(&self, words: &[&str]) -> String {
        let output = Command::new(&self.program).arg("--root").arg(self.folder.path()).args(words).output().expect("it runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// What a process has in memory, in KiB, by its page tables.
///
/// Not `ru_maxrss`, in which the process that it was before `exec` counts too; and not `VmHWM`, which the kernel counts in batches that are larger than the program.
fn resident(id: Pid) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).expect("its memory");
    let resident = maps.lines().find_map(|line| line.strip_prefix("Rss:")).expect("what is resident");
    resident.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The address of a device. Those with the lowest numbers are on every machine. Where the buses are full it goes on in another domain: a wildcard means no more devices on a larger machine, and none is on a card with
/// others, of which each would be told.
fn address(at: usize) -> String {
    let (bus, device) = (at % BUSES + 1, at / BUSES);
    format!("{:04x}:{bus:02x}:{:02x}.0", device / 32, device % 32)
}

/// Its path.
fn path(at: usize) -> String {
    let (bus, devfn) = (at % BUSES + 1, at / BUSES);
    let way = if bus <= BUSES / 2 { format!("00:{bus:02x}.0") } else { format!("00:{:02x}.0/00.0/{bus:02x}.0", BUSES / 2 + 1) };
    format!("{way}/{:02x}.{:x}", devfn % 32, devfn / 32)
}

/// Its ids. No two of the devices that items name are alike, and none of the others is like one of them.
fn ids(at: usize) -> [String; 4] {
    let device = if at < NAMED { at } else { NAMED + at % 16 };
    [format!("{:04x}", 0x8086), format!("{:04x}", 0x1000 + device), format!("{:04x}", 0x1028), format!("{at:04x}")]
}

/// An item: by turns of every kind, each for another device. On a larger machine they mean no more devices, but for a wildcard's few.
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
        // Nothing has that class.
        _ => format!("!class:0c03{device:02x}"),
    }
}

/// Most instructions that a function more may cost for each item that is asked for. Comparing the two at all takes more.
pub const MOST_PER_PAIR: f64 = 2.0;

/// What functions and items cost together, beside what each costs alone: instructions for each pair of a function and an item.
///
/// Where the cost is `a + b × functions + c × items`, this is 0, whatever `a`, `b` and `c` are. Where every function is compared with every item, it is what one comparison takes.
/// `costs` are those of few functions, with few items and with many, then those of many functions.
pub fn instructions_per_pair(functions: (usize, usize), items: (usize, usize), costs: [[Cost; 2]; 2]) -> f64 {
    let [[few, more_items], [more_functions, both]] = costs.map(|row| row.map(|cost| cost.instructions as f64));
    let pairs = (functions.1 - functions.0) * (items.1 - items.0);
    (both - more_functions - more_items + few) / pairs as f64
}

/// Functions of a large machine, and most instructions that a `list` of them may take with their names.
pub const LISTED: usize = 4096;
pub const MOST_OF_A_LIST: u64 = 280_000_000;

/// Most system calls that a device more may cost, where each is named by its address.
pub const MOST_CALLS_PER_DEVICE: f64 = 10.0;

/// What a device more costs in system calls of the seizing process.
pub fn calls_per_device(devices: (usize, usize), calls: (u64, u64)) -> f64 {
    (calls.1 as f64 - calls.0 as f64) / (devices.1 - devices.0) as f64
}

/// Most memory of the seizing process, in KiB, by the functions of the machine, with 16 devices that are named.
pub const MOST_MEMORY: [(usize, u64); 2] = [(64, 128), (4096, 512)];

/// How much more one costs in a large machine than in a small one. Sorting makes it a little more than 1; where each looks at each, it is the ratio of the sizes.
pub const MOST_GROWTH: f64 = 1.5;

/// What one more costs between the second and the third size, in terms of what it costs between the first and the second.
pub fn growth(sizes: [usize; 3], instructions: [u64; 3]) -> f64 {
    let step = |from: usize, to: usize| (instructions[to] as f64 - instructions[from] as f64) / (sizes[to] - sizes[from]) as f64;
    step(1, 2) / step(0, 1)
}
