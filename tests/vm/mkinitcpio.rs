//! An image as mkinitcpio makes it, of what the hook has added through a stand-in for that program
//! (`tests/generators/mkinitcpio`), on Debian's kernel.

use anyhow::Result;

use crate::lab::board;
use crate::lab::image::{Generator, Image, Initramfs};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::{FILE, assert_listed_seized, assert_nothing_touched};

/// The hook stands before udev: no driver is quicker.
#[test]
fn the_hook_before_udev_seizes() -> Result<()> {
    let image = image("base pciseize udev")?;
    let seen = Machine::dom0(&image).boot("mkinitcpio")?;
    assert_listed_seized(&seen)?;
    assert_eq!(seen.report()?["stage"], "initramfs");
    Ok(())
}

/// The control: pciseize is installed, and its hook is not named.
#[test]
fn without_the_hook_nothing_is_seized() -> Result<()> {
    let image = image("base udev")?;
    let seen = Machine::dom0(&image).boot("mkinitcpio-without-hook")?;
    assert_nothing_touched(&seen);
    Ok(())
}

/// An image of these hooks, on a host that lists one device of each pair.
fn image(hooks: &str) -> Result<Initramfs> {
    Image::with(Generator::Mkinitcpio, &Product::install()?)
        .file("/lab/mkinitcpio", include_str!("../generators/mkinitcpio"))
        .file("/lab/hooks", hooks)
        .file(FILE, &board::configuration())
        .build()
}
