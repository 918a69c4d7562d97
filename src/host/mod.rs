//! The machine as the library sees it: six narrow traits, and the few types that cross them.
//!
//! Everything that pciseize knows or does goes through them. The program implements them with
//! system calls (`src/machine/`), the tests with a model of the kernel. The calls keep no state
//! between them (no open files, no positions), so that a model needs none either. A file that must
//! be read through one open is read in one call ([`Files::stream`]).
//!
//! A signature names the narrowest trait that serves: `H: Files` says that a function runs nothing
//! and starts nothing.

mod console;
mod errno;
mod files;
mod first;
pub mod lines;
mod programs;
#[cfg(test)]
pub(crate) mod testing;
mod workers;
mod xen;

pub use console::{Console, Level, Terminal};
pub use errno::Errno;
pub use files::{Files, PATH_SIZE, Path, VisitPiece};
pub use first::{End, FileSystem, FirstProcess, Mounted};
pub use programs::{ARGUMENTS, Compression, NotLoaded, Programs, run_modprobe};
pub use workers::{Next, TASKS, Task, Time, Turn, Workers};
pub use xen::{Iommu, Xen, check_answer};

/// All but [`FirstProcess`]: for the entry point of a command, which also reports the result.
pub trait Host: Files + Programs + Workers + Xen + Console {}

impl<H: Files + Programs + Workers + Xen + Console> Host for H {}
