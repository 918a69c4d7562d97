//! What a plan warns of: what a device that is to be taken leaves behind, or takes along.

use heapless::Vec;

use crate::{
    device::{Action, DEVICES, Device, Devices},
    host::{Errno, Files},
    pci::{Address, bus},
    text::number,
};

/// Most functions beside a device that are named: as many as a card has beside the one.
pub const OTHERS: usize = 7;

/// Functions that stay with dom0, of which there may be more than have a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Others {
    /// The first of them, in order.
    pub first: Vec<Address, OTHERS>,
    /// Whether there are more.
    pub has_more: bool,
}

/// What is to be said of a device that is to be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    /// So many virtual functions end with its driver.
    pub virtual_functions: u32,
    /// Functions of its slot that dom0 keeps.
    pub of_card: Others,
    /// Functions behind its bridge to conventional PCI that dom0 keeps. An IOMMU cannot tell them
    /// from it.
    pub behind_bridge: Others,
}

/// The warnings of a plan, each with the address of its device, in order.
pub type WarningList = Vec<(Address, Warnings), DEVICES>;

/// Looks for what is to be warned of. `devices` are all that the machine has, and their ways are
/// known.
pub fn look<H: Files>(host: &mut H, devices: &Devices, warnings: &mut WarningList) {
    warnings.clear();
    for device in devices
        .iter()
        .filter(|device| device.action == Action::Seize)
    {
        let found = look_at(host, devices, device);
        if found != Warnings::default() {
            // There is room for a warning of every device.
            let _ = warnings.push((device.address(), found));
        }
    }
}

/// The warnings of a device; none for most.
pub fn of(warnings: &WarningList, address: Address) -> Option<&Warnings> {
    let place = warnings
        .binary_search_by_key(&address.bits(), |(own, _)| own.bits())
        .ok()?;
    warnings.get(place).map(|(_, warnings)| warnings)
}

fn look_at<H: Files>(host: &mut H, devices: &Devices, device: &Device) -> Warnings {
    let mut warnings = Warnings {
        virtual_functions: count_virtual_functions(host, device.address()),
        ..Warnings::default()
    };
    // What is on the root bus is no card, and shares no bridge.
    if device
        .function
        .place
        .as_ref()
        .is_none_or(|place| place.steps.is_empty())
    {
        return warnings;
    }
    let bits = device.address().bits();
    let slot = Range {
        first: bits & !7,
        last: bits | 7,
    };
    warnings.of_card = find_others(host, devices, slot, None);
    if is_conventional(host, device.address()) {
        let bus = Range {
            first: bits & !0xff,
            last: bits | 0xff,
        };
        warnings.behind_bridge = find_others(host, devices, bus, Some(device.address().slot()));
    }
    warnings
}

/// How many virtual functions were asked of a device (`drivers/pci/iov.c`, `sriov_numvfs_show`).
fn count_virtual_functions<H: Files>(host: &mut H, address: Address) -> u32 {
    let mut buffer = [0; 8];
    let read = host.read(&bus::attribute(address, "/sriov_numvfs"), 0, &mut buffer);
    read.ok()
        .and_then(|text| number(text.trim_ascii_end(), 10))
        .unwrap_or_default()
}

/// Whether a function is on a bus of conventional PCI. A link of PCI Express has a speed
/// (`drivers/pci/pci-sysfs.c`, `pcie_dev_attrs_are_visible`).
fn is_conventional<H: Files>(host: &mut H, address: Address) -> bool {
    let attribute = bus::attribute(address, "/max_link_speed");
    host.read(&attribute, 0, &mut [0]) == Err(Errno::ENOENT)
}

/// Addresses from one to another, by [`Address::bits`].
#[derive(Clone, Copy)]
struct Range {
    first: u64,
    last: u64,
}

/// Finds the functions in a range that stay with dom0, those of one slot left out. Bridges do not
/// count, nor do virtual functions, which come and go with their own.
fn find_others<H: Files>(
    host: &mut H,
    devices: &Devices,
    range: Range,
    without_slot: Option<u64>,
) -> Others {
    let start = devices.partition_point(|device| device.address().bits() < range.first);
    let in_range = devices.iter().skip(start);
    let mut others = Others::default();
    for other in in_range.take_while(|other| other.address().bits() <= range.last) {
        let address = other.address();
        let stays = other.function.is_there && other.action != Action::Seize && !other.is_bridge();
        let is_virtual = |host: &mut H| {
            host.read_link(&bus::attribute(address, "/physfn"), &mut [0; 64])
                .is_ok()
        };
        if !stays || without_slot == Some(address.slot()) || is_virtual(host) {
            continue;
        }
        if others.first.push(address).is_err() {
            others.has_more = true;
            break;
        }
    }
    others
}
