//! What comes later: an address that is asked for and where nothing is goes onto pciback's list, so
//! that pciback takes whatever appears there (`pci_stub.c`, `new_slot_store`).

use crate::{
    device::{Action, Devices, Step},
    host::Files,
    pciback::Answer,
    put,
    request::Request,
    text::Line,
};

/// Has pciback wait for every address of the request that may be waited for. Where pciback is not
/// there, nobody waits.
pub fn enlist_expected<H: Files>(
    host: &mut H,
    request: &Request,
    devices: &mut Devices,
    pciback: Answer,
) {
    for device in devices
        .iter_mut()
        .filter(|device| device.action == Action::Expect)
    {
        if !pciback.is_ready() {
            device.action = Action::Absent;
            continue;
        }
        let mut place = Line::new();
        if let Some(item) = device.item(request) {
            // The kernel reads the same forms, with the same `*`.
            put!(&mut place, "{}", item);
        }
        let listed = host.write(b"/sys/bus/pci/drivers/pciback/new_slot", place.bytes());
        if listed.is_err() {
            device.action = Action::Absent;
        }
        device.note(Step::Enlist, listed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{Device, Failure, Wish},
        host::{
            Errno,
            testing::{Machine, boxed},
        },
        pci::Address,
        request::testing::request,
    };

    const SLOT: &str = "/sys/bus/pci/drivers/pciback/new_slot";

    fn wanted(item: u16, action: Action) -> Device {
        let wish = Wish {
            item: Some(item),
            is_by_address: false,
        };
        let mut device = Device::new(Address::from_bits(u64::from(item)), wish, action);
        device.function.is_there = false;
        device
    }

    #[test]
    fn has_pciback_wait_where_something_is_expected() {
        let request = request("03:00.0\n04:00.*\n05:00.0\n");
        let mut devices = boxed(Devices::new);
        for (item, action) in [
            (0, Action::Expect),
            (1, Action::Expect),
            (2, Action::Absent),
        ] {
            devices.push(wanted(item, action)).expect("room");
        }
        let mut host = Machine::new();
        host.file(SLOT, "");
        enlist_expected(&mut host, &request, &mut devices, Answer::Ready);
        let written = ["0000:03:00.0", "0000:04:00.*"].map(|place| std::format!("{SLOT} {place}"));
        assert_eq!(host.calls_of("write"), written);
        assert_eq!(devices[0].action, Action::Expect);
    }

    #[test]
    fn expects_nothing_where_pciback_does_not_wait() {
        let refused = Failure {
            step: Step::Enlist,
            errno: Errno::EIO,
        };
        for (answer, failure, writes) in
            [(Answer::NoFile, None, 0), (Answer::Ready, Some(refused), 1)]
        {
            let request = request("03:00.0");
            let mut devices = boxed(Devices::new);
            devices.push(wanted(0, Action::Expect)).expect("room");
            let mut host = Machine::new();
            host.refuse("write", Errno::EIO);
            enlist_expected(&mut host, &request, &mut devices, answer);
            assert_eq!(devices[0].action, Action::Absent);
            assert_eq!(devices[0].work.failure, failure);
            assert_eq!(host.calls_of("write").len(), writes);
        }
    }

    extern crate std;
}
