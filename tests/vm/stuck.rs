//! A driver that does not let go of its device: the boot goes on without it, in time, and everything else is seized. On Debian 13: Linux 6.1 of Debian 12 locks a device to show its `uevent`, and then udev
//! waits two minutes for its own queue, whoever it is that unbinds.
//!
//! The device is an NVMe disk that gives its first million bytes at once, and then one a second. Somebody reads from it: whoever unbinds it waits for the end of that, and keeps the device locked.

use anyhow::{Context, Result};

use crate::lab::board::{BEHIND_ROOT_PORT, NETWORK, ROOT_DISK, USB};
use crate::lab::debian::Suite;
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::lab::progress;
use crate::{FILE, assert_claimed, assert_one_seized};

/// The disk, and another of its kind that answers.
const SLOW: &str = "0000:00:0c.0";
const QUICK: &str = "0000:00:0d.0";

/// How long pciseize is told to wait.
const TIMEOUT: f64 = 3.0;
/// How much longer it may take here, with all that it does besides, in an emulated machine.
const REST: f64 = 6.0;
/// How long after pciseize's last word the root is mounted at the latest.
const MOUNTED_WITHIN: f64 = 30.0;

/// Runs before pciseize: loads the driver, and begins to read.
const EARLY: &str = r#"#!/bin/sh
[ "$1" = prereqs ] && exit 0
modprobe nvme
for disk in /sys/bus/pci/devices/0000:00:0c.0/nvme/*/nvme*n1; do
    cat "/dev/${disk##*/}" >/dev/null &
done
sleep 2
"#;

/// Through initramfs-tools.
#[test]
fn initramfs_tools_boots_past_a_stuck_unbind() -> Result<()> {
    assert_boots_past_it(Generator::InitramfsTools, &[("/etc/initramfs-tools/scripts/init-top/00-early", EARLY)], "stuck-initramfs-tools")
}

/// Through dracut with systemd, which does not wait for the process that is stuck either.
#[test]
fn dracut_boots_past_a_stuck_unbind() -> Result<()> {
    let [early, drop_in] = ["/usr/local/sbin/early", "/etc/systemd/system/pciseize.service.d/early.conf"];
    let text = format!("[Service]\nExecStartPre={early}\n");
    let install = format!("install_items+=\" {early} {drop_in} \"\n");
    assert_boots_past_it(Generator::Dracut, &[(early, EARLY), (drop_in, &text), ("/etc/dracut.conf.d/early.conf", &install)], "stuck-dracut")
}

fn assert_boots_past_it(generator: Generator, early: &[(&str, &str)], name: &str) -> Result<()> {
    let pairs = [NETWORK, BEHIND_ROOT_PORT, USB];
    let listed: String = pairs.iter().map(|pair| pair.listed).chain([SLOW, QUICK]).map(|address| format!("{address}\n")).collect();
    let mut image = Image::with(generator, &Product::install()?).on(Suite::Trixie).file(FILE, &format!("{listed}timeout = {TIMEOUT}\n"));
    for (path, text) in early {
        image = image.file(path, text);
    }
    let image = image.build()?;
    let mut machine = Machine::dom0(&image).cmdline("nvme_core.io_timeout=7200").cmdline("pciseize.debug").locked(SLOW);
    for (drive, address, speed) in [("slow", "0xc", ",throttling.bps-total=1,throttling.bps-total-max=1000000"), ("quick", "0xd", "")] {
        let source = "format=raw,file.driver=null-co,file.size=64M,file.read-zeroes=on";
        machine = machine.drive(&format!("if=none,id={drive},{source}{speed}")).device(&format!("nvme,addr={address},serial={drive},drive={drive}"));
    }
    let seen = machine.boot(name)?;

    for pair in &pairs {
        assert_one_seized(&seen, pair)?;
    }
    assert_claimed(&seen, ROOT_DISK.0, ROOT_DISK.1);
    // The control: the driver lets go of this one.
    assert_eq!(seen.driver(QUICK), Some("pciback"), "{}", seen.pciseize_log());
    assert_eq!(seen.reported(QUICK)?["origin"], "nvme");
    let stuck = seen.reported(SLOW)?;
    assert_eq!(stuck["outcome"], "lost", "{stuck:#}");
    assert!(seen.logged(&[SLOW, "lost", "unbinding", "not done in time"]), "{}", seen.pciseize_log());
    assert_eq!(seen.probes(SLOW).len(), 1, "its driver's, before the hold: {:?}", seen.probes(SLOW));

    let time = |text: &str| seen.time_of(text).with_context(|| format!("no \"{text}\" in the kernel log"));
    let (held, told, mounted) = (time("pciseize: held;")?, time("not done in time")?, time("EXT4-fs (sd")?);
    progress::say(&format!("  {name}: told {:.1} s after all was held, root mounted {:.1} s after that", told - held, mounted - told));
    assert!((TIMEOUT..TIMEOUT + REST).contains(&(told - held)), "told after {:.1} s", told - held);
    assert!((0.0..MOUNTED_WITHIN).contains(&(mounted - told)), "mounted after {:.1} s", mounted - told);
    Ok(())
}
