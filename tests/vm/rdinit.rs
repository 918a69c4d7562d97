//! pciseize as the first process of an image (`rdinit=`): before the image's own `/init`, which
//! runs whatever happens. `tests/rdinit.rs` has what needs no boot.

use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result};

use crate::lab::board::{self, PAIRS};
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image, Initramfs};
use crate::lab::machine::Machine;
use crate::lab::product::{Product, argument, make};
use crate::lab::{target_directory, tool};
use crate::{FILE, assert_listed_seized, assert_nothing_touched, tell_times};

/// What stops a boot: an absent device is asked for.
const STRICT: &str = "pciseize.strict pciseize.hide=0000:00:1e.0";

/// The kernel argument.
const RDINIT: &str = "rdinit=/usr/sbin/pciseize";

/// The first program of an image of busybox alone. Tells what it got, and what is mounted.
pub const INIT: &str = r#"#!/bin/busybox sh
busybox=/bin/busybox
for folder in proc sys dev; do
    if [ -d /$folder ] && [ -n "$($busybox ls -A /$folder | $busybox grep -v '^console$')" ]; then
        left="$left /$folder"
    fi
done
$busybox mkdir -p /proc /sys /dev /run /root
$busybox mount -t devtmpfs dev /dev
$busybox mount -t proc proc /proc
echo "lab: $0 $* $LAB pid $$, left:$left; $($busybox wc -l </proc/mounts) mounts; \
$($busybox sed -n 's/^SigBlk:.//p' /proc/self/status) blocked" >/dev/kmsg
$busybox mount -t sysfs sys /sys
$busybox mount -t tmpfs run /run
while read -r module; do
    $busybox insmod "$module" || echo "lab: no $module" >/dev/kmsg
done </modules
until [ -n "$disk" ]; do
    $busybox sleep 1
    disk=$($busybox findfs LABEL=root)
done
$busybox mount "$disk" /root
for folder in dev proc sys run; do
    $busybox mount --move /$folder /root/$folder
done
exec $busybox switch_root /root /test-init
"#;

/// A modprobe that kills the process that seizes: that began the process that runs modprobe. The
/// kernel runs modprobe too, where this has no effect.
const KILLER: &str = r#"#!/bin/busybox sh
while read -r name value; do
    [ "$name" != PPid: ] || parent=$value
done </proc/$PPID/status
kill -KILL "$parent"
exit 1
"#;

/// Makes the early report part of the evidence, and saves what the host says of the boot.
const SCRIPT: &str = "
    cat /dev/pciseize.report >early
    [ -e /run/pciseize/report ] || cat early >report
    pciseize status >status.output 2>&1; echo $? >status
    pciseize plan >plan.output 2>&1";

/// initramfs-tools mounts an empty `/run`. The hook in the image runs a second time, and finds all
/// as asked.
#[test]
fn initramfs_tools_runs_it_before_init() -> Result<()> {
    let image = generated(Generator::InitramfsTools)?;
    let seen = machine(&image)?.boot("rdinit-initramfs-tools")?;
    assert_first(&seen)
}

/// dracut with systemd.
#[test]
fn dracut_runs_it_before_init() -> Result<()> {
    let image = generated(Generator::Dracut)?;
    let seen = machine(&image)?.boot("rdinit-dracut")?;
    assert_first(&seen)
}

/// An image of nothing but busybox, without a hook. Its `/init` gets the words, the environment and
/// the folders as the kernel gives them.
#[test]
fn busybox_gets_everything_as_without() -> Result<()> {
    let image = busybox("")?;
    let seen = machine(&image)?
        .cmdline("labword LAB=variable")
        .boot("rdinit-busybox")?;
    assert_first(&seen)?;
    let told = "lab: /init labword variable pid 1, left:; 3 mounts; 0000000000000000 blocked";
    assert_eq!(seen.kernel_log(told).count(), 1);
    Ok(())
}

/// `strict` with an absent device: `/init` runs, and the hook in the image stops the boot, as it
/// does without `rdinit=`.
#[test]
fn the_hook_of_initramfs_tools_stops_a_strict_boot() -> Result<()> {
    let image = generated(Generator::InitramfsTools)?;
    let seen = machine(&image)?
        .cmdline(STRICT)
        .answer("(initramfs)", "exit")
        .boot("rdinit-strict-initramfs-tools")?;
    assert_stopped_by_hook(&seen);
    Ok(())
}

/// dracut with systemd: the same. The unit's condition (`/run/pciseize/stopped`) does not hold it
/// back, since before `/init` nothing stops.
#[test]
fn the_unit_of_dracut_stops_a_strict_boot() -> Result<()> {
    let image = generated(Generator::Dracut)?;
    let seen = machine(&image)?
        .cmdline(STRICT)
        .answer("Control-D", "")
        .answer("# ", "exit")
        .boot("rdinit-strict-dracut")?;
    assert_stopped_by_hook(&seen);
    Ok(())
}

/// An image without pciseize gets an archive in front of it. All of it can still be listed, and it
/// seizes.
#[test]
fn a_side_archive_brings_it_into_any_image() -> Result<()> {
    let product = Product::install()?;
    let mut image = Image::stock(Generator::InitramfsTools).build()?;
    let folder = target_directory().join("vm/side-image");
    fs::create_dir_all(&folder)?;
    let (config, result) = (folder.join("pciback.conf"), folder.join("initrd.img"));
    fs::write(&config, board::configuration())?;
    make(&[
        "side-image".into(),
        argument("PROGRAM", &product.tree.join("usr/sbin/pciseize")),
        argument("IMAGE", &image.file),
        argument("RESULT", &result),
        argument("CONFIG", &config),
        argument("ROOT", &image.debian.root),
        format!("RELEASE={}", image.debian.release),
    ])?;
    // The listing of that Debian, which is a script.
    let tools = image.debian.root.join("usr/bin");
    let path = format!("{}:{}", env::var("PATH")?, tools.display());
    let mut command = Command::new("sh");
    command.env("PATH", path).arg(tools.join("lsinitramfs"));
    let listed = tool::run({
        command.arg(&result);
        command
    })?;
    assert!(listed.lines().any(|line| line == "pciseize"), "{listed}");
    for line in image.contents.lines() {
        assert!(listed.lines().any(|other| other == line), "{line} is lost");
    }

    image.file = result;
    let seen = Machine::dom0(&image)
        .installed(&product)
        .file(FILE, &board::configuration())
        .cmdline("rdinit=/pciseize")
        .script(SCRIPT)
        .boot("rdinit-side-archive")?;
    assert_seized_early(&seen)
}

/// Without Xen nothing is touched.
#[test]
fn bare_metal_is_untouched() -> Result<()> {
    let image = generated(Generator::InitramfsTools)?;
    let seen = Machine::bare(&image).cmdline(RDINIT).boot("rdinit-bare")?;
    assert_nothing_touched(&seen);
    assert_ran(&seen);
    assert!(seen.logged(&["not a Xen dom0"]), "{}", seen.pciseize_log());
    Ok(())
}

/// The child that seizes is killed, here by a modprobe: `/init` runs, and what was held stays held.
#[test]
fn init_runs_where_the_child_is_killed() -> Result<()> {
    let image = busybox(KILLER)?;
    let seen = machine(&image)?.boot("rdinit-killed")?;
    assert_ran(&seen);
    assert!(
        seen.logged(&["ended by signal 9"]),
        "{}",
        seen.pciseize_log()
    );
    assert_held(&seen);
    Ok(())
}

/// An image with pciseize, its hook and a file that lists one device of each pair.
fn generated(generator: Generator) -> Result<Initramfs> {
    Image::with(generator, &Product::install()?)
        .file(FILE, &board::configuration())
        .build()
}

/// An image of busybox alone, with a modprobe of the test's own.
fn busybox(modprobe: &str) -> Result<Initramfs> {
    let mut image = Image::with(Generator::Busybox, &Product::install()?)
        .file(FILE, &board::configuration())
        .file("/lab/init", INIT);
    if !modprobe.is_empty() {
        // Without its file the module is left to modprobe.
        image = image.file("/lab/modprobe", modprobe).without_pciback();
    }
    image.build()
}

/// A dom0 whose first process is pciseize.
fn machine(image: &Initramfs) -> Result<Machine<'_>> {
    Ok(Machine::dom0(image)
        .installed(&Product::install()?)
        .file(FILE, &board::configuration())
        .cmdline(RDINIT)
        .script(SCRIPT))
}

/// It was the first process, and `/init` came afterwards.
fn assert_ran(seen: &Evidence) {
    let run = seen.time_of("Run /usr/sbin/pciseize as init process");
    assert!(run.is_some(), "the kernel did not start it");
}

/// It was the first process, and seized all. The host knows of it.
fn assert_first(seen: &Evidence) -> Result<()> {
    assert_ran(seen);
    assert_seized_early(seen)
}

/// The boot was not stopped before `/init`, and once after it.
fn assert_stopped_by_hook(seen: &Evidence) {
    assert_ran(seen);
    for line in ["rdinit= stops no boot", "strict: the boot stops here"] {
        assert_eq!(
            seen.kernel_log(line).count(),
            1,
            "{line}:\n{}",
            seen.pciseize_log()
        );
    }
}

/// All was seized before `/init`, and the host knows of it.
fn assert_seized_early(seen: &Evidence) -> Result<()> {
    assert_listed_seized(seen)?;
    tell_times(seen);
    let early = seen.file("early").context("no early report")?;
    let early: serde_json::Value = serde_json::from_str(early)?;
    assert_eq!(early["stage"], "initramfs");
    for pair in PAIRS {
        let devices = early["devices"].as_array().context("no devices")?;
        let device = devices
            .iter()
            .find(|device| device["address"] == pair.listed);
        assert_eq!(
            device.context("not in the early report")?["outcome"],
            "seized",
            "{}",
            pair.model
        );
    }
    let output = seen.file("status.output");
    assert_eq!(seen.file("status"), Some("0\n"), "{output:?}");
    let plan = seen.file("plan.output").context("no plan")?;
    assert!(!plan.contains("rdinit="), "{plan}");
    Ok(())
}

/// No driver has the listed devices, and none can take them.
fn assert_held(seen: &Evidence) {
    for pair in PAIRS {
        assert_eq!(seen.driver(pair.listed), None, "{}", pair.model);
        let function = seen.function(pair.listed);
        assert!(function.driver_override.is_some(), "{}", pair.model);
    }
}
