//! Every way to boot: each image generator, on Debian 12 and 13. The devices are listed in the file
//! and in a drop-in, and dom0's drivers never get them.

use anyhow::Result;

use crate::lab::board::{self, NETWORK, VIRTIO, VIRTIO_DEVICE};
use crate::lab::debian::Suite;
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::{FILE, KEEP_PASSTHROUGH, assert_listed_seized, listing_image, tell_times};

/// initramfs-tools.
#[test]
fn initramfs_tools_seizes_the_listed_devices() -> Result<()> {
    let image = listing_image(Generator::InitramfsTools, Suite::Bookworm)?;
    let seen = Machine::dom0(&image).boot("initramfs-tools")?;
    assert_listed_seized(&seen)?;
    tell_times(&seen);
    Ok(())
}

/// dracut with systemd. systemd as first process loads the virtio driver before any unit can start,
/// so the listed virtio device has to be taken from that driver.
#[test]
fn dracut_seizes_the_listed_devices_and_takes_a_bound_one() -> Result<()> {
    let image = listing_image(Generator::Dracut, Suite::Bookworm)?;
    let seen = Machine::dom0(&image)
        .device(VIRTIO_DEVICE)
        .cmdline(&format!("pciseize.hide={VIRTIO}"))
        .boot("dracut")?;
    assert_listed_seized(&seen)?;
    assert_taken_from_virtio(&seen)?;
    tell_times(&seen);
    Ok(())
}

/// dracut without systemd.
#[test]
fn dracut_without_systemd_seizes_the_listed_devices() -> Result<()> {
    let image = listing_image(Generator::DracutWithoutSystemd, Suite::Bookworm)?;
    let seen = Machine::dom0(&image).boot("dracut-without-systemd")?;
    assert_listed_seized(&seen)?;
    tell_times(&seen);
    Ok(())
}

/// Debian 13, initramfs-tools. The kernel has virtio built in, so that driver has its device before
/// any program runs. The module is compressed in the image, and the kernel unpacks it.
#[test]
fn debian_13_initramfs_tools_seizes_the_listed_devices_and_takes_a_bound_one() -> Result<()> {
    let image = listing_image(Generator::InitramfsTools, Suite::Trixie)?;
    assert!(image.has("xen-pciback.ko.xz"), "the module is not packed");
    let seen = Machine::dom0(&image)
        .device(VIRTIO_DEVICE)
        .cmdline(&format!("pciseize.hide={VIRTIO}"))
        .boot("debian-13-initramfs-tools")?;
    assert_listed_seized(&seen)?;
    assert_taken_from_virtio(&seen)?;
    tell_times(&seen);
    Ok(())
}

/// Debian 13, dracut with systemd.
#[test]
fn debian_13_dracut_seizes_the_listed_devices() -> Result<()> {
    let image = listing_image(Generator::Dracut, Suite::Trixie)?;
    let seen = Machine::dom0(&image).boot("debian-13-dracut")?;
    assert_listed_seized(&seen)?;
    tell_times(&seen);
    Ok(())
}

/// Debian 13, dracut without systemd.
#[test]
fn debian_13_dracut_without_systemd_seizes_the_listed_devices() -> Result<()> {
    let image = listing_image(Generator::DracutWithoutSystemd, Suite::Trixie)?;
    let seen = Machine::dom0(&image).boot("debian-13-dracut-without-systemd")?;
    assert_listed_seized(&seen)?;
    tell_times(&seen);
    Ok(())
}

/// Debian 13, dracut, in an image without any shell: systemd alone runs everything.
#[test]
fn debian_13_dracut_without_shell_seizes_the_listed_devices() -> Result<()> {
    let image = listing_image(Generator::DracutWithoutShell, Suite::Trixie)?;
    assert!(image.has("systemd") && image.has("pciseize"));
    for shell in ["sh", "bash", "dash", "busybox"] {
        assert!(!image.has(shell), "there is {shell}");
    }
    let seen = Machine::dom0(&image).boot("debian-13-dracut-without-shell")?;
    assert_listed_seized(&seen)?;
    tell_times(&seen);
    Ok(())
}

/// The module is where DKMS puts it, and where modprobe alone finds it. modprobe.d names a device
/// for `hide=` that the configuration keeps: it stays with dom0, also if modprobe loads the module
/// and reads modprobe.d itself.
#[test]
fn a_module_at_another_place_takes_nothing_else() -> Result<()> {
    let product = Product::install()?;
    for (name, place) in [
        ("module-of-dkms", "updates/dkms"),
        ("module-for-modprobe", "local/elsewhere"),
    ] {
        // Runs after the hook of pciseize, by its name, and before depmod.
        let mover = format!(
            r#"#!/bin/sh
[ "$1" = prereqs ] && exit 0
module=$(find "$DESTDIR" -name 'xen-pciback.ko*')
mkdir -p "$DESTDIR/lib/modules/$version/{place}"
mv "$module" "$DESTDIR/lib/modules/$version/{place}"
"#
        );
        let twin = NETWORK.twin;
        let image = Image::with(Generator::InitramfsTools, &product)
            .file(FILE, &format!("{}!{twin}\n", board::configuration()))
            .file(
                "/etc/modprobe.d/xen.conf",
                &format!("options xen-pciback hide=({twin}) passthrough=1 nonsense=1\n"),
            )
            .file(
                "/usr/share/initramfs-tools/hooks/pciseize-moved-module",
                &mover,
            )
            .build()?;
        let seen = Machine::dom0(&image).script(KEEP_PASSTHROUGH).boot(name)?;
        // The twin of each listed device, this one too, has its own driver.
        assert_listed_seized(&seen)?;
        assert_eq!(seen.reported(twin)?["outcome"], "kept");
        assert_eq!(seen.file("passthrough"), Some("Y\n"));
        assert!(
            seen.logged(&["nonsense=1", "does not show"]),
            "{}",
            seen.pciseize_log()
        );
    }
    Ok(())
}

/// The virtio driver had its device first, and pciback has it now.
fn assert_taken_from_virtio(seen: &Evidence) -> Result<()> {
    assert_eq!(
        seen.driver(VIRTIO),
        Some("pciback"),
        "{}",
        seen.pciseize_log()
    );
    assert_eq!(
        seen.successful_probes(VIRTIO).len(),
        2,
        "first its own driver, then pciback"
    );
    assert_eq!(seen.reported(VIRTIO)?["origin"], "virtio-pci");
    Ok(())
}
