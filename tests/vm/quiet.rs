//! What a boot with `quiet` shows on the console: one line if all is well, and otherwise a line for
//! everything that is wrong.

use anyhow::Result;

use crate::FILE;
use crate::lab::board::{self, NETWORK};
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;

/// The lines of the program on the console of a boot with `quiet`.
fn lines(generator: Generator, configuration: &str, name: &str) -> Result<Vec<String>> {
    let image = Image::with(generator, &Product::install()?)
        .file(FILE, configuration)
        .build()?;
    let seen = Machine::dom0(&image)
        .attended()
        .cmdline("quiet")
        .boot(name)?;
    // A line of the kernel has its time in front, whether it is shown or not.
    let ours = seen.console().iter().map(|line| line.text.as_str());
    let ours = ours.filter(|line| line.contains("pciseize: "));
    let text = ours.map(|line| line.rsplit_once("] ").map_or(line, |(_, text)| text));
    Ok(text.map(str::to_owned).collect())
}

/// One line, with each way to make images.
#[test]
fn shows_one_line_if_all_is_well() -> Result<()> {
    for (generator, name) in [
        (Generator::InitramfsTools, "quiet"),
        (Generator::Dracut, "quiet-dracut"),
        (
            Generator::DracutWithoutSystemd,
            "quiet-dracut-without-systemd",
        ),
    ] {
        let lines = lines(generator, &board::configuration(), name)?;
        assert_eq!(lines, ["pciseize: 4 of 4 devices seized"], "{name}");
    }
    Ok(())
}

/// A line for each thing that is wrong, with what it is and what to do; nothing of what is well.
#[test]
fn shows_what_is_wrong() -> Result<()> {
    let (good, bridge) = (NETWORK.listed, "0000:00:06.0");
    let configuration = format!("{good}\n{bridge}\n0000:82.0.0\n");
    let lines = lines(Generator::InitramfsTools, &configuration, "quiet-wrong")?;
    let [item, refused, count] = lines.as_slice() else {
        panic!("{lines:#?}");
    };
    assert!(
        item.starts_with("pciseize: /etc/xen/pciback.conf:3:1: \"0000:82.0.0\": did you mean"),
        "{item}"
    );
    assert!(
        refused.starts_with(&format!("pciseize: {bridge} refused (1b36:000c 060400): "))
            && refused.ends_with("asked for at /etc/xen/pciback.conf:2:1"),
        "{refused}"
    );
    assert!(
        count.starts_with("pciseize: 1 of 2 devices seized; problems"),
        "{count}"
    );
    Ok(())
}
