//! The plan: request and bus together make a decision for each function that is asked for.
//!
//! | file | |
//! | --- | --- |
//! | this one | the walk over the bus, and what of it goes into the plan |
//! | [`decide`](mod@decide) | what is to be done with one function |
//! | [`guards`] | what the image knows to be needed to boot, and where it is now |
//! | [`absent`] | the items that mean no function |
//! | [`behind`] | what is behind refused bridges |
//! | [`name`] | which function gets which name for guests |
//! | [`rivals`] | who else asks for devices |
//! | [`warnings`] | what a plan warns of |

pub mod absent;
pub mod behind;
pub mod decide;
pub mod guards;
pub mod name;
pub mod rivals;
pub mod warnings;

use crate::{
    device::{Device, Devices, Step, order::sort},
    facts::usage::{Usage, Use, virtuals},
    host::{Errno, Files, Xen},
    pci::{Address, Place, bus},
    put,
    request::{By, Candidate, Fault, ItemId, Mistake, Origin, Request, SourceId},
    text::Line,
};
use decide::{Decision, decide};

/// Which functions a plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Those that an item asks for.
    Requested,
    /// All of the machine.
    Whole,
}

/// Walks the bus once and decides on every function.
///
/// `found` is called with each function of the plan for which there is room, as soon as it is
/// known: for one that is to be taken this is the moment of the hold. In the end the devices are in
/// order, and those items are among them that mean no function.
///
/// # Errors
/// Why the bus cannot be listed. Each item tells of that too.
pub fn make<H: Files>(
    host: &mut H,
    request: &mut Request,
    usage: &mut Usage,
    devices: &mut Devices,
    extent: Extent,
    found: &mut dyn FnMut(&mut H, &mut Device),
) -> Result<(), Errno> {
    guards::find(host, request, usage);
    let wants_place = request.asks_by(By::Path);
    // Whether a function came by whose identity cannot be read.
    let mut has_unread = false;
    let walked = bus::walk(host, &mut |host, address| {
        let identity = bus::identity(host, address);
        let place = wants_place.then(|| bus::place(host, address)).flatten();
        let is_virtual = wants_place && bus::is_virtual(host, address);
        let candidate = Candidate {
            address,
            identity: identity.ok(),
            place: place.as_ref(),
            is_virtual,
        };
        usage.look_at(host, address, candidate.identity);
        let decision = decide(request, usage, &candidate)
            .filter(|decision| extent == Extent::Whole || decision.wish.item.is_some());
        if let Err(errno) = identity {
            name::note_unread(request, &candidate);
            if !core::mem::replace(&mut has_unread, true) {
                match_what_may_mean_anything(request);
            }
            if decision.is_none() {
                note_unreadable(request, address, errno);
            }
        }
        let unasked = (extent == Extent::Whole).then_some(Decision::UNASKED);
        if let Some(Decision { action, wish }) = decision.or(unasked) {
            let mut device = Device::new(address, wish, action);
            device.function.identity = identity.ok();
            device.function.place = if is_virtual {
                Some(Place::at(address))
            } else {
                place
            };
            device.note(Step::Identify, identity.map(drop));
            if !devices.is_full() {
                found(host, &mut device);
            }
            add(request, devices, device);
        }
    });
    absent::add_absent(request, devices, walked);
    sort(devices);
    if walked.is_ok() {
        name::give_names(request, devices);
    }
    walked
}

/// Decides on every function, and reads which driver has it. Nothing is touched.
///
/// # Errors
/// Why the bus cannot be listed. Each item tells of that too.
pub fn survey<H: Files>(
    host: &mut H,
    request: &mut Request,
    usage: &mut Usage,
    devices: &mut Devices,
    extent: Extent,
) -> Result<(), Errno> {
    make(
        host,
        request,
        usage,
        devices,
        extent,
        &mut |host, device| {
            device.note_driver(bus::driver(host, device.address()));
        },
    )
}

/// Looks for virtual functions that guests have or are to have: with them their physical function
/// is in use.
pub fn find_virtuals<H: Files + Xen>(host: &mut H, request: &mut Request, usage: &mut Usage) {
    virtuals::look(host, usage, &mut |host, address| {
        let place = bus::place(host, address);
        let candidate = Candidate {
            address,
            identity: bus::identity(host, address).ok(),
            place: place.as_ref(),
            is_virtual: bus::is_virtual(host, address),
        };
        decide::says(request, &candidate)
    });
}

/// Notes what this host needs and is on functions that were not found.
pub fn note_untraced(request: &mut Request, usage: &Usage) {
    for untraced in usage.untraced() {
        let (source, mistake) = if untraced.one == Use::Route {
            (SourceId::ROUTES, Mistake::UntracedRoute)
        } else if untraced.point.is_empty() {
            (SourceId::MOUNTS, Mistake::NoMounts)
        } else {
            (SourceId::MOUNTS, Mistake::Untraced)
        };
        request.note_notice(source, untraced.text.clone(), mistake);
    }
}

/// Decides anew on a device, once the request has more items.
pub fn decide_anew<H: Files>(
    host: &mut H,
    request: &mut Request,
    usage: &mut Usage,
    device: &mut Device,
) {
    let address = device.address();
    let place = bus::place(host, address);
    let candidate = Candidate {
        address,
        identity: device.function.identity,
        place: place.as_ref(),
        is_virtual: bus::is_virtual(host, address),
    };
    let decision = decide(request, usage, &candidate).unwrap_or(Decision::UNASKED);
    device.action = decision.action;
    device.wish = decision.wish;
}

/// Looks for the way to every device that is wanted and whose way is not known yet. The place of a
/// virtual function is its address.
pub fn locate<H: Files>(host: &mut H, devices: &mut Devices, is_wanted: &dyn Fn(&Device) -> bool) {
    for device in devices {
        let function = &device.function;
        if function.is_there && function.place.is_none() && is_wanted(device) {
            device.function.place = if bus::is_virtual(host, device.address()) {
                Some(Place::at(device.address()))
            } else {
                bus::place(host, device.address())
            };
        }
    }
}

/// Notes that every keep by identity or class may mean something: nobody can say that it keeps
/// nothing while the identity of a function cannot be read.
fn match_what_may_mean_anything(request: &mut Request) {
    for item in request.items.iter_mut().filter(|item| item.is_keep) {
        item.has_matched |= matches!(item.selector.by(), By::Identity | By::Class);
    }
}

/// Notes that nobody can tell whether an item means a function, since it cannot be read.
fn note_unreadable(request: &mut Request, address: Address, errno: Errno) {
    let may_mean = |by| matches!(by, By::Identity | By::Class);
    let mut items = request.items.iter();
    if let Some(item) = items.find(|item| !item.is_keep && may_mean(item.selector.by())) {
        let fault = Fault::UnreadableIdentity(errno);
        note(request, item.origin, address, fault);
    }
}

/// Notes what is wrong with an item, by its text.
fn note_item(request: &mut Request, id: ItemId, mistake: Mistake) {
    if let Some(item) = request.items.get(usize::from(id)) {
        let (mut text, origin) = (Line::new(), item.origin);
        put!(&mut text, "{}", item);
        request.note_problem(origin, text.bytes(), Fault::Is(mistake));
    }
}

/// Notes a problem with a function.
fn note(request: &mut Request, origin: Origin, address: Address, fault: Fault) {
    request.note_problem(origin, &address.text(), fault);
}

/// Adds a device. One too many is a problem, and is told.
fn add(request: &mut Request, devices: &mut Devices, device: Device) {
    if let Err(device) = devices.push(device)
        && let Some(item) = device.item(request)
    {
        let fault = Fault::Is(Mistake::TooManyDevices);
        note(request, item.origin, device.address(), fault);
    }
}
