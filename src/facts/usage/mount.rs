//! The table of mounts: one line of it, and which line has a file.

use heapless::Vec;

use super::Use;
use crate::{
    host::{
        Files,
        lines::{self, LINE_SIZE},
    },
    text::{append, split},
};

/// The table.
pub const TABLE: &[u8] = b"/proc/self/mountinfo";

/// Most bytes of the table of mounts that are read: a host with many containers has thousands of
/// lines.
pub const TABLE_SIZE: u64 = 4 << 20;

/// Most bytes of a path to a file that is looked for.
pub const PATH_SIZE: usize = 512;

/// A path.
pub type PathText = Vec<u8, PATH_SIZE>;

/// A line of the table, see proc_pid_mountinfo(5):
/// `36 35 98:0 / /mnt rw,noatime shared:1 - ext3 /dev/sda1 rw,errors=continue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'l> {
    /// What it is used for.
    pub one: Use,
    /// Where it is mounted, spelled as in the table.
    pub point: &'l [u8],
    /// The number of its block device. One that begins with `0:` is no block device's.
    pub number: &'l [u8],
    /// The kind of file system.
    pub kind: &'l [u8],
    /// What is mounted, as whoever mounted it put it.
    pub source: &'l [u8],
    /// The options of the file system.
    pub options: &'l [u8],
}

impl Mount<'_> {
    /// Reads a line.
    pub fn of(line: &[u8]) -> Option<Mount<'_>> {
        let mut fields = split(line, b' ');
        let (number, point) = (fields.nth(2)?, fields.nth(1)?);
        let one = match point {
            b"/" => Use::Root,
            b"/usr" => Use::Usr,
            _ if split(point, b'/').nth(1) == Some(b"boot") => Use::Boot,
            _ => Use::Mount,
        };
        // Here the optional fields end.
        let _ = fields.find(|field| *field == b"-");
        let mut next = || fields.next().unwrap_or_default();
        Some(Mount {
            one,
            point,
            number,
            kind: next(),
            source: next(),
            options: next(),
        })
    }

    /// The values of an option of the file system, as in `addr=10.0.0.1`.
    pub fn values<'m>(&'m self, option: &'m [u8]) -> impl Iterator<Item = &'m [u8]> {
        split(self.options, b',').filter_map(move |text| value_of(text, option))
    }
}

/// The value of an option in `option=VALUE` or `option+=VALUE`.
fn value_of<'t>(text: &'t [u8], option: &[u8]) -> Option<&'t [u8]> {
    let value = text.strip_prefix(option)?;
    value.strip_prefix(b"+").unwrap_or(value).strip_prefix(b"=")
}

/// Calls `then` with the mount that has the file at `path`: the last of those with the longest
/// mount point, those of the kind `other` left out. Gives back `None` where there is none, or the
/// table cannot be read.
pub fn with_holder<H: Files, T>(
    host: &mut H,
    path: &[u8],
    other: &[u8],
    then: impl FnOnce(&mut H, Mount) -> T,
) -> Option<T> {
    let mut best: Vec<u8, LINE_SIZE> = Vec::new();
    let mut length = 0;
    let read = lines::each(host, TABLE, TABLE_SIZE, &mut |_, line| {
        let Some(mount) = Mount::of(line.text) else {
            return;
        };
        let point = unescaped(mount.point);
        let may_be_it = mount.kind != other && point.len() >= length;
        if may_be_it && holds(&point, path) {
            length = point.len();
            best.clear();
            // As long as the longest line.
            let _ = append(&mut best, line.text);
        }
    });
    read.ok()?;
    Mount::of(&best).map(|mount| then(host, mount))
}

/// Whether `/` is a tmpfs that somebody has mounted, as on a host that runs from memory for good.
///
/// The file system that the kernel unpacks an initramfs into is in memory too, but its kind is
/// `rootfs` (`init/do_mounts.c`, `rootfs_fs_type`). Where the table cannot be read, `false`.
pub fn is_root_tmpfs<H: Files>(host: &mut H) -> bool {
    with_holder(host, b"/", b"", |_, mount| mount.kind == b"tmpfs").unwrap_or_default()
}

/// Whether a path is at or below a mount point.
fn holds(point: &[u8], path: &[u8]) -> bool {
    let point = point.strip_suffix(b"/").unwrap_or(point);
    let below = path.strip_prefix(point);
    below.is_some_and(|below| below.is_empty() || below.starts_with(b"/"))
}

/// A path of the table without its escapes: blanks and a few more bytes are three octal digits
/// behind a `\` (`fs/seq_file.c`, `mangle_path`). What is too long is cut: it holds no file.
fn unescaped(mut text: &[u8]) -> PathText {
    let mut path = PathText::new();
    while let Some((&first, rest)) = text.split_first() {
        let octal = |digits: &[u8; 3]| {
            digits.iter().try_fold(0_u8, |value, &digit| {
                let digit = digit.checked_sub(b'0').filter(|&digit| digit < 8)?;
                value.checked_mul(8)?.checked_add(digit)
            })
        };
        let code = (first == b'\\').then(|| rest.first_chunk().and_then(octal));
        let (byte, after) = match code.flatten() {
            Some(byte) => (byte, rest.get(3..).unwrap_or_default()),
            None => (first, rest),
        };
        let _ = path.push(byte);
        text = after;
    }
    path
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::String;

    use super::*;
    use crate::host::testing::{Machine, text};

    #[test]
    fn reads_mounts() {
        for (point, one) in [
            ("/", Use::Root),
            ("/usr", Use::Usr),
            ("/boot/efi", Use::Boot),
            ("/bootleg", Use::Mount),
        ] {
            let line = std::format!("36 35 8:1 / {point} rw shared:1 - ext3 /dev/sda1 rw,a=b");
            let mount = Mount {
                one,
                point: point.as_bytes(),
                number: b"8:1",
                kind: b"ext3",
                source: b"/dev/sda1",
                options: b"rw,a=b",
            };
            assert_eq!(Mount::of(line.as_bytes()), Some(mount), "{line}");
            assert!(mount.values(b"a").eq([b"b"]));
        }
        assert_eq!(Mount::of(b"36 35 98:0"), None);
    }

    #[test]
    fn tells_a_root_in_memory_from_an_initramfs() {
        for (table, is_tmpfs) in [
            ("1 1 0:2 / / rw - rootfs rootfs rw\n", false),
            (
                "1 1 0:2 / / rw - rootfs rootfs rw\n2 1 0:20 / /run rw - tmpfs tmpfs rw\n",
                false,
            ),
            ("20 1 0:19 / / rw - tmpfs tmpfs rw\n", true),
            ("20 1 8:1 / / rw - ext4 /dev/sda1 rw\n", false),
            ("", false),
        ] {
            let mut host = Machine::new();
            assert!(!is_root_tmpfs(&mut host), "no table");
            host.file("/proc/self/mountinfo", table);
            assert_eq!(is_root_tmpfs(&mut host), is_tmpfs, "{table}");
        }
    }

    #[test]
    fn finds_the_mount_of_a_file() {
        let mut host = Machine::new();
        let points = ["/", "/run", "/run/a\\040b", "/run", "/running"];
        let table: std::vec::Vec<String> = (0..)
            .zip(points)
            .map(|(number, point)| std::format!("1 1 8:{number} / {point} rw - ext4 x rw"))
            .collect();
        let other = "1 1 8:9 / /run rw - xfs x rw\n";
        host.file("/proc/self/mountinfo", &(table.join("\n") + "\n" + other));
        for (path, number) in [
            ("/x", "8:0"),
            ("/run", "8:3"),
            ("/run/x", "8:3"),
            ("/run/a b/x", "8:2"),
            ("/runx", "8:0"),
        ] {
            let found = with_holder(&mut host, path.as_bytes(), b"xfs", |_, mount| {
                text(mount.number)
            });
            assert_eq!(found.as_deref(), Some(number), "{path}");
        }
        assert_eq!(
            with_holder(&mut Machine::new(), b"/x", b"", |_, _| ()),
            None
        );
    }
}
