//! What a guest's configuration says of devices: the line for xl, or the elements for libvirt, with
//! what somebody has to know beside them, as comments.
//!
//! xl-pci-configuration(5) has the keys of that line, xl.cfg(5) the other settings.

use super::{
    Report,
    explain::add_uses,
    groups::{find, why_unknown},
    layout::{Wrap, add_words, pad},
    list::{add_guest_name, add_model, add_path, add_title, driver},
    sink::{Out, Sink},
};
use crate::{
    device::{Action, Device, Guest},
    facts::{fitness::Fitness, usage::Uses},
    host::Errno,
    pci::{Address, Identity},
    plan::warnings,
    put,
    request::{Item, syntax::name::Name},
    text::Line,
};

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// That of xl: xl.cfg(5).
    Xl,
    /// The XML of libvirt.
    Libvirt,
}

/// Most columns of a comment.
const WIDTH: usize = 80;

/// What reserved memory may need. libvirt has no such setting.
const ABOUT_RESERVED_MEMORY: &[u8] = b"The firmware has reserved memory for it. If xl says \
    'RDM conflict': write ',rdm_policy=relaxed' behind it.";

/// Where a comment begins that is about all devices, or about one below its title.
const ABOUT_ALL: usize = 2;
const ABOUT_ONE: usize = 4;

/// Intel's integrated graphics. QEMU looks for them there (`hw/xen/xen_pt.c`, `xen_pt_realize`).
const INTEGRATED_GRAPHICS: Address = Address::from_bits(2 << 3);
const INTEL: u16 = 0x8086;

/// Most columns of a word.
const WORD: usize = 72;

/// Most functions of a group that are named.
const MEMBERS: usize = 7;

/// Prints what a guest's configuration says of every device that is due; nothing, if none is.
/// `devices` of the report are all that the machine has, in order, and its warnings say what stands
/// in the way of a guest. `drop_in`: the file whose lines `pciseize remove` takes out.
///
/// # Errors
/// The first of `out`.
pub fn print<'o>(
    report: &Report,
    syntax: Syntax,
    drop_in: &[u8],
    out: &'o mut Out<'o>,
) -> Result<(), Errno> {
    let due = || report.devices.iter().filter(|device| device.work.is_due);
    if due().next().is_none() {
        return Ok(());
    }
    let mut page = Page {
        syntax,
        sink: Sink::new(out),
    };
    for device in report.devices {
        if device.work.is_due {
            add_remarks(report, device, &mut page);
        } else if is_left_of_card(report, device) {
            add_left(device, &mut page);
        }
    }
    add_unknown_groups(report, &mut page);
    add_about_names(report, drop_in, &mut page);
    for text in about_all(syntax) {
        page.remark(ABOUT_ALL, text.as_bytes());
    }
    match syntax {
        Syntax::Xl => {
            let mut before = "pci = [";
            for device in due() {
                put!(&mut page.sink.line, "{}'", before);
                match name(report, device, syntax) {
                    Some(name) => put!(&mut page.sink.line, "name={}'", name),
                    None => put!(&mut page.sink.line, "{}'", device.address()),
                }
                page.sink.flush();
                before = ", ";
            }
            put!(&mut page.sink.line, "]\n");
        }
        Syntax::Libvirt => due().for_each(|device| add_element(device, &mut page.sink)),
    }
    page.sink.end()
}

/// A configuration that is being written.
struct Page<'o> {
    syntax: Syntax,
    sink: Sink<'o>,
}

impl Page<'_> {
    /// Adds a comment, whose text begins in a column.
    fn remark(&mut self, column: usize, text: &[u8]) {
        let line = &mut self.sink.line;
        match self.syntax {
            Syntax::Xl => {
                put!(line, "#");
                pad(line, column);
                add_words(line, text, Wrap::comment(WIDTH, column));
            }
            Syntax::Libvirt => {
                let (begin, end) = ("<!-- ", " -->");
                let wrap = Wrap {
                    width: WIDTH - end.len(),
                    mark: "",
                    indent: begin.len(),
                };
                put!(line, "{}", begin);
                add_words(line, without_double_hyphen(text).bytes(), wrap);
                put!(line, "{}", end);
            }
        }
        put!(line, "\n");
        self.sink.flush();
    }
}

/// A text for a comment of XML, which must have no two hyphens in a row (XML 1.0, 2.5).
fn without_double_hyphen(text: &[u8]) -> Line {
    let mut line = Line::new();
    for &byte in text {
        if byte == b'-' && line.bytes().last() == Some(&b'-') {
            put!(&mut line, " ");
        }
        line.push(&[byte]);
    }
    line
}

/// Whether names are given to Xen: not to an old one, and not while all is switched off.
fn are_names_given(report: &Report) -> bool {
    !report.request.switches.off && report.nameless.is_none()
}

/// The name that a guest's configuration may have for a device. libvirt has none for any.
fn name<'r>(report: &Report<'r>, device: &Device, syntax: Syntax) -> Option<&'r Name> {
    match syntax {
        Syntax::Xl if are_names_given(report) => device.guest_name(report.request),
        Syntax::Xl | Syntax::Libvirt => None,
    }
}

/// Adds what a device is, and what is to be known of it.
fn add_remarks(report: &Report, device: &Device, page: &mut Page) {
    let mut text = Line::new();
    put!(&mut text, "{} ", device.address());
    add_title(report, device, &mut text);
    add_guest_name(report, device, "; ", &mut text);
    page.remark(ABOUT_ALL, text.bytes());
    add_cautions(report, device, page);
    text.clear();
    match device.state.guest {
        Guest::None => {}
        Guest::Domain(domain) => put!(
            &mut text,
            "Guest {} has it now, and only one guest at a time can.",
            domain
        ),
        Guest::Unknown(errno) => put!(
            &mut text,
            "A guest may have it now: xenstore does not say which: {}",
            errno
        ),
    }
    if !text.bytes().is_empty() {
        page.remark(ABOUT_ONE, text.bytes());
    }
    if device.function.identity.is_some_and(Identity::is_display) {
        page.remark(ABOUT_ONE, about_display(device, page.syntax).as_bytes());
    }
    if let Some(warnings) = warnings::of(report.warnings, device.address()) {
        add_fitness(warnings.fitness, page);
    }
}

/// Adds what dom0 loses with a device, and what an IOMMU cannot tell from it.
fn add_cautions(report: &Report, device: &Device, page: &mut Page) {
    let mut text = Line::new();
    add_uses(
        report,
        device.address(),
        ["CAUTION: it ", "; it "],
        &mut text,
    );
    if !text.bytes().is_empty() {
        put!(&mut text, ".");
        page.remark(ABOUT_ONE, text.bytes());
    }
    if is_first_of_group(report, device) {
        add_group(report, device, Fate::StaysWithDom0, page);
        add_group(report, device, Fate::IsForGuests, page);
    }
}

/// Adds what stands in the way of a guest that is to have a device.
fn add_fitness(fitness: Fitness, page: &mut Page) {
    let mut words = Line::new();
    let others = Fitness {
        has_reserved_memory: false,
        ..fitness
    };
    others.add_words(&mut words);
    if let Some([first, rest @ ..]) = words.bytes().strip_prefix(b"; ") {
        let mut text = Line::new();
        text.push(&[first.to_ascii_uppercase()]);
        text.push(rest);
        put!(&mut text, ".");
        page.remark(ABOUT_ONE, text.bytes());
    }
    if fitness.has_reserved_memory && page.syntax == Syntax::Xl {
        page.remark(ABOUT_ONE, ABOUT_RESERVED_MEMORY);
    }
}

/// What becomes of a function of a group that is not in the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    StaysWithDom0,
    IsForGuests,
}

impl Fate {
    fn of(device: &Device) -> Fate {
        if device.is_with_pciback() || device.action == Action::Seize {
            Fate::IsForGuests
        } else {
            Fate::StaysWithDom0
        }
    }
}

/// Whether a device is the first in the configuration of a group that is known: for all of them the
/// same is said.
fn is_first_of_group(report: &Report, device: &Device) -> bool {
    let own = device.address();
    let is_due = |&other: &Address| find(report, other).is_some_and(|other| other.work.is_due);
    report.groups.is_known(own) && report.groups.of(own).find(is_due) == Some(own)
}

/// Adds which functions of a device's group are not in the configuration. Bridges stay with dom0
/// anyway.
fn add_group(report: &Report, device: &Device, fate: Fate, page: &mut Page) {
    let own = device.address();
    let is_told = |&other: &Address| {
        let other = find(report, other);
        other.is_some_and(|other| {
            !other.work.is_due && !other.is_bridge() && Fate::of(other) == fate
        })
    };
    let mut text = Line::new();
    let mut before = "CAUTION: an IOMMU cannot tell it from ";
    let mut others = report.groups.of(own).filter(is_told);
    for other in others.by_ref().take(MEMBERS) {
        put!(&mut text, "{}{}", before, other);
        before = ", ";
    }
    if text.bytes().is_empty() {
        return;
    }
    let more = others.count();
    if more > 0 {
        put!(&mut text, " and {} more", more as u32);
    }
    match (fate, page.syntax) {
        (Fate::StaysWithDom0, Syntax::Xl) => put!(
            &mut text,
            ", which dom0 keeps: 'pciseize add --group {}' asks for all.",
            own
        ),
        // A comment of XML cannot name the option.
        (Fate::StaysWithDom0, Syntax::Libvirt) => {
            put!(&mut text, ", which dom0 keeps: see GROUPS in pciseize(8).")
        }
        (Fate::IsForGuests, _) => put!(
            &mut text,
            ", which is for guests too: give all of them to one guest."
        ),
    }
    page.remark(ABOUT_ONE, text.bytes());
}

/// Adds of which devices nobody knows what an IOMMU cannot tell from them, since registers cannot
/// be read.
fn add_unknown_groups(report: &Report, page: &mut Page) {
    let is_unknown =
        |device: &&Device| device.work.is_due && !report.groups.is_known(device.address());
    let mut unknown = report.devices.iter().filter(is_unknown);
    let Some(first) = unknown.next().filter(|_| report.groups.has_unread()) else {
        return;
    };
    let mut text = Line::new();
    put!(
        &mut text,
        "CAUTION: what an IOMMU cannot tell from {}",
        first.address()
    );
    let more = unknown.count();
    if more > 0 {
        put!(&mut text, " and {} more", more as u32);
    }
    put!(&mut text, " is not known: {}.", why_unknown(report.groups));
    page.remark(ABOUT_ALL, text.bytes());
}

/// What a display needs. A PV guest has neither a ROM nor the memory of VGA. Of all displays only
/// Intel's integrated graphics have a `gfx_passthru` of their own, and then need it (libxl,
/// `libxl__detect_gfx_passthru_kind`).
fn about_display(device: &Device, syntax: Syntax) -> &'static str {
    match (syntax, is_integrated_graphics(device)) {
        (Syntax::Xl, true) => {
            "A display is for HVM guests only, type = 'hvm'. Intel's integrated graphics also need \
             gfx_passthru = 'igd': QEMU does not start without, and emulates no display with it."
        }
        (Syntax::Xl, false) => {
            "A display is for HVM guests only, type = 'hvm'. Leave out gfx_passthru, which is for \
             Intel's integrated graphics: the guest has this display beside the emulated one."
        }
        (Syntax::Libvirt, true) => {
            "A display is for HVM guests only. Intel's integrated graphics also need gfx_passthru, \
             which libvirt does not know: have xl start the guest."
        }
        (Syntax::Libvirt, false) => {
            "A display is for HVM guests only. The guest has this one beside the emulated one."
        }
    }
}

fn is_integrated_graphics(device: &Device) -> bool {
    let is_intel = |identity: Identity| identity.vendor().0 == INTEL && identity.is_display();
    device.address() == INTEGRATED_GRAPHICS && device.function.identity.is_some_and(is_intel)
}

/// Whether a function stays with dom0 though the guest gets others of its card. What is of their
/// group is told with that.
fn is_left_of_card(report: &Report, device: &Device) -> bool {
    let own = device.address();
    let is_of_group =
        |other: Address| report.groups.is_known(other) && report.groups.are_together(own, other);
    let is_of_it = |other: &Device| {
        let address = other.address();
        let is_of_card = other.is_of_card() && address.slot() == own.slot();
        other.work.is_due && is_of_card && !is_of_group(address)
    };
    !device.is_bridge() && device.is_of_card() && report.devices.iter().any(is_of_it)
}

/// Adds that a function stays with dom0.
fn add_left(device: &Device, page: &mut Page) {
    let mut text = Line::new();
    put!(
        &mut text,
        "CAUTION: {} of the same card stays with dom0 (driver {}). They share one reset: let the \
         guest have it too.",
        device.address(),
        driver(device)
    );
    page.remark(ABOUT_ALL, text.bytes());
}

/// Adds what gives the names to Xen, or why there are none, and that addresses are not for ever.
fn add_about_names(report: &Report, drop_in: &[u8], page: &mut Page) {
    let syntax = page.syntax;
    let due = || report.devices.iter().filter(|device| device.work.is_due);
    let has_name = |device: &Device| name(report, device, syntax).is_some();
    if due().any(has_name) {
        page.remark(ABOUT_ALL, b"'pciseize name-guests' tells xl the names.");
    }
    if due().all(has_name) {
        return;
    }
    let is_nameless = |device: &&Device| device.guest_name(report.request).is_none();
    let has_named = !due().all(|one| is_nameless(&one));
    if syntax == Syntax::Xl && has_named && !are_names_given(report) {
        let mut text = Line::new();
        put!(&mut text, "Here are addresses, not names: ");
        match report.nameless {
            Some(xen) => put!(&mut text, "{}.", xen),
            None => put!(
                &mut text,
                "all is switched off, and then 'pciseize name-guests' gives no names."
            ),
        }
        page.remark(ABOUT_ALL, text.bytes());
    }
    let mut text = Line::new();
    put!(
        &mut text,
        "An address may mean another device after a change of hardware"
    );
    // What this host boots from is not to be asked for.
    let may_be_asked_for = |device: &&Device| {
        let uses = report.usage.uses(device.address());
        let has_names = syntax == Syntax::Xl && report.nameless.is_none();
        is_nameless(device) && has_names && !uses.meets(Uses::TO_BOOT)
    };
    match due().find(may_be_asked_for) {
        Some(nameless) => add_way_to_name(report, nameless, drop_in, &mut text),
        None => put!(&mut text, ": compare it with 'pciseize status' then."),
    }
    page.remark(ABOUT_ALL, text.bytes());
}

/// Adds how a device gets a name.
fn add_way_to_name(report: &Report, device: &Device, drop_in: &[u8], text: &mut Line) {
    let address = device.address();
    let item = device.item(report.request);
    let is_added = item.is_some_and(|item| report.request.source(item.origin.source) == drop_in);
    let is_broad = item.is_some_and(Item::is_broad);
    put!(text, ". A name does not: ");
    match device.action {
        Action::Unasked => put!(text, "type 'pciseize add --name NAME {}'.", address),
        // `add` asks for it alone beside that.
        Action::Seize if is_broad => put!(text, "type 'pciseize add --name NAME {}'.", address),
        Action::Seize if is_added => put!(
            text,
            "type 'pciseize remove {}', then 'pciseize add --name NAME {}'.",
            address,
            address
        ),
        _ => {
            let mut item = Line::new();
            add_model(device, &mut item);
            add_path(device, &mut item);
            // It is one word, which does not fold.
            if item.bytes().len() < WORD {
                put!(text, "write 'NAME = ");
                text.push(item.bytes());
                put!(text, "' into /etc/xen/pciback.conf.");
            } else {
                put!(
                    text,
                    "write 'NAME = ITEM' into /etc/xen/pciback.conf, with the item of 'pciseize \
                     show {}'.",
                    address
                );
            }
        }
    }
}

/// What is to be known of every device.
fn about_all(syntax: Syntax) -> [&'static str; 2] {
    let permissive = match syntax {
        Syntax::Xl => {
            "If a driver in the guest complains about configuration space: write ',permissive=1' \
             behind its device, for a guest that you trust."
        }
        Syntax::Libvirt => {
            "If a driver in the guest complains about configuration space: write <source \
             writeFiltering='no'> for its device, and only for a guest that you trust."
        }
    };
    let limits = "With a device a guest cannot be migrated or saved, and it cannot be a PVH guest.";
    [permissive, limits]
}

/// Adds the element of a device. libvirt leaves to pciseize which driver it has: `managed='no'`.
fn add_element(device: &Device, sink: &mut Sink) {
    let address = device.address();
    let devfn = u32::from(address.devfn());
    put!(
        &mut sink.line,
        "<hostdev mode='subsystem' type='pci' managed='no'>\n  <source>\n    \
         <address domain='0x{:04x}' bus='0x{:02x}' slot='0x{:02x}' function='0x{:x}'/>\n  \
         </source>\n</hostdev>\n",
        address.domain(),
        u32::from(address.bus()),
        devfn >> 3,
        devfn & 7
    );
    sink.flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::Action,
        host::testing::text,
        report::{
            Kind,
            testing::{add, memory, written},
        },
    };

    #[test]
    fn has_no_double_hyphen_in_a_comment() {
        for (said, expected) in [
            ("", ""),
            ("-", "-"),
            ("a-b", "a-b"),
            ("--", "- -"),
            ("a---b--", "a- - -b- -"),
        ] {
            assert_eq!(
                text(without_double_hyphen(said.as_bytes()).bytes()),
                expected
            );
        }
    }

    #[test]
    fn prints_nothing_without_a_device() {
        let mut memory = memory("03:00.0");
        add(&mut memory, "03:00.0", Some(0), Action::Seize);
        for syntax in [Syntax::Xl, Syntax::Libvirt] {
            let report = memory.report(Kind::List, true);
            assert!(written(|out| print(&report, syntax, b"", out)).is_empty());
        }
    }

    #[test]
    fn knows_integrated_graphics() {
        let vga = 0x03_0000;
        for (at, vendor, class, expected) in [
            ("00:02.0", 0x8086, vga, true),
            ("00:02.0", 0x8086, 0x03_8000, true),
            ("00:02.1", 0x8086, 0x03_8000, false),
            ("03:00.0", 0x8086, vga, false),
            ("00:02.0", 0x1234, vga, false),
            ("00:02.0", 0x8086, 0x02_0000, false),
        ] {
            let mut memory = memory("");
            let device = add(&mut memory, at, None, Action::Unasked);
            let ids = vendor << 48;
            device.function.identity = Some(Identity { ids, class });
            let found = is_integrated_graphics(device);
            assert_eq!(found, expected, "{at} {vendor:x} {class:x}");
        }
    }
}
