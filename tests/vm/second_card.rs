//! `make transcript`: asks for the second of two cards by `add`, hands it to a guest by a name,
//! puts one more card in front, and writes what was typed and what came out of that into
//! `docs/second-card.md`.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::first_boot::{SHOW, add};
use crate::lab::debian::Suite;
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;

/// What `add` writes.
const ADDED: &str = "/etc/xen/pciback.conf.d/50-added.conf";

/// Two cards of one model, each behind a root port. The guest is to have the second.
const DEVICES: [&str; 5] = [
    "intel-iommu",
    "pcie-root-port,id=port1,addr=7,chassis=1",
    "pcie-root-port,id=port2,addr=8,chassis=2",
    "e1000e,bus=port1,romfile=,mac=52:54:00:00:00:01",
    "e1000e,bus=port2,romfile=,mac=52:54:00:00:00:02",
];

/// One more card in a lower slot: the buses behind it get other numbers.
const IN_FRONT: [&str; 2] = [
    "pcie-root-port,id=port0,addr=6,chassis=3",
    "e1000e,bus=port0,romfile=,mac=52:54:00:00:00:03",
];

/// How the guest tells that it has the second card.
const RIGHT: &str = "eth0 has the hardware address 52:54:00:00:00:02";

/// The guest, but for its device.
const GUEST: &str = "\
name = 'guest'
type = 'pv'
kernel = '/lab/vmlinux'
ramdisk = '/lab/ramdisk.img'
extra = 'console=hvc0'
memory = 256
";

const INTRODUCTION: &str = "\
# The second of two cards

A host has two network cards of one model. A guest is to have the second, and to have it still when
one more card is put in and the bus numbers change. `make transcript` records this page: nothing in
it was typed by hand. Lines of more than 80 columns are folded.

The host is Debian 12 with Xen 4.17 in QEMU, without hardware virtualisation. Its images are made by
initramfs-tools between the boots, as `add` says. The guest is a small one that prints its PCI
functions and the hardware address of its card.
";

#[test]
#[ignore = "writes docs/second-card.md: make transcript"]
fn transcript() -> Result<()> {
    let mut page = INTRODUCTION.to_owned();

    let before = boot(
        None,
        "",
        &DEVICES,
        "second-card-before",
        "
        show 'pciseize list | grep ethernet'
        show 'cat /sys/bus/pci/devices/0000:02:00.0/net/*/address'
        show 'pciseize show 02:00.0'
        show 'pciseize add --name lan 02:00.0'
        show 'pciseize plan'
        cp /etc/xen/pciback.conf.d/50-added.conf added",
    )?;
    let said = said(&before)?;
    ensure!(said.contains("1 to seize"), "{said}");
    add(
        &mut page,
        "Look for the cards, and at the second; ask for that, with a name for guests:",
        said,
    );
    let added = before.file("added");
    ensure!(added.is_some(), "nothing was added: {said}");

    let with_card = boot(
        added,
        GUEST,
        &DEVICES,
        "second-card-guest",
        "
        start_xen
        show 'pciseize status'
        show 'pciseize name-guests'
        show 'pciseize guest-config 02:00.0 | tee -a guest.cfg'
        show_guest
        cp guest.cfg guest",
    )?;
    let said = self::said(&with_card)?;
    ensure!(said.contains(RIGHT), "{said}");
    add(
        &mut page,
        "The image is made anew, and the host rebooted. `pciseize-names.service` runs\n\
         `name-guests` at each boot; here there is no systemd, so it is typed:",
        said,
    );
    let guest = with_card.file("guest").context("no configuration")?;
    ensure!(guest.contains("name=lan"), "{guest}");

    let [iommu, rest @ ..] = DEVICES;
    let devices: Vec<_> = [iommu].into_iter().chain(IN_FRONT).chain(rest).collect();
    let with_one_more = boot(
        added,
        guest,
        &devices,
        "second-card-one-more",
        "
        start_xen
        show 'pciseize list | grep ethernet'
        show 'pciseize status'
        show 'pciseize name-guests'
        show 'grep ^pci guest.cfg'
        show_guest",
    )?;
    let said = self::said(&with_one_more)?;
    ensure!(said.contains(RIGHT), "{said}");
    ensure!(with_one_more.driver("0000:03:00.0") == Some("pciback"));
    add(
        &mut page,
        "One more card is put in, in front of the two. Neither the image nor the guest's file is\n\
         touched:",
        said,
    );
    fs::write(
        concat!(env!("CARGO_MANIFEST_DIR"), "/docs/second-card.md"),
        page,
    )?;
    Ok(())
}

/// Boots a host with this drop-in, in its image too, and with this guest, and runs the script.
fn boot(
    added: Option<&str>,
    guest: &str,
    devices: &[&str],
    name: &str,
    script: &str,
) -> Result<Evidence> {
    let product = Product::install()?;
    let mut image = Image::with(Generator::InitramfsTools, &product).on(Suite::Bookworm);
    if let Some(added) = added {
        image = image.file(ADDED, added);
    }
    let image = image.build()?;
    let mut machine = Machine::dom0(&image)
        .devices(devices.iter().map(|&device| device.to_owned()).collect())
        .installed(&product);
    if let Some(added) = added {
        machine = machine.file(ADDED, added);
    }
    let functions = include_str!("guest/second-card");
    machine
        .file("lab/guest.cfg", guest)
        .file("lab/guest-card", include_str!("guest/guest-card"))
        .program("lab/vmlinux", &image.debian.vmlinux)
        .script(&format!("{SHOW}{functions}cp /lab/guest.cfg .\n{script}"))
        .boot(name)
}

/// What the script has shown.
fn said(seen: &Evidence) -> Result<&str> {
    seen.file("script.output").context("no output")
}
