//! Request and bus make the plan: a decision for each function that is asked for.

use crate::{
    device::{Device, Devices, Step, sort},
    host::{Errno, Host},
    needs::Needs,
    pci::{Address, bus},
    put,
    request::{Cursor, Fault, Function, ItemId, Mistake, Origin, Request, selector::By},
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
    /// Leave it: the system boots from it, as the image knows.
    RefuseBoot,
    /// Leave it: dom0 uses it ([`Needs::refuses`]).
    RefuseInUse,
    /// Leave it: another device was expected at this place.
    Mismatch,
    /// The item means no function.
    Absent,
    /// The item means no function, but it is an address, and pciback can wait there for one.
    Expect,
    /// Leave it: an item that could not be read may have kept it.
    Leave,
    /// Nobody asked for it.
    Unasked,
}

/// The words of the contract, in the order of the actions.
const WORDS: &str = "seize keep refuse refuse refuse refuse mismatch absent absent leave unasked";

/// Why, in the order of the actions. The texts are one list: a third of the size of a table of them.
const REASONS: &str = "
; kept by 
; it is a bridge, and bridges stay with dom0
; its domain is above ffff, beyond Xen's reach (behind Intel VMD: switch VMD off in the firmware)
; this host boots from it, says the image; pciseize.force takes it
; dom0 keeps it (in a boot: if the image knows) unless forced
; this is not 
; no such device
; no such device; pciback takes whatever appears there, a bridge with all behind it
; left alone: what keeps it may be an item that cannot be read";

impl Action {
    /// Whether what was asked for will be so.
    pub const fn is_as_asked(self) -> bool {
        matches!(self, Action::Seize | Action::Keep(_) | Action::Unasked)
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
            Action::RefuseBoot => 4,
            Action::RefuseInUse => 5,
            Action::Mismatch => 6,
            Action::Absent => 7,
            Action::Expect => 8,
            Action::Leave => 9,
            Action::Unasked => 10,
        }
    }
}

impl Show for Action {
    fn show(&self, line: &mut Line) {
        line.push(part(WORDS, b' ', self.number()));
    }
}

/// Walks the bus once and decides on every function. `found` is called with each that is asked for and for which there is room, as soon as it is known; for one to be taken this is the moment of the hold. In the end the devices are in order,
/// and those of the request that mean no function are among them; where `is_whole`, those too that nobody asked for.
pub fn make<H: Host>(
    host: &mut H,
    request: &mut Request,
    needs: &mut Needs,
    devices: &mut Devices,
    is_whole: bool,
    found: &mut dyn FnMut(&mut H, &mut Device),
) {
    let wants_place = request.asks_by(By::Path);
    let walked = bus::walk(host, &mut |host, address| {
        let identity = bus::identity(host, address);
        let place = if wants_place { bus::place(host, address) } else { None };
        let function = Function { address, identity: identity.ok(), place: place.as_ref() };
        needs.look_at(host, address, function.identity);
        let decided = decide(request, needs, &function).filter(|&(_, item, _)| is_whole || item != ItemId::MAX);
        if let Some((action, item, is_plain)) = decided.or_else(|| is_whole.then_some((Action::Unasked, ItemId::MAX, false))) {
            let mut device = Device::new(address, item, action);
            device.stays_listed = is_plain;
            device.identity = identity.ok();
            device.note(Step::Identify, identity.map(drop));
            if !devices.is_full() {
                found(host, &mut device);
            }
            add(request, devices, device);
        }
        if decided.is_none()
            && let Err(errno) = identity
            && let Some(item) = request.items.iter().find(|item| !item.is_keep && matches!(item.selector.by, By::Identity | By::Class))
        {
            // Nobody can tell whether it is meant.
            problem(request, item.origin, address, Fault::Unreadable(errno));
        }
    });
    add_absent(request, devices, walked);
    sort(devices);
}

/// Decides on a function: what is to be done with it, the first item that asked for it, and whether some item asked for whatever is at that address. `None`: nobody asked. One that is kept, and that nobody asked for, has
/// no item.
fn decide(request: &mut Request, needs: &mut Needs, function: &Function<'_>) -> Option<(Action, ItemId, bool)> {
    let is_bridge = function.identity.is_some_and(|identity| identity.is_bridge());
    let (mut first, mut other, mut keep) = (ItemId::MAX, ItemId::MAX, ItemId::MAX);
    let (mut narrow, mut plain, mut boots) = (false, false, false);
    let mut cursor = Cursor::default();
    let guards = request.guards();
    while let Some((id, item)) = request.next_match(function, &mut cursor) {
        if id < guards {
            boots |= item.selector.is_expected(function);
            continue;
        }
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
        let action = if other != ItemId::MAX { Action::Mismatch } else { Action::Keep(keep) };
        return (other.min(keep) != ItemId::MAX).then_some((action, other, false));
    }
    let action = if keep != ItemId::MAX {
        Action::Keep(keep)
    } else if !function.address.is_known_to_xen() {
        Action::RefuseDomain
    } else if is_bridge {
        Action::RefuseBridge
    // Whoever cannot tell the path of a function does not know whether it is kept by that.
    } else if request.lacks_keep && !narrow || function.place.is_none() && (request.keeps_by(By::Path) || request.guards() > 0 && request.asks_by(By::Path)) {
        Action::Leave
    } else if boots && !request.switches.force {
        Action::RefuseBoot
    } else if needs.uses(function.address) & needs.refuses != 0 {
        Action::RefuseInUse
    } else {
        needs.give(function.address);
        Action::Seize
    };
    Some((action, first, plain))
}

/// Adds an entry for every item that means no function, and a notice for every keep that means none.
///
/// Where an item asks for whatever is at an address, pciback may take what appears there later: if nobody may have kept that, and there is no bridge, which on pciback's list would give away all that is behind it.
#[inline(never)]
fn add_absent(request: &mut Request, devices: &mut Devices, walked: Result<(), Errno>) {
    // Asked before anything is noted of a keep, which would count as one that could not be read.
    let keeps_broadly = request.keeps_broadly();
    for id in 0..request.items.len() as ItemId {
        let Some(item) = request.items.get(usize::from(id)).filter(|item| !item.has_matched && id >= request.guards()) else { continue };
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

/// Notes what is wrong with a function. It has a frame of its own: a line is a third of the stack that a walk has otherwise.
#[inline(never)]
fn problem(request: &mut Request, origin: Origin, address: Address, fault: Fault) {
    request.problem(origin, address.text().bytes(), fault);
}

/// Adds a device. One too many is a problem, and is told.
fn add(request: &mut Request, devices: &mut Devices, device: Device) {
    if let Err(device) = devices.push(device)
        && let Some(item) = device.item(request)
    {
        problem(request, item.origin, device.address, Fault::Is(Mistake::TooManyDevices));
    }
}
