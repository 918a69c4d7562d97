//! Boots that must stop if something is not as asked: they stop at a shell, and continue when the
//! shell is left. Other boots never stop.

use anyhow::Result;

use crate::lab::board::{self, NETWORK, PAIRS};
use crate::lab::debian::Suite;
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image, Initramfs};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::{FILE, assert_listed_seized, assert_nothing_touched, tell_times};

/// A requested device that is absent.
const ABSENT: &str = "0000:00:1e.0";

/// The last message of the program when it stops a boot.
const STOPS: &str = "pciseize: strict: the boot stops here";

/// initramfs-tools: its shell appears below the messages of pciseize. Leaving the shell continues
/// the boot.
#[test]
fn initramfs_tools_stops_a_strict_boot_until_the_shell_is_left() -> Result<()> {
    let image = image(Generator::InitramfsTools, Suite::Bookworm)?;
    let seen = Machine::dom0(&image)
        .cmdline("pciseize.strict")
        .answer("(initramfs)", "exit")
        .boot("strict-initramfs-tools")?;
    assert_stopped_once(&seen, "(initramfs)")
}

/// With `panic=5` the boot waits for no keyboard: the machine restarts. (QEMU ends there; the real
/// root is not reached.)
#[test]
fn initramfs_tools_with_panic_reboots_a_strict_boot() -> Result<()> {
    let image = image(Generator::InitramfsTools, Suite::Bookworm)?;
    let console = Machine::dom0(&image)
        .attended()
        .cmdline("pciseize.strict")
        .cmdline("panic=5")
        .boot_to_any_end("strict-panic")?;
    assert!(
        console.shows(STOPS) && console.shows("Rebooting automatically"),
        "{}",
        console.last_words("ended")
    );
    Ok(())
}

/// dracut with systemd: the emergency shell appears. Leaving it continues the boot, and pciseize
/// does not run again.
#[test]
fn dracut_stops_a_strict_boot_until_the_shell_is_left() -> Result<()> {
    let image = image(Generator::Dracut, Suite::Bookworm)?;
    let seen = Machine::dom0(&image)
        .cmdline("pciseize.strict")
        .answer("Control-D", "")
        .answer("# ", "exit")
        .boot("strict-dracut")?;
    assert_stopped_once(&seen, "Control-D")
}

/// Debian 13 allows no login to an image whose root is locked, so systemd asks for a key instead of
/// starting a shell. The key continues the boot too.
#[test]
fn debian_13_dracut_stops_a_strict_boot_until_a_key_is_pressed() -> Result<()> {
    let image = image(Generator::Dracut, Suite::Trixie)?;
    let seen = Machine::dom0(&image)
        .cmdline("pciseize.strict")
        .answer("Press Enter", "")
        .boot("strict-debian-13-dracut")?;
    assert_stopped_once(&seen, "Press Enter")
}

/// dracut without systemd: the same.
#[test]
fn dracut_without_systemd_stops_a_strict_boot_until_the_shell_is_left() -> Result<()> {
    let image = image(Generator::DracutWithoutSystemd, Suite::Bookworm)?;
    let seen = Machine::dom0(&image)
        .cmdline("pciseize.strict")
        .answer("pciseize:/#", "exit")
        .boot("strict-dracut-without-systemd")?;
    assert_stopped_once(&seen, "pciseize:/#")
}

/// Without strict the same configuration stops no boot, even one with a shell available.
#[test]
fn dracut_boots_through_where_strict_is_not_set() -> Result<()> {
    let image = image(Generator::Dracut, Suite::Bookworm)?;
    let seen = Machine::dom0(&image).attended().boot("not-strict-dracut")?;
    assert_listed_seized(&seen)?;
    assert_eq!(seen.reported(ABSENT)?["outcome"], "absent");
    Ok(())
}

/// Only exit status 3 stops a boot; even a program that crashes does not.
#[test]
fn dracut_boots_through_where_the_program_dies() -> Result<()> {
    let stand_in = "#!/bin/sh\necho 'stand-in: dies' >/dev/kmsg\nkill -SEGV $$\n";
    let image = Image::with(Generator::Dracut, &Product::install()?)
        .file("/usr/sbin/pciseize", stand_in)
        .build()?;
    let seen = Machine::dom0(&image)
        .attended()
        .cmdline("pciseize.strict")
        .boot("dying-dracut")?;
    assert_eq!(
        seen.kernel_log("stand-in: dies").count(),
        1,
        "it has not run"
    );
    assert_nothing_touched(&seen);
    Ok(())
}

/// An image whose file lists one device of each pair, and an absent one.
fn image(generator: Generator, suite: Suite) -> Result<Initramfs> {
    let text = format!("{}{ABSENT}\n", board::configuration());
    Image::with(generator, &Product::install()?)
        .on(suite)
        .file(FILE, &text)
        .build()
}

/// The boot stopped at this prompt, after the message about the absent device, and continued to the
/// real root.
fn assert_stopped_once(seen: &Evidence, prompt: &str) -> Result<()> {
    assert_listed_seized(seen)?;
    tell_times(seen);
    assert_eq!(seen.reported(ABSENT)?["outcome"], "absent");
    let at = |text: &str| {
        seen.console()
            .iter()
            .position(|line| line.text.contains(text))
    };
    let (told, stopped, prompted) = (at(ABSENT), at(STOPS), at(prompt));
    assert!(
        told.is_some() && told < stopped && stopped < prompted,
        "{told:?} {stopped:?} {prompted:?}"
    );
    let stood = prompted.map(|line| seen.console()[line].at.as_secs_f64());
    assert!(
        stood < seen.seconds_to(&format!("probe of {} returned 0", NETWORK.twin)),
        "a driver came while the shell stood"
    );
    assert_eq!(
        seen.kernel_log(STOPS).count(),
        1,
        "it ran once:\n{}",
        seen.pciseize_log()
    );
    assert_eq!(
        PAIRS.len(),
        seen.kernel_log("seized ").count(),
        "{}",
        seen.pciseize_log()
    );
    Ok(())
}
