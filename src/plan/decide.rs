//! The decision on one function.

use crate::{
    device::{Action, Wish},
    facts::usage::Usage,
    request::{By, Candidate, Cursor, ItemId, Request},
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
    /// Whether an item asks for whatever is at its address.
    is_by_address: bool,
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
        let mismatch = mismatch.map(|item| Decision::of(Action::Mismatch, Some(item)));
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

/// Collects what the items say, and notes in each that it means something.
fn find_matches(request: &mut Request, candidate: &Candidate<'_>) -> Matches {
    let is_bridge = candidate.is_bridge();
    let guards = request.guards();
    let mut matches = Matches::default();
    let mut cursor = Cursor::default();
    while let Some((id, item)) = request.next_match(candidate, &mut cursor) {
        let is_expected = item.selector.is_expected(candidate);
        if id < guards {
            matches.is_booted_from |= is_expected;
            continue;
        }
        if is_bridge && item.selector.passes_over_bridges() && !item.is_keep {
            item.has_passed_over = true;
            continue;
        }
        item.has_matched |= is_expected || !item.is_keep;
        match (is_expected, item.is_keep) {
            (true, true) => note_first(&mut matches.kept, id),
            (true, false) => {
                note_first(&mut matches.asked, id);
                matches.is_one_place |= !item.is_broad();
                matches.is_by_address |= item.selector.is_plain();
            }
            (false, true) => {}
            (false, false) => note_first(&mut matches.expected_other, id),
        }
    }
    matches
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
    } else if may_be_kept(request, candidate, matches) {
        Action::Leave
    } else if matches.is_booted_from && !request.switches.force {
        Action::RefuseBoot
    } else if usage.forbids(candidate.address) {
        Action::RefuseInUse
    } else {
        Action::Seize
    }
}

/// Whether a keep may mean the function that nobody could read, or compare with its path.
fn may_be_kept(request: &Request, candidate: &Candidate<'_>, matches: &Matches) -> bool {
    if request.lacks_keep && !matches.is_one_place {
        return true;
    }
    let guards_by_path = request.guards() > 0 && request.asks_by(By::Path);
    candidate.place.is_none() && (request.keeps_by(By::Path) || guards_by_path)
}
