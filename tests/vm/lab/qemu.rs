//! A newer QEMU than this host's: Debian 13's packages, unpacked in the cache and not installed. It
//! has `igb`, a network card with virtual functions.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use super::{
    cache::{self, Ingredients},
    debian::{self, Suite},
    progress,
};

/// What is unpacked, with all that it depends on.
const PACKAGES: &str = "qemu-system-x86,seabios";

/// Where a tree of Debian 13 has its libraries, and the program that loads them.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// The unpacked packages.
#[derive(Clone)]
pub struct NewerQemu {
    tree: PathBuf,
}

impl NewerQemu {
    /// Gets them from the cache, or downloads them: some 100 MB.
    pub fn unpack() -> Result<Self> {
        let ingredients = Ingredients::of("qemu").with("packages", PACKAGES);
        let entry = cache::entry(&ingredients, 1, |entry| {
            progress::step("unpacking the QEMU of Debian 13", || {
                let options = ["--dpkgopt=path-exclude=/usr/share/doc/*"];
                debian::unpack(Suite::Trixie, PACKAGES, &options, entry)
            })
        })?;
        let tree = entry.join("tree");
        Ok(Self { tree })
    }

    /// Its program, without arguments. The host's C library is too old for it, so its own loader
    /// starts it, with its own libraries, modules and firmware.
    pub fn command(&self) -> Command {
        let libraries = self.tree.join(LIBRARIES);
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries);
        command.arg(self.tree.join("usr/bin/qemu-system-x86_64"));
        command.env("QEMU_MODULE_DIR", libraries.join("qemu"));
        for firmware in ["qemu", "seabios"] {
            command
                .arg("-L")
                .arg(self.tree.join("usr/share").join(firmware));
        }
        command
    }
}
