//! Where text goes out that is made of many entries: they wait for one another, and are written together.

use heapless::Vec;

use crate::{
    host::{Errno, Host, Path},
    text::{LINE_SIZE, Line},
};

/// Most bytes that wait to be written: some eight devices. To write each by itself would take three system calls for it. Whatever a line holds fits.
const WAITING_SIZE: usize = LINE_SIZE;

/// Text on its way into a file or to the standard output, piece by piece.
pub struct Sink<'h, H> {
    /// The machine.
    pub host: &'h mut H,
    path: Option<Path<'h>>,
    /// The next entry, or a part of it.
    pub line: Line,
    waiting: Vec<u8, WAITING_SIZE>,
    result: Result<(), Errno>,
}

impl<'h, H: Host> Sink<'h, H> {
    /// Into the file at `path`, or without one to the standard output.
    // In its place: it is too large to be handed on.
    #[inline(always)]
    pub fn new(host: &'h mut H, path: Option<Path<'h>>) -> Sink<'h, H> {
        Sink { host, path, line: Line::new(), waiting: Vec::new(), result: Ok(()) }
    }

    /// Has the line wait with others: after every entry, since an empty line has room for any.
    #[inline(never)]
    pub fn flush(&mut self) {
        if self.waiting.extend_from_slice(self.line.bytes()).is_err() {
            self.write_out();
            let _ = self.waiting.extend_from_slice(self.line.bytes());
        }
        self.line.clear();
    }

    /// Writes out what is waiting.
    #[inline(never)]
    fn write_out(&mut self) {
        self.result = self.result.and_then(|()| match self.path {
            Some(path) => self.host.append(path, &self.waiting),
            None => self.host.print(&self.waiting),
        });
        self.waiting.clear();
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The first that was met.
    pub fn end(&mut self) -> Result<(), Errno> {
        self.flush();
        self.write_out();
        self.result
    }
}
