//! The start of the program: `main` as the C library calls it, and the words it was given.
//!
//! `std::env::args` is empty under musl, and a Rust `main` brings in std's runtime, which allocates
//! and can panic.

use core::ffi::{CStr, c_char, c_int};

use nix::{errno::Errno as Number, libc};
use pciseize::host::Errno;

use super::{console::Colours, syscall::own};

/// What the kernel gave the program: its words and its environment.
#[derive(Clone, Copy)]
pub struct Arguments {
    count: usize,
    words: *const *const c_char,
    environment: *const *const c_char,
}

impl Arguments {
    /// The program's own name: the path that the kernel was told, where the kernel started it.
    pub fn name(&self) -> Option<&'static CStr> {
        (self.count > 0).then(|| self.word(0))
    }

    /// The words of the command line, without the program's own name.
    pub fn words(&self) -> impl Iterator<Item = &'static CStr> {
        (1..self.count).map(|number| self.word(number))
    }

    /// The word with this number, which is below `count`.
    fn word(&self, number: usize) -> &'static CStr {
        // SAFETY: `words` points to `count` pointers, and `number` is below `count`.
        let word = unsafe { *self.words.add(number) };
        // SAFETY: each of them points to a string with a NUL, which lives as long as the process.
        unsafe { CStr::from_ptr(word) }
    }

    /// Whether the user accepts colours: `NO_COLOR` is unset or empty (<https://no-color.org>).
    pub fn colours(&self) -> Colours {
        let mut entry = self.environment;
        loop {
            // SAFETY: `entry` has not passed the null pointer that ends the environment.
            let variable = unsafe { *entry };
            if variable.is_null() {
                return Colours::Accepted;
            }
            // SAFETY: an entry is a string with a NUL, which lives as long as the process.
            let variable = unsafe { CStr::from_ptr(variable) }.to_bytes();
            if variable
                .strip_prefix(b"NO_COLOR=")
                .is_some_and(|value| !value.is_empty())
            {
                return Colours::Refused;
            }
            // SAFETY: this entry was not the null pointer, so another entry follows it.
            entry = unsafe { entry.add(1) };
        }
    }

    /// Replaces this process by a program, with the words and the environment that this one got.
    /// Only the first word is the program's own path. Comes back only if that fails.
    ///
    /// Not `nix::unistd::execve`: it collects the words in a `Vec`.
    pub fn hand_to(&self, program: &'static CStr) -> Errno {
        if self.count > 0 {
            // SAFETY: `words` has `count` places. They are on the stack of this process, where
            // the kernel put them (`fs/binfmt_elf.c`, `create_elf_tables`), and no word is read
            // while this is written: there is one thread.
            unsafe { self.words.cast_mut().write(program.as_ptr()) };
        }
        // SAFETY: `program` and all words and variables end in NUL, and both lists in a null
        // pointer.
        unsafe { libc::execve(program.as_ptr(), self.words, self.environment) };
        own(Number::last())
    }
}

/// What musl's start code calls.
///
/// # Safety
/// As for every C `main`: `words` points to `count` strings and a null pointer, `environment` to
/// strings and a null pointer, all of which live as long as the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn main(
    count: c_int,
    words: *const *const c_char,
    environment: *const *const c_char,
) -> c_int {
    let count = usize::try_from(count).unwrap_or_default();
    crate::run(&Arguments {
        count,
        words,
        environment,
    }) as c_int
}
