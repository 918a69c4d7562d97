//! A configuration file: no line is lost, and every message points at the text of its line.

#![no_main]

#[path = "../../tests/language/tree.rs"]
#[allow(dead_code)]
mod tree;

use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use pciseize::{
    host::lines::{FILE_SIZE, LINE_SIZE},
    request::{
        Fault, ITEMS, Mistake, Problem, Problems, Request, SOURCES,
        digest::Digest,
        names::GuestNames,
        source::file::{self, Missing},
    },
    text::Excerpt,
};
use tree::Tree;

/// A request is large, and making one takes longer than reading a file. So one request serves as
/// many files as it has room for sources.
static REQUEST: LazyLock<Mutex<(Box<Request>, usize)>> =
    LazyLock::new(|| Mutex::new((Box::new(Request::new()), 0)));

fuzz_target!(|text: &[u8]| {
    let mut tree = Tree::default();
    tree.file(file::FILE, text);
    let (request, files) = &mut *REQUEST.lock().expect("one thread");
    if *files == SOURCES {
        **request = Request::new();
        *files = 0;
    }
    *files += 1;
    request.items.clear();
    request.names = GuestNames::new();
    request.problems = Problems::new();
    request.lacks_keep = false;
    request.digest = Digest::new();
    file::read(request, &mut tree, file::FILE.as_bytes(), Missing::Problem);
    accounts_for(request, text);
});

/// The result that a line of the file must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    Nothing,
    Switch,
    /// An item, or a problem with one.
    Entry,
    /// Only a problem.
    Problem,
    /// An item behind so many bytes of the text, with a name; or only a problem.
    Named(usize),
    /// The same, with a bad name: a problem in any case.
    Misnamed(usize),
}

/// The part of a line that is read, and what stands behind a carriage return within it.
fn split_at_return(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    if line.len() > LINE_SIZE {
        return (line, None);
    }
    let line = line.trim_ascii_end();
    match line.iter().position(|&b| b == b'\r') {
        Some(at) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    }
}

/// The result that the line must have, and the text and the column that a message about it must
/// name.
fn read(line: &[u8]) -> (Becomes, &[u8], u32) {
    if line.len() > LINE_SIZE {
        return (Becomes::Problem, line, 0);
    }
    let said = line.split(|&b| b == b'#').next().unwrap_or_default();
    let text = said.trim_ascii();
    let column = (said.len() - said.trim_ascii_start().len()) as u32 + 1;
    (becomes(text), text, column)
}

fn becomes(text: &[u8]) -> Becomes {
    if text.is_empty() {
        return Becomes::Nothing;
    }
    let Some(equals) = text.iter().position(|&b| b == b'=') else {
        return Becomes::Entry;
    };
    // A keep is not a setting, and no selector contains `=`.
    if text[0] == b'!' {
        return Becomes::Problem;
    }
    let own = text[equals + 1..].trim_ascii();
    let value = own.to_ascii_lowercase();
    let name = text[..equals].trim_ascii();
    let is_fine = match name.to_ascii_lowercase().as_slice() {
        b"off" | b"strict" | b"debug" | b"force" => [
            &b"1"[..],
            b"y",
            b"yes",
            b"on",
            b"true",
            b"0",
            b"n",
            b"no",
            b"off",
            b"false",
        ]
        .contains(&value.as_slice()),
        b"timeout" => {
            let digits = str::from_utf8(&value).unwrap_or_default();
            digits.bytes().all(|digit| digit.is_ascii_digit())
                && digits
                    .parse::<u64>()
                    .is_ok_and(|seconds| (1..=3600).contains(&seconds))
        }
        _ => return named(name, own, text.len() - own.len()),
    };
    if is_fine {
        Becomes::Switch
    } else {
        Becomes::Problem
    }
}

/// The result that a line with an unknown word before a `=` must have.
fn named(name: &[u8], value: &[u8], before: usize) -> Becomes {
    let name = String::from_utf8_lossy(name);
    let is_of_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '-' || sign == '_';
    let keeps = [
        "keep", "except", "exclude", "ignore", "skip", "not", "leave", "never", "dont", "deny",
        "protect", "unhide", "release",
    ];
    let is_keep = |word: &str| keeps.iter().any(|keep| keep.eq_ignore_ascii_case(word));
    let taken = [
        "hide",
        "hidden",
        "dom0",
        "host",
        "no",
        "blacklist",
        "pciback",
        "permissive",
        "passthrough",
    ];
    let is_taken = taken.iter().any(|word| word.eq_ignore_ascii_case(&name));
    let is_reserved = name.split(['-', '_']).any(is_keep) || is_taken;
    if name.is_empty() || !name.chars().all(is_of_name) || is_reserved || value.starts_with(b"!") {
        Becomes::Problem
    } else if name.len() <= 31
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.contains(|sign: char| sign.is_ascii_uppercase())
    {
        Becomes::Named(before)
    } else {
        Becomes::Misnamed(before)
    }
}

/// Whether a problem is with the name of a good item: that is told of several items at once.
fn is_of_name(problem: &Problem) -> bool {
    let mistakes = [Mistake::AmbiguousName, Mistake::TooManyNames];
    mistakes.map(Fault::Is).contains(&problem.fault)
}

fn accounts_for(request: &Request, text: &[u8]) {
    assert!(
        text.len() as u64 <= FILE_SIZE,
        "tests/cases has longer files"
    );
    let mut items = request.items.iter().peekable();
    let mut problems = request
        .problems
        .iter()
        .filter(|problem| !is_of_name(problem))
        .peekable();
    let is_full = request.items.len() == ITEMS || request.problems.beyond > 0;
    let mut entries = 0;
    let mut lacks_keep = false;
    // A byte order mark is no part of the first line.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for (number, whole) in (1..).zip(text.split(|&b| b == b'\n')) {
        let (line, rest) = split_at_return(whole);
        let (becomes, text, column) = read(line);
        let is_entry = !matches!(becomes, Becomes::Nothing | Becomes::Switch);
        entries += u32::from(is_entry) + u32::from(rest.is_some());
        let item = items.next_if(|item| item.origin.line == number);
        let has_both = item.is_some() && matches!(becomes, Becomes::Misnamed(_));
        entries += u32::from(has_both);
        let may_be_told = is_entry && (item.is_none() || has_both);
        let problem = problems.next_if(|problem| problem.origin.line == number && may_be_told);
        let is_right = match (item, problem) {
            (None, None) => matches!(becomes, Becomes::Nothing | Becomes::Switch) || is_full,
            (Some(item), None) => match becomes {
                Becomes::Entry => item.origin.column == column && item.is_keep == (text[0] == b'!'),
                Becomes::Named(before) => item.origin.column == column + before as u32,
                Becomes::Misnamed(_) => is_full,
                _ => false,
            },
            (None, Some(problem)) => {
                // The program does not read the end of a line that is too long.
                lacks_keep |= text.get(..LINE_SIZE).unwrap_or(text).contains(&b'!');
                let is_at = |before: usize| {
                    problem.origin.column == column + before as u32
                        && problem.text == Excerpt::of(&text[before..])
                };
                match becomes {
                    Becomes::Entry | Becomes::Problem | Becomes::Misnamed(_) => is_at(0),
                    Becomes::Named(before) => is_at(0) || is_at(before),
                    Becomes::Nothing | Becomes::Switch => false,
                }
            }
            (Some(item), Some(problem)) => match becomes {
                Becomes::Misnamed(before) => {
                    !item.is_keep
                        && item.origin.column == column + before as u32
                        && problem.origin.column == column
                        && problem.text == Excerpt::of(text)
                }
                _ => false,
            },
        };
        assert!(
            is_right,
            "line {number}, {becomes:?}, became {item:?} and {problem:?}: {}",
            String::from_utf8_lossy(whole)
        );
        if let Some(rest) = rest {
            lacks_keep |= rest.contains(&b'!');
            let problem = problems.next_if(|problem| problem.origin.line == number);
            let is_told = problem.is_none_or(|problem| {
                problem.origin.column == line.len() as u32 + 2 && problem.text == Excerpt::of(rest)
            });
            assert!(is_told && (problem.is_some() || is_full), "{problem:?}");
        }
    }
    assert_eq!(
        (items.next().map(|item| item.origin), problems.next()),
        (None, None),
        "more than there are lines, or twice the same"
    );
    // Entries beyond the limit are counted.
    let of_names = request
        .problems
        .iter()
        .filter(|problem| is_of_name(problem));
    let told = request.items.len() as u32 + request.problems.count();
    assert!(
        told == entries + of_names.count() as u32 || is_full && told >= entries,
        "a line was lost"
    );
    assert!(
        request.lacks_keep || !lacks_keep,
        "a keep was not read, and the request does not say so"
    );
}
