//! The default route, and the network cards beneath it: through bridges, bonds and VLANs.

use super::{LAYERS, Usage, Use, function_in};
use crate::{
    host::{
        Files,
        lines::{self, FILE_SIZE},
    },
    put,
    text::{Line, next_piece},
};

/// A table of routes, and the columns of a line that count, from 0.
struct Table {
    path: &'static str,
    destination: usize,
    mask: usize,
    interface: usize,
}

/// The tables for IPv4 (`net/ipv4/fib_trie.c`, `fib_route_seq_show`) and for IPv6
/// (`net/ipv6/route.c`, `rt6_info_route`).
const TABLES: [Table; 2] = [
    Table {
        path: "/proc/net/route",
        destination: 1,
        mask: 7,
        interface: 0,
    },
    Table {
        path: "/proc/net/ipv6_route",
        destination: 0,
        mask: 1,
        interface: 9,
    },
];

/// Looks for the cards that have a default route: one to no address with no mask.
pub fn gather<H: Files>(host: &mut H, usage: &mut Usage) {
    for table in TABLES {
        let _ = lines::each(host, table.path.as_bytes(), FILE_SIZE, &mut |host, line| {
            let interface = column(line.text, table.interface);
            let is_default = is_zero(column(line.text, table.destination))
                && is_zero(column(line.text, table.mask));
            // The kernel itself has a default route that leads nowhere (`ip6_null_entry`).
            if is_default && interface != b"lo" {
                add_cards_of(host, usage, interface);
            }
        });
    }
}

/// A column of a line, counted from 0.
fn column(line: &[u8], number: usize) -> &[u8] {
    let mut at = 0;
    let mut columns =
        core::iter::from_fn(|| next_piece(line, &mut at, |byte| matches!(byte, b' ' | b'\t')));
    columns.nth(number).unwrap_or_default()
}

/// Whether a field has nothing but zeros, and some.
fn is_zero(field: &[u8]) -> bool {
    !field.is_empty() && field.iter().all(|&digit| digit == b'0')
}

/// Notes the cards that carry the default route of an interface.
fn add_cards_of<H: Files>(host: &mut H, usage: &mut Usage, interface: &[u8]) {
    let mut search = Search {
        usage,
        route: interface,
    };
    if !search.add_below(host, interface, LAYERS) {
        // Open vSwitch does not say what is below each of its own interfaces: everything that is in
        // one of its bridges may be.
        search.add_below(host, b"ovs-system", LAYERS);
    }
}

/// A search for the cards of one route.
struct Search<'s> {
    usage: &'s mut Usage,
    route: &'s [u8],
}

impl Search<'_> {
    /// Notes the cards below an interface: `lower_` links lead to those (`net/core/dev.c`,
    /// `netdev_adjacent_sysfs_add`). Gives back whether there is one.
    fn add_below<H: Files>(&mut self, host: &mut H, interface: &[u8], layers: usize) -> bool {
        let mut path = Line::new();
        put!(&mut path, "/sys/class/net/");
        path.push(interface);
        let mut buffer = [0; 512];
        let Ok(target) = host.read_link(path.bytes(), &mut buffer) else {
            return false;
        };
        if let Some(address) = function_in(target) {
            self.usage.add(address, Use::Route, self.route);
            return true;
        }
        let Some(layers) = layers.checked_sub(1) else {
            return false;
        };
        let mut has_found = false;
        let _ = host.list(path.bytes(), &mut |host, entry| {
            if let Some(lower) = entry.strip_prefix(b"lower_") {
                has_found |= self.add_below(host, lower, layers);
            }
        });
        has_found
    }
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
    fn cuts_lines_into_columns() {
        let line = b"eth0\t00000000\t0102A8C0  0003";
        for (number, text) in [(0, "eth0"), (1, "00000000"), (3, "0003"), (4, "")] {
            assert_eq!(column(line, number), text.as_bytes());
        }
        assert!(is_zero(b"000") && !is_zero(b"") && !is_zero(b"0001"));
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
    fn comes_to_an_end_in_a_circle() {
        let route = format!("{HEAD}br0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\n");
        let mut host = machine();
        host.file("/proc/net/route", &route);
        add_virtual(&mut host, "br0", &["br0"]);
        assert_eq!(carried(&mut host), ["", ""]);
    }
}
