//! `pciseize check`: reads configuration and reports every problem in it.

use core::ffi::CStr;

use super::Exit;
use crate::{
    host::{Errno, Host},
    put,
    request::{Found, Request, cmdline, file},
    text::{Decimal, Line},
};

/// Reads the files, or where none is named all that `seize` would read, and prints the problems, one a line, then the count.
#[inline(never)]
pub fn run<H: Host>(host: &mut H, request: &mut Request, embedded: &[u8], files: &[&CStr]) -> Exit {
    if files.is_empty() {
        // An image may be made where /proc is not: for another root, in a build service.
        let is_elsewhere = host.read(cmdline::FILE.as_bytes(), 0, &mut [0]) == Err(Errno::ENOENT);
        request.gather(host, embedded, is_elsewhere.then_some(b""));
    }
    for name in files {
        file::read(request, host, name.to_bytes(), false);
    }
    let mut printed = true;
    let mut line = Line::new();
    for problem in request.problems.iter() {
        line.clear();
        put!(&mut line, Found(request, problem), "\n");
        printed &= host.print(line.bytes()).is_ok();
    }
    line.clear();
    put!(&mut line, "items: ", Decimal(request.wishes() as u32), ", problems: ", Decimal(request.problems.count()), "\n");
    printed &= host.print(line.bytes()).is_ok();
    // What nobody could read is not as asked.
    Exit::of(printed && request.problems.is_empty())
}
