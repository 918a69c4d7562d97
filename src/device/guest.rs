//! Which guest has a device.

use crate::host::Errno;

/// Whether a guest has a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// None has.
    None,
    /// The one with this number has.
    Domain(u32),
    /// There are guests with devices, and nobody can tell which: xenstore did not answer, for this
    /// reason.
    Unknown(Errno),
}
