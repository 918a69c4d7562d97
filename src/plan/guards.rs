//! Guards: what the image knows to be needed to boot, and where that is on this machine now.
//!
//! A disk moves to another slot, or a card before it is taken out and its bus gets another number.
//! Then a guard means no function, and the disk has no protection. So whoever cannot be found at
//! its place is protected by its identity, anywhere. If that is nowhere, nobody knows from which
//! disk the host boots, and no storage is taken.

use super::{decide, note_item};
use crate::{
    facts::usage::{Usage, Use},
    host::Files,
    pci::bus,
    request::{By, Candidate, Cursor, ItemId, Mistake, Need, Needed, Request},
};

impl From<Need> for Use {
    fn from(need: Need) -> Use {
        match need {
            Need::Route => Use::Route,
            Need::Display => Use::Display,
            Need::Keyboard => Use::Keyboard,
        }
    }
}

/// Looks for what every guard means, and notes which of them mean nothing; and for what dom0 needs
/// once it runs. Before the walk that decides: what comes first on the bus may be the disk of a
/// guard whose place comes last.
pub fn find<H: Files>(host: &mut H, request: &mut Request, usage: &mut Usage) {
    // With force no guard counts.
    if request.switches.force {
        return;
    }
    if request.lacks_guard || request.lacks_need {
        // What cannot be read may be any of them.
        for need in Need::ALL {
            usage.note_lost(need.into());
        }
    }
    find_guards(host, request, usage);
    give_named_keyboards(host, request, usage);
}

/// Looks for the guards and the needs of the image, where it has any.
fn find_guards<H: Files>(host: &mut H, request: &mut Request, usage: &mut Usage) {
    if request.guards() == 0 && request.needs.is_empty() {
        return;
    }
    let wants_place = request.asks_by(By::Path) || !request.needs.is_empty();
    let walked = bus::walk(host, &mut |host, address| {
        let place = wants_place.then(|| bus::place(host, address)).flatten();
        let candidate = Candidate {
            address,
            identity: bus::identity(host, address).ok(),
            place: place.as_ref(),
            is_virtual: false,
        };
        for needed in &mut request.needs {
            let selector = &needed.selector;
            if selector.is_at(&candidate) && selector.is_expected(&candidate) {
                usage.note_needed(address, needed.need.into());
                needed.is_found = true;
            }
        }
        let (guards, mut cursor) = (request.guards(), Cursor::default());
        while let Some((id, item)) = request.next_match(&candidate, &mut cursor) {
            item.has_matched |= id < guards && item.selector.is_expected(&candidate);
        }
    });
    if walked.is_ok() {
        (0..request.guards()).for_each(|guard| note_lost(request, guard));
    }
    for needed in request.needs.iter().filter(|needed| !needed.is_found) {
        find_elsewhere(host, needed, usage);
    }
}

/// Notes what is not at its place, but elsewhere: every function of its identity may be it. Where
/// there is none, and nothing else for that need, nobody knows what dom0 has in its stead.
fn find_elsewhere<H: Files>(host: &mut H, needed: &Needed, usage: &mut Usage) {
    let one = needed.need.into();
    let anywhere = needed.selector.expected_anywhere();
    let mut is_lost = !usage.has(one);
    let _ = bus::walk(host, &mut |host, address| {
        let candidate = Candidate {
            address,
            identity: bus::identity(host, address).ok(),
            place: None,
            is_virtual: false,
        };
        if anywhere
            .as_ref()
            .is_some_and(|selector| selector.is_at(&candidate))
        {
            usage.note_needed(address, Use::PerhapsNeeded);
            is_lost = false;
        }
    });
    if is_lost {
        usage.note_lost(one);
    }
}

/// Notes that the keyboards are given away whose functions an item names: they are not the last
/// ones, whatever comes first on the bus.
fn give_named_keyboards<H: Files>(host: &mut H, request: &mut Request, usage: &mut Usage) {
    for address in usage.keyboards() {
        let place = bus::place(host, address);
        let candidate = Candidate {
            address,
            identity: bus::identity(host, address).ok(),
            place: place.as_ref(),
            is_virtual: false,
        };
        if decide::is_named(request, &candidate) {
            usage.give(address);
        }
    }
}

/// Notes a guard that means no function.
fn note_lost(request: &mut Request, guard: ItemId) {
    let Some(item) = request.items.get(usize::from(guard)) else {
        return;
    };
    if item.has_matched || item.stands_in_for.is_some() {
        return;
    }
    let stand_in = request.items.get(usize::from(guard) + 1);
    let is_elsewhere =
        stand_in.is_some_and(|item| item.stands_in_for == Some(guard) && item.has_matched);
    request.lacks_guard |= !is_elsewhere;
    let mistake = if is_elsewhere {
        Mistake::GuardElsewhere
    } else {
        Mistake::GuardNowhere
    };
    note_item(request, guard, mistake);
}
