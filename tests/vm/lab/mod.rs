//! The laboratory: real Xen machines in QEMU, made from a Debian that it installs into a folder.
//!
//! | file | is for |
//! | --- | --- |
//! | `debian` | Debian, Xen and the kernel, from the package sources of this host |
//! | `arm` | the same for 64-bit ARM, and the computer that runs it |
//! | `cross` | a compiler and the C library for 64-bit ARM, from the same sources |
//! | `product` | pciseize, as `make install` installs it |
//! | `package` | the packages of Debian and rpm, and their life in a root tree |
//! | `image` | an initramfs, by generator and content |
//! | `init` | a dom0 with sysvinit or OpenRC |
//! | `board` | the devices of the standard machine |
//! | `limit` | a program that gives devices to pciback all at once |
//! | `layout` | root file systems that stand on more than a disk |
//! | `many` | a machine of thousands of functions, in files |
//! | `grub` | a disk that boots Xen through GRUB, and the keys for its menu |
//! | `qemu` | a newer QEMU than this host's, from the same sources |
//! | `machine` | QEMU: a machine, booted to its end |
//! | `console` | the serial console, read and answered while the machine runs |
//! | `watch`, `disks`, `pace` | end a machine that stands still or lasts too long for this host |
//! | `evidence` | the records of a boot, and queries on them |
//! | `cache`, `tool`, `progress` | keep slow results; run programs of the host; show the progress |

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

pub mod arm;
pub mod board;
mod cache;
mod console;
pub mod cross;
pub mod debian;
mod disks;
pub mod evidence;
pub mod grub;
pub mod image;
pub mod init;
pub mod layout;
pub mod limit;
pub mod machine;
pub mod many;
pub mod pace;
pub mod package;
pub mod product;
pub mod progress;
pub mod qemu;
#[path = "../../schema/mod.rs"]
pub mod schema;
pub mod tool;
pub mod watch;

/// Why a machine cannot be had here: its packages are not offered, for instance. That is no failure
/// of what is tested.
#[derive(Debug)]
pub struct NotToBeHad(pub String);

impl fmt::Display for NotToBeHad {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "not to be had here: {}", self.0)
    }
}

impl std::error::Error for NotToBeHad {}

/// The checkout.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder for the files of the boots.
pub fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// What `make` makes, once for all tests of a run.
pub fn once<T: Clone>(made: &Mutex<Option<T>>, make: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = &*made {
        return Ok(made.clone());
    }
    Ok(made.insert(make()?).clone())
}
