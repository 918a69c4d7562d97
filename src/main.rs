//! The program: words in, exit status out, and the machine behind the library's trait.
//!
//! The only file with `unsafe`. It decides nothing: what it cannot leave to the library is how a thing is asked of the kernel.

// std's own `main` would bring in its runtime. The program begins in `begin`, where `build.rs` links it alone, and otherwise where the C library calls `main`.
#![no_main]

use core::{
    arch::asm,
    ffi::{CStr, c_char, c_long},
    mem::MaybeUninit,
    sync::atomic::{AtomicU32, Ordering},
};

use heapless::Vec;
use nix::{
    fcntl::OFlag,
    libc,
    sys::statfs::{FsType, TMPFS_MAGIC},
};
use pciseize::{
    cli::{Exit, Invocation, Memory},
    host::{Errno, Host, LATE, Level, PATH_SIZE, PLACES, Path, Terminal, Turn},
    put,
    report::Stage,
    request::embedded::SECTION_SIZE,
    text::{Decimal, Line, behind, first_part},
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

/// Not on the stack: a function touches all of its frame as it begins, and two megabytes would be in use for three devices.
static mut MEMORY: Memory = Memory::new();

/// What is noted while work is done side by side: see [`Machine::share`]. Of as many pages as it has bytes for, so that nothing else becomes shared.
#[repr(align(4096))]
struct Board([AtomicU32; PLACES]);

static BOARD: Board = Board([const { AtomicU32::new(0) }; PLACES]);

/// The place that is waited for.
static FIRST: &AtomicU32 = &BOARD.0[0];

/// Most processes that work side by side. What more there is to do waits for one of them to end.
const PROCESSES: u32 = 64;

// The first instructions: the kernel starts a program with nothing but a stack (`fs/binfmt_elf.c`, `create_elf_tables`), and a function wants that aligned to 16 bytes.
// The C library would first set up threads, a stack guard and an environment, 2 KB of code for nothing that is used here.
#[cfg(alone)]
core::arch::global_asm!(".globl _start", "_start:", "mov rdi, rsp", "and rsp, -16", "call {begin}", begin = sym begin);

/// Where the program begins that is linked alone.
///
/// # Safety
/// As the kernel does it: `stack` points to the number of words, that many pointers to strings, and a null pointer, and all of it lives as long as the process.
#[cfg(alone)]
unsafe extern "C" fn begin(stack: *const usize) -> ! {
    // SAFETY: the caller's promise. Behind the null pointer the environment begins (`create_elf_tables`).
    let exit = unsafe { run(words(*stack, stack.add(1).cast()), has_no_color(stack.add(*stack + 2).cast())) };
    Machine::exit(exit as usize)
}

/// Where it begins otherwise: tests, and targets that bring their own C library.
///
/// # Safety
/// As for every C `main`: `pointers` points to `count` strings and a null pointer, `environment` to strings and a null pointer, all of which live as long as the process.
#[cfg(not(alone))]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(count: core::ffi::c_int, pointers: *const *const c_char, environment: *const *const c_char) -> core::ffi::c_int {
    // SAFETY: the caller's promise.
    let (words, has_no_color) = unsafe { (words(usize::try_from(count).unwrap_or_default(), pointers), has_no_color(environment)) };
    run(words, has_no_color) as core::ffi::c_int
}

/// Whether the environment has `NO_COLOR`, and something in it.
///
/// # Safety
/// `environment` points to strings and a null pointer behind them.
unsafe fn has_no_color(mut environment: *const *const c_char) -> bool {
    // SAFETY: the caller's promise: nothing behind the null pointer is read.
    unsafe {
        while !(*environment).is_null() {
            if behind(b"NO_COLOR=", word(*environment).to_bytes()).is_some_and(|value| !value.is_empty()) {
                return true;
            }
            environment = environment.add(1);
        }
    }
    false
}

/// The words behind the program's own name.
///
/// # Safety
/// `pointers` points to `count` strings that live as long as the process. With a count of 0 nothing is read.
unsafe fn words(count: usize, pointers: *const *const c_char) -> impl Iterator<Item = &'static CStr> {
    // SAFETY: the caller's promise.
    (1..count).map(move |at| unsafe { word(*pointers.add(at)) })
}

/// A string, up to its NUL.
///
/// # Safety
/// It has one, and lives as long as the process.
unsafe fn word(start: *const c_char) -> &'static CStr {
    let mut length = 0;
    // SAFETY: no byte behind the NUL is read. Each is read for itself, or the compiler would see that this is `strlen`, and call the C library's.
    while unsafe { start.add(length).read_volatile() } != 0 {
        length += 1;
    }
    // SAFETY: these are the bytes up to the NUL, and that.
    unsafe { CStr::from_bytes_with_nul_unchecked(core::slice::from_raw_parts(start.cast(), length + 1)) }
}

fn run(words: impl Iterator<Item = &'static CStr>, has_no_color: bool) -> Exit {
    // Who reads our messages may go away. That must not end a seizure.
    // The kernel's own `struct sigaction`: handler, flags, restorer, mask.
    let ignored = [libc::SIG_IGN, 0, 0, 0];
    // SAFETY: the kernel reads the structure; ignoring a signal runs no code of ours.
    let _ = unsafe { call(libc::SYS_rt_sigaction, libc::SIGPIPE as usize, ignored.as_ptr().expose_provenance(), 0, size_of::<usize>(), 0) };
    let mut machine = Machine { is_rooted: false, log: Log::Stderr, shares: None, has_no_color };
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
        if let Err(errno) = unsafe { call(libc::SYS_chdir, root.as_ptr().expose_provenance(), 0, 0, 0, 0) } {
            machine.has_no_root(root, errno);
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
    /// Whether the board is shared with the processes that are begun here, once that was tried.
    shares: Option<bool>,
    /// Nobody wants colours.
    has_no_color: bool,
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

    fn address(&self) -> usize {
        self.0.as_ptr().expose_provenance()
    }
}

/// Asks the kernel: the one door to it. An errno is taken raw, since nix knows errnos by name only and turns others into 0. The result of every call made here, if it counts, has 32 bits: numbers of bytes, files and processes.
/// So it comes back in registers.
///
/// # Safety
/// What the call reads or writes through a pointer must be there.
#[inline(never)]
unsafe fn call(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize) -> Result<u32, Errno> {
    // SAFETY: the caller's promise.
    let result = unsafe { ask(number, [a, b, c, d, e]) };
    // -4095 to -1 are errnos (`include/linux/err.h`).
    if result as usize >= -4095_isize as usize { Err(Errno(-result as i32)) } else { Ok(result as u32) }
}

/// The kernel's own convention on x86-64 (`arch/x86/entry/entry_64.S`): it changes `rcx` and `r11`. A sixth argument, where there is one, is 0.
#[cfg(target_arch = "x86_64")]
unsafe fn ask(number: c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
    let result;
    // SAFETY: the caller's promise for what the pointers among the arguments point to; the stack is not used.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") 0, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Elsewhere the C library knows how.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn ask(number: c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
    // SAFETY: the caller's promise. Every argument has the width of a register, as the C library takes it.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, 0_usize) };
    if result == -1 { -(nix::errno::Errno::last_raw() as isize) } else { result as isize }
}

/// An open file. It is closed when nobody needs it any more.
struct File(u32);

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: no memory is read. The number is this file's alone.
        let _ = unsafe { call(libc::SYS_close, self.0 as usize, 0, 0, 0, 0) };
    }
}

/// Asks xenstore for what is at a path (`enum xsd_sockmsg_type`).
const XS_READ: u32 = 2;

/// Paths that do not begin with `/` count from the working folder.
const AT_FDCWD: usize = libc::AT_FDCWD as isize as usize;

impl Machine {
    /// Whether the root file system is the one that the kernel unpacks its initramfs into: a tmpfs or a ramfs (`init/do_mounts.c`, `init_rootfs`).
    /// A host that stays in its initramfs for good has such a root too: there the kernel log gets the messages.
    fn is_initramfs(&self) -> bool {
        const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
        let Ok(root) = self.open(b"/", OFlag::O_RDONLY | OFlag::O_DIRECTORY) else { return false };
        let mut about = MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: there is room for the kernel's `struct statfs`, which is what libc declares.
        if unsafe { call(libc::SYS_fstatfs, root.0 as usize, about.as_mut_ptr().expose_provenance(), 0, 0, 0) }.is_err() {
            return false;
        }
        // SAFETY: the kernel has written it.
        let magic = FsType(unsafe { about.assume_init() }.f_type);
        magic == TMPFS_MAGIC || magic == RAMFS_MAGIC
    }

    /// Says that the root that was named cannot be had.
    #[inline(never)]
    fn has_no_root(&mut self, root: &CStr, errno: Errno) {
        pciseize::say!(self, Level::Error, "--root ", pciseize::text::Shown(root.to_bytes()), ": ", errno);
    }

    /// Spells the path as the kernel is to see it.
    fn spell(&self, path: Path, name: &mut Name) -> Result<(), Errno> {
        let mut path = path;
        // Without a `/` in front the path counts from the working folder.
        while let (true, Some(rest)) = (self.is_rooted, behind(b"/", path)) {
            path = rest;
        }
        name.fill(path)
    }

    /// Opens the file, without waiting for anything: a fifo in the place of a configuration has no content, and that is all.
    ///
    /// Not with `O_CLOEXEC`: nothing is executed while it is open.
    fn open(&self, path: Path, flags: OFlag) -> Result<File, Errno> {
        let mut name = Name::new();
        self.spell(path, &mut name)?;
        let flags = (flags | OFlag::O_NONBLOCK).bits() as usize;
        // SAFETY: the name ends in NUL.
        unsafe { call(libc::SYS_openat, AT_FDCWD, name.address(), flags, 0o644, 0) }.map(File)
    }

    /// Writes once.
    fn write_once(file: u32, bytes: &[u8]) -> Result<usize, Errno> {
        // SAFETY: the kernel reads as many bytes as there are.
        unsafe { call(libc::SYS_write, file as usize, bytes.as_ptr().expose_provenance(), bytes.len(), 0, 0).map(|written| written as usize) }
    }

    /// Writes everything into an open file.
    fn write_all(file: u32, mut bytes: &[u8]) -> Result<(), Errno> {
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

/// A time for the kernel, in seconds and nanoseconds (`struct __kernel_timespec`).
type Time = [i64; 2];

/// Working side by side.
impl Machine {
    /// Lays a mapping that is shared with all processes begun from now on over the board. Where that fails it stays this process's own, and the work is done one after another.
    fn share(&mut self) -> bool {
        *self.shares.get_or_insert_with(|| {
            let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED);
            // SAFETY: what is replaced is the board alone, which begins with a page and ends with one, with nothing noted on it yet. Of what is atomic nobody has to know that others change it.
            unsafe { call(libc::SYS_mmap, (&raw const BOARD).expose_provenance(), size_of::<Board>(), protection as usize, flags as usize, usize::MAX) }.is_ok()
        })
    }

    /// Begins a process that is a copy of this one. 0: this is the copy.
    fn copy() -> Result<u32, Errno> {
        // No signal tells of its end: nobody listens, and a wait would be interrupted by it.
        // SAFETY: without CLONE_VM the copy has memory and a stack of its own, and there is only this thread.
        unsafe { call(libc::SYS_clone, 0, 0, 0, 0, 0) }
    }

    /// Ends this process.
    fn exit(status: usize) -> ! {
        loop {
            // SAFETY: this call reads no memory. It does not return.
            let _ = unsafe { call(libc::SYS_exit_group, status, 0, 0, 0, 0) };
        }
    }

    /// Does a task to its end.
    fn finish(&mut self, task: usize, seconds: u32, work: &dyn Fn(&mut Machine, usize) -> Turn) {
        loop {
            match work(self, task) {
                Turn::Done => return,
                Turn::Again => {}
                Turn::Wait => {
                    let limit: Time = [seconds.into(), 0];
                    // SAFETY: the kernel reads the place and the time, both of which are there. It waits only while the place is 0.
                    let waited = unsafe {
                        call(libc::SYS_futex, FIRST.as_ptr().expose_provenance(), libc::FUTEX_WAIT as usize, 0, (&raw const limit).expose_provenance(), 0)
                    };
                    if waited == Err(Errno::ETIMEDOUT) {
                        self.note(0, LATE);
                    }
                }
            }
        }
    }

    /// Waits until there is something to read from the pipe (`POLLIN`), or nobody is left who could write into it (always). `false`: it is too late for that.
    fn watch(&mut self, pipe: u32, events: i16, left: &mut Time) -> bool {
        // A wait that fails is begun again, with the time that the kernel says is left. Not for ever.
        for _ in 0..16 {
            let mut file = libc::pollfd { fd: pipe as i32, events, revents: 0 };
            // SAFETY: the kernel reads and writes both structures, which are there.
            match unsafe { call(libc::SYS_ppoll, (&raw mut file).expose_provenance(), 1, left.as_mut_ptr().expose_provenance(), 0, 0) } {
                Ok(0) => {
                    if self.noted(0) != 0 {
                        return false;
                    }
                    // Those who wait for it can come to an end now.
                    self.note(0, LATE);
                    *left = [1, 0];
                }
                Ok(_) => return true,
                Err(_) => {}
            }
        }
        false
    }
}

impl Host for Machine {
    fn read<'b>(&mut self, path: Path, offset: u64, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let file = self.open(path, OFlag::O_RDONLY)?;
        // Once: what is read here gives all that there is, up to the end of the buffer.
        // SAFETY: the kernel writes at most as many bytes as the buffer has.
        let length = unsafe { call(libc::SYS_pread64, file.0 as usize, buffer.as_mut_ptr().expose_provenance(), buffer.len(), offset as usize, 0)? };
        Ok(buffer.get(..length as usize).unwrap_or_default())
    }

    fn write(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        // To an attribute the truncation means nothing; a plain file below `--root` then holds what was written, and nothing of what was there.
        let file = self.open(path, OFlag::O_WRONLY | OFlag::O_TRUNC)?;
        // sysfs takes a value in one piece. Less than all of it is a failure.
        let written = Machine::write_once(file.0, bytes)?;
        if written == bytes.len() { Ok(()) } else { Err(Errno::EIO) }
    }

    fn link<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let mut name = Name::new();
        self.spell(path, &mut name)?;
        // SAFETY: the name ends in NUL, and the kernel writes at most as many bytes into the buffer as it has.
        let length = unsafe { call(libc::SYS_readlinkat, AT_FDCWD, name.address(), buffer.as_mut_ptr().expose_provenance(), buffer.len(), 0)? };
        let length = length as usize;
        if length < buffer.len() { Ok(buffer.get(..length).unwrap_or_default()) } else { Err(Errno::ENAMETOOLONG) }
    }

    fn list(&mut self, path: Path, visit: &mut dyn FnMut(&mut Self, &[u8])) -> Result<(), Errno> {
        let folder = self.open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
        let mut entries = [0; ENTRIES_SIZE];
        loop {
            // SAFETY: the kernel writes at most ENTRIES_SIZE bytes into the buffer.
            let read = unsafe { call(libc::SYS_getdents64, folder.0 as usize, entries.as_mut_ptr().expose_provenance(), ENTRIES_SIZE, 0, 0)? };
            let mut rest = entries.get(..read as usize).unwrap_or_default();
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
        match unsafe { call(libc::SYS_mkdirat, AT_FDCWD, name.address(), 0o755, 0, 0) } {
            Ok(_) | Err(Errno::EEXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn append(&mut self, path: Path, bytes: &[u8]) -> Result<(), Errno> {
        let file = self.open(path, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)?;
        Machine::write_all(file.0, bytes)
    }

    fn rename(&mut self, from: Path, to: Path) -> Result<(), Errno> {
        let (mut old, mut new) = (Name::new(), Name::new());
        self.spell(from, &mut old)?;
        self.spell(to, &mut new)?;
        // SAFETY: both names end in NUL.
        unsafe { call(libc::SYS_renameat2, AT_FDCWD, old.address(), AT_FDCWD, new.address(), 0).map(drop) }
    }

    fn remove(&mut self, path: Path) -> Result<(), Errno> {
        let mut name = Name::new();
        self.spell(path, &mut name)?;
        // SAFETY: the name ends in NUL.
        unsafe { call(libc::SYS_unlinkat, AT_FDCWD, name.address(), 0, 0, 0).map(drop) }
    }

    fn load_module(&mut self, path: Path, parameters: &[u8], compressed: bool) -> Result<(), Errno> {
        // Linux's MODULE_INIT_COMPRESSED_FILE (include/uapi/linux/module.h), which nix does not name.
        let flags = if compressed { 4 } else { 0 };
        let file = self.open(path, OFlag::O_RDONLY)?;
        let mut line = Name::new();
        line.fill(parameters)?;
        // SAFETY: the parameters end in NUL.
        unsafe { call(libc::SYS_finit_module, file.0 as usize, line.address(), flags, 0, 0).map(drop) }
    }

    fn run(&mut self, path: Path, argument: &[u8], second: &[u8]) -> Result<(), Errno> {
        let (mut program, mut word, mut further) = (Name::new(), Name::new(), Name::new());
        self.spell(path, &mut program)?;
        word.fill(argument)?;
        further.fill(second)?;
        let words = [program.address(), word.address(), if second.is_empty() { 0 } else { further.address() }, 0];
        let process = Machine::copy()?;
        if process == 0 {
            if let Ok(nowhere) = self.open(b"/dev/null", OFlag::O_WRONLY) {
                for stream in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
                    // SAFETY: no memory is read. This process has nothing more to say.
                    let _ = unsafe { call(libc::SYS_dup3, nowhere.0 as usize, stream as usize, 0, 0, 0) };
                }
            }
            // SAFETY: the strings end in NUL, the list of words in a null pointer; the list of the environment is that alone.
            let _ = unsafe { call(libc::SYS_execve, program.address(), words.as_ptr().expose_provenance(), (&raw const words[3]).expose_provenance(), 0, 0) };
            Machine::exit(127);
        }
        let mut status = 0_i32;
        // SAFETY: the kernel writes the status.
        unsafe { call(libc::SYS_wait4, process as usize, (&raw mut status).expose_provenance(), libc::__WALL as usize, 0, 0)? };
        if status == 0 { Ok(()) } else { Err(Errno::ECHILD) }
    }

    fn side_by_side(&mut self, tasks: &mut dyn FnMut() -> Option<usize>, seconds: u32, work: &dyn Fn(&mut Machine, usize) -> Turn) {
        // Every process has the end to write into. When all of them are gone, however they ended, the other end tells: one call for all.
        // A program that one of them executes does not have it: it may stay.
        let mut ends = [0_u32; 2];
        // SAFETY: the kernel writes two numbers.
        let has_pipe = unsafe { call(libc::SYS_pipe2, ends.as_mut_ptr().expose_provenance(), OFlag::O_CLOEXEC.bits() as usize, 0, 0, 0) }.is_ok();
        let is_shared = has_pipe && self.share();
        let mut left: Time = [seconds.into(), 0];
        let mut running = 0;
        'tasks: while let Some(task) = tasks() {
            while running >= PROCESSES {
                if !self.watch(ends[0], libc::POLLIN, &mut left) {
                    // All are stuck. What is left is not begun.
                    break 'tasks;
                }
                let mut tokens = [0_u8; PROCESSES as usize];
                // SAFETY: the kernel writes at most as many bytes as there are.
                let read = unsafe { call(libc::SYS_read, ends[0] as usize, tokens.as_mut_ptr().expose_provenance(), tokens.len(), 0, 0) };
                running = running.saturating_sub(read.unwrap_or_default());
            }
            let process = if is_shared { Machine::copy() } else { Err(Errno::ENOSYS) };
            match process {
                Ok(0) => {
                    self.finish(task, seconds, work);
                    let _ = Machine::write_once(ends[1], b".");
                    Machine::exit(0);
                }
                Ok(_) => running += 1,
                // Then it is done here.
                Err(_) => self.finish(task, seconds, work),
            }
        }
        if has_pipe {
            drop(File(ends[1]));
            let reading = File(ends[0]);
            self.watch(reading.0, 0, &mut left);
        }
    }

    fn note(&mut self, place: usize, value: u32) {
        self.share();
        let Some(word) = BOARD.0.get(place) else { return };
        if place > 0 {
            word.store(value, Ordering::Release);
        } else if word.compare_exchange(0, value, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // SAFETY: the kernel wakes those who wait for the place, as many as there are. No memory is read.
            let _ = unsafe { call(libc::SYS_futex, word.as_ptr().expose_provenance(), libc::FUTEX_WAKE as usize, i32::MAX as usize, 0, 0) };
        }
    }

    fn noted(&mut self, place: usize) -> u32 {
        BOARD.0.get(place).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn xenstore<'b>(&mut self, path: Path, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        if self.is_rooted {
            // Below another root it is a folder of files there.
            return self.read(path, 0, buffer);
        }
        const HEADER: usize = 16;
        let file = self.open(b"/dev/xen/xenbus", OFlag::O_RDWR)?;
        // A message is its type, two numbers that are of no use here, the size of what follows, and that (`struct xsd_sockmsg`, xen/include/public/io/xs_wire.h).
        let (mut name, mut message) = (Name::new(), Line::new());
        name.fill(path)?;
        for number in [XS_READ, 0, 0, name.0.len() as u32] {
            message.push(&number.to_ne_bytes());
        }
        message.push(&name.0);
        Machine::write_all(file.0, message.bytes())?;
        // Nobody may be there to answer. The file was opened so that a read does not wait for that.
        let (mut watched, mut left) = (libc::pollfd { fd: file.0 as i32, events: libc::POLLIN, revents: 0 }, [2, 0] as Time);
        // SAFETY: the kernel reads and writes both structures, which are there.
        if unsafe { call(libc::SYS_ppoll, (&raw mut watched).expose_provenance(), 1, left.as_mut_ptr().expose_provenance(), 0, 0)? } == 0 {
            return Err(Errno::ETIMEDOUT);
        }
        let mut answer = [0; HEADER + 256];
        // SAFETY: the kernel writes at most as many bytes as there are.
        let length = unsafe { call(libc::SYS_read, file.0 as usize, answer.as_mut_ptr().expose_provenance(), answer.len(), 0, 0)? };
        let (header, text) = answer.get(..length as usize).and_then(|answer| answer.split_at_checked(HEADER)).ok_or(Errno::EIO)?;
        // Anything else is an error, by its name: that there is nothing, mostly.
        if header.first_chunk() != Some(&XS_READ.to_ne_bytes()) {
            return Err(if text.starts_with(b"ENOENT") { Errno::ENOENT } else { Errno::EIO });
        }
        copied(text, buffer)
    }

    fn xen_cmdline<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        if self.is_rooted {
            return self.read(b"/dev/xen/cmdline", 0, buffer);
        }
        /// `struct privcmd_hypercall` (`include/uapi/xen/privcmd.h`): `__HYPERVISOR_xen_version` with `XENVER_commandline`, which fills 1,024 bytes.
        const XEN_VERSION: u64 = 17;
        const XENVER_COMMANDLINE: u64 = 9;
        const IOCTL_PRIVCMD_HYPERCALL: usize = 0x30_5000;
        // Xen writes it, and does not wait for a page to come: touched, it is there.
        let mut text = [1_u8; 1024];
        let hypercall = [XEN_VERSION, XENVER_COMMANDLINE, text.as_mut_ptr().expose_provenance() as u64, 0, 0, 0];
        let file = self.open(b"/dev/xen/privcmd", OFlag::O_RDWR)?;
        // SAFETY: the kernel reads the structure, and Xen writes the text, of which there is as much as it may have.
        unsafe { call(libc::SYS_ioctl, file.0 as usize, IOCTL_PRIVCMD_HYPERCALL, hypercall.as_ptr().expose_provenance(), 0, 0)? };
        let text = first_part(&text, 0);
        copied(text, buffer)
    }

    fn terminal(&mut self) -> Terminal {
        // Rows, columns, and two numbers of pixels (`struct winsize`).
        let mut size = [0_u16; 4];
        // SAFETY: the kernel writes the structure. What is no terminal has no size.
        let asked = unsafe { call(libc::SYS_ioctl, libc::STDOUT_FILENO as usize, libc::TIOCGWINSZ as usize, size.as_mut_ptr().expose_provenance(), 0, 0) };
        Terminal { columns: size[1], has_colours: asked.is_ok() && !self.has_no_color }
    }

    fn say(&mut self, level: Level, line: &Line) {
        let (mut log, mut rest) = (self.log, line.bytes());
        let size = if log == Log::Kernel { RECORD_SIZE } else { rest.len() };
        let mut record = Line::new();
        while !rest.is_empty() {
            // The kernel gets it at once too, but for a monstrous name.
            let (piece, after) = rest.split_at_checked(size).unwrap_or((rest, b""));
            record.clear();
            if log == Log::Kernel {
                put!(&mut record, "<", Decimal(level as u32), ">");
            }
            put!(&mut record, "pciseize: ");
            record.push(piece);
            // A record without an end may be continued: the console would not show it before the next one begins.
            put!(&mut record, "\n");
            if log == Log::Stderr {
                let _ = Machine::write_all(libc::STDERR_FILENO as u32, record.bytes());
            // Opened anew for every record: /dev/kmsg drops what comes faster than 10 records in 5 seconds through one open file (kernel/printk/printk.c, devkmsg_write).
            } else if self.write(b"/dev/kmsg", record.bytes()).is_err() {
                log = Log::Stderr;
                continue;
            }
            rest = after;
        }
    }

    #[inline(never)]
    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        Machine::write_all(libc::STDOUT_FILENO as u32, bytes)
    }
}

/// A text in somebody's buffer.
#[inline(never)]
fn copied<'b>(text: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let value = buffer.get_mut(..text.len()).ok_or(Errno::ENAMETOOLONG)?;
    value.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
    Ok(value)
}

/// Most bytes of a line in one record of the kernel log, its prefix not counted. Longer records fail with EINVAL (kernel/printk/printk.c, devkmsg_write).
const RECORD_SIZE: usize = 900;

/// Bytes of folder entries that are read at once.
const ENTRIES_SIZE: usize = 4096;

/// The name of the first `struct linux_dirent64` (`include/linux/dirent.h`) and what follows the entry: inode and offset take 16 bytes, then come the entry's length in 2, its type in 1, and the name with a NUL.
fn first_entry(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u16::from_ne_bytes(*entries.get(16..)?.first_chunk()?);
    let (entry, rest) = entries.split_at_checked(length.into())?;
    let name = first_part(entry.get(19..)?, 0);
    Some((name, rest))
}
