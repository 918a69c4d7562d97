//! Guards: what the image knows to be needed to boot, and where that is on this machine now.
//!
//! A disk moves to another slot, or a card before it is taken out and its bus gets another number.
//! Then a guard means no function, and the disk has no protection. So whoever cannot be found at
//! its place is protected by its identity, anywhere. If that is nowhere, nobody knows from which
//! disk the host boots, and no storage is taken.

use heapless::Vec;

use super::note_item;
use crate::{
    facts::usage::{Usage, Use},
    host::Files,
    pci::bus,
    request::{By, Candidate, Cursor, ItemId, Mistake, NEEDS, Need, Request, Selector},
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
    if request.lacks_guard {
        // What cannot be read may be any of them.
        for need in Need::ALL {
            usage.note_lost(need.into());
        }
    }
    let mut needs = Needs::of(request);
    if request.guards() == 0 && needs.missing.is_empty() {
        return;
    }
    let wants_place = request.asks_by(By::Path) || !needs.missing.is_empty();
    let walked = bus::walk(host, &mut |host, address| {
        let place = wants_place.then(|| bus::place(host, address)).flatten();
        let candidate = Candidate {
            address,
            identity: bus::identity(host, address).ok(),
            place: place.as_ref(),
            is_virtual: false,
        };
        needs.look_at(usage, &candidate);
        let (guards, mut cursor) = (request.guards(), Cursor::default());
        while let Some((id, item)) = request.next_match(&candidate, &mut cursor) {
            item.has_matched |= id < guards && item.selector.is_expected(&candidate);
        }
    });
    if walked.is_ok() {
        (0..request.guards()).for_each(|guard| note_lost(request, guard));
    }
    needs.find_elsewhere(host, usage);
}

/// What dom0 needs once it runs, as the image knows it, and was not found so far.
struct Needs {
    missing: Vec<(Need, Selector), NEEDS>,
}

impl Needs {
    /// None where no item may take such a thing by mistake.
    fn of(request: &Request) -> Needs {
        let may_be_taken = request
            .items
            .iter()
            .any(|item| !item.takes_what_is_needed());
        let missing = if may_be_taken {
            request.needs.clone()
        } else {
            Vec::new()
        };
        Needs { missing }
    }

    /// Notes what a function is needed for.
    fn look_at(&mut self, usage: &mut Usage, candidate: &Candidate) {
        self.missing.retain(|(need, selector)| {
            let is_it = selector.is_at(candidate) && selector.is_expected(candidate);
            if is_it {
                usage.note_needed(candidate.address, Use::from(*need));
            }
            !is_it
        });
    }

    /// Notes what is not at its place, but elsewhere: every function of its identity. Where there
    /// is none, nobody knows what dom0 needs in its stead.
    fn find_elsewhere<H: Files>(&self, host: &mut H, usage: &mut Usage) {
        for (need, selector) in &self.missing {
            let one = Use::from(*need);
            let mut is_lost = true;
            let _ = bus::walk(host, &mut |host, address| {
                let candidate = Candidate {
                    address,
                    identity: bus::identity(host, address).ok(),
                    place: None,
                    is_virtual: false,
                };
                let anywhere = selector.expected_anywhere();
                if anywhere.is_some_and(|selector| selector.is_at(&candidate)) {
                    usage.note_needed(address, one);
                    is_lost = false;
                }
            });
            if is_lost {
                usage.note_lost(one);
            }
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
