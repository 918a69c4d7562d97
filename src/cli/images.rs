//! How this host makes its images anew.

use crate::host::Files;

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

/// The same, or where to read about it.
pub fn command<H: Files>(host: &mut H) -> &'static str {
    find_command(host).unwrap_or("see pciseize(8)")
}
