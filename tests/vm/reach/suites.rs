//! The oldest Debian that still has a package source, and the one that comes next.

use anyhow::Result;

use super::platform;
use crate::{
    DROP_IN, FILE, assert_claimed, assert_listed_seized,
    lab::{
        board::{self, PAIRS},
        debian::{Suite, debian},
        evidence::Evidence,
        image::{Generator, Initramfs},
        machine::Machine,
        product::Product,
    },
    listing_image,
};

/// The quickest of these: `make check` has time for it.
#[test]
fn bullseye_with_initramfs_tools() -> Result<()> {
    boots(
        "bullseye-initramfs-tools",
        Suite::Bullseye,
        Generator::InitramfsTools,
    )
}

#[test]
#[ignore = "make check-reach"]
fn bullseye_with_dracut() -> Result<()> {
    boots("bullseye-dracut", Suite::Bullseye, Generator::Dracut)
}

#[test]
#[ignore = "make check-reach"]
fn bullseye_with_dracut_without_systemd() -> Result<()> {
    boots(
        "bullseye-dracut-without-systemd",
        Suite::Bullseye,
        Generator::DracutWithoutSystemd,
    )
}

#[test]
#[ignore = "make check-reach"]
fn sid_with_initramfs_tools() -> Result<()> {
    boots("sid-initramfs-tools", Suite::Sid, Generator::InitramfsTools)
}

#[test]
#[ignore = "make check-reach"]
fn sid_with_dracut() -> Result<()> {
    boots("sid-dracut", Suite::Sid, Generator::Dracut)
}

#[test]
#[ignore = "make check-reach"]
fn sid_with_dracut_without_systemd() -> Result<()> {
    boots(
        "sid-dracut-without-systemd",
        Suite::Sid,
        Generator::DracutWithoutSystemd,
    )
}

/// The newest kernel, with an older Xen below.
#[test]
#[ignore = "make check-reach"]
fn kernel_of_sid_on_the_xen_of_bookworm() -> Result<()> {
    platform("sid-on-old-xen", || {
        seizes("sid-on-old-xen", &sid_on_old_xen()?)
    })
}

/// The image of sid's kernel, with an older Xen below.
pub fn sid_on_old_xen() -> Result<Initramfs> {
    let mut image = listing_image(Generator::InitramfsTools, Suite::Sid)?;
    image.debian.xen = debian(Suite::Bookworm)?.xen;
    Ok(image)
}

/// A row in which this suite's Xen and kernel boot with an image of this generator.
fn boots(key: &'static str, suite: Suite, generator: Generator) -> Result<()> {
    platform(key, || seizes(key, &listing_image(generator, suite)?))
}

/// Boots the image, sees the listed devices seized and their twins not, and tells it.
fn seizes(key: &str, image: &Initramfs) -> Result<String> {
    let seen = asked(Machine::dom0(image), "")?.boot(key)?;
    assert_seized_and_told(&seen)?;
    Ok(SEEN.to_owned())
}

/// What a row tells in which [`assert_seized_and_told`] holds.
pub const SEEN: &str = "4 of 4 seized, `status` right; their twins have their drivers";

/// The machine with pciseize on its real root too, where it is asked what became of the devices of
/// `listing_image`, after this script.
pub fn asked<'a>(machine: Machine<'a>, script: &str) -> Result<Machine<'a>> {
    let (file, drop_in) = PAIRS.split_at(2);
    Ok(machine
        .installed(&Product::install()?)
        .file(FILE, &board::lines(file))
        .file(DROP_IN, &board::lines(drop_in))
        .script(&format!(
            "{script}\npciseize status >status 2>&1; echo $? >status.exit"
        )))
}

/// The listed devices were only ever with pciback, and `status` says so; their twins have their
/// drivers.
pub fn assert_seized_and_told(seen: &Evidence) -> Result<()> {
    assert_listed_seized(seen)?;
    assert_well(seen);
    Ok(())
}

/// `status` says that pciback has all listed devices.
pub fn assert_well(seen: &Evidence) {
    let status = seen.file("status").unwrap_or_default();
    assert_eq!(seen.file("status.exit"), Some("0\n"), "{status}");
    let all = "# OK: 4 of 4 devices are with pciback";
    assert!(status.contains(all), "{status}");
}

/// What a row tells in which [`assert_held_and_told`] holds.
pub const SEEN_OF_HELD: &str = "4 of 4 stay `held`, with `ENOSYS`; their twins have their drivers";

/// The kernel has Xen reset each listed device, which this Xen cannot: no driver ever had one, but
/// neither has pciback, and both the report and `status` say what that means. Their twins have
/// their drivers.
pub fn assert_held_and_told(seen: &Evidence) -> Result<()> {
    let log = seen.pciseize_log();
    for pair in PAIRS {
        let (address, model) = (pair.listed, pair.model);
        assert_eq!(seen.driver(address), None, "{model}");
        assert!(seen.successful_probes(address).is_empty(), "{model}");
        assert_eq!(seen.reported(address)?["outcome"], "held", "{model}");
        let told = [address, "held", "ENOSYS", "this Xen cannot reset it"];
        assert!(seen.logged(&told), "{model}: {log}");
        assert_claimed(seen, pair.twin, pair.driver);
    }
    assert_failed(seen, "0 of 4", "this Xen cannot reset it");
    Ok(())
}

/// `status` has failed with this count of devices, and says this of one of them.
pub fn assert_failed(seen: &Evidence, count: &str, reason: &str) {
    let status = seen.file("status").unwrap_or_default();
    assert_eq!(seen.file("status.exit"), Some("1\n"), "{status}");
    let verdict = format!("# FAILED: {count} devices are with pciback");
    assert!(status.starts_with(&verdict), "{status}");
    let unfolded = status.replace("\n#   ", " ");
    assert!(unfolded.contains(reason), "{status}");
}
