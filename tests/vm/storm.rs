//! A storm: udev, modprobe and others keep asking for the devices while they are seized, many times
//! in one boot. The script is `guest/storm`.

use anyhow::{Context, Error, Result};

use crate::FILE;
use crate::lab::board::{self, PAIRS};
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::lab::progress;
use crate::lab::schema::{self, Kind};

const REPETITIONS: usize = 20;

/// The logged result of a driver that matched before the hold and then waited for the device's
/// lock: the kernel matches again before it calls the driver (ENODEV; `pci-driver.c`,
/// `__pci_device_probe`).
const REFUSED: i64 = 19;

/// From the hold on, only pciback probes the listed devices. At the end all are seized, while their
/// twins change drivers all the time.
#[test]
fn drivers_that_are_asked_for_all_the_while_get_nothing_once_it_is_held() -> Result<()> {
    storm("storm", 1)
}

#[test]
fn drivers_get_nothing_on_two_processors() -> Result<()> {
    storm("storm-2", 2)
}

fn storm(name: &str, processors: u32) -> Result<()> {
    let [listed, twins] = [
        |pair: &board::Pair| pair.listed,
        |pair: &board::Pair| pair.twin,
    ]
    .map(|address| {
        PAIRS
            .iter()
            .map(|pair| format!("{}={}", address(pair), pair.driver))
            .collect::<Vec<_>>()
            .join(" ")
    });
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let seen = Machine::dom0(&image)
        .installed(&Product::install()?)
        .file("lab/storm", include_str!("guest/storm"))
        .file(FILE, &board::configuration())
        .cmdline("pciseize.debug")
        .cmdline("log_buf_len=32M")
        .script(&format!(
            "exec sh /lab/storm {REPETITIONS} '{listed}' '{twins}'"
        ))
        .processors(processors)
        .boot(name)?;
    let file = |name: String| {
        seen.file(&name).with_context(|| {
            format!(
                "the script wrote no {name}: {:?}",
                seen.file("script.output")
            )
        })
    };
    assert_eq!(
        file("script.status".into())?,
        "0\n",
        "{}",
        file("script.output".into())?
    );

    let (mut before, mut twins, mut refusals) = (0, 0, 0);
    for round in 1..=REPETITIONS {
        let time = |what: &str| {
            seen.time_of(&format!("storm: {round} {what}"))
                .with_context(|| format!("round {round} has not reached \"{what}\""))
        };
        let (begins, ends) = (time("begins")?, time("ends")?);
        let said: Vec<&str> = seen
            .kernel_log("pciseize: ")
            .skip_while(|line| stamp(line) < begins)
            .take_while(|line| stamp(line) < ends)
            .collect();
        let held = said
            .iter()
            .find(|line| line.contains("held;"))
            .map(|line| stamp(line))
            .with_context(|| format!("round {round}: {said:#?}"))?;
        let status = file(format!("status.{round}"))?;
        assert_eq!(status, "0\n", "round {round}: {said:#?}");
        let report = file(format!("report.{round}"))?;
        let report = schema::read(Kind::Report, report.as_bytes()).map_err(Error::msg)?;
        let devices = report["devices"]
            .as_array()
            .context("the report has no devices")?;
        assert_eq!(devices.len(), PAIRS.len(), "round {round}: {report:#}");
        assert!(
            devices.iter().all(|device| device["latest"] == "seized"),
            "round {round}: {report:#}"
        );
        for pair in PAIRS {
            let between = |address, from, to| {
                seen.probes(address)
                    .into_iter()
                    .filter(|probe| (from..to).contains(&probe.at))
                    .collect::<Vec<_>>()
            };
            let probes = between(pair.listed, held, ends);
            let (taken, refused): (Vec<_>, Vec<_>) =
                probes.iter().partition(|probe| probe.result != REFUSED);
            refusals += refused.len();
            assert!(
                taken.len() == 1 && taken[0].result == 0,
                "round {round}, {}: only pciback probes the device: {probes:?}\n{said:#?}",
                pair.model
            );
            let driver = format!("{} pciback", pair.listed);
            assert!(
                file(format!("drivers.{round}"))?
                    .lines()
                    .any(|line| line == driver),
                "round {round}: {}",
                file(format!("drivers.{round}"))?
            );
            let others = between(pair.twin, held, ends).len();
            assert!(
                others > 0,
                "round {round}: there was no storm: no driver probed {}",
                pair.twin
            );
            twins += others;
            before += between(pair.listed, begins, held).len();
        }
    }
    assert!(before > 0, "no driver ever probed a listed device");
    progress::say(&format!(
        "  storm: {REPETITIONS} rounds; {before} probes of listed devices before the hold; after \
         it only pciback's, and {refusals} refused by the kernel; {twins} probes of their twins"
    ));
    Ok(())
}

/// The time stamp of a line of the kernel log.
fn stamp(line: &str) -> f64 {
    line.trim_start_matches('[')
        .split(']')
        .next()
        .and_then(|time| time.trim().parse().ok())
        .unwrap_or(f64::NAN)
}
