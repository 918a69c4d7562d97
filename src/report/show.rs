//! A page about one device: what it is, who asks for it, what a boot does with it, what became of
//! it, and what to type next. For people, and as JSON.

use super::{
    Report, explain,
    groups::{add_reasons, why_unknown},
    json::{self, add_driver, add_member, add_name, add_optional, write_parts},
    layout::{Wrap, add_words, pad},
    list,
    sink::{Out, Sink},
};
use crate::{
    device::{Action, Device, Guest, Outcome, Reset},
    facts::{claims::Claims, fitness::Fitness, usage::Uses},
    host::Errno,
    pci::{Address, Identity},
    put,
    request::{Item, ItemSet, Origin, problem::At, syntax::class},
    text::{Escaped, Line, split},
};

/// Most columns of a line that goes into a pipe, as far as its words allow.
const WIDTH: usize = 80;

/// The column where a text begins, behind the longest label.
const TEXT: usize = 14;

/// Of at most so many virtual functions a page says how to take each from its guest.
const MOST_LENT: usize = 4;

/// What only a page tells of a device.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// The items that ask for it.
    pub asked_by: ItemSet,
    /// The items that keep it.
    pub kept_by: ItemSet,
    /// The items that ask for another device at its place.
    pub other_asked_by: ItemSet,
    /// The function that it is a virtual one of.
    pub physical: Option<Address>,
    /// How many virtual functions it has.
    pub virtual_functions: u32,
    /// What stands in the way of a guest that is to have it.
    pub fitness: Fitness,
    /// Who else lays claim to it.
    pub claims: Claims,
    /// Whether `add` has asked for it, so that `remove` can take that back.
    pub is_added: bool,
    /// What makes the images anew, where that is known.
    pub image_command: Option<&'static str>,
}

/// All that is known of one device.
#[derive(Clone, Copy, Debug)]
pub struct Page<'p> {
    /// What a boot does.
    pub plan: &'p Report<'p>,
    /// The device.
    pub device: &'p Device,
    /// What only a page tells.
    pub details: &'p Details,
}

impl Page<'_> {
    /// What became of it. `None`: nobody asks for it, and nothing was done with it.
    fn outcome(&self) -> Option<Outcome> {
        let Device { wish, outcome, .. } = self.device;
        let has_come_of_it = self.device.is_with_pciback() || *outcome == Outcome::Held;
        (wish.item.is_some() || has_come_of_it).then_some(*outcome)
    }

    /// Whether pciback can have it, wherever somebody asks for it.
    fn may_be_taken(&self) -> bool {
        let device = self.device;
        device.function.is_there && !device.is_bridge() && device.address().is_known_to_xen()
    }

    /// The items of a set, each with the place where it stands.
    fn items(&self, set: &ItemSet) -> impl Iterator<Item = &Item> {
        set.iter()
            .filter_map(|id| self.plan.request.items.get(usize::from(id)))
    }

    /// The other functions of its card, bridges left out. On a root bus there are no cards.
    fn others_of_card(&self) -> impl Iterator<Item = Address> {
        let own = self.device.address();
        let place = self.device.function.place.as_ref();
        let is_on_card = place.is_some_and(|place| !place.steps.is_empty());
        let devices = self.plan.devices;
        let start = devices.partition_point(|device| device.address().slot() < own.slot());
        let in_slot = devices.get(start..).unwrap_or_default().iter();
        in_slot
            .take_while(move |other| is_on_card && other.address().slot() == own.slot())
            .filter(|other| other.function.is_there && !other.is_bridge())
            .map(Device::address)
            .filter(move |&other| other != own)
    }

    /// Adds what names it for a configuration: its ids at its path, or as much of that as is known.
    fn add_item(&self, line: &mut Line) {
        let function = &self.device.function;
        if let Some(identity) = function.identity {
            put!(line, "{}@", identity.model());
        }
        match &function.place {
            Some(place) => put!(line, "{}", place),
            None => put!(line, "{}", function.address),
        }
    }

    /// Adds how it can be reset.
    fn add_reset(&self, line: &mut Line) {
        match &self.device.function.reset {
            Reset::Methods(methods) if !methods.is_empty() => {
                let mut before = "";
                for method in split(methods, b' ') {
                    put!(line, "{}{}", before, Escaped(method));
                    before = ", ";
                }
            }
            _ if self.details.fitness.is_without_reset => put!(line, "none"),
            _ => put!(line, "not known"),
        }
    }

    /// Adds who else lays claim to it, each with `; ` in front.
    fn add_claims(&self, line: &mut Line) {
        let Page { plan, device, .. } = *self;
        plan.rivals.add_words(device, line);
        plan.rivals.add_words_of_kept(plan.request, device, line);
        self.details.claims.add_words(device, line);
    }

    /// Adds what to type next. Nothing where nothing is to be done, or where what a boot does says
    /// it.
    fn add_next(&self, line: &mut Line) {
        let device = self.device;
        let address = device.address();
        if !device.function.is_there {
            let item = device.item(self.plan.request);
            return match item.filter(|_| self.details.is_added) {
                Some(item) => put!(line, "pciseize remove {}, if it is gone for good", item),
                None => put!(line, "pciseize list"),
            };
        }
        if device.is_wrongly_with_pciback() {
            if device.state.guest == Guest::None {
                put!(line, "pciseize release {}", address);
            }
            return;
        }
        if !self.may_be_taken() {
            return;
        }
        let uses = self.plan.usage.uses(address);
        match (device.action, device.outcome) {
            (Action::Mismatch, _) => put!(line, "pciseize list"),
            (Action::Leave, _) => put!(line, "pciseize check"),
            (Action::Unasked, _) if device.state.guest != Guest::None => {
                put!(line, "pciseize add {}", address);
            }
            (Action::Unasked, Outcome::Seized | Outcome::Unready | Outcome::Held) => put!(
                line,
                "pciseize add {}, or a boot leaves it with dom0; pciseize release {} gives it back \
                 now",
                address,
                address
            ),
            (Action::Unasked, _) if uses.meets(Uses::TO_BOOT) => {}
            (Action::Unasked, _) if uses.is_empty() => {
                put!(line, "pciseize add {}{}", self.along(), address);
            }
            (Action::Unasked | Action::LeaveNeeded, _) => {
                put!(
                    line,
                    "pciseize add {}{}, if dom0 can do without it",
                    self.along(),
                    address
                );
            }
            (Action::Seize, _) if !self.plan.is_dom0 => {
                put!(line, "boot this host as the dom0 of Xen");
            }
            (Action::Seize, Outcome::Assigned) => {}
            (Action::Seize, Outcome::Seized) => put!(line, "pciseize guest-config {}", address),
            // What became of it says what helps.
            (Action::Seize, Outcome::Held) if explain::refusal_by_xen(device).is_some() => {}
            (Action::Seize, Outcome::Held) => {
                put!(line, "modprobe xen-pciback && pciseize seize {}", address);
            }
            (Action::Seize, outcome) => {
                if outcome == Outcome::Pending {
                    let command = self.details.image_command;
                    let command = command.unwrap_or("make the images anew");
                    put!(line, "{}, then reboot; or now: ", command);
                }
                let force = if uses.is_empty() { "" } else { "--force " };
                let mut lent = self.plan.usage.lent(address);
                for own in lent.by_ref().take(MOST_LENT) {
                    match own.guest {
                        Guest::Domain(domain) => {
                            put!(line, "xl pci-detach {} {}, then ", domain, own.address);
                        }
                        _ => put!(line, "see whether a guest has {}, then ", own.address),
                    }
                }
                if lent.next().is_some() {
                    put!(line, "the same for its other virtual functions, then ");
                }
                put!(line, "pciseize seize {}{}", force, address);
            }
            _ => {}
        }
    }

    /// What `add` asks for along with it: what has to go with it.
    fn along(&self) -> &'static str {
        let address = self.device.address();
        let groups = self.plan.groups;
        let find = |at: Address| {
            let mut devices = self.plan.devices.iter();
            devices.find(|device| device.address() == at)
        };
        let goes_along = |other: &Device| {
            let is_free = self.plan.usage.uses(other.address()).is_empty();
            let is_other = other.address() != address && !other.is_bridge();
            other.action == Action::Unasked && is_other && is_free
        };
        if groups.is_known(address) {
            let has_more = groups.of(address).filter_map(find).any(goes_along);
            return if has_more { "--group " } else { "" };
        }
        // A virtual function is no function of the card.
        let mut others = self.others_of_card().filter_map(find);
        let has_more = others.any(|other| goes_along(other) && other.is_of_card());
        if has_more { "--slot " } else { "" }
    }

    /// Adds what a boot does with it, and what is to be known of that.
    fn add_action(&self, line: &mut Line) {
        let device = self.device;
        if device.action == Action::Unasked {
            return put!(
                line,
                "{}",
                if device.is_bridge() {
                    "dom0 keeps it, as it does every bridge"
                } else if !device.address().is_known_to_xen() {
                    "dom0 keeps it; its domain is above ffff, which Xen cannot name"
                } else {
                    "dom0 keeps it"
                }
            );
        }
        put!(line, "{}", device.action);
        explain::explain_action(self.plan, device, line);
    }
}

/// Writes the page.
///
/// # Errors
/// The first of `out`.
pub fn print<'o>(page: &Page, out: &'o mut Out<'o>) -> Result<(), Errno> {
    let columns = page.plan.terminal.columns.into();
    let mut text = Text {
        sink: &mut Sink::new(out),
        wrap: Wrap {
            width: if columns == 0 { WIDTH } else { columns },
            mark: "",
            indent: TEXT,
        },
    };
    add_heading(page, &mut text);
    if page.device.function.is_there {
        add_function(page, &mut text);
    }
    add_request(page, &mut text);
    if page.device.function.is_there {
        add_company(page, &mut text);
    }
    let mut line = Line::new();
    if page.may_be_taken() {
        page.add_reset(&mut line);
        text.add("reset", line.bytes());
        line.clear();
        page.details.fitness.add_words(&mut line);
        text.add_pieces("in the way", &line);
        line.clear();
        page.add_claims(&mut line);
        text.add_pieces("claimed by", &line);
        line.clear();
    }
    page.add_action(&mut line);
    text.add("next boot", line.bytes());
    if let Some(outcome) = page.outcome() {
        line.clear();
        put!(&mut line, "{}", outcome);
        let origin = page.device.origin();
        if outcome == Outcome::Seized && !origin.is_empty() {
            put!(&mut line, ", taken from {}", Escaped(origin));
        }
        explain::explain_outcome(page.device, &mut line);
        text.add("this boot", line.bytes());
    }
    line.clear();
    page.add_next(&mut line);
    text.add("to do", line.bytes());
    text.sink.end()
}

/// The labelled lines of a page.
struct Text<'t, 'o> {
    sink: &'t mut Sink<'o>,
    wrap: Wrap,
}

impl Text<'_, '_> {
    /// Adds a line with a label, wrapped. Nothing where there is no text.
    fn add(&mut self, label: &str, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let line = &mut self.sink.line;
        put!(line, "  {}", label);
        pad(line, self.wrap.indent);
        add_words(line, text, self.wrap);
        put!(line, "\n");
        self.sink.flush();
    }

    /// Adds pieces of a sentence, each with `; ` in front.
    fn add_pieces(&mut self, label: &str, pieces: &Line) {
        self.add(
            label,
            pieces.bytes().strip_prefix(b"; ").unwrap_or_default(),
        );
    }

    /// Adds a line for another function, unless it is a bridge: those stay with dom0 anyway. Gives
    /// back the label of the next one: none, once there was a first.
    fn add_other<'l>(&mut self, page: &Page, label: &'l str, address: Address) -> &'l str {
        let devices = page.plan.devices;
        let place = devices.binary_search_by_key(&address.bits(), |other| other.address().bits());
        let device = place.ok().and_then(|place| devices.get(place));
        let Some(device) = device.filter(|device| !device.is_bridge()) else {
            return label;
        };
        let mut line = Line::new();
        put!(&mut line, "{} (", address);
        list::add_title(page.plan, device, &mut line);
        put!(&mut line, ")");
        self.add(label, line.bytes());
        ""
    }

    /// Adds a line for each item of a set, the first with a label.
    fn add_items(&mut self, page: &Page, label: &str, set: &ItemSet) {
        let mut label = label;
        let mut line = Line::new();
        for item in page.items(set) {
            line.clear();
            put!(
                &mut line,
                "{} at {}",
                item,
                At(page.plan.request, item.origin)
            );
            self.add(label, line.bytes());
            label = "";
        }
    }
}

/// Adds the first line: where the device is, and what it is.
fn add_heading(page: &Page, text: &mut Text) {
    let device = page.device;
    let mut title = Line::new();
    let line = &mut text.sink.line;
    if device.function.is_there {
        put!(line, "{} ", device.address());
        list::add_title(page.plan, device, &mut title);
    } else if let Some(item) = device.item(page.plan.request) {
        put!(line, "{} ", item);
        put!(&mut title, "no such device");
    }
    let wrap = Wrap {
        indent: 2,
        ..text.wrap
    };
    put!(line, " ");
    add_words(line, title.bytes(), wrap);
    line.trim_end();
    put!(line, "\n");
    text.sink.flush();
}

/// Adds what is there.
fn add_function(page: &Page, text: &mut Text) {
    let device = page.device;
    let mut line = Line::new();
    if page.may_be_taken() {
        page.add_item(&mut line);
        text.add("item", line.bytes());
    } else if let Some(place) = &device.function.place {
        put!(&mut line, "{}", place);
        text.add("path", line.bytes());
    }
    line.clear();
    add_ids(device.function.identity, &mut line);
    text.add("ids", line.bytes());
    line.clear();
    put!(&mut line, "{}", list::driver(device));
    text.add("driver", line.bytes());
    line.clear();
    if let Some(name) = device.guest_name(page.plan.request) {
        put!(&mut line, "{}", name);
    }
    text.add("guest name", line.bytes());
    line.clear();
    if let Some(physical) = page.details.physical {
        put!(&mut line, "a virtual function of {}", physical);
    } else if page.details.virtual_functions > 0 {
        let count = page.details.virtual_functions;
        put!(
            &mut line,
            "has {} virtual functions, which end with its driver",
            count
        );
    }
    text.add("virtual", line.bytes());
    line.clear();
    if let Some(twin) = device.function.twin {
        put!(&mut line, "{}", twin);
    }
    text.add("twin", line.bytes());
    line.clear();
    let mut before = "";
    for one in page.plan.usage.uses(device.address()).iter() {
        put!(&mut line, "{}", before);
        explain::add_use(page.plan, device.address(), one, &mut line);
        before = ", ";
    }
    text.add("used by", line.bytes());
}

/// Adds ids and class.
fn add_ids(identity: Option<Identity>, line: &mut Line) {
    let Some(identity) = identity else {
        return put!(line, "not known: they cannot be read");
    };
    put!(
        line,
        "{}, subsystem {}:{}, class {}",
        identity.model(),
        identity.subsystem_vendor(),
        identity.subsystem_device(),
        identity.class()
    );
    if class::name(identity.class).is_some() {
        put!(line, " (");
        list::add_class(identity, line);
        put!(line, ")");
    }
}

/// Adds who asks for it, and who keeps it.
fn add_request(page: &Page, text: &mut Text) {
    let details = page.details;
    if details.asked_by.is_empty() && details.other_asked_by.is_empty() {
        text.add("asked for", b"by nobody");
    }
    text.add_items(page, "asked for", &details.asked_by);
    text.add_items(page, "expected", &details.other_asked_by);
    text.add_items(page, "kept by", &details.kept_by);
}

/// Adds what has to go with it, and why, and what else there is of its card.
fn add_company(page: &Page, text: &mut Text) {
    let own = page.device.address();
    let groups = page.plan.groups;
    let mut line = Line::new();
    if groups.is_known(own) {
        let mut label = "goes with";
        for other in groups.of(own).filter(|&other| other != own) {
            label = text.add_other(page, label, other);
        }
        if label.is_empty() {
            put!(&mut line, "since ");
            add_reasons(groups, own, &mut line);
            text.add("", line.bytes());
        }
    } else if page.may_be_taken() {
        put!(&mut line, "not known");
        if groups.has_unread() {
            put!(&mut line, ": {}", why_unknown(groups));
        }
        text.add("goes with", line.bytes());
    }
    let mut label = "same card";
    for other in page.others_of_card() {
        if !groups.is_known(own) || !groups.are_together(own, other) {
            label = text.add_other(page, label, other);
        }
    }
}

/// Writes the page as an object of JSON.
pub fn write(page: &Page, sink: &mut Sink) {
    let Page {
        plan,
        device,
        details,
        ..
    } = *page;
    json::write_device(sink, plan, device);
    sink.flush();
    let (mut text, line) = (Line::new(), &mut sink.line);
    list::add_names(plan, device, &mut text);
    let name = Escaped(text.bytes());
    add_optional(line, "name", Some(name).filter(|name| !name.0.is_empty()));
    sink.flush();
    let line = &mut sink.line;
    add_optional(line, "outcome", page.outcome());
    add_optional(line, "at_boot", device.first_outcome());
    add_driver(line, "origin", device.origin());
    add_optional(line, "physical_function", details.physical);
    put!(line, ",\"virtual_functions\":{}", details.virtual_functions);
    add_optional(line, "twin", device.function.twin);
    for (name, set) in [
        ("asked_by", &details.asked_by),
        ("kept_by", &details.kept_by),
        ("other_asked_by", &details.other_asked_by),
    ] {
        add_name(&mut sink.line, name);
        put!(&mut sink.line, "[");
        let mut separator = "";
        for item in page.items(set) {
            put!(&mut sink.line, "{}", separator);
            add_item(page, item, &mut sink.line);
            sink.flush();
            separator = ",";
        }
        put!(&mut sink.line, "]");
    }
    let line = &mut sink.line;
    put!(line, ",\"uses\":[");
    text.clear();
    for one in plan.usage.uses(device.address()).iter() {
        put!(&mut text, "; ");
        explain::add_use(plan, device.address(), one, &mut text);
    }
    write_parts(sink, &text);
    for (name, add) in [
        (
            "in_the_way",
            &(|text: &mut Line| details.fitness.add_words(text)) as &dyn Fn(&mut Line),
        ),
        ("claimed_by", &|text: &mut Line| page.add_claims(text)),
    ] {
        text.clear();
        add(&mut text);
        put!(&mut sink.line, "]");
        add_name(&mut sink.line, name);
        put!(&mut sink.line, "[");
        write_parts(sink, &text);
    }
    put!(&mut sink.line, "],\"remarks\":[");
    text.clear();
    if page.outcome().is_some() {
        explain::explain_outcome(device, &mut text);
    }
    write_parts(sink, &text);
    put!(&mut sink.line, "]");
    text.clear();
    page.add_next(&mut text);
    let next = Escaped(text.bytes());
    let next = Some(next).filter(|next| !next.0.is_empty());
    add_optional(&mut sink.line, "next", next);
    put!(&mut sink.line, "}}");
    sink.flush();
}

/// Adds an item as an object.
fn add_item(page: &Page, item: &Item, line: &mut Line) {
    let request = page.plan.request;
    let Origin {
        source,
        line: number,
        column,
    } = item.origin;
    put!(line, "{{\"selector\":");
    line.quote(item);
    add_member(line, "source", Escaped(request.source(source)));
    put!(line, ",\"line\":{},\"column\":{}}}", number, column);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::{String, ToString};

    use super::*;
    use crate::{
        cli::Memory,
        host::testing::text,
        report::{
            Kind,
            testing::{add, driver, machine_in_use, memory},
        },
    };

    /// What is to be typed next about the first device.
    fn next(memory: &Memory, is_dom0: bool) -> String {
        let page = Page {
            plan: &memory.report(Kind::Plan, is_dom0),
            device: &memory.devices[0],
            details: &Details::default(),
        };
        let mut line = Line::new();
        page.add_next(&mut line);
        text(line.bytes())
    }

    #[test]
    fn says_what_to_type_next() {
        const AT: &str = "0000:03:00.0";
        for (action, outcome, driven_by, expected) in [
            (Action::Unasked, Outcome::Lost, "igb", "pciseize add AT"),
            (
                Action::Unasked,
                Outcome::Seized,
                "pciback",
                "pciseize add AT, or a boot leaves it with dom0; pciseize release AT gives it back \
                 now",
            ),
            (
                Action::LeaveNeeded,
                Outcome::Refused,
                "igb",
                "pciseize add AT, if dom0 can do without it",
            ),
            (
                Action::LeaveNeeded,
                Outcome::Refused,
                "pciback",
                "pciseize release AT",
            ),
            (
                Action::Seize,
                Outcome::Pending,
                "igb",
                "make the images anew, then reboot; or now: pciseize seize AT",
            ),
            (Action::Seize, Outcome::Lost, "igb", "pciseize seize AT"),
            (Action::Seize, Outcome::Exposed, "", "pciseize seize AT"),
            (
                Action::Seize,
                Outcome::Unready,
                "pciback",
                "pciseize seize AT",
            ),
            (
                Action::Seize,
                Outcome::Held,
                "",
                "modprobe xen-pciback && pciseize seize AT",
            ),
            (
                Action::Seize,
                Outcome::Seized,
                "pciback",
                "pciseize guest-config AT",
            ),
            (Action::Seize, Outcome::Assigned, "pciback", ""),
            (Action::Keep(0), Outcome::Kept, "igb", ""),
            (
                Action::Keep(0),
                Outcome::Kept,
                "pciback",
                "pciseize release AT",
            ),
            (Action::Mismatch, Outcome::Mismatch, "igb", "pciseize list"),
            (Action::Leave, Outcome::Lost, "igb", "pciseize check"),
            (Action::RefuseBoot, Outcome::Refused, "ahci", ""),
            (Action::LeaveOff, Outcome::Lost, "igb", ""),
        ] {
            let mut memory = memory("03:00.0");
            let item = (action != Action::Unasked).then_some(0);
            let device = add(&mut memory, "03:00.0", item, action);
            device.outcome = outcome;
            device.state.driver = driver(driven_by);
            let expected = expected.replace("AT", AT);
            assert_eq!(next(&memory, true), expected, "{action:?} {outcome:?}");
            if action == Action::Seize {
                let told = next(&memory, false);
                assert_eq!(told, "boot this host as the dom0 of Xen", "{outcome:?}");
            }
        }
    }

    /// What dom0 uses is not taken by a mere word.
    #[test]
    fn says_how_to_take_what_is_in_use() {
        for (action, outcome, expected) in [
            (
                Action::Seize,
                Outcome::Lost,
                "pciseize seize --force 0000:03:00.0",
            ),
            // The host boots from it.
            (Action::Unasked, Outcome::Lost, ""),
        ] {
            let mut memory = memory("03:00.0");
            let item = (action != Action::Unasked).then_some(0);
            let device = add(&mut memory, "03:00.0", item, action);
            device.outcome = outcome;
            device.state.driver = driver("igb");
            memory.usage.gather(&mut machine_in_use(), Uses::NONE);
            assert_eq!(next(&memory, true), expected, "{action:?}");
        }
    }

    #[test]
    fn points_to_the_list_for_what_is_not_there() {
        let mut memory = memory("03:00.0");
        let device = add(&mut memory, "03:00.0", Some(0), Action::Absent);
        device.function.is_there = false;
        assert_eq!(next(&memory, true), "pciseize list".to_string());
    }
}
