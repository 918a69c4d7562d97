//! The default route, and the network cards beneath it: through bridges, bonds and VLANs.

use super::{LAYERS, Usage, Use, function_in};
use crate::{
    host::{Errno, Files, lines},
    put,
    text::{Line, column, first_part, has_byte, last_part, number, split},
};

/// A table of routes, and the columns of a line that count, from 0.
struct Table {
    path: &'static str,
    destination: usize,
    mask: usize,
    interface: usize,
    /// Bits of an address.
    width: u32,
}

/// For IPv4 (`net/ipv4/fib_trie.c`, `fib_route_seq_show`).
const IPV4: Table = Table {
    path: "/proc/net/route",
    destination: 1,
    mask: 7,
    interface: 0,
    width: 32,
};

/// For IPv6 (`net/ipv6/route.c`, `rt6_info_route`).
const IPV6: Table = Table {
    path: "/proc/net/ipv6_route",
    destination: 0,
    mask: 1,
    interface: 9,
    width: 128,
};

/// Looks for the cards that have a default route: one to no address with no mask.
pub fn gather<H: Files>(host: &mut H, usage: &mut Usage) {
    for table in [&IPV4, &IPV6] {
        let read = each_route(host, table, &mut |host, route| {
            if route.length == 0 {
                let mut cards = Cards {
                    usage,
                    one: Use::Route,
                    name: route.interface,
                };
                if !cards.add_of(host, route.interface)
                    && !cards.add_of_pppoe(host, route.interface)
                    && !is_of_guest(host, route.interface, LAYERS)
                {
                    usage.add_untraced_route(route.interface);
                }
            }
        });
        // A kernel without IPv6 has no such table.
        if read.is_err_and(|errno| errno != Errno::ENOENT) {
            usage.add_untraced_route(table.path.as_bytes());
        }
    }
}

/// A route.
struct Route<'l> {
    /// Where it leads, in the lowest bits.
    destination: u128,
    /// How many bits of that count, from the highest.
    length: u32,
    interface: &'l [u8],
}

impl Route<'_> {
    /// Reads a line of a table.
    fn of<'l>(table: &Table, line: &'l [u8]) -> Option<Route<'l>> {
        let interface = column(line, table.interface);
        let destination = column(line, table.destination);
        let mask = column(line, table.mask);
        let (destination, length) = if table.width == 32 {
            // The kernel shows the bytes of the address as a number of its own.
            let bits = |field| Some(u32::from_be_bytes(number(field, 16)?.to_ne_bytes()));
            (bits(destination)?.into(), bits(mask)?.leading_ones())
        } else {
            let digits = destination.chunks_exact(8);
            let value = digits
                .map(|digits| number(digits, 16))
                .try_fold(0, shifted_in);
            (value?, number(mask, 16)?)
        };
        Some(Route {
            destination,
            length,
            interface,
        })
    }

    /// Whether it leads to an address.
    fn leads_to(&self, server: &Server, width: u32) -> bool {
        let differing = self.destination ^ server.address;
        let rest = width.saturating_sub(self.length);
        differing.checked_shr(rest).unwrap_or(0) == 0
    }
}

/// Calls `visit` with every route of a table that leads out of the machine.
///
/// # Errors
/// Why the table cannot be read to its end.
fn each_route<H: Files>(
    host: &mut H,
    table: &Table,
    visit: &mut dyn FnMut(&mut H, Route),
) -> Result<(), Errno> {
    lines::each(
        host,
        table.path.as_bytes(),
        ROUTES_SIZE,
        &mut |host, line| {
            // The kernel itself has a default route that leads nowhere (`ip6_null_entry`). One that
            // forbids has no interface in the table of IPv4.
            let leads_out = |route: &Route| !matches!(route.interface, b"lo" | b"*");
            if let Some(route) = Route::of(table, line.text).filter(leads_out) {
                visit(host, route);
            }
        },
    )
}

/// Most bytes of a table of routes that are read.
const ROUTES_SIZE: u64 = 1 << 20;

/// A number, and 32 bits more behind it.
fn shifted_in(value: u128, bits: Option<u32>) -> Option<u128> {
    Some(value << 32 | u128::from(bits?))
}

/// The address of a server.
pub struct Server {
    /// In the lowest bits.
    address: u128,
    is_ipv4: bool,
}

impl Server {
    /// Reads an address of IPv4 or IPv6, as `10.0.0.1` or `fd00::1`, also `[fd00::1]`, and with an
    /// interface: `fe80::1%eth0`. (Core's own parsers can panic.)
    pub fn parse(text: &[u8]) -> Option<Server> {
        let text = text.strip_prefix(b"[").unwrap_or(text);
        let text = first_part(first_part(text, b'%'), b']');
        if has_byte(text, b'.') {
            // An address of IPv4 may be written as one of IPv6: `::ffff:10.0.0.1`.
            let address = parse_groups(last_part(text, b':'), &DOTTED)?;
            return (address.count == 4).then_some(Server {
                address: address.bits,
                is_ipv4: true,
            });
        }
        let (head, tail) = match text.windows(2).position(|two| two == b"::") {
            Some(at) => (text.get(..at)?, text.get(at + 2..)),
            None => (text, None),
        };
        let head = parse_groups(head, &COLONS)?;
        let has_gap = tail.is_some();
        let tail = parse_groups(tail.unwrap_or_default(), &COLONS)?;
        // What `::` stands for is zeros. Without it there are none missing.
        let missing = 8_u32.checked_sub(head.count + tail.count)?;
        let above = head.bits.checked_shl(16 * (8 - head.count)).unwrap_or(0);
        (has_gap || missing == 0).then_some(Server {
            address: above | tail.bits,
            is_ipv4: false,
        })
    }
}

/// How the groups of an address are written.
struct Spelling {
    separator: u8,
    radix: u32,
    bits: u32,
}

const DOTTED: Spelling = Spelling {
    separator: b'.',
    radix: 10,
    bits: 8,
};

const COLONS: Spelling = Spelling {
    separator: b':',
    radix: 16,
    bits: 16,
};

/// Some groups of an address.
#[derive(Default)]
struct Groups {
    bits: u128,
    count: u32,
}

/// Reads up to eight groups. An empty text has none.
fn parse_groups(text: &[u8], spelling: &Spelling) -> Option<Groups> {
    let mut groups = Groups::default();
    if text.is_empty() {
        return Some(groups);
    }
    for group in split(text, spelling.separator) {
        let value = number(group, spelling.radix).filter(|value| value >> spelling.bits == 0)?;
        groups.bits = groups.bits << spelling.bits | u128::from(value);
        groups.count += 1;
        if groups.count > 8 {
            return None;
        }
    }
    Some(groups)
}

/// The cards that are used for something.
pub struct Cards<'s> {
    /// Where they are noted.
    pub usage: &'s mut Usage,
    /// What they are used for.
    pub one: Use,
    /// The name that goes with that.
    pub name: &'s [u8],
}

impl Cards<'_> {
    /// Notes the cards that carry the route to a server; without one, or where no route leads to
    /// it, those of the default route. Gives back whether there is one.
    pub fn add_to<H: Files>(&mut self, host: &mut H, server: Option<Server>) -> bool {
        let Some(server) = server else {
            let mut has_found = false;
            for table in [&IPV4, &IPV6] {
                has_found |= self.add_at(host, table, &|route| route.length == 0);
            }
            return has_found;
        };
        let table = if server.is_ipv4 { &IPV4 } else { &IPV6 };
        // The longest one wins. Of equals each may: they differ in what they cost.
        let mut longest = None;
        let _ = each_route(host, table, &mut |_, route| {
            if route.leads_to(&server, table.width) {
                longest = longest.max(Some(route.length));
            }
        });
        self.add_at(host, table, &|route| {
            Some(route.length) == longest && route.leads_to(&server, table.width)
        })
    }

    /// Notes the cards of the routes that are wanted.
    fn add_at<H: Files>(
        &mut self,
        host: &mut H,
        table: &Table,
        is_wanted: &dyn Fn(&Route) -> bool,
    ) -> bool {
        let mut has_found = false;
        let _ = each_route(host, table, &mut |host, route| {
            if is_wanted(&route) {
                has_found |= self.add_of(host, route.interface);
            }
        });
        has_found
    }

    /// Notes the cards of an interface.
    fn add_of<H: Files>(&mut self, host: &mut H, interface: &[u8]) -> bool {
        // Open vSwitch does not say what is below each of its own interfaces: everything that is in
        // one of its bridges may be.
        self.add_below(host, interface, LAYERS) || self.add_below(host, b"ovs-system", LAYERS)
    }

    /// Notes the cards of every session of PPPoE. The kernel does not tell which session belongs to
    /// which `ppp` interface (`drivers/net/ppp/pppoe.c`, `pppoe_seq_show`).
    fn add_of_pppoe<H: Files>(&mut self, host: &mut H, interface: &[u8]) -> bool {
        let mut has_found = false;
        if interface.starts_with(b"ppp") {
            let _ = lines::each(host, b"/proc/net/pppoe", ROUTES_SIZE, &mut |host, line| {
                has_found |= self.add_of(host, column(line.text, 2));
            });
        }
        has_found
    }

    /// Notes the cards below an interface. Gives back whether there is one.
    fn add_below<H: Files>(&mut self, host: &mut H, interface: &[u8], layers: usize) -> bool {
        let folder = folder_of(interface);
        let mut buffer = [0; 512];
        let Ok(target) = host.read_link(folder.bytes(), &mut buffer) else {
            return false;
        };
        if let Some(address) = function_in(target) {
            self.usage.add_function(host, address, self.one, self.name);
            return true;
        }
        let Some(layers) = layers.checked_sub(1) else {
            return false;
        };
        let mut has_found = false;
        let _ = each_lower(host, &folder, &mut |host, lower| {
            has_found |= self.add_below(host, lower, layers);
        });
        has_found
    }
}

/// Whether another domain has the card of an interface: it is an end of Xen's own connection to
/// that domain (`/sys/devices/vif-1-0/net/vif1.0`), or there are only such below it.
fn is_of_guest<H: Files>(host: &mut H, interface: &[u8], layers: usize) -> bool {
    let folder = folder_of(interface);
    let mut buffer = [0; 512];
    let target = host
        .read_link(folder.bytes(), &mut buffer)
        .unwrap_or_default();
    let mut folders = split(target, b'/');
    if folders.any(|folder| folder.starts_with(b"vif-")) && folders.next() == Some(b"net") {
        return true;
    }
    let Some(layers) = layers.checked_sub(1) else {
        return false;
    };
    let (mut are_there, mut are_all) = (false, true);
    let listed = each_lower(host, &folder, &mut |host, lower| {
        are_there = true;
        are_all &= is_of_guest(host, lower, layers);
    });
    listed.is_ok() && are_there && are_all
}

/// The folder of an interface.
fn folder_of(interface: &[u8]) -> Line {
    let mut folder = Line::new();
    put!(&mut folder, "/sys/class/net/");
    folder.push(interface);
    folder
}

/// Calls `visit` with every interface below one: `lower_` links lead to those (`net/core/dev.c`,
/// `netdev_adjacent_sysfs_add`).
///
/// # Errors
/// Why the folder cannot be listed.
fn each_lower<H: Files>(
    host: &mut H,
    folder: &Line,
    visit: &mut dyn FnMut(&mut H, &[u8]),
) -> Result<(), Errno> {
    host.list(folder.bytes(), &mut |host, entry| {
        if let Some(lower) = entry.strip_prefix(b"lower_") {
            visit(host, lower);
        }
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String, vec::Vec};

    use super::*;
    use crate::{
        host::testing::{Machine, boxed, shown},
        pci::Address,
    };

    const HEAD: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";

    #[test]
    fn reads_addresses() {
        for (text, expected) in [
            ("10.0.0.1", Some((0x0a00_0001, true))),
            ("::ffff:10.0.0.1", Some((0x0a00_0001, true))),
            ("fd00::1", Some((0xfd << 120 | 1, false))),
            ("[fd00::1]", Some((0xfd << 120 | 1, false))),
            ("fe80::1:2%eth0", Some((0xfe80 << 112 | 0x1_0002, false))),
            (
                "1:2:3:4:5:6:7:8",
                Some((0x1_0002_0003_0004_0005_0006_0007_0008, false)),
            ),
            ("::", Some((0, false))),
            ("fd00::", Some((0xfd << 120, false))),
            ("10.0.0", None),
            ("10.0.0.256", None),
            ("1:2:3:4:5:6:7", None),
            ("1:2:3:4:5:6:7:8:9", None),
            ("10000::", None),
            ("server", None),
            ("", None),
        ] {
            let server = Server::parse(text.as_bytes());
            let server = server.map(|server| (server.address, server.is_ipv4));
            assert_eq!(server, expected, "{text}");
        }
    }

    /// A machine with two cards, each with an interface.
    fn machine() -> Machine {
        let mut host = Machine::new();
        for (name, card) in [("eth0", "0000:03:00.0"), ("eth1", "0000:04:00.0")] {
            let target = format!("../../devices/pci0000:00/0000:00:1c.0/{card}/net/{name}");
            host.link(&format!("/sys/class/net/{name}"), &target);
        }
        host
    }

    /// Adds an interface that is no card, with those below it.
    fn add_virtual(host: &mut Machine, name: &str, below: &[&str]) {
        let target = format!("../../devices/virtual/net/{name}");
        host.link(&format!("/sys/class/net/{name}"), &target);
        host.folder(&format!("/sys/devices/virtual/net/{name}/statistics"));
        for lower in below {
            let link = format!("/sys/devices/virtual/net/{name}/lower_{lower}");
            host.link(&link, "/sys/devices");
        }
    }

    /// The route that each of the cards carries.
    fn carried(host: &mut Machine) -> Vec<String> {
        let mut usage = boxed(Usage::new);
        gather(host, &mut usage);
        let of = |at: &str| {
            let address = Address::parse(at.as_bytes()).expect(at);
            let is_used = usage.uses(address).has(Use::Route);
            usage
                .name(address)
                .filter(|_| is_used)
                .map_or(String::new(), shown)
        };
        ["03:00.0", "04:00.0"].map(of).into()
    }

    #[test]
    fn finds_the_cards_of_default_routes() {
        let route = |interface: &str, destination: &str, mask: &str| {
            format!("{interface}\t{destination}\t0102A8C0\t0003\t0\t0\t0\t{mask}\n")
        };
        let zero = "0".repeat(32);
        let route6 = |interface: &str, length: &str| {
            format!("{zero} {length} {zero} 00 {zero} 00000400 1 0 00000001 {interface}\n")
        };
        for (ipv4, ipv6, expected) in [
            ("".into(), "".into(), ["", ""]),
            (
                route("eth0", "00000000", "00000000"),
                "".into(),
                ["eth0", ""],
            ),
            (route("eth0", "0002A8C0", "00FFFFFF"), "".into(), ["", ""]),
            // 0.0.0.0/1 is half of everything.
            (route("eth0", "00000000", "00000080"), "".into(), ["", ""]),
            ("".into(), route6("    eth1", "00"), ["", "eth1"]),
            ("".into(), route6("    eth1", "08"), ["", ""]),
            ("".into(), route6("      lo", "00"), ["", ""]),
            (
                route("eth0", "00000000", "00000000"),
                route6("eth1", "00"),
                ["eth0", "eth1"],
            ),
        ] {
            let mut host = machine();
            host.file("/proc/net/route", &format!("{HEAD}{ipv4}"));
            host.file("/proc/net/ipv6_route", &ipv6);
            assert_eq!(carried(&mut host), expected, "{ipv4}{ipv6}");
        }
    }

    #[test]
    fn finds_the_card_that_leads_to_a_server() {
        let route = |interface: &str, destination: &str, mask: &str| {
            format!("{interface}\t{destination}\t0\t0001\t0\t0\t0\t{mask}\n")
        };
        let mut host = machine();
        let table = [
            HEAD.into(),
            route("eth0", "00000000", "00000000"),
            route("eth0", "0000000A", "000000FF"),
            route("eth1", "0001000A", "00FFFFFF"),
        ];
        host.file("/proc/net/route", &table.concat());
        let zero = "0".repeat(32);
        let route6 = |interface: &str, destination: &str, length: &str| {
            format!("{destination} {length} {zero} 00 {zero} 00000400 1 0 00000001 {interface}\n")
        };
        let local = format!("fd00{}", "0".repeat(28));
        let table = route6("lo", &zero, "00") + &route6("eth1", &local, "40");
        host.file("/proc/net/ipv6_route", &table);
        for (server, expected) in [
            ("10.0.1.7", ["", "holds /"]),
            ("10.0.2.7", ["holds /", ""]),
            ("192.168.1.1", ["holds /", ""]),
            ("fd00::7", ["", "holds /"]),
            ("fd01::7", ["", ""]),
            // Where it is not known, the default route.
            ("server", ["holds /", ""]),
        ] {
            let mut usage = boxed(Usage::new);
            let mut cards = Cards {
                usage: &mut usage,
                one: Use::Root,
                name: b"",
            };
            let has_found = cards.add_to(&mut host, Server::parse(server.as_bytes()));
            assert_eq!(has_found, expected != ["", ""], "{server}");
            let uses = ["03:00.0", "04:00.0"].map(|at| {
                let uses = usage.uses(Address::parse(at.as_bytes()).expect(at));
                uses.iter()
                    .map(|one| one.words().concat())
                    .next()
                    .unwrap_or_default()
            });
            assert_eq!(uses, expected, "{server}");
        }
    }

    #[test]
    fn goes_through_bridges_bonds_and_vlans() {
        let route = format!("{HEAD}br0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\n");
        let mut host = machine();
        host.file("/proc/net/route", &route);
        add_virtual(&mut host, "br0", &["bond0.7", "vif1.0"]);
        add_virtual(&mut host, "vif1.0", &[]);
        add_virtual(&mut host, "bond0.7", &["bond0"]);
        add_virtual(&mut host, "bond0", &["eth0", "eth1"]);
        assert_eq!(carried(&mut host), ["br0", "br0"]);
    }

    #[test]
    fn takes_every_card_of_open_vswitch() {
        let route = format!("{HEAD}br0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\n");
        let mut host = machine();
        host.file("/proc/net/route", &route);
        add_virtual(&mut host, "br0", &[]);
        assert_eq!(carried(&mut host), ["", ""]);
        add_virtual(&mut host, "ovs-system", &["eth1"]);
        assert_eq!(carried(&mut host), ["", "br0"]);
        // The kernel's own route leads nowhere, so no card carries it.
        host.file("/proc/net/route", &route.replace("br0", "lo"));
        assert_eq!(carried(&mut host), ["", ""]);
    }

    #[test]
    fn goes_below_pppoe_and_says_where_a_way_ends() {
        let route = |interface: &str| {
            format!("{HEAD}{interface}\t00000000\t0\t0003\t0\t0\t0\t00000000\n").repeat(2)
        };
        let mut host = machine();
        let sessions =
            "Id       Address              Device\n0000001A 52:54:00:12:34:56     eth1\n";
        host.file("/proc/net/pppoe", sessions);
        for interface in ["ppp0", "wg0"] {
            add_virtual(&mut host, interface, &[]);
        }
        for (interface, cards, untraced) in
            [("ppp0", ["", "ppp0"], None), ("wg0", ["", ""], Some("wg0"))]
        {
            host.file("/proc/net/route", &route(interface));
            assert_eq!(carried(&mut host), cards, "{interface}");
            let mut usage = boxed(Usage::new);
            gather(&mut host, &mut usage);
            let told = usage.untraced().iter().map(|one| shown(&one.text));
            assert!(told.eq(untraced.map(String::from)), "{interface}");
        }
    }

    #[test]
    fn comes_to_an_end_in_a_circle() {
        let route = format!("{HEAD}br0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\n");
        let mut host = machine();
        host.file("/proc/net/route", &route);
        add_virtual(&mut host, "br0", &["br0"]);
        assert_eq!(carried(&mut host), ["", ""]);
    }
}
