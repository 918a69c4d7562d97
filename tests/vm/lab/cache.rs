//! A cache for files that are slow to make: `$XDG_CACHE_HOME/pciseize/KIND-KEY`, where KEY is a
//! hash of all inputs.
//!
//! An entry is made under another name and renamed when it is complete, so no entry is ever
//! incomplete. A lock beside it makes a second thread or checkout wait instead of making the same
//! entry again.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::tool;

/// The inputs of an entry.
#[derive(Clone)]
pub struct Ingredients {
    kind: String,
    hash: Sha256,
}

impl Ingredients {
    /// An entry of this kind, without inputs yet.
    pub fn of(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            hash: Sha256::new(),
        }
    }

    /// Adds an input: its name and its whole content.
    pub fn with(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), content.as_ref()] {
            self.hash.update((part.len() as u64).to_le_bytes());
            self.hash.update(part);
        }
        self
    }

    fn entry_name(&self) -> String {
        let digest = self.hash.clone().finalize();
        let key: String = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{}-{key}", self.kind)
    }
}

/// The directory of this entry. If there is none, `make` fills an empty directory, which then
/// becomes the entry.
///
/// The `keep` entries of this kind that were used last stay in the cache.
pub fn entry(
    ingredients: &Ingredients,
    keep: usize,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    entry_in(&directory()?, ingredients, keep, make)
}

fn entry_in(
    cache: &Path,
    ingredients: &Ingredients,
    keep: usize,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let whole = cache.join(ingredients.entry_name());
    let lock = File::create(lock_of(&whole))?;
    lock.lock()?;
    lock.set_modified(SystemTime::now())?; // the time of the last use
    if !whole.exists() {
        let partial = partial_of(&whole);
        remove(&partial)?;
        fs::create_dir(&partial)?;
        make(&partial).with_context(|| format!("cannot make {}", whole.display()))?;
        fs::rename(&partial, &whole)?;
        prune(cache, &ingredients.kind, keep)?;
    }
    Ok(whole)
}

/// Runs `act` in the cache folder of this name, under a lock. The folder keeps its content.
pub fn folder<T>(name: &str, act: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let folder = directory()?.join(name);
    let lock = File::create(lock_of(&folder))?;
    lock.lock()?;
    fs::create_dir_all(&folder)?;
    act(&folder)
}

fn directory() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(base) if !base.is_empty() => PathBuf::from(base),
        _ => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?)
            .join(".cache"),
    };
    let cache = base.join("pciseize");
    fs::create_dir_all(&cache)?;
    Ok(cache)
}

/// The name of an entry while it is being made.
fn partial_of(entry: &Path) -> PathBuf {
    entry.with_added_extension("partial")
}

fn lock_of(entry: &Path) -> PathBuf {
    entry.with_added_extension("lock")
}

/// Removes the entries of a kind that have not been used for longest, and incomplete ones. Locked
/// entries stay.
fn prune(cache: &Path, kind: &str, keep: usize) -> Result<()> {
    let mut entries = Vec::new();
    for item in fs::read_dir(cache)? {
        let path = item?.path();
        let ours = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{kind}-")));
        if ours
            && path
                .extension()
                .is_some_and(|extension| extension == "lock")
        {
            entries.push((fs::metadata(&path)?.modified()?, path.with_extension("")));
        }
    }
    entries.sort();
    let whole: Vec<&PathBuf> = entries
        .iter()
        .map(|(_, entry)| entry)
        .filter(|entry| entry.exists())
        .collect();
    let surplus = &whole[..whole.len().saturating_sub(keep)];
    for (_, entry) in &entries {
        if File::open(lock_of(entry))?.try_lock().is_ok() {
            remove(&partial_of(entry))?;
            if surplus.contains(&entry) {
                remove(entry)?;
            }
        }
    }
    Ok(())
}

/// Removes a tree, even if parts of it belong to root.
fn remove(tree: &Path) -> Result<()> {
    if tree.exists() {
        let mut command = tool::as_root("rm");
        command.args(["-rf", "--one-file-system", "--"]).arg(tree);
        tool::run(command)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use anyhow::bail;
    use tempfile::TempDir;

    use super::*;

    fn ingredients(content: &str) -> Ingredients {
        Ingredients::of("thing").with("content", content)
    }

    #[test]
    fn an_entry_is_made_once_even_by_many_at_a_time() -> Result<()> {
        let cache = TempDir::new()?;
        let made = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let entry = entry_in(cache.path(), &ingredients("one"), 1, |folder| {
                        made.fetch_add(1, Ordering::SeqCst);
                        Ok(fs::write(folder.join("file"), "whole")?)
                    });
                    assert_eq!(
                        fs::read_to_string(entry.unwrap().join("file")).unwrap(),
                        "whole"
                    );
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
        Ok(())
    }

    #[test]
    fn a_failed_making_leaves_no_entry() -> Result<()> {
        let cache = TempDir::new()?;
        let fail = |folder: &Path| {
            fs::write(folder.join("half"), "")?;
            bail!("on purpose")
        };
        assert!(entry_in(cache.path(), &ingredients("one"), 1, fail).is_err());
        let entry = entry_in(cache.path(), &ingredients("one"), 1, |_| Ok(()))?;
        assert_eq!(
            fs::read_dir(entry)?.count(),
            0,
            "nothing of the first attempt"
        );
        Ok(())
    }

    #[test]
    fn the_entries_used_last_stay() -> Result<()> {
        let cache = TempDir::new()?;
        let make = |content: &str| entry_in(cache.path(), &ingredients(content), 2, |_| Ok(()));
        let (first, second) = (make("first")?, make("second")?);
        make("first")?;
        let third = make("third")?;
        assert!(first.exists() && third.exists());
        assert!(!second.exists());
        Ok(())
    }
}
