//! One run at a time: `seize` and `release` wait for each other.
//!
//! Two runs would take devices from each other's hands: one writes the hold while the other binds.
//! And pciback is not made for two binds at the same moment.

use crate::{
    host::{Console, Errno, Files, Level, Workers},
    report::store,
    say,
};

/// Whoever has locked this file is at work. `/run` moves to the real root, and the file with it.
const FILE: &str = "/run/pciseize/lock";

/// Whether no other run is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// None is, and none will be until this one ends.
    Yes,
    /// Nobody can tell: the file cannot be locked.
    Unknown(Errno),
    /// One has been for so many seconds, and nobody waits any longer.
    No(u32),
}

/// Waits until no other run is at work, at most so many seconds. Says nothing: a console may be
/// slow.
pub fn wait<H: Files + Workers>(host: &mut H, seconds: u32) -> Alone {
    match lock(host, FILE, seconds) {
        Ok(()) => Alone::Yes,
        Err(Errno::EAGAIN) => Alone::No(seconds),
        Err(errno) => Alone::Unknown(errno),
    }
}

/// Locks a file in the folder of the report.
///
/// # Errors
/// `EAGAIN`: another run has had the lock for so many seconds. Otherwise why it cannot be had.
pub fn lock<H: Files + Workers>(host: &mut H, file: &str, seconds: u32) -> Result<(), Errno> {
    store::make_folder(host)?;
    host.lock(file.as_bytes(), seconds)
}

impl Alone {
    /// Whether another run surely is at work.
    pub fn is_refuted(self) -> bool {
        matches!(self, Alone::No(_))
    }

    /// Says what came of the wait, where that is worth a word.
    pub fn tell<H: Console>(self, host: &mut H) {
        match self {
            Alone::Yes => {}
            Alone::Unknown(errno) => say!(
                host,
                Level::Error,
                "{}: {}: going on, perhaps beside another pciseize",
                FILE,
                errno
            ),
            Alone::No(seconds) => say!(
                host,
                Level::Error,
                "another pciseize has been at work for {} seconds",
                seconds
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::Machine;

    #[test]
    fn goes_on_unless_another_run_is_at_work() {
        const LOCK: &str = "lock /run/pciseize/lock";
        for (step, errno, alone, said) in [
            ("nothing", Errno::EIO, Alone::Yes, ""),
            (LOCK, Errno::EAGAIN, Alone::No(30), "another pciseize"),
            (LOCK, Errno::EIO, Alone::Unknown(Errno::EIO), "EIO"),
            (
                "make_folder",
                Errno::EROFS,
                Alone::Unknown(Errno::EROFS),
                "EROFS",
            ),
        ] {
            let mut host = Machine::new();
            host.refuse(step, errno);
            assert_eq!(wait(&mut host, 30), alone, "{step} {errno:?}");
            assert!(host.calls_of("say").is_empty(), "a console may be slow");
            alone.tell(&mut host);
            let is_said = host.calls_of("say").iter().any(|line| line.contains(said));
            assert!(is_said || said.is_empty(), "{step}: {:?}", host.calls);
        }
    }
}
