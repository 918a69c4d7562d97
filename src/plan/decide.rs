//! The decision on one function.

use crate::{
    device::{Action, Wish},
    facts::usage::{Usage, Uses, virtuals::Said},
    pci::Identity,
    request::{By, Candidate, Cursor, Item, ItemId, Request},
};

/// What is to be done with a function, and who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub action: Action,
    /// Who asks for it. One that is kept, and that nobody asked for, has no item.
    pub wish: Wish,
}

impl Decision {
    /// On a function that nobody asks for, and that nobody keeps.
    pub const UNASKED: Decision = Decision::of(Action::Unasked, None);

    const fn of(action: Action, item: Option<ItemId>) -> Decision {
        Decision {
            action,
            wish: Wish {
                item,
                is_by_address: false,
            },
        }
    }
}

/// What an item says of a function that is at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It asks for the function.
    Asks,
    /// It keeps the function.
    Keeps,
    /// It asks for another device at that place.
    AsksForOther,
    /// It keeps another device at that place.
    KeepsOther,
    /// Nothing: the function is a bridge, which the item passes over.
    NothingOfBridge,
    /// Nothing: the function is a virtual one, which no path means.
    NothingOfVirtual,
}

impl Says {
    /// What an item says that is no guard.
    pub fn of(item: &Item, candidate: &Candidate<'_>) -> Says {
        if candidate.is_bridge() && item.selector.passes_over_bridges() && !item.is_keep {
            return Says::NothingOfBridge;
        }
        if candidate.is_virtual && item.selector.by() == By::Path && !item.is_keep {
            return Says::NothingOfVirtual;
        }
        match (item.selector.is_expected(candidate), item.is_keep) {
            (true, true) => Says::Keeps,
            (true, false) => Says::Asks,
            (false, true) => Says::KeepsOther,
            (false, false) => Says::AsksForOther,
        }
    }
}

/// What the items say of a function.
#[derive(Default)]
struct Matches {
    /// The first item that asks for it.
    asked: Option<ItemId>,
    /// The first item that expects another device at its place.
    expected_other: Option<ItemId>,
    /// The first item that keeps it.
    kept: Option<ItemId>,
    /// Whether an item asks for what is at this one place.
    is_one_place: bool,
    /// Whether an item names it, and so takes it even if dom0 needs it.
    is_named: bool,
    /// Whether an item asks for whatever is at its address.
    is_by_address: bool,
    /// Whether an item keeps it, if it is the device that the item expects there.
    may_be_kept: bool,
    /// Whether the image knows that the host boots from it.
    is_booted_from: bool,
}

/// Decides on a function. `None`: no item means it.
pub fn decide(
    request: &mut Request,
    usage: &mut Usage,
    candidate: &Candidate<'_>,
) -> Option<Decision> {
    let matches = find_matches(request, candidate);
    let Some(item) = matches.asked else {
        let mismatch = matches.expected_other;
        let action = if candidate.identity.is_some() {
            Action::Mismatch
        } else {
            Action::LeaveUnread
        };
        let mismatch = mismatch.map(|item| Decision::of(action, Some(item)));
        let kept = matches
            .kept
            .map(|keep| Decision::of(Action::Keep(keep), None));
        return mismatch.or(kept);
    };
    let action = choose(request, usage, candidate, &matches);
    if action == Action::Seize {
        usage.give(candidate.address);
    }
    let wish = Wish {
        item: Some(item),
        is_by_address: matches.is_by_address,
    };
    Some(Decision { action, wish })
}

/// Whether an item names a function, and none keeps it.
pub fn is_named(request: &mut Request, candidate: &Candidate<'_>) -> bool {
    let matches = find_matches(request, candidate);
    matches.is_named && matches.kept.is_none()
}

/// Whether an item asks for a function, and whether one keeps it. What cannot be read of it may be
/// what an item says.
pub fn says(request: &mut Request, candidate: &Candidate<'_>) -> Said {
    let matches = find_matches(request, candidate);
    let by_identity = request.asks_by(By::Identity) || request.asks_by(By::Class);
    let may_be_asked =
        candidate.identity.is_none() && (by_identity || matches.expected_other.is_some());
    Said {
        is_asked: matches.asked.is_some() || may_be_asked,
        is_kept: matches.kept.is_some() || may_be_kept(request, candidate, &matches),
    }
}

/// Collects what the items say, and notes in each that it means something.
fn find_matches(request: &mut Request, candidate: &Candidate<'_>) -> Matches {
    let is_unread = candidate.identity.is_none();
    let guards = request.guards();
    let mut matches = Matches::default();
    let mut cursor = Cursor::default();
    while let Some((id, item)) = request.next_match(candidate, &mut cursor) {
        if id < guards {
            // What cannot be read at the place of a guard may be what it guards.
            let may_be_it = is_unread || item.selector.is_expected(candidate);
            let first = item.stands_in_for;
            matches.is_booted_from |=
                may_be_it && first.is_none_or(|first| !request.has_found_guard(first));
            continue;
        }
        let says = Says::of(item, candidate);
        item.has_matched |= matches!(says, Says::Asks | Says::Keeps | Says::AsksForOther);
        let mut named = None;
        match says {
            Says::NothingOfBridge => item.has_passed_over = true,
            Says::NothingOfVirtual => item.has_passed_over_virtual = true,
            Says::Keeps => note_first(&mut matches.kept, id),
            Says::Asks => {
                named = item.name;
                note_first(&mut matches.asked, id);
                matches.is_one_place |= !item.is_broad();
                matches.is_named |= item.takes_what_is_needed();
                matches.is_by_address |= item.selector.is_plain();
            }
            Says::KeepsOther => {
                item.has_matched |= is_unread;
                matches.may_be_kept |= is_unread;
            }
            Says::AsksForOther => note_first(&mut matches.expected_other, id),
        }
        if let Some(name) = named {
            request.names.note_meant(name, candidate.address);
        }
    }
    if !is_unread && matches.asked.is_some() && matches.expected_other.is_some() {
        note_overruled(request, candidate);
    }
    matches
}

/// Notes in each item that expects another device here that others ask for this one all the same.
fn note_overruled(request: &mut Request, candidate: &Candidate<'_>) {
    let guards = request.guards();
    let mut cursor = Cursor::default();
    while let Some((id, item)) = request.next_match(candidate, &mut cursor) {
        item.is_overruled |= id >= guards && !item.is_keep && !item.selector.is_expected(candidate);
    }
}

/// Items come in no particular order: the first is the one with the lowest number.
fn note_first(first: &mut Option<ItemId>, id: ItemId) {
    *first = Some(first.map_or(id, |first| first.min(id)));
}

/// What is to be done with a function that is asked for.
fn choose(
    request: &Request,
    usage: &Usage,
    candidate: &Candidate<'_>,
    matches: &Matches,
) -> Action {
    if let Some(keep) = matches.kept {
        Action::Keep(keep)
    } else if !candidate.address.is_known_to_xen() {
        Action::RefuseDomain
    } else if candidate.is_bridge() {
        Action::RefuseBridge
    } else if request.lacks_keep && !matches.is_one_place {
        Action::Leave
    } else if may_be_kept(request, candidate, matches) {
        Action::LeaveUnread
    } else if matches.is_booted_from && !request.switches.force {
        Action::RefuseBoot
    } else if may_be_booted_from(request, candidate) && !request.switches.force {
        Action::LeaveBoot
    } else if request.lacks_guard && may_be_storage(candidate) && !request.switches.force {
        Action::LeaveStorage
    } else if usage.forbids(candidate.address, Uses::TO_BOOT) {
        Action::RefuseInUse
    } else if is_needed(request, usage, candidate, matches) {
        Action::LeaveNeeded
    } else if usage.forbids(candidate.address, Uses::ALL) {
        Action::RefuseInUse
    } else {
        Action::Seize
    }
}

/// Whether dom0 needs the function, or may need it, and no item names it.
fn is_needed(
    request: &Request,
    usage: &Usage,
    candidate: &Candidate<'_>,
    matches: &Matches,
) -> bool {
    let is_meant = matches.is_named || request.switches.force;
    !is_meant && usage.uses(candidate.address).meets(Uses::NEEDED)
}

/// Whether a keep may mean the function by what is not known of it. It is kept then, whatever asks
/// for it: nobody can tell that it is not the one to keep.
fn may_be_kept(request: &Request, candidate: &Candidate, matches: &Matches) -> bool {
    let keeps_by = |by| request.keeps_by(by);
    let by_identity = keeps_by(By::Identity) || keeps_by(By::Class) || matches.may_be_kept;
    candidate.place.is_none() && keeps_by(By::Path) || candidate.identity.is_none() && by_identity
}

/// Whether the image may know that the host boots from the function, by what is not known of it. A
/// guard has an identity; one that cannot be read may be that of any guard, wherever its device is
/// now.
fn may_be_booted_from(request: &Request, candidate: &Candidate) -> bool {
    let is_unknown =
        candidate.identity.is_none() || candidate.place.is_none() && request.asks_by(By::Path);
    request.guards() > 0 && is_unknown
}

/// Whether a function is storage, or may be.
fn may_be_storage(candidate: &Candidate<'_>) -> bool {
    candidate.identity.is_none_or(Identity::is_storage)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::{
        host::testing::{Machine, boxed},
        pci::{Address, Place},
        request::{source::embedded, testing::request},
    };

    const NIC: Identity = Identity {
        ids: 0x8086_10d3_1af4_1100,
        class: 0x02_0000,
    };

    const BRIDGE: Identity = Identity {
        ids: 0x1b36_000c_0000_0000,
        class: 0x06_0400,
    };

    /// What is to be done with a function, and by which item's wish.
    fn decided(text: &str, candidate: &Candidate) -> Option<(Action, Option<ItemId>)> {
        let mut request = request(text);
        let mut usage = boxed(Usage::new);
        let decision = decide(&mut request, &mut usage, candidate)?;
        Some((decision.action, decision.wish.item))
    }

    fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).expect(text)
    }

    fn place() -> Place {
        let target = b"../../../devices/pci0000:00/0000:00:1c.0/0000:03:00.0";
        Place::from_link(target).expect("a place")
    }

    #[test]
    fn decides_on_a_card() {
        let place = place();
        let candidate = Candidate {
            address: address("03:00.0"),
            identity: Some(NIC),
            place: Some(&place),
            is_virtual: false,
        };
        let seize = |item| Some((Action::Seize, Some(item)));
        for (text, expected) in [
            ("", None),
            ("04:00.0", None),
            ("03:00.0", seize(0)),
            ("03:00.*", seize(0)),
            ("8086:10d3", seize(0)),
            ("class:network", seize(0)),
            ("00:1c.0/00.0", seize(0)),
            ("8086:10d3@03:00.0", seize(0)),
            // The first item that asks for it.
            ("class:usb\nclass:02\n03:00.0", seize(1)),
            // A keep wins, wherever it stands; of several the first.
            ("!03:00.0\n03:00.0", Some((Action::Keep(0), Some(1)))),
            (
                "03:00.0\n!8086:*\n!03:00.*",
                Some((Action::Keep(1), Some(0))),
            ),
            ("03:00.0\n!00:1c.0/00.0", Some((Action::Keep(1), Some(0)))),
            // Kept, and asked for by nobody.
            ("!03:00.0", Some((Action::Keep(0), None))),
            // Another device is expected there, and the keep is for another.
            ("10de:1b80@03:00.0", Some((Action::Mismatch, Some(0)))),
            ("03:00.0\n!10de:1b80@03:00.0", seize(0)),
            ("!10de:1b80@03:00.0", None),
            // Whoever asks for what is there wins over who expects another.
            ("10de:1b80@03:00.0\n03:00.0", seize(1)),
            (
                "10de:1b80@03:00.0\n!03:00.0",
                Some((Action::Mismatch, Some(0))),
            ),
        ] {
            assert_eq!(decided(text, &candidate), expected, "{text}");
        }
    }

    #[test]
    fn refuses_bridges_and_passes_over_them() {
        let candidate = Candidate {
            address: address("00:1c.0"),
            identity: Some(BRIDGE),
            place: None,
            is_virtual: false,
        };
        for (text, expected) in [
            ("00:1c.0", Some((Action::RefuseBridge, Some(0)))),
            ("1b36:000c", Some((Action::RefuseBridge, Some(0)))),
            ("00:1c.*", None),
            ("1b36:*", None),
            ("class:06", None),
            ("!00:1c.*", Some((Action::Keep(0), None))),
            ("00:1c.0\n!class:06", Some((Action::Keep(1), Some(0)))),
        ] {
            assert_eq!(decided(text, &candidate), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_xen_cannot_name() {
        let candidate = |text| Candidate {
            address: address(text),
            identity: Some(NIC),
            place: None,
            is_virtual: false,
        };
        let refused = Some((Action::RefuseDomain, Some(0)));
        assert_eq!(decided("8086:10d3", &candidate("10000:e1:00.0")), refused);
        let seized = Some((Action::Seize, Some(0)));
        assert_eq!(decided("8086:10d3", &candidate("ffff:e1:00.0")), seized);
    }

    #[test]
    fn takes_by_its_address_alone_what_cannot_be_read() {
        let candidate = Candidate {
            address: address("03:00.0"),
            identity: None,
            place: None,
            is_virtual: false,
        };
        let seized = Some((Action::Seize, Some(0)));
        for (text, expected) in [
            ("03:00.0", seized),
            ("8086:10d3", None),
            ("class:network", None),
            // Nobody knows what it is.
            ("8086:10d3@03:00.0", Some((Action::LeaveUnread, Some(0)))),
            // A keep may mean it: nobody knows its path, its identity and its class.
            (
                "03:00.0\n!00:1c.0/00.0",
                Some((Action::LeaveUnread, Some(0))),
            ),
            ("03:00.0\n!8086:10d3", Some((Action::LeaveUnread, Some(0)))),
            ("03:00.0\n!class:usb", Some((Action::LeaveUnread, Some(0)))),
            (
                "03:00.0\n!8086:10d3@03:00.*",
                Some((Action::LeaveUnread, Some(0))),
            ),
            ("03:00.0\n!8086:10d3@04:00.0", seized),
            ("03:00.0\n!04:00.0", seized),
        ] {
            assert_eq!(decided(text, &candidate), expected, "{text}");
        }
    }

    #[test]
    fn leaves_to_an_unreadable_keep_what_a_broad_item_means() {
        let candidate = Candidate {
            address: address("03:00.0"),
            identity: Some(NIC),
            place: None,
            is_virtual: false,
        };
        for (text, expected) in [
            ("class:network\n!nonsense", Action::Leave),
            ("03:00.*\n!nonsense", Action::Leave),
            ("8086:10d3\n!nonsense", Action::Leave),
            ("03:00.0\n!nonsense", Action::Seize),
            ("class:network\n03:00.0\n!nonsense", Action::Seize),
            // What cannot be read and has no `!` keeps nothing.
            ("class:network\nnonsense", Action::Seize),
        ] {
            assert_eq!(
                decided(text, &candidate),
                Some((expected, Some(0))),
                "{text}"
            );
        }
    }

    #[test]
    fn knows_who_asks_for_whatever_is_there() {
        let candidate = Candidate {
            address: address("03:00.0"),
            identity: Some(NIC),
            place: None,
            is_virtual: false,
        };
        for (text, expected) in [
            ("03:00.0", true),
            ("03:00.*", true),
            ("8086:10d3", false),
            ("8086:10d3@03:00.0", false),
            ("8086:10d3\n03:00.0", true),
        ] {
            let mut request = request(text);
            let mut usage = boxed(Usage::new);
            let decision = decide(&mut request, &mut usage, &candidate).expect(text);
            assert_eq!(decision.wish.is_by_address, expected, "{text}");
        }
    }

    #[test]
    fn spares_what_the_host_boots_from() {
        let place = place();
        let boot = "8086:10d3@00:1c.0/00.0\n";
        for (boot, wish, force, place, expected) in [
            (boot, "class:network", "", Some(&place), Action::RefuseBoot),
            (boot, "03:00.0", "", Some(&place), Action::RefuseBoot),
            (
                boot,
                "class:network",
                "force = yes",
                Some(&place),
                Action::Seize,
            ),
            // Nobody can tell where it is, so its identity counts.
            (boot, "class:network", "", None, Action::RefuseBoot),
            (boot, "class:network", "force = yes", None, Action::Seize),
            // At that place is another device than when the image was made.
            (
                "8086:10d4@00:1c.0/00.0\n",
                "03:00.0",
                "",
                Some(&place),
                Action::Seize,
            ),
            ("", "03:00.0", "", Some(&place), Action::Seize),
        ] {
            let mut host = Machine::new();
            host.file("/etc/xen/pciback.boot", boot);
            host.file("/etc/xen/pciback.conf", &std::format!("{wish}\n{force}\n"));
            let mut request = boxed(Request::new);
            let empty = embedded::section(b"").expect("room");
            request.gather(&mut host, &empty, Some(b""));
            let mut usage = boxed(Usage::new);
            let candidate = Candidate {
                address: address("03:00.0"),
                identity: Some(NIC),
                place,
                is_virtual: false,
            };
            let decision = decide(&mut request, &mut usage, &candidate);
            let action = decision.map(|decision| decision.action);
            assert_eq!(action, Some(expected), "{boot}{wish} {force}");
        }
    }

    #[test]
    fn spares_what_is_in_use_and_forbidden() {
        let way = "pci0000:00/0000:00:1c.0/0000:03:00.0";
        let mut host = Machine::new();
        host.file("/proc/net/route", "eth0 00000000 0 0003 0 0 0 00000000\n");
        host.link(
            "/sys/class/net/eth0",
            &std::format!("../../devices/{way}/net/eth0"),
        );
        for (text, forbidden, at, expected) in [
            ("03:00.*", Uses::ALL, "03:00.0", Action::RefuseInUse),
            ("04:00.*", Uses::ALL, "04:00.0", Action::Seize),
            ("03:00.*", Uses::TO_BOOT, "03:00.0", Action::Seize),
            ("03:00.0", Uses::NONE, "03:00.0", Action::Seize),
            ("8086:10d3@03:00.0", Uses::NONE, "03:00.0", Action::Seize),
            ("class:network", Uses::NONE, "04:00.0", Action::Seize),
            ("class:network", Uses::NONE, "03:00.0", Action::LeaveNeeded),
            ("class:network", Uses::ALL, "03:00.0", Action::LeaveNeeded),
            ("8086:10d3", Uses::NONE, "03:00.0", Action::LeaveNeeded),
            ("03:*.*", Uses::NONE, "03:00.0", Action::LeaveNeeded),
            ("8086:*@03:*.*", Uses::NONE, "03:00.0", Action::LeaveNeeded),
            (
                "class:network\n03:00.0",
                Uses::NONE,
                "03:00.0",
                Action::Seize,
            ),
            (
                "class:network\nforce = yes",
                Uses::NONE,
                "03:00.0",
                Action::Seize,
            ),
            (
                "class:network\n!03:00.0",
                Uses::NONE,
                "03:00.0",
                Action::Keep(1),
            ),
        ] {
            let mut request = request(text);
            let mut usage = boxed(Usage::new);
            usage.gather(&mut host, forbidden);
            let candidate = Candidate {
                address: address(at),
                identity: Some(NIC),
                place: None,
                is_virtual: false,
            };
            let decision = decide(&mut request, &mut usage, &candidate);
            let action = decision.map(|decision| decision.action);
            assert_eq!(action, Some(expected), "{text} {forbidden:?} {at}");
        }
    }

    /// Of two controllers with keyboards one may go, the last one may not.
    #[test]
    fn leaves_the_last_keyboard() {
        let mut host = Machine::new();
        let keyboard = |at: &str| {
            std::format!("S: Sysfs=/devices/pci0000:00/{at}/usb1/input0\nB: KEY=1 fffffffe\n")
        };
        let both = keyboard("0000:00:14.0") + &keyboard("0000:00:1a.0");
        host.file("/proc/bus/input/devices", &both);
        let mut request = request("00:14.0\n00:1a.0\n");
        let mut usage = boxed(Usage::new);
        usage.gather(&mut host, Uses::ALL);
        let actions = ["00:14.0", "00:1a.0"].map(|at| {
            let candidate = Candidate {
                address: address(at),
                identity: Some(NIC),
                place: None,
                is_virtual: false,
            };
            let decision = decide(&mut request, &mut usage, &candidate);
            decision.expect("a decision").action
        });
        assert_eq!(actions, [Action::Seize, Action::RefuseInUse]);
    }

    #[test]
    fn notes_which_items_mean_something() {
        let text = "03:00.0\n04:00.0\n10de:1b80@03:00.0\n!10de:1b80@03:00.0\n!03:00.*\n";
        let mut request = request(text);
        let candidate = Candidate {
            address: address("03:00.0"),
            identity: Some(NIC),
            place: None,
            is_virtual: false,
        };
        decide(&mut request, &mut boxed(Usage::new), &candidate);
        let matched: std::vec::Vec<bool> =
            request.items.iter().map(|item| item.has_matched).collect();
        assert_eq!(matched, [true, false, true, false, true]);
    }
}
