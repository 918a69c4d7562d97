//! The standard machine: two devices of each model. The tests list one; the other, its twin, is not
//! listed.
//!
//! In the same boot, the twin shows what would have happened to the listed device.

/// Two devices of one model.
pub struct Pair {
    pub model: &'static str,
    /// The device that the tests list.
    pub listed: &'static str,
    /// The device that they do not list.
    pub twin: &'static str,
    /// The driver that dom0 has for both.
    pub driver: &'static str,
}

pub const NETWORK: Pair = Pair {
    model: "e1000e",
    listed: "0000:00:04.0",
    twin: "0000:00:05.0",
    driver: "e1000e",
};

pub const BEHIND_ROOT_PORT: Pair = Pair {
    model: "e1000e behind a root port",
    listed: "0000:01:00.0",
    twin: "0000:02:00.0",
    driver: "e1000e",
};

/// The path of the listed device: its root port, and its place behind the port.
pub const PATH_BEHIND_ROOT_PORT: &str = "0000:00:06.0/00.0";

pub const USB: Pair = Pair {
    model: "nec-usb-xhci",
    listed: "0000:00:08.0",
    twin: "0000:00:09.0",
    driver: "xhci_hcd",
};

pub const NVME: Pair = Pair {
    model: "nvme",
    listed: "0000:00:0a.0",
    twin: "0000:00:0b.0",
    driver: "nvme",
};

pub const PAIRS: [Pair; 4] = [NETWORK, BEHIND_ROOT_PORT, USB, NVME];

/// The controller of the root disk. It is never listed and must keep its driver.
pub const ROOT_DISK: (&str, &str) = ("0000:00:1f.2", "ahci");

/// A second SATA controller, with the disk `one`: QEMU's arguments.
pub const ROOT_ON_AHCI: (&str, &str) = ("0000:00:10.0", "ahci");
pub const AHCI_FOR_ROOT: [&str; 2] = [
    "ich9-ahci,id=more,addr=0x10",
    "ide-hd,drive=one,bus=more.0,serial=one",
];

/// A third NVMe disk, `two`.
pub const ROOT_ON_NVME: (&str, &str) = ("0000:00:11.0", "nvme");
pub const NVME_FOR_ROOT: [&str; 1] = ["nvme,addr=0x11,serial=two,drive=two"];

/// A third SATA controller, without a disk.
pub const IDLE_AHCI: &str = "0000:00:12.0";
pub const IDLE_AHCI_DEVICE: &str = "ich9-ahci,addr=0x12";

/// A third USB controller, with a keyboard.
pub const KEYBOARD: (&str, &str) = ("0000:00:13.0", "xhci_hcd");
pub const KEYBOARD_DEVICES: [&str; 2] = ["nec-usb-xhci,id=keys,addr=0x13", "usb-kbd,bus=keys.0"];

/// A screen.
pub const SCREEN_DEVICE: &str = "VGA,addr=0xe,romfile=";

/// A virtio device. systemd as first process loads its driver before any unit starts.
pub const VIRTIO: &str = "0000:00:0c.0";
pub const VIRTIO_DEVICE: &str = "virtio-rng-pci,addr=0xc";

/// A third USB controller, of another model than the pair.
pub const UHCI: &str = "0000:00:0d.0";
pub const UHCI_DEVICE: &str = "piix3-usb-uhci,addr=0xd";

/// An IOMMU, without which guests get no devices.
pub const IOMMU_DEVICE: &str = "intel-iommu";

/// The IOMMU that belongs to [`SVM_PROCESSOR`].
pub const AMD_IOMMU_DEVICE: &str = "amd-iommu";

/// A processor with AMD's virtualisation, SVM, as far as QEMU 7.2 emulates it well enough. With
/// `xsave` Linux dies while it looks for the state of the floating-point unit, and with `rdtscp`
/// Xen ends dom0 at an instruction whose length QEMU does not tell.
pub const SVM_PROCESSOR: &str = "EPYC,-smap,-smep,-xsave,-rdtscp";

/// QEMU's argument for the listed device of `NETWORK`.
pub const NETWORK_DEVICE: &str = "e1000e,addr=4,romfile=";

/// QEMU's argument for its twin.
pub const NETWORK_TWIN: &str = "e1000e,addr=5,romfile=";

/// QEMU's arguments for the pairs. No option ROMs: they only cost time.
pub const DEVICES: [&str; 10] = [
    NETWORK_DEVICE,
    NETWORK_TWIN,
    "pcie-root-port,id=port1,addr=6,chassis=1",
    "pcie-root-port,id=port2,addr=7,chassis=2",
    "e1000e,bus=port1,romfile=",
    "e1000e,bus=port2,romfile=",
    "nec-usb-xhci,addr=8",
    "nec-usb-xhci,addr=9",
    "nvme,addr=0xa,serial=listed",
    "nvme,addr=0xb,serial=twin",
];

/// The content of `/etc/xen/pciback.conf`: the addresses of the listed devices, one a line.
pub fn configuration() -> String {
    lines(&PAIRS)
}

/// The addresses of the listed devices of these pairs, one a line.
pub fn lines(pairs: &[Pair]) -> String {
    pairs
        .iter()
        .map(|pair| format!("{}\n", pair.listed))
        .collect()
}
