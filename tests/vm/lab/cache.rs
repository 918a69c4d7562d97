//! Keeps what is slow to make: `$XDG_CACHE_HOME/pciseize/KIND-KEY`, where KEY is a hash of everything that went into it.
//!
//! An entry is made under another name and renamed when it is whole, so there are no half-made ones.
//! A lock beside it makes a second thread, or a second checkout, wait instead of making the same thing again.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::tool;

/// Everything that goes into an entry.
#[derive(Clone)]
pub struct Ingredients {
    kind: String,
    hash: Sha256,
}

impl Ingredients {
    /// Nothing yet, for an entry of this kind.
    pub fn of(kind: &str) -> Self {
        Self { kind: kind.to_owned(), hash: Sha256::new() }
    }

    /// Adds one: its name and its whole content.
    pub fn with(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), content.as_ref()] {
            self.hash.update((part.len() as u64).to_le_bytes());
            self.hash.update(part);
        }
        self
    }

    fn entry_name(&self) -> String {
        let digest = self.hash.clone().finalize();
        let key: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{key}", self.kind)
    }
}

/// The directory of this entry. If there is none, `make` fills an empty directory, which then becomes the entry.
///
/// Of each kind, the `keep` entries that were used last stay.
pub fn entry(ingredients: &Ingredients, keep: usize, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = directory()?;
    let name = ingredients.entry_name();
    let whole = cache.join(&name);
    let lock = File::create(lock_of(&whole))?;
    lock.lock()?;
    if !whole.exists() {
        let partial = cache.join(format!("{name}.partial"));
        remove(&partial)?;
        fs::create_dir(&partial)?;
        make(&partial).with_context(|| format!("cannot make the cache entry {name}"))?;
        fs::rename(&partial, &whole)?;
        prune(&cache, &ingredients.kind, keep)?;
    }
    lock.set_modified(SystemTime::now())?;
    Ok(whole)
}

fn directory() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(base) if !base.is_empty() => PathBuf::from(base),
        _ => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache"),
    };
    let cache = base.join("pciseize");
    fs::create_dir_all(&cache)?;
    Ok(cache)
}

fn lock_of(entry: &Path) -> PathBuf {
    entry.with_added_extension("lock")
}

/// Removes the entries of a kind that were not used for longest, except those that somebody has locked.
fn prune(cache: &Path, kind: &str, keep: usize) -> Result<()> {
    let prefix = format!("{kind}-");
    let mut entries = Vec::new();
    for item in fs::read_dir(cache)? {
        let entry = item?.path();
        let ours = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
        if ours && entry.extension().is_none() {
            entries.push((fs::metadata(lock_of(&entry))?.modified()?, entry));
        }
    }
    entries.sort();
    let surplus = entries.len().saturating_sub(keep);
    for (_, entry) in &entries[..surplus] {
        let lock = File::create(lock_of(entry))?;
        if lock.try_lock().is_ok() {
            remove(entry)?;
        }
    }
    Ok(())
}

/// Removes a tree, also where parts of it belong to root.
fn remove(tree: &Path) -> Result<()> {
    if tree.exists() {
        let mut command = tool::as_root("rm");
        command.args(["-rf", "--one-file-system", "--"]).arg(tree);
        tool::run(command)?;
    }
    Ok(())
}
