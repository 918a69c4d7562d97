//! The names of vendors and devices, from `pci.ids` as distributions install it (pci.ids(5)).
//!
//! The file has some 40,000 lines. It is read once, whatever number of functions there is, and only
//! the names of those are kept: memory grows with the models that a machine has, not with the file.

use heapless::Vec;

use crate::{
    device::{
        Device, Devices, NameId,
        order::{sort, sort_by},
    },
    host::{Files, lines},
    text::{append, first_part, number},
};

/// Where the file may be: Debian, Fedora and Arch, older ones.
const FILES: [&[u8]; 3] = [
    b"/usr/share/misc/pci.ids",
    b"/usr/share/hwdata/pci.ids",
    b"/usr/share/pci.ids",
];

/// Most bytes of the file that are read: twice what it has in 2026.
const FILE_SIZE: u64 = 4 << 20;

/// Most bytes of all names of a machine: room for some 3,000 models.
pub const NAMES_SIZE: usize = 128 << 10;

/// The names that were found, each with a newline behind it.
#[derive(Debug)]
pub struct Names {
    text: Vec<u8, NAMES_SIZE>,
}

impl Names {
    /// None.
    pub const fn new() -> Names {
        Names { text: Vec::new() }
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        self.text.clear();
    }

    /// Looks for the names of all functions. A model for whose name there is no room has none.
    pub fn find<H: Files>(&mut self, host: &mut H, devices: &mut Devices) {
        if devices.is_empty() {
            return;
        }
        // In the order of their models, the devices of a model are found by it.
        sort_by(devices, &model);
        for file in FILES {
            let mut vendor = None;
            let read = lines::each(host, file, FILE_SIZE, &mut |_, line| {
                match Entry::of(line.text) {
                    Some(Entry::Vendor { id, name }) => {
                        let is_found = self.add(devices, Models::of_vendor(id), name);
                        vendor = is_found.then_some(id);
                    }
                    Some(Entry::Device { id, name }) => {
                        if let Some(vendor) = vendor {
                            self.add(devices, Models::one(vendor, id), name);
                        }
                    }
                    // Classes are written much like vendors and their devices.
                    Some(Entry::Class) => vendor = None,
                    None => {}
                }
            });
            if read.is_ok() {
                break;
            }
        }
        sort(devices);
    }

    /// Gives a name to all devices of a range of models. Gives back whether there is one.
    fn add(&mut self, devices: &mut Devices, models: Models, name: &[u8]) -> bool {
        let start = devices.partition_point(|device| model(device) < models.first);
        let in_range = |device: &&mut Device| model(device) <= models.last;
        let mut id = None;
        for device in devices.iter_mut().skip(start).take_while(in_range) {
            let Some(id) = *id.get_or_insert_with(|| self.keep(name)) else {
                return true;
            };
            let [vendor, own] = &mut device.function.names;
            *(if models.are_of_vendor() { vendor } else { own }) = Some(id);
        }
        id.is_some()
    }

    /// Keeps a name, if there is room.
    fn keep(&mut self, name: &[u8]) -> Option<NameId> {
        let start = self.text.len() as NameId;
        append(&mut self.text, name).ok()?;
        self.text.push(b'\n').ok()?;
        Some(start)
    }

    /// The name that was kept.
    pub fn get(&self, id: NameId) -> &[u8] {
        first_part(self.text.get(id as usize..).unwrap_or_default(), b'\n')
    }
}

impl Default for Names {
    fn default() -> Names {
        Names::new()
    }
}

/// Vendor and device in one number. What cannot be read has 0, which no vendor has.
fn model(device: &Device) -> u64 {
    device.model().unwrap_or_default()
}

/// The models of a name, as numbers of [`model`].
#[derive(Clone, Copy)]
struct Models {
    first: u64,
    last: u64,
}

impl Models {
    /// All models of a vendor.
    fn of_vendor(id: u32) -> Models {
        let first = u64::from(id) << 16;
        Models {
            first,
            last: first | 0xffff,
        }
    }

    /// One model.
    fn one(vendor: u32, device: u32) -> Models {
        let model = u64::from(vendor) << 16 | u64::from(device);
        Models {
            first: model,
            last: model,
        }
    }

    fn are_of_vendor(self) -> bool {
        self.first != self.last
    }
}

/// A line of the file that counts.
#[derive(Debug, PartialEq, Eq)]
enum Entry<'l> {
    /// `8086  Intel Corporation`
    Vendor { id: u32, name: &'l [u8] },
    /// The same behind a tab: a device of the vendor above it.
    Device { id: u32, name: &'l [u8] },
    /// `C 02  Network controller`: here the vendors end.
    Class,
}

impl Entry<'_> {
    fn of(line: &[u8]) -> Option<Entry<'_>> {
        if line.starts_with(b"C ") {
            return Some(Entry::Class);
        }
        let device = line.strip_prefix(b"\t");
        let (id, name) = device.unwrap_or(line).split_at_checked(4)?;
        let (id, name) = (number(id, 16)?, name.strip_prefix(b"  ")?);
        Some(match device {
            Some(_) => Entry::Device { id, name },
            None => Entry::Vendor { id, name },
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec as List};

    use super::*;
    use crate::{
        device::{Action, Wish},
        host::testing::{Machine, boxed, text},
        pci::{Address, Identity},
    };

    #[test]
    fn reads_lines() {
        for (line, entry) in [
            (
                "8086  Intel",
                Some(Entry::Vendor {
                    id: 0x8086,
                    name: b"Intel",
                }),
            ),
            (
                "\t10d3  82574L",
                Some(Entry::Device {
                    id: 0x10d3,
                    name: b"82574L",
                }),
            ),
            ("\t\t1af4 1100  QEMU", None),
            ("C 02  Network", Some(Entry::Class)),
            ("\t00  Ethernet", None),
            ("# comment", None),
            ("", None),
        ] {
            assert_eq!(Entry::of(line.as_bytes()), entry, "{line:?}");
        }
    }

    const IDS: &str = "# comment\n\
        10de  NVIDIA\n\
        \t1b80  GP104\n\
        \t\t1043 8592  a subsystem\n\
        8086  Intel\n\
        \t10d3  82574L\n\
        C 02  Network controller\n\
        \t00  Ethernet\n\
        \t10d4  no device of the last vendor\n\
        8087  after the classes\n";

    /// The names of models, each `vendor/device`, as a machine's file has them.
    fn named(host: &mut Machine, models: &[u64]) -> List<String> {
        let mut devices = boxed(Devices::new);
        for (bus, model) in (0..).zip(models) {
            let wish = Wish {
                item: None,
                is_by_address: false,
            };
            let mut device = Device::new(Address::from_bits(bus << 8), wish, Action::Unasked);
            device.function.identity = (*model != 0).then_some(Identity {
                ids: model << 32,
                class: 0,
            });
            devices.push(device).expect("room");
        }
        let mut names = boxed(Names::new);
        names.find(host, &mut devices);
        let addresses = devices.iter().map(|device| device.address().bits());
        assert!(addresses.is_sorted(), "the devices are in order again");
        let shown = |id: Option<NameId>| id.map_or("-".into(), |id| text(names.get(id)));
        let names = devices
            .iter()
            .map(|device| device.function.names.map(shown));
        names.map(|names| names.join("/")).collect()
    }

    #[test]
    fn finds_the_names_of_each_model() {
        let mut host = Machine::new();
        host.file("/usr/share/misc/pci.ids", IDS);
        let (nic, gpu) = (0x8086_10d3, 0x10de_1b80);
        let models = [nic, gpu, 0x8086_10d4, 0x1234_10d3, 0, nic, 0x8087_0000];
        let expected = [
            "Intel/82574L",
            "NVIDIA/GP104",
            "Intel/-",
            "-/-",
            "-/-",
            "Intel/82574L",
            "after the classes/-",
        ];
        assert_eq!(named(&mut host, &models), expected);
    }

    #[test]
    fn reads_the_first_file_that_is_there() {
        let named = |host: &mut Machine| named(host, &[0x8086_10d3]).concat();
        let mut host = Machine::new();
        assert_eq!(named(&mut host), "-/-");
        for (path, vendor) in [
            ("/usr/share/pci.ids", "third"),
            ("/usr/share/hwdata/pci.ids", "second"),
            ("/usr/share/misc/pci.ids", "first"),
        ] {
            host.file(path, &std::format!("8086  {vendor}\n"));
            assert_eq!(named(&mut host), std::format!("{vendor}/-"));
        }
    }

    #[test]
    fn has_no_name_where_there_is_no_room() {
        let mut names = boxed(Names::new);
        let name = [b'x'; NAMES_SIZE / 2];
        let first = names.keep(&name).expect("room");
        assert_eq!(names.keep(&name), None);
        assert_eq!(names.get(first), name);
        assert_eq!(names.get(NAMES_SIZE as NameId), b"");
    }
}
