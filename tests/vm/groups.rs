//! Groups: the kernel shows them without Xen, and pciseize infers them under Xen. The same machine
//! is booted both ways, and has every kind of bridge that QEMU has. Both boots together take
//! some 35 seconds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};

use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image, Initramfs};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::lab::schema::{self, Kind};
use crate::rdinit::INIT;

/// QEMU's arguments for the devices. Buses are numbered in the order of their bridges.
const DEVICES: [&str; 38] = [
    // Root ports in one slot, with ACS and without.
    "pcie-root-port,id=a0,addr=2.0,chassis=1,multifunction=on",
    "pcie-root-port,id=a1,addr=2.1,chassis=2",
    "virtio-rng-pci,bus=a0",
    "virtio-rng-pci,bus=a1",
    "pcie-root-port,id=b0,addr=3.0,chassis=3,multifunction=on,disable-acs=on",
    "pcie-root-port,id=b1,addr=3.1,chassis=4,disable-acs=on",
    "virtio-rng-pci,bus=b0",
    "virtio-rng-pci,bus=b1",
    // A card of two functions, which have no ACS; and a root port of Intel, which has none either.
    "pcie-root-port,id=c,addr=4,chassis=5",
    "virtio-rng-pci,bus=c,addr=0.0,multifunction=on",
    "virtio-rng-pci,bus=c,addr=0.1",
    "ioh3420,id=d,addr=5,chassis=6",
    "virtio-rng-pci,bus=d",
    // A switch.
    "pcie-root-port,id=e,addr=6,chassis=7",
    "x3130-upstream,id=up,bus=e",
    "xio3130-downstream,id=down0,bus=up,addr=0,chassis=8",
    "xio3130-downstream,id=down1,bus=up,addr=1,chassis=9",
    "virtio-rng-pci,bus=down0",
    "virtio-rng-pci,bus=down1",
    // Conventional PCI behind a bridge from PCI Express, and behind one more.
    "pcie-root-port,id=f,addr=7,chassis=10",
    "pcie-pci-bridge,id=pci,bus=f",
    "pci-testdev,bus=pci,addr=1",
    "edu,bus=pci,addr=2",
    "pci-bridge,id=inner,bus=pci,addr=3,chassis_nr=11",
    "edu,bus=inner,addr=1",
    // The same at a bridge of the root.
    "i82801b11-bridge,id=dmi,addr=8",
    "edu,bus=dmi,addr=1",
    "pci-testdev,bus=dmi,addr=2",
    // Endpoints of the root, two in one slot and one alone.
    "nvme,addr=9.0,serial=first,multifunction=on",
    "nvme,addr=9.1,serial=second",
    "nvme,addr=0xa,serial=alone",
    // Virtual functions.
    "nvme-subsys,id=subsystem",
    "pcie-root-port,id=v,addr=0xb,chassis=12",
    "nvme,bus=v,serial=virtual,subsys=subsystem,\
     sriov_max_vfs=2,sriov_vq_flexible=4,sriov_vi_flexible=2",
    // A bridge at the root, and a controller of several functions.
    "pci-bridge,id=old,addr=0xc,chassis_nr=13",
    "edu,bus=old,addr=1",
    "ich9-usb-uhci1,addr=1d.0,multifunction=on",
    "ich9-usb-ehci1,addr=1d.7",
];

/// Makes the virtual functions, and tells the kernel's groups and those of pciseize.
const SCRIPT: &str = "
    for physical in /sys/bus/pci/devices/*/sriov_numvfs; do echo 2 >$physical; done
    ls -d /sys/kernel/iommu_groups/*/devices/* >kernel
    pciseize list --json >list";

/// The groups that pciseize makes larger, and why.
const STRICTER: [(&[&str], &str); 1] = [(
    &[
        "0000:08:00.0",
        "0000:08:01.0",
        "0000:09:00.0",
        "0000:0a:00.0",
    ],
    "the lower ports of this switch have no ACS, so each passes requests on to the other",
)];

/// Functions and their groups.
type Groups = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_group_is_smaller_than_the_kernels() -> Result<()> {
    let product = Product::install()?;
    let image = Image::with(Generator::Busybox, &product)
        .file("/lab/init", INIT)
        .build()?;
    let boot = |machine: fn(&Initramfs) -> Machine, name| {
        machine(&image)
            .installed(&product)
            .devices(DEVICES.map(str::to_owned).to_vec())
            .with_iommu()
            .cmdline("intel_iommu=on")
            .script(SCRIPT)
            .boot(name)
    };
    let bare = boot(|image| Machine::bare(image), "groups-bare")?;
    let kernel = kernel_groups(&bare)?;
    let inferred = inferred_groups(&boot(|image| Machine::dom0(image), "groups-xen")?)?;

    let mut stricter = BTreeSet::new();
    for (address, group) in &kernel {
        let own = inferred.get(address).context("not listed")?;
        ensure!(
            own.is_superset(group),
            "{address}: inferred {own:?}; the kernel's group is {group:?}"
        );
        if own != group {
            stricter.insert(own.clone());
        }
    }
    let table = STRICTER.map(|(group, why)| {
        println!("stricter: {group:?}: {why}");
        group.iter().map(|&address| address.to_owned()).collect()
    });
    assert_eq!(stricter, table.into(), "groups larger than the kernel's");
    // All that the machine has was compared, virtual functions too.
    assert!(inferred.keys().eq(kernel.keys()), "{inferred:?}");
    for virtual_function in ["0000:0f:00.1", "0000:0f:00.2"] {
        assert!(kernel.contains_key(virtual_function), "{kernel:?}");
    }
    // Without Xen the same is inferred.
    assert_eq!(inferred, inferred_groups(&bare)?);
    Ok(())
}

/// The groups of the kernel.
fn kernel_groups(seen: &Evidence) -> Result<Groups> {
    let mut groups: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in seen.file("kernel").context("no groups")?.lines() {
        let (group, address) = line.split_once("/devices/").context("no group")?;
        groups.entry(group).or_default().insert(address.to_owned());
    }
    ensure!(!groups.is_empty(), "the kernel has no groups");
    let members = groups.values();
    Ok(members
        .flat_map(|group| group.iter().map(|address| (address.clone(), group.clone())))
        .collect())
}

/// The groups that pciseize infers.
fn inferred_groups(seen: &Evidence) -> Result<Groups> {
    let list = seen.file("list").context("no list")?;
    let list = schema::read(Kind::List, list.as_bytes()).map_err(anyhow::Error::msg)?;
    let mut groups = Groups::new();
    for device in list.as_array().context("no array")? {
        let address = device["address"].as_str().context("no address")?;
        let group = device["group"]
            .as_array()
            .with_context(|| format!("{address}: not known"))?;
        let members = group
            .iter()
            .filter_map(|member| Some(member.as_str()?.to_owned()));
        groups.insert(address.to_owned(), members.collect());
    }
    Ok(groups)
}
