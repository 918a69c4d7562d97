//! All sources of a request, read in the order in which they win: the last one wins.

use super::{
    Request,
    source::{cmdline, embedded, file, guard, modprobe},
};
use crate::host::Files;

impl Request {
    /// Reads every source of the machine. `embedded` is the section of the program itself;
    /// `cmdline`, if given, takes the place of `/proc/cmdline`.
    pub fn gather<H: Files>(&mut self, host: &mut H, embedded: &[u8], cmdline: Option<&[u8]>) {
        let name = match cmdline {
            Some(_) => cmdline::OPTION,
            None => cmdline::FILE,
        };
        // Added first, though read last: it can switch the boot off, so no number of drop-ins may
        // crowd it out.
        let source = self.add_source(name.as_bytes());
        guard::read(self, host);
        embedded::read(self, embedded::NAME, embedded);
        file::read_all(self, host);
        modprobe::read_all(self, host);
        cmdline::read_dracut(self, host);
        let Some(source) = source else { return };
        match cmdline {
            Some(line) => cmdline::apply(self, source, line),
            None => cmdline::read_kernel(self, host, source),
        }
    }
}
