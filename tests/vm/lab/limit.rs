//! The program that gives devices to pciback all at once (`benches/guest/limit.rs`).

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use super::{repository, target_directory};

/// Builds the program. The laboratory's Debian has the C library of this machine.
pub fn build() -> Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--locked", "--example", "limit"])
        .current_dir(repository());
    ensure!(cargo.status()?.success(), "the limit cannot be built");
    Ok(target_directory().join("debug/examples/limit"))
}
