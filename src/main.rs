//! The program: words in, exit status out, and the machine behind the library's trait.
//!
//! The only file with `unsafe`. It decides nothing: what it cannot leave to the library is how a thing is asked of the kernel.

// `std::env::args` is empty without glibc's start code, and std's own `main` would bring in its runtime. So the C library calls `main` directly.
#![no_main]

use core::{
    arch::asm,
    ffi::{CStr, c_char, c_int, c_long},
};

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use heapless::Vec;
use nix::{
    fcntl::OFlag,
    libc,
    sys::statfs::{FsType, TMPFS_MAGIC, statfs},
};
use pciseize::{
    cli::{Exit, Invocation, Memory},
    host::{Errno, Host, Level, PATH_SIZE, Path},
    put,
    report::Stage,
    request::embedded::SECTION_SIZE,
    text::{Decimal, Line, behind},
};

/// The configuration inside the binary: made by `build.rs`, replaced by `make embed`.
#[used]
#[unsafe(link_section = ".pciseize")]
static SECTION: [u8; SECTION_SIZE] = *include_bytes!(concat!(env!("OUT_DIR"), "/section"));

/// The section as it is in the file that runs. The compiler must not know what it holds, or it would use what was there when it compiled.
fn embedded() -> &'static [u8] {
    let mut section: *const [u8; SECTION_SIZE] = &raw const SECTION;
    // SAFETY: no instruction at all; the register that holds the pointer is left as it is.
    unsafe { asm!("/* {0} */", inout(reg) section, options(readonly, nostack, preserves_flags)) };
    // SAFETY: so it still points to the section, which is never written and lives as long as the process.
    unsafe { &*section }
}

/// Not on the stack: a function touches all of its frame as it begins, and half a megabyte would be in use for three devices.
static mut MEMORY: Memory = Memory::new();

/// The entry point that the C library's start code calls.
///
/// # Safety
/// As for every C `main`: `words` points to `count` strings and a null pointer, all of which live as long as the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(count: c_int, words: *const *const c_char) -> c_int {
    let count = usize::try_from(count).unwrap_or_default();
    // SAFETY: the caller's promise. A null pointer comes only with a count of 0, and then nothing is read.
    let words = (1..count).map(|at| unsafe { CStr::from_ptr(*words.add(at)) });
    run(words) as c_int
}

fn run(words: impl Iterator<Item = &'static CStr> + Clone) -> Exit {
    let mut machine = Machine { is_rooted: false, log: Log::Stderr };
    let mut invocation = Invocation::new();
    if let Err(usage) = invocation.read(words) {
        usage.tell(&mut machine);
        return Exit::Usage;
    }
    let stage = if invocation.root.is_none() && machine.is_initramfs() { Stage::Initramfs } else { Stage::Host };
    if stage == Stage::Initramfs {
        machine.log = Log::Kernel;
    }
    if let Some(root) = invocation.root {
        // SAFETY: a word of the command line ends in NUL.
        if let Err(errno) = answer(unsafe { libc::syscall(libc::SYS_chdir, root.as_ptr()) }) {
            pciseize::say!(machine, Level::Error, "--root ", pciseize::text::Shown(root.to_bytes()), ": ", errno);
            return Exit::Usage;
        }
        machine.is_rooted = true;
    }
    let memory = &raw mut MEMORY;
    // SAFETY: `run` is called once, by the only thread that there is.
    invocation.run(&mut machine, unsafe { &mut *memory }, stage, embedded())
}

/// The real machine.
struct Machine {
    /// The working folder stands for `/`.
    is_rooted: bool,
    log: Log,
}

/// Where lines for people go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Log {
    Kernel,
    Stderr,
}

/// Bytes with the NUL behind them that the kernel wants. Made empty and filled in its place: it is too large to be handed on.
struct Name(Vec<u8, PATH_SIZE>);

impl Name {
    const fn new() -> Name {
        Name(Vec::new())
    }

    fn fill(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        if self.0.extend_from_slice(bytes).is_err() || self.0.push(0).is_err() {
            return Err(Errno::ENAMETOOLONG);
        }
        // A NUL within would end it early.
        if self.0.iter().position(|&byte| byte == 0) == Some(bytes.len()) { Ok(()) } else { Err(Errno::EINVAL) }
    }

    fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

/// What the kernel answered. Its errno is taken raw, since nix knows errnos by name only and turns others into 0.
fn answer(result: c_long) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno(nix::errno::Errno::last_raw()))
}

impl Machine {
    /// Whether the root file system is the one that the kernel unpacks its initramfs into: a tmpfs or a ramfs (`init/do_mounts.c`, `init_rootfs`). No real root is either.
    fn is_initramfs(&self) -> bool {
        const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
        let mut root = Name::new();
        if self.spell(b"/", &mut root).is_err() {
            return false;
        }
        // SAFETY: the name ends in NUL.
        statfs(unsafe { CStr::from_ptr(root.as_ptr()) }).is_ok_and(|root| [TMPFS_MAGIC, RAMFS_MAGIC].contains(&root.filesystem_type()))
    }

    /// Spells the path as the kernel is to see it.
    fn spell(&self, path: Path, name: &mut Name) -> Result<(), Errno> {
        // Without its `/` the path counts from the working folder.
        name.fill(if self.is_rooted { behind(b"/", path).unwrap_or(path) } else { path })
    }

    /// Opens the file, without waiting for anything: a fifo in the place of a configuration has no content, and that is all.
    ///
    /// Not with `O_CLOEXEC`: nothing is executed, and musl spends a second system call on it.
    fn open(&self, path: Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let mut name = Name::new();
        self.spell(path, &mut name)?;
        let flags = (flags | OFlag::O_NONBLOCK).bits();
        // SAFETY: the name ends in NUL. nix's own open hides from the compiler that its descriptor is not -1, which leaves a panic behind.
        let file = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), flags, 0o644) } as c_int;
        if file < 0 {
            return Err(Errno(nix::errno::Errno::last_raw()));
        }
        // SAFETY: it was opened just now, and nobody else knows of it.
        Ok(unsafe { OwnedFd::from_raw_fd(file) })
    }

    /// Writes once.
    fn write_once(file: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
        // SAFETY: the kernel reads as many bytes as there are.
        answer(unsafe { libc::syscall(libc::SYS_write, file.as_fd().as_raw_fd(), bytes.as_ptr(), bytes.len()) })
    }

    /// Writes everything into an open file.
    fn write_all(file: BorrowedFd, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let written = Machine::write_once(file, bytes)?;
            bytes = bytes.get(written..).unwrap_or_default();
            if written == 0 {
                return Err(Errno::EIO);
            }
        }
        Ok(())
    }
}

impl Host for Machine {
    fn read<'b>(&mut self, path: Path, offset: u64, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let file = self.open(path, OFlag::O_RDONLY)?;
        let mut length = 0;
        while let Some(rest) = buffer.get_mut(length..) {
            // SAFETY: the kernel writes at most as many bytes as the rest has.
            let read = answer(unsafe { libc::syscall(libc::SYS_pread64, file.as_raw_fd(), rest.as_mut_ptr(), rest.len(), offset + length as u64) })?;
            if read == 0 {
                break;
            }
            length += read;
        }
        Ok(buffer.get(..length).unwrap_or_default())
    }

    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        // To an attribute the truncation means nothing; a plain file below `--root` then holds what was written, and nothing of what was there.
        let file = self.open(path, OFlag::O_WRONLY | OFlag::O_TRUNC)?;
        // sysfs takes a value in one piece. Less than all of it is a failure.
        let written = Machine::write_once(&file, bytes)?;
        if written == bytes.len() { Ok(()) } else { Err(Errno::EIO) }
    }

    fn link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let mut name = Name::new();
        self.spell(path, &mut name)?;
        // SAFETY: the name ends in NUL, and the kernel writes at most as many bytes into the buffer as it has.
        let length = answer(unsafe { libc::syscall(libc::SYS_readlinkat, libc::AT_FDCWD, name.as_ptr(), buffer.as_mut_ptr(), buffer.len()) })?;
        if length < buffer.len() { Ok(buffer.get(..length).unwrap_or_default()) } else { Err(Errno::ENAMETOOLONG) }
    }

    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno> {
        let folder = self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut entries = Entries([0; ENTRIES_SIZE]);
        loop {
            // SAFETY: the kernel writes at most ENTRIES_SIZE bytes into the buffer.
            let read = answer(unsafe { libc::syscall(libc::SYS_getdents64, folder.as_raw_fd(), entries.0.as_mut_ptr(), ENTRIES_SIZE) })?;
            let mut rest = entries.0.get(..read).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            while let Some((name, after)) = first_entry(rest) {
                if name != b"." && name != b".." {
                    visit(self, name);
                }
                rest = after;
            }
        }
    }

    fn make_folder(&mut self, path: Path) -> Result<(), Errno> {
        let mut name = Name::new();
        self.spell(path, &mut name)?;
        // SAFETY: the name ends in NUL.
        match answer(unsafe { libc::syscall(libc::SYS_mkdirat, libc::AT_FDCWD, name.as_ptr(), 0o755) }) {
            Ok(_) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn append(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        let file = self.open(path, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)?;
        Machine::write_all(file.as_fd(), bytes)
    }

    fn rename(&mut self, from: Path, to: Path) -> Result<(), Errno> {
        let (mut old, mut new) = (Name::new(), Name::new());
        self.spell(from, &mut old)?;
        self.spell(to, &mut new)?;
        // SAFETY: both names end in NUL.
        answer(unsafe { libc::syscall(libc::SYS_renameat2, libc::AT_FDCWD, old.as_ptr(), libc::AT_FDCWD, new.as_ptr(), 0) }).map(drop)
    }

    fn remove(&mut self, path: Path) -> Result<(), Errno> {
        let mut name = Name::new();
        self.spell(path, &mut name)?;
        // SAFETY: the name ends in NUL.
        answer(unsafe { libc::syscall(libc::SYS_unlinkat, libc::AT_FDCWD, name.as_ptr(), 0) }).map(drop)
    }

    fn load_module(&mut self, path: Path, parameters: &[u8], compressed: bool) -> Result<(), Errno> {
        // Linux's MODULE_INIT_COMPRESSED_FILE (include/uapi/linux/module.h), which nix does not name.
        let flags = if compressed { 4 } else { 0 };
        let file = self.open(path, OFlag::O_RDONLY)?;
        let mut line = Name::new();
        line.fill(parameters)?;
        // SAFETY: the parameters end in NUL.
        answer(unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), line.as_ptr(), flags) }).map(drop)
    }

    fn say(&mut self, level: Level, line: &Line) {
        let mut record = Line::new();
        if self.log == Log::Kernel {
            put!(&mut record, "<", Decimal(level as u32), ">pciseize: ");
            record.push(line.bytes());
            // Opened anew for every record: /dev/kmsg drops what comes faster than 10 records in 5 seconds through one open file (kernel/printk/printk.c, devkmsg_write).
            let bytes = record.bytes();
            if self.write(b"/dev/kmsg", bytes.get(..RECORD_SIZE).unwrap_or(bytes)).is_ok() {
                return;
            }
            record.clear();
        }
        put!(&mut record, "pciseize: ");
        record.push(line.bytes());
        record.push(b"\n");
        let _ = Machine::write_all(standard(libc::STDERR_FILENO), record.bytes());
    }

    fn print(&mut self, bytes: &[u8]) {
        let _ = Machine::write_all(standard(libc::STDOUT_FILENO), bytes);
    }
}

/// A standard stream. std's own handles bring a lock and a buffer.
fn standard(number: c_int) -> BorrowedFd<'static> {
    // SAFETY: only for writing, and closed by nobody here. A stream that the caller closed gives EBADF, or is a file that was opened since: then nothing is open but within one call of `Host`.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Most bytes of a record of the kernel log. Longer writes fail with EINVAL (kernel/printk/printk.c, devkmsg_write); no message of ours comes near, unless a file has a monstrous name.
const RECORD_SIZE: usize = 960;

/// Bytes of folder entries that are read at once.
const ENTRIES_SIZE: usize = 4096;

/// What `getdents64(2)` fills. Its entries begin at multiples of 8.
#[repr(align(8))]
struct Entries([u8; ENTRIES_SIZE]);

/// The name of the first `struct linux_dirent64` (`include/linux/dirent.h`) and what follows the entry: inode and offset take 16 bytes, then come the entry's length in 2, its type in 1, and the name with a NUL.
fn first_entry(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u16::from_ne_bytes(*entries.get(16..)?.first_chunk()?);
    let (entry, rest) = entries.split_at_checked(length.into())?;
    let name = entry.get(19..)?.split(|&b| b == 0).next()?;
    Some((name, rest))
}
