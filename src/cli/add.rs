//! `pciseize add`: asks for devices for good.
//!
//! All or nothing: where one of the devices is not to be had, no line is written for any.

use core::ffi::CStr;

use super::{
    Along, Exit, Force, Invocation, Memory, Naming, OPERANDS, Since, check_selectors, drop_in,
    images, plan::tell_more_claims, seize,
};
use crate::{
    device::{Action, Device, Devices},
    edit::{self, Seen},
    facts::{
        dom0::Nameless,
        fitness,
        groups::Groups,
        usage::{Usage, Uses},
    },
    host::{Console, Files, Host, Level},
    pci::{Address, bus},
    plan::{self, warnings},
    put,
    report::{
        Kind, Report, Stage, explain,
        groups::why_unknown,
        list::{add_class, add_model, add_names, add_path},
        log::tell_problems,
    },
    request::{Item, ItemId, NAMES, Request, Selector, problem::At, syntax::name::Name},
    say,
    text::{Escaped, Line},
};

/// Most columns of a line of the drop-in, its comment included.
const COLUMNS: usize = 80;

/// What ends a comment that was cut.
const CUT: &str = "...";

/// Devices that are seized at once.
type Addresses = heapless::Vec<Address, OPERANDS>;

/// Asks for the functions that the words mean, from the next boot on or from now on.
pub fn run<H: Host>(
    host: &mut H,
    memory: &mut Memory,
    stage: Stage,
    embedded: &[u8],
    invocation: &Invocation,
) -> Exit {
    if let Err(wrong) = check_selectors(&invocation.operands) {
        wrong.tell(host);
        return Exit::Usage;
    }
    let name = match invocation.name.map(|name| Name::parse(name.to_bytes())) {
        None => None,
        Some(Ok(name)) => Some(name),
        Some(Err(fault)) => {
            let name = Escaped(invocation.name.unwrap_or_default().to_bytes());
            say!(host, Level::Error, "--name {}: {}", name, fault);
            return Exit::Usage;
        }
    };
    let Some(seen) = drop_in::begin(host) else {
        return Exit::NotAsAsked;
    };
    let walked = drop_in::survey(host, memory, embedded);
    memory.groups.look_among(host, &memory.devices, walked);
    tell_problems(&memory.request, 0, &mut |level, line| host.say(level, line));
    let mut now = Addresses::new();
    let is_good = choose(host, memory, invocation)
        && collect(host, &memory.devices, invocation.since, &mut now)
        && is_name_free(host, memory, name.as_ref())
        && propose_all(host, memory, invocation, name.as_ref())
        && tell_all(host, memory, invocation.force);
    if !is_good {
        say!(host, Level::Error, "nothing is written");
        return Exit::NotAsAsked;
    }
    let nameless = name.as_ref().and_then(|_| Nameless::look(host));
    if let Some(xen) = nameless {
        say!(
            host,
            Level::Notice,
            "{}; until then, a guest's file has to have the address",
            xen
        );
    }
    let written = write(host, memory, seen, name.as_ref());
    if written == Exit::AsAsked && invocation.since == Since::Now {
        memory.clear();
        // What dom0 uses at the moment is not taken from under it: for that somebody has to type
        // `seize --force`.
        let run = seize::Run {
            stage,
            force: Force::No,
            only: &now,
        };
        let seized = seize::run(host, memory, embedded, run);
        if name.is_some() && nameless.is_none() {
            say!(
                host,
                Level::Notice,
                "to tell Xen its name now: pciseize name-guests"
            );
        }
        return seized;
    }
    written
}

/// Marks the functions that the words mean, and what goes along with them.
fn choose<H: Host>(host: &mut H, memory: &mut Memory, invocation: &Invocation) -> bool {
    let Memory {
        devices, groups, ..
    } = memory;
    let mut are_all_there = true;
    for word in &invocation.operands {
        are_all_there &= choose_by(host, devices, word);
    }
    match invocation.along {
        Along::Nothing => are_all_there,
        Along::Slot => {
            add_slots(host, devices);
            are_all_there
        }
        Along::Group => add_groups(host, devices, groups) && are_all_there,
    }
}

/// Marks the functions that a word means. Without any, that is said.
fn choose_by<H: Console>(host: &mut H, devices: &mut Devices, word: &CStr) -> bool {
    let (mut is_any, mut has_passed_over) = (false, false);
    if let Ok(selector) = Selector::parse(word.to_bytes()) {
        for device in devices.iter_mut() {
            if drop_in::means(&selector, device) {
                is_any = true;
                device.work.is_due = true;
                device.work.is_meant |= selector.is_in_one_slot();
            }
            has_passed_over |= drop_in::passes_over(&selector, device);
        }
    }
    if !is_any {
        let word = Escaped(word.to_bytes());
        let why = match has_passed_over {
            true => "only bridges, which stay with dom0",
            false => "no such device; see 'pciseize list'",
        };
        say!(host, Level::Error, "{}: {}", word, why);
    }
    is_any
}

/// Marks the other functions of each slot. Virtual ones come and go with their own.
fn add_slots<H: Files>(host: &mut H, devices: &mut Devices) {
    add_rest_of_slots(host, &mut devices.iter_mut());
    add_rest_of_slots(host, &mut devices.iter_mut().rev());
}

/// Marks what follows a marked function in its slot.
fn add_rest_of_slots<H: Files>(host: &mut H, devices: &mut dyn Iterator<Item = &mut Device>) {
    let mut last = None;
    for device in devices {
        let slot = device.address().slot();
        if device.work.is_due {
            last = Some(slot);
        } else if last == Some(slot) && may_go_along(host, device) {
            device.work.is_due = true;
        }
    }
}

/// Marks what an IOMMU cannot tell from a marked function. Where nobody knows, that is said.
fn add_groups<H: Host>(host: &mut H, devices: &mut Devices, groups: &Groups) -> bool {
    let mut are_known = true;
    for at in 0..devices.len() {
        let Some(chosen) = devices.get(at).filter(|device| device.work.is_due) else {
            continue;
        };
        let address = chosen.address();
        if !groups.is_known(address) {
            are_known = false;
            say!(
                host,
                Level::Error,
                "{}: IOMMU group not known: {}; --slot adds its card",
                address,
                why_unknown(groups)
            );
            continue;
        }
        for other in groups.of(address) {
            let place = devices.binary_search_by_key(&other.bits(), |own| own.address().bits());
            if let Some(device) = place.ok().and_then(|place| devices.get_mut(place))
                && may_go_along(host, device)
            {
                device.work.is_due = true;
            }
        }
    }
    are_known
}

/// Whether a function may be asked for along with another: bridges are never taken, and virtual
/// functions come and go with their own.
fn may_go_along<H: Files>(host: &mut H, device: &Device) -> bool {
    device.function.is_there && !device.is_bridge() && !bus::is_virtual(host, device.address())
}

/// Notes the addresses of what is to be seized at once.
fn collect<H: Console>(
    host: &mut H,
    devices: &Devices,
    since: Since,
    addresses: &mut Addresses,
) -> bool {
    let chosen = devices.iter().filter(|device| device.work.is_due);
    let is_room = since == Since::NextBoot
        || chosen
            .map(Device::address)
            .all(|at| addresses.push(at).is_ok());
    if !is_room {
        say!(
            host,
            Level::Error,
            "--now takes at most {} devices: leave it out, and type 'pciseize seize' then",
            OPERANDS as u32
        );
    }
    is_room
}

/// Whether a name can be given to what is to be asked for. If not, that is said.
fn is_name_free<H: Console>(host: &mut H, memory: &Memory, name: Option<&Name>) -> bool {
    let Some(name) = name else {
        return true;
    };
    let (request, devices) = (&memory.request, &memory.devices);
    let mut chosen = devices.iter().filter(|device| device.work.is_due);
    let (first, more) = (chosen.next(), chosen.count());
    if more > 0 {
        let count = more as u32 + 1;
        say!(
            host,
            Level::Error,
            "--name {}: a name is for one device, and {} are meant",
            name,
            count
        );
        return false;
    }
    let own = first.and_then(|device| device.guest_name(request));
    if own == Some(name) {
        return true;
    }
    let known = request
        .names
        .find(name)
        .and_then(|id| request.names.get(id));
    let holder = known.and_then(|known| request.items.get(usize::from(known.item)));
    if let Some(item) = holder {
        let at = At(request, item.origin);
        say!(
            host,
            Level::Error,
            "--name {}: {} has this name, at {}",
            name,
            item,
            at
        );
        return false;
    }
    if request.names.len() >= NAMES {
        let most = NAMES as u32;
        say!(
            host,
            Level::Error,
            "--name {}: there are {} names already, and no more are read",
            name,
            most
        );
        return false;
    }
    let asking = first.filter(|device| !needs_item(device.action) && !device.is_bridge());
    let asking = asking.and_then(|device| device.item(request));
    if let Some(item) = asking.filter(|item| !item.is_broad()) {
        let at = At(request, item.origin);
        let mut line = Line::new();
        put!(
            &mut line,
            "--name {}: {} asks already, at {}",
            name,
            item,
            at
        );
        if request.source(item.origin.source) == edit::FILE.as_bytes() {
            put!(&mut line, ": first 'pciseize remove {}'", item);
        } else {
            put!(&mut line, ": write '{} = {}' there", name, item);
        }
        host.say(Level::Error, &line);
        return false;
    }
    true
}

/// Adds an item to the request for each function that needs one, and decides anew. Says what is
/// asked for already.
fn propose_all<H: Host>(
    host: &mut H,
    memory: &mut Memory,
    invocation: &Invocation,
    name: Option<&Name>,
) -> bool {
    let naming = invocation.naming;
    let Memory {
        request,
        devices,
        usage,
        behind,
        ..
    } = memory;
    let (told, before) = (request.problems.iter().len(), request.problems.count());
    let first = request.items.len() as ItemId;
    for device in devices.iter_mut().filter(|device| device.work.is_due) {
        if device.is_bridge() {
            device.action = Action::RefuseBridge;
        } else if is_to_be_named(request, device, name) {
            add_to_request(host, request, usage, device, naming);
        } else if needs_item(device.action)
            && invocation.force == Force::No
            && is_needed_and_not_named(usage, device)
        {
            device.action = Action::LeaveNeeded;
        } else if needs_item(device.action) {
            propose(host, request, usage, device, naming);
        } else if !matches!(device.action, Action::Keep(_))
            && let Some(item) = device.item(request)
        {
            let at = At(request, item.origin);
            say!(
                host,
                Level::Notice,
                "{}: asked for already, by {} at {}",
                device.address(),
                item,
                at
            );
        }
    }
    if naming == Naming::Identity && !are_identities_known(host, devices) {
        return false;
    }
    let mut is_one = true;
    if naming == Naming::Identity {
        for device in devices.iter_mut().filter(|device| !device.work.is_due) {
            is_one &= !tell_if_meant_too(host, request, usage, device, first);
        }
    }
    if let Some(name) = name.filter(|_| !is_one) {
        say!(
            host,
            Level::Error,
            "--name {}: a name is for one device, and --identity means more",
            name
        );
        return false;
    }
    behind.look(host, devices);
    // The items that were just added count too.
    plan::find_virtuals(host, request, usage);
    tell_problems(request, told, &mut |level, line| host.say(level, line));
    request.problems.count() == before
}

/// Whether the identity of each device is known that an item by identity is to ask for. If not,
/// that is said.
fn are_identities_known<H: Console>(host: &mut H, devices: &Devices) -> bool {
    let added = devices.iter().filter(|device| device.work.added.is_some());
    let mut unknown = added.filter(|device| device.function.identity.is_none());
    let first = unknown.next();
    if let Some(device) = first {
        let address = device.address();
        say!(
            host,
            Level::Error,
            "{}: its identity cannot be read",
            address
        );
    }
    first.is_none()
}

/// Whether another item changes what becomes of a function.
const fn needs_item(action: Action) -> bool {
    matches!(
        action,
        Action::Unasked
            | Action::Mismatch
            | Action::Leave
            | Action::LeaveUnread
            | Action::LeaveNeeded
    )
}

/// Whether dom0 needs a function, or may need it, that only a word means which means more than a
/// slot, or that goes along with another: as a broad item, such a word passes over it.
fn is_needed_and_not_named(usage: &Usage, device: &Device) -> bool {
    let is_needed = usage.uses(device.address()).meets(Uses::NEEDED);
    is_needed && !device.work.is_meant
}

/// Whether a function needs an item for its name: what asks for it may mean others too.
fn is_to_be_named(request: &Request, device: &Device, name: Option<&Name>) -> bool {
    let is_named = device.guest_name(request) == name;
    let is_broad = device.item(request).is_some_and(Item::is_broad);
    name.is_some() && device.action == Action::Seize && !is_named && is_broad
}

/// Adds an item for a function to the request, unless one before it means the function too.
fn propose<H: Files>(
    host: &mut H,
    request: &mut Request,
    usage: &mut Usage,
    device: &mut Device,
    naming: Naming,
) {
    plan::decide_anew(host, request, usage, device);
    if needs_item(device.action) {
        add_to_request(host, request, usage, device, naming);
    }
}

/// Adds an item for a function to the request, and decides anew.
fn add_to_request<H: Files>(
    host: &mut H,
    request: &mut Request,
    usage: &mut Usage,
    device: &mut Device,
    naming: Naming,
) {
    let mut item = Line::new();
    add_item(device, naming, &mut item);
    let id = request.items.len() as ItemId;
    request.propose(edit::FILE, item.bytes());
    device.work.added = Some(id);
    plan::decide_anew(host, request, usage, device);
}

/// Says that a function is asked for which no word means. Gives back whether one is.
fn tell_if_meant_too<H: Host>(
    host: &mut H,
    request: &mut Request,
    usage: &mut Usage,
    device: &mut Device,
    first: ItemId,
) -> bool {
    if device.action != Action::Unasked {
        return false;
    }
    plan::decide_anew(host, request, usage, device);
    let is_meant = device.wish.item.is_some_and(|item| item >= first);
    if let Some(item) = device.item(request).filter(|_| is_meant) {
        say!(
            host,
            Level::Notice,
            "{}: {} means it too; in a boot: {}",
            device.address(),
            item,
            device.action
        );
    }
    is_meant
}

/// Adds the item that asks for a function.
fn add_item(device: &Device, naming: Naming, line: &mut Line) {
    match (naming, device.function.identity) {
        (Naming::Identity, Some(identity)) => put!(line, "{}", identity.model()),
        (Naming::Address, _) => put!(line, "{}", device.address()),
        // A virtual function has its address for a path.
        (Naming::IdentityAtPath | Naming::Identity, _) => {
            add_model(device, line);
            add_path(device, line);
        }
    }
}

/// Says what is to be known before the devices are taken, and what of them is refused. Gives back
/// whether nothing is.
fn tell_all<H: Host>(host: &mut H, memory: &mut Memory, force: Force) -> bool {
    let Memory {
        devices,
        groups,
        warnings,
        names,
        rivals,
        ..
    } = memory;
    fitness::read_resets(host, devices, &|device| device.work.is_due);
    rivals.gather(host, None);
    warnings::look(host, devices, groups, warnings);
    names.find(host, devices);
    let report = memory.report(Kind::Plan, true);
    let mut is_good = true;
    for device in report.devices.iter().filter(|device| device.work.is_due) {
        let mut why = Line::new();
        add_why(&report, device, &mut why);
        let (level, before) = match fate(&report, device, force) {
            Fate::Taken if why.bytes().is_empty() => continue,
            Fate::Taken => (Level::Notice, ""),
            Fate::Forced => {
                let way_past = "; a boot takes it only while 'force = yes' is set";
                put!(&mut why, "{}", way_past);
                (Level::Notice, "; CAUTION: not taken as it stands")
            }
            Fate::Refused { way_past } => {
                put!(&mut why, "{}", way_past);
                (Level::Error, "; not added")
            }
        };
        is_good &= level == Level::Notice;
        let mut text = Line::new();
        put!(&mut text, "{}", before);
        text.push(why.bytes());
        let mut line = Line::new();
        put!(&mut line, "{}: ", device.address());
        line.push(text.bytes().strip_prefix(b"; ").unwrap_or_default());
        host.say(level, &line);
    }
    if is_good {
        tell_cards(host, &report);
    }
    tell_more_claims(host, &report);
    is_good
}

/// Says which virtual functions that are to be asked for will not be there, as their card is taken.
fn tell_cards<H: Console>(host: &mut H, report: &Report) {
    let is_due = |at: Address| {
        let mut due = report.devices.iter().filter(|device| device.work.is_due);
        due.any(|device| device.address() == at)
    };
    let is_taken = |card: &&Device| card.action == Action::Seize && !card.work.is_due;
    for card in report.devices.iter().filter(is_taken) {
        let virtuals = report.usage.virtuals(card.address());
        for own in virtuals.filter(|own| is_due(own.address)) {
            say!(
                host,
                Level::Notice,
                "{}: CAUTION: a boot takes its card {}, and it ends with the driver of that",
                own.address,
                card.address()
            );
        }
    }
}

/// Adds why a device is not taken, or what to know before that, with `; ` in front of each.
fn add_why(report: &Report, device: &Device, line: &mut Line) {
    if device.action == Action::RefuseInUse {
        explain::add_uses(report, device.address(), ["; it "; 2], line);
    } else {
        explain::explain(report, device, line);
    }
}

/// What becomes of a device that is to be asked for.
enum Fate {
    /// A boot takes it.
    Taken,
    /// No boot takes it as it is, and the user wants the line all the same.
    Forced,
    /// It is not asked for. This is how to ask for it all the same, where there is a way.
    Refused { way_past: &'static str },
}

/// Decides what becomes of a device.
fn fate(report: &Report, device: &Device, force: Force) -> Fate {
    let usage = report.usage;
    let is_new = device.work.added.is_some();
    let holds_system = usage.uses(device.address()).meets(usage.to_boot());
    match (device.action, force) {
        (Action::Seize, Force::No) if holds_system && is_new => Fate::Refused {
            way_past: "; 'add --force' adds it",
        },
        (Action::Seize, _) => Fate::Taken,
        (Action::Keep(_), _) => Fate::Refused {
            way_past: "; take that line out first",
        },
        (Action::LeaveNeeded, _) => Fate::Refused {
            way_past: "; name it by itself, or 'add --force' adds it",
        },
        (Action::RefuseBridge | Action::RefuseDomain | Action::Unasked, _) => {
            Fate::Refused { way_past: "" }
        }
        (_, Force::No) if is_new => Fate::Refused {
            way_past: "; 'add --force' adds it all the same",
        },
        (_, Force::No) => Fate::Refused { way_past: "" },
        (_, Force::Yes) => Fate::Forced,
    }
}

/// Writes the lines, prints them, and says what is to be done next.
fn write<H: Host>(host: &mut H, memory: &Memory, seen: Seen, name: Option<&Name>) -> Exit {
    let report = memory.report(Kind::Plan, true);
    let is_added = |device: &&Device| device.work.added.is_some();
    let added = || report.devices.iter().filter(is_added);
    if added().next().is_none() {
        return Exit::AsAsked;
    }
    let written = edit::replace(host, seen, &[], &mut |host, draft| {
        for device in added() {
            draft.add(host, row(&report, device, name).bytes())?;
        }
        Ok(())
    });
    if let Err(fault) = written {
        drop_in::tell(host, &fault);
        return Exit::NotAsAsked;
    }
    let mut is_printed = true;
    for device in added() {
        is_printed &= host.print(row(&report, device, name).bytes()).is_ok();
    }
    say!(host, Level::Notice, "written into {}", edit::FILE);
    say!(
        host,
        Level::Notice,
        "see what a boot does now: pciseize plan"
    );
    if report.request.switches.off {
        say!(
            host,
            Level::Notice,
            "switched off: while 'off' is set, a boot takes nothing"
        );
    }
    images::tell_command(host);
    Exit::of(is_printed)
}

/// The line of the drop-in that asks for a device: its item, and what it is.
fn row(report: &Report, device: &Device, name: Option<&Name>) -> Line {
    let mut line = Line::new();
    if let Some(name) = name {
        put!(&mut line, "{} = ", name);
    }
    let item = device.work.added.map(usize::from);
    if let Some(item) = item.and_then(|item| report.request.items.get(item)) {
        put!(&mut line, "{}", item);
    }
    let mut comment = Line::new();
    add_names(report, device, &mut comment);
    if let Some(identity) = device.function.identity
        && comment.bytes().is_empty()
    {
        add_class(identity, &mut comment);
    }
    let left = COLUMNS.saturating_sub(line.bytes().len() + "  # ".len());
    let comment = comment.bytes();
    let (comment, end) = if comment.len() <= left {
        (comment, "")
    } else {
        let room = left.saturating_sub(CUT.len());
        (comment.get(..room).unwrap_or_default(), CUT)
    };
    if !comment.is_empty() {
        put!(&mut line, "  # ");
        line.push(comment);
        line.trim_end();
        put!(&mut line, "{}", end);
    }
    put!(&mut line, "\n");
    line
}
