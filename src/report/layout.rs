//! Columns, and text that wraps.

use crate::{
    put,
    text::{Line, last_part, split},
};

/// Fills the line with blanks up to a column, at least one.
pub fn pad(line: &mut Line, column: usize) {
    put!(line, " ");
    while line.bytes().len() < column {
        put!(line, " ");
    }
}

/// Adds a blank and a word; on a comment line of its own if the width has no room for the word. A
/// width of 0 has room for everything.
pub fn add_word(line: &mut Line, word: &[u8], width: usize) {
    let length = last_part(line.bytes(), b'\n').len();
    if width != 0 && length + word.len() >= width {
        line.trim_end();
        put!(line, "\n#   ");
    } else {
        put!(line, " ");
    }
    line.push(word);
}

/// Adds every word of a text.
pub fn add_words(line: &mut Line, text: &[u8], width: usize) {
    split(text, b' ').for_each(|word| add_word(line, word, width));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_by_a_blank_at_least() {
        let mut line = Line::new();
        put!(&mut line, "ab");
        pad(&mut line, 5);
        assert_eq!(line.bytes(), b"ab   ");
        pad(&mut line, 2);
        assert_eq!(line.bytes(), b"ab    ");
    }

    #[test]
    fn wraps_at_the_width() {
        for (width, wrapped) in [
            (0, "x one two three"),
            (80, "x one two three"),
            (12, "x one two\n#   three"),
        ] {
            let mut line = Line::new();
            put!(&mut line, "x");
            add_words(&mut line, b"one two three", width);
            assert_eq!(line.bytes(), wrapped.as_bytes(), "{width}");
        }
    }
}
