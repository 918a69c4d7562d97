//! What a guest's configuration says of devices: the line for xl, or the elements for libvirt, with
//! what somebody has to know beside them, as comments.
//!
//! xl-pci-configuration(5) has the keys of that line, xl.cfg(5) the other settings.

use super::{
    Report,
    layout::{Wrap, add_words, pad},
    list::{add_guest_name, add_title, driver},
    sink::{Out, Sink},
};
use crate::{
    device::{Device, Guest},
    facts::reserved::Reserved,
    host::Errno,
    pci::{Address, Identity},
    put,
    request::syntax::name::Name,
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

/// Prints what a guest's configuration says of every device that is due; nothing, if none is.
/// `devices` of the report are all that the machine has, in order; for those in `reserved` the
/// firmware has reserved memory.
///
/// # Errors
/// The first of `out`.
pub fn print<'o>(
    report: &Report,
    reserved: &Reserved,
    syntax: Syntax,
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
            if syntax == Syntax::Xl && reserved.contains(&device.address()) {
                page.remark(ABOUT_ONE, ABOUT_RESERVED_MEMORY);
            }
        } else if is_left_of_card(report, device) {
            add_left(device, &mut page);
        }
    }
    let has_name = |device: &Device| name(report, device, syntax).is_some();
    if due().any(has_name) {
        page.remark(ABOUT_ALL, b"'pciseize name-guests' tells xl the names.");
    }
    if let Some(unnamed) = due().find(|device| !has_name(device)) {
        add_about_addresses(unnamed, &mut page);
    }
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

/// The name that a guest's configuration may have for a device. libvirt has none for any.
fn name<'r>(report: &Report<'r>, device: &Device, syntax: Syntax) -> Option<&'r Name> {
    match syntax {
        Syntax::Xl => device.guest_name(report.request),
        Syntax::Libvirt => None,
    }
}

/// Adds what a device is, and what is to be known of it.
fn add_remarks(report: &Report, device: &Device, page: &mut Page) {
    let mut text = Line::new();
    put!(&mut text, "{} ", device.address());
    add_title(report, device, &mut text);
    add_guest_name(report, device, "; ", &mut text);
    page.remark(ABOUT_ALL, text.bytes());
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

/// Whether a function stays with dom0 though the guest gets others of its card.
fn is_left_of_card(report: &Report, device: &Device) -> bool {
    let is_of_it = |other: &Device| {
        other.work.is_due && other.is_of_card() && other.address().slot() == device.address().slot()
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

/// Adds that addresses are not for ever, and what is: for one of the devices that have no name.
fn add_about_addresses(unnamed: &Device, page: &mut Page) {
    let mut text = Line::new();
    put!(
        &mut text,
        "An address may mean another device after a change of hardware"
    );
    match (
        page.syntax,
        &unnamed.function.place,
        unnamed.function.identity,
    ) {
        (Syntax::Xl, Some(place), Some(identity)) => put!(
            &mut text,
            ". A name does not: write 'NAME = {}@{}' into /etc/xen/pciback.conf.",
            identity.model(),
            place
        ),
        _ => put!(&mut text, ": compare it with 'pciseize status' then."),
    }
    page.remark(ABOUT_ALL, text.bytes());
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
            assert!(written(|out| print(&report, &Reserved::new(), syntax, out)).is_empty());
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
