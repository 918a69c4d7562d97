//! Modules for the kernel, and other programs.

use nix::{
    fcntl::OFlag,
    kmod::{ModuleInitFlags, finit_module},
    unistd::{self, ForkResult},
};
use pciseize::host::{Compression, Errno, Path, Programs};

use super::{
    Machine,
    path::Buffer,
    syscall::{self, own},
};

/// `MODULE_INIT_COMPRESSED_FILE` (`include/uapi/linux/module.h`), which nix does not name.
const COMPRESSED_FILE: u32 = 4;

/// The exit status of a child that could not execute its program, as shells have it.
const NOT_EXECUTED: i32 = 127;

impl Programs for Machine {
    fn load_module(
        &mut self,
        path: Path,
        parameters: &[u8],
        compression: Compression,
    ) -> Result<(), Errno> {
        let flags = match compression {
            Compression::None => ModuleInitFlags::empty(),
            Compression::ByKernel => ModuleInitFlags::from_bits_retain(COMPRESSED_FILE),
        };
        let file = self.open(path, OFlag::O_RDONLY)?;
        let mut buffer = Buffer::new();
        finit_module(&file, buffer.spell(parameters)?, flags).map_err(own)
    }

    fn run(&mut self, path: Path, arguments: &[&[u8]]) -> Result<(), Errno> {
        let (mut program, mut one, mut two) = (Buffer::new(), Buffer::new(), Buffer::new());
        let program = self.base.spell(path, &mut program)?;
        let (first, second) = match *arguments {
            [] => (None, None),
            [first] => (Some(one.spell(first)?), None),
            [first, second] => (Some(one.spell(first)?), Some(two.spell(second)?)),
            _ => return Err(Errno::E2BIG),
        };
        let child = match syscall::fork()? {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                if let Ok(nowhere) = self.open(b"/dev/null", OFlag::O_WRONLY) {
                    let _ = unistd::dup2_stdout(&nowhere);
                    let _ = unistd::dup2_stderr(&nowhere);
                }
                syscall::execute(program, [Some(program), first, second]);
                syscall::exit(NOT_EXECUTED)
            }
        };
        if syscall::wait_for(child)? == 0 {
            Ok(())
        } else {
            Err(Errno::ECHILD)
        }
    }
}
