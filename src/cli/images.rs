//! How this host makes its images anew.

use crate::{
    host::{Console, Files, Level},
    say,
};

/// A program that makes images, and how it makes one anew.
struct Generator {
    program: &'static str,
    command: &'static str,
}

/// The generators, in the order in which they are looked for.
const GENERATORS: [Generator; 3] = [
    Generator {
        program: "/usr/sbin/update-initramfs",
        command: "/usr/sbin/update-initramfs -u -k all",
    },
    Generator {
        program: "/usr/bin/dracut",
        command: "/usr/bin/dracut --force --regenerate-all",
    },
    Generator {
        program: "/usr/bin/mkinitcpio",
        command: "/usr/bin/mkinitcpio --allpresets",
    },
];

/// The command that makes the images of all kernels anew. `None`: no generator is known.
pub fn find_command<H: Files>(host: &mut H) -> Option<&'static str> {
    let is_there =
        |generator: &&Generator| host.read(generator.program.as_bytes(), 0, &mut [0]).is_ok();
    let found = GENERATORS.iter().find(is_there);
    found.map(|generator| generator.command)
}

/// Says how the images are made anew, which have a copy of the configuration. The command stands in
/// a line by itself, so that nobody copies half of it.
pub fn tell_command<H: Files + Console>(host: &mut H) {
    match find_command(host) {
        Some(command) => {
            say!(host, Level::Notice, "make the images of all kernels anew:");
            say!(host, Level::Notice, "{}", command);
        }
        None => say!(
            host,
            Level::Notice,
            "make the images of all kernels anew: see pciseize(8)"
        ),
    }
}
