//! A computer in QEMU, without hardware virtualisation: assembles it, boots it to its end, and
//! reads the evidence.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::console::{self, Answer, Console, Terms};
use super::disks::Disks;
use super::evidence::Evidence;
use super::grub::{Act, Menu};
use super::image::{Architecture, Initramfs};
use super::product::Product;
use super::qemu::NewerQemu;
use super::watch::Limits;
use super::{arm, board, pace, progress, target_directory};

/// The size of the disk for the evidence.
const EVIDENCE_SIZE: u64 = 32 << 20;

/// The kernel arguments of every machine.
const KERNEL_ARGUMENTS: [&str; 4] = [
    "rw",
    "init=/test-init",
    // Log every probe, and keep all of it.
    "initcall_debug",
    "log_buf_len=4M",
];

/// The kernel arguments of machines whose console nobody answers.
const UNATTENDED: [&str; 4] = [
    "ignore_loglevel",
    // End at once if a boot fails, instead of starting a shell.
    "panic=1",
    "rd.shell=0",
    "rd.emergency=reboot",
];

/// An end of a cable between two machines.
#[derive(Clone, Copy)]
pub enum End {
    Listens,
    Calls,
}

/// A machine to boot.
#[derive(Clone)]
pub struct Machine<'a> {
    initramfs: &'a Initramfs,
    has_xen: bool,
    devices: Vec<String>,
    drives: Vec<String>,
    /// QEMU's networks and cables, as its `-netdev` takes them.
    netdevs: Vec<String>,
    processors: u32,
    /// Their model, as QEMU's `-cpu` takes it.
    processor: &'static str,
    /// In MiB.
    memory: u32,
    /// The root disk, if not that of the image's Debian.
    root_disk: Option<PathBuf>,
    /// The kernel's argument `root=`, if the root is not on the root disk.
    root: Option<String>,
    /// The slot of the controller of the disks, if not that of the standard machine.
    disks_at: Option<String>,
    /// Whether it has the port for a keyboard that each PC has.
    has_keyboard_port: bool,
    arguments: Vec<String>,
    xen_arguments: Vec<String>,
    /// What the user does in GRUB's menu. If nothing, QEMU itself loads Xen and the kernel.
    grub: Option<Act>,
    answers: Option<Vec<Answer>>,
    product: Option<Product>,
    qemu: Option<NewerQemu>,
    files: Vec<(String, String)>,
    programs: Vec<(String, PathBuf)>,
    /// The work of the machine, in units of a usual one.
    work: u32,
    limits: Option<Limits>,
}

impl<'a> Machine<'a> {
    /// The standard machine as a Xen dom0.
    pub fn dom0(initramfs: &'a Initramfs) -> Self {
        Self {
            initramfs,
            has_xen: true,
            devices: board::DEVICES.map(str::to_owned).to_vec(),
            drives: Vec::new(),
            netdevs: Vec::new(),
            processors: 1,
            processor: "qemu64",
            memory: 2048,
            root_disk: None,
            root: None,
            disks_at: None,
            has_keyboard_port: true,
            arguments: KERNEL_ARGUMENTS.map(str::to_owned).to_vec(),
            xen_arguments: Vec::new(),
            grub: None,
            answers: None,
            product: None,
            qemu: None,
            files: Vec::new(),
            programs: Vec::new(),
            work: 1,
            limits: None,
        }
    }

    /// The same machine without Xen.
    pub fn bare(initramfs: &'a Initramfs) -> Self {
        Self {
            has_xen: false,
            ..Self::dom0(initramfs)
        }
    }

    /// Runs the machine in a newer QEMU than this host's.
    pub fn in_qemu(mut self, qemu: &NewerQemu) -> Self {
        self.qemu = Some(qemu.clone());
        self
    }

    /// Gives the machine, and with it dom0, so many processors.
    pub fn processors(mut self, count: u32) -> Self {
        self.processors = count;
        self
    }

    /// Gives the machine processors of this model, as QEMU's `-cpu` takes it.
    pub fn processor(mut self, model: &'static str) -> Self {
        self.processor = model;
        self
    }

    /// Gives the machine so much memory, of which dom0 has what it always has.
    pub fn memory(mut self, mebibytes: u32) -> Self {
        self.memory = mebibytes;
        self
    }

    /// Boots from another root disk, with the same kernel's modules.
    pub fn root_disk(mut self, disk: &Path) -> Self {
        self.root_disk = Some(disk.to_owned());
        self
    }

    /// Boots without a root disk, from what the kernel's argument `root=` names so. The caller adds
    /// the disks.
    pub fn root(mut self, name: &str) -> Self {
        self.root = Some(name.to_owned());
        self
    }

    /// Leaves out the port for a keyboard, on which the machine otherwise has one.
    pub fn without_keyboard_port(mut self) -> Self {
        self.has_keyboard_port = false;
        self
    }

    /// Gives the machine what HVM guests and PVH domains with devices need: AMD's virtualisation
    /// and AMD's IOMMU, both of which QEMU emulates.
    pub fn with_svm(mut self) -> Self {
        self.devices.insert(0, board::AMD_IOMMU_DEVICE.to_owned());
        self.processor(board::SVM_PROCESSOR)
            // Xen panics in QEMU's MWAIT once a guest has a device.
            .xen_cmdline("cpuidle=0")
            // Linux is not to doubt the emulated clock.
            .cmdline("tsc=reliable")
    }

    /// Replaces the devices of the standard machine.
    pub fn devices(mut self, devices: Vec<String>) -> Self {
        self.devices = devices;
        self
    }

    /// Adds a device, as QEMU's `-device` takes it.
    pub fn device(mut self, device: &str) -> Self {
        self.devices.push(device.to_owned());
        self
    }

    /// Adds an IOMMU, without which xl gives no device to a guest. QEMU needs the IOMMU before the
    /// other devices.
    pub fn with_iommu(mut self) -> Self {
        self.devices.insert(0, board::IOMMU_DEVICE.to_owned());
        self
    }

    /// Connects the listed device of `NETWORK` to a network inside QEMU. Only the gateway answers.
    pub fn with_network(self) -> Self {
        // QEMU sometimes offers a default route over IPv6, and dom0 would need the device that
        // carries it.
        self.connect(
            board::NETWORK_DEVICE,
            "network",
            "user,id=network,restrict=on,ipv6=off",
        )
    }

    /// Connects the two devices of `NETWORK` with each other.
    pub fn with_cable(self) -> Self {
        self.connect(board::NETWORK_DEVICE, "end", "hubport,id=end,hubid=0")
            .connect(
                board::NETWORK_TWIN,
                "other-end",
                "hubport,id=other-end,hubid=0",
            )
    }

    /// Connects the listed device of `NETWORK` to that of another machine, over this socket of the
    /// host. The end that listens has to be there first.
    pub fn with_peer(self, socket: &Path, end: End) -> Self {
        let netdev = format!(
            "stream,id=peer,server={},addr.type=unix,addr.path={}",
            match end {
                End::Listens => "on",
                End::Calls => "off",
            },
            socket.display()
        );
        self.connect(board::NETWORK_DEVICE, "peer", &netdev)
    }

    fn connect(mut self, card: &str, id: &str, netdev: &str) -> Self {
        for device in self.devices.iter_mut().filter(|device| *device == card) {
            device.push_str(",netdev=");
            device.push_str(id);
        }
        self.netdevs.push(netdev.to_owned());
        self
    }

    /// Moves the controller of the root disk, and so of all disks, to another slot.
    pub fn disks_at(mut self, slot: &str) -> Self {
        self.disks_at = Some(slot.to_owned());
        self
    }

    /// Adds a drive, as QEMU's `-drive` takes it.
    pub fn drive(mut self, drive: &str) -> Self {
        self.drives.push(drive.to_owned());
        self
    }

    /// Adds to the kernel command line.
    pub fn cmdline(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Adds to Xen's command line.
    pub fn xen_cmdline(mut self, argument: &str) -> Self {
        self.xen_arguments.push(argument.to_owned());
        self
    }

    /// Boots Xen through GRUB, from a disk, and does this in its menu.
    pub fn with_grub(mut self, act: Act) -> Self {
        self.grub = Some(act);
        self
    }

    /// Lets a failed boot start a shell, as on a user's machine. The console shows what a user
    /// would see.
    pub fn attended(mut self) -> Self {
        self.answers.get_or_insert_default();
        self
    }

    /// Types `text` when the console shows `prompt`. Answers are given in their order; an unused
    /// answer is an error.
    pub fn answer(mut self, prompt: &str, text: &str) -> Self {
        self.answers.get_or_insert_default().push(Answer {
            prompt: prompt.to_owned(),
            text: format!("{text}\n"),
        });
        self
    }

    /// Installs pciseize on the real root too.
    pub fn installed(mut self, product: &Product) -> Self {
        self.product = Some(product.clone());
        self
    }

    /// Adds a file to the real root before the script runs.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files
            .push((path.trim_start_matches('/').to_owned(), text.to_owned()));
        self
    }

    /// Adds a program of this host to the real root.
    pub fn program(mut self, path: &str, program: &Path) -> Self {
        self.programs.push((path.to_owned(), program.to_owned()));
        self
    }

    /// Runs this shell script on the real root. Files in its working directory become part of the
    /// evidence.
    pub fn script(self, text: &str) -> Self {
        self.file("lab/script", text)
    }

    /// Declares that the kernel will hold this device's lock for ever, so that nothing waits for
    /// the lock at the end.
    pub fn locked(self, address: &str) -> Self {
        self.file("lab/locked", &format!("{address}\n"))
    }

    /// Declares that the machine does the work of so many usual ones, and may last accordingly.
    pub fn work(mut self, usual: u32) -> Self {
        self.work = usual;
        self
    }

    /// Sets the limits, which otherwise follow from a stock boot.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Boots, waits for the end, and returns the evidence. The machine's files are in
    /// `target/vm/{name}`.
    pub fn boot(&self, name: &str) -> Result<Evidence> {
        let kind = if self.has_xen {
            "Xen"
        } else {
            "a kernel without Xen"
        };
        progress::step(&format!("booting {kind} ({name})"), || {
            let (console, evidence) = self.run(name)?;
            Evidence::read(&evidence, &console)
                .with_context(|| console.last_words("ended without its evidence"))
        })
        .with_context(|| format!("boot {name}"))
    }

    /// Boots, waits for the end, and returns the console. The machine need not reach the real root.
    pub fn boot_to_any_end(&self, name: &str) -> Result<Console> {
        progress::step(&format!("booting to any end ({name})"), || {
            Ok(self.run(name)?.0)
        })
        .with_context(|| format!("boot {name}"))
    }

    fn run(&self, name: &str) -> Result<(Console, PathBuf)> {
        let limits = match self.limits {
            Some(limits) => limits,
            None => pace::limits(self.work)?,
        };
        let folder = target_directory().join("vm").join(name);
        fs::create_dir_all(&folder)?;
        let evidence = folder.join("evidence.tar");
        File::create(&evidence)?.set_len(EVIDENCE_SIZE)?;
        let luggage = folder.join("luggage.tar");
        self.pack(&luggage)?;

        let mut qemu = match self.initramfs.architecture {
            Architecture::Amd64 => self.qemu(),
            Architecture::Arm64 => arm::qemu(),
        };
        self.attach_devices(&mut qemu, &luggage, &evidence);
        let mut answers = match self.grub {
            Some(act) => self.load_through_grub(act, &folder, &mut qemu)?,
            None => {
                self.load_by_qemu(&mut qemu);
                Vec::new()
            }
        };
        answers.extend(self.answers.iter().flatten().cloned());
        let terms = Terms {
            answers: &answers,
            limits,
            transcript: folder.join("console"),
        };
        let mut disks = Disks::new()?;
        qemu.args(["-qmp", &disks.option()]);
        let see = |line: &console::Line| announce(name, line);
        let console = Console::follow(qemu, &terms, || disks.operations(), see)?;
        Ok((console, evidence))
    }

    /// Packs the files that the guest unpacks onto its root.
    fn pack(&self, luggage: &Path) -> Result<()> {
        let mut archive = tar::Builder::new(File::create(luggage)?);
        if let Some(product) = &self.product {
            archive.append_dir_all(".", &product.tree)?;
        }
        for (path, text) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, text.as_bytes())?;
        }
        for (path, program) in &self.programs {
            archive.append_path_with_name(program, path)?;
        }
        archive.into_inner()?;
        Ok(())
    }

    /// The command line of the kernel.
    fn kernel_arguments(&self) -> String {
        let console = if self.has_xen {
            "console=hvc0"
        } else {
            "console=ttyS0"
        };
        let unattended = match self.answers {
            None => UNATTENDED.as_slice(),
            Some(_) => &[],
        };
        let root = self.root.as_deref().unwrap_or("LABEL=root");
        let root = format!("root={root}");
        let mut all = vec![console, &root];
        all.extend(self.arguments.iter().map(String::as_str));
        all.extend(unattended);
        all.join(" ")
    }

    /// The command line of Xen.
    fn xen_arguments(&self) -> String {
        let usual = match self.initramfs.architecture {
            Architecture::Amd64 => "console=com1 com1=115200 dom0_mem=1536M,max:1536M",
            Architecture::Arm64 => arm::XEN_ARGUMENTS,
        };
        format!("{usual} {}", self.xen_arguments.join(" "))
    }

    /// Lets QEMU load Xen and the kernel, or the kernel alone.
    fn load_by_qemu(&self, qemu: &mut Command) {
        let debian = &self.initramfs.debian;
        let (image, arguments) = (&self.initramfs.file, self.kernel_arguments());
        if !self.has_xen {
            qemu.arg("-kernel").arg(&debian.vmlinuz);
            qemu.arg("-initrd").arg(image);
            qemu.arg("-append").arg(arguments);
            return;
        }
        // Commas separate Xen's boot modules and their arguments, so commas inside are doubled.
        let arguments = arguments.replace(',', ",,");
        if self.initramfs.architecture == Architecture::Arm64 {
            arm::load(qemu, self.initramfs, &self.xen_arguments(), &arguments);
            return;
        }
        let (kernel, image) = (debian.vmlinux.display(), image.display());
        qemu.arg("-kernel").arg(&debian.xen);
        qemu.arg("-initrd")
            .arg(format!("{kernel} {arguments},{image}"));
        qemu.arg("-append").arg(self.xen_arguments());
    }

    /// Lets the firmware start GRUB from a disk of its own. Returns what the user types there.
    fn load_through_grub(
        &self,
        act: Act,
        folder: &Path,
        qemu: &mut Command,
    ) -> Result<Vec<Answer>> {
        let menu = Menu::new(
            self.initramfs,
            &self.xen_arguments(),
            &self.kernel_arguments(),
        );
        let disk = menu.make_disk(folder)?;
        qemu.arg("-drive").arg(format!(
            "if=none,format=raw,id=grub,file={},snapshot=on",
            disk.display()
        ));
        let bus = self.bus();
        qemu.args([
            "-device",
            &format!("ide-hd,drive=grub,bus={bus}.3,bootindex=0"),
        ]);
        menu.answers(act)
    }

    /// The name of the bus of the disks.
    fn bus(&self) -> &'static str {
        match self.disks_at {
            Some(_) => "moved",
            None => "ide",
        }
    }

    fn qemu(&self) -> Command {
        let mut qemu = match &self.qemu {
            Some(newer) => newer.command(),
            None => Command::new("qemu-system-x86_64"),
        };
        let mut machine = "q35".to_owned();
        if self.disks_at.is_some() {
            machine.push_str(",sata=off");
        }
        if !self.has_keyboard_port {
            machine.push_str(",i8042=off");
        }
        // The processors take turns in one thread. In a thread each, one that resets a device moves
        // the map of memory under the access of another, and QEMU 7.2 now and then dies of it.
        qemu.args([
            "-machine",
            &machine,
            "-accel",
            "tcg,thread=single",
            "-cpu",
            self.processor,
        ]);
        qemu.args(["-m", &self.memory.to_string()]);
        qemu.args(["-nodefaults", "-no-reboot"]);
        qemu.args(["-smp", &self.processors.to_string()]);
        qemu.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]);
        qemu
    }

    fn attach_devices(&self, qemu: &mut Command, luggage: &Path, evidence: &Path) {
        let debian = &self.initramfs.debian;
        let bus = self.bus();
        for drive in &self.drives {
            qemu.args(["-drive", drive]);
        }
        for netdev in &self.netdevs {
            qemu.args(["-netdev", netdev]);
        }
        for device in &self.devices {
            qemu.args(["-device", device]);
        }
        if let Some(slot) = &self.disks_at {
            qemu.args(["-device", &format!("ich9-ahci,id={bus},addr={slot}")]);
        }
        let root = self.root_disk.as_ref().unwrap_or(&debian.disk);
        let disks = [
            ("root", root.as_path(), "snapshot=on"),
            ("luggage", luggage, "snapshot=on"),
            ("evidence", evidence, "cache=unsafe"),
        ];
        for (port, (name, file, option)) in disks.into_iter().enumerate() {
            if name == "root" && self.root.is_some() {
                continue;
            }
            qemu.arg("-drive").arg(format!(
                "if=none,format=raw,id={name},file={},{option}",
                file.display()
            ));
            qemu.arg("-device")
                .arg(format!("ide-hd,drive={name},bus={bus}.{port},model={name}"));
        }
    }
}

/// Prints a line that shows how far the machine has come.
fn announce(name: &str, line: &console::Line) {
    const MILESTONES: [(&str, &str); 3] = [
        ("(XEN) Xen version", "the hypervisor runs"),
        ("Linux version", "the kernel runs"),
        ("Run /init as init process", "the initramfs runs"),
    ];
    for (mark, meaning) in MILESTONES {
        if line.text.contains(mark) {
            progress::say(&format!("  {name}: {meaning}"));
        }
    }
    // Show the lines of pciseize and of the guest's scripts.
    if let Some(at) = ["pciseize: ", "lab: "]
        .into_iter()
        .find_map(|who| line.text.find(who))
    {
        progress::say(&format!("  {name}: {}", &line.text[at..]));
    }
}
