//! A dom0 that Xen runs as a PVH guest: its devices and interrupts come through Xen's own emulation
//! of PCI.

use anyhow::Result;

use super::{
    platform,
    suites::{
        SEEN, SEEN_OF_HELD, asked, assert_failed, assert_held_and_told, assert_seized_and_told,
        sid_on_old_xen,
    },
};
use crate::{
    assert_claimed, assert_one_seized,
    lab::{
        board::{BEHIND_ROOT_PORT, NETWORK, NVME, ROOT_DISK, USB},
        debian::Suite,
        evidence::Evidence,
        image::{Generator, Initramfs},
        machine::Machine,
    },
    listing_image,
};

/// What Xen says when it refuses a device whose reset has emptied its BARs: it looks for the MSI-X
/// table at the bottom of dom0's memory.
const REFUSAL: &str = "clobbers MSIX MMIO area";

/// What the row tells where Xen refuses the disk.
const SEEN_OF_A_REFUSAL: &str = "3 of 4 seized; the NVMe disk is held, as Xen refuses it, and \
    `status` says so; their twins have their drivers";

/// Until Xen lets a dom0 of this kind have such devices, the listed NVMe disk is refused.
#[test]
#[ignore = "make check-reach"]
fn a_pvh_dom0_seizes_the_listed_devices() -> Result<()> {
    platform("pvh", || {
        let image = listing_image(Generator::InitramfsTools, Suite::Sid)?;
        let seen = boot("pvh", &image)?;
        if seen.driver(NVME.listed) == Some("pciback") {
            assert_seized_and_told(&seen)?;
            return Ok(SEEN.to_owned());
        }
        for pair in [NETWORK, BEHIND_ROOT_PORT, USB] {
            assert_one_seized(&seen, &pair)?;
        }
        assert_refused_by_xen(&seen)?;
        Ok(SEEN_OF_A_REFUSAL.to_owned())
    })
}

/// Xen before 4.20 cannot reset a device for such a dom0.
#[test]
#[ignore = "make check-reach"]
fn a_pvh_dom0_on_an_older_xen_holds_the_listed_devices() -> Result<()> {
    platform("pvh-on-old-xen", || {
        let seen = boot("pvh-on-old-xen", &sid_on_old_xen()?)?;
        assert_held_and_told(&seen)?;
        assert_claimed(&seen, ROOT_DISK.0, ROOT_DISK.1);
        Ok(SEEN_OF_HELD.to_owned())
    })
}

/// Boots a machine in which Xen has dom0 as a PVH guest.
fn boot(name: &str, image: &Initramfs) -> Result<Evidence> {
    let machine = Machine::dom0(image)
        .memory(3072)
        .with_svm()
        .xen_cmdline("dom0=pvh");
    let seen = asked(machine, "cat /sys/hypervisor/guest_type >guest-type")?.boot(name)?;
    assert_eq!(seen.file("guest-type"), Some("PVH\n"));
    Ok(seen)
}

/// Xen has not let pciback have the disk, no other driver ever had it, and that is told.
fn assert_refused_by_xen(seen: &Evidence) -> Result<()> {
    let address = NVME.listed;
    let log = seen.pciseize_log();
    let is_refusal = |text: &str| text.contains(address) && text.contains(REFUSAL);
    assert!(
        seen.console().iter().any(|line| is_refusal(&line.text)),
        "{log}"
    );
    assert_eq!(seen.driver(address), None, "{log}");
    assert!(seen.successful_probes(address).is_empty(), "{log}");
    let held = seen.function(address).driver_override.as_deref();
    assert_eq!(held, Some("pciback"), "{log}");
    assert_eq!(seen.reported(address)?["outcome"], "held", "{log}");
    assert!(seen.logged(&[address, "EEXIST (17)"]), "{log}");
    assert_failed(seen, "3 of 4", "its reset has emptied its BARs");
    assert_claimed(seen, NVME.twin, NVME.driver);
    assert_claimed(seen, ROOT_DISK.0, ROOT_DISK.1);
    Ok(())
}
