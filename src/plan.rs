//! Request and bus make the plan: a decision for each function that is asked for.

use crate::{
    pci::{Address, Identity},
    put,
    text::{Line, Show},
};

/// What is to be done with a function that an item names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give it to pciback.
    Seize,
    /// Leave it as it is.
    Refuse(Refusal),
}

/// Why a function is never taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is a bridge: pciback would take it, and everything behind it would be lost.
    Bridge,
    /// Its domain has more than 16 bits: Xen cannot name it.
    Domain,
}

/// Decides what is to be done with a function that is asked for. `identity` is `None` where it could not be read: such a function is held, so that no driver gets it,
/// but not given to pciback.
pub fn decide(address: Address, identity: Option<Identity>) -> Action {
    if !address.is_known_to_xen() {
        Action::Refuse(Refusal::Domain)
    } else if identity.is_some_and(Identity::is_bridge) {
        Action::Refuse(Refusal::Bridge)
    } else {
        Action::Seize
    }
}

impl Show for Refusal {
    fn show(&self, line: &mut Line) {
        put!(
            line,
            match self {
                Refusal::Bridge => "it is a bridge, and bridges stay with dom0; ask for the functions behind it",
                Refusal::Domain => "its domain is above ffff, where Xen cannot name it (a device behind Intel VMD: switch VMD off in the firmware)",
            }
        );
    }
}
