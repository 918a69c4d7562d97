//! A program in a pseudo-terminal, read line by line and answered while it runs: QEMU with the machine's serial console.

use std::fs::File;
use std::io::Write;
use std::mem;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rexpect::ReadUntil;
use rexpect::error::Error;
use rexpect::process::WaitStatus;
use rexpect::session::spawn_command;

/// How long one read waits, in milliseconds, before the time limit is looked at again.
const PATIENCE: u64 = 1000;

/// How many lines of the console go into an error.
const TAIL: usize = 40;

/// One line of the console, and when it came, to about a tenth of a second, counted from the start of the program.
#[derive(Clone)]
pub struct Line {
    pub at: Duration,
    pub text: String,
}

/// What is typed where the program asks.
#[derive(Clone)]
pub struct Answer {
    /// What it asks with. No newline comes behind it, and it may be a part of a line.
    pub prompt: String,
    /// What is typed, without the newline.
    pub text: String,
}

/// All that a program has written.
pub struct Console {
    pub lines: Vec<Line>,
    transcript: PathBuf,
}

impl Console {
    /// Runs the program to its end. `watch` sees each line as it comes; a copy goes to the file `transcript`.
    /// The answers are given in their order, each once.
    ///
    /// A program that ends otherwise than with status 0, lasts longer than `limit`, or does not ask for all answers, is an error.
    pub fn follow(command: Command, answers: &[Answer], limit: Duration, transcript: &Path, mut watch: impl FnMut(&Line)) -> Result<Self> {
        let begin = Instant::now();
        let mut copy = File::create(transcript)?;
        let mut session = spawn_command(command, Some(PATIENCE)).context("cannot start QEMU")?;
        session.process_mut().set_kill_timeout(Some(5000));

        let mut console = Self { lines: Vec::new(), transcript: transcript.to_owned() };
        let mut answers = answers.iter();
        let mut answer = answers.next();
        // What was before a prompt on its line.
        let mut begun = String::new();
        loop {
            let newline = ReadUntil::String("\n".to_owned());
            let prompt = answer.map(|answer| ReadUntil::String(answer.prompt.clone()));
            match session.exp_any([newline].into_iter().chain(prompt).collect()) {
                Ok((before, end)) => {
                    begun.push_str(&before);
                    if let Some(asked) = answer.filter(|asked| asked.prompt == end) {
                        begun.push_str(&end);
                        session.send_line(&asked.text)?;
                        answer = answers.next();
                        continue;
                    }
                    let text = mem::take(&mut begun);
                    let line = Line { at: begin.elapsed(), text: text.trim_end().to_owned() };
                    writeln!(copy, "{:7.2} {}", line.at.as_secs_f64(), line.text)?;
                    watch(&line);
                    console.lines.push(line);
                }
                Err(Error::EOF { .. }) => match session.process().status() {
                    Some(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(10)),
                    Some(WaitStatus::Exited(_, 0)) => match answer {
                        None => return Ok(console),
                        Some(answer) => bail!(console.last_words(&format!("ended and never asked \"{}\"", answer.prompt))),
                    },
                    other => bail!(console.last_words(&format!("ended with {other:?}"))),
                },
                Err(Error::Timeout { .. }) => {}
                Err(other) => return Err(other).context("cannot read the console"),
            }
            if begin.elapsed() > limit {
                // Leaving drops the session, which ends the program.
                bail!(console.last_words(&format!("was still running after {} s", limit.as_secs())));
            }
        }
    }

    /// Whether a line contains this text.
    pub fn shows(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.text.contains(text))
    }

    /// For an error: what became of the machine, and the tail of its console.
    pub fn last_words(&self, fate: &str) -> String {
        let tail = &self.lines[self.lines.len().saturating_sub(TAIL)..];
        let tail: Vec<&str> = tail.iter().map(|line| line.text.as_str()).collect();
        format!("the machine {fate}; its console (whole in {}) ended so:\n{}", self.transcript.display(), tail.join("\n"))
    }
}
