//! Boots of Debian 12 in which more happens before the real root is there.

use anyhow::{Result, ensure};

use super::platform;
use crate::lab::board::PAIRS;
use crate::lab::debian::Suite;
use crate::lab::image::Generator;
use crate::lab::machine::Machine;
use crate::{assert_listed_seized, listing_image};

#[test]
#[ignore = "make check-reach"]
fn smp_initramfs_tools() -> Result<()> {
    platform("smp-initramfs-tools", || smp(Generator::InitramfsTools))
}

#[test]
#[ignore = "make check-reach"]
fn smp_dracut() -> Result<()> {
    platform("smp-dracut", || smp(Generator::Dracut))
}

/// Two processors load drivers side by side. No driver of dom0 gets a listed device; the twins, which
/// are the control, have theirs.
fn smp(generator: Generator) -> Result<String> {
    let image = listing_image(generator, Suite::Bookworm)?;
    let seen = Machine::dom0(&image)
        .processors(2)
        .script("nproc >processors")
        .boot(&format!("reach-smp-{}", generator.name()))?;
    ensure!(
        seen.file("processors") == Some("2\n"),
        "dom0 has these processors: {:?}",
        seen.file("processors")
    );
    assert_listed_seized(&seen)?;
    Ok(format!(
        "{0} of {0} seized on two processors; the unlisted twins and the root disk have their drivers",
        PAIRS.len()
    ))
}
