//! What people and programs read: the kernel log, standard error, standard output.

use pciseize::{
    host::{Console, Errno, Files, Level, Terminal},
    put,
    report::layout::{Wrap, add_words},
    text::Line,
};

use super::{Machine, files, syscall};

/// Where messages for people go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// `/dev/kmsg`, in an initramfs.
    Kernel,
    /// Standard error.
    Stderr,
}

/// Whether the user accepts colours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// On a terminal there may be some.
    Accepted,
    /// None, anywhere.
    Refused,
}

/// Most bytes of a line in one record of the kernel log, its prefix not counted. Longer records
/// fail with EINVAL (`kernel/printk/printk.c`, `devkmsg_write`).
const RECORD_SIZE: usize = 900;

impl Machine {
    /// Writes one record into the kernel log.
    ///
    /// `/dev/kmsg` is opened anew for each: it drops what comes faster than 10 records in 5 seconds
    /// through one open file (`kernel/printk/printk.c`, `devkmsg_write`).
    fn write_record(&mut self, level: Level, text: &[u8]) -> Result<(), Errno> {
        let mut record = Line::new();
        put!(&mut record, "<{}>pciseize: ", level as u32);
        record.push(text);
        // A record without an end may be continued: the console shows it only with the next one.
        record.push(b"\n");
        self.write(b"/dev/kmsg", record.bytes())
    }

    /// Writes a line, or what is left of one, to standard error. On a terminal it wraps.
    fn write_stderr(&self, text: &[u8]) {
        let mut record = Line::new();
        put!(&mut record, "pciseize:");
        add_words(&mut record, text, Wrap::text(self.message_columns));
        record.push(b"\n");
        let _ = files::write_all(syscall::stderr(), record.bytes());
    }
}

impl Console for Machine {
    fn terminal(&mut self) -> Terminal {
        let columns = syscall::terminal_columns(syscall::stdout());
        Terminal {
            columns: columns.unwrap_or_default(),
            has_colours: columns.is_some() && self.colours == Colours::Accepted,
        }
    }

    fn say(&mut self, level: Level, line: &Line) {
        let mut rest = line.bytes();
        if self.log == Log::Kernel {
            // One record, but for a monstrous name.
            while !rest.is_empty() {
                let (piece, after) = rest.split_at_checked(RECORD_SIZE).unwrap_or((rest, b""));
                if self.write_record(level, piece).is_err() {
                    break;
                }
                rest = after;
            }
        }
        if !rest.is_empty() {
            self.write_stderr(rest);
        }
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        files::write_all(syscall::stdout(), bytes)
    }
}
