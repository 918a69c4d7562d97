//! One run at a time: `seize` and `release` wait for each other.
//!
//! Two runs would take devices from each other's hands: one writes the hold while the other binds.
//! And pciback is not made for two binds at the same moment.

use crate::{
    host::{Console, Errno, Files, Level, Path, Workers},
    report::store,
    say,
};

/// Whoever has locked this file is at work. `/run` moves to the real root, and the file with it.
const FILE: Path = b"/run/pciseize/lock";

/// Whether no other run is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// None is, and none will be until this one ends. Or nobody can tell, which is said.
    Yes,
    /// One was for so long that nobody can wait any longer. That is said.
    No,
}

/// Waits until no other run is at work, at most so many seconds.
pub fn wait<H: Console + Files + Workers>(host: &mut H, seconds: u32) -> Alone {
    let locked = store::make_folder(host).and_then(|()| host.lock(FILE, seconds));
    match locked {
        Ok(()) => Alone::Yes,
        Err(Errno::EAGAIN) => {
            let line = "another pciseize has been at work for";
            say!(host, Level::Error, "{} {} seconds", line, seconds);
            Alone::No
        }
        Err(errno) => {
            say!(
                host,
                Level::Error,
                "/run/pciseize/lock: {}: going on, perhaps beside another pciseize",
                errno
            );
            Alone::Yes
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
            (LOCK, Errno::EAGAIN, Alone::No, "another pciseize"),
            (LOCK, Errno::EIO, Alone::Yes, "EIO"),
            ("make_folder", Errno::EROFS, Alone::Yes, "EROFS"),
        ] {
            let mut host = Machine::new();
            host.refuse(step, errno);
            assert_eq!(wait(&mut host, 30), alone, "{step} {errno:?}");
            let is_said = host.calls_of("say").iter().any(|line| line.contains(said));
            assert!(is_said || said.is_empty(), "{step}: {:?}", host.calls);
        }
    }
}
