//! The memory of a command: one static variable, all zeros, so that it takes no place in the file.

use core::sync::atomic::{AtomicBool, Ordering};

use pciseize::cli::Memory;

/// Not on the stack: a function touches its whole frame as it begins. Five megabytes would be in
/// use for three devices.
static mut MEMORY: Memory = Memory::new();

/// Whether [`take`] has given the memory away.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The memory, the first time that it is asked for.
pub fn take() -> Option<&'static mut Memory> {
    if IS_TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    let memory = &raw mut MEMORY;
    // SAFETY: only the first caller comes here, so that this is the only reference there ever is.
    Some(unsafe { &mut *memory })
}
