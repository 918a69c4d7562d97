//! What dom0 needs for itself: a running host sees it, and the image that is made for it keeps it, whatever the configuration asks for.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::FILE;
use crate::lab::board::{NETWORK, NVME, ROOT_DISK, USB};
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::lab::progress;
use crate::{assert_claimed, assert_one_seized};

/// In the image: the controllers that its host boots from.
const BOOT: &str = "/etc/xen/pciback.boot";

/// The machine that makes the images here is another one. So a hook behind that of pciseize, by its name, writes what the host's own hook would have written.
fn hook(text: &str) -> String {
    format!("#!/bin/sh\n[ \"$1\" = prereqs ] && exit 0\ncat >\"$DESTDIR{BOOT}\" <<'END'\n{text}END\n")
}

/// The host tells what it boots from. An image that knows it gives everything to pciback that is asked for, but not that; and forced, it does, which shows what it has kept the host from.
#[test]
fn what_a_host_boots_from_stays_with_dom0() -> Result<()> {
    let product = Product::install()?;
    let (disk, ahci) = ROOT_DISK;
    let listed = format!("{}\n{disk}\n", NETWORK.listed);

    let image = Image::with(Generator::InitramfsTools, &product).file(FILE, &format!("{}\n", NETWORK.listed)).build()?;
    let script = format!(
        r#"
        pciseize list --boot >boot
        pciseize list >list
        echo {disk} >>{FILE}
        pciseize plan >plan
        pciseize seize >seize 2>&1
        echo $? >seize.status
        modprobe xen-privcmd
        pciseize status >status 2>&1
        "#
    );
    let seen = Machine::dom0(&image)
        .installed(&product)
        .file(FILE, &format!("{}\n", NETWORK.listed))
        .script(&script)
        .xen_cmdline("xen-pciback.hide=(00:05.0)")
        .boot("needs-host")?;
    let file = |name: &str| seen.file(name).with_context(|| format!("the script wrote no {name}"));
    assert_eq!(file("boot")?, format!("8086:2922@{disk} # holds /\n"));
    let list = file("list")?;
    let line = |address: &str| list.lines().find(|line| line.contains(&format!("# {address} "))).unwrap_or_else(|| panic!("{address} is not listed:\n{list}"));
    for (address, words) in [
        (disk, ["ahci", "82801IR/IO/IH", "; holds /"]),
        (NETWORK.listed, ["pciback", "82574L Gigabit Network Connection", "; with pciback"]),
        (NETWORK.twin, ["e1000e", "82574L Gigabit Network Connection", "8086:10d3"]),
        (USB.twin, ["xhci", "uPD720200", "xhci_hcd"]),
        ("0000:00:06.0", ["pcieport", "QEMU PCIe Root port", "; bridge"]),
    ] {
        assert!(words.iter().all(|word| line(address).contains(word)), "{}", line(address));
    }
    assert!(!line(NETWORK.twin).contains("with pciback"), "{}", line(NETWORK.twin));
    assert!(file("plan")?.contains("it holds /"), "{}", file("plan")?);
    // The running host lives on that disk: this is read from it.
    assert_eq!(file("seize.status")?, "1\n");
    assert!(file("seize")?.contains("refused") && file("seize")?.contains("it holds /"), "{}", file("seize")?);
    assert!(file("status")?.contains("made with another configuration"), "{}", file("status")?);
    assert!(file("status")?.contains("on Xen's command line, where it does nothing: xen-pciback.hide=(00:05.0)"), "{}", file("status")?);
    assert_claimed(&seen, disk, ahci);

    let image = Image::with(Generator::InitramfsTools, &product)
        .file(FILE, &listed)
        .file("/usr/share/initramfs-tools/hooks/pciseize-of-the-host", &hook(file("boot")?))
        .build()?;
    assert!(image.has("pciback.boot"));
    let seen = Machine::dom0(&image).boot("needs-boot")?;
    assert_claimed(&seen, disk, ahci);
    assert_one_seized(&seen, &NETWORK)?;
    assert_eq!(seen.reported(disk)?["outcome"], "refused");
    assert!(seen.logged(&[disk, "refused", "pciseize.force"]), "{}", seen.pciseize_log());

    // The control.
    let console = Machine::dom0(&image).cmdline("pciseize.force").boot_to_any_end("needs-forced")?;
    assert!(console.shows(&format!("pciseize: {disk}  seized")), "{}", console.last_words("ended"));
    assert!(console.shows("Gave up waiting for root"), "{}", console.last_words("ended"));
    Ok(())
}

/// What somebody will miss is told when the image is made for this host, beside what is wrong with the configuration. (No boot: the host is made of files.)
#[test]
fn what_would_be_missed_is_told_when_the_image_is_made() -> Result<()> {
    let display = "0000:00:02.0";
    let folder = format!("/lab/devices/{display}");
    // An image of dracut's that is for any host says nothing of this one's display, and knows nothing of its disks.
    for (generator, is_for_this_host) in [(Generator::InitramfsTools, true), (Generator::DracutForThisHost, true), (Generator::Dracut, false)] {
        let image = Image::with(generator, &Product::install()?)
            .file(FILE, &format!("{display}\nnonsense\n"))
            .file(&format!("{folder}/modalias"), "pci:v00001234d00001111sv00001AF4sd00001100bc03sc00i00\n")
            .file(&format!("{folder}/boot_vga"), "1\n")
            .build()?;
        let tells = |words: &str| image.build_log.lines().any(|line| line.contains("pciseize: ") && line.contains(words));
        assert!(tells("nonsense"), "{}", image.build_log);
        assert_eq!(tells("it is the boot display"), is_for_this_host, "{}", image.build_log);
        assert_eq!(image.has("pciback.boot"), is_for_this_host, "{}", image.build_log);
    }
    Ok(())
}

/// Most functions that `list` is tried with, and how long it may take for them here.
const FUNCTIONS: usize = 4096;
const WITHIN: Duration = Duration::from_secs(2);

/// A machine with thousands of functions is listed with its names in seconds. (It is made of files; the names are Debian's own.)
#[test]
fn a_list_of_4096_functions_takes_two_seconds() -> Result<()> {
    let product = Product::install()?;
    let image = Image::with(Generator::InitramfsTools, &product).file(FILE, &format!("{}\n", NVME.listed)).build()?;
    let script = r#"
        mkdir -p /lab/many/usr/share/misc
        cp /usr/share/misc/pci.ids /lab/many/usr/share/misc/
        pciseize --root /lab/many list --boot
        for round in 1 2 3; do
            read -r before _ </proc/uptime
            pciseize --root /lab/many list >many
            read -r after _ </proc/uptime
            echo "$before $after" >>times
        done
        "#;
    let mut machine = Machine::dom0(&image).installed(&product).script(script);
    for at in 0..FUNCTIONS {
        let (model, address) = (MODELS[at % MODELS.len()], format!("0000:{:02x}:{:02x}.{:x}", at >> 8, at >> 3 & 0x1f, at & 7));
        machine = machine.file(
            &format!("/lab/many/sys/bus/pci/devices/{address}/modalias"),
            &format!("pci:v0000{}d0000{}sv00001AF4sd00001100{}\n", model.0, model.1, model.2),
        );
    }
    let seen = machine.boot("needs-many")?;
    let lines: Vec<&str> = seen.file("many").context("no list")?.lines().collect();
    assert_eq!(lines.len(), FUNCTIONS);
    assert!(lines.iter().zip(MODELS.iter().cycle()).all(|(line, model)| line.contains(model.3)), "{:?}", &lines[..MODELS.len()]);
    let times = seen.file("times").context("no times")?;
    let seconds = |line: &str| -> Option<f64> {
        let (before, after) = line.split_once(' ')?;
        Some(after.parse::<f64>().ok()? - before.parse::<f64>().ok()?)
    };
    let mut seconds: Vec<f64> = times.lines().filter_map(seconds).collect();
    seconds.sort_by(f64::total_cmp);
    progress::say(&format!("  needs-many: {FUNCTIONS} functions are listed in {seconds:?} s"));
    assert!(seconds.get(1).is_some_and(|median| *median <= WITHIN.as_secs_f64()), "{seconds:?}");
    Ok(())
}

/// Vendor, device, class, and the device's name in pci.ids.
const MODELS: [(&str, &str, &str, &str); 5] = [
    ("8086", "10D3", "bc02sc00i00", "82574L Gigabit Network Connection"),
    ("1B36", "0010", "bc01sc08i02", "QEMU NVM Express Controller"),
    ("1033", "0194", "bc0Csc03i30", "uPD720200 USB 3.0 Host Controller"),
    ("10DE", "1B80", "bc03sc00i00", "GP104 [GeForce GTX 1080]"),
    ("1022", "1480", "bc06sc00i00", "Starship/Matisse Root Complex"),
];
