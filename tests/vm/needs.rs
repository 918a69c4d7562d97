//! Devices that dom0 itself needs: the running host detects them, and an image made for the host
//! keeps them, whatever the configuration asks for.

use anyhow::{Context, Result};

use crate::FILE;
use crate::lab::board::{NETWORK, NVME, ROOT_DISK, USB};
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::many;
use crate::lab::product::Product;
use crate::{assert_claimed, assert_one_seized};

/// The file in the image that names the controllers from which its host boots.
pub const BOOT: &str = "/etc/xen/pciback.boot";

/// The file in the image with the names of the host's devices.
const NAMES: &str = "/usr/share/misc/pci.ids";

/// The images are made on another machine than the one that boots them. So a hook that runs after
/// that of pciseize, by its name, writes the files as the host's own hook would have written them.
pub fn hook(files: &[(&str, &str)]) -> String {
    let file = |(path, text): &(&str, &str)| {
        let path = format!("\"$DESTDIR{path}\"");
        format!("mkdir -p \"$(dirname {path})\"\ncat >{path} <<'END'\n{text}END\n")
    };
    let files: String = files.iter().map(file).collect();
    format!("#!/bin/sh\n[ \"$1\" = prereqs ] && exit 0\n{files}")
}

/// The host names the controllers it boots from. With that list, an image gives pciback every
/// requested device but those. With force it gives those too: the boot then fails, which shows what
/// the list prevented.
#[test]
fn what_a_host_boots_from_stays_with_dom0() -> Result<()> {
    let product = Product::install()?;
    let (disk, ahci) = ROOT_DISK;
    let listed = format!("{}\n{disk}\n", NETWORK.listed);

    let image = Image::with(Generator::InitramfsTools, &product)
        .file(FILE, &format!("{}\n", NETWORK.listed))
        .build()?;
    let script = format!(
        r#"
        pciseize list --boot >boot
        pciseize list >list
        pciseize list --names >names
        echo {disk} >>{FILE}
        pciseize plan >plan
        pciseize seize >seize 2>&1
        echo $? >seize.status
        modprobe xen-privcmd
        pciseize plan >plan.again 2>&1
        pciseize status >status 2>&1
        "#
    );
    let seen = Machine::dom0(&image)
        .installed(&product)
        .file(FILE, &format!("{}\n", NETWORK.listed))
        .script(&script)
        .xen_cmdline("xen-pciback.hide=(00:05.0)")
        .boot("needs-host")?;
    let file = |name: &str| {
        seen.file(name)
            .with_context(|| format!("the script wrote no {name}"))
    };
    assert_eq!(file("boot")?, format!("8086:2922@{disk} # holds /\n"));
    let list = file("list")?;
    let line = |address: &str| {
        list.lines()
            .find(|line| line.contains(&format!("# {address} ")))
            .unwrap_or_else(|| panic!("{address} is not listed:\n{list}"))
    };
    for (address, words) in [
        (disk, ["ahci", "82801IR/IO/IH", "; holds /"]),
        (
            NETWORK.listed,
            [
                "pciback",
                "82574L Gigabit Network Connection",
                "; with pciback",
            ],
        ),
        (
            NETWORK.twin,
            ["e1000e", "82574L Gigabit Network Connection", "8086:10d3"],
        ),
        (USB.twin, ["xhci", "uPD720200", "xhci_hcd"]),
        (
            "0000:00:06.0",
            ["pcieport", "QEMU PCIe Root port", "; bridge"],
        ),
    ] {
        assert!(
            words.iter().all(|word| line(address).contains(word)),
            "{}",
            line(address)
        );
    }
    assert!(
        !line(NETWORK.twin).contains("with pciback"),
        "{}",
        line(NETWORK.twin)
    );
    assert!(file("plan")?.contains("it holds /"), "{}", file("plan")?);
    let plan = file("plan.again")?;
    assert!(plan.contains("CAUTION: Xen uses no IOMMU"), "{plan}");
    assert!(
        seen.console()
            .iter()
            .any(|line| line.text.contains("I/O virtualisation disabled")),
        "Xen has an IOMMU"
    );
    // The running host lives on that disk, and reads this file from it.
    assert_eq!(file("seize.status")?, "1\n");
    assert!(
        file("seize")?.contains("refused") && file("seize")?.contains("it holds /"),
        "{}",
        file("seize")?
    );
    assert!(
        file("status")?.contains("made with another configuration"),
        "{}",
        file("status")?
    );
    assert!(
        file("status")?
            .contains("on Xen's command line, where it does nothing: xen-pciback.hide=(00:05.0)"),
        "{}",
        file("status")?
    );
    assert_claimed(&seen, disk, ahci);

    let image = Image::with(Generator::InitramfsTools, &product)
        .file(FILE, &listed)
        .file(
            "/usr/share/initramfs-tools/hooks/pciseize-of-the-host",
            &hook(&[(BOOT, file("boot")?), (NAMES, file("names")?)]),
        )
        .build()?;
    assert!(image.has("pciback.boot") && image.has("pci.ids"));
    let seen = Machine::dom0(&image).boot("needs-boot")?;
    assert_claimed(&seen, disk, ahci);
    assert_one_seized(&seen, &NETWORK)?;
    assert_eq!(seen.reported(disk)?["outcome"], "refused");
    let name = "Intel Corporation 82574L Gigabit Network Connection";
    let seized = format!("{} seized ({name}), driver none before", NETWORK.listed);
    assert!(
        seen.logged(&[&seized]) && seen.logged(&[disk, "refused (Intel", "pciseize.force"]),
        "{}",
        seen.pciseize_log()
    );

    // The control: the same with force.
    let console = Machine::dom0(&image)
        .cmdline("pciseize.force")
        .boot_to_any_end("needs-forced")?;
    assert!(
        console.shows(&format!("pciseize: {disk} seized")),
        "{}",
        console.last_words("ended")
    );
    assert!(
        console.shows("Gave up waiting for root"),
        "{}",
        console.last_words("ended")
    );
    Ok(())
}

/// The disk that the image names has another slot when the image boots: it stays with dom0 by its
/// identity, and everything else that is asked for is seized. The same request without the list
/// takes it, as `what_a_host_boots_from_stays_with_dom0` shows with force.
#[test]
fn a_disk_that_moved_to_another_slot_stays_with_dom0() -> Result<()> {
    let (disk, ahci) = ROOT_DISK;
    let moved = "0000:00:12.0";
    let image = Image::with(Generator::InitramfsTools, &Product::install()?)
        .file(FILE, &format!("{}\n{moved}\n", NETWORK.listed))
        .file(
            "/usr/share/initramfs-tools/hooks/pciseize-of-the-host",
            &hook(&[(BOOT, &format!("8086:2922@{disk} # holds /\n"))]),
        )
        .build()?;
    let seen = Machine::dom0(&image).disks_at("0x12").boot("needs-moved")?;
    assert_claimed(&seen, moved, ahci);
    assert_one_seized(&seen, &NETWORK)?;
    assert_eq!(seen.reported(moved)?["outcome"], "refused");
    assert!(
        seen.logged(&[&format!("8086:2922@{disk}"), "not there"]),
        "{}",
        seen.pciseize_log()
    );
    assert!(
        seen.logged(&[moved, "refused", "pciseize.force"]),
        "{}",
        seen.pciseize_log()
    );
    Ok(())
}

/// The disk that the image names is nowhere: nobody knows from which disk the host boots, so all
/// storage stays with dom0, and everything else that is asked for is seized.
#[test]
fn storage_stays_with_dom0_while_the_disk_of_the_image_is_gone() -> Result<()> {
    let (disk, ahci) = ROOT_DISK;
    let image = Image::with(Generator::InitramfsTools, &Product::install()?)
        .file(FILE, &format!("{}\nclass:storage\n", NETWORK.listed))
        .file(
            "/usr/share/initramfs-tools/hooks/pciseize-of-the-host",
            &hook(&[(BOOT, "144d:a808@0000:00:12.0 # holds /\n")]),
        )
        .build()?;
    let seen = Machine::dom0(&image).boot("needs-gone")?;
    assert_claimed(&seen, disk, ahci);
    assert_claimed(&seen, NVME.listed, NVME.driver);
    assert_one_seized(&seen, &NETWORK)?;
    assert!(
        seen.logged(&[disk, "left alone", "pciseize.force"]),
        "{}",
        seen.pciseize_log()
    );
    Ok(())
}

/// `/boot` is on a disk of another host, over NVMe/TCP: the card that leads there stays with dom0,
/// and an image would keep it. With force it goes, and the disk is lost, which shows what dom0
/// needed the card for. The script is `guest/remote-disk`.
#[test]
fn the_card_that_leads_to_boot_stays_with_dom0() -> Result<()> {
    let product = Product::install()?;
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let (card, other) = (NETWORK.listed, NETWORK.twin);
    let seen = Machine::dom0(&image)
        .installed(&product)
        .with_cable()
        .file(FILE, &format!("{card}\n"))
        .file("lab/remote-disk", include_str!("guest/remote-disk"))
        .script(&format!("exec bash /lab/remote-disk {card} {other}"))
        .boot("needs-remote")?;
    let output = seen.file("script.output").unwrap_or_default();
    assert_eq!(seen.file("script.status"), Some("0\n"), "{output}");
    let file = |name: &str| {
        seen.file(name)
            .with_context(|| format!("the script wrote no {name}"))
    };
    let boot = file("boot")?;
    assert!(
        boot.contains(&format!("8086:10d3@{card} # holds /boot\n")) && !boot.contains(other),
        "{boot}"
    );
    assert_eq!(file("boot.status")?, "0\n");
    let plan = file("plan")?;
    assert!(plan.contains("it holds /boot"), "{plan}");
    let refused = file("seize")?;
    assert!(
        refused.contains("refused") && refused.contains("it holds /boot"),
        "{refused}"
    );
    assert_eq!(file("seize.status")?, "1\n");
    assert_eq!(file("state")?, "live\n");
    // The control: the same with force.
    let forced = file("forced")?;
    assert!(forced.contains(&format!("{card} seized")), "{forced}");
    assert_ne!(file("forced.state")?, "live\n");
    Ok(())
}

/// Three cards of one model, one of them carries the only route: a class takes the other two, and
/// dom0 still reaches the gateway. By its address (the control) the card goes, and the way out with
/// it; the plan had said so. The script is `guest/way-out`.
#[test]
fn a_class_leaves_the_card_of_the_only_route() -> Result<()> {
    let product = Product::install()?;
    let (card, other, driver) = (NETWORK.listed, NETWORK.twin, NETWORK.driver);
    let by_address = format!("pciseize.hide={card}");
    let way_out = format!("bash /lab/way-out {card}");
    let script = format!(
        r#"
        {way_out}
        pciseize list --boot >boot
        pciseize plan >plan
        pciseize plan --cmdline {by_address} >plan.address
        pciseize seize >seize 2>&1
        "#
    );
    let machine = |image| {
        Machine::dom0(image)
            .with_network()
            .file("lab/way-out", include_str!("guest/way-out"))
    };
    let stock = Image::stock(Generator::InitramfsTools).build()?;
    let seen = machine(&stock)
        .installed(&product)
        .file(FILE, "class:network\n")
        .script(&script)
        .boot("needs-route")?;
    let file = |name: &str| {
        seen.file(name)
            .with_context(|| format!("the script wrote no {name}"))
    };
    assert_eq!(file("way-out")?, "yes\n");
    let boot = file("boot")?;
    assert!(
        boot.contains(&format!("route = 8086:10d3@{card} # ")) && !boot.contains(other),
        "{boot}"
    );
    let plan = file("plan")?;
    assert!(
        plan.contains(&format!("#{card} # leave ")) && plan.contains(&format!("{other}  # seize ")),
        "{plan}"
    );
    let plan = file("plan.address")?;
    assert!(
        plan.contains(&format!("{card}  # seize ")) && plan.contains("CAUTION: it carries"),
        "{plan}"
    );
    // On the running host too.
    assert_claimed(&seen, card, driver);
    assert_eq!(seen.driver(other), Some("pciback"));

    let image = Image::with(Generator::InitramfsTools, &product)
        .file(FILE, "class:network\n")
        .file(
            "/usr/share/initramfs-tools/hooks/pciseize-of-the-host",
            &hook(&[(BOOT, boot)]),
        )
        .build()?;
    for (cmdline, outcome, way) in [("", "refused", "yes\n"), (&by_address, "seized", "no\n")] {
        let seen = machine(&image)
            .cmdline(cmdline)
            .script(&way_out)
            .boot(&format!("needs-route-{outcome}"))?;
        assert_eq!(seen.reported(card)?["outcome"], outcome);
        assert_eq!(seen.reported(other)?["outcome"], "seized");
        assert_eq!(seen.file("way-out"), Some(way), "{outcome}");
    }
    Ok(())
}

/// If the configuration asks for a device that the host needs, the hook says so when the image is
/// made for this host, and lists the problems of the configuration. (No boot: the host is made of
/// files.)
#[test]
fn what_would_be_missed_is_told_when_the_image_is_made() -> Result<()> {
    let display = "0000:00:02.0";
    let folder = format!("/lab/devices/{display}");
    // A generic dracut image says nothing of this host's display, and knows nothing of its disks.
    for (generator, is_for_this_host) in [
        (Generator::InitramfsTools, true),
        (Generator::DracutForThisHost, true),
        (Generator::Dracut, false),
    ] {
        let image = Image::with(generator, &Product::install()?)
            .file(FILE, &format!("{display}\nnonsense\n"))
            .file(
                &format!("{folder}/modalias"),
                "pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00\n",
            )
            .file(&format!("{folder}/boot_vga"), "1\n")
            .build()?;
        let tells = |words: &str| {
            image
                .build_log
                .lines()
                .any(|line| line.contains("pciseize: ") && line.contains(words))
        };
        assert!(tells("nonsense"), "{}", image.build_log);
        assert_eq!(
            tells("it is the boot display"),
            is_for_this_host,
            "{}",
            image.build_log
        );
        assert_eq!(
            image.has("pciback.boot"),
            is_for_this_host,
            "{}",
            image.build_log
        );
    }
    Ok(())
}

/// `list` shows thousands of functions with their names. (The machine is made of files; the names
/// are Debian's own.) `make bench` measures the time, and `tests/growth.rs` counts the cost.
#[test]
fn a_list_of_4096_functions_has_all_their_names() -> Result<()> {
    let product = Product::install()?;
    let text = format!("{}\n", NVME.listed);
    let image = Image::with(Generator::InitramfsTools, &product)
        .file(FILE, &text)
        .build()?;
    let script = format!("{}{}", many::NAMES, many::LIST);
    let machine = Machine::dom0(&image).installed(&product).script(&script);
    let seen = many::files()
        .fold(machine, |machine, (path, text)| machine.file(&path, &text))
        .boot("needs-many")?;
    let lines: Vec<&str> = seen.file("many").context("no list")?.lines().collect();
    assert_eq!(lines.len(), many::FUNCTIONS);
    let models = many::MODELS.iter().cycle();
    let has_names = lines
        .iter()
        .zip(models)
        .all(|(line, model)| line.contains(model.name));
    assert!(has_names, "{:?}", &lines[..many::MODELS.len()]);
    Ok(())
}
