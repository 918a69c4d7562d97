//! Binds to pciback, looked at inside the kernel by kprobes: their beginnings are kept apart, their
//! resets overlap. The script is `guest/binds`.
//!
//! pciback adds each device to a list without a lock at the beginning of its probe
//! (`conf_space_quirks.c`, `xen_pcibk_config_quirks_init`).

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::lab::image::{Generator, Image};
use crate::lab::limit;
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::lab::progress;

/// Devices with a function-level reset.
const DEVICES: usize = 8;

const SEIZURES: usize = 20;
const CONTROLS: usize = 8;

/// What was seen of the binds of one round.
#[derive(Debug, Default)]
struct Seen {
    /// Devices that were added to the list.
    listed: usize,
    /// Probes that began before another had added its device to the list.
    too_early: usize,
    /// Probes that began before another had returned.
    overlapping: usize,
}

/// `pciseize seize` never begins a probe while another is at its beginning, and yet the probes
/// overlap. The control binds all devices at once, and so begins some too early.
#[test]
fn beginnings_of_binds_never_overlap_and_resets_do() -> Result<()> {
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let seen = Machine::dom0(&image)
        .processors(2)
        .devices(devices())
        .cmdline("modprobe.blacklist=nvme")
        .installed(&Product::install()?)
        .file("lab/binds", include_str!("guest/binds"))
        .program("lab/limit", &limit::build()?)
        .script(&format!("exec bash /lab/binds {SEIZURES} {CONTROLS}"))
        .work(4)
        .boot("binds")?;
    let output = seen.file("script.output").unwrap_or_default();
    assert_eq!(seen.file("script.status"), Some("0\n"), "{output}");
    let total = |way: &str, rounds: usize| -> Result<Seen> {
        let mut total = Seen::default();
        for round in 1..=rounds {
            let trace = seen.file(&format!("{way}.{round}")).context("no trace")?;
            let seen = read(trace).with_context(|| format!("{way} {round}"))?;
            assert_eq!(seen.listed, DEVICES, "{way} {round}: {trace}");
            if way == "seize" {
                assert_eq!(seen.too_early, 0, "round {round}: {trace}");
                assert!(seen.overlapping > 0, "round {round}: {trace}");
            }
            total.listed += seen.listed;
            total.too_early += seen.too_early;
            total.overlapping += seen.overlapping;
        }
        Ok(total)
    };
    let (seizures, controls) = (total("seize", SEIZURES)?, total("control", CONTROLS)?);
    progress::say(&format!("  seizures {seizures:?}, control {controls:?}"));
    assert!(
        controls.too_early > 0,
        "the control has shown nothing: {controls:?}"
    );
    Ok(())
}

/// QEMU's devices: each has a slot for itself, behind a root port.
fn devices() -> Vec<String> {
    let ports = (0..DEVICES).map(|at| {
        format!("pcie-root-port,id=port{at},chassis={at},addr=4.{at:#x},multifunction=on")
    });
    let cards = (0..DEVICES).map(|at| format!("nvme,bus=port{at},serial=nvme{at}"));
    ports.chain(cards).collect()
}

/// How far a probe has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Probe {
    Begun,
    Listed,
}

/// Reads a trace. Each bind is a process or thread of its own.
fn read(trace: &str) -> Result<Seen> {
    let mut open = BTreeMap::new();
    let mut seen = Seen::default();
    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(who), Some(event)) = (words.first(), words.get(4)) else {
            bail!("not an event: {line}");
        };
        match *event {
            "probe:" => {
                seen.overlapping += usize::from(!open.is_empty());
                let is_begun = |other: &Probe| *other == Probe::Begun;
                seen.too_early += usize::from(open.values().any(is_begun));
                open.insert(who.to_string(), Probe::Begun);
            }
            "listed:" => {
                seen.listed += 1;
                *open.get_mut(*who).context("listed but not begun")? = Probe::Listed;
            }
            // While its module is loaded pciback probes every device that has no driver. Those that
            // are not meant for it are never listed.
            "probed:" => drop(open.remove(*who).context("ended but not begun")?),
            _ => bail!("an unknown event: {line}"),
        }
    }
    Ok(seen)
}
