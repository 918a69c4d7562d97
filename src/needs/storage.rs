//! File systems and swap, and the controllers beneath them: through partitions, device mapper (LVM, LUKS), RAID, and NVMe disks with more than one path.

use super::{Needs, Use, function_in};
use crate::{
    host::Host,
    lines, put,
    text::{Either, Line, behind, last_part, next_piece, split, split_once},
};

/// Most bytes of the table of mounts that are read: a host with many containers has thousands of them.
const MOUNTS_SIZE: u64 = 4 << 20;

/// Most layers between a file system and its disk.
const LAYERS: usize = 8;

/// Looks for the controllers beneath everything that is mounted or swapped to. See proc_pid_mountinfo(5) and proc_swaps(5).
pub fn gather<H: Host>(host: &mut H, needs: &mut Needs) {
    // A line like `36 35 98:0 / /mnt rw,noatime shared:1 - ext3 /dev/sda1 rw`.
    let _ = lines::each(host, b"/proc/self/mountinfo", MOUNTS_SIZE, &mut |host, _, line, _| {
        let mut fields = split(line, b' ');
        let (Some(number), Some(point)) = (fields.nth(2), fields.nth(1)) else { return };
        let what = match point {
            b"/" => Use::Root,
            b"/usr" => Use::Usr,
            _ if split(point, b'/').nth(1) == Some(b"boot") => Use::Boot,
            _ => Use::Mount,
        };
        // Btrfs has a number that is no disk's. What it was mounted from stands behind its type.
        let is_disk = !number.starts_with(b"0:");
        let source = fields.skip_while(|field| *field != b"-").nth(2).unwrap_or_default();
        device(host, needs, if is_disk { number } else { source }, what, point);
    });
    // Names come first. Of a swap file it is that of no device; it is in a file system.
    let _ = lines::each(host, b"/proc/swaps", lines::FILE_SIZE, &mut |host, _, line, _| {
        let name = next_piece(line, &mut 0, |byte| matches!(byte, b' ' | b'\t')).unwrap_or_default();
        device(host, needs, name, Use::Swap, b"");
    });
}

/// Notes the controllers of a block device, by its name in `/dev` or its number. What is neither has none.
fn device<H: Host>(host: &mut H, needs: &mut Needs, device: &[u8], what: Use, name: &[u8]) {
    let mut path = Line::new();
    if behind(b"/dev/", device).is_some() {
        // It may be a link, as in `/dev/mapper`.
        let mut buffer = [0; 256];
        let target = host.link(device, &mut buffer).unwrap_or(device);
        put!(&mut path, "/sys/class/block/");
        path.push(last_part(target, b'/'));
    } else {
        put!(&mut path, "/sys/dev/block/");
        path.push(device);
    }
    block(host, needs, path.bytes(), what, name, LAYERS);
}

/// Notes the controllers of a block device, by its folder or link in `/sys`.
fn block<H: Host>(host: &mut H, needs: &mut Needs, path: &[u8], what: Use, name: &[u8], layers: usize) {
    let mut buffer = [0; 512];
    let Ok(target) = host.link(path, &mut buffer) else { return };
    if let Some(address) = function_in(target) {
        return needs.add(address, what, name);
    }
    let Some(layers) = layers.checked_sub(1) else { return };
    let mut folder = Line::new();
    if let Some(subsystem) = subsystem(target, &mut folder) {
        // Beside the disk there are links to its controllers.
        return below(host, needs, subsystem, what, name, 0);
    }
    // A partition has them where its disk has.
    for layer in ["/slaves", "/../slaves"] {
        folder.clear();
        folder.push(path);
        put!(&mut folder, Either(layer));
        below(host, needs, folder.bytes(), what, name, layers);
    }
}

/// Notes the controllers of everything that a folder has links to.
#[inline(never)]
fn below<H: Host>(host: &mut H, needs: &mut Needs, folder: &[u8], what: Use, name: &[u8], layers: usize) {
    let _ = host.list(folder, &mut |host, entry| {
        let mut path = Line::new();
        path.push(folder);
        put!(&mut path, "/");
        path.push(entry);
        block(host, needs, path.bytes(), what, name, layers);
    });
}

/// The folder of the NVMe subsystem that a disk belongs to, if it does: `/sys/devices/virtual/nvme-subsystem/nvme-subsys0` (`drivers/nvme/host/core.c`, `nvme_init_subsystem`).
fn subsystem<'f>(target: &[u8], folder: &'f mut Line) -> Option<&'f [u8]> {
    const FOLDER: &[u8] = b"/nvme-subsystem/";
    let at = (0..target.len()).find(|&at| target.get(at..).is_some_and(|rest| rest.starts_with(FOLDER)))?;
    let (name, _) = split_once(target.get(at + FOLDER.len()..)?, b'/')?;
    put!(folder, "/sys/class/nvme-subsystem/");
    folder.push(name);
    Some(folder.bytes())
}
