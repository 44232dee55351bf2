//! What happens to a consumer besides records, for whoever watches it. Nobody has to: what is not taken is forgotten.

use std::sync::{OnceLock, Weak};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::shared::Shared;
use crate::error::{Error, TopicPartition};

/// So many events are kept for who watches.
const KEPT: usize = 1024;

/// Something that happened to a consumer.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum ConsumerEvent {
    /// The group gave it these partitions.
    Assigned(Vec<TopicPartition>),
    /// These were let go.
    Revoked(Vec<TopicPartition>),
    /// These had gone to others already.
    Lost(Vec<TopicPartition>),
    /// The application did not ask for records for so long (`max.poll.interval.ms`): the member has left its group, or, where it
    /// has a `group.instance.id`, is not heard of any more, and others get its partitions. It joins again when it is asked for
    /// records. Told at once, and not when it is asked.
    PollStalled {
        /// How long it may take to ask.
        limit: Duration,
    },
    /// A broker holds this client back, as its quota has it (KIP-219): it is not asked for records for so long.
    Throttled {
        /// The broker's id.
        broker: i32,
        /// How long, at most `request.timeout.ms`.
        pause: Duration,
    },
    /// All records that were there were handed out, up to this offset. Told again after more came.
    Eof {
        /// The partition.
        place: TopicPartition,
        /// The high watermark.
        offset: i64,
    },
    /// The position was not in the log: reading goes on where `auto.offset.reset` says.
    Reset {
        /// The partition.
        place: TopicPartition,
    },
    /// The log of a new leader parts from the one that was read (KIP-320): what was read from this offset on is not there.
    Truncated {
        /// The partition.
        place: TopicPartition,
        /// Where the logs part; `None` when nobody knows.
        offset: Option<i64>,
    },
    /// A batch that does not hold together was passed over (`highwater.corrupt.records`).
    Skipped {
        /// The partition.
        place: TopicPartition,
        /// Where reading goes on.
        next_offset: i64,
        /// What was wrong, and where.
        error: Error,
    },
}

/// A consumer's events from the moment on in which this was made; see [`Consumer::events`](super::Consumer::events).
#[derive(Debug)]
pub struct ConsumerEvents {
    receiver: broadcast::Receiver<ConsumerEvent>,
    missed: u64,
}

impl ConsumerEvents {
    /// The next event; `None` once the consumer, and its streams, are gone.
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<ConsumerEvent> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(missed)) => self.missed += missed,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many of the oldest were forgotten because nobody took them: 1,024 are kept.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// Where events are told. Costs nothing until somebody watches.
#[derive(Debug, Default)]
pub(super) struct Tell(OnceLock<broadcast::Sender<ConsumerEvent>>);

impl Tell {
    pub(super) fn watch(&self) -> ConsumerEvents {
        let sender = self.0.get_or_init(|| broadcast::Sender::new(KEPT));
        ConsumerEvents {
            receiver: sender.subscribe(),
            missed: 0,
        }
    }

    pub(super) fn tell(&self, event: impl FnOnce() -> ConsumerEvent) {
        if let Some(sender) = self.0.get() {
            // An error means that nobody watches any more.
            let _ = sender.send(event());
        }
    }
}

/// Tells whenever the group gave the application up, until the consumer is dropped.
pub(super) async fn stalls(
    shared: Weak<Shared>,
    mut stalls: watch::Receiver<u64>,
    limit: Duration,
) {
    while stalls.changed().await.is_ok() {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.events.tell(|| ConsumerEvent::PollStalled { limit });
    }
}
