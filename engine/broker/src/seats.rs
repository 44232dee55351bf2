//! How many connections there are, in all and from each address, over all shards: `max.connections` and
//! `max.connections.per.ip`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Seats {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: u32,
    by_address: BTreeMap<IpAddr, u32>,
}

/// A connection's seat, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    address: IpAddr,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    /// `max.connections` are open.
    #[error("{limit} connections are open, max.connections allows no more")]
    All {
        /// The limit.
        limit: u32,
    },
    /// `max.connections.per.ip` are open from this address.
    #[error(
        "{limit} connections from this address are open, max.connections.per.ip allows no more"
    )]
    Address {
        /// The limit.
        limit: u32,
    },
}

impl Seats {
    /// A seat for a connection from `address`.
    pub(crate) fn take(
        &self,
        address: IpAddr,
        all_max: u32,
        per_address_max: u32,
    ) -> Result<Seat, Full> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= all_max {
            return Err(Full::All { limit: all_max });
        }
        let here = taken.by_address.entry(address).or_default();
        if *here >= per_address_max {
            if *here == 0 {
                taken.by_address.remove(&address);
            }
            return Err(Full::Address {
                limit: per_address_max,
            });
        }
        *here += 1;
        taken.all += 1;
        Ok(Seat {
            seats: self.clone(),
            address,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self
            .seats
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(here) = taken.by_address.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_free_again_when_its_connection_ends() {
        let seats = Seats::default();
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = seats.take(one, 2, 1).unwrap();
        assert_eq!(
            seats.take(one, 2, 1).unwrap_err(),
            Full::Address { limit: 1 }
        );
        let second = seats.take(two, 2, 1).unwrap();
        assert_eq!(seats.take(two, 2, 5).unwrap_err(), Full::All { limit: 2 });
        drop(first);
        let third = seats.take(one, 2, 1).unwrap();
        drop((second, third));
        assert_eq!(seats.taken.lock().unwrap().by_address.len(), 0);
    }
}
