//! `make embed CONFIG=file BINARY=path`: puts another configuration into a finished program.
//!
//! The program's own parser reads the file first: a file with problems is refused here instead of
//! at boot. Then the bytes of the section `.pciseize` are replaced, and no others. (`objcopy` does
//! not know the required length and end of the section.)

use std::{
    env, fs,
    io::Write,
    ops::Range,
    path::{Path, PathBuf},
    process::ExitCode,
};

use object::{Object, ObjectSection};
use pciseize::{
    request::{
        Request,
        source::embedded::{self, END_MARK, SECTION_SIZE},
    },
    text::Line,
};

fn main() -> ExitCode {
    let words: Vec<PathBuf> = env::args_os()
        .skip(1)
        .filter(|word| !word.is_empty())
        .map(PathBuf::from)
        .collect();
    let [config, binary] = words.as_slice() else {
        eprintln!("Usage: make embed CONFIG=file BINARY=path");
        return ExitCode::from(2);
    };
    match embed(config, binary) {
        Ok(items) => {
            println!(
                "{}: {} with {items} item{} embedded",
                binary.display(),
                config.display(),
                if items == 1 { "" } else { "s" }
            );
            ExitCode::SUCCESS
        }
        Err(messages) => {
            for message in messages {
                eprintln!("{message}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Embeds the configuration. Returns the number of its items, or all problems.
fn embed(config: &Path, binary: &Path) -> Result<usize, Vec<String>> {
    let (section, items) = section(config)?;
    replace(binary, &section).map_err(|message| {
        vec![format!(
            "{}: {message}; nothing was changed",
            binary.display()
        )]
    })?;
    Ok(items)
}

/// The section with the configuration, and the number of its items.
fn section(config: &Path) -> Result<([u8; SECTION_SIZE], usize), Vec<String>> {
    let name = config.display().to_string();
    let text = fs::read(config).map_err(|e| vec![format!("{name}: {e}")])?;
    let mut messages = Vec::new();
    let mut tell = |line: &Line| messages.push(String::from_utf8_lossy(line.bytes()).into_owned());
    embedded::checked(
        &mut Box::new(Request::new()),
        name.as_bytes(),
        &text,
        &mut tell,
    )
    .ok_or(messages)
}

/// Replaces the section of the program in one step: no reader ever sees half of it, and a running
/// program keeps its old file.
fn replace(binary: &Path, section: &[u8; SECTION_SIZE]) -> Result<(), String> {
    // Replace the target of a link, not the link.
    let path = fs::canonicalize(binary).map_err(|e| e.to_string())?;
    let mut program = fs::read(&path).map_err(|e| e.to_string())?;
    let place = place(&program)?;
    program[place].copy_from_slice(section);

    let write = || {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&program)?;
        file.as_file()
            .set_permissions(fs::metadata(&path)?.permissions())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok::<_, std::io::Error>(())
    };
    write().map_err(|e| e.to_string())
}

/// The place of the section in the program's file. The section must be as `build.rs` made it.
fn place(program: &[u8]) -> Result<Range<usize>, String> {
    let file = object::File::parse(program).map_err(|e| format!("this is no program: {e}"))?;
    let section = file
        .section_by_name(".pciseize")
        .ok_or("it has no section .pciseize: this is not pciseize")?;
    let content = section.data().map_err(|e| e.to_string())?;
    let damaged = |what: String| {
        format!(
            "its section .pciseize {what}: \
             another tool has damaged it; take a fresh copy of pciseize"
        )
    };
    if content.len() != SECTION_SIZE {
        return Err(damaged(format!(
            "has {} bytes instead of {SECTION_SIZE}",
            content.len()
        )));
    }
    if !content.ends_with(END_MARK) {
        return Err(damaged("does not end in its end mark".to_owned()));
    }
    let (start, length) = section
        .file_range()
        .ok_or(damaged("is not in the file".to_owned()))?;
    Ok(start as usize..(start + length) as usize)
}
