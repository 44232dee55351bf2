//! Accepting connections and handing them to the shards in turn.
//!
//! Knows how many there may be; not what they ask.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use highwater_reactor::{DetachedSocket, Instant, Listener, ShardId};

use crate::errand::{self, Errand};
use crate::seats::Seat;
use crate::serve;
use crate::shard::Shard;

/// How long accepting rests after an error (no descriptor left, most often).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The least time between two log lines that say the same of the next connection.
const QUIET: Duration = Duration::from_secs(1);

/// Accepts connections and hands them to the shards in turn, until the shard closes.
pub async fn accept(shard: Rc<Shard>, listener: Listener) {
    let mut next = 0u16;
    let mut log = Quiet::default();
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if shard.is_closing() {
                    return;
                }
                if log.is_due(shard.reactor().now()) {
                    tracing::warn!(%error, "no connection can be accepted, trying on");
                }
                shard.reactor().sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let config = shard.image().broker().clone();
        let limits = (config.connections_max, config.connections_per_ip_max);
        match shard.seats().take(peer.ip(), limits.0, limits.1) {
            Ok(seat) => {
                let to = ShardId::new(next);
                next = (next + 1) % shard.reactor().shards().max(1);
                let handed = errand::begin(&shard, to, Adopt { socket, seat });
                shard.reactor().spawn(handed).detach();
            }
            Err(full) => {
                if log.is_due(shard.reactor().now()) {
                    tracing::warn!(%peer, "connection refused: {full}");
                }
            }
        }
    }
}

/// Keeps a flood of connections from being a flood of log lines.
#[derive(Debug, Default)]
struct Quiet {
    since: Option<Instant>,
}

impl Quiet {
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self
            .since
            .is_none_or(|since| now.duration_since(since) >= QUIET);
        if due {
            self.since = Some(now);
        }
        due
    }
}

/// A connection to serve from now on.
pub(crate) struct Adopt {
    socket: DetachedSocket,
    seat: Seat,
}

impl Errand for Adopt {
    type Answer = ();

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = ()> + use<> {
        match shard.reactor().adopt(self.socket) {
            Ok(socket) => {
                let task = serve::serve(Rc::clone(shard), socket, self.seat);
                shard.reactor().spawn(task).detach();
            }
            Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
        }
        std::future::ready(())
    }
}
