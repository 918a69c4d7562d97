//! The items that mean no function: each becomes an entry of its own, or a notice.

use super::{add, note_item};
use crate::{
    device::{Action, Device, Devices, Step, Wish},
    host::Errno,
    pci::{Address, address::GREATEST_SEGMENT},
    request::{Item, ItemId, Mistake, Request},
};

/// Stands for the address of what has none: the last that there could be.
const NOWHERE: Address = Address::from_bits((1 << 48) - 1);

/// Adds an entry for every item that means no function, and a notice for every keep that means
/// none, and for every item whose place has another device for which others ask. `walked`: whether
/// the bus could be listed.
pub fn add_absent(request: &mut Request, devices: &mut Devices, walked: Result<(), Errno>) {
    // Asked before anything is noted of a keep, which would count as one that cannot be read.
    let may_be_booted_from = request.lacks_guard && !request.switches.force;
    let nobody_may_expect = walked.is_err() || request.keeps_broadly() || may_be_booted_from;
    for id in request.guards()..request.items.len() as ItemId {
        let is_overruled = |item: &Item| item.is_overruled;
        if request.items.get(usize::from(id)).is_some_and(is_overruled)
            && !request.is_said_before(id)
        {
            note_item(request, id, Mistake::Overruled);
        }
        let Some(item) = request
            .items
            .get(usize::from(id))
            .filter(|item| !item.has_matched)
        else {
            continue;
        };
        if item.is_keep {
            if walked.is_ok() {
                note_item(request, id, Mistake::KeepsNothing);
            }
        } else if !request.is_said_before(id) {
            let address = item.selector.address();
            let may_be_in_a_segment = may_be_in_a_segment(item);
            // What dom0 needs may be what appears, where an item means more than a slot.
            let may_be_needed = !request.needs.is_empty() || request.lacks_need;
            let may_expect = !nobody_may_expect
                && may_appear(item)
                && (item.takes_what_is_needed() || !may_be_needed);
            let is_kept = request.keeps() && address.is_none_or(|a| request.keeps_at(a));
            let action = if walked.is_err() {
                Action::LeaveUnlisted
            } else if !may_be_in_a_segment {
                Action::RefuseDomain
            } else if may_expect && !is_kept {
                Action::Expect
            } else {
                Action::Absent
            };
            let wish = Wish {
                item: Some(id),
                is_by_address: false,
            };
            let mut device = Device::new(address.unwrap_or(NOWHERE), wish, action);
            device.function.is_there = false;
            device.note(Step::List, walked);
            add(request, devices, device);
        }
    }
}

/// Whether pciback may take what appears later where an item means it: whatever is at an address is
/// asked for, and there is no bridge, which on pciback's list gives away all that is behind it.
fn may_appear(item: &Item) -> bool {
    item.selector.is_plain() && !item.has_passed_over
}

/// Whether the place that an item means, if it means one, may be in a segment of Xen's.
fn may_be_in_a_segment(item: &Item) -> bool {
    item.selector
        .domain()
        .is_none_or(|domain| domain <= GREATEST_SEGMENT)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{
        string::{String, ToString},
        vec::Vec,
    };

    use super::*;
    use crate::{
        host::testing::{boxed, shown},
        request::testing::request,
    };

    /// A request with these items, and what is added for them: address and action.
    fn added(text: &str, walked: Result<(), Errno>) -> (std::boxed::Box<Request>, Vec<String>) {
        let mut request = request(text);
        let mut devices = boxed(Devices::new);
        add_absent(&mut request, &mut devices, walked);
        let entry = |device: &Device| {
            assert!(!device.function.is_there);
            let address = device.known_address(&request);
            let address = address.map_or("-".to_string(), shown);
            let failure = device.work.failure.map_or(String::new(), |failure| {
                std::format!(" {}", shown(failure.errno))
            });
            std::format!("{address} {:?}{failure}", device.action)
        };
        let entries = devices.iter().map(entry).collect();
        (request, entries)
    }

    #[test]
    fn expects_what_may_come_and_misses_the_rest() {
        for (text, expected) in [
            ("", [].as_slice()),
            ("03:00.0", &["0000:03:00.0 Expect"]),
            ("03:00.*", &["- Expect"]),
            ("8086:10d3@03:00.0", &["0000:03:00.0 Absent"]),
            ("8086:10d3", &["- Absent"]),
            ("class:usb", &["- Absent"]),
            ("00:1c.0/00.0", &["- Absent"]),
            ("03:00.0\n3:0.0", &["0000:03:00.0 Expect"]),
            // Xen can name nothing there, so pciback need not wait for it.
            ("10000:e1:00.0", &["10000:e1:00.0 RefuseDomain"]),
            ("10000:e1:00.*", &["- RefuseDomain"]),
            ("10000:e0:06.0/00.0", &["- RefuseDomain"]),
            ("8086:10d3@10000:e1:00.0", &["10000:e1:00.0 RefuseDomain"]),
            ("ffff:e1:00.0", &["ffff:e1:00.0 Expect"]),
            // A keep at that address, and a keep that may mean whatever comes.
            ("03:00.0\n!03:00.0", &["0000:03:00.0 Absent"]),
            ("03:00.0\n!03:00.*", &["0000:03:00.0 Absent"]),
            ("03:00.0\n!04:00.0", &["0000:03:00.0 Expect"]),
            ("03:00.*\n!04:00.0", &["- Absent"]),
            ("03:00.0\n!8086:*", &["0000:03:00.0 Absent"]),
            ("03:00.0\n!nonsense", &["0000:03:00.0 Absent"]),
        ] {
            assert_eq!(added(text, Ok(())).1, expected, "{text}");
        }
    }

    #[test]
    fn knows_of_no_function_where_the_bus_cannot_be_listed() {
        let (request, entries) = added("03:00.0\n!04:00.0", Err(Errno::EIO));
        assert_eq!(entries, ["0000:03:00.0 LeaveUnlisted EIO (5)"]);
        assert_eq!(
            request.problems.iter().len(),
            0,
            "nobody knows what the keep means"
        );
    }

    /// What appears at that address may be the disk that was not found.
    #[test]
    fn expects_nothing_while_not_all_is_found_that_the_host_boots_from() {
        for (force, expected) in [(false, Action::Absent), (true, Action::Expect)] {
            let mut request = request("03:00.0");
            request.lacks_guard = true;
            request.switches.force = force;
            let mut devices = boxed(Devices::new);
            add_absent(&mut request, &mut devices, Ok(()));
            assert_eq!(devices[0].action, expected);
        }
    }

    #[test]
    fn tells_of_keeps_that_mean_nothing() {
        let (request, entries) = added("!04:00.0", Ok(()));
        assert!(entries.is_empty());
        let problems: Vec<String> = request.problems.iter().map(shown).collect();
        assert_eq!(
            problems,
            ["keeps nothing: no device of this machine matches"]
        );
        assert_eq!(request.problems.count(), 0, "a notice is no problem");
    }

    #[test]
    fn leaves_items_that_have_matched() {
        let mut request = request("03:00.0\n04:00.*\n");
        request.items[0].has_matched = true;
        // It means a bridge, which pciback must not get when it comes.
        request.items[1].has_passed_over = true;
        let mut devices = boxed(Devices::new);
        add_absent(&mut request, &mut devices, Ok(()));
        let told: Vec<_> = devices
            .iter()
            .map(|device| (device.wish.item, device.action))
            .collect();
        assert_eq!(told, [(Some(1), Action::Absent)]);
    }

    /// What has no address comes after every function.
    #[test]
    fn stands_behind_every_address() {
        assert_eq!(NOWHERE.bits(), 0xffff_ffff_ffff);
    }
}
