//! The groups of generated machines, beside those that Linux would make of them.
//!
//! Linux' own algorithm (`drivers/iommu/iommu.c`, `pci_device_group`) is written here as it stands
//! there: one function after another, each with the groups of those before it. Nothing of it is
//! shared with the program, whose groups are closed sets.

use std::{collections::BTreeSet, fmt::Write, sync::Mutex};

use pciseize::{facts::groups::Groups, host::Errno, pci::Address};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{
    laws::config,
    tree::{Node, Tree},
};

/// The kinds of functions. Of those without a number is conventional PCI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Endpoint,
    LegacyEndpoint,
    RootPort,
    Upstream,
    Downstream,
    ToPci,
    FromPci,
    Integrated,
    EventCollector,
    Device,
    Bridge,
    CardBus,
    /// An endpoint of the root that makes a domain of its own, as Intel VMD does.
    Maker,
}

use Kind::*;

const KINDS: [Kind; 13] = [
    Endpoint,
    LegacyEndpoint,
    RootPort,
    Upstream,
    Downstream,
    ToPci,
    FromPci,
    Integrated,
    EventCollector,
    Device,
    Bridge,
    CardBus,
    Maker,
];

impl Kind {
    /// `PCI_EXP_TYPE_*` in `include/uapi/linux/pci_regs.h`.
    fn number(self) -> Option<u8> {
        match self {
            Endpoint => Some(0),
            LegacyEndpoint => Some(1),
            RootPort => Some(4),
            Upstream => Some(5),
            Downstream => Some(6),
            ToPci => Some(7),
            FromPci => Some(8),
            Integrated | Maker => Some(9),
            EventCollector => Some(10),
            Device | Bridge | CardBus => None,
        }
    }

    fn header(self) -> u8 {
        match self {
            RootPort | Upstream | Downstream | ToPci | FromPci | Bridge => 1,
            CardBus => 2,
            _ => 0,
        }
    }
}

/// What of a function cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Registers,
    /// All registers but the first 64 bytes.
    MostRegisters,
    Dead,
    Link,
}

/// A function, before it has a bus.
#[derive(Clone, Debug)]
struct Draft {
    bus: Index,
    device: u8,
    function: u8,
    kind: Kind,
    /// What ACS has and what it does.
    acs: Option<(u16, u16)>,
    /// Says that it is one of several, even where it is not.
    says_many: bool,
    is_virtual: bool,
    fault: Option<Fault>,
}

fn draft() -> impl Strategy<Value = Draft> {
    let flags = prop::sample::select(&[0, 0x01, 0x1d, 0x1d, 0x1d, 0x1f, 0x5f, 0x0d][..]);
    let fault = prop::sample::select(
        &[
            Fault::Registers,
            Fault::MostRegisters,
            Fault::Dead,
            Fault::Link,
        ][..],
    );
    (
        (any::<Index>(), 0u8..3, 0u8..3),
        prop::sample::select(&KINDS[..]),
        prop::option::of((flags.clone(), flags)),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.1, fault),
    )
        .prop_map(
            |((bus, device, function), kind, acs, says_many, is_virtual, fault)| Draft {
                bus,
                device,
                function,
                kind,
                acs,
                says_many,
                is_virtual,
                fault,
            },
        )
}

/// A function in its place.
#[derive(Clone, Debug)]
struct Function {
    address: String,
    domain: u32,
    bus: u32,
    device: u8,
    function: u8,
    /// The folders from `/sys/devices` on.
    way: String,
    /// The bridge above it, of its domain.
    above: Option<usize>,
    /// What has made its domain.
    maker: Option<usize>,
    kind: Kind,
    acs: Option<(u16, u16)>,
    says_many: bool,
    is_virtual: bool,
    fault: Option<Fault>,
}

/// A bus that functions can be on.
struct Bus {
    domain: u32,
    number: u32,
    way: String,
    above: Option<usize>,
    maker: Option<usize>,
}

fn build(drafts: Vec<Draft>) -> Vec<Function> {
    let root = |domain: u32, way: &str, maker| Bus {
        domain,
        number: 0,
        way: format!("{way}pci{domain:04x}:00/"),
        above: None,
        maker,
    };
    let mut buses = vec![root(0, "", None), root(1, "", None)];
    let mut functions: Vec<Function> = Vec::new();
    for draft in drafts {
        let bus = &buses[draft.bus.index(buses.len())];
        let (domain, number) = (bus.domain, bus.number);
        let Draft {
            device, function, ..
        } = draft;
        let address = format!("{domain:04x}:{number:02x}:{device:02x}.{function}");
        if functions.iter().any(|other| other.address == address) {
            continue;
        }
        // A virtual function is an endpoint. An upper port is the first device of its link.
        let kind = if draft.is_virtual {
            Endpoint
        } else {
            draft.kind
        };
        let kind = if kind == Upstream && device != 0 {
            RootPort
        } else {
            kind
        };
        let way = format!("{}{address}", bus.way);
        let (above, maker) = (bus.above, bus.maker);
        if kind.header() != 0 {
            let number = buses.iter().filter(|bus| bus.domain == domain).count() as u32;
            buses.push(Bus {
                domain,
                number,
                way: format!("{way}/"),
                above: Some(functions.len()),
                maker,
            });
        } else if kind == Maker && maker.is_none() {
            let domain = 0x10000 + functions.len() as u32;
            buses.push(root(domain, &format!("{way}/"), Some(functions.len())));
        }
        functions.push(Function {
            address,
            domain,
            bus: number,
            device,
            function,
            way,
            above,
            maker,
            kind,
            acs: draft.acs.filter(|_| kind.number().is_some()),
            says_many: draft.says_many && !draft.is_virtual,
            is_virtual: draft.is_virtual,
            fault: draft.fault,
        });
    }
    // The kernel finds no other function of a slot whose first one does not say that there are.
    let slot = |function: &Function| (function.domain, function.bus, function.device);
    let real: Vec<_> = functions
        .iter()
        .filter(|one| !one.is_virtual)
        .map(slot)
        .collect();
    for function in functions.iter_mut().filter(|one| !one.is_virtual) {
        let in_slot = real.iter().filter(|&&other| other == slot(function));
        function.says_many |= in_slot.count() > 1;
    }
    functions
}

fn machine() -> impl Strategy<Value = Vec<Function>> {
    vec(draft(), 1..24).prop_map(build)
}

/// The configuration space, as far as it counts.
fn registers(function: &Function) -> Vec<u8> {
    let mut registers = vec![
        0;
        if function.kind.number().is_some() {
            0x200
        } else {
            0x100
        }
    ];
    registers[0x0e] = function.kind.header() | u8::from(function.says_many) << 7;
    if let Some(number) = function.kind.number() {
        registers[0x06] = 0x10;
        registers[0x34] = 0x50;
        registers[0x50..0x54].copy_from_slice(&[0x05, 0x70, 0, 0]);
        registers[0x70..0x74].copy_from_slice(&[0x10, 0, number << 4 | 2, 0]);
        registers[0x100..0x104].copy_from_slice(&[0x01, 0, 0x02, 0x18]);
    }
    if let Some((has, does)) = function.acs {
        registers[0x180..0x184].copy_from_slice(&[0x0d, 0, 0x01, 0]);
        registers[0x184..0x186].copy_from_slice(&has.to_le_bytes());
        registers[0x186..0x188].copy_from_slice(&does.to_le_bytes());
    }
    registers
}

/// The machine as sysfs shows it, with or without its faults.
fn tree(functions: &[Function], has_faults: bool) -> Tree {
    let mut tree = Tree::default();
    for function in functions {
        let fault = function.fault.filter(|_| has_faults);
        let folder = format!("/sys/bus/pci/devices/{}", function.address);
        if fault == Some(Fault::Link) {
            tree.nodes
                .insert(folder.clone().into(), Node::Broken(Errno::EIO));
        } else {
            tree.link(&folder, format!("../../../devices/{}", function.way));
        }
        let mut registers = registers(function);
        match fault {
            Some(Fault::MostRegisters) => registers.truncate(0x40),
            Some(Fault::Dead) => registers.fill(0xff),
            _ => {}
        }
        let config = format!("{folder}/config");
        if fault == Some(Fault::Registers) {
            tree.nodes.insert(config.into(), Node::Broken(Errno::EIO));
        } else {
            tree.file(config, registers);
        }
        if function.is_virtual {
            tree.link(format!("{folder}/physfn"), "../0000:00:00.0");
        }
    }
    tree
}

/// Linux, with the groups that it has made so far.
struct Linux<'m> {
    functions: &'m [Function],
    groups: Vec<Option<usize>>,
}

impl Linux<'_> {
    /// `drivers/pci/probe.c`, `pci_scan_slot`; `drivers/pci/iov.c`, `pci_iov_add_virtfn`.
    fn is_multifunction(&self, at: usize) -> bool {
        let function = &self.functions[at];
        !function.is_virtual && (function.says_many || function.function > 0)
    }

    /// `drivers/pci/pci.c`, `pci_acs_flags_enabled`.
    fn acs_flags_enabled(&self, at: usize) -> bool {
        let Some((has, does)) = self.functions[at].acs else {
            return false;
        };
        let needed = 0x1d & has;
        does & needed == needed
    }

    /// `drivers/pci/pci.c`, `pci_acs_enabled`.
    fn acs_enabled(&self, at: usize) -> bool {
        match self.functions[at].kind {
            Device | Bridge | CardBus => false,
            FromPci | ToPci | EventCollector => false,
            Downstream | RootPort => self.acs_flags_enabled(at),
            Endpoint | Upstream | LegacyEndpoint | Integrated | Maker => {
                !self.is_multifunction(at) || self.acs_flags_enabled(at)
            }
        }
    }

    /// `drivers/pci/pci.c`, `pci_acs_path_enabled`, to the root.
    fn acs_path_enabled(&self, start: usize) -> bool {
        let mut at = Some(start);
        while let Some(function) = at {
            if !self.acs_enabled(function) {
                return false;
            }
            at = self.functions[function].above;
        }
        true
    }

    /// `drivers/iommu/iommu.c`, `pci_device_group`, with `pci_for_each_dma_alias` of
    /// `drivers/pci/search.c` in it.
    fn group_of(&self, at: usize) -> usize {
        let function = &self.functions[at];
        if let Some(maker) = function.maker {
            return self.groups[maker].expect("it comes before");
        }
        let mut own = at;
        let mut above = function.above;
        while let Some(bridge) = above {
            if !matches!(
                self.functions[bridge].kind,
                RootPort | Upstream | Downstream
            ) {
                own = bridge;
                if let Some(group) = self.groups[bridge] {
                    return group;
                }
            }
            above = self.functions[bridge].above;
        }
        let mut above = self.functions[own].above;
        while let Some(bridge) = above {
            if self.acs_path_enabled(bridge) {
                break;
            }
            own = bridge;
            if let Some(group) = self.groups[bridge] {
                return group;
            }
            above = self.functions[bridge].above;
        }
        // `get_pci_function_alias_group`
        if self.is_multifunction(own) && !self.acs_enabled(own) {
            let slot = |function: &Function| (function.domain, function.bus, function.device);
            for (other, function) in self.functions.iter().enumerate() {
                if other != own
                    && slot(function) == slot(&self.functions[own])
                    && !self.acs_enabled(other)
                    && let Some(group) = self.groups[other]
                {
                    return group;
                }
            }
        }
        at
    }

    /// All functions of a bus, then those behind its bridges (`drivers/pci/probe.c`,
    /// `pci_scan_child_bus`). Virtual ones come when all is found.
    fn group_bus(&mut self, domain: u32, above: Option<usize>, are_virtual: bool) {
        let on_bus = |one: &Function| one.domain == domain && one.above == above;
        let mut bus: Vec<usize> = (0..self.functions.len())
            .filter(|&at| on_bus(&self.functions[at]))
            .collect();
        bus.sort_by_key(|&at| (self.functions[at].device, self.functions[at].function));
        for &at in &bus {
            if self.functions[at].is_virtual == are_virtual {
                self.groups[at] = Some(self.group_of(at));
            }
        }
        for at in bus {
            if self.functions[at].kind.header() != 0 {
                self.group_bus(domain, Some(at), are_virtual);
            }
        }
    }

    /// The number of each function's group.
    fn all(functions: &[Function]) -> Vec<usize> {
        let groups = vec![None; functions.len()];
        let mut linux = Linux { functions, groups };
        // The domains of the machine, then those that its functions make.
        let domains: BTreeSet<u32> = functions.iter().map(|one| one.domain).collect();
        for are_virtual in [false, true] {
            for &domain in &domains {
                linux.group_bus(domain, None, are_virtual);
            }
        }
        let all = linux.groups.into_iter();
        all.map(|group| group.expect("of every function")).collect()
    }
}

/// What the program tells of each function: its group, and whether that is known.
fn told(functions: &[Function], has_faults: bool) -> Vec<(BTreeSet<String>, bool)> {
    static GROUPS: Mutex<Groups> = Mutex::new(Groups::new());
    let mut groups = GROUPS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    groups.look(&mut tree(functions, has_faults));
    let address = |text: &str| Address::parse(text.as_bytes()).expect("an address");
    let shown = |address: Address| String::from_utf8_lossy(&address.text()).into_owned();
    functions
        .iter()
        .map(|function| {
            let own = address(&function.address);
            (groups.of(own).map(shown).collect(), groups.is_known(own))
        })
        .collect()
}

/// The members of each function's group in Linux.
fn of_linux(functions: &[Function]) -> Vec<BTreeSet<String>> {
    let groups = Linux::all(functions);
    let members = |&group: &usize| {
        let members = groups
            .iter()
            .zip(functions)
            .filter(|(own, _)| **own == group);
        members
            .map(|(_, function)| function.address.clone())
            .collect()
    };
    groups.iter().map(members).collect()
}

/// Where the program is stricter than Linux: a port of a switch without ACS spoils the others.
fn is_exception(functions: &[Function]) -> bool {
    let groups = vec![None; functions.len()];
    let linux = Linux { functions, groups };
    (0..functions.len()).any(|at| functions[at].kind == Downstream && !linux.acs_enabled(at))
}

fn described(functions: &[Function]) -> String {
    functions.iter().fold(String::new(), |mut all, function| {
        let _ = writeln!(
            all,
            "{} {:?} {:?} many {} virtual {} {:?}",
            function.way,
            function.kind,
            function.acs,
            function.says_many,
            function.is_virtual,
            function.fault
        );
        all
    })
}

proptest! {
    #![proptest_config(config())]

    /// Where all can be read, the groups are those of Linux, but for switches, where they may be
    /// larger.
    #[test]
    fn groups_are_those_of_linux(machine in machine()) {
        let linux = of_linux(&machine);
        let is_exception = is_exception(&machine);
        let shown = described(&machine);
        for ((own, is_known), group) in told(&machine, false).iter().zip(&linux) {
            prop_assert!(*is_known);
            prop_assert!(own.is_superset(group), "{own:?} {group:?}\n{shown}");
            prop_assert!(is_exception || own == group, "{own:?} {group:?}\n{shown}");
        }
    }

    /// Whatever cannot be read, no group is smaller than that of Linux, which can. One that is said
    /// to be known is as where all can be read.
    #[test]
    fn no_fault_makes_a_group_smaller(machine in machine()) {
        let linux = of_linux(&machine);
        let whole = told(&machine, false);
        let shown = described(&machine);
        for (at, (own, is_known)) in told(&machine, true).iter().enumerate() {
            let (group, whole) = (&linux[at], &whole[at].0);
            prop_assert!(own.is_superset(group), "{own:?} {group:?}\n{shown}");
            prop_assert!(!is_known || own == whole, "{own:?} {whole:?}\n{shown}");
        }
    }
}
