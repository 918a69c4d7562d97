//! Devices that come and go on the running host: removed and found again, late, with and without
//! udev's rule, and with a long list of pciback's.

use anyhow::{Context, Result};

use crate::FILE;
use crate::lab::board::{BEHIND_ROOT_PORT, NETWORK, NVME, USB};
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;

/// The functions that all scripts begin with.
const WORDS: &str = r#"
devices=/sys/bus/pci/devices

# pull ADDRESS…: removes devices, as if they were taken out of their slots.
pull() {
    for address; do
        echo 1 >"$devices/$address/remove"
    done
}

# rescan NAME ADDRESS…: finds all devices, and records the drivers of these.
rescan() {
    echo "lab: $1" >/dev/kmsg
    echo 1 >/sys/bus/pci/rescan
    found "$@"
}

# found NAME ADDRESS…: waits until each device has a driver, and records the drivers. If one gets
# none, the laboratory ends the machine because nothing moves.
found() {
    name=$1
    shift
    for address; do
        echo "lab: $name: a driver for $address" >/dev/console
        while [ ! -e "$devices/$address/driver" ]; do
            sleep 0.1
        done
        driver=$(readlink "$devices/$address/driver")
        echo "$name $address ${driver##*/}" >>found
    done
}

# seize NAME: runs `pciseize seize`, and keeps its output and exit status.
seize() {
    pciseize seize >"$1.output" 2>&1
    echo $? >"$1.status"
}
"#;

/// Removed and found again, a device listed by plain address goes to pciback. One that was listed
/// in another way goes to its driver until the next `seize`. A device that was absent is seized
/// when it appears, and a kept one returns to its driver. udev's rule, once enabled, seizes added
/// devices.
#[test]
fn devices_that_come_late_or_again_are_whose_they_have_to_be() -> Result<()> {
    let (plain, free, named, kept, late) = (
        NETWORK.listed,
        NETWORK.twin,
        BEHIND_ROOT_PORT.listed,
        NVME.twin,
        USB.twin,
    );
    let text = format!("{plain}\n8086:10d3@{named}\n{kept}\n!{kept}\n");
    let image = Image::with(Generator::InitramfsTools, &Product::install()?)
        .file(FILE, &text)
        .build()?;
    let script = format!(
        r#"{WORDS}
        pull {plain} {free} {named} {kept}
        rescan again {plain} {free} {named} {kept}
        cat /sys/bus/pci/drivers/pciback/slots >slots
        seize again
        found seized {plain} {free} {named} {kept}

        pull {late} {usb}
        echo {late} >>{FILE}
        seize away
        rescan late {late} {usb}
        seize late

        /lib/systemd/systemd-udevd --daemon
        pull {named}
        rescan without-rule {named}
        udevadm settle
        found without-rule {named}

        ln -s /usr/share/pciseize/10-pciseize.rules /etc/udev/rules.d/
        udevadm control --reload
        ls -i /run/pciseize/report >inode.before
        pull {named}
        rescan with-rule
        udevadm settle
        found with-rule {named}
        ls -i /run/pciseize/report >inode.added

        udevadm trigger --action=add --subsystem-match=pci
        udevadm settle
        ls -i /run/pciseize/report >inode.triggered

        modprobe -r e1000e
        pull {named} {free}
        rescan without-driver
        udevadm settle
        found without-driver {named} {free}

        echo 'lab: release' >/dev/kmsg
        pciseize release {named} >released 2>&1
        pull {free}
        rescan after-release
        udevadm settle
        found after-release {named} {free}
        echo 'lab: the end' >/dev/kmsg"#,
        usb = USB.listed
    );
    let seen = Machine::dom0(&image)
        .installed(&Product::install()?)
        .file(FILE, &text)
        .script(&script)
        .boot("hot-plug")?;
    let file = |name: &str| {
        seen.file(name).with_context(|| {
            format!(
                "the script wrote no {name}: {:?}",
                seen.file("script.output")
            )
        })
    };
    let has = |name: &str, address: &str, driver: &str| {
        let line = format!("{name} {address} {driver}");
        assert!(
            seen.file("found")
                .unwrap_or_default()
                .lines()
                .any(|found| found == line),
            "not {line}:\n{}",
            seen.file("found").unwrap_or_default()
        );
    };

    for (address, driver) in [
        (plain, "pciback"),
        (free, "e1000e"),
        (named, "e1000e"),
        (kept, "nvme"),
    ] {
        has("again", address, driver);
    }
    assert!(
        probes_between(&seen, plain, "lab: again", "lab: late")?.len() == 1,
        "only pciback probes the device"
    );
    let slots = file("slots")?;
    assert!(
        slots.contains(plain) && !slots.contains(named) && !slots.contains(kept),
        "{slots}"
    );
    assert_eq!(file("again.status")?, "0\n", "{}", file("again.output")?);
    assert!(
        file("again.output")?
            .lines()
            .any(|line| line.contains(named) && line.contains("driver e1000e before")),
        "{}",
        file("again.output")?
    );
    for (address, driver) in [
        (plain, "pciback"),
        (free, "e1000e"),
        (named, "pciback"),
        (kept, "nvme"),
    ] {
        has("seized", address, driver);
    }

    assert_eq!(file("away.status")?, "1\n", "{}", file("away.output")?);
    assert!(
        file("away.output")?
            .lines()
            .any(|line| line.contains(late) && line.contains("absent")),
        "{}",
        file("away.output")?
    );
    has("late", late, "pciback");
    has("late", USB.listed, "xhci_hcd");
    assert!(
        probes_between(&seen, late, "lab: late", "lab: the end")?.len() == 1,
        "only pciback probes the device"
    );
    assert_eq!(file("late.status")?, "0\n", "{}", file("late.output")?);

    has("without-rule", named, "e1000e");
    has("with-rule", named, "pciback");
    assert_ne!(
        file("inode.before")?,
        file("inode.added")?,
        "the rule did not run"
    );
    assert_eq!(
        file("inode.added")?,
        file("inode.triggered")?,
        "the rule ran where nothing was added"
    );
    has("without-driver", named, "pciback");
    has("without-driver", free, "e1000e");
    // The rules after this one load the driver, for the other device. Before the rule ran, pciback
    // may have probed the device and found it on no list.
    let since = seen
        .time_of("lab: without-driver")
        .context("the script did not come to its end")?;
    let until = seen
        .time_of("lab: release")
        .context("the script did not come to its end")?;
    let [seized, claimed] = [named, free].map(|address| {
        seen.successful_probes(address)
            .into_iter()
            .map(|probe| probe.at)
            .filter(|at| (since..until).contains(at))
            .collect::<Vec<_>>()
    });
    assert!(
        seized.len() == 1 && claimed.len() == 1 && seized[0] < claimed[0],
        "its driver came before the rule had run: {seized:?}, {claimed:?}"
    );
    // The rule asks for the function that was added, and leaves alone what was released.
    has("after-release", named, "e1000e");
    has("after-release", free, "e1000e");
    Ok(())
}

/// The kernel shows one page of pciback's list, some 300 entries. The entries beyond are still in
/// the list, and the wrong ones among them are removed.
#[test]
fn a_list_of_400_slots_is_no_hindrance() -> Result<()> {
    let (plain, named, late) = (NETWORK.listed, BEHIND_ROOT_PORT.listed, USB.listed);
    let script = format!(
        r#"{WORDS}
        modprobe xen-pciback
        list=/sys/bus/pci/drivers/pciback
        number=0
        while [ "$number" -lt 400 ]; do
            printf '0000:%02x:%02x.0\n' $((0x80 + number / 32)) $((number % 32)) >"$list/new_slot"
            number=$((number + 1))
        done
        cat "$list/slots" >slots
        pull {late}
        seize first
        for address in {plain} {late} {named}; do
            echo "$address" >"$list/remove_slot" && echo "$address" >>listed
        done
        for address in {plain} {late}; do
            echo "$address" >"$list/new_slot"
        done
        rescan anew {late}
        seize second"#
    );
    let text = format!("{plain}\n8086:10d3@{named}\n{late}\n");
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let seen = Machine::dom0(&image)
        .installed(&Product::install()?)
        .file(FILE, &text)
        .script(&script)
        .boot("400-slots")?;

    let file = |name: &str| {
        seen.file(name).with_context(|| {
            format!(
                "the script wrote no {name}: {:?}",
                seen.file("script.output")
            )
        })
    };
    let shown = file("slots")?.lines().count();
    assert!(
        (200..400).contains(&shown),
        "the kernel shows {shown} of 400 slots"
    );
    assert_eq!(
        file("first.status")?,
        "1\n",
        "{late} is away: {}",
        file("first.output")?
    );
    assert_eq!(
        file("listed")?,
        format!("{plain}\n{late}\n"),
        "{}",
        file("first.output")?
    );
    assert_eq!(file("second.status")?, "0\n", "{}", file("second.output")?);
    for address in [plain, named, late] {
        assert_eq!(seen.driver(address), Some("pciback"), "{address}");
        assert_eq!(seen.reported(address)?["latest"], "seized", "{address}");
    }
    Ok(())
}

/// The probes of this function between two lines of the kernel log.
fn probes_between(seen: &Evidence, address: &str, from: &str, to: &str) -> Result<Vec<f64>> {
    let time = |text: &str| {
        seen.time_of(text).with_context(|| {
            format!(
                "the script did not come to \"{text}\": {:?}",
                seen.file("script.output")
            )
        })
    };
    let between = time(from)?..time(to)?;
    Ok(seen
        .probes(address)
        .iter()
        .map(|probe| probe.at)
        .filter(|at| between.contains(at))
        .collect())
}
