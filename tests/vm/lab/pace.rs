//! The speed of this host: the duration of a stock boot, from which the limits of all boots follow.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::cache::{self, Ingredients};
use super::debian::Suite;
use super::image::{Generator, Image};
use super::machine::Machine;
use super::watch::Limits;

/// A machine may stand still for this many stock boots. Boots of other kinds take up to four times
/// as long as the stock one, and none is silent for more than a part of its duration.
const STILL: u32 = 4;

/// A machine may last this many stock boots. The longest of `make check` lasts some 20.
const MOST: u32 = 80;

/// The limits of the stock boot itself, while the speed of this host is unknown.
const UNKNOWN: Limits = Limits {
    still: Duration::from_secs(900),
    most: Duration::from_secs(7200),
};

/// The time that a stock dom0 needs on this host to boot and shut down. It is measured once and
/// kept in the cache.
pub fn stock_boot() -> Result<Duration> {
    let image = Image::stock(Generator::InitramfsTools)
        .on(Suite::Bookworm)
        .build()?;
    let ingredients = Ingredients::of("pace").with("debian", &image.debian.identity);
    let ingredients = ingredients.with("processors", processors()?);
    let entry = cache::entry(&ingredients, 2, |entry| {
        let seen = Machine::dom0(&image).limits(UNKNOWN).boot("pace")?;
        Ok(fs::write(
            entry.join("seconds"),
            seen.seconds().to_string(),
        )?)
    })?;
    let text = fs::read_to_string(entry.join("seconds"))?;
    Ok(Duration::from_secs_f64(text.parse().context(text)?))
}

/// The limits of a machine with the work of `usual` usual ones.
pub fn limits(usual: u32) -> Result<Limits> {
    let stock = stock_boot()?;
    Ok(Limits {
        still: stock * STILL,
        most: stock * MOST * usual,
    })
}

/// The models of this host's processors, one a line.
fn processors() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    Ok(text
        .lines()
        .filter(|line| line.starts_with("model name"))
        .collect())
}
