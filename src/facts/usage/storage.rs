//! File systems and swap, and the controllers beneath them: through partitions, device mapper (LVM,
//! LUKS), RAID, and NVMe disks with more than one path.

use super::{LAYERS, Usage, Use, function_in};
use crate::{
    host::{
        Files,
        lines::{self, FILE_SIZE},
    },
    put,
    text::{Line, last_part, next_piece, split},
};

/// Most bytes of the table of mounts that are read: a host with many containers has thousands of
/// lines.
const MOUNTS_SIZE: u64 = 4 << 20;

/// Looks for the controllers beneath everything that is mounted or swapped to.
pub fn gather<H: Files>(host: &mut H, usage: &mut Usage) {
    let _ = lines::each(
        host,
        b"/proc/self/mountinfo",
        MOUNTS_SIZE,
        &mut |host, line| {
            if let Some(mount) = Mount::of(line.text) {
                let mut search = Search {
                    usage,
                    one: mount.one,
                    name: mount.point,
                };
                search.add_device(host, mount.device);
            }
        },
    );
    let _ = lines::each(host, b"/proc/swaps", FILE_SIZE, &mut |host, line| {
        // The name comes first, see proc_swaps(5). That of a swap file is no device; the file
        // system that has the file is mounted.
        let is_blank = |byte| matches!(byte, b' ' | b'\t');
        let name = next_piece(line.text, &mut 0, is_blank).unwrap_or_default();
        Search {
            usage,
            one: Use::Swap,
            name: b"",
        }
        .add_device(host, name);
    });
}

/// A line of the table of mounts, see proc_pid_mountinfo(5):
/// `36 35 98:0 / /mnt rw,noatime shared:1 - ext3 /dev/sda1 rw`.
#[derive(Debug, PartialEq, Eq)]
struct Mount<'l> {
    one: Use,
    point: &'l [u8],
    /// The number of its block device, or the name in `/dev`.
    device: &'l [u8],
}

impl Mount<'_> {
    fn of(line: &[u8]) -> Option<Mount<'_>> {
        let mut fields = split(line, b' ');
        let (number, point) = (fields.nth(2)?, fields.nth(1)?);
        let one = match point {
            b"/" => Use::Root,
            b"/usr" => Use::Usr,
            _ if split(point, b'/').nth(1) == Some(b"boot") => Use::Boot,
            _ => Use::Mount,
        };
        // Btrfs reports an anonymous device number; use the mount source, the second field after
        // `-`.
        let is_anonymous = number.starts_with(b"0:");
        let source = fields
            .skip_while(|field| *field != b"-")
            .nth(2)
            .unwrap_or_default();
        Some(Mount {
            one,
            point,
            device: if is_anonymous { source } else { number },
        })
    }
}

/// A search for the controllers of one file system or swap.
struct Search<'s> {
    usage: &'s mut Usage,
    one: Use,
    name: &'s [u8],
}

impl Search<'_> {
    /// Notes the controllers of a block device, by its name in `/dev` or its number. Anything else
    /// has none.
    fn add_device<H: Files>(&mut self, host: &mut H, device: &[u8]) {
        let mut path = Line::new();
        if device.starts_with(b"/dev/") {
            // It may be a link, as in `/dev/mapper`.
            let mut buffer = [0; 256];
            let target = host.read_link(device, &mut buffer).unwrap_or(device);
            put!(&mut path, "/sys/class/block/");
            path.push(last_part(target, b'/'));
        } else {
            put!(&mut path, "/sys/dev/block/");
            path.push(device);
        }
        self.add_block(host, path.bytes(), LAYERS);
    }

    /// Notes the controllers of a block device, by its folder or link in `/sys`.
    fn add_block<H: Files>(&mut self, host: &mut H, path: &[u8], layers: usize) {
        let mut buffer = [0; 512];
        let Ok(target) = host.read_link(path, &mut buffer) else {
            return;
        };
        if let Some(address) = function_in(target) {
            return self.usage.add(address, self.one, self.name);
        }
        let Some(layers) = layers.checked_sub(1) else {
            return;
        };
        let mut folder = Line::new();
        if let Some(name) = nvme_subsystem(target) {
            // The folder of the subsystem has links to its controllers beside the disk.
            put!(&mut folder, "/sys/class/nvme-subsystem/");
            folder.push(name);
            return self.add_linked(host, folder.bytes(), 0);
        }
        // A partition has none of its own; its disk, the folder above, has.
        for slaves in ["/slaves", "/../slaves"] {
            folder.clear();
            folder.push(path);
            put!(&mut folder, "{}", slaves);
            self.add_linked(host, folder.bytes(), layers);
        }
    }

    /// Notes the controllers of everything that a folder has links to.
    fn add_linked<H: Files>(&mut self, host: &mut H, folder: &[u8], layers: usize) {
        let _ = host.list(folder, &mut |host, entry| {
            let mut path = Line::new();
            path.push(folder);
            put!(&mut path, "/");
            path.push(entry);
            self.add_block(host, path.bytes(), layers);
        });
    }
}

/// The NVMe subsystem that a disk belongs to, if it belongs to one:
/// `/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1` (`drivers/nvme/host/core.c`,
/// `nvme_init_subsystem`).
fn nvme_subsystem(target: &[u8]) -> Option<&[u8]> {
    let mut folders = split(target, b'/').skip_while(|folder| *folder != b"nvme-subsystem");
    let name = folders.nth(1)?;
    folders.next().map(|_| name)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String, vec::Vec};

    use super::*;
    use crate::{
        host::testing::{Machine, boxed, shown},
        pci::Address,
    };

    #[test]
    fn reads_mounts() {
        let line = |number: &str, point: &str| {
            std::format!("36 35 {number} / {point} rw,noatime shared:1 - ext3 /dev/sda1 rw")
        };
        for (number, point, one, device) in [
            ("8:1", "/", Use::Root, "8:1"),
            ("8:1", "/usr", Use::Usr, "8:1"),
            ("8:1", "/boot/efi", Use::Boot, "8:1"),
            ("8:1", "/bootleg", Use::Mount, "8:1"),
            ("0:21", "/mnt", Use::Mount, "/dev/sda1"),
        ] {
            let line = line(number, point);
            let mount = Mount {
                one,
                point: point.as_bytes(),
                device: device.as_bytes(),
            };
            assert_eq!(Mount::of(line.as_bytes()), Some(mount), "{line}");
        }
        assert_eq!(Mount::of(b"36 35 98:0"), None);
    }

    #[test]
    fn finds_the_subsystem_of_a_disk() {
        let target = b"../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1";
        assert_eq!(nvme_subsystem(target), Some(b"nvme-subsys0".as_slice()));
        assert_eq!(
            nvme_subsystem(b"../devices/virtual/nvme-subsystem/nvme-subsys0"),
            None
        );
        assert_eq!(nvme_subsystem(b"../devices/virtual/block/dm-0"), None);
    }

    const SATA: &str = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda";
    const NVME: &str = "pci0000:00/0000:00:1c.0/0000:03:00.0/nvme/nvme0/nvme0n1";

    /// Adds a disk or a partition, by its number, its name and its path below `/sys/devices`.
    fn add_block(host: &mut Machine, number: &str, name: &str, path: &str) {
        let target = format!("../../devices/{path}");
        host.link(&format!("/sys/dev/block/{number}"), &target);
        host.link(&format!("/sys/class/block/{name}"), &target);
        host.folder(&format!("/sys/devices/{path}"));
    }

    /// Has one block device stand on another.
    fn add_slave(host: &mut Machine, path: &str, name: &str, below: &str) {
        let link = format!("/sys/devices/{path}/slaves/{name}");
        host.link(&link, &format!("/sys/devices/{below}"));
    }

    /// What is used of two controllers, for mounts at `/` and swap: the disk and the NVMe disk.
    fn used(host: &mut Machine, mounts: &str, swaps: &str) -> Vec<String> {
        host.file("/proc/self/mountinfo", mounts);
        host.file(
            "/proc/swaps",
            &format!("Filename Type Size Used Priority\n{swaps}"),
        );
        let mut usage = boxed(Usage::new);
        gather(host, &mut usage);
        let of = |at: &str| {
            let address = Address::parse(at.as_bytes()).expect(at);
            let uses = usage.uses(address).iter().map(Use::text);
            let name = usage.name(address).map_or(String::new(), shown);
            format!("{}{name}", uses.collect::<Vec<_>>().join(", "))
        };
        ["00:1f.2", "03:00.0"].map(of).into()
    }

    fn mount(number: &str, point: &str, source: &str) -> String {
        format!("36 35 {number} / {point} rw shared:1 - ext4 {source} rw\n")
    }

    #[test]
    fn finds_the_controllers_of_file_systems_and_swap() {
        let mut host = Machine::new();
        add_block(&mut host, "8:0", "sda", SATA);
        add_block(&mut host, "8:1", "sda1", &format!("{SATA}/sda1"));
        add_block(&mut host, "259:0", "nvme0n1", NVME);
        for (mounts, swaps, expected) in [
            ("".into(), "", ["", ""]),
            (mount("8:1", "/", "/dev/sda1"), "", ["holds /", ""]),
            (
                mount("259:0", "/srv", "/dev/nvme0n1"),
                "",
                ["", "holds /srv"],
            ),
            (
                "".into(),
                "/dev/sda1 partition 1 0 -2\n",
                ["holds swap", ""],
            ),
            ("".into(), "/swapfile file 1 0 -2\n", ["", ""]),
            // Btrfs.
            (mount("0:33", "/", "/dev/nvme0n1"), "", ["", "holds /"]),
            (mount("0:21", "/proc", "proc"), "", ["", ""]),
            (
                mount("8:1", "/", "/dev/sda1") + &mount("8:1", "/boot", "/dev/sda1"),
                "/dev/nvme0n1 partition 1 0 -2\n",
                ["holds /, holds /boot", "holds swap"],
            ),
        ] {
            assert_eq!(used(&mut host, &mounts, swaps), expected, "{mounts}{swaps}");
        }
    }

    /// A volume of LVM on LUKS on a RAID of a partition and a disk.
    #[test]
    fn goes_through_every_layer() {
        let mut host = Machine::new();
        let virtual_one = |name: &str| format!("virtual/block/{name}");
        add_block(&mut host, "8:0", "sda", SATA);
        add_block(&mut host, "8:1", "sda1", &format!("{SATA}/sda1"));
        add_block(&mut host, "259:0", "nvme0n1", NVME);
        for (number, name) in [("253:1", "dm-1"), ("253:0", "dm-0"), ("9:0", "md0")] {
            add_block(&mut host, number, name, &virtual_one(name));
        }
        add_block(&mut host, "259:7", "md0p1", "virtual/block/md0/md0p1");
        let md0 = virtual_one("md0");
        add_slave(
            &mut host,
            &virtual_one("dm-1"),
            "dm-0",
            &virtual_one("dm-0"),
        );
        // A partition of the RAID: what is below that is told by the folder above.
        add_slave(
            &mut host,
            &virtual_one("dm-0"),
            "md0p1",
            &format!("{md0}/md0p1"),
        );
        add_slave(&mut host, &md0, "sda1", &format!("{SATA}/sda1"));
        add_slave(&mut host, &md0, "nvme0n1", NVME);
        host.link("/dev/mapper/vg-root", "../dm-1");
        let both = ["holds /", "holds /"];
        let root = mount("253:1", "/", "/dev/mapper/vg-root");
        assert_eq!(used(&mut host, &root, ""), both);
        let btrfs = mount("0:33", "/", "/dev/mapper/vg-root");
        assert_eq!(used(&mut host, &btrfs, ""), both);
    }

    #[test]
    fn finds_every_controller_of_an_nvme_disk_with_paths() {
        let mut host = Machine::new();
        let disk = "virtual/nvme-subsystem/nvme-subsys0/nvme0n1";
        add_block(&mut host, "259:0", "nvme0n1", disk);
        let subsystem = "/sys/class/nvme-subsystem/nvme-subsys0";
        host.link(
            subsystem,
            "../../devices/virtual/nvme-subsystem/nvme-subsys0",
        );
        let controller = "/sys/devices/pci0000:00/0000:00:1c.0/0000:03:00.0/nvme/nvme0";
        host.link(&format!("{subsystem}/nvme0"), controller);
        let root = mount("259:0", "/", "/dev/nvme0n1");
        assert_eq!(used(&mut host, &root, ""), ["", "holds /"]);
    }

    /// The kernel has no such tree; a damaged one must not hold up the boot.
    #[test]
    fn comes_to_an_end_in_a_circle() {
        let mut host = Machine::new();
        add_block(&mut host, "253:0", "dm-0", "virtual/block/dm-0");
        add_slave(
            &mut host,
            "virtual/block/dm-0",
            "dm-0",
            "virtual/block/dm-0",
        );
        let root = mount("253:0", "/", "/dev/dm-0");
        assert_eq!(used(&mut host, &root, ""), ["", ""]);
    }
}
