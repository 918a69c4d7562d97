//! pciseize as a distribution would package it: the files that `make install` puts into an empty
//! root.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::Result;
use tempfile::TempDir;

use super::cache::{self, Ingredients};
use super::{once, progress, repository, tool};

/// An installed tree, in the cache under the hash of its content.
#[derive(Clone)]
pub struct Product {
    pub tree: PathBuf,
}

impl Product {
    /// Builds this checkout and installs it, once for all tests of a run.
    pub fn install() -> Result<Self> {
        static INSTALLED: Mutex<Option<Product>> = Mutex::new(None);
        once(&INSTALLED, || {
            progress::step(
                "building pciseize and installing it into an empty root",
                || {
                    let root = TempDir::new()?;
                    install_into(root.path())?;
                    store(root.path())
                },
            )
        })
    }

    /// The same for 64-bit ARM.
    pub fn install_for_arm() -> Result<Self> {
        static INSTALLED: Mutex<Option<Product>> = Mutex::new(None);
        once(&INSTALLED, || {
            progress::step("building pciseize for 64-bit ARM", || {
                make(&["release-aarch64".into()])?;
                let root = TempDir::new()?;
                make_install(
                    root.path(),
                    &["PROGRAM=target/aarch64/pciseize".into(), "install".into()],
                )?;
                store(root.path())
            })
        })
    }

    /// Builds and installs this checkout with a configuration embedded in the binary.
    pub fn install_with_embedded(configuration: &str) -> Result<Self> {
        progress::step("building pciseize with an embedded configuration", || {
            let root = TempDir::new()?;
            install_into(root.path())?;
            let file = root.path().join("embedded.conf");
            fs::write(&file, configuration)?;
            let binary = root.path().join("usr/sbin/pciseize");
            make(&[
                "embed".into(),
                argument("CONFIG", &file),
                argument("BINARY", &binary),
            ])?;
            fs::remove_file(&file)?;
            store(root.path())
        })
    }
}

fn install_into(root: &Path) -> Result<()> {
    // `make install` alone would install an existing program, however old.
    make_install(root, &["build".into(), "install".into()])
}

/// Runs `make` with these goals and variables for an empty root.
fn make_install(root: &Path, goals: &[String]) -> Result<()> {
    let places = [argument("DESTDIR", root), "PREFIX=/usr".into()];
    make(&[goals, &places].concat())?;
    // Documentation does not change a boot, and a changed README must not make every image anew.
    for folder in ["doc", "man"] {
        fs::remove_dir_all(root.join("usr/share").join(folder))?;
    }
    Ok(())
}

/// A variable for `make`.
pub fn argument(name: &str, value: &Path) -> String {
    format!("{name}={}", value.display())
}

/// Runs `make` with these arguments in the checkout.
pub fn make(arguments: &[String]) -> Result<()> {
    let mut command = Command::new("make");
    command
        .arg("--no-print-directory")
        .arg("-C")
        .arg(repository())
        .args(arguments);
    // Variables set by a calling `make` must not reach this one.
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR", "PREFIX"] {
        command.env_remove(variable);
    }
    tool::run(command)?;
    Ok(())
}

fn store(root: &Path) -> Result<Product> {
    let mut ingredients = Ingredients::of("product");
    for (name, path) in files(root, root)? {
        let mode = fs::metadata(&path)?.permissions().mode();
        ingredients = ingredients.with(&format!("{name} {mode:o}"), fs::read(&path)?);
    }
    let entry = cache::entry(&ingredients, 16, |entry| {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(root).arg(entry.join("tree"));
        tool::run(copy)?;
        // Other users cannot enter a temporary directory, but everyone must be able to enter a
        // root.
        fs::set_permissions(entry.join("tree"), fs::Permissions::from_mode(0o755))?;
        Ok(())
    })?;
    Ok(Product {
        tree: entry.join("tree"),
    })
}

/// All files below a folder, by name.
fn files(root: &Path, folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        if path.is_dir() {
            found.extend(files(root, &path)?);
        } else {
            found.insert(path.strip_prefix(root)?.display().to_string(), path);
        }
    }
    Ok(found)
}
