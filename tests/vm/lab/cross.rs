//! A C compiler and musl for 64-bit ARM: Debian 12's packages, unpacked in the cache and not
//! installed. So this machine does not become one of two architectures.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result};

use super::{
    cache::{self, Ingredients},
    debian::{self, Suite},
    progress,
};

/// What is unpacked, with all that it depends on.
const PACKAGES: &str = "gcc-aarch64-linux-gnu,musl-dev:arm64";

/// The unpacked packages.
pub struct Cross {
    tree: PathBuf,
}

impl Cross {
    /// Gets them from the cache, or downloads them: some 60 MB.
    pub fn unpack() -> Result<Self> {
        let ingredients = Ingredients::of("cross").with("packages", PACKAGES);
        let entry = cache::entry(&ingredients, 1, |entry| {
            progress::step("unpacking a compiler for 64-bit ARM", || {
                let options = ["--architectures=amd64,arm64"];
                debian::unpack(Suite::Bookworm, PACKAGES, &options, entry)
            })
        })?;
        Ok(Self {
            tree: entry.join("tree"),
        })
    }

    /// The folder of musl's `libc.a` and start files.
    pub fn musl(&self) -> PathBuf {
        self.tree.join("usr/lib/aarch64-linux-musl")
    }

    /// Runs the compiler in `folder`. It finds its own parts beside itself; the libraries that it
    /// is linked with are those of this machine's release of Debian.
    pub fn gcc(&self, folder: &Path, arguments: &[String]) -> Result<Output> {
        let compiler = self.tree.join("usr/bin/aarch64-linux-gnu-gcc");
        Command::new(&compiler)
            .args(arguments)
            .current_dir(folder)
            .env(
                "LD_LIBRARY_PATH",
                self.tree.join("usr/lib/x86_64-linux-gnu"),
            )
            .output()
            .with_context(|| format!("cannot start {}", compiler.display()))
    }
}
