//! Root file systems of Debian 12 that stand on more than a disk: laid out by Debian's own
//! programs, in a machine without Xen.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::board::{AHCI_FOR_ROOT, NVME_FOR_ROOT};
use super::cache::{self, Ingredients};
use super::image::{Generator, Image};
use super::machine::Machine;
use super::progress;

/// What Debian needs for all of them, in the initramfs and on the root.
pub const PACKAGES: [&str; 4] = ["btrfs-progs", "cryptsetup-initramfs", "lvm2", "mdadm"];

/// What is between the root file system and the disks.
#[derive(Clone, Copy)]
pub enum Layout {
    /// Btrfs whose files are spread over two disks.
    Btrfs,
    /// A logical volume on a RAID of two disks.
    LvmOnRaid1,
    /// One encrypted disk.
    Luks,
}

/// The disk with LUKS, which the images name.
pub const LUKS_UUID: &str = "0b5e1a5c-3b3c-4a9e-8f3f-6d1c5a7e9b21";

/// Each is as large as the other.
const DISK_SIZE: u64 = 2 << 30;

const SCRIPT: &str = include_str!("../guest/lay-root");

impl Layout {
    pub fn name(self) -> &'static str {
        match self {
            Self::Btrfs => "btrfs",
            Self::LvmOnRaid1 => "lvm-on-raid1",
            Self::Luks => "luks",
        }
    }

    /// What the kernel's argument `root=` calls it.
    fn root(self) -> &'static str {
        match self {
            Self::Btrfs => "LABEL=root",
            Self::LvmOnRaid1 => "/dev/mapper/lab-root",
            Self::Luks => "/dev/mapper/crypt",
        }
    }

    /// What the kernel's command line says of it to dracut, whose image is for any machine.
    fn arguments(self) -> String {
        match self {
            Self::Btrfs => String::new(),
            Self::LvmOnRaid1 => "rd.auto".to_owned(),
            Self::Luks => format!("rd.luks.name={LUKS_UUID}=crypt"),
        }
    }

    /// The file that says the same to the hooks of initramfs-tools.
    pub fn crypttab(self) -> Option<String> {
        match self {
            Self::Btrfs | Self::LvmOnRaid1 => None,
            Self::Luks => Some(format!("crypt UUID={LUKS_UUID} none luks,initramfs\n")),
        }
    }

    /// The serial numbers of its disks, and QEMU's devices for them: one on a controller of SATA,
    /// one on NVMe.
    fn disks(self) -> &'static [(&'static str, &'static [&'static str])] {
        let all: &[(&str, &[&str])] = &[("one", &AHCI_FOR_ROOT), ("two", &NVME_FOR_ROOT)];
        match self {
            Self::Btrfs | Self::LvmOnRaid1 => all,
            Self::Luks => &all[..1],
        }
    }

    /// Boots the machine from it.
    pub fn under<'a>(self, machine: Machine<'a>) -> Result<Machine<'a>> {
        let folder = self.folder()?;
        let mut machine = machine.root(self.root()).cmdline(&self.arguments());
        for (serial, devices) in self.disks() {
            machine = machine.drive(&format!("{},snapshot=on", drive(&folder, serial)));
            for device in *devices {
                machine = machine.device(device);
            }
        }
        Ok(machine)
    }

    /// The folder with its disks, from the cache or made now.
    fn folder(self) -> Result<PathBuf> {
        let image = Image::stock(Generator::InitramfsTools)
            .with_packages(&PACKAGES)
            .build()?;
        let ingredients = Ingredients::of("layout")
            .with("debian", &image.debian.identity)
            .with("layout", self.name())
            .with("uuid", LUKS_UUID)
            .with("script", SCRIPT);
        cache::entry(&ingredients, 6, |entry| {
            let title = format!("laying out {}", self.name());
            progress::step(&title, || {
                let mut machine = Machine::bare(&image).devices(Vec::new());
                for (serial, addr) in [("one", 4), ("two", 5)] {
                    File::create(entry.join(serial))?.set_len(DISK_SIZE)?;
                    machine = machine
                        .drive(&format!("{},cache=unsafe", drive(entry, serial)))
                        .device(&format!("nvme,addr={addr},serial={serial},drive={serial}"));
                }
                let name = format!("layout-{}", self.name());
                let seen = machine
                    .work(2)
                    .file("lab/lay-root", SCRIPT)
                    .script(&format!(
                        "exec sh /lab/lay-root {} {LUKS_UUID}",
                        self.name()
                    ))
                    .boot(&name)?;
                let said = seen
                    .file("script.output")
                    .context("the script did not run")?;
                ensure!(seen.file("script.status") == Some("0\n"), "{said}");
                Ok(fs::write(entry.join("said"), said)?)
            })
        })
    }
}

fn drive(folder: &Path, serial: &str) -> String {
    let file = folder.join(serial);
    format!("if=none,format=raw,id={serial},file={}", file.display())
}
