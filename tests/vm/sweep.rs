//! The fault sweep: in a dom0 every system call of a `seize`, of the parent and of its children,
//! fails in turn, and the process is killed at every call in turn.
//!
//! `guest/sweep/` has the program that runs in the guest, and the rules that must hold after each
//! point.
//!
//! - In `make check` each call fails in one way.
//! - `PCISEIZE_SWEEP=full` makes each call fail in every way that it can, from every state of the
//!   machine before a run.
//! - `PCISEIZE_SWEEP=bind=` does the same for the calls whose text contains `bind=`, to repeat a
//!   point.

use anyhow::{Context, Result, ensure};
use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::lab::image::{Generator, Image};
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::lab::progress;

/// Two devices and the drivers that dom0 has for them.
const DEVICES: [(&str, &str); 2] = [("0000:00:04.0", "e1000e"), ("0000:00:08.0", "xhci_hcd")];

/// Fewer points than this are not a sweep.
const LEAST_POINTS: usize = 300;

#[test]
fn every_call_of_a_seizure_may_fail_and_every_process_may_die() -> Result<()> {
    sweep("sweep", 1)
}

/// With two processors the processes run side by side, also inside the kernel.
#[test]
fn every_call_may_fail_on_two_processors() -> Result<()> {
    sweep("sweep-2", 2)
}

fn sweep(name: &str, processors: u32) -> Result<()> {
    let asked = env::var("PCISEIZE_SWEEP").unwrap_or_default();
    let (extent, part) = match asked.as_str() {
        "" => ("quick", ""),
        "full" => ("full", ""),
        part => ("full", part),
    };
    let words = DEVICES
        .map(|(address, driver)| format!("{address}={driver}"))
        .join(" ");
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let seen = Machine::dom0(&image)
        .installed(&Product::install()?)
        .program("lab/sweep", &guest_program()?)
        .cmdline("log_buf_len=32M")
        .work(if extent == "full" { 10 } else { 1 })
        .script(&format!("/lab/sweep {extent} '{part}' {words} >sweep 2>&1"))
        .processors(processors)
        .boot(name)?;

    let told = seen.file("sweep").context("the sweep told nothing")?;
    let end = told.lines().last().unwrap_or_default();
    ensure!(
        end.starts_with("end "),
        "the sweep did not come to its end:\n{told}"
    );
    let wrong: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("wrong "))
        .collect();
    progress::say(&format!("  swept: {end}"));
    assert!(
        wrong.is_empty(),
        "{} things were not as they must be:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    if !part.is_empty() {
        return Ok(());
    }
    let number = |name: &str| {
        end.split_whitespace()
            .find_map(|word| word.strip_prefix(name)?.parse::<usize>().ok())
            .with_context(|| format!("no {name} in {end}"))
    };
    assert!(number("points=")? >= LEAST_POINTS, "{end}");
    assert!(number("in_children=")? >= LEAST_POINTS / 5, "{end}");
    // Now and then a wait ends sooner than in the run that listed the calls.
    assert!(number("missed=")? <= number("points=")? / 50, "{end}");
    // dom0's drivers take a free device when it is offered, so the hold is what keeps them away.
    assert!(number("taken=")? > 0 && number("refused=")? > 0, "{end}");
    Ok(())
}

/// Builds the program for the guest. The laboratory's Debian has the C library of this host.
fn guest_program() -> Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--locked", "--example", "sweep"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    ensure!(
        cargo.status()?.success(),
        "the program for the guest cannot be built"
    );
    Ok(crate::lab::target_directory().join("debug/examples/sweep"))
}
