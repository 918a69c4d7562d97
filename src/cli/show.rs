//! `pciseize show`: all that is known of a device.

use super::{Exit, Invocation, Memory};
use crate::host::Host;

/// To be built.
pub fn run<H: Host>(
    _host: &mut H,
    _memory: &mut Memory,
    _embedded: &[u8],
    _invocation: &Invocation,
) -> Exit {
    Exit::Usage
}
