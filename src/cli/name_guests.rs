//! `pciseize name-guests`: gives named devices their names in Xen.

use super::{Exit, Memory};
use crate::host::Host;

/// To be built.
pub fn run<H: Host>(_host: &mut H, _memory: &mut Memory, _embedded: &[u8]) -> Exit {
    Exit::Usage
}
