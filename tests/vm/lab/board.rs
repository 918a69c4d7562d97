//! The standard machine: of each model two devices, one that the tests list and a twin that they do not.
//!
//! The twin shows in the same boot what would have become of the other.

/// Two devices of one model.
pub struct Pair {
    pub model: &'static str,
    /// The address that is given to pciseize.
    pub listed: &'static str,
    /// The address that is not.
    pub twin: &'static str,
    /// The driver that dom0 has for both.
    pub driver: &'static str,
}

pub const NETWORK: Pair = Pair { model: "e1000e", listed: "0000:00:04.0", twin: "0000:00:05.0", driver: "e1000e" };

pub const BEHIND_ROOT_PORT: Pair = Pair { model: "e1000e behind a root port", listed: "0000:01:00.0", twin: "0000:02:00.0", driver: "e1000e" };

/// The path of the listed one: its root port, and its place behind it.
pub const PATH_BEHIND_ROOT_PORT: &str = "0000:00:06.0/00.0";

pub const USB: Pair = Pair { model: "nec-usb-xhci", listed: "0000:00:08.0", twin: "0000:00:09.0", driver: "xhci_hcd" };

pub const NVME: Pair = Pair { model: "nvme", listed: "0000:00:0a.0", twin: "0000:00:0b.0", driver: "nvme" };

pub const PAIRS: [Pair; 4] = [NETWORK, BEHIND_ROOT_PORT, USB, NVME];

/// The controller of the root disk: never listed, must keep its driver.
pub const ROOT_DISK: (&str, &str) = ("0000:00:1f.2", "ahci");

/// A virtio device: systemd as first process has its driver loaded before any unit starts.
pub const VIRTIO: &str = "0000:00:0c.0";
pub const VIRTIO_DEVICE: &str = "virtio-rng-pci,addr=0xc";

/// A third USB controller, of another model than the pair.
pub const UHCI: &str = "0000:00:0d.0";
pub const UHCI_DEVICE: &str = "piix3-usb-uhci,addr=0xd";

/// What guests need to be given devices.
pub const IOMMU_DEVICE: &str = "intel-iommu";

/// QEMU's argument for the listed device of `NETWORK`.
pub const NETWORK_DEVICE: &str = "e1000e,addr=4,romfile=";

/// QEMU's arguments for the pairs. No option ROMs: they only cost time.
pub const DEVICES: [&str; 10] = [
    NETWORK_DEVICE,
    "e1000e,addr=5,romfile=",
    "pcie-root-port,id=port1,addr=6,chassis=1",
    "pcie-root-port,id=port2,addr=7,chassis=2",
    "e1000e,bus=port1,romfile=",
    "e1000e,bus=port2,romfile=",
    "nec-usb-xhci,addr=8",
    "nec-usb-xhci,addr=9",
    "nvme,addr=0xa,serial=listed",
    "nvme,addr=0xb,serial=twin",
];

/// The addresses to be seized, one a line, as `/etc/xen/pciback.conf` has them.
pub fn configuration() -> String {
    lines(&PAIRS)
}

/// The listed devices of these pairs.
pub fn lines(pairs: &[Pair]) -> String {
    pairs.iter().map(|pair| format!("{}\n", pair.listed)).collect()
}
