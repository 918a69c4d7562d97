//! Text on its way out: entries wait for one another, and are written together.

use heapless::Vec;

use crate::{
    host::Errno,
    text::{LINE_SIZE, Line, append},
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
        if append(&mut self.waiting, self.line.bytes()).is_err() {
            self.write_out();
            let _ = append(&mut self.waiting, self.line.bytes());
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

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String, vec::Vec};

    use super::*;
    use crate::put;

    #[test]
    fn writes_entries_in_order_and_together() {
        let (mut written, mut calls) = (Vec::new(), 0);
        let mut out = |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            calls += 1;
            Ok(())
        };
        let mut sink = Sink::new(&mut out);
        let mut expected = String::new();
        for number in 0..1000_u32 {
            put!(&mut sink.line, "entry {}\n", number);
            sink.flush();
            expected += &format!("entry {number}\n");
        }
        put!(&mut sink.line, "the last has no flush");
        expected += "the last has no flush";
        assert_eq!(sink.end(), Ok(()));
        assert_eq!(String::from_utf8_lossy(&written), expected);
        let most = expected.len() / (WAITING_SIZE / 2);
        assert!(calls <= most, "{calls} writes for {} bytes", expected.len());
    }

    #[test]
    fn has_room_for_a_full_line() {
        let mut written = Vec::new();
        let mut out = |bytes: &[u8]| {
            written.extend_from_slice(bytes);
            Ok(())
        };
        let mut sink = Sink::new(&mut out);
        for byte in [b'a', b'b'] {
            sink.line.push(&[byte; LINE_SIZE]);
            sink.flush();
        }
        assert_eq!(sink.end(), Ok(()));
        assert_eq!(written, [[b'a'; LINE_SIZE], [b'b'; LINE_SIZE]].concat());
    }

    #[test]
    fn stops_at_the_first_error() {
        let mut answers = [Ok(()), Err(Errno::ENOSPC), Err(Errno::EIO)].into_iter();
        let mut out = |_: &[u8]| answers.next().expect("no write after an error");
        let mut sink = Sink::new(&mut out);
        for _ in 0..5 {
            sink.line.push(&[b'x'; LINE_SIZE]);
            sink.flush();
        }
        assert_eq!(sink.end(), Err(Errno::ENOSPC));
        drop(sink);
        assert_eq!(
            answers.next(),
            Some(Err(Errno::EIO)),
            "nothing follows an error"
        );
    }
}
