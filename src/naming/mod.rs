//! Names for guests in Xen: libxl looks them up in xenstore, where `xl pci-assignable-add -n` puts
//! them, below a node for each device (`tools/libs/light/libxl_pci.c`, `pci_info_xs_path` and
//! `name2bdf`).
//!
//! They are written here without xl: xl can take no name back without unbinding the device, does
//! not look whether another device has the name, and fails where a guest has the device. No driver
//! is touched.
//!
//! Beside a name that pciseize gave stands a mark of its own, with the same value. It goes with the
//! name at a reboot, and no longer fits once somebody gives the device another name. So a name that
//! somebody gave by hand is known, and left alone.

use crate::{
    device::{Device, Devices},
    host::{Errno, Xen},
    pci::Address,
    put,
    request::Request,
    text::{Line, pieces, split},
};

/// Where libxl has the devices.
const FOLDER: &str = "/libxl/pci";

/// What libxl has as the name of a device.
const NAME: &str = "name";

/// What tells that pciseize gave that name.
const MARK: &str = "pciseize";

/// Most bytes that xenstore tells at once (`XENSTORE_PAYLOAD_MAX`).
const LIST_SIZE: usize = 4096;

/// Room for a value.
const VALUE_SIZE: usize = 256;

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The device has it now.
    Given,
    /// The device had it before.
    Had,
    /// The device has not got it: pciback does not have the device.
    NotSeized,
    /// The device has lost it, since another one is to have it.
    Moved,
    /// The device has lost it, since nobody asks for it any more.
    TakenBack,
    /// xenstore has refused to change it.
    Failed(Errno),
}

impl Change {
    /// Whether it is as asked.
    pub const fn is_as_asked(self) -> bool {
        !matches!(self, Change::NotSeized | Change::Failed(_))
    }
}

/// A function that is called with a device, a name, and what became of that.
pub type Tell<'t, H> = dyn FnMut(&mut H, Address, &[u8], Change) + 't;

/// Gives the devices their names in Xen, and takes back what nobody asks for any more.
///
/// # Errors
/// Why xenstore cannot be asked for the names that there are. Then nothing was changed.
pub fn give_names<H: Xen>(
    host: &mut H,
    request: &Request,
    devices: &Devices,
    tell: &mut Tell<H>,
) -> Result<(), Errno> {
    let mut buffer = [0; LIST_SIZE];
    let nodes = match host.list_xenstore(FOLDER.as_bytes(), &mut buffer) {
        Ok(nodes) => nodes,
        Err(Errno::ENOENT) => b"",
        Err(errno) => return Err(errno),
    };
    // First those that are in the way: at no moment have two devices the same name.
    for address in split(nodes, 0).filter_map(address_of) {
        take_back(host, request, devices, address, tell);
    }
    for device in devices {
        if let Some(name) = device.guest_name(request) {
            let change = give(host, device, name.as_bytes());
            tell(host, device.address(), name.as_bytes(), change);
        }
    }
    Ok(())
}

/// Takes its name from a device that is not to have it.
fn take_back<H: Xen>(
    host: &mut H,
    request: &Request,
    devices: &Devices,
    address: Address,
    tell: &mut Tell<H>,
) {
    let (mut name, mut mark) = ([0; VALUE_SIZE], [0; VALUE_SIZE]);
    let Ok(name) = host.read_xenstore(node(address, NAME).bytes(), &mut name) else {
        return;
    };
    let mark = host.read_xenstore(node(address, MARK).bytes(), &mut mark);
    let is_to_have_it = |device: &&Device| {
        let own = device.guest_name(request);
        device.is_with_pciback() && own.is_some_and(|own| own.as_bytes() == name)
    };
    let change = match devices.iter().find(is_to_have_it) {
        Some(device) if device.address() == address => return,
        Some(_) => Change::Moved,
        None if mark == Ok(name) => Change::TakenBack,
        None => return,
    };
    let removed = host.remove_xenstore(node(address, NAME).bytes());
    // Without its name it means nothing.
    let _ = host.remove_xenstore(node(address, MARK).bytes());
    tell(
        host,
        address,
        name,
        removed.map_or_else(Change::Failed, |()| change),
    );
}

/// Gives a device its name.
fn give<H: Xen>(host: &mut H, device: &Device, name: &[u8]) -> Change {
    if !device.is_with_pciback() {
        return Change::NotSeized;
    }
    let address = device.address();
    let mut buffer = [0; VALUE_SIZE];
    if host.read_xenstore(node(address, NAME).bytes(), &mut buffer) == Ok(name) {
        return Change::Had;
    }
    // The mark first: a name without one would never be taken back.
    let written = host
        .write_xenstore(node(address, MARK).bytes(), name)
        .and_then(|()| host.write_xenstore(node(address, NAME).bytes(), name));
    written.map_or_else(Change::Failed, |()| Change::Given)
}

/// The path of what libxl knows of a device.
fn node(address: Address, what: &str) -> Line {
    let mut line = Line::new();
    put!(&mut line, "{}/", FOLDER);
    let mut separator = "";
    for field in pieces(address.text().bytes(), is_separator) {
        put!(&mut line, "{}", separator);
        line.push(field.text);
        separator = "-";
    }
    put!(&mut line, "/{}", what);
    line
}

/// The device of a node: `0000-03-00-0`.
fn address_of(node: &[u8]) -> Option<Address> {
    let mut line = Line::new();
    for (field, separator) in split(node, b'-').zip(["", ":", ":", "."]) {
        put!(&mut line, "{}", separator);
        line.push(field);
    }
    Address::parse(line.bytes()).ok()
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b':' | b'.')
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{boxed::Box, format, string::String, vec::Vec};

    use super::*;
    use crate::{
        device::{Action, Wish},
        host::testing::{Machine, boxed, shown},
        pci::bus::DriverName,
        request::testing::request,
    };

    fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).expect(text)
    }

    /// A machine with two devices of which the first has that driver, and the names of a request.
    fn devices(request: &Request, driver: &str) -> Box<Devices> {
        let mut devices = boxed(Devices::new);
        for (at, driver) in [("03:00.0", driver), ("04:00.0", "pciback")] {
            let wish = Wish {
                item: None,
                is_by_address: false,
            };
            let mut device = Device::new(address(at), wish, Action::Seize);
            device.state.driver = DriverName::from_slice(driver.as_bytes()).expect("room");
            let mut names = request.names.iter();
            let own = names.find(|(_, own)| {
                let item = &request.items[usize::from(own.item)];
                item.selector.address() == Some(address(at))
            });
            device.name = own.map(|(id, _)| id);
            devices.push(device).expect("room");
        }
        devices
    }

    /// What is told, and what xenstore has in the end.
    fn named(host: &mut Machine, text: &str, driver: &str) -> Vec<String> {
        let request = request(text);
        let mut told = Vec::new();
        let given = give_names(
            host,
            &request,
            &devices(&request, driver),
            &mut |_, at, name, change| {
                told.push(format!("{} {} {change:?}", shown(at), self::text(name)));
            },
        );
        given.expect("xenstore answers");
        told
    }

    fn text(bytes: &[u8]) -> String {
        crate::host::testing::text(bytes)
    }

    fn name_of(host: &mut Machine, at: &str) -> Option<String> {
        let mut buffer = [0; VALUE_SIZE];
        let read = host.read_xenstore(node(address(at), NAME).bytes(), &mut buffer);
        read.ok().map(text)
    }

    #[test]
    fn knows_the_nodes_of_libxl() {
        let path = node(address("1:0a:1f.7"), NAME);
        assert_eq!(text(path.bytes()), "/libxl/pci/0001-0a-1f-7/name");
        for (node, expected) in [
            ("0001-0a-1f-7", Some("1:0a:1f.7")),
            ("0001-0a-1f", None),
            ("", None),
            ("version", None),
        ] {
            assert_eq!(address_of(node.as_bytes()), expected.map(address), "{node}");
        }
    }

    #[test]
    fn gives_a_name_once() {
        let mut host = Machine::new();
        let request = "gpu = 03:00.0\n";
        let told = named(&mut host, request, "pciback");
        assert_eq!(told, ["0000:03:00.0 gpu Given"]);
        let written = host.calls_of("xenstore-write").join("; ");
        let folder = "/libxl/pci/0000-03-00-0";
        assert_eq!(written, format!("{folder}/pciseize gpu; {folder}/name gpu"));
        let told = named(&mut host, request, "pciback");
        assert_eq!(told, ["0000:03:00.0 gpu Had"]);
        assert_eq!(host.calls_of("xenstore-write").len(), 2);
    }

    #[test]
    fn gives_another_name() {
        let mut host = Machine::new();
        named(&mut host, "gpu = 03:00.0\n", "pciback");
        let told = named(&mut host, "vga = 03:00.0\n", "pciback");
        assert_eq!(
            told,
            ["0000:03:00.0 gpu TakenBack", "0000:03:00.0 vga Given"]
        );
        assert_eq!(name_of(&mut host, "03:00.0").as_deref(), Some("vga"));
    }

    #[test]
    fn moves_a_name_whoever_gave_it() {
        for is_by_hand in [false, true] {
            let mut host = Machine::new();
            if is_by_hand {
                host.xenstore("/libxl/pci/0000-04-00-0/name", "gpu");
            } else {
                named(&mut host, "gpu = 04:00.0\n", "pciback");
            }
            let told = named(&mut host, "gpu = 03:00.0\n", "pciback");
            assert_eq!(told, ["0000:04:00.0 gpu Moved", "0000:03:00.0 gpu Given"]);
            assert_eq!(name_of(&mut host, "04:00.0"), None);
        }
    }

    #[test]
    fn takes_back_only_what_it_gave() {
        let mut host = Machine::new();
        host.xenstore("/libxl/pci/0000-04-00-0/name", "lan");
        named(&mut host, "gpu = 03:00.0\n", "pciback");
        // Somebody gave this one another name since.
        host.xenstore("/libxl/pci/0000-05-00-0/name", "by-hand");
        host.xenstore("/libxl/pci/0000-05-00-0/pciseize", "usb");
        let told = named(&mut host, "03:00.0\n", "pciback");
        assert_eq!(told, ["0000:03:00.0 gpu TakenBack"]);
        let names = ["03:00.0", "04:00.0", "05:00.0"].map(|at| name_of(&mut host, at));
        assert_eq!(names, [None, Some("lan".into()), Some("by-hand".into())]);
        assert!(named(&mut host, "03:00.0\n", "pciback").is_empty());
    }

    #[test]
    fn gives_no_name_to_what_pciback_has_not() {
        let mut host = Machine::new();
        named(&mut host, "gpu = 03:00.0\n", "pciback");
        let told = named(&mut host, "gpu = 03:00.0\n", "e1000e");
        assert_eq!(
            told,
            ["0000:03:00.0 gpu TakenBack", "0000:03:00.0 gpu NotSeized"]
        );
        assert_eq!(name_of(&mut host, "03:00.0"), None);
    }

    #[test]
    fn tells_what_xenstore_refuses() {
        let mut host = Machine::new();
        host.refuse("xenstore-write", Errno::EACCES);
        let told = named(&mut host, "gpu = 03:00.0\n", "pciback");
        assert_eq!(told, ["0000:03:00.0 gpu Failed(Errno(13))"]);
        host.refuse("xenstore-list", Errno::ETIMEDOUT);
        let request = request("gpu = 03:00.0\n");
        let devices = devices(&request, "pciback");
        let given = give_names(&mut host, &request, &devices, &mut |_, _, _, _| {});
        assert_eq!(given, Err(Errno::ETIMEDOUT));
    }
}
