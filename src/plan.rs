//! Request and bus make the plan: a decision for each function that is asked for.

use crate::{
    device::{Device, Devices, Step, sort},
    host::{Errno, Host},
    pci::{Address, bus},
    put,
    request::{Cursor, Fault, Function, ItemId, Mistake, Request, selector::By},
    text::{Line, Show, part},
};

/// What is to be done with a function that an item names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give it to pciback.
    Seize,
    /// Leave it: this item keeps it.
    Keep(ItemId),
    /// Leave it: it is a bridge. pciback would take it, and everything behind it would be lost.
    RefuseBridge,
    /// Leave it: its domain has more than 16 bits, and Xen cannot name it.
    RefuseDomain,
    /// Leave it: another device was expected at this place.
    Mismatch,
    /// The item means no function.
    Absent,
    /// The item means no function, but it is an address, and pciback can wait there for one.
    Expect,
    /// Leave it: an item that could not be read may have kept it.
    Leave,
}

/// The words of the contract, in the order of the actions.
const WORDS: &str = "seize keep refuse refuse mismatch absent absent leave";

/// Why, in the order of the actions. The texts are one list: a third of the size of a table of them.
const REASONS: &str = "
; kept by 
; it is a bridge, and bridges stay with dom0
; its domain is above ffff, beyond Xen's reach (behind Intel VMD: switch VMD off in the firmware)
; this is not 
; no such device
; no such device; pciback takes whatever appears there, a bridge with all behind it
; left alone: what keeps it may be an item that cannot be read";

impl Action {
    /// Whether what was asked for will be so.
    pub const fn is_as_asked(self) -> bool {
        matches!(self, Action::Seize | Action::Keep(_))
    }

    /// Why the function is left alone: part of a sentence, with `; ` in front. Nothing for one that is taken.
    pub fn reason(self) -> &'static [u8] {
        part(REASONS, b'\n', self.number())
    }

    const fn number(self) -> usize {
        match self {
            Action::Seize => 0,
            Action::Keep(_) => 1,
            Action::RefuseBridge => 2,
            Action::RefuseDomain => 3,
            Action::Mismatch => 4,
            Action::Absent => 5,
            Action::Expect => 6,
            Action::Leave => 7,
        }
    }
}

impl Show for Action {
    fn show(&self, line: &mut Line) {
        line.push(part(WORDS, b' ', self.number()));
    }
}

/// Walks the bus once and decides on every function. `found` is called with each that is asked for and for which there is room, as soon as it is known; for one to be taken this is the moment of the hold. In the end the devices are in order,
/// and those of the request that mean no function are among them.
pub fn make<H: Host>(host: &mut H, request: &mut Request, devices: &mut Devices, found: &mut dyn FnMut(&mut H, &mut Device)) {
    let wants_place = request.asks_by(By::Path);
    let walked = bus::walk(host, &mut |host, address| {
        let identity = bus::identity(host, address);
        let place = if wants_place { bus::place(host, address) } else { None };
        let function = Function { address, identity: identity.ok(), place: place.as_ref() };
        if let Some((action, item, is_plain)) = decide(request, &function) {
            let mut device = Device::new(address, item, action);
            device.stays_listed = is_plain;
            device.identity = identity.ok();
            device.note(Step::Identify, identity.map(drop));
            if !devices.is_full() {
                found(host, &mut device);
            }
            add(request, devices, device);
        } else if let Err(errno) = identity
            && let Some(item) = request.items.iter().find(|item| !item.is_keep && matches!(item.selector.by, By::Identity | By::Class))
        {
            // Nobody can tell whether it is meant.
            request.problem(item.origin, address.text().bytes(), Fault::Unreadable(errno));
        }
    });
    add_absent(request, devices, walked);
    sort(devices);
}

/// Decides on a function: what is to be done with it, the first item that asked for it, and whether some item asked for whatever is at that address. `None`: nobody asked.
fn decide(request: &mut Request, function: &Function<'_>) -> Option<(Action, ItemId, bool)> {
    let is_bridge = function.identity.is_some_and(|identity| identity.is_bridge());
    let (mut first, mut other, mut keep) = (ItemId::MAX, ItemId::MAX, ItemId::MAX);
    let (mut narrow, mut plain) = (false, false);
    let mut cursor = Cursor::default();
    while let Some((id, item)) = request.next_match(function, &mut cursor) {
        if is_bridge && item.selector.passes_over_bridges() && !item.is_keep {
            item.has_passed_over = true;
            continue;
        }
        let is_expected = item.selector.is_expected(function);
        item.has_matched |= is_expected || !item.is_keep;
        match (is_expected, item.is_keep) {
            (true, true) => keep = keep.min(id),
            (true, false) => {
                first = first.min(id);
                narrow |= !item.is_broad();
                plain |= item.selector.is_plain();
            }
            (false, true) => {}
            (false, false) => other = other.min(id),
        }
    }
    if first == ItemId::MAX {
        return (other != ItemId::MAX).then_some((Action::Mismatch, other, false));
    }
    let action = if keep != ItemId::MAX {
        Action::Keep(keep)
    } else if !function.address.is_known_to_xen() {
        Action::RefuseDomain
    } else if is_bridge {
        Action::RefuseBridge
    // Whoever cannot tell the path of a function does not know whether it is kept by that.
    } else if request.lacks_keep && !narrow || function.place.is_none() && request.keeps_by(By::Path) {
        Action::Leave
    } else {
        Action::Seize
    };
    Some((action, first, plain))
}

/// Adds an entry for every item that means no function, and a notice for every keep that means none.
///
/// Where an item asks for whatever is at an address, pciback may take what appears there later: if nobody may have kept that, and there is no bridge, which on pciback's list would give away all that is behind it.
fn add_absent(request: &mut Request, devices: &mut Devices, walked: Result<(), Errno>) {
    // Asked before anything is noted of a keep, which would count as one that could not be read.
    let keeps_broadly = request.keeps_broadly();
    for id in 0..request.items.len() as ItemId {
        let Some(item) = request.items.get(usize::from(id)).filter(|item| !item.has_matched) else { continue };
        if !item.is_keep {
            if !request.is_said_before(id) {
                let (address, may_be) = (item.selector.address(), item.selector.is_plain() && !item.has_passed_over && walked.is_ok() && !keeps_broadly);
                let is_kept = request.keeps() && address.is_none_or(|address| request.keeps_at(address));
                let action = if may_be && !is_kept { Action::Expect } else { Action::Absent };
                let mut device = Device::new(address.unwrap_or(NOWHERE), id, action);
                device.is_there = false;
                device.note(Step::List, walked);
                add(request, devices, device);
            }
        } else if walked.is_ok() {
            let (mut text, origin) = (Line::new(), item.origin);
            put!(&mut text, item);
            request.problem(origin, text.bytes(), Fault::Is(Mistake::KeepsNothing));
        }
    }
}

/// Stands for the address of what has none: the last that there could be.
const NOWHERE: Address = Address { domain: u32::MAX, bus: 0xff, device: 0x1f, function: 7 };

/// Adds a device. One too many is a problem, and is told.
fn add(request: &mut Request, devices: &mut Devices, device: Device) {
    if let Err(device) = devices.push(device)
        && let Some(item) = device.item(request)
    {
        request.problem(item.origin, device.address.text().bytes(), Fault::Is(Mistake::TooManyDevices));
    }
}
