//! Error numbers of the kernel, with names for messages.

use ufmt::{Formatter, uDisplay, uWrite};

use crate::show;

/// An error number of the kernel (`errno(3)`), with the names that its PCI, driver and module code
/// gives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// Not an errno of the kernel (those are 1 to 4095): the call did not return in time, or was
    /// never made.
    pub const STUCK: Errno = Errno(4096);
}

/// Declares the errnos that have a name here. The numbers are those of `asm-generic/errno*.h`: x86,
/// Arm and RISC-V.
macro_rules! errnos {
    ($($name:ident = $number:literal),* $(,)?) => {
        #[allow(missing_docs)]
        impl Errno {
            $(pub const $name: Errno = Errno($number);)*

            /// Its name, where it has one.
            // 128 bytes less of the program: a table. In its caller each name would be code.
            #[inline(never)]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Errno::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// Every errno that has a name, with that.
            #[cfg(test)]
            const NAMED: &[(Errno, &str)] = &[$((Errno($number), stringify!($name))),*];
        }
    };
}

errnos! {
    EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, ENOEXEC = 8, ECHILD = 10,
    EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17, ENODEV = 19,
    ENOTDIR = 20, EISDIR = 21, EINVAL = 22, ENFILE = 23, EMFILE = 24, ETXTBSY = 26, EFBIG = 27,
    ENOSPC = 28, ESPIPE = 29, EROFS = 30, ENAMETOOLONG = 36, ENOSYS = 38, ELOOP = 40,
    EOPNOTSUPP = 95, ETIMEDOUT = 110, EKEYREJECTED = 129,
}

impl uDisplay for Errno {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        if *self == Errno::STUCK {
            return show!(f, "not done in time");
        }
        show!(f, "{} ({})", self.name().unwrap_or("errno"), self.0 as u32)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String};

    use super::*;
    use crate::text::Line;

    #[test]
    fn names_errnos() {
        let shown = |errno: Errno| {
            let mut line = Line::new();
            crate::put!(&mut line, "{}", errno);
            String::from_utf8_lossy(line.bytes()).into_owned()
        };
        for &(errno, name) in Errno::NAMED {
            assert_eq!(shown(errno), format!("{name} ({})", errno.0));
        }
        for number in [0, 3, 41, 94, 128, 130, 4095] {
            assert_eq!(shown(Errno(number)), format!("errno ({number})"));
        }
    }
}
