//! Runs of `seize` side by side wait for each other. The script is `guest/together`.

use anyhow::{Context, Error, Result};

use crate::FILE;
use crate::lab::board::{self, PAIRS};
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::lab::progress;
use crate::lab::schema::{self, Kind};

const ROUNDS: usize = 20;

/// Three runs each time tell the same, and leave one whole report. Without the lock some of them
/// tell of a device that it is held: on a busy host 2 of 20 rounds, on an idle one fewer, so there
/// is no control.
#[test]
fn three_runs_side_by_side_wait_for_each_other() -> Result<()> {
    let listed = PAIRS
        .iter()
        .map(|pair| pair.listed)
        .collect::<Vec<_>>()
        .join(" ");
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let seen = Machine::dom0(&image)
        .installed(&Product::install()?)
        .file("lab/together", include_str!("guest/together"))
        .file(FILE, &board::configuration())
        .script(&format!("exec bash /lab/together {ROUNDS} '{listed}'"))
        .work(2)
        .boot("together")?;
    let output = seen.file("script.output").unwrap_or_default();
    assert_eq!(seen.file("script.status"), Some("0\n"), "{output}");

    for round in 1..=ROUNDS {
        let told = wrong_words(&seen, round)?;
        assert_eq!(told, [""; 0], "round {round}");
        let report = seen.file(&format!("{round}.report")).context("no report")?;
        let report = schema::read(Kind::Report, report.as_bytes())
            .map_err(|fault| Error::msg(format!("round {round}: {fault}")))?;
        let devices = report["devices"].as_array().context("no devices")?;
        assert_eq!(devices.len(), PAIRS.len(), "round {round}: {report:#}");
        assert!(
            devices.iter().all(|device| device["latest"] == "seized"),
            "round {round}: {report:#}"
        );
    }
    progress::say(&format!("  {ROUNDS} times three runs side by side"));
    Ok(())
}

/// The lines of a round that tell of a device that it is not seized, or of a run that it failed.
fn wrong_words(seen: &Evidence, round: usize) -> Result<Vec<String>> {
    let said = seen
        .file(&format!("{round}.said"))
        .with_context(|| format!("round {round} left nothing"))?;
    let is_wrong = |line: &&str| {
        let is_device = line.contains("pciseize: 0000:") && !line.contains(" seized ");
        let has_failed = line.starts_with("status ") && *line != "status 0";
        is_device || has_failed
    };
    Ok(said.lines().filter(is_wrong).map(str::to_owned).collect())
}
