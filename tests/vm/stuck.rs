//! A driver does not release its device: the boot continues without it, in time, and everything
//! else is seized.
//!
//! The tests use Debian 13. Linux 6.1 of Debian 12 locks a device to show its `uevent`, and then
//! udev waits two minutes for its own queue, whichever program unbinds the device.
//!
//! The device is an NVMe disk that delivers its first million bytes at once, and then one a second.
//! A process reads from it. An unbind waits for the end of that read, and keeps the device locked.

use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use crate::lab::board::{BEHIND_ROOT_PORT, NETWORK, ROOT_DISK, USB};
use crate::lab::debian::Suite;
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::lab::progress;
use crate::{FILE, assert_claimed, assert_one_seized};

/// The slow disk, and another of its kind that answers.
const SLOW: &str = "0000:00:0c.0";
const QUICK: &str = "0000:00:0d.0";

/// The `timeout` of pciseize in seconds, its default. All other devices are done by then, also on a
/// host with other work: with 3 s, and four machines at a time, two of them were not.
const TIMEOUT: f64 = 30.0;

/// A part of the boot is in time if it lasts at most this many times the same part of the control.
/// If the boot waited for the stuck process, the part would last half a minute at the least.
const IN_TIME: f64 = 2.0;

/// The kernel argument of the boot in which a process reads from the slow disk.
const READS: &str = "lab.reads";

/// Runs before pciseize: loads the driver, and begins to read. Continues once a read is stuck: most
/// of the bytes that come at once were read, one read (field 9) is under way, and no other (field
/// 3) ends.
const EARLY: &str = r#"#!/bin/sh
[ "$1" = prereqs ] && exit 0
modprobe nvme
read -r arguments </proc/cmdline
case $arguments in
*lab.reads*) ;;
*) exit 0 ;;
esac
function=/sys/bus/pci/devices/0000:00:0c.0
until [ -e $function/nvme/*/nvme*n1/stat ]; do
    sleep 1
done
for disk in $function/nvme/*/nvme*n1; do
    cat "/dev/${disk##*/}" >/dev/null &
    sectors=0 before= on_its_way=0
    until [ "$sectors" -gt 1000 ] && [ "$on_its_way" -gt 0 ] && [ "$sectors" = "$before" ]; do
        sleep 1
        before=$sectors
        read -r _ _ sectors _ _ _ _ _ on_its_way _ <"$disk/stat"
    done
done
"#;

/// initramfs-tools.
#[test]
fn initramfs_tools_boots_past_a_stuck_unbind() -> Result<()> {
    assert_boots_past_it(
        Generator::InitramfsTools,
        &[("/etc/initramfs-tools/scripts/init-top/00-early", EARLY)],
        "stuck-initramfs-tools",
    )
}

/// dracut with systemd, which does not wait for the stuck process either.
#[test]
fn dracut_boots_past_a_stuck_unbind() -> Result<()> {
    let [early, drop_in] = [
        "/usr/local/sbin/early",
        "/etc/systemd/system/pciseize.service.d/early.conf",
    ];
    let text = format!("[Service]\nExecStartPre={early}\n");
    let install = format!("install_items+=\" {early} {drop_in} \"\n");
    assert_boots_past_it(
        Generator::Dracut,
        &[
            (early, EARLY),
            (drop_in, &text),
            ("/etc/dracut.conf.d/early.conf", &install),
        ],
        "stuck-dracut",
    )
}

fn assert_boots_past_it(generator: Generator, early: &[(&str, &str)], name: &str) -> Result<()> {
    let pairs = [NETWORK, BEHIND_ROOT_PORT, USB];
    let listed: String = pairs
        .iter()
        .map(|pair| pair.listed)
        .chain([SLOW, QUICK])
        .map(|address| format!("{address}\n"))
        .collect();
    let mut image = Image::with(generator, &Product::install()?)
        .on(Suite::Trixie)
        .file(FILE, &format!("{listed}timeout = {TIMEOUT}\n"));
    for (path, text) in early {
        image = image.file(path, text);
    }
    let image = image.build()?;
    let mut machine = Machine::dom0(&image)
        .cmdline("nvme_core.io_timeout=7200")
        .cmdline("pciseize.debug")
        .locked(SLOW);
    for (drive, address, speed) in [
        (
            "slow",
            "0xc",
            ",throttling.bps-total=1,throttling.bps-total-max=1000000",
        ),
        ("quick", "0xd", ""),
    ] {
        let source = "format=raw,file.driver=null-co,file.size=64M,file.read-zeroes=on";
        machine = machine
            .drive(&format!("if=none,id={drive},{source}{speed}"))
            .device(&format!("nvme,addr={address},serial={drive},drive={drive}"));
    }
    // Boot both at the same time, so that other work on this host slows both down. But not four.
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let free_machine = machine.clone();
    let stuck_machine = machine.cmdline(READS);
    let (free, seen) = thread::scope(|scope| {
        let free = scope.spawn(|| free_machine.boot(&format!("{name}-control")));
        let seen = stuck_machine.boot(name);
        (free.join(), seen)
    });
    drop(turn);
    let (free, seen) = (free.expect("the control does not panic")?, seen?);

    for pair in &pairs {
        assert_one_seized(&seen, pair)?;
    }
    assert_claimed(&seen, ROOT_DISK.0, ROOT_DISK.1);
    // The driver releases this disk.
    assert_eq!(
        seen.driver(QUICK),
        Some("pciback"),
        "{}",
        seen.pciseize_log()
    );
    assert_eq!(seen.reported(QUICK)?["origin"], "nvme");
    let stuck = seen.reported(SLOW)?;
    assert_eq!(stuck["outcome"], "lost", "{stuck:#}");
    assert!(
        seen.logged(&[SLOW, "lost", "unbinding", "not done in time"]),
        "{}",
        seen.pciseize_log()
    );
    assert_eq!(
        seen.probes(SLOW).len(),
        1,
        "its driver's, before the hold: {:?}",
        seen.probes(SLOW)
    );
    // The control: without the reader, the driver releases the slow disk too.
    assert_eq!(
        free.reported(SLOW)?["outcome"],
        "seized",
        "{}",
        free.pciseize_log()
    );

    let (free, stuck) = (Times::of(&free)?, Times::of(&seen)?);
    progress::say(&format!(
        "  {name}: {stuck:.1?}; without the reader: {free:.1?}"
    ));
    // Never before the timeout: that holds on any machine.
    assert!(stuck.seizure >= TIMEOUT, "{stuck:?}");
    // A seizure takes so little that its own time says nothing on a host with other work. Whoever
    // waited for the stuck process would wait longer than a whole boot to the root takes.
    assert!(
        stuck.seizure - TIMEOUT < free.seizure + free.mount,
        "{stuck:?}, and in the control {free:?}"
    );
    assert!(
        stuck.mount < IN_TIME * free.mount,
        "{stuck:?}, and in the control {free:?}"
    );
    Ok(())
}

/// How long the parts of a boot took, in seconds by the kernel's clock.
#[derive(Debug)]
struct Times {
    /// From the hold to pciseize's last message.
    seizure: f64,
    /// From there until the root is mounted.
    mount: f64,
}

impl Times {
    fn of(seen: &Evidence) -> Result<Times> {
        let time = |text: &str| {
            seen.time_of(text)
                .with_context(|| format!("no \"{text}\" in the kernel log"))
        };
        let (held, told, mounted) = (
            time("pciseize: held;")?,
            time("devices seized")?,
            time("EXT4-fs (sd")?,
        );
        Ok(Times {
            seizure: told - held,
            mount: mounted - told,
        })
    }
}
