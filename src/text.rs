//! Text: how anything is shown, and how the little that is read as text is read.
//!
//! Whatever can be shown implements [`Show`] and is written into a [`Line`], the one writer of the program. It stands in for `core::fmt`, which can panic, and for `ufmt`, which compiles its formatting
//! anew into every place that uses it.

use heapless::Vec;

/// Something that can be shown to people.
pub trait Show {
    /// Adds it to the line.
    fn show(&self, line: &mut Line);
}

impl Show for str {
    // Where the text is known, so is its length: a single byte costs less to hand on.
    #[inline(always)]
    fn show(&self, line: &mut Line) {
        match *self.as_bytes() {
            [byte] => line.push_byte(byte),
            ref bytes => line.push(bytes),
        }
    }
}

/// Text that is one of several. (Of a single text the compiler knows the length.)
pub struct Either<'t>(pub &'t str);

impl Show for Either<'_> {
    #[inline(always)]
    fn show(&self, line: &mut Line) {
        line.push(self.0.as_bytes());
    }
}

impl<T: Show + ?Sized> Show for &T {
    #[inline(always)]
    fn show(&self, line: &mut Line) {
        (**self).show(line);
    }
}

/// Most bytes of a [`Line`]: room for a path whose every byte has to be escaped, and what is said of it. Less than a page, which a function could not touch unasked.
pub const LINE_SIZE: usize = 3072;

/// Text that is put together before it is given out whole: a line for people, a piece of JSON.
pub struct Line {
    bytes: Vec<u8, LINE_SIZE>,
    is_quoting: bool,
}

impl Line {
    /// An empty one.
    pub const fn new() -> Line {
        Line { bytes: Vec::new(), is_quoting: false }
    }

    /// What was added so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes it empty again.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Takes the blanks at the end off again.
    pub fn trim_end(&mut self) {
        while self.bytes.last() == Some(&b' ') {
            self.bytes.pop();
        }
    }

    /// Begins or ends a JSON string: what is added within is escaped.
    #[inline(never)]
    fn quote(&mut self) {
        let is_end = core::mem::take(&mut self.is_quoting);
        self.push(b"\"");
        self.is_quoting = !is_end;
    }

    /// Adds one byte.
    #[inline(never)]
    fn push_byte(&mut self, byte: u8) {
        self.push(&[byte]);
    }

    /// Adds bytes. Should they not fit, the line ends in `~`.
    #[inline(never)]
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.is_quoting && matches!(byte, b'"' | b'\\') {
                let _ = self.bytes.push(b'\\');
            }
            if self.bytes.push(byte).is_err() {
                self.bytes.pop();
                let _ = self.bytes.push(b'~');
            }
        }
    }
}

impl Default for Line {
    fn default() -> Line {
        Line::new()
    }
}

/// Adds pieces to a line, one after another: `put!(&mut line, address, " seized")`.
#[macro_export]
macro_rules! put {
    ($line:expr, $($piece:expr),+ $(,)?) => {{
        let line: &mut $crate::text::Line = $line;
        $($crate::text::Show::show(&$piece, line);)+
    }};
}

/// Says one line, made of pieces, to the people who watch: `say!(host, Level::Info, address, " seized")`.
#[macro_export]
macro_rules! say {
    ($host:expr, $level:expr, $($piece:expr),+ $(,)?) => {{
        let mut line = $crate::text::Line::new();
        $crate::put!(&mut line, $($piece),+);
        $host.say($level, &line);
    }};
}

/// Shows a number in hexadecimal, lower case: the number, and how many digits at least (1 to 8).
pub struct Hex(pub u32, pub u8);

impl Show for Hex {
    fn show(&self, line: &mut Line) {
        let Hex(value, width) = *self;
        if width > 1 || value > 0xf {
            Hex(value >> 4, width.saturating_sub(1)).show(line);
        }
        line.push(&[b"0123456789abcdef".get((value & 0xf) as usize).copied().unwrap_or_default()]);
    }
}

/// Shows a number in decimal.
pub struct Decimal(pub u32);

impl Show for Decimal {
    fn show(&self, line: &mut Line) {
        let Decimal(value) = *self;
        if value > 9 {
            Decimal(value / 10).show(line);
        }
        line.push(&[b'0' + (value % 10) as u8]);
    }
}

/// Reads a whole number with digits of `radix` (10 or 16), in any case. `None` for anything else, nothing at all, and what 32 bits do not hold.
pub fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0, |value: u32, &digit| {
        // Asked for a radix that it does not know at compile time, `to_digit` could panic.
        let digit = (digit as char).to_digit(16).filter(|&digit| digit < radix)?;
        value.checked_mul(radix)?.checked_add(digit)
    })
}

/// Shows bytes from anywhere: ASCII as it is; anything else, and control characters, as `\xNN`, byte by byte. So a line stays one line, is UTF-8, and every byte can be told.
pub struct Shown<'t>(pub &'t [u8]);

impl Show for Shown<'_> {
    fn show(&self, line: &mut Line) {
        for &byte in self.0 {
            if matches!(byte, b' '..=b'~') {
                line.push(&[byte]);
            } else {
                put!(line, "\\x", Hex(byte.into(), 2));
            }
        }
    }
}

/// Shows something as a JSON string (RFC 8259). Nothing that is shown holds a control character, so that only `"` and `\` are left to escape.
pub struct Quoted<T>(pub T);

impl<T: Show> Show for Quoted<T> {
    fn show(&self, line: &mut Line) {
        line.quote();
        self.0.show(line);
        line.quote();
    }
}

/// Most bytes of a bad item that are kept to be shown.
pub const EXCERPT_SIZE: usize = 60;

/// The beginning of a text, kept for a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    bytes: Vec<u8, EXCERPT_SIZE>,
    more: bool,
}

impl Excerpt {
    /// Keeps the first [`EXCERPT_SIZE`] bytes of `text`, and that there were more.
    pub fn of(text: &[u8]) -> Excerpt {
        let mut excerpt = Excerpt { bytes: Vec::new(), more: text.len() > EXCERPT_SIZE };
        let _ = excerpt.bytes.extend_from_slice(text.get(..EXCERPT_SIZE).unwrap_or(text));
        excerpt
    }

    /// The words that were kept whole.
    pub fn pieces(&self) -> &[u8] {
        let whole = if self.more { self.bytes.iter().rposition(|&b| b == b' ').unwrap_or_default() } else { self.bytes.len() };
        self.bytes.get(..whole).unwrap_or_default()
    }

    /// Whether there is anything to show.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Show for Excerpt {
    fn show(&self, line: &mut Line) {
        put!(line, Shown(&self.bytes), Either(if self.more { "..." } else { "" }));
    }
}

/// The words of a list, which has blanks between them: a third of the size of an array of texts.
pub fn words(list: &str) -> impl Iterator<Item = &[u8]> {
    split(list.as_bytes(), b' ')
}

/// The part of a list that has that number, from 0. Nothing where there is none.
#[inline(never)]
pub fn part(list: &str, separator: u8, number: usize) -> &[u8] {
    split(list.as_bytes(), separator).nth(number).unwrap_or_default()
}

/// Which word of a list this is, in any case; its number, from 0.
#[inline(never)]
pub fn word_number(list: &str, word: &[u8]) -> Option<usize> {
    words(list).position(|own| is_word(word, own))
}

/// Whether a word is one of ours, in any case.
pub fn is_word(word: &[u8], own: &[u8]) -> bool {
    word.len() == own.len() && word.iter().zip(own).all(|(one, other)| one.eq_ignore_ascii_case(other))
}

/// The parts of a text, as the standard `split` gives them. That one is compiled anew for every separator.
#[derive(Clone)]
pub struct Parts<'t> {
    rest: Option<&'t [u8]>,
    separator: u8,
}

impl<'t> Iterator for Parts<'t> {
    type Item = &'t [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'t [u8]> {
        let rest = self.rest?;
        let (part, rest) = split_once(rest, self.separator).map_or((rest, None), |(part, rest)| (part, Some(rest)));
        self.rest = rest;
        Some(part)
    }
}

/// The parts of a text between the separators. A text without one is one part.
pub const fn split(text: &[u8], separator: u8) -> Parts<'_> {
    Parts { rest: Some(text), separator }
}

/// The first part of a text.
pub fn first_part(text: &[u8], separator: u8) -> &[u8] {
    split(text, separator).next().unwrap_or_default()
}

/// The last part of a text.
pub fn last_part(text: &[u8], separator: u8) -> &[u8] {
    split(text, separator).last().unwrap_or_default()
}

/// What stands before the first `separator` and what behind it, if there is one.
#[inline(never)]
pub fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(text.iter().position(|&b| b == separator)?)?;
    Some((before, rest.get(1..)?))
}

/// The next piece of a text, from `at` on, that has no separator in it, and at least one byte. Then `at` is its end.
#[inline(never)]
pub fn next_piece<'t>(text: &'t [u8], at: &mut usize, is_separator: fn(u8) -> bool) -> Option<&'t [u8]> {
    let rest = text.get(*at..)?;
    let start = rest.iter().position(|&b| !is_separator(b))?;
    let rest = rest.get(start..)?;
    let length = rest.iter().position(|&b| is_separator(b)).unwrap_or(rest.len());
    *at += start + length;
    rest.get(..length)
}

/// What follows `prefix`. The standard `strip_prefix` leaves a panic behind where it is not inlined.
pub fn behind<'t>(prefix: &[u8], text: &'t [u8]) -> Option<&'t [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    (start == prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(shown: impl Show) -> Line {
        let mut line = Line::new();
        shown.show(&mut line);
        line
    }

    #[test]
    fn quotes_for_json() {
        assert_eq!(line_of(Quoted(Shown(b"a\"\\\n\xff"))).bytes(), br#""a\"\\\\x0a\\xff""#);
    }

    #[test]
    fn marks_a_line_that_is_full() {
        assert_eq!(line_of(Shown(&[b'x'; LINE_SIZE])).bytes(), [b'x'; LINE_SIZE]);
        let line = line_of(Shown(&[b'x'; LINE_SIZE + 1]));
        assert_eq!((line.bytes().len(), line.bytes().last()), (LINE_SIZE, Some(&b'~')));
    }

    #[test]
    fn hides_nothing_and_stays_one_line() {
        assert_eq!(line_of(Shown("a é~".as_bytes())).bytes(), b"a \\xc3\\xa9~");
        assert_eq!(line_of(Shown(b"a\n\xff\x1b[1m")).bytes(), b"a\\x0a\\xff\\x1b[1m");
    }

    #[test]
    fn shows_and_reads_numbers() {
        let mut line = Line::new();
        put!(&mut line, Hex(0, 4), " ", Hex(0x10de, 4), " ", Hex(0x12345, 2), " ", Decimal(0), " ", Decimal(u32::MAX));
        assert_eq!(line.bytes(), b"0000 10de 12345 0 4294967295");
        assert_eq!(number(b"10De", 16), Some(0x10de));
        assert_eq!(number(b"ffffffff", 16), Some(u32::MAX));
        for (digits, radix) in [("", 10), ("100000000", 16), ("1 ", 10), ("-1", 10), ("a", 10)] {
            assert_eq!(number(digits.as_bytes(), radix), None, "{digits}");
        }
    }

    #[test]
    fn says_that_there_was_more() {
        let mut line = Line::new();
        put!(&mut line, &Excerpt::of(&[b'x'; EXCERPT_SIZE]), "|", &Excerpt::of(&[b'y'; EXCERPT_SIZE + 1]));
        assert_eq!(line.bytes().len(), 2 * EXCERPT_SIZE + 1 + 3);
        assert!(line.bytes().ends_with(b"y..."));
    }
}
