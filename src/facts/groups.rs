//! Groups: the functions that an IOMMU cannot tell from one another. What is in one group should go
//! to one guest, or stay with dom0, together.
//!
//! Under Xen the kernel makes no groups (`iommu_group` is missing), so they are inferred from what
//! dom0 can read: see [`Isolation`]. The rules are those of Linux (`drivers/iommu/iommu.c`,
//! `pci_device_group`), and what cannot be read makes a group larger, never smaller:
//!
//! - What is behind a bridge to conventional PCI is of one group with the bridge.
//! - What is behind a bridge is of one group with it, if on the way from there to the root some
//!   bridge passes requests between the functions below it.
//! - The functions of a slot are of one group, but for those that keep themselves apart.
//! - The ports of a switch are of one group, if one of them passes requests on to the others. Here
//!   Linux may make more groups than there are.
//!
//! Stricter than Linux are also devices that it trusts though they have no ACS. Not known here:
//! devices that use the address of another one (`drivers/pci/quirks.c`, `pci_add_dma_alias`).

use heapless::Vec;

use crate::{
    device::{DEVICES, Devices},
    host::Files,
    pci::{Address, Isolation, bus},
};

/// The place of a device among all.
type Number = u16;

/// Most bridges above one another: a domain has 256 buses.
const DEPTH: usize = 256;

/// The groups of a machine.
#[derive(Debug, Default)]
pub struct Groups {
    members: Vec<Member, DEVICES>,
}

/// A function, and the group that it is in.
#[derive(Clone, Copy, Debug)]
struct Member {
    address: Address,
    isolation: Isolation,
    above: Above,
    /// Another member of its group that comes earlier, or itself: the first of the group.
    leader: Number,
    /// Why it is not alone, if it is not: its own reason, not that of others.
    reason: Option<Reason>,
}

/// What is above a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Above {
    RootBus,
    Bridge(Number),
    /// That could not be read.
    Unknown,
}

/// Why a function is of one group with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It shares a slot, and nothing there keeps the functions apart.
    Slot,
    /// This bridge passes requests between what is below it.
    Passes(Address),
    /// This bridge leads to conventional PCI.
    Alias(Address),
    /// It could not be read what is above it.
    Unknown,
}

impl Groups {
    /// Without any groups.
    pub const fn new() -> Groups {
        Groups {
            members: Vec::new(),
        }
    }

    /// Looks at every function. `devices` are all that the machine has, in the order of their
    /// addresses.
    pub fn look<H: Files>(&mut self, host: &mut H, devices: &Devices) {
        self.members.clear();
        for device in devices.iter().filter(|device| device.function.is_there) {
            let leader = self.members.len() as Number;
            // There is room for every device.
            let _ = self.members.push(Member {
                address: device.address(),
                isolation: Isolation::read(host, device.address()),
                above: Above::Unknown,
                leader,
                reason: None,
            });
        }
        for number in 0..self.members.len() as Number {
            if let Some(member) = self.get(number) {
                let above = match bus::bridge(host, member.address) {
                    Ok(None) => Above::RootBus,
                    Ok(Some(bridge)) => self.find(bridge).map_or(Above::Unknown, Above::Bridge),
                    Err(_) => Above::Unknown,
                };
                self.set(number, |member| member.above = above);
            }
        }
        for number in 0..self.members.len() as Number {
            self.join_above(number);
            self.join_bus(number);
            self.join_slot(number);
        }
    }

    /// The functions of a group: all that cannot be told from this one, itself included.
    pub fn of(&self, address: Address) -> impl Iterator<Item = Address> {
        let leader = self.find(address).map(|number| self.leader(number));
        let numbers = 0..self.members.len() as Number;
        numbers
            .filter(move |&number| leader == Some(self.leader(number)))
            .filter_map(|number| Some(self.get(number)?.address))
    }

    /// Whether all that decides about a group could be read.
    pub fn is_known(&self, address: Address) -> bool {
        let mut members = self
            .of(address)
            .filter_map(|address| self.get(self.find(address)?));
        members.all(|member| member.isolation.is_known && member.above != Above::Unknown)
    }

    /// Why a function is of one group with others.
    pub fn reason(&self, address: Address) -> Option<Reason> {
        self.get(self.find(address)?)?.reason
    }

    fn get(&self, number: Number) -> Option<Member> {
        self.members.get(usize::from(number)).copied()
    }

    fn set(&mut self, number: Number, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.members.get_mut(usize::from(number)) {
            change(member);
        }
    }

    fn find(&self, address: Address) -> Option<Number> {
        let place = |member: &Member| member.address.bits();
        let found = self.members.binary_search_by_key(&address.bits(), place);
        found.ok().map(|number| number as Number)
    }

    /// The first of a group.
    fn leader(&self, number: Number) -> Number {
        let mut at = number;
        while let Some(member) = self.get(at).filter(|member| member.leader != at) {
            at = member.leader;
        }
        at
    }

    /// Makes one group of two.
    fn unite(&mut self, one: Number, other: Number) {
        let (one, other) = (self.leader(one), self.leader(other));
        self.set(one.max(other), |member| member.leader = one.min(other));
    }

    /// Puts a function into one group with the bridge above it that does not keep it apart.
    fn join_above(&mut self, number: Number) {
        let joined = self
            .alias_above(number)
            .or_else(|| self.passing_above(number));
        if let Some((bridge, reason)) = joined {
            self.unite(number, bridge);
            self.set(number, |member| member.reason = Some(reason));
        }
    }

    /// The nearest bridge above a function behind which all have one address.
    fn alias_above(&self, number: Number) -> Option<(Number, Reason)> {
        let (bridge, member) = self
            .bridges_above(number)
            .find(|(_, bridge)| bridge.isolation.is_alias)?;
        Some((bridge, Reason::Alias(member.address)))
    }

    /// The bridge right above a function, if it or one above that passes requests on, and the one
    /// that does.
    fn passing_above(&self, number: Number) -> Option<(Number, Reason)> {
        let (bridge, _) = self.bridges_above(number).next()?;
        let (_, passing) = self
            .bridges_above(number)
            .find(|(_, bridge)| !bridge.isolation.isolates)?;
        Some((bridge, Reason::Passes(passing.address)))
    }

    /// The bridges above a function, the nearest first. Where it cannot be told what is above one,
    /// they end.
    fn bridges_above(&self, number: Number) -> impl Iterator<Item = (Number, Member)> {
        let mut at = number;
        let next = move || match self.get(at)?.above {
            Above::Bridge(bridge) => {
                at = bridge;
                Some((bridge, self.get(bridge)?))
            }
            Above::RootBus | Above::Unknown => None,
        };
        core::iter::from_fn(next).take(DEPTH)
    }

    /// Puts a function into one group with all others of its bus, if it passes requests on to them,
    /// or nobody knows what is above it.
    fn join_bus(&mut self, number: Number) {
        let Some(member) = self.get(number) else {
            return;
        };
        if member.above == Above::Unknown {
            self.join_others(number, Reason::Unknown, 8, |_| true);
        } else if member.isolation.passes_on {
            self.join_others(number, Reason::Passes(member.address), 8, |_| true);
        }
    }

    /// Puts a function into one group with those of its slot from which nothing keeps it apart.
    fn join_slot(&mut self, number: Number) {
        let Some(Isolation {
            is_known,
            isolates,
            is_multifunction,
            ..
        }) = self.get(number).map(|member| member.isolation)
        else {
            return;
        };
        if is_multifunction && !isolates {
            let is_joined = |other: &Member| !is_known || !other.isolation.isolates;
            self.join_others(number, Reason::Slot, 3, is_joined);
        }
    }

    /// Puts a function into one group with those others that share its address but for so many of
    /// the lowest bits.
    fn join_others(
        &mut self,
        number: Number,
        reason: Reason,
        bits: u32,
        is_joined: impl Fn(&Member) -> bool,
    ) {
        let Some(address) = self.get(number).map(|member| member.address) else {
            return;
        };
        let place = |address: Address| address.bits() >> bits;
        let first = self
            .members
            .partition_point(|member| place(member.address) < place(address));
        for other in first as Number.. {
            match self.get(other) {
                Some(member) if place(member.address) == place(address) => {
                    if other != number && is_joined(&member) {
                        self.unite(number, other);
                        self.set(number, |member| member.reason = Some(reason));
                    }
                }
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{boxed::Box, string::String, vec::Vec as List};

    use super::*;
    use crate::{
        device::{Action, Device, Wish, order},
        host::{
            Errno,
            testing::{Machine, boxed, shown},
        },
        pci::isolation::testing::{Built, file_of},
    };

    /// A machine with these functions: the way to each from its root bus, and how it is built.
    fn machine(functions: &[(&str, &str)]) -> (Machine, Box<Devices>) {
        let (mut host, mut devices) = (Machine::new(), boxed(Devices::new));
        for (way, built) in functions {
            let way = std::format!("pci0000:00/{way}");
            host.function(&way, "8086:10d3", "020000");
            let (_, name) = way.rsplit_once('/').expect("a way");
            host.file(&file_of(name), Built::of(built).config());
            let address = Address::parse(name.as_bytes()).expect(name);
            let wish = Wish {
                item: None,
                is_by_address: false,
            };
            let device = Device::new(address, wish, Action::Unasked);
            devices.push(device).expect("room");
        }
        order::sort(&mut devices);
        (host, devices)
    }

    fn look(host: &mut Machine, devices: &Devices) -> Box<Groups> {
        let mut groups = boxed(Groups::new);
        groups.look(host, devices);
        groups
    }

    /// The groups of more than one, without the domain: `01:00.0 01:00.1`.
    fn told(groups: &Groups, devices: &Devices) -> List<String> {
        let mut told = List::new();
        for device in devices {
            let short = |address: Address| shown(address)["0000:".len()..].into();
            let group: List<String> = groups.of(device.address()).map(short).collect();
            if group.len() > 1 && group[0] == short(device.address()) {
                told.push(group.join(" "));
            }
        }
        told
    }

    #[test]
    fn groups_as_linux_does() {
        for (functions, expected) in [
            // A card of two functions behind a port with ACS.
            (
                &[
                    ("0000:00:1c.0", "port acs"),
                    ("0000:00:1c.0/0000:01:00.0", "endpoint many"),
                    ("0000:00:1c.0/0000:01:00.1", "endpoint many"),
                    ("0000:00:1c.4", "port acs"),
                    ("0000:00:1c.4/0000:02:00.0", "endpoint"),
                ][..],
                &["01:00.0 01:00.1"][..],
            ),
            // Its functions have ACS too.
            (
                &[
                    ("0000:00:1c.0", "port acs"),
                    ("0000:00:1c.0/0000:01:00.0", "endpoint many acs"),
                    ("0000:00:1c.0/0000:01:00.1", "endpoint many acs"),
                ],
                &[],
            ),
            // One has, of three.
            (
                &[
                    ("0000:00:1c.0", "port acs"),
                    ("0000:00:1c.0/0000:01:00.0", "endpoint many acs"),
                    ("0000:00:1c.0/0000:01:00.1", "endpoint many"),
                    ("0000:00:1c.0/0000:01:00.2", "endpoint many"),
                ],
                &["01:00.1 01:00.2"],
            ),
            // Ports without ACS, of one slot: everything behind them is together.
            (
                &[
                    ("0000:00:1c.0", "port many"),
                    ("0000:00:1c.0/0000:01:00.0", "endpoint"),
                    ("0000:00:1c.4", "port many"),
                    ("0000:00:1c.4/0000:02:00.0", "endpoint"),
                ],
                &["00:1c.0 00:1c.4 01:00.0 02:00.0"],
            ),
            // A switch whose downstream ports have no ACS, below a port that has.
            (
                &[
                    ("0000:00:1c.0", "port acs"),
                    ("0000:00:1c.0/0000:01:00.0", "upstream"),
                    ("0000:00:1c.0/0000:01:00.0/0000:02:00.0", "downstream"),
                    ("0000:00:1c.0/0000:01:00.0/0000:02:01.0", "downstream"),
                    (
                        "0000:00:1c.0/0000:01:00.0/0000:02:00.0/0000:03:00.0",
                        "endpoint",
                    ),
                    (
                        "0000:00:1c.0/0000:01:00.0/0000:02:01.0/0000:04:00.0",
                        "endpoint",
                    ),
                ],
                &["02:00.0 02:01.0 03:00.0 04:00.0"],
            ),
            // The same with a port that has none: the whole switch is together.
            (
                &[
                    ("0000:00:1c.0", "port"),
                    ("0000:00:1c.0/0000:01:00.0", "upstream"),
                    ("0000:00:1c.0/0000:01:00.0/0000:02:00.0", "downstream acs"),
                    (
                        "0000:00:1c.0/0000:01:00.0/0000:02:00.0/0000:03:00.0",
                        "endpoint",
                    ),
                ],
                &["00:1c.0 01:00.0 02:00.0 03:00.0"],
            ),
            // A bridge to conventional PCI.
            (
                &[
                    ("0000:00:1c.0", "port acs"),
                    ("0000:00:1c.0/0000:01:00.0", "to-pci"),
                    ("0000:00:1c.0/0000:01:00.0/0000:02:01.0", "device"),
                    ("0000:00:1c.0/0000:01:00.0/0000:02:02.0", "device"),
                ],
                &["01:00.0 02:01.0 02:02.0"],
            ),
            // The chipset's own functions, of one slot.
            (
                &[
                    ("0000:00:1f.0", "device many"),
                    ("0000:00:1f.2", "device many"),
                    ("0000:00:14.0", "device"),
                    ("0000:00:02.0", "integrated"),
                ],
                &["00:1f.0 00:1f.2"],
            ),
        ] {
            let (mut host, devices) = machine(functions);
            let groups = look(&mut host, &devices);
            assert_eq!(told(&groups, &devices), expected, "{functions:?}");
            assert!(
                devices
                    .iter()
                    .all(|device| groups.is_known(device.address()))
            );
        }
    }

    /// What cannot be read makes a group larger, and nobody says that it is known.
    #[test]
    fn takes_in_what_cannot_be_told_apart() {
        let functions = [
            ("0000:00:1c.0", "port acs"),
            ("0000:00:1c.0/0000:01:00.0", "endpoint many acs"),
            ("0000:00:1c.0/0000:01:00.1", "endpoint many acs"),
            ("0000:00:1c.4", "port acs"),
            ("0000:00:1c.4/0000:02:00.0", "endpoint"),
        ];
        for (refused, expected) in [
            (
                "read /sys/bus/pci/devices/0000:01:00.0/config",
                "01:00.0 01:00.1",
            ),
            (
                "read /sys/bus/pci/devices/0000:00:1c.0/config",
                "00:1c.0 00:1c.4 01:00.0 01:00.1",
            ),
            ("link /sys/bus/pci/devices/0000:01:00.1", "01:00.0 01:00.1"),
        ] {
            let (mut host, devices) = machine(&functions);
            host.refuse(refused, Errno::EIO);
            let groups = look(&mut host, &devices);
            assert_eq!(told(&groups, &devices), [expected], "{refused}");
            for device in devices.iter() {
                let is_together = groups.of(device.address()).count() > 1;
                let is_known = groups.is_known(device.address());
                assert_eq!(
                    is_known,
                    !is_together,
                    "{refused}: {}",
                    shown(device.address())
                );
            }
        }
    }

    /// Every reason names what does it.
    #[test]
    fn says_why() {
        let (mut host, devices) = machine(&[
            ("0000:00:1c.0", "port"),
            ("0000:00:1c.0/0000:01:00.0", "endpoint many"),
            ("0000:00:1c.4", "port acs"),
            ("0000:00:1c.4/0000:02:00.0", "to-pci"),
            ("0000:00:1c.4/0000:02:00.0/0000:03:00.0", "device"),
            ("0000:00:1f.0", "device many"),
            ("0000:00:1f.2", "device many"),
        ]);
        let groups = look(&mut host, &devices);
        let address = |text: &str| Address::parse(text.as_bytes()).expect(text);
        for (of, expected) in [
            ("00:1c.0", None),
            ("01:00.0", Some(Reason::Passes(address("00:1c.0")))),
            ("02:00.0", None),
            ("03:00.0", Some(Reason::Alias(address("02:00.0")))),
            ("00:1f.0", Some(Reason::Slot)),
            ("00:1f.2", Some(Reason::Slot)),
        ] {
            assert_eq!(groups.reason(address(of)), expected, "{of}");
        }
    }
}
