//! What dom0 needs of its devices for itself: the disks beneath its file systems, its network, its display, its keyboard.
//!
//! | room | |
//! | --- | --- |
//! | [`storage`] | file systems and swap, through whatever lies between them and a controller |
//! | [`network`] | the default route, through whatever lies between it and a network card |
//! | [`keyboard`] | keyboards |

pub mod keyboard;
pub mod network;
pub mod storage;

use heapless::Vec;

use crate::{
    device::DEVICES,
    host::Host,
    pci::{Address, Identity, bus},
    put,
    seize::PCIBACK,
    text::{Either, Excerpt, Line, part, split},
};

/// What a function is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Use {
    Root,
    Usr,
    Boot,
    Swap,
    /// Another file system than those.
    Mount,
    /// The default route.
    Route,
    /// The display that the firmware began with (`boot_vga`).
    Display,
    /// A keyboard, and there is no other.
    Keyboard,
}

/// What is said of each, in their order. Behind the one of [`Use::Mount`] and [`Use::Route`] follows a name.
const TEXTS: &str = "holds /\nholds /usr\nholds /boot\nholds swap\nholds \ncarries the default route of \nis the boot display\nhas the last keyboard";

/// A set of uses: a bit for each.
pub type Uses = u8;

impl Use {
    /// The set of this one.
    pub const fn bit(self) -> Uses {
        1 << self as u8
    }
}

/// Without these no system comes up.
pub const TO_BOOT: Uses = Use::Root.bit() | Use::Usr.bit() | Use::Boot.bit() | Use::Swap.bit();

/// What one function is needed for.
#[derive(Debug)]
struct Need {
    address: Address,
    uses: Uses,
    /// Of the first file system or network interface that has no bit of its own.
    name: Excerpt,
}

/// What dom0 needs.
#[derive(Debug)]
pub struct Needs {
    /// As many as can be asked for.
    list: Vec<Need, DEVICES>,
    /// Functions behind which there are keyboards, and that stay with dom0; and one more for those that hang on no function.
    keyboards: u8,
    /// Whether it was looked for: in an initramfs nothing is in use yet.
    is_known: bool,
    /// What a function is not given away for.
    pub refuses: Uses,
}

impl Needs {
    /// Nothing known.
    pub const fn new() -> Needs {
        Needs { list: Vec::new(), keyboards: 0, is_known: false, refuses: 0 }
    }

    /// Looks for all that is in use on the running host. What cannot be read is in no use. What is needed for one of `refuses` is not given away, unless that is forced.
    #[inline(never)]
    pub fn gather<H: Host>(&mut self, host: &mut H, refuses: Uses, is_forced: bool) {
        (self.is_known, self.refuses) = (true, if is_forced { 0 } else { refuses });
        storage::gather(host, self);
        network::gather(host, self);
        keyboard::gather(host, self);
    }

    /// Notes that a function is needed.
    #[inline(never)]
    fn add(&mut self, address: Address, what: Use, name: &[u8]) {
        let known = self.list.iter().position(|need| need.address == address);
        if known.is_none() && self.list.push(Need { address, uses: 0, name: Excerpt::default() }).is_err() {
            return;
        }
        let place = known.unwrap_or(self.list.len().wrapping_sub(1));
        let Some(need) = self.list.get_mut(place) else { return };
        if what == Use::Keyboard && need.uses & what.bit() == 0 {
            self.keyboards = self.keyboards.saturating_add(1);
        }
        need.uses |= what.bit();
        if matches!(what, Use::Mount | Use::Route) && need.name.is_empty() {
            need.name = Excerpt::of(name);
        }
    }

    /// Looks at a function itself: is it the boot display? What pciback has shows nothing any more. `boot_vga` is there for those of class 03 only (`drivers/pci/pci-sysfs.c`, `pci_dev_attrs_are_visible`).
    #[inline(never)]
    pub fn look_at<H: Host>(&mut self, host: &mut H, address: Address, identity: Option<Identity>) {
        if self.is_known && identity.is_some_and(|identity| identity.class >> 16 == 3) {
            let mut buffer = [0; 2];
            let is_first = host.read(&bus::attribute(address, "/boot_vga"), 0, &mut buffer).is_ok_and(|text| text.starts_with(b"1"));
            if is_first && !bus::has_driver(host, address, PCIBACK.as_bytes()) {
                self.add(address, Use::Display, b"");
            }
        }
    }

    /// What a function is needed for. A keyboard only counts where it is the last that is left.
    pub fn uses(&self, address: Address) -> Uses {
        let uses = self.of(address).map_or(0, |need| need.uses);
        if self.keyboards > 1 { uses & !Use::Keyboard.bit() } else { uses }
    }

    #[inline(never)]
    fn of(&self, address: Address) -> Option<&Need> {
        self.list.iter().find(|need| need.address == address)
    }

    /// Notes that a function is given away: its keyboards are left no more, and are not the last ones if there are others.
    pub fn give(&mut self, address: Address) {
        if self.keyboards > 1
            && let Some(need) = self.list.iter_mut().find(|need| need.address == address && need.uses & Use::Keyboard.bit() != 0)
        {
            need.uses &= !Use::Keyboard.bit();
            self.keyboards -= 1;
        }
    }

    /// Adds what a function is needed for to a line, with `before` in front of each.
    #[inline(never)]
    pub fn show(&self, address: Address, uses: Uses, before: &str, line: &mut Line) {
        let Some(need) = self.of(address) else { return };
        for number in 0..8 {
            if uses & 1 << number == 0 {
                continue;
            }
            put!(line, Either(before));
            line.push(part(TEXTS, b'\n', number));
            if matches!(1 << number, MOUNT | ROUTE) {
                put!(line, &need.name);
            }
        }
    }
}

const MOUNT: Uses = Use::Mount.bit();
const ROUTE: Uses = Use::Route.bit();

impl Default for Needs {
    fn default() -> Needs {
        Needs::new()
    }
}

/// The last PCI function on the way that a link in `/sys` goes, or a path there: the one that drives what is at its end. Only what is spelled as the kernel spells addresses: other buses have names that are
/// much like them (`0003:0079:0011.0001` is a gamepad). And only what Xen can name: behind a VMD that is the VMD itself.
fn function_in(path: &[u8]) -> Option<Address> {
    let is_one = |address: &Address, folder: &[u8]| address.is_known_to_xen() && address.text().bytes() == folder;
    split(path, b'/').filter_map(|folder| Address::parse(folder).ok().filter(|address| is_one(address, folder))).last()
}
