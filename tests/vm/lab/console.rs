//! Runs a program in a pseudo-terminal, reads it line by line, and answers while it runs. The
//! program is QEMU with the serial console of the machine.

use std::fs::File;
use std::io::Write;
use std::mem;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rexpect::ReadUntil;
use rexpect::error::Error;
use rexpect::process::WaitStatus;
use rexpect::session::spawn_command;

use super::watch::{Limits, Watch};

/// The longest time, in milliseconds, that one read waits before the limits are checked.
const PATIENCE: u64 = 1000;

/// The number of console lines in an error.
const TAIL: usize = 40;

/// A line of the console, and its time since the program started, to about a tenth of a second.
#[derive(Clone)]
pub struct Line {
    pub at: Duration,
    pub text: String,
}

/// A reply to a prompt of the program.
#[derive(Clone)]
pub struct Answer {
    /// The prompt. It may be a part of a line, and no newline follows it.
    pub prompt: String,
    /// The text to type, with its newline if it has one.
    pub text: String,
}

/// How to follow a program.
pub struct Terms<'a> {
    /// The answers, given in this order, each once.
    pub answers: &'a [Answer],
    pub limits: Limits,
    /// The file that receives a copy of the console.
    pub transcript: PathBuf,
}

/// The output of a program.
pub struct Console {
    pub lines: Vec<Line>,
    /// The last line, if it has no newline yet: a prompt, say.
    open: String,
    transcript: PathBuf,
}

impl Console {
    /// Runs the program to its end. `see` receives each line as it appears. `operations` returns
    /// how much the program has done besides writing: a number that only grows.
    ///
    /// It is an error if the program exits with another status than 0, reaches one of its limits,
    /// or does not ask for all answers.
    pub fn follow(
        command: Command,
        terms: &Terms,
        mut operations: impl FnMut() -> u64,
        mut see: impl FnMut(&Line),
    ) -> Result<Self> {
        let begin = Instant::now();
        let mut watch = Watch::new(terms.limits);
        let mut copy = File::create(&terms.transcript)?;
        let mut session = spawn_command(command, Some(PATIENCE)).context("cannot start QEMU")?;
        session.process_mut().set_kill_timeout(Some(5000));

        let transcript = terms.transcript.clone();
        let mut console = Self {
            lines: Vec::new(),
            open: String::new(),
            transcript,
        };
        let mut answers = terms.answers.iter();
        let mut answer = answers.next();
        // The text before a prompt on its line, and the time of the prompt.
        let mut begun = String::new();
        let mut asked_at = None;
        let (mut written, mut done) = (0, 0);
        loop {
            let newline = ReadUntil::String("\n".to_owned());
            let prompt = answer.map(|answer| ReadUntil::String(answer.prompt.clone()));
            match session.exp_any([newline].into_iter().chain(prompt).collect()) {
                Ok((before, end)) => {
                    written += 1;
                    console.open.clear();
                    begun.push_str(&before);
                    if let Some(asked) = answer.filter(|asked| asked.prompt == end) {
                        begun.push_str(&end);
                        asked_at.get_or_insert_with(|| begin.elapsed());
                        session.send(&asked.text)?;
                        session.flush()?;
                        answer = answers.next();
                        continue;
                    }
                    let text = mem::take(&mut begun).trim_end().to_owned();
                    let at = asked_at.take().unwrap_or_else(|| begin.elapsed());
                    let line = Line { at, text };
                    writeln!(copy, "{:7.2} {}", line.at.as_secs_f64(), line.text)?;
                    see(&line);
                    console.lines.push(line);
                }
                Err(Error::EOF { .. }) => {
                    match session.process().status() {
                        Some(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(10)),
                        Some(WaitStatus::Exited(_, 0)) => match answer {
                            None => return Ok(console),
                            Some(answer) => bail!(console.last_words(&format!(
                                "ended and never asked \"{}\"",
                                answer.prompt
                            ))),
                        },
                        other => bail!(console.last_words(&format!("ended with {other:?}"))),
                    }
                }
                Err(Error::Timeout { got, .. }) => {
                    let open = format!("{begun}{got}");
                    written += u64::from(open != console.open);
                    console.open = open;
                    done = operations();
                }
                Err(other) => return Err(other).context("cannot read the console"),
            }
            if let Some(fate) = watch.look(begin.elapsed(), written + done) {
                // Returning drops the session, which ends the program.
                bail!(console.last_words(&fate.to_string()));
            }
        }
    }

    /// Whether a line contains this text.
    pub fn shows(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.text.contains(text))
    }

    /// An error text: the last lines of the console, and then the fate of the machine, so that it
    /// stands at the end of a log that is cut at its beginning.
    pub fn last_words(&self, fate: &str) -> String {
        let tail = &self.lines[self.lines.len().saturating_sub(TAIL)..];
        let tail: Vec<&str> = tail.iter().map(|line| line.text.as_str()).collect();
        // The reader's terminal must not obey what was written for another screen.
        let end = format!("{}\n{}", tail.join("\n"), self.open).replace('\u{1b}', "^[");
        let whole = self.transcript.display();
        format!("the console ended so:\n{end}\nthe machine {fate} (whole console: {whole})")
    }
}
