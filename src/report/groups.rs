//! What an IOMMU cannot tell apart, in words.

use super::Report;
use crate::{
    device::Device,
    facts::groups::{Groups, Reason},
    pci::Address,
    put,
    text::Line,
};

/// Adds why a function is of one group with others, as one piece of a sentence. Nothing for one
/// that is alone, or whose group is not known.
pub fn add_reasons(groups: &Groups, address: Address, line: &mut Line) {
    if !groups.is_known(address) {
        return;
    }
    let (reasons, are_all) = groups.reasons(address);
    let mut before = "";
    for (of, reason) in &reasons {
        put!(line, "{}", before);
        before = ", ";
        match reason {
            Reason::Slot => add_slot(groups, *of, line),
            Reason::Passes(bridge) => put!(line, "{} passes requests between them", bridge),
            Reason::Alias(bridge) => put!(
                line,
                "all requests from behind {} come with one address",
                bridge
            ),
            // Not in a group that is known.
            Reason::Unknown => put!(line, "not all could be read"),
        }
    }
    if !are_all {
        put!(line, ", ...");
    }
}

/// Adds that functions of a group share a slot.
fn add_slot(groups: &Groups, of: Address, line: &mut Line) {
    let in_slot = || groups.of(of).filter(|one| one.slot() == of.slot());
    let last = in_slot().count().saturating_sub(1);
    for (number, address) in in_slot().enumerate() {
        let before = match number {
            0 => "",
            _ if number == last => " and ",
            _ => ", ",
        };
        put!(line, "{}{}", before, address);
    }
    put!(line, " share a slot without ACS");
}

/// Why groups are not known.
pub const fn why_unknown(groups: &Groups) -> &'static str {
    if groups.is_for_root() {
        "only root can read the registers"
    } else {
        "registers cannot be read"
    }
}

/// The first of the group of a function, if others are in it that are no bridges.
pub fn first_in_company(report: &Report, device: &Device) -> Option<Address> {
    let own = device.address();
    if device.is_bridge() || !report.groups.is_known(own) {
        return None;
    }
    let mut others = report.groups.of(own).filter(|&other| other != own);
    let has_company = others.any(|other| !is_bridge(report, other));
    has_company.then(|| report.groups.of(own).next()).flatten()
}

fn is_bridge(report: &Report, address: Address) -> bool {
    find(report, address).is_some_and(Device::is_bridge)
}

/// The device at an address.
pub fn find<'r>(report: &Report<'r>, address: Address) -> Option<&'r Device> {
    let bits = |device: &Device| device.address().bits();
    let place = report.devices.binary_search_by_key(&address.bits(), bits);
    report.devices.get(place.ok()?)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::{
        host::testing::{Machine, boxed, text},
        pci::isolation::testing::{Built, file_of},
        report::testing::address,
    };

    #[test]
    fn says_why_functions_are_together() {
        let mut host = Machine::new();
        for (way, built) in [
            ("0000:00:1c.0", "port"),
            ("0000:00:1c.0/0000:01:00.0", "endpoint many"),
            ("0000:00:1c.0/0000:01:00.1", "endpoint many"),
            ("0000:00:1c.0/0000:01:00.2", "endpoint many"),
            ("0000:00:1d.0", "port acs"),
            ("0000:00:1d.0/0000:02:00.0", "to-pci"),
            ("0000:00:1d.0/0000:02:00.0/0000:03:01.0", "device"),
            ("0000:00:1e.0", "port acs"),
            ("0000:00:1e.0/0000:04:00.0", "endpoint"),
            ("0000:00:1f.0", "device many"),
            ("0000:00:1f.3", "device many"),
            ("0000:00:1f.4", "device many"),
        ] {
            host.function(&std::format!("pci0000:00/{way}"), "8086:10d3", "020000");
            let (_, name) = way.rsplit_once('/').unwrap_or(("", way));
            host.bytes(&file_of(name), &Built::of(built).config());
        }
        let mut groups = boxed(Groups::new);
        groups.look(&mut host);
        for (of, expected) in [
            ("01:00.1", "0000:00:1c.0 passes requests between them"),
            (
                "02:00.0",
                "all requests from behind 0000:02:00.0 come with one address",
            ),
            (
                "03:01.0",
                "all requests from behind 0000:02:00.0 come with one address",
            ),
            ("04:00.0", ""),
            (
                "00:1f.0",
                "0000:00:1f.0, 0000:00:1f.3 and 0000:00:1f.4 share a slot without ACS",
            ),
        ] {
            let mut line = Line::new();
            add_reasons(&groups, address(of), &mut line);
            assert_eq!(text(line.bytes()), expected, "{of}");
        }
    }
}
