//! Runs programs of the host, as root if needed, and keeps all their output.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// How many lines of a failed program's output go into the error.
const TAIL: usize = 30;

/// A command that runs as root: through `sudo` unless we are root already.
pub fn as_root(program: impl AsRef<OsStr>) -> Command {
    let we_are_root = fs::metadata("/proc/self").is_ok_and(|us| us.uid() == 0);
    if we_are_root {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

/// Runs a program to its end. Returns its standard output and errors in the order of writing.
pub fn run(mut command: Command) -> Result<String> {
    let name = command.get_program().to_owned();
    let shown = || name.to_string_lossy().into_owned();
    let (mut reader, writer) = io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn().with_context(|| {
        format!(
            "cannot start {} (`make requirements-vm` installs what is needed)",
            shown()
        )
    })?;
    drop(command); // its end of the pipe would keep the reader waiting
    let mut said = Vec::new();
    reader.read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let status = child.wait()?;
    if !status.success() {
        bail!(
            "{} ended with {status}; it said:\n{}",
            shown(),
            tail(&said, TAIL)
        );
    }
    Ok(said)
}

/// The last `count` lines of a text.
fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
