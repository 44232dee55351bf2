//! Group commit: one round of syncs in flight per partition, and everything that arrives meanwhile rides the next one.
//!
//! No timer and no batching window: the device's own pace gathers the batches. It knows which bytes to sync from the log's
//! ticket and what that means from the state; who waits for it is the waiters' business.
//!
//! ```text
//!   append a   append b  append c        append d
//!   |--- round 1: a ----|--- round 2: b, c ---|--- round 3: d ---|   nothing to sync: the task ends
//!                       a is acknowledged     b, c               d
//! ```

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::partition::Inner;

/// How long a round waits that found no space.
const RETRY: Duration = Duration::from_millis(500);

/// Whether a round is under way, and whether another one is wanted whatever the level of durability.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    running: Cell<bool>,
    requested: Cell<bool>,
}

impl Commit {
    /// Asks for a round that covers what is in the log now, though nobody may be waiting for it.
    pub(crate) fn request(&self) {
        self.requested.set(true);
    }
}

/// Starts rounds if there is something to sync and none are running.
pub(crate) fn start(inner: &Rc<Inner>) {
    if inner.commit.running.get() || !inner.wants_sync(inner.commit.requested.get()) {
        return;
    }
    inner.commit.running.set(true);
    let inner = Rc::clone(inner);
    let reactor = inner.host.reactor().clone();
    reactor.spawn(rounds(inner)).detach();
}

async fn rounds(inner: Rc<Inner>) {
    while inner.wants_sync(inner.commit.requested.take()) {
        let ticket = match inner.sync_ticket() {
            Ok(ticket) => ticket,
            Err(error) => {
                // Out of space for what an index still holds back: whoever waits goes on waiting, for a while.
                if error.is_retryable() {
                    tracing::warn!(%error, "sync put off");
                    inner.host.reactor().sleep(RETRY).await;
                    continue;
                }
                inner.failed("sync", &error);
                break;
            }
        };
        assert!(
            ticket.end() > inner.durable_end(),
            "a round of syncs moves the durable end"
        );
        let outcome = ticket.sync(inner.host.reactor()).await;
        // The directory may have been fenced meanwhile, through another partition: no further promise is kept then.
        if outcome.is_ok() && inner.host.fence().is_raised() {
            inner.fenced();
        } else {
            inner.synced(&ticket, outcome);
            inner.take_space().await;
        }
    }
    inner.commit.running.set(false);
}
