//! From the addresses in the settings to those that are bound and those that clients are told. It asks the system for names
//! and addresses, and opens nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use crate::settings::Address;

/// The address to bind for `address`: every interface where it has no host.
///
/// # Errors
/// When the host has no address.
pub(crate) fn bound(address: &Address) -> io::Result<SocketAddr> {
    if address.host.is_empty() {
        return Ok(SocketAddr::new(
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            address.port,
        ));
    }
    let found: Vec<SocketAddr> = (address.host.as_str(), address.port)
        .to_socket_addrs()?
        .collect();
    // Clients that resolve a name try IPv4 first or both; a listener has one address.
    found
        .iter()
        .find(|found| found.is_ipv4())
        .or(found.first())
        .copied()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

/// The host clients are told: the advertised one, or the listener's, or this machine's name where that has none.
pub(crate) fn told(listener: &Address, advertised: Option<&Address>) -> String {
    match advertised {
        Some(address) if !address.host.is_empty() => address.host.clone(),
        Some(_) | None if !listener.is_wildcard() => listener.host.clone(),
        Some(_) | None => machine(),
    }
}

/// This machine's name, if it can be resolved: who cannot resolve it cannot connect to it either.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    let resolves = !name.is_empty()
        && (name, 0)
            .to_socket_addrs()
            .is_ok_and(|mut a| a.next().is_some());
    if resolves {
        return name.to_owned();
    }
    tracing::warn!(
        name,
        "this machine's name has no address: clients are told `localhost`; set advertised.listeners to what they can reach"
    );
    "localhost".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn no_host_binds_every_interface() {
        assert_eq!(
            bound(&address(":9092")).unwrap().to_string(),
            "0.0.0.0:9092"
        );
        assert_eq!(bound(&address("[::1]:1")).unwrap().to_string(), "[::1]:1");
    }

    #[test]
    fn clients_are_told_what_is_advertised_or_else_what_is_bound() {
        let advertised = address("a.example:1");
        assert_eq!(told(&address(":9092"), Some(&advertised)), "a.example");
        assert_eq!(told(&address("10.0.0.1:9092"), None), "10.0.0.1");
        assert_eq!(
            told(&address("10.0.0.1:9092"), Some(&address(":5"))),
            "10.0.0.1"
        );
        assert!(!told(&address("0.0.0.0:9092"), None).contains("0.0.0.0"));
    }
}
