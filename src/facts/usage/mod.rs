//! What dom0 itself uses its devices for: the disks beneath its file systems, its network, its
//! display, its keyboard.
//!
//! | file | |
//! | --- | --- |
//! | [`mount`] | the table of mounts |
//! | [`storage`] | file systems and swap, through whatever lies between them and a controller |
//! | [`network`] | the default route, through whatever lies between it and a network card |
//! | [`keyboard`] | keyboards |
//! | [`virtuals`] | virtual functions that are for guests |

pub mod keyboard;
pub mod mount;
pub mod network;
pub mod storage;
pub mod virtuals;

use heapless::Vec;

use storage::{Over, Untraced};
use virtuals::{VIRTUALS, Virtual};

use crate::{
    device::DEVICES,
    host::Files,
    pci::{Address, Identity, bus},
    pciback,
    text::{Excerpt, split},
};

/// Most layers between a file system or a route and its device.
const LAYERS: usize = 8;

/// What a function is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// The file system at `/`.
    Root,
    /// The file system at `/usr`.
    Usr,
    /// A file system at or below `/boot`.
    Boot,
    /// Swap.
    Swap,
    /// Another file system.
    Mount,
    /// The default route.
    Route,
    /// The display that the firmware began with (`boot_vga`), or the one with the console.
    Display,
    /// A keyboard, where there is no other.
    Keyboard,
    /// Virtual functions of it that pciback has, or that somebody asks for or keeps.
    ForGuests,
    /// A virtual function of it that a guest has, or may have.
    WithGuest,
    /// Perhaps the file system at `/`, whose disk was not found.
    PerhapsRoot,
    /// Perhaps the default route, the display or the keyboard, which was not found.
    PerhapsNeeded,
}

impl Use {
    /// Every use, in the order in which they are told.
    pub const ALL: [Use; 12] = [
        Use::Root,
        Use::Usr,
        Use::Boot,
        Use::Swap,
        Use::Mount,
        Use::Route,
        Use::Display,
        Use::Keyboard,
        Use::ForGuests,
        Use::WithGuest,
        Use::PerhapsRoot,
        Use::PerhapsNeeded,
    ];

    /// What is said of it: a verb, and what stands alone in a column. See [`Use::before_name`].
    pub const fn words(self) -> [&'static str; 2] {
        match self {
            Use::Root => ["holds ", "/"],
            Use::Usr => ["holds ", "/usr"],
            Use::Boot => ["holds ", "/boot"],
            Use::Swap => ["holds ", "swap"],
            Use::Mount => ["holds ", ""],
            Use::Route => ["carries the ", "default route"],
            Use::Display => ["is the ", "boot display"],
            Use::Keyboard => ["has the ", "last keyboard"],
            Use::ForGuests => ["has ", "virtual functions for guests, or kept"],
            Use::WithGuest => ["has ", "virtual functions that a guest has, or may have"],
            Use::PerhapsRoot => ["", "may hold /, whose disk was not found"],
            Use::PerhapsNeeded => ["", "may be what dom0 needs: not all of that was found"],
        }
    }

    /// What stands between its words and the name of the file system or the network interface.
    /// `None`: it has no name.
    pub const fn before_name(self) -> Option<&'static str> {
        match self {
            Use::Mount => Some(""),
            Use::Route => Some(" of "),
            _ => None,
        }
    }
}

/// A set of uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses(u16);

impl Uses {
    /// No use.
    pub const NONE: Uses = Uses(0);

    /// Every use.
    pub const ALL: Uses = Uses((1 << Use::ALL.len()) - 1);

    /// What a boot needs, or may need.
    pub const TO_BOOT: Uses = Uses::NONE
        .with(Use::Root)
        .with(Use::Usr)
        .with(Use::Boot)
        .with(Use::Swap)
        .with(Use::PerhapsRoot);

    /// What dom0 needs once it runs, or may need.
    pub const NEEDED: Uses = Uses::NONE
        .with(Use::Route)
        .with(Use::Display)
        .with(Use::Keyboard)
        .with(Use::PerhapsNeeded);

    /// What is not taken from under dom0 while it runs, unless that is forced. What may be needed
    /// is for a boot to pass over.
    pub const IN_USE: Uses = Uses::ALL.without(Use::PerhapsNeeded);

    /// What is not in use by dom0, but by guests.
    pub const OF_GUESTS: Uses = Uses::NONE.with(Use::ForGuests).with(Use::WithGuest);

    const fn bit(one: Use) -> u16 {
        match one {
            Use::Root => 1,
            Use::Usr => 1 << 1,
            Use::Boot => 1 << 2,
            Use::Swap => 1 << 3,
            Use::Mount => 1 << 4,
            Use::Route => 1 << 5,
            Use::Display => 1 << 6,
            Use::Keyboard => 1 << 7,
            Use::PerhapsRoot => 1 << 8,
            Use::PerhapsNeeded => 1 << 9,
            Use::ForGuests => 1 << 10,
            Use::WithGuest => 1 << 11,
        }
    }

    /// These, and one more.
    pub const fn with(self, one: Use) -> Uses {
        Uses(self.0 | Uses::bit(one))
    }

    /// These without one.
    pub const fn without(self, one: Use) -> Uses {
        Uses(self.0 & !Uses::bit(one))
    }

    /// These without those.
    pub const fn without_all(self, those: Uses) -> Uses {
        Uses(self.0 & !those.0)
    }

    /// Those that are among both.
    pub const fn and(self, others: Uses) -> Uses {
        Uses(self.0 & others.0)
    }

    /// Whether this use is among them.
    pub const fn has(self, one: Use) -> bool {
        self.0 & Uses::bit(one) != 0
    }

    /// Whether some use is among both.
    pub const fn meets(self, others: Uses) -> bool {
        !self.and(others).is_empty()
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order of [`Use::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Use> {
        Use::ALL.iter().copied().filter(move |&one| self.has(one))
    }
}

/// A function that is used.
#[derive(Debug)]
struct Used {
    address: Address,
    uses: Uses,
    /// Of the first file system or network interface whose use has a name.
    name: Excerpt,
}

/// Most things whose controllers are not found, and that are told one by one.
const UNTRACED: usize = 16;

/// Most keyboards whose names are told.
const KEYBOARDS: usize = 8;

/// What dom0 uses.
#[derive(Debug)]
pub struct Usage {
    /// As many as can be asked for.
    list: Vec<Used, DEVICES>,
    /// What holds the system and was not found.
    untraced: Vec<Untraced, UNTRACED>,
    /// Functions with keyboards behind them that stay with dom0; and one more for keyboards behind
    /// no function.
    keyboards: u8,
    /// The first keyboards, each with the function that it hangs on, and its name.
    keyboard_names: Vec<(Option<Address>, Excerpt), KEYBOARDS>,
    /// The virtual functions that are for guests.
    virtuals: Vec<Virtual, VIRTUALS>,
    /// Whether `/` is no mount: a folder, in which an image for another machine may be made.
    is_elsewhere: bool,
    /// Whether it was looked for: in an initramfs nothing is in use yet.
    is_known: bool,
    /// What dom0 needs once it runs, and was not found.
    lost: Uses,
    /// What a function is not given away for.
    forbidden: Uses,
}

impl Usage {
    /// Nothing is known.
    pub const fn new() -> Usage {
        Usage {
            list: Vec::new(),
            untraced: Vec::new(),
            keyboards: 0,
            keyboard_names: Vec::new(),
            virtuals: Vec::new(),
            is_elsewhere: false,
            is_known: false,
            lost: Uses::NONE,
            forbidden: Uses::NONE,
        }
    }

    /// Forgets everything, for another look.
    pub fn clear(&mut self) {
        self.list.clear();
        self.untraced.clear();
        self.keyboards = 0;
        self.keyboard_names.clear();
        self.virtuals.clear();
        self.is_elsewhere = false;
        self.is_known = false;
        self.lost = Uses::NONE;
        self.forbidden = Uses::NONE;
    }

    /// Looks for all that is in use on the running host. What cannot be followed to a function is
    /// in [`Usage::untraced`]. A function that is used for one of `forbidden` is not given away.
    pub fn gather<H: Files>(&mut self, host: &mut H, forbidden: Uses) {
        self.is_known = true;
        self.forbidden = forbidden;
        storage::gather(host, self);
        network::gather(host, self);
        keyboard::gather(host, self);
        self.add_console(host);
    }

    /// Notes the display that has the console. Only one of class 0300 has `boot_vga`; the graphics
    /// of a processor may be of class 0380.
    fn add_console<H: Files>(&mut self, host: &mut H) {
        let mut buffer = [0; 512];
        if let Ok(target) = host.read_link(b"/sys/class/graphics/fb0", &mut buffer)
            && let Some(address) = function_in(target)
        {
            self.add_display(host, address);
        }
    }

    /// Notes a display. What pciback has shows nothing any more.
    fn add_display<H: Files>(&mut self, host: &mut H, address: Address) {
        if !bus::has_driver(host, address, pciback::NAME.as_bytes()) {
            self.add(address, Use::Display, b"");
        }
    }

    /// Notes that a function is used, and for a virtual one the physical one: without that it ends.
    fn add_function<H: Files>(&mut self, host: &mut H, address: Address, one: Use, name: &[u8]) {
        self.add(address, one, name);
        if let Some(physical) = bus::physical(host, address) {
            self.add(physical, one, name);
        }
    }

    /// Notes that a function is used. `name`: of the file system or the network interface.
    fn add(&mut self, address: Address, one: Use, name: &[u8]) {
        let known = self.list.iter().position(|used| used.address == address);
        let new = Used {
            address,
            uses: Uses::NONE,
            name: Excerpt::default(),
        };
        if known.is_none() && self.list.push(new).is_err() {
            return;
        }
        let used = match known {
            Some(place) => self.list.get_mut(place),
            None => self.list.last_mut(),
        };
        let Some(used) = used else { return };
        if one == Use::Keyboard && !used.uses.has(one) {
            self.keyboards = self.keyboards.saturating_add(1);
        }
        used.uses = used.uses.with(one);
        if one.before_name().is_some() && used.name.is_empty() {
            used.name = Excerpt::of(name);
        }
    }

    /// Notes that the controllers of something are not found. `point`: where it is mounted.
    fn add_untraced(&mut self, one: Use, point: &[u8], text: &[u8], over: Over) {
        if self.untraced.is_full() && one == Use::Root {
            // There is room for `/`, which is told in any case.
            self.untraced.pop();
        }
        let _ = self.untraced.push(Untraced {
            one,
            point: Excerpt::of(point),
            text: Excerpt::of(text),
            over,
        });
    }

    /// Notes that the card of a default route is not found.
    fn add_untraced_route(&mut self, interface: &[u8]) {
        self.note_lost(Use::Route);
        // One for IPv4 and one for IPv6 are one.
        self.forget_untraced(interface);
        self.add_untraced(Use::Route, interface, interface, Over::Network);
    }

    /// Forgets what was not found at a mount point: another file system is mounted over it.
    fn forget_untraced(&mut self, point: &[u8]) {
        let point = Excerpt::of(point);
        self.untraced.retain(|untraced| untraced.point != point);
    }

    /// What the system needs and is on functions that were not found.
    pub fn untraced(&self) -> &[Untraced] {
        &self.untraced
    }

    /// The uses for which an image has to know a function.
    pub fn to_boot(&self) -> Uses {
        if self.is_elsewhere {
            Uses::TO_BOOT.without(Use::PerhapsRoot)
        } else {
            Uses::TO_BOOT
        }
    }

    /// Whether an image has to know that dom0 needs a function for this. Where the card of a
    /// default route was not found, any may be it. Each keyboard counts, as a boot may take the
    /// others; but none where one is left in any case.
    pub fn is_for_image(&self, address: Address, one: Use) -> bool {
        let uses = self.find(address).map_or(Uses::NONE, |used| used.uses);
        let has_keyboard = |used: &&Used| used.uses.has(Use::Keyboard);
        let is_left = || self.list.iter().filter(has_keyboard).count() < self.keyboards.into();
        match one {
            _ if self.is_elsewhere => false,
            Use::Route => uses.meets(Uses::NONE.with(one).with(Use::PerhapsNeeded)),
            Use::Keyboard => uses.has(one) && !is_left(),
            _ => uses.has(one),
        }
    }

    /// Whether all is found that the system boots from.
    pub fn knows_what_boots(&self) -> bool {
        let mut untraced = self.untraced.iter();
        !untraced.any(|untraced| Uses::TO_BOOT.has(untraced.one))
    }

    /// Looks at a function itself: is it the boot display, or may it hold `/`?
    pub fn look_at<H: Files>(
        &mut self,
        host: &mut H,
        address: Address,
        identity: Option<Identity>,
    ) {
        self.look_for_display(host, address, identity);
        if self.may_hold_root(identity) && !is_idle(host, address) {
            self.add(address, Use::PerhapsRoot, b"");
        }
        // In an initramfs nothing has a driver yet.
        if self.may_be_needed(identity) && !(self.is_known && is_idle(host, address)) {
            self.add(address, Use::PerhapsNeeded, b"");
        }
    }

    /// Notes what the image knows that dom0 needs a function for.
    pub fn note_needed(&mut self, address: Address, one: Use) {
        self.add(address, one, b"");
    }

    /// Whether some function is used for this.
    pub fn has(&self, one: Use) -> bool {
        self.list.iter().any(|used| used.uses.has(one))
    }

    /// The first functions with keyboards.
    pub fn keyboards(&self) -> Vec<Address, KEYBOARDS> {
        let mut keyboards = Vec::new();
        for used in &self.list {
            if used.uses.has(Use::Keyboard) {
                let _ = keyboards.push(used.address);
            }
        }
        keyboards
    }

    /// Notes that nobody knows which function dom0 needs for this.
    pub fn note_lost(&mut self, one: Use) {
        self.lost = self.lost.with(one);
    }

    /// Whether a function is of a kind that dom0 needs, and the one that it needs was not found.
    fn may_be_needed(&self, identity: Option<Identity>) -> bool {
        !self.lost.is_empty()
            && identity.is_none_or(|identity| {
                identity.is_network() && self.lost.has(Use::Route)
                    || identity.is_display() && self.lost.has(Use::Display)
                    || identity.is_usb() && self.lost.has(Use::Keyboard)
            })
    }

    /// Whether a function is of a kind that may hold `/`, where nobody knows what does.
    fn may_hold_root(&self, identity: Option<Identity>) -> bool {
        let roots = self.untraced.iter().filter(|one| one.one == Use::Root);
        let Some(over) = roots.map(|one| one.over).max() else {
            return false;
        };
        identity.is_none_or(|identity| {
            identity.is_storage()
                || identity.is_usb()
                || (identity.is_network() && over == Over::Network)
        })
    }

    /// Looks whether a function is the boot display.
    ///
    /// Functions of class 0300 only have `boot_vga` (`drivers/pci/pci-sysfs.c`,
    /// `pci_dev_attrs_are_visible`).
    fn look_for_display<H: Files>(
        &mut self,
        host: &mut H,
        address: Address,
        identity: Option<Identity>,
    ) {
        if !self.is_known || !identity.is_some_and(Identity::is_display) {
            return;
        }
        let mut buffer = [0; 2];
        let read = bus::read(host, address, "/boot_vga", &mut buffer);
        if read.is_ok_and(|text| text.starts_with(b"1")) {
            self.add_display(host, address);
        }
    }

    /// What a function is used for. A keyboard counts only where it is the last that is left.
    pub fn uses(&self, address: Address) -> Uses {
        let uses = self.find(address).map_or(Uses::NONE, |used| used.uses);
        if self.keyboards > 1 {
            uses.without(Use::Keyboard)
        } else {
            uses
        }
    }

    /// The name of the file system or the network interface that a function is used for.
    pub fn name(&self, address: Address) -> Option<&Excerpt> {
        self.find(address).map(|used| &used.name)
    }

    /// Whether a function is not given away because of one of these uses.
    pub fn forbids(&self, address: Address, uses: Uses) -> bool {
        self.uses(address).and(uses).meets(self.forbidden)
    }

    /// Notes a keyboard by its name.
    fn add_keyboard(&mut self, function: Option<Address>, name: &Excerpt) {
        let keyboard = (function, name.clone());
        if !self.keyboard_names.contains(&keyboard) {
            // There is no need for more: one that works is enough.
            let _ = self.keyboard_names.push(keyboard);
        }
    }

    /// The names of the keyboards that stay with dom0, if those of a function are given away.
    pub fn keyboards_left_by(&self, given: Address) -> impl Iterator<Item = &Excerpt> {
        let is_left = |function: Option<Address>| {
            function.is_none_or(|at| {
                self.find(at)
                    .is_some_and(|used| used.uses.has(Use::Keyboard))
            })
        };
        let names = self.keyboard_names.iter();
        let has_given = names
            .clone()
            .any(|(function, _)| *function == Some(given) && !is_left(*function));
        let left = names.filter(move |(function, _)| has_given && is_left(*function));
        left.map(|(_, name)| name)
    }

    fn find(&self, address: Address) -> Option<&Used> {
        self.list.iter().find(|used| used.address == address)
    }

    /// Notes that a function is given away: its keyboards are left no more. They do not count as
    /// the last ones if there are others.
    pub fn give(&mut self, address: Address) {
        let with_keyboard =
            |used: &&mut Used| used.address == address && used.uses.has(Use::Keyboard);
        if self.keyboards > 1
            && let Some(used) = self.list.iter_mut().find(with_keyboard)
        {
            used.uses = used.uses.without(Use::Keyboard);
            self.keyboards -= 1;
        }
    }
}

impl Default for Usage {
    fn default() -> Usage {
        Usage::new()
    }
}

/// Whether a function surely holds nothing: it has no driver, or pciback has it.
fn is_idle<H: Files>(host: &mut H, address: Address) -> bool {
    bus::driver(host, address)
        .is_ok_and(|driver| driver.is_empty() || driver == pciback::NAME.as_bytes())
}

/// The last PCI function on the way that a link in `/sys` goes, or a path there: the one that
/// drives what is at its end.
///
/// Only what is spelled as the kernel spells addresses: other buses have names that are much like
/// them (`0003:0079:0011.0001` is a gamepad). And only what Xen can name: behind a VMD that is the
/// VMD itself.
fn function_in(path: &[u8]) -> Option<Address> {
    let spelled = |folder: &[u8]| {
        let address = Address::parse(folder).ok()?;
        let is_it = address.is_known_to_xen() && address.text() == folder;
        is_it.then_some(address)
    };
    split(path, b'/').filter_map(spelled).last()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::sync::Mutex;

    use super::*;
    use crate::host::testing::{Machine, boxed};

    fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn finds_the_function_that_drives_the_end_of_a_path() {
        for (path, function) in [
            (
                "../devices/pci0000:00/0000:00:1f.2/ata1/block/sda",
                Some("0000:00:1f.2"),
            ),
            (
                "../devices/pci0000:00/0000:00:1c.0/0000:03:00.0/nvme/nvme0",
                Some("0000:03:00.0"),
            ),
            (
                "pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/nvme",
                Some("0000:00:0e.0"),
            ),
            (
                "/devices/0000:00:14.0/usb1/0003:0079:0011.0001",
                Some("0000:00:14.0"),
            ),
            ("../../devices/virtual/block/dm-0", None),
            ("00:1f.2", None),
            ("", None),
        ] {
            assert_eq!(
                function_in(path.as_bytes()),
                function.map(address),
                "{path}"
            );
        }
    }

    #[test]
    fn counts_a_keyboard_only_as_the_last_one() {
        let (one, other) = (address("00:14.0"), address("00:1a.0"));
        // Too large for the stack of a test.
        static USAGE: Mutex<Usage> = Mutex::new(Usage::new());
        let mut usage = USAGE.lock().expect("one test");
        usage.add(one, Use::Keyboard, b"");
        assert!(usage.uses(one).has(Use::Keyboard));
        usage.add(other, Use::Keyboard, b"");
        usage.add(other, Use::Keyboard, b"");
        assert!(usage.uses(one).is_empty() && usage.uses(other).is_empty());
        usage.give(one);
        assert!(usage.uses(one).is_empty() && usage.uses(other).has(Use::Keyboard));
        usage.give(other);
        assert!(
            usage.uses(other).has(Use::Keyboard),
            "the last one stays in use"
        );
    }

    #[test]
    fn knows_every_use_by_a_bit_of_its_own() {
        let mut all = Uses::NONE;
        for one in Use::ALL {
            assert!(!all.has(one), "{one:?}");
            all = all.with(one);
            assert!(all.has(one) && !all.without(one).has(one));
        }
        assert_eq!(all, Uses::ALL);
    }

    #[test]
    fn knows_the_boot_display_of_a_running_host() {
        let display = Identity {
            ids: 0x10de_1b80_0000_0000,
            class: 0x03_0000,
        };
        let card = Identity {
            class: 0x02_0000,
            ..display
        };
        for (text, driver, identity, is_gathered, is_used) in [
            ("1\n", "nouveau", Some(display), true, true),
            ("0\n", "nouveau", Some(display), true, false),
            ("1\n", pciback::NAME, Some(display), true, false),
            ("1\n", "nouveau", Some(card), true, false),
            ("1\n", "nouveau", None, true, false),
            // In an initramfs nothing is in use yet.
            ("1\n", "nouveau", Some(display), false, false),
        ] {
            let mut host = Machine::new();
            host.function("pci0000:00/0000:03:00.0", "10de:1b80", "030000");
            host.driver("0000:03:00.0", driver);
            host.file("/sys/bus/pci/devices/0000:03:00.0/boot_vga", text);
            host.file(
                "/proc/self/mountinfo",
                "1 1 0:2 / / rw - rootfs rootfs rw\n",
            );
            let mut usage = boxed(Usage::new);
            if is_gathered {
                usage.gather(&mut host, Uses::ALL);
            }
            let at = address("03:00.0");
            usage.look_at(&mut host, at, identity);
            assert_eq!(usage.uses(at).has(Use::Display), is_used, "{text} {driver}");
            assert_eq!(usage.forbids(at, Uses::ALL), is_used, "{text} {driver}");
        }
    }

    /// Where nobody knows what holds `/`, it may be any storage that is driven, and if it may be on
    /// the network, any card.
    #[test]
    fn knows_what_may_hold_a_root_that_was_not_found() {
        let identity = |class| Identity {
            ids: 0x10de_1b80_0000_0000,
            class,
        };
        let mount = |kind: &str| std::format!("1 1 0:40 / / rw - {kind} x/y rw\n");
        for (mounts, driver, class, may_hold) in [
            (mount("tmpfs"), "nvme", Some(0x01_0802), false),
            (mount("zfs"), "nvme", Some(0x01_0802), true),
            (mount("zfs"), pciback::NAME, Some(0x01_0802), false),
            (mount("zfs"), "", Some(0x01_0802), false),
            (mount("zfs"), "igb", Some(0x02_0000), false),
            (mount("zfs"), "igb", None, true),
            (
                mount("zfs") + &mount("tmpfs"),
                "nvme",
                Some(0x01_0802),
                false,
            ),
            (mount("nfs"), "nvme", Some(0x01_0802), true),
            (mount("nfs"), "igb", Some(0x02_0000), true),
            (mount("fuse.x"), "igb", Some(0x02_0000), true),
            (mount("fuse.x"), "xhci_hcd", Some(0x0c_0330), true),
            (mount("zfs"), "sdhci-pci", Some(0x08_0501), true),
            (mount("fuse.x"), "snd_hda_intel", Some(0x04_0300), false),
            ("".into(), "igb", Some(0x02_0000), true),
        ] {
            let mut host = Machine::new();
            host.function("pci0000:00/0000:03:00.0", "10de:1b80", "010802");
            if !driver.is_empty() {
                host.driver("0000:03:00.0", driver);
            }
            host.file("/proc/self/mountinfo", &mounts);
            let mut usage = boxed(Usage::new);
            usage.gather(&mut host, Uses::ALL);
            let at = address("03:00.0");
            usage.look_at(&mut host, at, class.map(identity));
            let uses = usage.uses(at);
            assert_eq!(uses.has(Use::PerhapsRoot), may_hold, "{mounts}{driver}");
            assert_eq!(usage.forbids(at, Uses::ALL), may_hold, "{mounts}{driver}");
        }
        let mut usage = boxed(Usage::new);
        usage.gather(&mut Machine::new(), Uses::ALL);
        assert!(usage.untraced()[0].point.is_empty(), "no table");
    }
}
