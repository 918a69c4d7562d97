//! What a user does who is locked out (docs/guide.md): adds `pciseize.off` in GRUB, for one boot.
//! The test sits at the serial console, and edits the entry in GRUB's own menu.

use anyhow::{Context, Result};

use crate::lab::debian::Suite;
use crate::lab::grub::Act;
use crate::lab::image::Generator;
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::{assert_listed_seized, assert_nothing_touched, listing_image};

const OFF: &str = " pciseize.off";

/// The lines of the entry, by the beginnings that the guide names.
const LINUX: &str = "module2 /boot/vmlinuz";
const XEN: &str = "multiboot2 /boot/xen";

/// The control: the entry as it is. GRUB boots Xen, and the listed devices are seized. The first
/// word of each command line, GRUB's `placeholder`, is no problem.
#[test]
fn an_entry_as_it_is_seizes_the_listed_devices() -> Result<()> {
    let image = listing_image(Generator::InitramfsTools, Suite::Bookworm)?;
    let seen = Machine::dom0(&image)
        .with_grub(Act::Boot)
        .boot("grub-as-it-is")?;
    assert_listed_seized(&seen)?;
    let report = seen.report()?;
    assert_eq!(
        report["problems"].as_array().map(Vec::len),
        Some(0),
        "{report:#}"
    );
    Ok(())
}

/// At the end of the line of Linux: no device is touched, and the log says why.
#[test]
fn off_on_the_line_of_linux_leaves_all_devices_alone() -> Result<()> {
    let image = listing_image(Generator::InitramfsTools, Suite::Bookworm)?;
    let seen = Machine::dom0(&image)
        .with_grub(Act::Edit {
            line: LINUX,
            text: OFF,
        })
        .boot("grub-off-for-linux")?;
    assert_nothing_touched(&seen);
    assert!(seen.logged(&["switched off"]), "{}", seen.pciseize_log());
    Ok(())
}

/// At the end of the line of Xen, by mistake: the listed devices are seized all the same, and
/// `status` says that it does nothing there.
#[test]
fn off_on_the_line_of_xen_does_nothing_and_status_says_so() -> Result<()> {
    let image = listing_image(Generator::InitramfsTools, Suite::Bookworm)?;
    let seen = Machine::dom0(&image)
        .with_grub(Act::Edit {
            line: XEN,
            text: OFF,
        })
        .installed(&Product::install()?)
        .script("modprobe xen-privcmd; pciseize status >status 2>&1")
        .boot("grub-off-for-xen")?;
    assert_listed_seized(&seen)?;
    let status = seen.file("status").context("no status was written")?;
    assert!(
        status.contains("on Xen's command line, where it does nothing: pciseize.off"),
        "{status}"
    );
    Ok(())
}
