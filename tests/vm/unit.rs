//! The systemd unit of the running host, in a whole boot with Xen's own services.

use anyhow::{Context, Result};

use crate::lab::board::{self, NVME, PAIRS, USB};
use crate::lab::image::Generator;
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::{FILE, assert_claimed, image_without_module};

/// Replaces the first program once everything is on the real root: enables the unit, arranges for
/// the evidence at the end of the boot, and continues as systemd.
const INIT: &str = "#!/bin/sh
wants=/etc/systemd/system/multi-user.target.wants
mkdir -p $wants
ln -s /usr/lib/systemd/system/pciseize.service $wants/
ln -s /etc/systemd/system/evidence.service $wants/
exec /lib/systemd/systemd
";

/// A unit that collects the evidence and ends the machine.
const EVIDENCE: &str = "[Unit]
After=pciseize.service xen.service
[Service]
Type=oneshot
ExecStart=/test-init
";

/// Saves when each unit began or finished, by the kernel's clock.
const SCRIPT: &str = "
systemctl show --property=Result --property=ActiveState \\
    --property=InactiveExitTimestampMonotonic --property=ActiveEnterTimestampMonotonic \\
    pciseize.service >unit
systemctl show --property=InactiveExitTimestampMonotonic xen.service >xen
xl pci-assignable-list >assignable
";

/// An image without the module has left the devices held, and another device is asked for only by
/// the host's file. The unit gives all of them to pciback, before Xen's services begin.
#[test]
fn the_unit_finishes_what_the_image_has_begun() -> Result<()> {
    let late = NVME.twin;
    let image = image_without_module(Generator::InitramfsTools)?;
    let seen = Machine::dom0(&image)
        .installed(&Product::install()?)
        .file(FILE, &format!("{}{late}\n", board::configuration()))
        .file("lab/init", INIT)
        .file("etc/systemd/system/evidence.service", EVIDENCE)
        .script(SCRIPT)
        .boot("unit")?;
    let file = |name: &str| {
        seen.file(name).with_context(|| {
            format!(
                "the script wrote no {name}: {:?}",
                seen.file("script.output")
            )
        })
    };
    let unit = file("unit")?;
    let property = |text: &str, name: &str| -> Result<String> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(str::to_owned)
            .with_context(|| format!("no {name}:\n{text}"))
    };
    assert_eq!(
        (
            property(unit, "Result")?.as_str(),
            property(unit, "ActiveState")?.as_str()
        ),
        ("success", "active"),
        "{unit}"
    );
    for address in PAIRS.map(|pair| pair.listed).into_iter().chain([late]) {
        assert_eq!(seen.driver(address), Some("pciback"), "{address}");
        assert_eq!(seen.reported(address)?["latest"], "seized", "{address}");
        assert!(
            file("assignable")?.contains(address),
            "{address}: {}",
            file("assignable")?
        );
    }
    for pair in PAIRS {
        assert_eq!(
            seen.probes(pair.listed).len(),
            1,
            "{}: only pciback probes the device",
            pair.model
        );
        assert_eq!(
            seen.reported(pair.listed)?["outcome"],
            "held",
            "{}",
            pair.model
        );
    }
    assert_eq!(seen.reported(late)?["origin"], NVME.driver);
    assert_claimed(&seen, USB.twin, USB.driver);
    let time = |text: &str, name: &str| -> Result<u64> { Ok(property(text, name)?.parse()?) };
    let (seized, begun) = (
        time(unit, "ActiveEnterTimestampMonotonic")?,
        time(file("xen")?, "InactiveExitTimestampMonotonic")?,
    );
    assert!(
        seized > 0 && seized <= begun,
        "seized at {seized}, Xen's services begin at {begun}"
    );
    Ok(())
}
