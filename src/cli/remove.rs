//! `pciseize remove`: asks for devices no longer.

use core::ffi::CStr;

use super::{Exit, Memory};
use crate::host::Host;

/// To be built.
pub fn run<H: Host>(
    _host: &mut H,
    _memory: &mut Memory,
    _embedded: &[u8],
    _words: &[&CStr],
) -> Exit {
    Exit::Usage
}
