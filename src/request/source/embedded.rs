//! The configuration inside the binary: the ELF section `.pciseize`.
//!
//! The section has exactly [`SECTION_SIZE`] bytes: text as in the file, padding newlines, and
//! [`END_MARK`] at its very end. The mark is a comment, so the whole section reads as a
//! configuration. A tool that replaces the section by one of another size moves the mark, and
//! pciseize notices.

use super::file;
use crate::{
    put,
    request::{Fault, Found, Mistake, Request},
    text::{Escaped, Line, split, without_mark},
};

/// Bytes of the section.
pub const SECTION_SIZE: usize = 2048;

/// The end of the section.
pub const END_MARK: &[u8; 16] = b"\n# pciseize end\n";

/// Most bytes of text in the section.
pub const TEXT_SIZE: usize = SECTION_SIZE - END_MARK.len();

/// The name of the embedded configuration as a source.
pub const NAME: &[u8] = b"embedded";

/// The section that carries `text`.
///
/// ```
/// use pciseize::request::source::embedded::{END_MARK, SECTION_SIZE, section};
///
/// let section = section(b"03:00.0\n").unwrap();
/// assert!(section.starts_with(b"03:00.0\n") && section.ends_with(END_MARK));
/// assert_eq!(section.len(), SECTION_SIZE);
/// ```
///
/// # Errors
/// [`Mistake::LongSection`] for a text that does not fit.
pub fn section(text: &[u8]) -> Result<[u8; SECTION_SIZE], Fault> {
    if text.len() > TEXT_SIZE {
        return Err(Fault::Is(Mistake::LongSection));
    }
    let mut section = [b'\n'; SECTION_SIZE];
    let ends = END_MARK.iter().rev();
    section
        .iter_mut()
        .zip(text)
        .for_each(|(place, &byte)| *place = byte);
    section
        .iter_mut()
        .rev()
        .zip(ends)
        .for_each(|(place, &byte)| *place = byte);
    Ok(section)
}

/// The section that carries `text`, and how many items it has, after the program's own reader found
/// no problem in it. Otherwise `None`, and `tell` has been called with a line for each problem.
///
/// For `build.rs` and `make embed`, which put a section into a program. `name` is that of the file.
pub fn checked(
    request: &mut Request,
    name: &[u8],
    text: &[u8],
    tell: &mut dyn FnMut(&Line),
) -> Option<([u8; SECTION_SIZE], usize)> {
    let mut line = Line::new();
    let section = match section(text) {
        Ok(section) => section,
        Err(fault) => {
            put!(&mut line, "{}: {}", Escaped(name), fault);
            tell(&line);
            return None;
        }
    };
    read(request, name, &section);
    for problem in request.problems.iter() {
        line.clear();
        put!(&mut line, "{}", Found(request, problem));
        tell(&line);
    }
    if request.problems.beyond > 0 {
        line.clear();
        put!(&mut line, "and {} more", request.problems.beyond);
        tell(&line);
    }
    request
        .problems
        .is_empty()
        .then_some((section, request.items.len()))
}

/// Reads a section as a source of that name.
pub fn read(request: &mut Request, name: &[u8], section: &[u8]) {
    let Some(source) = request.add_source(name) else {
        return;
    };
    let text = section
        .split_at_checked(TEXT_SIZE)
        .filter(|(_, mark)| mark == END_MARK);
    let Some((text, _)) = text else {
        return request.note_source_problem(source, Fault::Is(Mistake::Section));
    };
    for (number, line) in (1..).zip(split(without_mark(text), b'\n')) {
        file::apply_line(request, source, number, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(section: &[u8]) -> (usize, usize) {
        let mut request = Request::new();
        read(&mut request, NAME, section);
        let is_damage = |fault| fault == Fault::Is(Mistake::Section);
        let damages = request
            .problems
            .iter()
            .filter(|problem| is_damage(problem.fault));
        (request.items.len(), damages.count())
    }

    #[test]
    fn carries_a_text() {
        let section = section(b"0000:03:00.0\n04:00.0 # two").expect("it fits");
        assert_eq!(faults(&section), (2, 0));
        assert!(section.ends_with(END_MARK));
    }

    #[test]
    fn fits_to_the_last_byte() {
        let text = [b'#'; TEXT_SIZE + 1];
        assert_eq!(section(&text), Err(Fault::Is(Mistake::LongSection)));
        let full = section(&text[1..]).expect("it fits");
        assert_eq!(faults(&full), (0, 0));
    }

    #[test]
    fn notices_another_size() {
        let section = section(b"0000:03:00.0").expect("it fits");
        assert_eq!(faults(&section[1..]), (0, 1));
        assert_eq!(faults(&section[..SECTION_SIZE - 1]), (0, 1));
        assert_eq!(faults(&[0; SECTION_SIZE]), (0, 1));
        assert_eq!(faults(b""), (0, 1));
    }
}
