//! Columns, colours, and text that wraps.

use crate::{
    host::Terminal,
    put,
    text::{Line, first_part},
};

/// Where a text that is too long for its line goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrap {
    /// Most columns of a line. 0: a line has room for everything.
    pub width: usize,
    /// What begins the next line.
    pub mark: &'static str,
    /// The column where the text goes on.
    pub indent: usize,
}

impl Wrap {
    /// On a line of comment, as the configuration has it.
    pub const fn comment(width: usize, indent: usize) -> Wrap {
        Wrap {
            width,
            mark: "#",
            indent,
        }
    }

    /// On a line of text, on a terminal with so many columns. 0: it is none.
    pub fn text(columns: u16) -> Wrap {
        Wrap {
            width: columns.into(),
            mark: "",
            indent: 4,
        }
    }
}

/// A colour of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// That of all other text.
    None,
    /// What pciback has, or gets.
    Green,
    /// What dom0 uses.
    Yellow,
    /// What is not as asked.
    Red,
    /// A bridge.
    Faint,
}

impl Colour {
    /// What switches a terminal to it (ECMA-48, SGR).
    const fn code(self) -> &'static str {
        match self {
            Colour::None => "\x1b[m",
            Colour::Green => "\x1b[32m",
            Colour::Yellow => "\x1b[33m",
            Colour::Red => "\x1b[31m",
            Colour::Faint => "\x1b[2m",
        }
    }
}

/// Has what follows in a colour, if the terminal may have some.
pub fn begin_colour(line: &mut Line, terminal: Terminal, colour: Colour) {
    if terminal.has_colours && colour != Colour::None {
        put!(line, "{}", colour.code());
    }
}

/// Ends a colour that was begun.
pub fn end_colour(line: &mut Line, terminal: Terminal, colour: Colour) {
    if terminal.has_colours && colour != Colour::None {
        put!(line, "{}", Colour::None.code());
    }
}

/// How many columns of the last line are taken. What switches a colour takes none: it begins with
/// ESC and ends with `m`.
pub fn columns(line: &Line) -> usize {
    let (mut taken, mut is_hidden) = (0, false);
    for byte in line.bytes() {
        match byte {
            b'\n' => taken = 0,
            0x1b => is_hidden = true,
            b'm' if is_hidden => is_hidden = false,
            _ if is_hidden => {}
            _ => taken += 1,
        }
    }
    taken
}

/// Fills the last line with blanks up to a column, at least one.
pub fn pad(line: &mut Line, column: usize) {
    let taken = columns(line);
    for _ in taken..column.max(taken + 1) {
        put!(line, " ");
    }
}

/// Begins a new line, up to the column where the text goes on.
pub fn go_on(line: &mut Line, wrap: Wrap) {
    line.trim_end();
    put!(line, "\n{}", wrap.mark);
    pad(line, wrap.indent);
}

/// Adds a word: behind a blank, or on a new line if the width has no room for it, and a new line
/// has more.
pub fn add_word(line: &mut Line, word: &[u8], wrap: Wrap) {
    let is_full = || {
        let taken = columns(line);
        taken > wrap.indent && taken + word.len() >= wrap.width
    };
    if wrap.width != 0 && is_full() {
        go_on(line, wrap);
    } else if !matches!(line.bytes().last(), None | Some(b' ' | b'\n')) {
        put!(line, " ");
    }
    line.push(word);
}

/// Adds every word of a text. A command in quotes stays on one line, so that it can be pasted.
pub fn add_words(line: &mut Line, text: &[u8], wrap: Wrap) {
    let mut rest = text;
    while !rest.is_empty() {
        let has_room = |piece: &&[u8]| wrap.indent + piece.len() < wrap.width;
        let piece = quoted(rest).filter(has_room);
        let piece = piece.unwrap_or_else(|| first_part(rest, b' '));
        if !piece.is_empty() {
            add_word(line, piece, wrap);
        }
        rest = rest.get(piece.len() + 1..).unwrap_or_default();
    }
}

/// What is in quotes at the beginning of a text, with what stands behind it without a blank.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let inside = first_part(text.strip_prefix(b"'")?, b'\'');
    let (command, behind) = text.split_at_checked(inside.len() + 2)?;
    text.get(..command.len() + first_part(behind, b' ').len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::text as shown;

    #[test]
    fn pads_by_a_blank_at_least() {
        let mut line = Line::new();
        put!(&mut line, "ab");
        pad(&mut line, 5);
        assert_eq!(line.bytes(), b"ab   ");
        pad(&mut line, 2);
        assert_eq!(line.bytes(), b"ab    ");
        put!(&mut line, "\nc");
        pad(&mut line, 3);
        assert_eq!(line.bytes(), b"ab    \nc  ");
    }

    #[test]
    fn wraps_at_the_width() {
        for (width, wrapped) in [
            (0, "x one two three"),
            (80, "x one two three"),
            (12, "x one two\n#   three"),
            (4, "x one\n#   two\n#   three"),
        ] {
            let mut line = Line::new();
            put!(&mut line, "x");
            add_words(&mut line, b"one two three", Wrap::comment(width, 4));
            assert_eq!(line.bytes(), wrapped.as_bytes(), "{width}");
        }
    }

    #[test]
    fn keeps_a_command_in_quotes_on_one_line() {
        for (text, wrapped) in [
            ("now: 'do it'; on", "x now:\n#   'do it';\n#   on"),
            ("a 'b c' defg", "x a 'b c'\n#   defg"),
            // Longer than a line, without an end, and not at the beginning of a word.
            ("'do all of it'", "x 'do all of\n#   it'"),
            ("'do it later", "x 'do it\n#   later"),
            ("it's a two's", "x it's a\n#   two's"),
        ] {
            let mut line = Line::new();
            put!(&mut line, "x");
            add_words(&mut line, text.as_bytes(), Wrap::comment(13, 4));
            assert_eq!(shown(line.bytes()), wrapped, "{text}");
        }
    }
}
