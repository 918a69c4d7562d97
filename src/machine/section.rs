//! The configuration inside the program: the ELF section `.pciseize`.

use pciseize::request::source::embedded::SECTION_SIZE;

/// Made by `build.rs`; replaced in the finished program by `make embed`.
#[used]
#[unsafe(link_section = ".pciseize")]
static SECTION: [u8; SECTION_SIZE] = *include_bytes!(concat!(env!("OUT_DIR"), "/section"));

/// Where the section is.
static PLACE: &[u8; SECTION_SIZE] = &SECTION;

/// The section as it is in the file that runs.
pub fn embedded() -> &'static [u8] {
    // A plain read is computed by the compiler, from what the section held at compile time: a
    // configuration embedded later has no effect then. (A volatile read of the section itself costs
    // 52 KB, since it is copied byte by byte.)
    // SAFETY: `PLACE` is a valid static reference, which nobody ever writes.
    unsafe { (&raw const PLACE).read_volatile() }
}
