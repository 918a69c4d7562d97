//! 64-bit ARM, with Debian's own Xen and kernels. That Xen passes no device on to a guest, so no
//! guest is started.

use std::{fs, process::Command};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{
    platform,
    suites::{SEEN, SEEN_OF_HELD, assert_held_and_told, assert_well},
};
use crate::{
    FILE, assert_claimed, assert_one_seized,
    lab::{
        arm::{self, ROOT_DISK},
        board::{self, PAIRS},
        debian::Suite,
        evidence::Evidence,
        image::{Architecture, Generator, Image, Initramfs},
        product::{Product, make},
        repository, tool,
    },
    rdinit, said_by_the_hook, tell_times,
};

/// Asks on the real root what became of the devices. With `rdinit=` the report is in `/dev`.
const ASK: &str = "
    pciseize status >status 2>&1; echo $? >status.exit
    [ -e /run/pciseize/report ] || cat /dev/pciseize.report >report";

/// The drivers that an image of initramfs-tools has, instead of nearly all that there are: in QEMU
/// that architecture's programs would be busy with those for half an hour. `init` loads these right
/// after its first scripts, of which pciseize's is one.
const DRIVERS: &str = "ahci\nsd_mod\next4\ne1000e\nxhci_pci\nnvme\n";

/// An image of busybox alone, whose first program is pciseize. Then the control: the same image
/// without that argument, in which dom0's drivers claim every device.
#[test]
#[ignore = "make check-reach"]
fn busybox() -> Result<()> {
    row("arm64-busybox", |key, product| {
        let image = image(Generator::Busybox, product)
            .file("/lab/init", rdinit::INIT)
            .build()?;
        seizes(key, &image, product, "rdinit=/usr/sbin/pciseize")?;

        let control = arm::dom0(&image).boot("arm64-control")?;
        for pair in PAIRS {
            for address in [pair.listed, pair.twin] {
                assert_claimed(&control, address, pair.driver);
            }
        }
        Ok(format!("{SEEN}, and without `rdinit=` all have them"))
    })
}

#[test]
#[ignore = "make check-reach"]
fn initramfs_tools() -> Result<()> {
    row("arm64-initramfs-tools", |key, product| {
        seizes(key, &generated(Suite::Bookworm, product)?, product, "")
    })
}

#[test]
#[ignore = "make check-reach"]
fn kernel_of_bookworm_on_the_xen_of_trixie() -> Result<()> {
    row("arm64-xen-4.20", |key, product| {
        let mut image = generated(Suite::Bookworm, product)?;
        image.debian.xen = arm::debian(Suite::Trixie)?.xen;
        seizes(key, &image, product, "")
    })
}

/// Debian 13 alone: devices stay held, see [`holds`].
#[test]
#[ignore = "make check-reach"]
fn linux_6_12_holds_the_devices() -> Result<()> {
    row("arm64-debian-13", |key, product| {
        holds(key, &generated(Suite::Trixie, product)?, product)
    })
}

#[test]
#[ignore = "make check-reach"]
fn linux_7_2_holds_the_devices() -> Result<()> {
    row("arm64-linux-7.2", |key, product| {
        holds(key, &generated(Suite::Sid, product)?, product)
    })
}

/// Each package is for that architecture, and has the program that the other rows boot. The control
/// is a program of this machine.
#[test]
#[ignore = "make check-reach"]
fn packages() -> Result<()> {
    const SHOW: [&str; 2] = [
        "cd target
         dpkg-deb --field pciseize_*_arm64.deb Architecture
         dpkg-deb --fsys-tarfile pciseize_*_arm64.deb | tar -xO ./usr/sbin/pciseize >$1",
        "cd target
         rpm -qp --queryformat '%{ARCH}\n' pciseize-*.aarch64.rpm
         rpm2cpio pciseize-*.aarch64.rpm | cpio --quiet -i --to-stdout '*/sbin/pciseize' >$1",
    ];
    row("arm64-packages", |_, product| {
        make(&["deb-aarch64".into(), "rpm-aarch64".into()])?;
        let program = fs::read(product.tree.join("usr/sbin/pciseize"))?;
        let this_machines = Product::install()?.tree.join("usr/sbin/pciseize");
        assert_ne!(program, fs::read(this_machines)?, "the control");
        let folder = TempDir::new()?;
        let unpacked = folder.path().join("pciseize");
        for (show, name) in SHOW.into_iter().zip(["arm64\n", "aarch64\n"]) {
            let mut command = Command::new("sh");
            command.args(["-euc", show, "sh"]).arg(&unpacked);
            command.current_dir(repository());
            assert_eq!(tool::run(command)?, name);
            assert!(program == fs::read(&unpacked)?, "{name}: another program");
        }
        Ok("both have the program that the other rows boot".into())
    })
}

/// A row for pciseize of this architecture, if its programs can be run here.
fn row(key: &'static str, story: impl FnOnce(&str, &Product) -> Result<String>) -> Result<()> {
    platform(key, || {
        arm::register()?;
        story(key, &Product::install_for_arm()?)
    })
}

/// An image of a generator that lists one device of each pair.
fn image(generator: Generator, product: &Product) -> Image {
    Image::with(generator, product)
        .for_machines_of(Architecture::Arm64)
        .file(FILE, &board::configuration())
}

/// Such an image by initramfs-tools of this suite, whose hook has nothing to say.
fn generated(suite: Suite, product: &Product) -> Result<Initramfs> {
    let image = image(Generator::InitramfsTools, product)
        .on(suite)
        .file("/etc/initramfs-tools/conf.d/drivers", "MODULES=list\n")
        .file("/etc/initramfs-tools/modules", DRIVERS)
        .build()?;
    let said = said_by_the_hook(&image);
    ensure!(said.is_empty(), "{}", image.build_log);
    Ok(image)
}

/// Boots the image, sees the listed devices seized and their twins not, and tells it.
fn seizes(key: &str, image: &Initramfs, product: &Product, argument: &str) -> Result<String> {
    let seen = boot(key, image, product, argument)?;
    for pair in &PAIRS {
        assert_one_seized(&seen, pair)?;
    }
    assert_claimed(&seen, ROOT_DISK.0, ROOT_DISK.1);
    assert_well(&seen);
    tell_times(&seen);
    Ok(SEEN.to_owned())
}

/// Boots an image whose kernel has Xen reset a device, which Xen on ARM cannot.
fn holds(key: &str, image: &Initramfs, product: &Product) -> Result<String> {
    let seen = boot(key, image, product, "")?;
    assert_held_and_told(&seen)?;
    assert_claimed(&seen, ROOT_DISK.0, ROOT_DISK.1);
    Ok(SEEN_OF_HELD.to_owned())
}

fn boot(key: &str, image: &Initramfs, product: &Product, argument: &str) -> Result<Evidence> {
    arm::dom0(image)
        .installed(product)
        .file(FILE, &board::configuration())
        .cmdline(argument)
        .script(ASK)
        .boot(key)
}
