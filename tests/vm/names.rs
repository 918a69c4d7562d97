//! A guest's configuration asks for a device by its name, and has that device also after the bus
//! numbers have changed. `guest/names` is the script for dom0, `guest/guest-shows` the one for the
//! guest.

use anyhow::{Context, Result};

use crate::FILE;
use crate::lab::debian::Suite;
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image, Initramfs};
use crate::lab::machine::Machine;
use crate::lab::product::Product;

/// The card that the guest is to have, behind the second root port; and others, of another model.
const CONFIGURATION: &str = "gpu = 1033:0194@0000:00:07.0/00.0\n8086:10d3\n";

/// The card, as a guest shows it, and the others.
const CARD: &str = "guest: function 0000:00:00.0 0x1033 0x0194";
const OTHER: &str = "guest: function 0000:00:00.0 0x8086 0x10d3";

/// Where the card is while no card is in front of it.
const FIRST_ADDRESS: &str = "0000:01:00.0";

/// Where it is behind one more card.
const SECOND_ADDRESS: &str = "0000:02:00.0";

/// The card and another one, each behind a root port.
const DEVICES: [&str; 5] = [
    "intel-iommu",
    "pcie-root-port,id=port1,addr=7,chassis=1",
    "pcie-root-port,id=port2,addr=8,chassis=2",
    "nec-usb-xhci,bus=port1",
    "e1000e,bus=port2,romfile=",
];

/// One more card, in a lower slot: the buses behind it get other numbers.
const IN_FRONT: [&str; 2] = [
    "pcie-root-port,id=port0,addr=6,chassis=3",
    "e1000e,bus=port0,romfile=",
];

/// The names that Xen has, by address.
type Given = &'static [(&'static str, &'static str)];

/// Names by hand are moved or left, as the configuration says; what pciseize gave is taken back.
/// After each step the names that Xen has.
const STEPS: [(&str, &str, Given); 6] = [
    (
        "xl pci-assignable-add -n gpu 0000:02:00.0",
        "already assigned to pciback",
        &[("0000:02:00.0", "gpu")],
    ),
    (
        "pciseize name-guests",
        "0000:02:00.0  no longer named gpu: another device is to have that name\n\
         0000:01:00.0  named gpu\nstatus 0",
        &[("0000:01:00.0", "gpu")],
    ),
    (
        "xl pci-assignable-add -n lan 0000:02:00.0; pciseize name-guests",
        "0000:01:00.0  named gpu before\nstatus 0",
        &[("0000:01:00.0", "gpu"), ("0000:02:00.0", "lan")],
    ),
    (
        "sed -i s/gpu/vga/ /etc/xen/pciback.conf; pciseize name-guests",
        "0000:01:00.0  no longer named gpu: nobody asks for that name\n\
         0000:01:00.0  named vga\nstatus 0",
        &[("0000:01:00.0", "vga"), ("0000:02:00.0", "lan")],
    ),
    (
        "sed -i 's/vga = //' /etc/xen/pciback.conf; pciseize name-guests",
        "0000:01:00.0  no longer named vga: nobody asks for that name\nstatus 0",
        &[("0000:02:00.0", "lan")],
    ),
    (
        "sed -i 's/^1033/gpu = &/' /etc/xen/pciback.conf; pciseize name-guests",
        "0000:01:00.0  named gpu\nstatus 0",
        &[("0000:01:00.0", "gpu"), ("0000:02:00.0", "lan")],
    ),
];

/// A guest that asks for its device this way.
fn guest(name: &str, device: &str) -> String {
    format!(
        "name = '{name}'\ntype = 'pv'\nkernel = '/lab/vmlinux'\nramdisk = '/lab/ramdisk.img'\n\
         extra = 'console=hvc0'\nmemory = 256\npci = ['{device}']\n"
    )
}

fn image(suite: Suite) -> Result<Initramfs> {
    Image::with(Generator::InitramfsTools, &Product::install()?)
        .on(suite)
        .file(FILE, CONFIGURATION)
        .build()
}

/// A machine that takes these steps, and has a guest by name.
fn machine<'a>(image: &'a Initramfs, devices: &[&str], steps: &[&str]) -> Result<Machine<'a>> {
    let steps: String = steps.iter().map(|step| format!("{step}\n")).collect();
    Ok(Machine::dom0(image)
        .devices(devices.iter().map(|&device| device.to_owned()).collect())
        .installed(&Product::install()?)
        .file(FILE, CONFIGURATION)
        .file("lab/steps", &steps)
        .file("lab/guests/named", &guest("named", "name=gpu"))
        .file("lab/names", include_str!("guest/names"))
        .file("lab/guest-shows", include_str!("guest/guest-shows"))
        .program("lab/vmlinux", &image.debian.vmlinux)
        .script("exec sh /lab/names"))
}

/// With one more card in front.
fn with_one_more() -> Vec<&'static str> {
    let [iommu, rest @ ..] = DEVICES;
    [iommu].into_iter().chain(IN_FRONT).chain(rest).collect()
}

fn file<'s>(seen: &'s Evidence, name: &str) -> Result<&'s str> {
    seen.file(name).with_context(|| {
        format!(
            "the script wrote no {name}: {:?}",
            seen.file("script.output")
        )
    })
}

/// The functions that a guest has shown.
fn shown(seen: &Evidence, guest: &str) -> Result<Vec<String>> {
    let log = seen.file(&format!("guest-{guest}.log"));
    let log =
        log.with_context(|| format!("no {guest}: {:?}", seen.file(&format!("{guest}.output"))))?;
    let functions = log.lines().filter(|line| line.starts_with("guest: "));
    Ok(functions.map(|line| line.trim().to_owned()).collect())
}

/// The names that Xen has after a step.
fn names(seen: &Evidence, step: usize) -> Result<Vec<(String, String)>> {
    let listed = file(seen, &format!("{step}.names"))?;
    let fields = listed.lines().map(|line| line.split_whitespace());
    let mut named: Vec<(String, String)> = fields
        .filter_map(|mut fields| Some((fields.next()?.to_owned(), fields.next()?.to_owned())))
        .collect();
    named.sort();
    Ok(named)
}

/// The names in Xen follow the configuration, beside names that `xl` gave, and a guest has the card
/// of the name.
#[test]
fn a_guest_has_the_device_of_its_name() -> Result<()> {
    let image = image(Suite::Bookworm)?;
    let seen = machine(&image, &DEVICES, &STEPS.map(|(command, ..)| command))?.boot("names")?;
    for (at, (command, says, expected)) in STEPS.into_iter().enumerate() {
        let said = file(&seen, &format!("{}.output", at + 1))?;
        assert!(said.contains(says), "{command}:\n{said}");
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(address, name)| ((*address).to_owned(), (*name).to_owned()))
            .collect();
        assert_eq!(names(&seen, at + 1)?, expected, "{command}");
    }
    assert_eq!(seen.function(FIRST_ADDRESS).ids, "1033:0194");
    assert_eq!(shown(&seen, "named")?, [CARD]);
    Ok(())
}

/// The same files with one more card: the guest still has its card by the name. A guest that asks
/// for the address that the card had gets another one: without that, the name would prove nothing.
#[test]
fn one_more_card_does_not_change_the_device_of_a_name() -> Result<()> {
    for suite in [Suite::Bookworm, Suite::Trixie] {
        let image = image(suite)?;
        let name = format!("names-one-more-{}", suite.name());
        let seen = machine(&image, &with_one_more(), &["pciseize name-guests"])?
            .file("lab/guests/addressed", &guest("addressed", FIRST_ADDRESS))
            .boot(&name)?;
        let said = file(&seen, "1.output")?;
        assert_eq!(
            said,
            format!("{SECOND_ADDRESS}  named gpu\nstatus 0\n"),
            "{name}"
        );
        assert_eq!(shown(&seen, "named")?, [CARD], "{name}");
        assert_eq!(shown(&seen, "addressed")?, [OTHER], "{name}");
    }
    Ok(())
}
