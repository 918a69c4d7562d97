//! The default route, and the network cards beneath it: through bridges, bonds and VLANs.

use super::{Needs, Use, function_in};
use crate::{
    host::Host,
    lines::{self, FILE_SIZE},
    put,
    text::{Line, behind, next_piece},
};

/// Most layers between a route and its card.
const LAYERS: usize = 8;

/// Looks for the cards that have a default route: one to no address with no mask. There is a table for IPv4 and one for IPv6 (`net/ipv4/fib_trie.c`, `fib_route_seq_show`; `net/ipv6/route.c`, `rt6_info_route`), and
/// each has other columns for destination, mask and interface.
pub fn gather<H: Host>(host: &mut H, needs: &mut Needs) {
    for (table, destination, mask, interface) in [("/proc/net/route", 1, 7, 0), ("/proc/net/ipv6_route", 0, 1, 9)] {
        let _ = lines::each(host, table.as_bytes(), FILE_SIZE, &mut |host, _, line, _| {
            let interface = column(line, interface);
            // The kernel itself has one that leads nowhere (`ip6_null_entry`).
            if is_nothing(column(line, destination)) && is_nothing(column(line, mask)) && interface != b"lo" {
                route(host, needs, interface);
            }
        });
    }
}

/// A column of a line, counted from 0.
#[inline(never)]
fn column(line: &[u8], number: usize) -> &[u8] {
    let (mut at, mut piece) = (0, None);
    for _ in 0..=number {
        piece = next_piece(line, &mut at, |byte| matches!(byte, b' ' | b'\t'));
    }
    piece.unwrap_or_default()
}

/// Whether a field has nothing but zeros, and some.
fn is_nothing(field: &[u8]) -> bool {
    !field.is_empty() && field.iter().all(|&digit| digit == b'0')
}

fn route<H: Host>(host: &mut H, needs: &mut Needs, interface: &[u8]) {
    if !cards(host, needs, interface, interface, LAYERS) {
        // Open vSwitch does not say what is below each of its own interfaces: everything that is in one of its bridges may be.
        cards(host, needs, b"ovs-system", interface, LAYERS);
    }
}

/// Notes the cards below an interface: `lower_` links lead to those (`net/core/dev.c`, `netdev_adjacent_sysfs_add`). Whether there is one.
fn cards<H: Host>(host: &mut H, needs: &mut Needs, interface: &[u8], name: &[u8], layers: usize) -> bool {
    let mut path = Line::new();
    put!(&mut path, "/sys/class/net/");
    path.push(interface);
    let mut buffer = [0; 512];
    let Ok(target) = host.link(path.bytes(), &mut buffer) else { return false };
    if let Some(address) = function_in(target) {
        needs.add(address, Use::Route, name);
        return true;
    }
    let Some(layers) = layers.checked_sub(1) else { return false };
    let mut is_there = false;
    let _ = host.list(path.bytes(), &mut |host, entry| {
        if let Some(lower) = behind(b"lower_", entry) {
            is_there |= cards(host, needs, lower, name, layers);
        }
    });
    is_there
}
