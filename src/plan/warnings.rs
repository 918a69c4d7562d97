//! What a plan warns of: what a device that is to be taken leaves behind, or takes along.

use heapless::Vec;

use crate::{
    device::{Action, DEVICES, Device, Devices, order::sort_by},
    facts::{
        claims::Claims,
        fitness::{Basis, Fitness},
        groups::Groups,
    },
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
    /// Functions that dom0 keeps and an IOMMU cannot tell from it, where that is known.
    pub of_group: Others,
    /// Functions of its group that have a name of their own, as it has: guests may ask for each by
    /// itself.
    pub named_of_group: Others,
    /// Functions of its slot that dom0 keeps, but those of its group.
    pub of_card: Others,
    /// Functions behind its bridge to conventional PCI that dom0 keeps, where its group is not
    /// known. An IOMMU cannot tell them from it.
    pub behind_bridge: Others,
    /// What stands in the way of a guest that is to have it.
    pub fitness: Fitness,
    /// Who else lays claim to it.
    pub claims: Claims,
}

impl Warnings {
    /// Whether there is nothing to be said.
    fn is_empty(&self) -> bool {
        let others = [
            &self.of_group,
            &self.named_of_group,
            &self.of_card,
            &self.behind_bridge,
        ];
        self.virtual_functions == 0
            && others.iter().all(|others| others.first.is_empty())
            && self.fitness == Fitness::default()
            && self.claims.is_empty()
    }
}

/// The warnings of a plan, each with the address of its device, in order.
pub type WarningList = Vec<(Address, Warnings), DEVICES>;

/// Looks for what is to be warned of. `devices` are all that the machine has, in the order of their
/// addresses. Their ways are known, and how those can be reset that are to be taken.
pub fn look<H: Files>(
    host: &mut H,
    devices: &Devices,
    groups: &Groups,
    warnings: &mut WarningList,
) {
    warnings.clear();
    let is_taken = |device: &&Device| device.action == Action::Seize;
    if !devices.iter().any(|device| is_taken(&device)) {
        return;
    }
    let basis = Basis::look(host, devices);
    for device in devices.iter().filter(is_taken) {
        let mut found = look_at(host, devices, groups, device);
        if groups.is_known(device.address()) {
            let split = Split {
                devices,
                groups,
                warnings,
            };
            found.of_group = split.others(host, device.address());
        }
        found.fitness = Fitness::look(host, device, &basis);
        found.claims = Claims::look(host, device.address());
        if !found.is_empty() {
            // There is room for a warning of every device.
            let _ = warnings.push((device.address(), found));
        }
    }
}

/// Adds to the warnings those of groups that are split between the names of guests. They take
/// nothing from dom0, so an image is made without a word of them.
pub fn look_at_names(devices: &Devices, groups: &Groups, warnings: &mut WarningList) {
    let is_named = |device: &&Device| device.action == Action::Seize && device.name.is_some();
    for device in devices.iter().filter(is_named) {
        let address = device.address();
        let named_of_group = find_named(devices, groups, address);
        if named_of_group.first.is_empty() {
            continue;
        }
        match warnings.iter_mut().find(|(own, _)| *own == address) {
            Some((_, found)) => found.named_of_group = named_of_group,
            None => {
                let found = Warnings {
                    named_of_group,
                    ..Warnings::default()
                };
                // There is room for a warning of every device.
                let _ = warnings.push((address, found));
            }
        }
    }
    sort_by(warnings, &|(address, _)| address.bits());
}

/// Finds the other functions of a group that have a name. Of a group that is not known nobody can
/// say which those are.
fn find_named(devices: &Devices, groups: &Groups, address: Address) -> Others {
    let mut others = Others::default();
    if !groups.is_known(address) {
        return others;
    }
    let rest = groups.of(address).filter(|other| *other != address);
    for other in rest.filter_map(|other| find(devices, other)) {
        if other.name.is_some() && others.first.push(other.address()).is_err() {
            others.has_more = true;
            break;
        }
    }
    others
}

/// The warnings of a device; none for most.
pub fn of(warnings: &WarningList, address: Address) -> Option<&Warnings> {
    let place = warnings
        .binary_search_by_key(&address.bits(), |(own, _)| own.bits())
        .ok()?;
    warnings.get(place).map(|(_, warnings)| warnings)
}

/// Looks at a device, but for its group.
fn look_at<H: Files>(
    host: &mut H,
    devices: &Devices,
    groups: &Groups,
    device: &Device,
) -> Warnings {
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
    let address = device.address();
    let is_of_group = |other| groups.is_known(address) && groups.are_together(address, other);
    warnings.of_card = find_others(host, devices, slot, &|other| !is_of_group(other));
    // If its group is known, they are in it.
    if !groups.is_known(address) && is_conventional(host, address) {
        let bus = Range {
            first: bits & !0xff,
            last: bits | 0xff,
        };
        let is_beside = |other: Address| other.slot() != address.slot();
        warnings.behind_bridge = find_others(host, devices, bus, &is_beside);
    }
    warnings
}

/// Groups of which not all is taken.
struct Split<'s> {
    devices: &'s Devices,
    groups: &'s Groups,
    /// The warnings of the devices before.
    warnings: &'s WarningList,
}

impl Split<'_> {
    /// Finds the functions of a device's group that stay with dom0. All devices of a group that are
    /// taken leave the same ones, so the first has found them.
    fn others<H: Files>(&self, host: &mut H, address: Address) -> Others {
        let mut others = Others::default();
        for member in self.groups.of(address) {
            let Some(device) = find(self.devices, member) else {
                continue;
            };
            if device.action == Action::Seize {
                if member == address {
                    continue;
                }
                if member.bits() < address.bits() {
                    let found = of(self.warnings, member);
                    return found
                        .map(|found| found.of_group.clone())
                        .unwrap_or_default();
                }
            } else if !others.note(host, device) {
                break;
            }
        }
        others
    }
}

/// The device at an address.
fn find(devices: &Devices, address: Address) -> Option<&Device> {
    let start = devices.partition_point(|device| device.address().bits() < address.bits());
    let found = devices.get(start)?;
    (found.address() == address).then_some(found)
}

/// How many virtual functions were asked of a device (`drivers/pci/iov.c`, `sriov_numvfs_show`).
pub fn count_virtual_functions<H: Files>(host: &mut H, address: Address) -> u32 {
    let mut buffer = [0; 8];
    let read = bus::read(host, address, "/sriov_numvfs", &mut buffer);
    read.ok()
        .and_then(|text| number(text, 10))
        .unwrap_or_default()
}

/// Whether a function is on a bus of conventional PCI. A link of PCI Express has a speed
/// (`drivers/pci/pci-sysfs.c`, `pcie_dev_attrs_are_visible`).
fn is_conventional<H: Files>(host: &mut H, address: Address) -> bool {
    bus::read(host, address, "/max_link_speed", &mut [0]) == Err(Errno::ENOENT)
}

/// Addresses from one to another, by [`Address::bits`].
#[derive(Clone, Copy)]
struct Range {
    first: u64,
    last: u64,
}

/// Finds the functions in a range that stay with dom0, as far as they count.
fn find_others<H: Files>(
    host: &mut H,
    devices: &Devices,
    range: Range,
    counts: &dyn Fn(Address) -> bool,
) -> Others {
    let start = devices.partition_point(|device| device.address().bits() < range.first);
    let in_range = devices.get(start..).unwrap_or_default().iter();
    let mut others = Others::default();
    for other in in_range.take_while(|other| other.address().bits() <= range.last) {
        if counts(other.address()) && !others.note(host, other) {
            break;
        }
    }
    others
}

impl Others {
    /// Notes a function if it stays with dom0. Bridges do not count, nor do virtual functions,
    /// which come and go with their own. `false`: there is no room for more.
    fn note<H: Files>(&mut self, host: &mut H, other: &Device) -> bool {
        let stays = other.function.is_there && other.action != Action::Seize && !other.is_bridge();
        if stays && !bus::is_virtual(host, other.address()) {
            self.has_more = self.first.push(other.address()).is_err();
        }
        !self.has_more
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String, vec::Vec as List};

    use super::*;
    use crate::{
        device::{Wish, order},
        host::testing::{Machine, boxed, shown},
        pci::{
            Identity, Place,
            isolation::testing::{Built, file_of},
        },
    };

    const CARD: &str = "pci0000:00/0000:00:1c.0/0000:03:00.0";

    fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).expect(text)
    }

    /// Adds a function to the machine, and to the devices with what is to be done with it. What is
    /// behind a bridge of PCI Express has a link with a speed.
    fn add(host: &mut Machine, devices: &mut Devices, way: &str, action: Action) {
        host.function(way, "8086:10d3", "020000");
        let (_, name) = way.rsplit_once('/').expect("a way");
        let speed = format!("/sys/bus/pci/devices/{name}/max_link_speed");
        host.file(&speed, "8.0 GT/s PCIe\n");
        let wish = Wish {
            item: Some(0),
            is_by_address: false,
        };
        let mut device = Device::new(address(name), wish, action);
        device.function.place = Place::from_link(way.as_bytes());
        device.function.identity = Some(Identity {
            ids: 0x8086_10d3_0000_0000,
            class: 0x02_0000,
        });
        devices.push(device).expect("room");
    }

    fn addresses(others: &Others) -> List<String> {
        others.first.iter().map(shown).collect()
    }

    /// What is warned of.
    fn warned(host: &mut Machine, devices: &mut Devices) -> std::boxed::Box<WarningList> {
        order::sort(devices);
        let mut warnings = boxed(WarningList::new);
        let mut groups = boxed(Groups::new);
        groups.look(host);
        look(host, devices, &groups, &mut warnings);
        warnings
    }

    #[test]
    fn counts_the_virtual_functions_of_what_is_taken() {
        for (text, action, expected) in [
            ("4\n", Action::Seize, Some(4)),
            ("0\n", Action::Seize, None),
            ("many\n", Action::Seize, None),
            ("4\n", Action::Keep(0), None),
        ] {
            let (mut host, mut devices) = (Machine::new(), boxed(Devices::new));
            add(&mut host, &mut devices, CARD, action);
            host.file("/sys/bus/pci/devices/0000:03:00.0/sriov_numvfs", text);
            let warnings = warned(&mut host, &mut devices);
            let found = of(&warnings, address("03:00.0"));
            let count = found.map(|found| found.virtual_functions);
            assert_eq!(count, expected, "{text} {action:?}");
        }
    }

    #[test]
    fn names_what_stays_of_a_card() {
        let (mut host, mut devices) = (Machine::new(), boxed(Devices::new));
        let card = |function: u32| format!("pci0000:00/0000:00:1c.0/0000:03:00.{function}");
        add(&mut host, &mut devices, &card(0), Action::Seize);
        add(&mut host, &mut devices, &card(1), Action::Unasked);
        add(&mut host, &mut devices, &card(2), Action::Keep(0));
        add(&mut host, &mut devices, &card(3), Action::Seize);
        // A virtual function goes with its own.
        add(&mut host, &mut devices, &card(4), Action::Unasked);
        host.link(
            "/sys/bus/pci/devices/0000:03:00.4/physfn",
            "../0000:03:00.0",
        );
        // A bridge stays with dom0 anyway.
        add(&mut host, &mut devices, &card(5), Action::Unasked);
        devices[5].function.identity = Some(Identity {
            ids: 0x1b36_000c_0000_0000,
            class: 0x06_0400,
        });
        add(&mut host, &mut devices, &card(6), Action::Absent);
        devices[6].function.is_there = false;
        // Another slot.
        let other = "pci0000:00/0000:00:1c.0/0000:03:01.0";
        add(&mut host, &mut devices, other, Action::Unasked);
        let warnings = warned(&mut host, &mut devices);
        for taken in ["03:00.0", "03:00.3"] {
            let found = of(&warnings, address(taken)).expect("a warning");
            assert_eq!(addresses(&found.of_card), ["0000:03:00.1", "0000:03:00.2"]);
            assert!(!found.of_card.has_more);
            assert_eq!(found.behind_bridge, Others::default());
        }
        assert_eq!(of(&warnings, address("03:00.1")), None);
        assert_eq!(warnings.len(), 2);
    }

    #[test]
    fn warns_of_nothing_on_the_root_bus() {
        let (mut host, mut devices) = (Machine::new(), boxed(Devices::new));
        for (function, action) in [(0, Action::Seize), (1, Action::Unasked)] {
            let way = format!("pci0000:00/0000:00:1f.{function}");
            add(&mut host, &mut devices, &way, action);
        }
        assert!(warned(&mut host, &mut devices).is_empty());
        // Nor of what is at a place that nobody knows.
        devices[0].function.place = None;
        assert!(warned(&mut host, &mut devices).is_empty());
    }

    #[test]
    fn names_what_is_behind_the_bridge_of_a_conventional_device() {
        let way = |device: u32| format!("pci0000:00/0000:00:1e.0/0000:05:{device:02x}.0");
        for (is_conventional, expected) in [(true, ["0000:05:03.0"].as_slice()), (false, &[])] {
            let (mut host, mut devices) = (Machine::new(), boxed(Devices::new));
            add(&mut host, &mut devices, &way(2), Action::Seize);
            add(&mut host, &mut devices, &way(3), Action::Unasked);
            add(&mut host, &mut devices, &way(4), Action::Seize);
            // Of the same slot: that is its card.
            let same = "pci0000:00/0000:00:1e.0/0000:05:02.1";
            add(&mut host, &mut devices, same, Action::Unasked);
            let other = "pci0000:00/0000:00:1e.0/0000:06:03.0";
            add(&mut host, &mut devices, other, Action::Unasked);
            if is_conventional {
                let speed = "read /sys/bus/pci/devices/0000:05:02.0/max_link_speed";
                host.refuse(speed, Errno::ENOENT);
            }
            let warnings = warned(&mut host, &mut devices);
            let found = of(&warnings, address("05:02.0"))
                .cloned()
                .unwrap_or_default();
            assert_eq!(addresses(&found.behind_bridge), expected);
            assert_eq!(addresses(&found.of_card), ["0000:05:02.1"]);
        }
    }

    /// What is in the group of a device is named as such alone, for every device that is taken of
    /// it. Bridges are not, nor what is in no group with it.
    #[test]
    fn names_what_stays_of_a_group() {
        let (mut host, mut devices) = (Machine::new(), boxed(Devices::new));
        let port = "pci0000:00/0000:00:1c.0";
        for (way, built, action) in [
            (port, "port", Action::Unasked),
            (&format!("{port}/0000:03:00.0"), "endpoint", Action::Seize),
            (&format!("{port}/0000:03:00.1"), "endpoint", Action::Unasked),
            (
                &format!("{port}/0000:03:00.2"),
                "endpoint many acs",
                Action::Seize,
            ),
            ("pci0000:00/0000:00:1f.0", "device many", Action::Unasked),
            ("pci0000:00/0000:00:1f.3", "device many", Action::Seize),
            ("pci0000:00/0000:00:1f.4", "device many", Action::Unasked),
        ] {
            add(&mut host, &mut devices, way, action);
            let (_, name) = way.rsplit_once('/').expect("a way");
            host.bytes(&file_of(name), &Built::of(built).config());
            if way == port || name == "0000:00:1f.0" {
                let device = devices.last_mut().expect("a device");
                device.function.identity = Some(Identity {
                    ids: 0,
                    class: 0x06_0100,
                });
            }
        }
        let warnings = warned(&mut host, &mut devices);
        for (taken, expected) in [
            ("00:1f.3", "0000:00:1f.4"),
            ("03:00.0", "0000:03:00.1"),
            ("03:00.2", "0000:03:00.1"),
        ] {
            let found = of(&warnings, address(taken)).expect("a warning");
            assert_eq!(addresses(&found.of_group), [expected], "{taken}");
            assert_eq!(found.of_card, Others::default(), "{taken}");
        }
        assert_eq!(warnings.len(), 3);
        // With a port that keeps them apart, only the slot is left.
        host.bytes(&file_of("0000:00:1c.0"), &Built::of("port acs").config());
        let warnings = warned(&mut host, &mut devices);
        let found = of(&warnings, address("03:00.2")).expect("a warning");
        assert_eq!(addresses(&found.of_card), ["0000:03:00.1"]);
        assert_eq!(found.of_group, Others::default());
    }

    #[test]
    fn names_no_more_than_have_a_place() {
        let (mut host, mut devices) = (Machine::new(), boxed(Devices::new));
        let way = |device: usize| format!("pci0000:00/0000:00:1e.0/0000:05:{device:02x}.0");
        add(&mut host, &mut devices, &way(0), Action::Seize);
        let speed = "read /sys/bus/pci/devices/0000:05:00.0/max_link_speed";
        host.refuse(speed, Errno::ENOENT);
        for device in 1..=OTHERS {
            add(&mut host, &mut devices, &way(device), Action::Unasked);
        }
        let at = address("05:00.0");
        let others = |warnings: &WarningList| of(warnings, at).expect("some").behind_bridge.clone();
        let all = others(&warned(&mut host, &mut devices));
        assert_eq!((all.first.len(), all.has_more), (OTHERS, false));
        add(&mut host, &mut devices, &way(OTHERS + 1), Action::Unasked);
        let some = others(&warned(&mut host, &mut devices));
        assert_eq!((some.first, some.has_more), (all.first, true));
    }
}
