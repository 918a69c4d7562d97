//! Names for guests in Xen: libxl looks them up in xenstore, where `xl pci-assignable-add -n` puts
//! them, below a node for each device (`tools/libs/light/libxl_pci.c`, `pci_info_xs_path` and
//! `name2bdf`).
//!
//! They are written here without xl: xl can take no name back without unbinding the device, does
//! not look whether another device has the name, and fails where a guest has the device. No driver
//! is touched.
//!
//! Beside a name that pciseize gave stands a mark of its own, with the same value. It goes with the
//! name at a reboot, and no longer fits once somebody gives the device another name: then the next
//! run removes it. So a name that somebody gave by hand is known, and left alone.
//!
//! A name is taken back only where it is known that nobody asks for it. A name in xenstore that
//! cannot be read may be any name: then nothing is changed.

use crate::{
    device::{Device, Devices},
    host::{Errno, Xen},
    pci::Address,
    put,
    request::{GuestNameId, NAMES, Request},
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

/// Room for a value. A longer one is no name that pciseize gives.
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
    /// The device has lost it, since it is to have another one.
    Replaced,
    /// The device has lost it, since nobody asks for it any more.
    TakenBack,
    /// The device still has it: an item has that name, though no device gets it.
    StillAsked,
    /// The device still has it: what could not be read may ask for it.
    Unsure,
    /// It is as before: nobody can tell which driver has the device.
    DriverUnread,
    /// The device has not got it: another one could not lose it.
    Held,
    /// xenstore has refused to change it.
    Failed(Errno),
}

impl Change {
    /// Whether it is as asked.
    pub const fn is_as_asked(self) -> bool {
        matches!(
            self,
            Change::Given | Change::Had | Change::Moved | Change::Replaced | Change::TakenBack
        )
    }
}

/// Whether all is known that may ask for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Every item was understood.
    All,
    /// What could not be read may have asked for any name.
    Part,
}

/// Why no more names were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// xenstore does not tell which devices it knows. Nothing was changed.
    Unlisted(Errno),
    /// xenstore does not tell whether this device has a name. Nothing was changed.
    Unread(Address, Errno),
    /// xenstore no longer answers: this device was the last that it was asked about.
    Silent(Address, Errno),
}

/// A function that is called with a device, a name, and what became of that.
pub type Tell<'t, H> = dyn FnMut(&mut H, Address, &[u8], Change) + 't;

/// Gives the devices their names in Xen, and takes back what nobody asks for any more. At no moment
/// have two devices the same name by this.
///
/// # Errors
/// Why it stopped: xenstore does not tell the names that there are, or no longer answers.
pub fn give_names<H: Xen>(
    host: &mut H,
    request: &Request,
    devices: &Devices,
    known: Known,
    tell: &mut Tell<H>,
) -> Result<(), Stopped> {
    let mut buffer = [0; LIST_SIZE];
    let nodes = match host.list_xenstore(FOLDER.as_bytes(), &mut buffer) {
        Ok(nodes) => nodes,
        Err(Errno::ENOENT) => b"",
        Err(errno) => return Err(Stopped::Unlisted(errno)),
    };
    let nodes = || split(nodes, 0).filter_map(address_of);
    for address in nodes() {
        let read = read(host, address, NAME, &mut [0; VALUE_SIZE]).map(drop);
        read.map_err(|errno| Stopped::Unread(address, errno))?;
    }
    // First those that are in the way. What could not be taken away is not given to another one.
    let mut held = [false; NAMES];
    for address in nodes() {
        let mut buffer = [0; VALUE_SIZE];
        let found = match read(host, address, NAME, &mut buffer) {
            Ok(name) => Found::new(request, address, name.unwrap_or_default()),
            Err(errno) => return Err(Stopped::Silent(address, errno)),
        };
        let change = take_back(host, devices, known, &found);
        let change = change.or_else(|errno| failure(address, errno).map(Some))?;
        if let (Some(id), Some(Change::Failed(_))) = (found.asked, change)
            && let Some(held) = held.get_mut(usize::from(id))
        {
            *held = true;
        }
        // Of a device that pciback has not got this is told once, with its name.
        if let Some(change) = change.filter(|&change| change != Change::NotSeized) {
            tell(host, address, found.name, change);
        }
    }
    for device in devices {
        if let (Some(id), Some(name)) = (device.name, device.guest_name(request)) {
            let (address, name) = (device.address(), name.as_bytes());
            let is_held = held.get(usize::from(id)) == Some(&true);
            let change = give(host, device, name, is_held);
            let change = change.or_else(|errno| failure(address, errno))?;
            tell(host, address, name, change);
        }
    }
    Ok(())
}

/// What a failure means for a name, or for all that are left.
const fn failure(address: Address, errno: Errno) -> Result<Change, Stopped> {
    match errno {
        // Each further question would be waited for as long.
        Errno::ETIMEDOUT => Err(Stopped::Silent(address, errno)),
        errno => Ok(Change::Failed(errno)),
    }
}

/// A device that xenstore knows.
struct Found<'n> {
    address: Address,
    /// Its name. Empty: none.
    name: &'n [u8],
    /// That name in the request, where an item has it.
    asked: Option<GuestNameId>,
}

impl<'n> Found<'n> {
    fn new(request: &Request, address: Address, name: &'n [u8]) -> Found<'n> {
        let mut names = request.names.iter();
        let asked = names.find(|(_, own)| own.name.as_bytes() == name);
        let asked = asked.map(|(id, _)| id);
        Found {
            address,
            name,
            asked,
        }
    }

    /// Why the device is to lose its name, or why it keeps a name that no device gets.
    fn judge(&self, devices: &Devices, known: Known, is_ours: bool) -> Option<Change> {
        let is_named = |device: &&Device| device.name.is_some() && device.name == self.asked;
        let heir = devices.iter().find(is_named);
        let is_to_have_another = devices.iter().any(|device| {
            let is_it = device.address() == self.address && device.is_with_pciback();
            is_it && device.name.is_some() && device.name != self.asked
        });
        let is_surplus = self.asked.is_none() && known == Known::All;
        Some(match heir {
            Some(heir) if heir.is_with_pciback() && heir.address() == self.address => return None,
            Some(heir) if heir.is_with_pciback() => Change::Moved,
            _ if is_to_have_another && !(is_ours && is_surplus) => Change::Replaced,
            _ if !is_ours => return None,
            // That is told with the name.
            Some(heir) if !heir.state.is_driver_known => return None,
            Some(heir) if heir.address() == self.address => Change::NotSeized,
            Some(_) => Change::Moved,
            None if is_surplus => Change::TakenBack,
            None if self.asked.is_some() => Change::StillAsked,
            None => Change::Unsure,
        })
    }
}

/// Takes its name from a device that is not to have it, and a mark that does not fit. `None`: the
/// name is right, or somebody else's.
fn take_back<H: Xen>(
    host: &mut H,
    devices: &Devices,
    known: Known,
    found: &Found,
) -> Result<Option<Change>, Errno> {
    let mut buffer = [0; VALUE_SIZE];
    let mark = match read(host, found.address, MARK, &mut buffer) {
        Ok(mark) => mark,
        Err(errno) if found.name.is_empty() && errno != Errno::ETIMEDOUT => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let is_named = !found.name.is_empty();
    let is_ours = is_named && mark == Some(found.name);
    let change = found.judge(devices, known, is_ours).filter(|_| is_named);
    let is_to_go = change.is_some_and(|change| change.is_as_asked() || change == Change::NotSeized);
    if is_to_go {
        remove(host, found.address, NAME)?;
    }
    // A mark alone would make the same name, once somebody gives it by hand, one of ours. What
    // cannot be removed now, the next run removes.
    if mark.is_some()
        && (is_to_go || !is_ours)
        && remove(host, found.address, MARK) == Err(Errno::ETIMEDOUT)
    {
        return Err(Errno::ETIMEDOUT);
    }
    Ok(change)
}

/// Gives a device its name.
fn give<H: Xen>(
    host: &mut H,
    device: &Device,
    name: &[u8],
    is_held: bool,
) -> Result<Change, Errno> {
    if !device.state.is_driver_known {
        return Ok(Change::DriverUnread);
    }
    if !device.is_with_pciback() {
        return Ok(Change::NotSeized);
    }
    let address = device.address();
    let mut buffer = [0; VALUE_SIZE];
    if read(host, address, NAME, &mut buffer)? == Some(name) {
        return Ok(Change::Had);
    }
    if is_held {
        return Ok(Change::Held);
    }
    // The mark first: a name without one would never be taken back.
    host.write_xenstore(node(address, MARK).bytes(), name)?;
    let written = host.write_xenstore(node(address, NAME).bytes(), name);
    if written.is_err() && written != Err(Errno::ETIMEDOUT) {
        // The next run removes what cannot be removed now.
        let _ = remove(host, address, MARK);
    }
    written.map(|()| Change::Given)
}

/// What xenstore has of a device. `None`: nothing, or more than pciseize writes.
fn read<'b, H: Xen>(
    host: &mut H,
    address: Address,
    what: &str,
    buffer: &'b mut [u8],
) -> Result<Option<&'b [u8]>, Errno> {
    match host.read_xenstore(node(address, what).bytes(), buffer) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::ENOENT | Errno::ENAMETOOLONG) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Removes what xenstore has of a device, if it is there.
fn remove<H: Xen>(host: &mut H, address: Address, what: &str) -> Result<(), Errno> {
    match host.remove_xenstore(node(address, what).bytes()) {
        Err(Errno::ENOENT) => Ok(()),
        removed => removed,
    }
}

/// The path of what libxl knows of a device.
fn node(address: Address, what: &str) -> Line {
    let mut line = Line::new();
    put!(&mut line, "{}/", FOLDER);
    let mut separator = "";
    for field in pieces(&address.text(), is_separator) {
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

    /// What is told where all is known, until it stops.
    fn run(
        host: &mut Machine,
        request: &Request,
        devices: &Devices,
        known: Known,
    ) -> (Vec<String>, Result<(), Stopped>) {
        let mut told = Vec::new();
        let given = give_names(host, request, devices, known, &mut |_, at, name, change| {
            told.push(format!("{} {} {change:?}", shown(at), self::text(name)));
        });
        (told, given)
    }

    /// The same with a request and a driver of the first device.
    fn named(host: &mut Machine, text: &str, driver: &str) -> Vec<String> {
        let request = request(text);
        let (told, given) = run(host, &request, &devices(&request, driver), Known::All);
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
    fn removes_a_mark_without_its_name() {
        let mut host = Machine::new();
        let mark = "/libxl/pci/0000-03-00-0/pciseize";
        // Somebody took the name away by hand, and gives it again after a run.
        host.xenstore(mark, "gpu");
        assert!(named(&mut host, "03:00.0\n", "pciback").is_empty());
        host.xenstore("/libxl/pci/0000-03-00-0/name", "gpu");
        assert!(named(&mut host, "03:00.0\n", "pciback").is_empty());
        assert_eq!(name_of(&mut host, "03:00.0").as_deref(), Some("gpu"));
        // A mark is not left where the name cannot be written.
        let mut host = Machine::new();
        host.refuse("xenstore-write /libxl/pci/0000-03-00-0/name", Errno::EACCES);
        let told = named(&mut host, "gpu = 03:00.0\n", "pciback");
        assert_eq!(told, ["0000:03:00.0 gpu Failed(Errno(13))"]);
        assert_eq!(host.calls_of("xenstore-remove"), [mark]);
    }

    #[test]
    fn replaces_a_name_given_by_hand() {
        let mut host = Machine::new();
        host.xenstore("/libxl/pci/0000-03-00-0/name", "by-hand");
        let told = named(&mut host, "gpu = 03:00.0\n", "pciback");
        assert_eq!(
            told,
            ["0000:03:00.0 by-hand Replaced", "0000:03:00.0 gpu Given"]
        );
    }

    /// What is not known takes no name away.
    #[test]
    fn takes_no_name_back_that_may_be_asked_for() {
        let mut host = Machine::new();
        named(&mut host, "gpu = 03:00.0\nlan = 04:00.0\n", "pciback");
        let request = request("gpu = 10de:1b80\nusb = 04:00.0\n");
        let mut devices = devices(&request, "pciback");
        for (known, lan) in [
            // It is to have another name, whatever else is asked for.
            (Known::Part, "0000:04:00.0 lan Replaced"),
            (Known::All, "0000:04:00.0 lan TakenBack"),
        ] {
            let mut host = Machine::new();
            named(&mut host, "gpu = 03:00.0\nlan = 04:00.0\n", "pciback");
            let (told, _) = run(&mut host, &request, &devices, known);
            assert_eq!(
                told,
                [lan, "0000:03:00.0 gpu StillAsked", "0000:04:00.0 usb Given"]
            );
        }
        devices.iter_mut().for_each(|device| device.name = None);
        let (told, _) = run(&mut host, &request, &devices, Known::Part);
        assert_eq!(
            told,
            ["0000:04:00.0 lan Unsure", "0000:03:00.0 gpu StillAsked"]
        );
        assert_eq!(host.calls_of("xenstore-remove").len(), 0);
    }

    #[test]
    fn leaves_a_name_while_the_driver_is_not_known() {
        for at in ["0000-03-00-0", "0000-04-00-0"] {
            let mut host = Machine::new();
            host.xenstore(&format!("/libxl/pci/{at}/name"), "gpu");
            host.xenstore(&format!("/libxl/pci/{at}/pciseize"), "gpu");
            let request = request("gpu = 03:00.0\n");
            let mut devices = devices(&request, "");
            devices[0].state.is_driver_known = false;
            let (told, _) = run(&mut host, &request, &devices, Known::All);
            assert_eq!(told, ["0000:03:00.0 gpu DriverUnread"]);
            assert_eq!(host.calls_of("xenstore-remove").len(), 0);
            assert_eq!(host.calls_of("xenstore-write").len(), 0);
        }
    }

    #[test]
    fn gives_no_name_that_another_device_still_has() {
        let mut host = Machine::new();
        host.xenstore("/libxl/pci/0000-04-00-0/name", "gpu");
        host.refuse("xenstore-remove", Errno::EPERM);
        let told = named(&mut host, "gpu = 03:00.0\n", "pciback");
        assert_eq!(
            told,
            ["0000:04:00.0 gpu Failed(Errno(1))", "0000:03:00.0 gpu Held"]
        );
        assert_eq!(host.calls_of("xenstore-write").len(), 0);
    }

    #[test]
    fn changes_nothing_while_a_name_cannot_be_read() {
        for errno in [Errno::EIO, Errno::EISDIR, Errno::ETIMEDOUT] {
            let mut host = Machine::new();
            host.xenstore("/libxl/pci/0000-03-00-0/name", "gpu");
            host.xenstore("/libxl/pci/0000-04-00-0/name", "lan");
            host.refuse("xenstore /libxl/pci/0000-04-00-0/name", errno);
            let request = request("lan = 03:00.0\n");
            let devices = devices(&request, "pciback");
            let (told, given) = run(&mut host, &request, &devices, Known::All);
            assert!(told.is_empty());
            assert_eq!(given, Err(Stopped::Unread(address("04:00.0"), errno)));
            // 04:00.0 comes first, and nobody waits for xenstore again.
            assert_eq!(host.calls_of("xenstore").len(), 1);
            assert_eq!(host.calls_of("xenstore-remove").len(), 0);
        }
        // A name that is too long is none of these.
        let mut host = Machine::new();
        host.xenstore("/libxl/pci/0000-04-00-0/name", "long");
        host.refuse("xenstore /libxl/pci/0000-04-00-0/name", Errno::ENAMETOOLONG);
        let told = named(&mut host, "gpu = 03:00.0\n", "pciback");
        assert_eq!(told, ["0000:03:00.0 gpu Given"]);
    }

    #[test]
    fn stops_once_xenstore_is_silent() {
        for call in [
            "xenstore /libxl/pci/0000-04-00-0/pciseize",
            "xenstore-remove",
            "xenstore-write",
        ] {
            let mut host = Machine::new();
            host.xenstore("/libxl/pci/0000-04-00-0/name", "gpu");
            host.refuse(call, Errno::ETIMEDOUT);
            let request = request("gpu = 03:00.0\nlan = 04:00.0\n");
            let devices = devices(&request, "pciback");
            let (_, given) = run(&mut host, &request, &devices, Known::All);
            assert!(
                matches!(given, Err(Stopped::Silent(_, Errno::ETIMEDOUT))),
                "{call}"
            );
            let last = host.calls.last().expect("a call");
            assert!(last.starts_with(call), "{last}");
        }
    }

    #[test]
    fn gives_no_name_to_what_pciback_has_not() {
        let mut host = Machine::new();
        named(&mut host, "gpu = 03:00.0\n", "pciback");
        let told = named(&mut host, "gpu = 03:00.0\n", "e1000e");
        assert_eq!(told, ["0000:03:00.0 gpu NotSeized"]);
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
        let (_, given) = run(&mut host, &request, &devices, Known::All);
        assert_eq!(given, Err(Stopped::Unlisted(Errno::ETIMEDOUT)));
    }
}
