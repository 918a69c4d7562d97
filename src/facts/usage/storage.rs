//! File systems and swap, and the controllers beneath them.
//!
//! The way leads through partitions, device mapper (LVM, LUKS, multipath), RAID, NVMe disks with
//! more than one path, the members of btrfs, bcachefs and ZFS, the files of loop devices, and the
//! folders beneath an overlay. What is on the network (NFS, iSCSI, NVMe over TCP) leads to the card
//! of the route. A way that ends before a function is told: see [`Usage::untraced`].

use super::{
    LAYERS, Usage, Use, function_in,
    mount::{self, Mount, PathText},
    network::{self, Server},
};
use crate::{
    host::{
        Errno, Files,
        lines::{self, FILE_SIZE},
    },
    put,
    text::{Excerpt, Line, column, first_part, last_part, split},
};

/// The kinds of file systems that are in memory.
const IN_MEMORY: [&[u8]; 5] = [b"tmpfs", b"ramfs", b"rootfs", b"devtmpfs", b"efivarfs"];

/// The kinds of file systems that a server has.
const OF_SERVER: [&[u8]; 4] = [b"nfs", b"nfs4", b"cifs", b"smb3"];

/// What came of the search for the controllers of a file system. Of several the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trace {
    /// There is no controller: it is in memory, or on something that is no PCI function's.
    Nothing,
    /// All are found.
    Found,
    /// Not all are found: a storage controller is missing.
    LostStorage,
    /// Not all are found: a storage controller or a network card is missing.
    LostNetwork,
}

impl Trace {
    /// What is between the file system and its disk, where that is not found.
    fn lost(self) -> Option<Over> {
        match self {
            Trace::Nothing | Trace::Found => None,
            Trace::LostStorage => Some(Over::Storage),
            Trace::LostNetwork => Some(Over::Network),
        }
    }

    /// The same, or another one where there is no controller.
    fn or(self, other: Trace) -> Trace {
        if self == Trace::Nothing { other } else { self }
    }
}

/// What is between a file system and its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Over {
    /// A controller of storage or USB.
    Storage,
    /// One of those, or a network card.
    Network,
}

/// What holds something and was not found.
#[derive(Clone, Debug)]
pub struct Untraced {
    /// What it holds.
    pub one: Use,
    /// The mount point, or the interface of a route. Empty if the table of mounts cannot be read.
    pub point: Excerpt,
    /// What is told of it: the mount point, the kind of file system, and its source; or the
    /// interface of a route.
    pub text: Excerpt,
    /// What kind of function it may be.
    pub over: Over,
}

/// Looks for the controllers beneath everything that is mounted or swapped to.
pub fn gather<H: Files>(host: &mut H, usage: &mut Usage) {
    let mut has_root = false;
    let read = lines::each(host, mount::TABLE, mount::TABLE_SIZE, &mut |host, line| {
        if let Some(mount) = Mount::of(line.text) {
            has_root |= mount.one == Use::Root;
            add_mount(host, usage, &mount, line.is_whole);
        }
    });
    if read.is_err() {
        usage.add_untraced(Use::Root, b"", b"", Over::Network);
    } else if !has_root {
        usage.is_elsewhere = true;
        usage.add_untraced(Use::Root, b"/", b"/", Over::Network);
    }
    let _ = lines::each(host, b"/proc/swaps", FILE_SIZE, &mut |host, line| {
        // The name comes first, see proc_swaps(5): that of a device or a file.
        let name = column(line.text, 0);
        if !name.starts_with(b"/") {
            return;
        }
        let mut search = Search::of(usage, Use::Swap, b"");
        let trace = if name.starts_with(b"/dev/") {
            search.add_device(host, name)
        } else {
            search.add_file(host, name, LAYERS)
        };
        if let Some(over) = trace.lost() {
            let mut text = Line::new();
            put!(&mut text, "swap ");
            text.push(name);
            usage.add_untraced(Use::Swap, name, text.bytes(), over);
        }
    });
}

/// Notes the controllers of a mount, and where they are not found, that. `is_whole`: whether its
/// line was short enough to be read.
fn add_mount<H: Files>(host: &mut H, usage: &mut Usage, mount: &Mount, is_whole: bool) {
    let mut search = Search::of(usage, mount.one, mount.point);
    let mut trace = search.add_mount(host, mount, LAYERS);
    if !search.is_needed() {
        return;
    }
    if mount.one == Use::Root && trace == Trace::Nothing {
        trace = search.add_first_program(host);
    }
    if !is_whole {
        trace = trace.max(Trace::LostNetwork);
    }
    // Of two file systems at one place the later is seen.
    usage.forget_untraced(mount.point);
    if let Some(over) = trace.lost() {
        let mut text = Line::new();
        text.push(mount.point);
        for field in [mount.kind, mount.source] {
            put!(&mut text, " ");
            text.push(field);
        }
        usage.add_untraced(mount.one, mount.point, text.bytes(), over);
    }
}

/// A search for the controllers of one file system or swap.
struct Search<'s> {
    usage: &'s mut Usage,
    one: Use,
    name: &'s [u8],
    /// Whether the search has come through an overlay. Then it passes over overlays: the folders of
    /// two would multiply, and one over `/usr` may have that as a folder of its own.
    is_in_overlay: bool,
}

impl<'s> Search<'s> {
    fn of(usage: &'s mut Usage, one: Use, name: &'s [u8]) -> Search<'s> {
        Search {
            usage,
            one,
            name,
            is_in_overlay: false,
        }
    }

    /// Whether the system needs it. Only then is everything read to find its controllers: a host
    /// may have thousands of mounts for its containers.
    fn is_needed(&self) -> bool {
        super::Uses::TO_BOOT.has(self.one)
    }

    /// Notes the controllers of a file system.
    fn add_mount<H: Files>(&mut self, host: &mut H, mount: &Mount, layers: usize) -> Trace {
        if !mount.number.starts_with(b"0:") {
            let mut trace = self.add_device(host, mount.number);
            // XFS may have its log on another disk, and its files on a third.
            for option in [b"logdev".as_slice(), b"rtdev"] {
                for device in mount.values(option) {
                    trace = trace.max(self.add_device(host, device));
                }
            }
            return trace;
        }
        let kind = mount.kind;
        if kind == b"btrfs" {
            self.add_btrfs(host, mount.source)
        } else if kind == b"bcachefs" {
            self.add_bcachefs(host, mount.source)
        } else if mount.source.starts_with(b"/dev/") {
            self.add_device(host, mount.source)
        } else if OF_SERVER.contains(&kind) {
            let server = mount.values(b"addr").next();
            self.add_server(host, server.and_then(Server::parse))
        } else if !self.is_needed() || IN_MEMORY.contains(&kind) {
            Trace::Nothing
        } else if kind == b"overlay" {
            self.add_overlay(host, mount, layers)
        } else if kind == b"zfs" {
            self.add_pool(host, first_part(mount.source, b'/'))
        } else if kind == b"autofs" {
            // It is mounted once somebody looks.
            Trace::LostStorage
        } else {
            Trace::LostNetwork
        }
    }

    /// Notes the controllers of a block device, by its name in `/dev` or its number.
    fn add_device<H: Files>(&mut self, host: &mut H, device: &[u8]) -> Trace {
        let mut path = Line::new();
        if device.starts_with(b"/dev/") {
            put!(&mut path, "/sys/class/block/");
            path.push(&name_of(host, device));
        } else {
            put!(&mut path, "/sys/dev/block/");
            path.push(device);
        }
        self.add_block(host, path.bytes(), LAYERS)
    }

    /// Notes the controllers of a block device, by its folder or link in `/sys`.
    fn add_block<H: Files>(&mut self, host: &mut H, path: &[u8], layers: usize) -> Trace {
        let mut buffer = [0; 512];
        let Ok(target) = host.read_link(path, &mut buffer) else {
            return Trace::LostStorage;
        };
        if let Some(address) = function_in(target) {
            self.usage.add_function(host, address, self.one, self.name);
            return Trace::Found;
        }
        let Some(layers) = layers.checked_sub(1) else {
            return Trace::LostStorage;
        };
        if let Some(session) = iscsi_session(target) {
            return self.add_session(host, session);
        }
        if let Some(name) = folder_after(target, b"nvme-fabrics").and(folder_after(target, b"ctl"))
        {
            return self.add_fabric(host, name);
        }
        let mut folder = Line::new();
        if let Some(name) = nvme_subsystem(target) {
            // The folder of the subsystem has links to its controllers beside the disk.
            put!(&mut folder, "/sys/class/nvme-subsystem/");
            folder.push(name);
            let trace = self.add_linked(host, folder.bytes(), b"nvme", layers);
            return trace.or(Trace::LostStorage);
        }
        if is_of_platform(target) {
            return Trace::Nothing;
        }
        let disk = disk_of(target);
        if disk.starts_with(b"zram") || disk.starts_with(b"ram") {
            return Trace::Nothing;
        }
        if disk.starts_with(b"loop") {
            return self.add_loop(host, path, layers);
        }
        // A partition has none of its own; its disk, the folder above, has.
        let mut trace = Trace::Nothing;
        for slaves in ["/slaves", "/../slaves"] {
            folder.clear();
            folder.push(path);
            put!(&mut folder, "{}", slaves);
            trace = trace.max(self.add_linked(host, folder.bytes(), b"", layers));
        }
        // A virtual disk that stands on none: nbd, rbd, a volume of ZFS.
        trace.or(Trace::LostNetwork)
    }

    /// Notes the controllers of everything that a folder has links to, with names that begin so.
    fn add_linked<H: Files>(
        &mut self,
        host: &mut H,
        folder: &[u8],
        beginning: &[u8],
        layers: usize,
    ) -> Trace {
        let mut trace = Trace::Nothing;
        let _ = host.list(folder, &mut |host, entry| {
            let path = within(folder, entry, "");
            if entry.starts_with(beginning) && is_link(host, &path) {
                trace = trace.max(self.add_block(host, path.bytes(), layers));
            }
        });
        trace
    }

    /// Notes the controllers beneath the file of a loop device.
    fn add_loop<H: Files>(&mut self, host: &mut H, path: &[u8], layers: usize) -> Trace {
        if !self.is_needed() {
            return Trace::Nothing;
        }
        for attribute in ["/loop/backing_file", "/../loop/backing_file"] {
            let mut buffer = [0; mount::PATH_SIZE];
            let path = within(path, b"", attribute);
            if let Ok(file) = host.read_value(path.bytes(), &mut buffer) {
                return self.add_file(host, file, layers);
            }
        }
        Trace::LostStorage
    }

    /// Notes the controllers of the file system that has a file.
    fn add_file<H: Files>(&mut self, host: &mut H, path: &[u8], layers: usize) -> Trace {
        let Some(layers) = layers.checked_sub(1).filter(|_| path.starts_with(b"/")) else {
            return Trace::LostNetwork;
        };
        let other: &[u8] = if self.is_in_overlay { b"overlay" } else { b"" };
        let trace = mount::with_holder(host, path, other, |host, mount| {
            self.add_mount(host, &mount, layers)
        });
        trace.unwrap_or(Trace::LostNetwork)
    }

    /// Notes the controllers of the file system that has the first program, where `/` is in memory
    /// and the system is mounted below it.
    fn add_first_program<H: Files>(&mut self, host: &mut H) -> Trace {
        let mut buffer = [0; mount::PATH_SIZE];
        match host.read_link(b"/proc/1/exe", &mut buffer) {
            Ok(path) => self.add_file(host, path, LAYERS),
            Err(_) => Trace::Nothing,
        }
    }

    /// Notes the controllers beneath an overlay: those of every folder that it is made of.
    fn add_overlay<H: Files>(&mut self, host: &mut H, mount: &Mount, layers: usize) -> Trace {
        self.is_in_overlay = true;
        let mut trace = Trace::Nothing;
        for option in [b"lowerdir".as_slice(), b"datadir", b"upperdir"] {
            for paths in mount.values(option) {
                for folder in split(paths, b':').filter(|folder| !folder.is_empty()) {
                    trace = trace.max(self.add_file(host, folder, layers));
                }
            }
        }
        // A path from before the change of the root leads nowhere now, and so into memory.
        trace.or(Trace::LostNetwork)
    }

    /// Notes the controllers of every member of a btrfs file system. Its number is no disk's, and
    /// its source is one of the members (`fs/btrfs/sysfs.c`, `btrfs_sysfs_add_device`).
    fn add_btrfs<H: Files>(&mut self, host: &mut H, source: &[u8]) -> Trace {
        let mut trace = self.add_device(host, source);
        let name = name_of(host, source);
        let listed = host.list(b"/sys/fs/btrfs", &mut |host, id| {
            let folder = within(b"/sys/fs/btrfs", id, "/devices");
            let member = within(folder.bytes(), &name, "");
            if is_link(host, &member) {
                trace = trace.max(self.add_linked(host, folder.bytes(), b"", LAYERS));
            }
        });
        or_lost(trace, listed)
    }

    /// Notes the controllers of every member of a bcachefs file system. Its source is one member,
    /// or all of them: `/dev/sda:/dev/sdb` (`fs/bcachefs/fs.c`, `bch2_show_devname`).
    fn add_bcachefs<H: Files>(&mut self, host: &mut H, source: &[u8]) -> Trace {
        let mut trace = Trace::Nothing;
        for member in split(source, b':') {
            trace = trace.max(self.add_device(host, member));
        }
        let name = name_of(host, first_part(source, b':'));
        let listed = host.list(b"/sys/fs/bcachefs", &mut |host, id| {
            let folder = within(b"/sys/fs/bcachefs", id, "");
            let mut is_its_own = false;
            let _ = each_member(host, folder.bytes(), &mut |host, member| {
                is_its_own |= name_of(host, member) == name;
            });
            if is_its_own {
                let _ = each_member(host, folder.bytes(), &mut |host, member| {
                    trace = trace.max(self.add_block(host, member, LAYERS));
                });
            }
        });
        or_lost(trace, listed)
    }

    /// Notes the controllers of every member of a pool of ZFS. The kernel does not tell them, but
    /// udev keeps what it has found on each block device (`60-persistent-storage.rules`).
    fn add_pool<H: Files>(&mut self, host: &mut H, pool: &[u8]) -> Trace {
        let mut trace = Trace::Nothing;
        let _ = host.list(b"/run/udev/data", &mut |host, entry| {
            let Some(number) = entry.strip_prefix(b"b") else {
                return;
            };
            let (mut is_member, mut is_of_pool) = (false, false);
            let path = within(b"/run/udev/data", entry, "");
            let _ = lines::each(host, path.bytes(), FILE_SIZE, &mut |_, line| {
                is_member |= line.text == b"E:ID_FS_TYPE=zfs_member";
                is_of_pool |= line.text.strip_prefix(b"E:ID_FS_LABEL=") == Some(pool);
            });
            if is_member && is_of_pool {
                trace = trace.max(self.add_device(host, number));
            }
        });
        trace.or(Trace::LostStorage)
    }

    /// Notes the cards that lead to the target of an iSCSI session, by each of its connections
    /// (`drivers/scsi/scsi_transport_iscsi.c`).
    fn add_session<H: Files>(&mut self, host: &mut H, session: &[u8]) -> Trace {
        let mut trace = Trace::Nothing;
        let _ = host.list(b"/sys/class/iscsi_connection", &mut |host, entry| {
            let id = entry.strip_prefix(b"connection").unwrap_or_default();
            if first_part(id, b':') == session {
                let path = within(b"/sys/class/iscsi_connection", entry, "/address");
                let mut buffer = [0; 64];
                let address = host
                    .read_value(path.bytes(), &mut buffer)
                    .unwrap_or_default();
                let server = Server::parse(address);
                trace = trace.max(self.add_server(host, server));
            }
        });
        match trace {
            Trace::Nothing => self.add_server(host, None),
            trace => trace,
        }
    }

    /// Notes the cards that lead to an NVMe controller over a network. Its address is
    /// `traddr=10.0.0.1,trsvcid=4420` (`drivers/nvme/host/fabrics.c`, `nvmf_get_address`).
    fn add_fabric<H: Files>(&mut self, host: &mut H, controller: &[u8]) -> Trace {
        let path = within(b"/sys/class/nvme", controller, "/address");
        let mut buffer = [0; 256];
        let address = host
            .read_value(path.bytes(), &mut buffer)
            .unwrap_or_default();
        let mut fields = split(address, b',');
        let server = fields.find_map(|field| field.strip_prefix(b"traddr="));
        match server.map(Server::parse) {
            // Fibre Channel has no such address.
            Some(None) => Trace::LostNetwork,
            server => self.add_server(host, server.flatten()),
        }
    }

    /// Notes the cards that carry the route to a server, or where its address is not known, the
    /// default route.
    fn add_server<H: Files>(&mut self, host: &mut H, server: Option<Server>) -> Trace {
        let mut cards = network::Cards {
            usage: self.usage,
            one: self.one,
            name: self.name,
        };
        if cards.add_to(host, server) {
            Trace::Found
        } else {
            Trace::LostNetwork
        }
    }
}

/// What came of a search in a folder: if that could not be listed, not all was found.
fn or_lost(trace: Trace, listed: Result<(), Errno>) -> Trace {
    match listed {
        Ok(()) => trace,
        Err(_) => trace.max(Trace::LostStorage),
    }
}

/// The name of a block device in `/sys`. In `/dev` it may be a link, as in `/dev/mapper`.
fn name_of<H: Files>(host: &mut H, device: &[u8]) -> PathText {
    let mut buffer = [0; 512];
    let target = host.read_link(device, &mut buffer).unwrap_or(device);
    PathText::from_slice(last_part(target, b'/')).unwrap_or_default()
}

/// Whether something is a link.
fn is_link<H: Files>(host: &mut H, path: &Line) -> bool {
    host.read_link(path.bytes(), &mut [0; 512]).is_ok()
}

/// Calls `visit` with the link to the disk of every member of a bcachefs file system
/// (`fs/bcachefs/super.c`, `bch2_dev_sysfs_online`).
fn each_member<H: Files>(
    host: &mut H,
    folder: &[u8],
    visit: &mut dyn FnMut(&mut H, &[u8]),
) -> Result<(), Errno> {
    host.list(folder, &mut |host, entry| {
        if entry.starts_with(b"dev-") {
            visit(host, within(folder, entry, "/block").bytes());
        }
    })
}

/// The path of something in a folder.
fn within(folder: &[u8], entry: &[u8], attribute: &str) -> Line {
    let mut path = Line::new();
    path.push(folder);
    if !entry.is_empty() {
        put!(&mut path, "/");
        path.push(entry);
    }
    put!(&mut path, "{}", attribute);
    path
}

/// The folder on a way that follows the one with that name.
fn folder_after<'t>(target: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let mut folders = split(target, b'/');
    folders.find(|folder| *folder == name)?;
    folders.next()
}

/// What follows `beginning` in the name of the first folder on a way that begins so.
fn rest_of_folder<'t>(target: &'t [u8], beginning: &[u8]) -> Option<&'t [u8]> {
    split(target, b'/').find_map(|folder| folder.strip_prefix(beginning))
}

/// Whether a disk on whose way there is no PCI function is one of the platform, like the eMMC of a
/// small board: it stays with dom0 in any case. USB over a network seems to be one of the platform,
/// and is none.
fn is_of_platform(target: &[u8]) -> bool {
    let has = |name: &[u8]| rest_of_folder(target, name).is_some();
    (has(b"platform") || has(b"LNXSYSTM:00")) && !has(b"vhci_hcd.")
}

/// The name of a virtual disk. A link from one to another is short: `../../dm-0`.
fn disk_of(target: &[u8]) -> &[u8] {
    let mut folders = split(target, b'/').filter(|folder| *folder != b"..");
    folder_after(target, b"block")
        .or(folders.next())
        .unwrap_or_default()
}

/// The number of the iSCSI session that has a disk:
/// `/sys/devices/platform/host3/session1/target3:0:0/3:0:0:0/block/sda`.
fn iscsi_session(target: &[u8]) -> Option<&[u8]> {
    rest_of_folder(target, b"session")
}

/// The NVMe subsystem that a disk belongs to, if it belongs to one:
/// `/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1` (`drivers/nvme/host/core.c`,
/// `nvme_init_subsystem`).
fn nvme_subsystem(target: &[u8]) -> Option<&[u8]> {
    let mut folders = split(target, b'/');
    folders.find(|folder| *folder == b"nvme-subsystem")?;
    let name = folders.next()?;
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
            let uses = usage.uses(address).iter().map(|one| one.words().concat());
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

    /// An extension of the system puts an overlay over `/usr` that has the old one as a folder.
    #[test]
    fn goes_beneath_an_overlay_over_itself() {
        let mut host = Machine::new();
        add_block(&mut host, "8:0", "sda", SATA);
        let mounts = mount("8:0", "/", "/dev/sda")
            + "1 1 0:40 / /run rw - tmpfs tmpfs rw\n"
            + "1 1 0:50 / /usr ro - overlay sysext ro,lowerdir=/run/extensions/usr:/usr\n";
        assert_eq!(used(&mut host, &mounts, ""), ["holds /, holds /usr", ""]);
    }

    /// A host with many containers has thousands of mounts.
    #[test]
    fn reads_a_long_table_once() {
        let mut host = Machine::new();
        add_block(&mut host, "8:0", "sda", SATA);
        let overlay = "1 1 0:50 / /var/lib/c rw - overlay overlay rw,lowerdir=/a:/b\n";
        let loops = "1 1 7:1 / /snap/x ro - squashfs /dev/loop1 ro\n";
        add_block(&mut host, "7:1", "loop1", "virtual/block/loop1");
        let table = mount("8:0", "/", "/dev/sda") + &[overlay, loops].concat().repeat(2500);
        assert_eq!(used(&mut host, &table, ""), ["holds /", ""]);
        let reads = host.calls_of("read");
        assert_eq!(reads, ["/proc/self/mountinfo", "/proc/swaps"]);
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
