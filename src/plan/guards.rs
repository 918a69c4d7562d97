//! Guards: what the image knows to be needed to boot, and where that is on this machine now.
//!
//! A disk moves to another slot, or a card before it is taken out and its bus gets another number.
//! Then a guard means no function, and the disk has no protection. So whoever cannot be found at
//! its place is protected by its identity, anywhere. If that is nowhere, nobody knows from which
//! disk the host boots, and no storage is taken.

use super::note_item;
use crate::{
    host::Files,
    pci::bus,
    request::{By, Candidate, Cursor, ItemId, Mistake, Request},
};

/// Looks for what every guard means, and notes which of them mean nothing. Before the walk that
/// decides: what comes first on the bus may be the disk of a guard whose place comes last.
pub fn find<H: Files>(host: &mut H, request: &mut Request) {
    // With force no guard counts.
    if request.guards() == 0 || request.switches.force {
        return;
    }
    let wants_place = request.asks_by(By::Path);
    let walked = bus::walk(host, &mut |host, address| {
        let place = wants_place.then(|| bus::place(host, address)).flatten();
        let candidate = Candidate {
            address,
            identity: bus::identity(host, address).ok(),
            place: place.as_ref(),
            is_virtual: false,
        };
        let (guards, mut cursor) = (request.guards(), Cursor::default());
        while let Some((id, item)) = request.next_match(&candidate, &mut cursor) {
            item.has_matched |= id < guards && item.selector.is_expected(&candidate);
        }
    });
    if walked.is_ok() {
        (0..request.guards()).for_each(|guard| note_lost(request, guard));
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
