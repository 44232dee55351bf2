//! A TCP connection to a host by any of its addresses (`client.dns.lookup=use_all_dns_ips`).
//!
//! Addresses are tried one after the other without waiting long for one that is silent, IPv6 and IPv4 in turn (RFC 8305).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long an address may be silent before the next is tried beside it (RFC 8305, "Connection Attempt Delay").
const PATIENCE: Duration = Duration::from_millis(250);
/// More addresses of one host than anybody has.
const ADDRESSES_MAX: usize = 32;

/// Connects to the first of the host's addresses that answers.
pub(super) async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = lookup_host((host, port)).await?.take(ADDRESSES_MAX);
    let mut addresses = in_turn(addresses);
    let mut attempts = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "host has no address");
    loop {
        if let Some(address) = addresses.pop_front() {
            attempts.spawn(TcpStream::connect(address));
        }
        tokio::select! {
            attempt = attempts.join_next() => match attempt {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last = error,
                Some(Err(error)) => last = io::Error::other(error),
                None => return Err(last),
            },
            () = sleep(PATIENCE), if !addresses.is_empty() => {}
        }
    }
}

/// Keeps the resolver's order within each family, and its first address first.
fn in_turn(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let (mut six, mut four): (VecDeque<_>, VecDeque<_>) = (VecDeque::new(), VecDeque::new());
    let mut begins_with_six = None;
    for address in addresses {
        begins_with_six.get_or_insert(address.is_ipv6());
        if address.is_ipv6() {
            six.push_back(address);
        } else {
            four.push_back(address);
        }
    }
    let (mut first, mut second) = match begins_with_six {
        Some(true) => (six, four),
        Some(false) | None => (four, six),
    };
    let mut turns = VecDeque::new();
    while !first.is_empty() || !second.is_empty() {
        turns.extend(first.pop_front());
        turns.extend(second.pop_front());
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"];
        let found = in_turn(addresses.iter().map(|address| address.parse().unwrap()));
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
        let found = in_turn(std::iter::empty());
        assert!(found.is_empty());
    }
}
