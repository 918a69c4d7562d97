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

/// What runs outside this program.
pub trait Programs {
    /// Gives the module file at `path` to the kernel (`finit_module(2)`).
    fn load_module(
        &mut self,
        path: Path,
        parameters: &[u8],
        compression: Compression,
    ) -> Result<(), Errno>;

    /// Runs the program at `path` with at most two arguments and waits for its end. Its output is
    /// discarded; callers check its effect.
    ///
    /// # Errors
    /// Why it could not be started; `ECHILD` if it ended otherwise than with status 0; `E2BIG` with
    /// more arguments.
    fn run(&mut self, path: Path, arguments: &[&[u8]]) -> Result<(), Errno>;
}

/// Has modprobe, where there is one, load a module by its name, or what a device wants by its
/// modalias. Whether that went well is seen from its effect.
pub fn run_modprobe<H: Programs>(host: &mut H, name: &[u8]) {
    for program in ["/sbin/modprobe", "/usr/sbin/modprobe"] {
        if host.run(program.as_bytes(), &[name]).is_ok() {
            return;
        }
    }
}
