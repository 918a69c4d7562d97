//! Every way to boot: each image generator, on Debian 12 and 13. The devices are listed in the file
//! and in a drop-in, and dom0's drivers never get them.

use anyhow::Result;

use crate::lab::board::{VIRTIO, VIRTIO_DEVICE};
use crate::lab::debian::Suite;
use crate::lab::evidence::Evidence;
use crate::lab::image::Generator;
use crate::lab::machine::Machine;
use crate::{assert_listed_seized, listing_image, tell_times};

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
