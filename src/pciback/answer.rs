//! What came of loading pciback, as a number that crosses between processes and as words.

use ufmt::{Formatter, uDisplay, uWrite};

use crate::{host::Errno, show};

/// What came of loading pciback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is there.
    Ready,
    /// It is there, but refused its parameters.
    ReadyWithoutParameters,
    /// No module file was found in the folder of the running kernel.
    NoFile,
    /// The release of the kernel, by which its modules are found, cannot be read.
    NoRelease(Errno),
    /// The kernel did not take the module; `ENODEV` also where it did, and the driver is not there;
    /// `ENOENT` where the module needs a symbol that the kernel does not have.
    Refused(Errno),
    /// The file of the module is there, and cannot be opened.
    NotOpened(Errno),
    /// Another root was named: its module is not for the running kernel.
    OtherRoot,
}

impl Answer {
    /// The number to post: the kind in 8 bits, above them the errno. Never 0, which is no answer.
    pub fn to_bits(self) -> u32 {
        let (kind, errno) = match self {
            Answer::Ready => (1, Errno(0)),
            Answer::ReadyWithoutParameters => (2, Errno(0)),
            Answer::NoFile => (3, Errno(0)),
            Answer::NoRelease(errno) => (4, errno),
            Answer::Refused(errno) => (5, errno),
            Answer::NotOpened(errno) => (6, errno),
            Answer::OtherRoot => (7, Errno(0)),
        };
        kind | (errno.0 as u32) << 8
    }

    /// What was posted. 0, no answer, means that loading it did not come to an end.
    pub fn from_bits(bits: u32) -> Answer {
        let errno = Errno((bits >> 8) as i32);
        match bits & 0xff {
            1 => Answer::Ready,
            2 => Answer::ReadyWithoutParameters,
            3 => Answer::NoFile,
            4 => Answer::NoRelease(errno),
            5 => Answer::Refused(errno),
            6 => Answer::NotOpened(errno),
            7 => Answer::OtherRoot,
            _ => Answer::Refused(Errno::STUCK),
        }
    }

    /// Whether pciback is there.
    pub fn is_ready(self) -> bool {
        matches!(self, Answer::Ready | Answer::ReadyWithoutParameters)
    }
}

impl uDisplay for Answer {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        match self {
            Answer::Ready | Answer::ReadyWithoutParameters => Ok(()),
            Answer::NoFile => show!(
                f,
                "xen-pciback is neither loaded nor built in, and there is no module of it in \
                 /lib/modules"
            ),
            Answer::NoRelease(errno) => {
                show!(f, "xen-pciback: /proc/sys/kernel/osrelease: {}", errno)
            }
            Answer::Refused(errno @ Errno::ENOENT) => show!(
                f,
                "loading xen-pciback: {}: the module needs a symbol that this kernel does not have",
                errno
            ),
            Answer::Refused(errno) => show!(f, "loading xen-pciback: {}", errno),
            Answer::NotOpened(errno) => show!(f, "opening the module xen-pciback: {}", errno),
            Answer::OtherRoot => show!(
                f,
                "xen-pciback is not loaded: with --root nothing is given to the running kernel"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_from_its_bits() {
        for answer in [
            Answer::Ready,
            Answer::ReadyWithoutParameters,
            Answer::NoFile,
            Answer::NoRelease(Errno::EIO),
            Answer::Refused(Errno::EINVAL),
            Answer::Refused(Errno::STUCK),
            Answer::NotOpened(Errno::EACCES),
            Answer::OtherRoot,
        ] {
            assert_ne!(answer.to_bits(), 0);
            assert_eq!(Answer::from_bits(answer.to_bits()), answer);
        }
        assert_eq!(Answer::from_bits(0), Answer::Refused(Errno::STUCK));
    }
}
