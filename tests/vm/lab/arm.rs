//! 64-bit ARM: its Debian with Xen, made from the package sources of this host, and the computer
//! that runs it.
//!
//! Its packages are installed, and its images made, by its own programs, which the kernel of this
//! host starts in QEMU (`binfmt_misc`).

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::{
    NotToBeHad,
    cache::{self, Ingredients},
    debian::{self, Debian, Suite, only_file},
    image::Initramfs,
    machine::Machine,
    progress, repository, tool,
};

/// The name of the architecture in Debian.
const NAME: &str = "arm64";

/// The number of entries of each kind in the cache: the newest of each suite.
const KEEP: usize = 3;

/// Has the kernel of this host run that architecture's programs in QEMU, also below another root.
/// Where systemd runs, `qemu-user-static` does the same when it is installed.
const REGISTER: &str = "
    folder=/proc/sys/fs/binfmt_misc
    [ -e $folder/register ] || mount -t binfmt_misc binfmt_misc $folder
    [ -e $folder/qemu-aarch64 ] || cat /usr/lib/binfmt.d/qemu-aarch64.conf >$folder/register";

/// Xen's usual arguments. Its console is where the firmware's table of devices says.
pub const XEN_ARGUMENTS: &str = "console=dtuart dom0_mem=1536M";

/// The slot of the controller of the disks. This computer has none of its own.
pub const DISKS_AT: &str = "0x1f";

/// The controller of the root disk, and its driver.
pub const ROOT_DISK: (&str, &str) = ("0000:00:1f.0", "ahci");

/// Where in its memory the computer has the kernel.
const KERNEL_AT: &str = "0x70000000";

/// Where it has the initramfs.
const INITRAMFS_AT: &str = "0x78000000";

/// Whether this host can run that architecture's programs. An error says why not.
pub fn register() -> Result<()> {
    let mut command = tool::as_root("sh");
    command.args(["-euc", REGISTER]);
    let missing = "this host does not run programs of 64-bit ARM";
    tool::run(command)
        .map(drop)
        .context(NotToBeHad(missing.to_owned()))
}

/// The standard machine as a Xen dom0, with the processor of the image.
pub fn dom0(image: &Initramfs) -> Machine<'_> {
    Machine::dom0(image).disks_at(DISKS_AT)
}

/// The computer, without devices and without anything to run.
pub fn qemu() -> Command {
    let mut qemu = Command::new("qemu-system-aarch64");
    qemu.args(["-machine", "virt,virtualization=on,gic-version=3"]);
    qemu.args(["-cpu", "cortex-a57", "-accel", "tcg,thread=single"]);
    qemu.args(["-m", "3072", "-smp", "1", "-nodefaults", "-no-reboot"]);
    qemu.args(["-display", "none", "-monitor", "none", "-serial", "stdio"]);
    qemu
}

/// Lets QEMU load Xen, the kernel and the image. Commas in the kernel's arguments are doubled.
pub fn load(qemu: &mut Command, image: &Initramfs, xen: &str, kernel: &str) {
    let Debian {
        xen: file, vmlinux, ..
    } = &image.debian;
    qemu.arg("-kernel").arg(file).args(["-append", xen]);
    for loaded in [
        format!("{KERNEL_AT},kernel={},bootargs={kernel}", vmlinux.display()),
        format!("{INITRAMFS_AT},initrd={}", image.file.display()),
    ] {
        qemu.args(["-device", &format!("guest-loader,addr={loaded}")]);
    }
}

/// Gets the parts of a machine from the cache, or makes them.
pub fn debian(suite: Suite) -> Result<Debian> {
    register()?;
    let sources = debian::sources(suite)?;
    let packages = packages(suite);
    let ingredients = Ingredients::of("arm-debian")
        .with("suite", suite.name())
        .with("options", suite.options().join("\n"))
        .with("versions", versions(suite, &sources, &packages)?);
    let base = cache::entry(&ingredients, KEEP, |entry| {
        progress::step(
            &format!("installing Debian ({}) for 64-bit ARM", suite.name()),
            || install(suite, &sources, &packages, entry),
        )
    })?;
    let root = base.join("root");
    let release = only_file(&root.join("lib/modules"), "", "")?;
    let identity = base.to_string_lossy().into_owned();

    let test_init = repository().join("tests/vm/guest/test-init");
    let ingredients = Ingredients::of("arm-disk")
        .with("debian", &identity)
        .with("test-init", fs::read(&test_init)?);
    let disk = cache::entry(&ingredients, KEEP, |entry| {
        debian::make_disk(&root, &test_init, &entry.join("root.img"))
    })?;

    let boot = root.join("boot");
    let xen = boot.join(only_file(&boot, "xen-", "-arm64")?);
    let vmlinuz = boot.join(format!("vmlinuz-{release}"));
    Ok(Debian {
        xen_packed: xen.clone(),
        xen,
        vmlinux: vmlinuz.clone(),
        vmlinuz,
        disk: disk.join("root.img"),
        release,
        root,
        identity,
    })
}

/// The packages of the root tree beyond the essential ones.
fn packages(suite: Suite) -> Vec<&'static str> {
    let hypervisor = match suite {
        Suite::Bookworm => "xen-hypervisor-4.17-arm64",
        _ => "xen-hypervisor-4.20-arm64",
    };
    let mut packages = vec![
        hypervisor,
        "linux-image-arm64",
        "initramfs-tools",
        "dracut-core",
        "systemd",
        "udev",
        "kmod",
        "busybox",
        "pciutils",
    ];
    if suite == Suite::Sid {
        // There `switch_root`, which the generators want, is in no essential package.
        packages.push("util-linux-extra");
    }
    packages
}

/// What apt knows of these packages, their versions among it.
fn versions(suite: Suite, sources: &str, packages: &[&str]) -> Result<String> {
    let mut command = Command::new("apt-cache");
    command
        .args(debian::lists_of(NAME, suite, sources)?)
        .args(["show", "--no-all-versions"])
        .args(packages);
    tool::run(command).with_context(|| {
        let suite = suite.name();
        NotToBeHad(format!("not all packages are in {suite} for 64-bit ARM"))
    })
}

/// Fills the folder `root` of the entry.
fn install(suite: Suite, sources: &str, packages: &[&str], entry: &Path) -> Result<()> {
    let list = entry.join("sources.list");
    fs::write(&list, sources)?;
    let mut command = tool::as_root("env");
    command
        .args(["INITRD=No", "mmdebstrap"])
        .args(suite.options())
        // It would look for a program of another package to find out what `register` has seen to.
        .args(["--architectures=arm64", "--skip=check/qemu"])
        .arg(format!("--include={}", packages.join(",")))
        .arg(suite.name())
        .args([&entry.join("root"), &list]);
    tool::run(command).map(drop)
}
