//! Modules for the kernel, and other programs.

use core::ffi::CStr;

use heapless::Vec;
use nix::{
    fcntl::OFlag,
    kmod::{ModuleInitFlags, finit_module},
    unistd::{self, ForkResult},
};
use pciseize::{
    host::{ARGUMENTS, Compression, Errno, NotLoaded, Path, Programs},
    text::append,
};

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
    ) -> Result<(), NotLoaded> {
        let flags = match compression {
            Compression::None => ModuleInitFlags::empty(),
            Compression::ByKernel => ModuleInitFlags::from_bits_retain(COMPRESSED_FILE),
        };
        let file = self
            .open(path, OFlag::O_RDONLY)
            .map_err(NotLoaded::NotOpened)?;
        if self.base.is_other() {
            return Err(NotLoaded::OtherRoot);
        }
        let mut buffer = Buffer::new();
        let parameters = buffer.spell(parameters).map_err(NotLoaded::Refused)?;
        finit_module(&file, parameters, flags).map_err(|errno| NotLoaded::Refused(own(errno)))
    }

    fn run(&mut self, path: Path, arguments: &[&[u8]]) -> Result<(), Errno> {
        if self.base.is_other() {
            return Err(Errno::EPERM);
        }
        let mut program = Buffer::new();
        let program = program.spell(path)?;
        let mut line = ArgumentLine::new();
        let arguments = line.spell(arguments)?;
        let child = match syscall::fork(None)? {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                if let Ok(nowhere) = self.open(b"/dev/null", OFlag::O_WRONLY) {
                    let _ = unistd::dup2_stdout(&nowhere);
                    let _ = unistd::dup2_stderr(&nowhere);
                }
                syscall::execute(program, &arguments);
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

/// Bytes of all arguments of a program together.
const ARGUMENTS_SIZE: usize = 512;

/// Room for the arguments of a program, each with the NUL behind it.
struct ArgumentLine(Vec<u8, ARGUMENTS_SIZE>);

impl ArgumentLine {
    /// Empty.
    const fn new() -> ArgumentLine {
        ArgumentLine(Vec::new())
    }

    /// The arguments as C strings.
    ///
    /// # Errors
    /// `E2BIG` where they do not fit; `EINVAL` where a NUL within would end one early.
    fn spell(&mut self, arguments: &[&[u8]]) -> Result<Vec<&CStr, ARGUMENTS>, Errno> {
        for argument in arguments {
            let is_there = append(&mut self.0, argument).is_ok() && self.0.push(0).is_ok();
            if !is_there {
                return Err(Errno::E2BIG);
            }
        }
        let mut words = Vec::new();
        for word in self.0.split_inclusive(|&byte| byte == 0) {
            let word = CStr::from_bytes_with_nul(word).map_err(|_| Errno::EINVAL)?;
            words.push(word).map_err(|_| Errno::E2BIG)?;
        }
        if words.len() == arguments.len() {
            Ok(words)
        } else {
            Err(Errno::EINVAL)
        }
    }
}
