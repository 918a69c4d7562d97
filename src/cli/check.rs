//! `pciseize check`: reads configuration and reports every problem in it.

use core::ffi::CStr;

use super::Exit;
use crate::{
    host::{Console, Errno, Files},
    put,
    report::layout::{Wrap, add_words},
    request::{
        Found, Request,
        source::{
            cmdline,
            file::{self, Missing},
        },
    },
    text::Line,
};

/// Reads the files, or where none is named all that `seize` reads, and prints the problems, one a
/// line, then the count.
pub fn run<H: Files + Console>(
    host: &mut H,
    request: &mut Request,
    embedded: &[u8],
    files: &[&CStr],
) -> Exit {
    if files.is_empty() {
        // An image may be made where /proc is not: for another root, in a build service.
        let has_no_proc = host.read(cmdline::FILE.as_bytes(), 0, &mut [0]) == Err(Errno::ENOENT);
        let cmdline = has_no_proc.then_some(b"".as_slice());
        request.gather(host, embedded, cmdline);
    }
    for name in files {
        file::read(request, host, name.to_bytes(), Missing::Problem);
    }
    let mut is_printed = true;
    let wrap = Wrap::text(host.terminal().columns);
    let (mut line, mut text) = (Line::new(), Line::new());
    for problem in request.problems.iter() {
        text.clear();
        put!(&mut text, "{}", Found(request, problem));
        line.clear();
        add_words(&mut line, text.bytes(), wrap);
        put!(&mut line, "\n");
        is_printed &= host.print(line.bytes()).is_ok();
    }
    line.clear();
    let (items, problems) = (request.wishes() as u32, request.problems.count());
    put!(&mut line, "items: {}, problems: {}\n", items, problems);
    is_printed &= host.print(line.bytes()).is_ok();
    // Problems that nobody could read are not as asked.
    Exit::of(is_printed && request.problems.is_empty())
}
