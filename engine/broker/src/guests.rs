//! The connections of one shard: who they are, which of them are idle, and their end when the broker stops.
//!
//! Knows nothing of what they ask.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use highwater_reactor::local::Latch;
use highwater_reactor::{Instant, Socket};

use crate::seats::Seat;
use crate::shard::Shard;

/// How often idle connections are looked for, at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// One connection as its shard knows it.
#[derive(Debug)]
pub(crate) struct Guest {
    id: u64,
    peer: SocketAddr,
    bound_port: u16,
    socket: Socket,
    active: Cell<Instant>,
    software: RefCell<Option<Box<str>>>,
    gone: Latch,
    _seat: Seat,
}

impl Guest {
    /// Its socket.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Bytes have come or gone.
    pub(crate) fn is_active(&self, now: Instant) {
        self.active.set(now);
    }

    /// Its task has ended.
    pub(crate) fn leave(&self) {
        self.socket.shutdown();
        self.gone.open();
    }

    /// Distinguishes this connection from all others of its shard.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The port of the listener it came in by.
    pub(crate) fn bound_port(&self) -> u16 {
        self.bound_port
    }

    /// The peer's address.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What the client says of itself in ApiVersions (KIP-511), for the log.
    pub(crate) fn introduces_itself(&self, name: &str, version: &str) {
        *self.software.borrow_mut() = Some(format!("{name} {version}").into_boxed_str());
    }

    /// The peer, for the log.
    pub(crate) fn describe(&self) -> String {
        match &*self.software.borrow() {
            Some(software) => format!("{} ({software})", self.peer),
            None => self.peer.to_string(),
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Guests {
    by_id: RefCell<BTreeMap<u64, Rc<Guest>>>,
    welcomed: Cell<u64>,
}

impl Guests {
    /// A new connection.
    pub(crate) fn welcome(&self, socket: Socket, seat: Seat, now: Instant) -> Rc<Guest> {
        let id = self.welcomed.replace(self.welcomed.get() + 1);
        let guest = Rc::new(Guest {
            id,
            peer: socket.peer_addr(),
            bound_port: socket.local_addr().map_or(0, |address| address.port()),
            active: Cell::new(now),
            software: RefCell::new(None),
            gone: Latch::new(),
            socket,
            _seat: seat,
        });
        self.by_id.borrow_mut().insert(id, Rc::clone(&guest));
        guest
    }

    /// It is over.
    pub(crate) fn part(&self, guest: &Guest) {
        self.by_id.borrow_mut().remove(&guest.id);
    }

    fn all(&self) -> Vec<Rc<Guest>> {
        self.by_id.borrow().values().cloned().collect()
    }
}

/// Ends connections that neither sent nor took a byte for `connections.max.idle.ms`. Runs for as long as the shard.
pub(crate) async fn sweep(shard: Rc<Shard>) {
    loop {
        let idle_max = shard.image().broker().connections_max_idle_ms;
        let idle_max = u64::try_from(idle_max).map_or(Duration::MAX, Duration::from_millis);
        let pause = (idle_max / 4).clamp(Duration::from_millis(100), SWEEP_INTERVAL);
        shard.reactor().sleep(pause).await;
        shard.memory().buffers().trim();
        let now = shard.reactor().now();
        for guest in shard.guests().all() {
            if now.duration_since(guest.active.get()) >= idle_max {
                tracing::debug!(peer = guest.describe(), "idle connection closed");
                guest.socket.shutdown();
            }
        }
    }
}

/// How long connections may take to send what they owe when the broker stops.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Waits until every connection has sent its answers and ended; not longer than [`DRAIN_MAX`]. The shard is closing: no
/// request is begun any more.
pub(crate) async fn drain(shard: Rc<Shard>) {
    let guests = shard.guests().all();
    let gone = async {
        for guest in &guests {
            guest.gone.wait().await;
        }
    };
    if shard.reactor().timeout(DRAIN_MAX, gone).await.is_none() {
        tracing::warn!("connections are cut off: they did not take their answers in {DRAIN_MAX:?}");
    }
    close_all(&shard);
}

/// Ends every connection of the shard.
fn close_all(shard: &Shard) {
    for guest in shard.guests().all() {
        guest.socket.shutdown();
    }
}
