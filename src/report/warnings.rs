//! What a plan warns of: devices that dom0 uses, and devices that do not go alone.

use super::Report;
use crate::{
    device::{Device, count_before},
    host::{Errno, Host},
    pci::bus,
    plan::Action,
    put,
    text::{Decimal, Either, Line, number},
};

/// Adds what is to be said of a device that is to be taken: pieces of a sentence, each with `; ` in front. The report's devices are all that the machine has.
pub fn show<H: Host>(host: &mut H, report: &Report, device: &Device, line: &mut Line) {
    report.needs.show(device.address, report.needs.uses(device.address), "; it ", line);
    let mut buffer = [0; 8];
    // As many as were asked of it (`drivers/pci/iov.c`, `sriov_numvfs_show`). They end with the driver of their device.
    let count = host.read(&bus::attribute(device.address, "/sriov_numvfs"), 0, &mut buffer).ok().and_then(|text| number(text.trim_ascii_end(), 10));
    if let Some(count @ 1..) = count {
        put!(line, "; its virtual functions (", Decimal(count), ") end with its driver");
    }
    // What is on the root bus is no card, and shares no bridge.
    if bus::place(host, device.address).is_none_or(|place| place.steps.is_empty()) {
        return;
    }
    let bits = device.address.bits();
    stays(host, report, device, bits & !7, bits | 7, "; dom0 keeps others of its card:", line);
    // On a bus of conventional PCI the bridge speaks for all, and an IOMMU cannot tell one from the other. What is on PCI Express has a link with a speed (`drivers/pci/pci-sysfs.c`,
    // `pcie_dev_attrs_are_visible`).
    if host.read(&bus::attribute(device.address, "/max_link_speed"), 0, &mut [0]) == Err(Errno::ENOENT) {
        stays(host, report, device, bits & !0xff, bits | 0xff, "; dom0 keeps others behind its PCI bridge:", line);
    }
}

/// Most others that are told of: as many as a card has beside the one.
const MOST_OTHERS: u32 = 7;

/// Adds the functions from one address to another that stay with dom0, with `before` in front of the first. Bridges do not count, nor do virtual functions, which come and go with their own.
#[inline(never)]
fn stays<H: Host>(host: &mut H, report: &Report, device: &Device, first: u64, last: u64, before: &str, line: &mut Line) {
    let devices = report.devices;
    let mut low = count_before(devices.len(), &|place| devices.get(place).is_some_and(|other| other.address.bits() < first));
    let (mut before, mut left) = (before, MOST_OTHERS);
    while let Some(other) = devices.get(low).filter(|other| other.address.bits() <= last) {
        low += 1;
        // Those of its own slot are told of by themselves.
        let is_other = last - first < 8 || other.address.slot() != device.address.slot();
        if is_other
            && other.is_there
            && other.action != Action::Seize
            && !other.is_bridge()
            && host.link(&bus::attribute(other.address, "/physfn"), &mut [0; 64]).is_err()
        {
            if left == 0 {
                return put!(line, " ...");
            }
            left -= 1;
            put!(line, Either(before), " ", other.address);
            before = "";
        }
    }
}
