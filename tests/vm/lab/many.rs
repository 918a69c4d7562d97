//! A machine with thousands of functions, made of files, for tests and measurements of `pciseize
//! list`.

/// The number of functions.
pub const FUNCTIONS: usize = 4096;

/// A model of a device.
pub struct Model {
    ids: &'static str,
    class: &'static str,
    /// The name of the model in pci.ids.
    pub name: &'static str,
}

/// The models of the functions, by turns.
pub const MODELS: [Model; 5] = [
    Model {
        ids: "v00008086d000010D3",
        class: "bc02sc00i00",
        name: "82574L Gigabit Network Connection",
    },
    Model {
        ids: "v00001B36d00000010",
        class: "bc01sc08i02",
        name: "QEMU NVM Express Controller",
    },
    Model {
        ids: "v00001033d00000194",
        class: "bc0Csc03i30",
        name: "uPD720200 USB 3.0 Host Controller",
    },
    Model {
        ids: "v000010DEd00001B80",
        class: "bc03sc00i00",
        name: "GP104 [GeForce GTX 1080]",
    },
    Model {
        ids: "v00001022d00001480",
        class: "bc06sc00i00",
        name: "Starship/Matisse Root Complex",
    },
];

/// A script for the guest: installs Debian's own names.
pub const NAMES: &str = "
mkdir -p /lab/many/usr/share/misc
cp /usr/share/misc/pci.ids /lab/many/usr/share/misc/
";

/// A script for the guest: lists the machine.
pub const LIST: &str = "pciseize --root /lab/many list >many\n";

/// The files of the machine in the guest, with their content.
pub fn files() -> impl Iterator<Item = (String, String)> {
    (0..FUNCTIONS).map(|at| {
        let address = format!("0000:{:02x}:{:02x}.{:x}", at >> 8, at >> 3 & 0x1f, at & 7);
        let Model { ids, class, .. } = &MODELS[at % MODELS.len()];
        let text = format!("pci:{ids}sv00001AF4sd00001100{class}\n");
        (
            format!("/lab/many/sys/bus/pci/devices/{address}/modalias"),
            text,
        )
    })
}
