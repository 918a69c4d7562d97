//! What a test needs of a document: its examples and its tables. A document is Markdown or, as the
//! manual pages, scdoc, read by line as `scdoc(5)` describes it.

use std::{fs, mem, ops::Range, path::Path};

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::PACKAGE;

/// A document.
#[derive(Debug, Default)]
pub struct Page {
    /// Its path in the package.
    pub name: String,
    /// All of it.
    pub text: String,
    pub examples: Vec<Example>,
    pub tables: Vec<Table>,
}

/// A block of literal text.
#[derive(Debug, Default)]
pub struct Example {
    /// What the test does with it. Empty: nobody said.
    pub kind: String,
    /// As the reader sees it.
    pub text: String,
    /// Where it stands in the document.
    pub range: Range<usize>,
    /// The heading above it, counted from the start: what one example sets up holds to the next
    /// heading.
    pub section: usize,
}

#[derive(Debug, Default)]
pub struct Table {
    /// Where it begins in the document.
    pub at: usize,
    pub header: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// As the reader sees it.
    pub text: String,
    /// What is set as code in it: between backquotes, or bold in a manual page.
    pub code: Vec<String>,
}

impl Example {
    /// Why nothing runs it, if that is so.
    pub fn not_run(&self) -> Option<&str> {
        self.kind.split_once(" not run: ").map(|(_, reason)| reason)
    }
}

impl Page {
    /// Reads a document in Markdown.
    pub fn markdown(name: &str) -> Page {
        let mut page = Page::open(name);
        let text = page.text.clone();
        let (mut section, mut literal, mut in_cell) = (0, None, false);
        for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading {
                    level: HeadingLevel::H1 | HeadingLevel::H2,
                    ..
                }) => section += 1,
                Event::Start(Tag::CodeBlock(kind)) => {
                    let kind = if let CodeBlockKind::Fenced(info) = kind {
                        info.to_string()
                    } else {
                        String::new()
                    };
                    literal = Some(Example {
                        kind,
                        range: range.end..range.end,
                        section,
                        ..Example::default()
                    });
                }
                Event::End(TagEnd::CodeBlock) => page.examples.extend(literal.take()),
                Event::Start(Tag::Table(_)) => page.tables.push(Table {
                    at: range.start,
                    ..Table::default()
                }),
                Event::Start(Tag::TableRow) => page.table().rows.push(Vec::new()),
                Event::Start(Tag::TableCell) => {
                    in_cell = true;
                    match page.table().rows.last_mut() {
                        None => page.table().header.push(String::new()),
                        Some(row) => row.push(Cell::default()),
                    }
                }
                Event::End(TagEnd::TableCell) => in_cell = false,
                Event::Text(words) => match (&mut literal, in_cell) {
                    (Some(example), _) => {
                        example.range.start = example.range.start.min(range.start);
                        example.range.end = range.end;
                        example.text += &words;
                    }
                    (None, true) => page.table().add(&words, false),
                    (None, false) => {}
                },
                Event::Code(words) if in_cell => page.table().add(&words, true),
                _ => {}
            }
        }
        page
    }

    /// Reads a manual page.
    pub fn manual(name: &str) -> Page {
        let mut page = Page::open(name);
        let text = page.text.clone();
        let (mut section, mut kind, mut literal, mut in_table, mut after_blank) =
            (0, String::new(), None, false, true);
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            let line = line.trim_end_matches('\n');
            if let Some(example) = &mut literal {
                if line == "```" {
                    page.examples.extend(literal.take());
                } else {
                    let example: &mut Example = example;
                    example.range.end = at;
                    example.text += &installed(&without_escapes(line));
                    example.text.push('\n');
                }
                continue;
            }
            in_table = in_table && !line.is_empty();
            if line == "```" {
                literal = Some(Example {
                    kind: mem::take(&mut kind),
                    range: at..at,
                    section,
                    ..Example::default()
                });
            } else if let Some(mark) = line.strip_prefix("; example: ") {
                kind = mark.to_owned();
            } else if line.starts_with("# ") || line.starts_with("## ") {
                section += 1;
            } else if in_table || after_blank && is_table(line) {
                if !mem::replace(&mut in_table, true) {
                    page.tables.push(Table {
                        at: start,
                        ..Table::default()
                    });
                }
                page.table().line(line);
            }
            after_blank = line.is_empty();
        }
        page
    }

    fn open(name: &str) -> Page {
        let text = fs::read_to_string(Path::new(PACKAGE).join(name))
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        Page {
            name: name.to_owned(),
            text,
            ..Page::default()
        }
    }

    fn table(&mut self) -> &mut Table {
        self.tables.last_mut().expect("a table has begun")
    }

    /// Where something stands: `README.md:12`.
    pub fn place(&self, at: usize) -> String {
        format!(
            "{}:{}",
            self.name,
            self.text[..at].matches('\n').count() + 1
        )
    }

    /// The lines of a chapter of a manual page, below its heading.
    pub fn chapter(&self, heading: &str) -> impl Iterator<Item = &str> {
        let heading = format!("# {heading}");
        assert!(
            self.text.lines().any(|line| line == heading),
            "{}: no chapter '{heading}'",
            self.name
        );
        self.text
            .lines()
            .skip_while(move |&line| line != heading)
            .skip(1)
            .take_while(|line| !line.starts_with("# "))
    }

    /// Puts other texts in the place of examples.
    pub fn replace(&self, mut others: Vec<(Range<usize>, String)>) {
        let mut text = self.text.clone();
        others.sort_by_key(|(range, _)| range.start);
        for (range, other) in others.into_iter().rev() {
            let other = if self.name.ends_with(".md") {
                other
            } else {
                other.replace('\\', "\\\\")
            };
            text.replace_range(range, &other);
        }
        fs::write(Path::new(PACKAGE).join(&self.name), text).expect("the document is written");
    }
}

impl Table {
    /// The number of the column with that heading.
    pub fn column(&self, heading: &str) -> Option<usize> {
        self.header
            .iter()
            .position(|own| own.eq_ignore_ascii_case(heading))
    }

    /// Adds words of Markdown to the cell that was begun last.
    fn add(&mut self, words: &str, is_code: bool) {
        match self.rows.last_mut().and_then(|row| row.last_mut()) {
            Some(cell) => {
                cell.text += words;
                cell.code.extend(is_code.then(|| words.to_owned()));
            }
            None => *self.header.last_mut().expect("a cell has begun") += words,
        }
    }

    /// Adds a line of scdoc: a cell that begins a row (`|`), another cell of it (`:`), or more of
    /// the last cell (a blank). The first character of all only says how the table looks.
    fn line(&mut self, line: &str) {
        let (begin, text) = line.split_at(2);
        let cell = cell(text.trim_start());
        match begin.chars().next() {
            // The last cell goes on.
            Some(' ') => {
                let last = self
                    .rows
                    .last_mut()
                    .and_then(|row| row.last_mut())
                    .expect("a cell");
                last.text += &format!(" {}", cell.text);
                last.code.extend(cell.code);
            }
            Some(':') if self.rows.is_empty() => self.header.push(cell.text),
            Some(':') => self.rows.last_mut().expect("a row has begun").push(cell),
            _ if self.header.is_empty() => self.header.push(cell.text),
            _ => self.rows.push(vec![cell]),
        }
    }
}

/// Whether a line of scdoc, the first after an empty one, begins a table.
fn is_table(line: &str) -> bool {
    line.starts_with(['[', '|', ']']) && line[1..].starts_with(['[', '-', ']', '<', '=', '>'])
}

/// The text without the backslashes that take away a meaning.
fn without_escapes(text: &str) -> String {
    let mut escaped = false;
    text.chars()
        .filter(|&c| {
            escaped = c == '\\' && !escaped;
            !escaped
        })
        .collect()
}

/// The text as `make install` leaves it: with the usual paths filled in.
fn installed(text: &str) -> String {
    text.replace("@PREFIX@", "/usr")
        .replace("@SBINDIR@", "/usr/sbin")
}

/// Reads a line of scdoc: `*bold*`, `_underlined_`, `\*`.
pub fn cell(line: &str) -> Cell {
    let mut cell = Cell::default();
    let mut bold: Option<String> = None;
    let mut before = ' ';
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let shown = match c {
            '\\' => chars.next(),
            '*' => {
                match bold.take() {
                    Some(code) => cell.code.push(code),
                    None => bold = Some(String::new()),
                }
                None
            }
            '_' if !(before.is_alphanumeric()
                && chars.peek().is_some_and(|next| next.is_alphanumeric())) =>
            {
                None
            }
            c => Some(c),
        };
        before = c;
        if let Some(shown) = shown {
            cell.text.push(shown);
            if let Some(code) = &mut bold {
                code.push(shown);
            }
        }
    }
    assert!(bold.is_none(), "a bold text has no end: {line}");
    cell
}
