//! Machines: functions on root buses and behind bridges, as sysfs shows them.

use proptest::{collection::vec, prelude::*};

use crate::tree::Tree;

/// A PCI function. Every fact is in the textual form that users know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// `0000:03:00.0`
    pub address: String,
    /// `0000:00:1c.0/00.0`; of a virtual function its address.
    pub path: String,
    /// The way through the bridges, also of a virtual function.
    pub way: String,
    /// Vendor, device, subsystem vendor, subsystem: 4 digits each.
    pub ids: [String; 4],
    /// 6 digits.
    pub class: String,
    pub driver: Option<&'static str>,
    /// The target of the link in `/sys/bus/pci/devices`.
    pub link: String,
}

impl Function {
    pub fn is_bridge(&self) -> bool {
        self.class.starts_with("06")
    }

    pub fn is_virtual(&self) -> bool {
        self.path != self.way
    }

    /// Whether Xen cannot number the function's domain.
    pub fn is_beyond_xen(&self) -> bool {
        self.address.len() > "0000:00:00.0".len()
    }

    pub fn modalias(&self) -> String {
        let [vendor, device, subvendor, subdevice] = self
            .ids
            .each_ref()
            .map(|id| format!("0000{}", id.to_uppercase()));
        let (class, rest) = self.class.split_at(2);
        let (subclass, interface) = rest.split_at(2);
        format!(
            "pci:v{vendor}d{device}sv{subvendor}sd{subdevice}bc{class}sc{subclass}i{interface}\n"
        )
    }
}

/// A few models, so that items match often; among them ids of 0 and the largest.
const MODELS: [[&str; 4]; 6] = [
    ["10de", "1b80", "1043", "85a4"],
    ["10de", "1b80", "1458", "3701"],
    ["10de", "10f0", "1043", "85a4"],
    ["8086", "10d3", "0000", "0000"],
    ["ffff", "0000", "ffff", "0001"],
    ["1b36", "000d", "1af4", "1100"],
];

const BRIDGE: &str = "060400";
const CLASSES: [&str; 12] = [
    BRIDGE, BRIDGE, BRIDGE, "030000", "040300", "040100", "020000", "028000", "0c0330", "0c0320",
    "060100", "088000",
];

/// A bus for functions: a root bus, or the bus behind a bridge.
struct Bus {
    domain: u32,
    number: u32,
    /// The path of the bridge; empty at a root bus.
    path: String,
    link: String,
}

/// The facts of one function, before it has a bus.
#[derive(Clone, Debug)]
struct Draft {
    bus: prop::sample::Index,
    device: u8,
    function: u8,
    model: [&'static str; 4],
    class: &'static str,
    driver: Option<&'static str>,
    is_virtual: bool,
}

fn draft() -> impl Strategy<Value = Draft> {
    let model = prop::sample::select(&MODELS[..]);
    let class = prop::sample::select(&CLASSES[..]);
    let device = prop::sample::select(&[0, 1, 0x10, 0x1f][..]);
    let driver = prop::option::of(prop::sample::select(&["nouveau", "xhci_hcd"][..]));
    (
        any::<prop::sample::Index>(),
        device,
        0u8..8,
        model,
        class,
        driver,
        prop::bool::weighted(0.1),
    )
        .prop_map(
            |(bus, device, function, model, class, driver, is_virtual)| Draft {
                bus,
                device,
                function,
                model,
                class,
                driver,
                is_virtual,
            },
        )
}

/// Some functions, ordered by the numbers of their buses.
pub fn machine() -> impl Strategy<Value = Vec<Function>> {
    vec(draft(), 1..14).prop_map(build)
}

fn build(drafts: Vec<Draft>) -> Vec<Function> {
    let root = |domain, number, link: &str| Bus {
        domain,
        number,
        path: String::new(),
        link: link.to_owned(),
    };
    let mut buses = vec![
        root(0, 0, "../../../devices/pci0000:00"),
        root(0, 0x40, "../../../devices/pci0000:40"),
        root(1, 0, "../../../devices/pci0001:00"),
        // Behind a VMD, where Linux makes up domain numbers.
        root(
            0x10000,
            0xe0,
            "../../../devices/pci0000:00/0000:00:0e.0/pci10000:e0",
        ),
    ];
    let mut functions: Vec<Function> = Vec::new();
    for (number, draft) in (1u32..).zip(drafts) {
        let bus = draft.bus.get(&buses);
        let step = format!("{:02x}.{:x}", draft.device, draft.function);
        let address = format!("{:04x}:{:02x}:{step}", bus.domain, bus.number);
        if functions.iter().any(|function| function.address == address) {
            continue;
        }
        let way = if bus.path.is_empty() {
            address.clone()
        } else {
            format!("{}/{step}", bus.path)
        };
        let path = if draft.is_virtual && draft.class != BRIDGE {
            address.clone()
        } else {
            way.clone()
        };
        let link = format!("{}/{address}", bus.link);
        if draft.class == BRIDGE {
            buses.push(Bus {
                domain: buses[draft.bus.index(buses.len())].domain,
                number,
                path: way.clone(),
                link: link.clone(),
            });
        }
        functions.push(Function {
            address,
            path,
            way,
            ids: draft.model.map(str::to_owned),
            class: draft.class.to_owned(),
            driver: draft.driver,
            link,
        });
    }
    functions
}

/// A dom0 with these functions and without requests.
pub fn tree(functions: &[Function]) -> Tree {
    let mut tree = Tree::default();
    tree.file("/proc/cmdline", "quiet\n");
    // The system is in memory.
    tree.file(
        "/proc/self/mountinfo",
        "1 1 0:2 / / rw - rootfs rootfs rw\n",
    );
    // No network is up.
    tree.file("/proc/net/route", "Iface Destination Gateway\n");
    tree.file("/proc/sys/kernel/osrelease", "6.1.0-model\n");
    tree.file("/sys/hypervisor/properties/features", "00000f05\n");
    for function in functions {
        let folder = format!("/sys/bus/pci/devices/{}", function.address);
        tree.link(&folder, &function.link);
        tree.file(format!("{folder}/modalias"), function.modalias());
        tree.file(format!("{folder}/driver_override"), "(null)\n");
        if function.is_virtual() {
            tree.link(format!("{folder}/physfn"), "../0000:00:01.0");
        }
        if let Some(driver) = function.driver {
            tree.link(
                format!("{folder}/driver"),
                format!("../../../../bus/pci/drivers/{driver}"),
            );
        }
    }
    tree
}
