//! Modules and other programs.

use super::{Errno, Path};

/// Whether a module file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// It is not.
    None,
    /// The kernel unpacks it: flag `MODULE_INIT_COMPRESSED_FILE`, Linux 5.17. It knows the one
    /// format that it was built for (`kernel/module/decompress.c`).
    ByKernel,
}

/// Why a module was not loaded. Both calls may fail with `ENOENT`, and mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLoaded {
    /// Its file could not be opened (`open(2)`).
    NotOpened(Errno),
    /// The kernel did not take it (`finit_module(2)`). `ENOENT`: it needs a symbol that the kernel
    /// does not have (`kernel/module/main.c`, `simplify_symbols`).
    Refused(Errno),
    /// The file is there, but below another root: it is not for the running kernel.
    OtherRoot,
}

/// Most arguments of a program: a module, and as many parameters as `finit_module(2)` would be
/// given.
pub const ARGUMENTS: usize = 66;

/// What runs outside this program.
///
/// Below another root (`--root`) nothing is executed, and nothing is given to the running kernel.
pub trait Programs {
    /// Gives the module file at `path` to the kernel (`finit_module(2)`).
    ///
    /// # Errors
    /// Which of the two calls failed, and how.
    fn load_module(
        &mut self,
        path: Path,
        parameters: &[u8],
        compression: Compression,
    ) -> Result<(), NotLoaded>;

    /// Runs the program at `path` with at most [`ARGUMENTS`] arguments and waits for its end. Its
    /// output is discarded; callers check its effect.
    ///
    /// # Errors
    /// Why it could not be started; `ECHILD` if it ended otherwise than with status 0; `E2BIG` with
    /// more arguments; `EPERM` below another root.
    fn run(&mut self, path: Path, arguments: &[&[u8]]) -> Result<(), Errno>;
}

/// Has modprobe, where there is one, load a module by its name, or what a device wants by its
/// modalias; parameters may follow. Whether that went well is seen from its effect.
pub fn run_modprobe<H: Programs>(host: &mut H, arguments: &[&[u8]]) {
    for program in ["/sbin/modprobe", "/usr/sbin/modprobe"] {
        if host.run(program.as_bytes(), arguments).is_ok() {
            return;
        }
    }
}
