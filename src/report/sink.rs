//! Text on its way out: entries wait for one another, and are written together.

use heapless::Vec;

use crate::{
    host::Errno,
    text::{LINE_SIZE, Line},
};

/// Most bytes that wait to be written: some eight devices. To write each by itself takes three
/// system calls for it. Whatever a line holds fits.
const WAITING_SIZE: usize = LINE_SIZE;

/// What takes the text: standard output, or a file.
pub type Out<'o> = dyn FnMut(&[u8]) -> Result<(), Errno> + 'o;

/// Text on its way out, entry by entry.
pub struct Sink<'o> {
    out: &'o mut Out<'o>,
    /// The next entry, or a part of it.
    pub line: Line,
    waiting: Vec<u8, WAITING_SIZE>,
    result: Result<(), Errno>,
}

impl<'o> Sink<'o> {
    /// To `out`.
    pub fn new(out: &'o mut Out<'o>) -> Sink<'o> {
        Sink {
            out,
            line: Line::new(),
            waiting: Vec::new(),
            result: Ok(()),
        }
    }

    /// Has the line wait with others: after every entry, since an empty line has room for any.
    pub fn flush(&mut self) {
        if self.waiting.extend_from_slice(self.line.bytes()).is_err() {
            self.write_out();
            let _ = self.waiting.extend_from_slice(self.line.bytes());
        }
        self.line.clear();
    }

    /// Writes out what is waiting.
    fn write_out(&mut self) {
        if self.result.is_ok() {
            self.result = (self.out)(&self.waiting);
        }
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
