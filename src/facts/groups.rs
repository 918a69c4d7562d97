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
//! - The functions of a domain that another function makes (Intel VMD) are of one group with it.
//! - The ports of a switch are of one group, if one of them passes requests on to the others. Here
//!   Linux may make more groups than there are.
//!
//! Stricter than Linux are also devices that it trusts though they have no ACS. Those that it knows
//! to use the address of another one (`drivers/pci/quirks.c`, `pci_add_dma_alias`) use that of
//! their own slot, and have no ACS, or one of their own link where no device is: they are together
//! anyway.

use heapless::Vec;

use crate::{
    device::{DEVICES, Devices, order::sort_by},
    host::{Errno, Files},
    pci::{Address, Isolation, bus},
};

/// The place of a device among all.
type Number = u16;

/// How many of the lowest bits of an address tell functions of one bus apart, and all functions.
const BUS_BITS: u32 = 8;
const ALL_BITS: u32 = 63;

/// Most bridges above one another: a domain has 256 buses.
const DEPTH: usize = 256;

/// Most reasons that are told of a group.
pub const REASONS: usize = 4;

/// The groups of a machine.
#[derive(Debug, Default)]
pub struct Groups {
    members: Vec<Member, DEVICES>,
    /// Whether there are functions that are not among them: then no group is known.
    lacks_members: bool,
    /// Whether something could not be read, and whether that is for root alone.
    has_unread: bool,
    is_for_root: bool,
}

/// A function, and the group that it is in.
#[derive(Clone, Copy, Debug)]
struct Member {
    address: Address,
    isolation: Isolation,
    above: Above,
    /// Another member of its group that comes earlier, or itself. In the end the first of them.
    leader: Number,
    /// The next member of its group.
    next: Option<Number>,
    /// Why it is not alone, if it is not: its own reason, not that of others.
    reason: Option<Reason>,
    /// Whether all that decides about its group could be read: for the first of a group.
    is_known: bool,
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
    /// All that is behind this function comes with one address.
    Alias(Address),
    /// It could not be read what is above it.
    Unknown,
}

impl Groups {
    /// Without any groups.
    pub const fn new() -> Groups {
        Groups {
            members: Vec::new(),
            lacks_members: false,
            has_unread: false,
            is_for_root: false,
        }
    }

    /// Looks at every function of the machine.
    pub fn look<H: Files>(&mut self, host: &mut H) {
        self.clear();
        let walked = bus::walk(host, &mut |host, address| self.add(host, address));
        self.lacks_members |= walked.is_err();
        sort_by(&mut self.members, &|member| member.address.bits());
        self.infer(host);
    }

    /// The same, where a walk over the bus has found the functions. They are in the order of their
    /// addresses. `walked`: whether they are all.
    pub fn look_among<H: Files>(
        &mut self,
        host: &mut H,
        devices: &Devices,
        walked: Result<(), Errno>,
    ) {
        self.clear();
        // There may have been no room for more.
        self.lacks_members = walked.is_err() || devices.is_full();
        for device in devices.iter().filter(|device| device.function.is_there) {
            self.add(host, device.address());
        }
        self.infer(host);
    }

    fn clear(&mut self) {
        self.members.clear();
        self.lacks_members = false;
        self.has_unread = false;
        self.is_for_root = false;
    }

    /// Adds a function.
    fn add<H: Files>(&mut self, host: &mut H, address: Address) {
        let read = Isolation::read(host, address);
        self.note(read.err());
        let member = Member {
            address,
            isolation: read.unwrap_or(Isolation::UNKNOWN),
            above: Above::Unknown,
            leader: 0,
            next: None,
            reason: None,
            is_known: false,
        };
        self.lacks_members |= self.members.push(member).is_err();
    }

    /// Finds out which functions are of one group, once all are added, in order.
    fn infer<H: Files>(&mut self, host: &mut H) {
        for number in 0..self.count() {
            if let Some(Member { address, .. }) = self.get(number) {
                let above = bus::above(host, address);
                self.note(above.err());
                let above = match above {
                    Ok(None) => Above::RootBus,
                    Ok(Some(bridge)) => self.find(bridge).map_or(Above::Unknown, Above::Bridge),
                    Err(_) => Above::Unknown,
                };
                self.set(number, |member| {
                    member.leader = number;
                    member.above = above;
                });
            }
        }
        self.join();
        self.link();
    }

    /// Notes an error. A tree of files that is no machine has no registers.
    fn note(&mut self, errno: Option<Errno>) {
        self.has_unread |= errno.is_some_and(|errno| errno != Errno::ENOENT);
        self.is_for_root |= errno == Some(Errno::EACCES);
    }

    /// Makes one group of those functions that cannot be told from one another.
    fn join(&mut self) {
        for number in 0..self.count() {
            self.join_above(number);
            self.join_slot(number);
        }
        // It may be anywhere.
        let is_lost = |member: &Member| member.above == Above::Unknown;
        self.join_ranges(ALL_BITS, &is_lost, &|_| Reason::Unknown);
        // On a root bus there is no switch.
        let passes_on =
            |member: &Member| member.isolation.passes_on && member.above != Above::RootBus;
        self.join_ranges(BUS_BITS, &passes_on, &|bridge| Reason::Passes(bridge));
    }

    /// Links the members of each group, in their order, so that none has to be looked for.
    fn link(&mut self) {
        for number in (0..self.count()).rev() {
            let leader = self.leader(number);
            if leader != number {
                // What follows the first is found last.
                let next = self.get(leader).and_then(|first| first.next);
                self.set(number, |member| {
                    member.leader = leader;
                    member.next = next;
                });
                self.set(leader, |first| first.next = Some(number));
            }
        }
        for number in 0..self.count() {
            if let Some(member) = self.get(number) {
                let is_known = member.isolation.is_known && member.above != Above::Unknown;
                let is_first = member.leader == number;
                self.set(member.leader, |first| {
                    first.is_known = is_known && (is_first || first.is_known);
                });
            }
        }
    }

    /// The functions of a group in their order: all that cannot be told from this one, itself
    /// included.
    pub fn of(&self, address: Address) -> impl Iterator<Item = Address> {
        let mut next = self.first(address);
        let members = move || {
            let member = self.get(next?)?;
            next = member.next;
            Some(member.address)
        };
        core::iter::from_fn(members)
    }

    /// Whether two functions are of one group.
    pub fn are_together(&self, one: Address, other: Address) -> bool {
        let first = self.first(one);
        first.is_some() && first == self.first(other)
    }

    /// Whether all that decides about a group could be read.
    pub fn is_known(&self, address: Address) -> bool {
        let first = self.first(address).and_then(|first| self.get(first));
        !self.lacks_members && first.is_some_and(|first| first.is_known)
    }

    /// Whether something could not be read.
    pub const fn has_unread(&self) -> bool {
        self.has_unread
    }

    /// Whether root could read more.
    pub const fn is_for_root(&self) -> bool {
        self.is_for_root
    }

    /// Why the functions of a group are together: each reason once, with a function that has it.
    /// `false`: there are more.
    pub fn reasons(&self, address: Address) -> (Vec<(Address, Reason), REASONS>, bool) {
        let mut reasons: Vec<(Address, Reason), REASONS> = Vec::new();
        for member in self.of(address) {
            let Some(reason) = self.reason(member) else {
                continue;
            };
            let is_same = |(other, its): &(Address, Reason)| {
                *its == reason && (reason != Reason::Slot || other.slot() == member.slot())
            };
            if !reasons.iter().any(is_same) && reasons.push((member, reason)).is_err() {
                return (reasons, false);
            }
        }
        (reasons, true)
    }

    /// The first member of a group.
    fn first(&self, address: Address) -> Option<Number> {
        Some(self.get(self.find(address)?)?.leader)
    }

    fn count(&self) -> Number {
        self.members.len() as Number
    }

    /// Why a function is of one group with others.
    fn reason(&self, address: Address) -> Option<Reason> {
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

    /// Makes one group of all functions that share their address but for so many of the lowest
    /// bits, if one of them spoils it.
    fn join_ranges(
        &mut self,
        bits: u32,
        spoils: &dyn Fn(&Member) -> bool,
        reason: &dyn Fn(Address) -> Reason,
    ) {
        let mut first = 0;
        while let Some(place) = self.get(first).map(|member| member.address.bits() >> bits) {
            let range = || self.members.iter().skip(first.into());
            let in_range = |member: &&Member| member.address.bits() >> bits == place;
            let end = first + range().take_while(in_range).count() as Number;
            let spoiler = range().take_while(in_range).find(|member| spoils(member));
            if let Some(spoiler) = spoiler.map(|member| member.address)
                && end - first > 1
            {
                for number in first..end {
                    self.unite(first, number);
                    self.set(number, |member| {
                        member.reason.get_or_insert(reason(spoiler));
                    });
                }
            }
            first = end;
        }
    }

    /// Puts a function into one group with those of its slot that nothing keeps apart either.
    fn join_slot(&mut self, number: Number) {
        let Some(Member {
            address, isolation, ..
        }) = self.get(number)
        else {
            return;
        };
        if !isolation.is_multifunction || isolation.isolates {
            return;
        }
        let is_joined =
            |other: Member| other.address.slot() == address.slot() && !other.isolation.isolates;
        // A slot has eight functions.
        for other in number.saturating_sub(7)..number.saturating_add(8) {
            if other != number && self.get(other).is_some_and(is_joined) {
                self.unite(number, other);
                for one in [number, other] {
                    self.set(one, |member| {
                        member.reason.get_or_insert(Reason::Slot);
                    });
                }
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
        host::{
            Errno,
            testing::{Machine, boxed, shown},
        },
        pci::isolation::testing::{Built, file_of},
    };

    fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).expect(text)
    }

    /// A machine with these functions: the way to each from its root bus, and how it is built.
    fn machine(functions: &[(&str, &str)]) -> Machine {
        let mut host = Machine::new();
        for (way, built) in functions {
            let way = std::format!("pci0000:00/{way}");
            host.function(&way, "8086:10d3", "020000");
            let (_, name) = way.rsplit_once('/').expect("a way");
            host.bytes(&file_of(name), &Built::of(built).config());
        }
        host
    }

    fn look(host: &mut Machine) -> Box<Groups> {
        let mut groups = boxed(Groups::new);
        groups.look(host);
        groups
    }

    /// All that are in a group.
    fn all(groups: &Groups) -> List<Address> {
        groups.members.iter().map(|member| member.address).collect()
    }

    /// The groups of more than one, without the domain: `01:00.0 01:00.1`.
    fn told(groups: &Groups) -> List<String> {
        let mut told = List::new();
        for one in all(groups) {
            let short = |address: Address| {
                let text = shown(address);
                text.strip_prefix("0000:").unwrap_or(&text).into()
            };
            let group: List<String> = groups.of(one).map(short).collect();
            if group.len() > 1 && group[0] == short(one) {
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
            // A domain that a function makes.
            (
                &[
                    ("0000:00:0e.0", "integrated"),
                    ("0000:00:0e.0/pci10000:e0/10000:e0:06.0", "port acs"),
                    (
                        "0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0",
                        "endpoint",
                    ),
                    ("0000:00:0f.0", "integrated"),
                ],
                &["00:0e.0 10000:e0:06.0 10000:e1:00.0"],
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
            let groups = look(&mut machine(functions));
            assert_eq!(told(&groups), expected, "{functions:?}");
            assert!(all(&groups).into_iter().all(|one| groups.is_known(one)));
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
                "00:1c.0 01:00.0 01:00.1",
            ),
            (
                "link /sys/bus/pci/devices/0000:01:00.1",
                "00:1c.0 00:1c.4 01:00.0 01:00.1 02:00.0",
            ),
        ] {
            let mut host = machine(&functions);
            host.refuse(refused, Errno::EIO);
            let groups = look(&mut host);
            assert_eq!(told(&groups), [expected], "{refused}");
            for one in all(&groups) {
                let is_together = groups.of(one).count() > 1;
                let is_known = groups.is_known(one);
                assert_eq!(is_known, !is_together, "{refused}: {}", shown(one));
            }
        }
    }

    /// Where a function is missing, no group is known.
    #[test]
    fn knows_nothing_without_all_functions() {
        let functions = [("0000:00:1c.0", "port acs"), ("0000:00:02.0", "integrated")];
        let known = |groups: &Groups| {
            let known = |text| groups.is_known(address(text));
            ["00:1c.0", "00:02.0", "00:03.0"].map(known)
        };
        let mut host = machine(&functions);
        assert_eq!(known(&look(&mut host)), [true, true, false]);
        host.refuse("list", Errno::EACCES);
        assert_eq!(known(&look(&mut host)), [false; 3]);
    }

    /// Every reason names what does it.
    #[test]
    fn says_why() {
        let groups = look(&mut machine(&[
            ("0000:00:1c.0", "port"),
            ("0000:00:1c.0/0000:01:00.0", "endpoint many"),
            ("0000:00:1c.4", "port acs"),
            ("0000:00:1c.4/0000:02:00.0", "to-pci"),
            ("0000:00:1c.4/0000:02:00.0/0000:03:00.0", "device"),
            ("0000:00:1f.0", "device many"),
            ("0000:00:1f.2", "device many"),
        ]));
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
