//! `listeners`, `advertised.listeners` and what goes with them: which address is opened and which one clients are told. It
//! opens nothing itself.

use std::fmt;

/// `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The name before `://`, in capitals as Kafka treats it.
    pub name: String,
    /// The address to bind.
    pub address: Address,
    /// What clients are told to connect to; without it the address, or this machine's name where that has no host.
    pub advertised: Option<Address>,
}

/// A host and a port. An empty host means every interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, an IPv4 address, an IPv6 address without its brackets, or nothing.
    pub host: String,
    /// The port; 0 is any free one.
    pub port: u16,
}

/// Why a listener list cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not of the form `NAME://host:port`.
    #[error("`{0}` is no listener: expected NAME://host:port")]
    Listener(String),
    /// Not of the form `host:port`.
    #[error("`{0}` is no address: expected host:port")]
    Address(String),
    /// Not of the form `NAME:PROTOCOL`.
    #[error("`{0}` is no entry of a protocol map: expected NAME:PROTOCOL")]
    Map(String),
    /// A name that the protocol map does not have.
    #[error("listener {0} has no protocol: add `{0}:PLAINTEXT` to listener.security.protocol.map")]
    NoProtocol(String),
    /// Something else than PLAINTEXT.
    #[error(
        "listener {name} speaks {protocol}, which is not built yet: only PLAINTEXT listeners can be opened"
    )]
    Protocol {
        /// The listener.
        name: String,
        /// Its protocol.
        protocol: String,
    },
    /// Two of one name.
    #[error("listener {0} is named twice")]
    Twice(String),
    /// Two on one port.
    #[error(
        "listeners {0} and {1} have the same port: a connection's listener is known by its port"
    )]
    Port(String, String),
    /// Advertised, but not there.
    #[error("listener {0} is advertised and not in `listeners`")]
    Unknown(String),
    /// None for clients.
    #[error("no listener is for clients: add PLAINTEXT://:9092")]
    None,
    /// No address can be advertised that nobody can connect to.
    #[error("clients cannot connect to {0}: advertise a host name or an address of this machine")]
    Meta(String),
}

impl Address {
    /// `host:port`, `[v6]:port` or `:port`.
    pub fn parse(text: &str) -> Result<Address, Error> {
        let bad = || Error::Address(text.to_owned());
        let (host, port) = text.trim().rsplit_once(':').ok_or_else(bad)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(bad)?,
            None if host.contains(':') => return Err(bad()),
            None => host,
        };
        let port = port.parse().map_err(|_| bad())?;
        Ok(Address {
            host: host.to_owned(),
            port,
        })
    }

    /// Whether every interface is meant.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_str(), "" | "0.0.0.0" | "::")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The listeners of a comma-separated list.
pub(super) fn parse(text: &str) -> Result<Vec<Listener>, Error> {
    words(text)
        .map(|word| {
            let bad = || Error::Listener(word.to_owned());
            let (name, address) = word.split_once("://").ok_or_else(bad)?;
            if name.is_empty() {
                return Err(bad());
            }
            Ok(Listener {
                name: name.to_ascii_uppercase(),
                address: Address::parse(address).map_err(|_| bad())?,
                advertised: None,
            })
        })
        .collect()
}

/// The listeners for clients among `listeners`: all but those named in `controllers`. At least one, and all must speak
/// PLAINTEXT.
pub(super) fn clients(
    listeners: &[Listener],
    controllers: &str,
    protocols: &str,
) -> Result<Vec<Listener>, Error> {
    let protocols = words(protocols)
        .map(|word| {
            word.split_once(':')
                .map(|(name, protocol)| (name.to_ascii_uppercase(), protocol.to_ascii_uppercase()))
                .ok_or_else(|| Error::Map(word.to_owned()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let is_controller = |listener: &Listener| {
        words(controllers).any(|name| name.eq_ignore_ascii_case(&listener.name))
    };
    let clients: Vec<&Listener> = listeners.iter().filter(|l| !is_controller(l)).collect();
    for listener in &clients {
        match protocols.iter().find(|(name, _)| *name == listener.name) {
            Some((_, protocol)) if protocol == "PLAINTEXT" => {}
            Some((_, protocol)) => {
                return Err(Error::Protocol {
                    name: listener.name.clone(),
                    protocol: protocol.clone(),
                });
            }
            None => return Err(Error::NoProtocol(listener.name.clone())),
        }
    }
    if clients.is_empty() {
        return Err(Error::None);
    }
    for (index, listener) in clients.iter().enumerate() {
        for other in clients.iter().skip(index + 1) {
            if listener.name == other.name {
                return Err(Error::Twice(listener.name.clone()));
            }
            if listener.address.port == other.address.port && listener.address.port != 0 {
                return Err(Error::Port(listener.name.clone(), other.name.clone()));
            }
        }
    }
    Ok(clients.into_iter().cloned().collect())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL";

    #[test]
    fn addresses_of_every_form_are_read() {
        let read = |text: &str| Address::parse(text).map(|a| (a.host, a.port));
        assert_eq!(read(":9092"), Ok((String::new(), 9092)));
        assert_eq!(read("a.example:1"), Ok(("a.example".to_owned(), 1)));
        assert_eq!(read("[::1]:9"), Ok(("::1".to_owned(), 9)));
        for bad in ["", "a", "a:", "a:70000", "::1:9", "[::1:9", "a:b"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(Address::parse("[::1]:9").unwrap().to_string(), "[::1]:9");
    }

    #[test]
    fn the_controllers_listener_is_not_opened() {
        let listeners = parse("PLAINTEXT://:9092,CONTROLLER://:9093").unwrap();
        let found = clients(&listeners, "CONTROLLER", MAP).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].address.port, 9092);
    }

    #[test]
    fn listeners_are_told_apart_by_name_and_port() {
        let read = |text: &str| {
            let map = "A:PLAINTEXT,B:PLAINTEXT";
            clients(&parse(text).unwrap(), "", map).map(|found| found.len())
        };
        assert_eq!(read("A://:1,B://:2"), Ok(2));
        assert_eq!(read("A://:0,B://:0"), Ok(2));
        assert_eq!(read("A://:1,A://:2"), Err(Error::Twice("A".into())));
        assert_eq!(
            read("A://:1,B://h:1"),
            Err(Error::Port("A".into(), "B".into()))
        );
    }

    #[test]
    fn a_listener_that_would_be_secure_is_an_error() {
        let listeners = parse("SSL://:9093").unwrap();
        let error = clients(&listeners, "", MAP).unwrap_err();
        assert!(error.to_string().contains("SSL"), "{error}");
    }

    #[test]
    fn a_list_without_a_listener_for_clients_is_an_error() {
        let listeners = parse("CONTROLLER://:9093").unwrap();
        assert_eq!(clients(&listeners, "CONTROLLER", MAP), Err(Error::None));
        let listeners = parse("MINE://:9093").unwrap();
        assert_eq!(
            clients(&listeners, "", MAP),
            Err(Error::NoProtocol("MINE".to_owned()))
        );
    }
}
