//! GRUB: a disk that boots Xen, and what a user types in GRUB's menu.
//!
//! The menu has one entry, as `/etc/grub.d/20_linux_xen` of Debian 12 writes it. Only the search
//! for the file system is left out: GRUB and all files are on the same disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::console::Answer;
use super::image::Initramfs;
use super::tool;

/// What the user does in the menu.
#[derive(Clone, Copy)]
pub enum Act {
    /// Boots the entry as it is.
    Boot,
    /// Edits the entry for one boot: types `text` at the end of the line that begins with `line`.
    Edit {
        line: &'static str,
        text: &'static str,
    },
}

/// The head of `grub.cfg`. GRUB waits for the user without a limit: a host may be slow. The screen
/// is so wide that GRUB breaks no line of the entry.
const HEAD: &str = "serial --unit=0 --speed=115200
terminfo --geometry 320x30 serial vt100
terminal_input serial
terminal_output serial
set timeout=-1
";

/// GRUB's editor shows two lines before the first of the entry: the title, and what follows `{`.
const LINES_BEFORE: usize = 2;

/// The keys of the editor: next line, end of the line, boot. Over a serial line the arrow and End
/// are several bytes each, and GRUB takes them for one key only if each byte comes within 100 ms:
/// grub-core/term/terminfo.c, `grub_terminfo_readkey`.
const NEXT: &str = "\u{e}"; // Ctrl-n
const END: &str = "\u{5}"; // Ctrl-e
const BOOT: &str = "\u{18}"; // Ctrl-x

/// The menu of a machine.
pub struct Menu<'a> {
    initramfs: &'a Initramfs,
    /// The commands of its only entry.
    entry: String,
}

impl<'a> Menu<'a> {
    /// The menu with these arguments for Xen, and these for dom0's kernel.
    pub fn new(initramfs: &'a Initramfs, xen: &str, linux: &str) -> Self {
        let [hypervisor, kernel, image] = files(initramfs).map(place);
        let entry = format!(
            "\techo\t'Loading Xen ...'
        if [ \"$grub_platform\" = \"pc\" -o \"$grub_platform\" = \"\" ]; then
            xen_rm_opts=
        else
            xen_rm_opts=\"no-real-mode edd=off\"
        fi
\tmultiboot2\t{hypervisor} placeholder {xen} ${{xen_rm_opts}}
\techo\t'Loading Linux ...'
\tmodule2\t{kernel} placeholder {linux}
\techo\t'Loading initial ramdisk ...'
\tmodule2\t--nounzip   {image}
"
        );
        Self { initramfs, entry }
    }

    /// Makes the image of a disk that boots into this menu, and has the files that the entry loads.
    /// The image is a file in this folder. (The firmware could start it as a CD, too.)
    pub fn make_disk(&self, folder: &Path) -> Result<PathBuf> {
        let config = folder.join("grub.cfg");
        let entry = &self.entry;
        fs::write(
            &config,
            format!("{HEAD}menuentry 'Debian GNU/Linux, with Xen hypervisor' {{\n{entry}}}\n"),
        )?;
        let disk = folder.join("grub.img");
        // Without the directory, grub-mkrescue would add every platform that this host has.
        let mut command = Command::new("grub-mkrescue");
        command
            .args(["--directory=/usr/lib/grub/i386-pc", "--output"])
            .arg(&disk)
            .args(["--fonts=", "--locales=", "--themes="])
            .arg(format!("/boot/grub/grub.cfg={}", config.display()));
        for file in files(self.initramfs) {
            command.arg(format!("{}={}", place(file), file.display()));
        }
        tool::run(command)?;
        Ok(disk)
    }

    /// What the user types, and what the screen shows before that. The user boots an edited entry
    /// only once the screen shows the edit at the end of the right line.
    pub fn answers(&self, act: Act) -> Result<Vec<Answer>> {
        let answer = |prompt: &str, text: &str| Answer {
            prompt: prompt.to_owned(),
            text: text.to_owned(),
        };
        let menu = "Press enter to boot";
        let Act::Edit { line, text } = act else {
            return Ok(vec![answer(menu, "\n")]);
        };
        let lines: Vec<&str> = self.entry.lines().collect();
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let place = lines
            .iter()
            .position(|command| words(command).starts_with(line))
            .with_context(|| format!("no line of the entry begins with {line}"))?;
        // The screen shows blanks for tabs.
        let shown = |line: &str| line.rsplit('\t').next().unwrap_or_default().to_owned();
        let last = lines.last().copied().unwrap_or_default();
        let move_and_type = NEXT.repeat(LINES_BEFORE + place) + END + text;
        Ok(vec![
            answer(menu, "e"),
            answer(&shown(last), &move_and_type),
            answer(&(shown(lines[place]) + text), BOOT),
        ])
    }
}

/// The files that the entry loads: the hypervisor, the kernel, the initramfs.
fn files(initramfs: &Initramfs) -> [&Path; 3] {
    let debian = &initramfs.debian;
    [&debian.xen_packed, &debian.vmlinuz, &initramfs.file]
}

/// The place of a file on the disk.
fn place(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    format!("/boot/{}", name.to_string_lossy())
}
