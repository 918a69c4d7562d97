//! The laboratory: real Xen machines in QEMU, from a Debian that it installs into a folder.
//!
//! | file | is for |
//! | --- | --- |
//! | `debian` | Debian, Xen and the kernel, from the machine's own package sources |
//! | `product` | pciseize, as `make install` lays it out |
//! | `image` | an initramfs, by generator and content |
//! | `board` | the devices of the standard machine |
//! | `many` | a machine of thousands of functions, in files |
//! | `machine` | QEMU: a machine, booted to its end |
//! | `console` | the serial console, read and answered while it runs |
//! | `watch`, `disks`, `pace` | when a machine is ended: what of it moves, and how long boots take here |
//! | `evidence` | what was brought out, and questions to it |
//! | `cache`, `tool`, `progress` | what is slow to make is kept; programs of the host; what is going on |

use std::env;
use std::path::{Path, PathBuf};

pub mod board;
mod cache;
mod console;
pub mod debian;
mod disks;
pub mod evidence;
pub mod image;
pub mod machine;
pub mod many;
pub mod pace;
pub mod product;
pub mod progress;
mod tool;
pub mod watch;

/// The checkout.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the files of the boots go.
pub fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}
