//! A program in a pseudo-terminal, read line by line and answered while it runs: QEMU with the machine's serial console.

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

/// How long one read waits, in milliseconds, before the limits are looked at again.
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

/// How a program is to be followed.
pub struct Terms<'a> {
    /// They are given in their order, each once.
    pub answers: &'a [Answer],
    pub limits: Limits,
    /// The file that gets a copy of the console.
    pub transcript: PathBuf,
}

/// All that a program has written.
pub struct Console {
    pub lines: Vec<Line>,
    /// The line that has no end yet: a prompt, say.
    open: String,
    transcript: PathBuf,
}

impl Console {
    /// Runs the program to its end. `see` is given each line as it comes. `operations` tells how much the
    /// program has done beside writing: a number that only grows.
    ///
    /// A program that ends otherwise than with status 0, that comes to one of its limits, or that does not
    /// ask for all answers, is an error.
    pub fn follow(command: Command, terms: &Terms, mut operations: impl FnMut() -> u64, mut see: impl FnMut(&Line)) -> Result<Self> {
        let begin = Instant::now();
        let mut watch = Watch::new(terms.limits);
        let mut copy = File::create(&terms.transcript)?;
        let mut session = spawn_command(command, Some(PATIENCE)).context("cannot start QEMU")?;
        session.process_mut().set_kill_timeout(Some(5000));

        let transcript = terms.transcript.clone();
        let mut console = Self { lines: Vec::new(), open: String::new(), transcript };
        let mut answers = terms.answers.iter();
        let mut answer = answers.next();
        // What was before a prompt on its line, and when the prompt came.
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
                        session.send_line(&asked.text)?;
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
                Err(Error::EOF { .. }) => match session.process().status() {
                    Some(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(10)),
                    Some(WaitStatus::Exited(_, 0)) => match answer {
                        None => return Ok(console),
                        Some(answer) => bail!(console.last_words(&format!("ended and never asked \"{}\"", answer.prompt))),
                    },
                    other => bail!(console.last_words(&format!("ended with {other:?}"))),
                },
                Err(Error::Timeout { got, .. }) => {
                    let open = format!("{begun}{got}");
                    written += u64::from(open != console.open);
                    console.open = open;
                    done = operations();
                }
                Err(other) => return Err(other).context("cannot read the console"),
            }
            if let Some(fate) = watch.look(begin.elapsed(), written + done) {
                // Leaving drops the session, which ends the program.
                bail!(console.last_words(&fate.to_string()));
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
        let (tail, open, whole) = (tail.join("\n"), &self.open, self.transcript.display());
        format!("the machine {fate}; its console (whole in {whole}) ended so:\n{tail}\n{open}")
    }
}
