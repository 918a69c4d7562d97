//! `pciseize check`: reads configuration and reports every problem in it.

use core::ffi::CStr;

use super::Exit;
use crate::{
    host::Host,
    line,
    report::log::Told,
    request::{Request, file},
    text::Decimal,
};

/// Reads the files, or without any all that `seize` would read, and prints the problems, one a line, then the count.
pub fn run<H: Host>(host: &mut H, embedded: &[u8], files: &[&CStr]) -> Exit {
    let mut request = Request::new();
    if files.is_empty() {
        request.gather(host, embedded);
    }
    for name in files {
        file::read(&mut request, host, name.to_bytes(), false);
    }
    for problem in request.problems.iter() {
        host.print(line!("{}\n", Told(&request, problem)).bytes());
    }
    let (items, problems) = (request.items.len() as u32, request.problems.count());
    let plural = |count: u32| if count == 1 { "" } else { "s" };
    let count = line!("{} item{}, {} problem{}\n", Decimal(items), plural(items), Decimal(problems), plural(problems));
    host.print(count.bytes());
    if request.problems.is_empty() { Exit::AsAsked } else { Exit::NotAsAsked }
}
