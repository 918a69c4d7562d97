//! A program in a pseudo-terminal, read line by line while it runs: QEMU with the machine's serial console.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rexpect::error::Error;
use rexpect::process::WaitStatus;
use rexpect::session::spawn_command;

use super::tool;

/// How long one read waits, in milliseconds, before the time limit is looked at again.
const PATIENCE: u64 = 1000;

/// How many lines of the console go into an error.
const TAIL: usize = 40;

/// One line of the console, and when it came, to about a tenth of a second, counted from the start of the program.
pub struct Line {
    pub at: Duration,
    pub text: String,
}

/// Runs the program to its end and returns all lines. `watch` sees each as it comes; a copy goes to the file `transcript`.
///
/// An error is what ends otherwise than with status 0 or lasts longer than `limit`: with the tail of the console.
pub fn follow(command: Command, limit: Duration, transcript: &Path, mut watch: impl FnMut(&Line)) -> Result<Vec<Line>> {
    let begin = Instant::now();
    let mut copy = File::create(transcript)?;
    let mut session = spawn_command(command, Some(PATIENCE)).context("cannot start QEMU")?;
    session.process_mut().set_kill_timeout(Some(5000));

    let mut lines = Vec::new();
    let ending = loop {
        match session.read_line() {
            Ok(text) => {
                let line = Line { at: begin.elapsed(), text: text.trim_end().to_owned() };
                writeln!(copy, "{:7.2} {}", line.at.as_secs_f64(), line.text)?;
                watch(&line);
                lines.push(line);
            }
            Err(Error::EOF { .. }) => match session.process().status() {
                Some(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(10)),
                Some(WaitStatus::Exited(_, 0)) => break None,
                other => break Some(format!("ended with {other:?}")),
            },
            Err(Error::Timeout { .. }) => {}
            Err(other) => return Err(other).context("cannot read the console"),
        }
        if begin.elapsed() > limit {
            // Dropping the session ends the program.
            break Some(format!("was still running after {} s", limit.as_secs()));
        }
    };
    if let Some(ending) = ending {
        let all: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        bail!("the machine {ending}; its console (whole in {}) ended so:\n{}", transcript.display(), tool::tail(&all.join("\n"), TAIL));
    }
    Ok(lines)
}
