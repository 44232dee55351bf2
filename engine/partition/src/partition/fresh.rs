//! What write-back asks of a partition: which bytes are fresh, how old those are that no sync has covered, and whether nothing
//! comes any more. It decides nothing about when.

use std::time::Duration;

use highwater_log::{Error, Fresh, Log};
use highwater_reactor::Instant;

use super::Inner;
use crate::config::Durability;

impl Inner {
    /// What write-back is to be started for; `None` when there is nothing, or when it is synced anyhow.
    pub(crate) fn take_fresh(&self) -> Option<Fresh> {
        let mut core = self.core.borrow_mut();
        if core.state.config().durability == Durability::Flushed || !core.state.is_writable() {
            return None;
        }
        self.fresh_bytes.set(0);
        core.log_mut().take_fresh()
    }

    /// Write-back was started, or could not be.
    pub(crate) fn wrote_back(&self, started: Result<(), Error>) {
        match started {
            Ok(()) => {}
            // The sync that follows will say what is lost, if anything is.
            Err(error) if error.is_retryable() => tracing::debug!(%error, "write-back put off"),
            Err(error) => self.failed("write-back", &error),
        }
    }

    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.core
            .borrow()
            .log
            .as_ref()
            .map_or(0, Log::unsynced_bytes)
    }

    pub(crate) fn fresh_bytes(&self) -> u64 {
        self.fresh_bytes.get()
    }

    pub(crate) fn unsynced_age(&self, now: Instant) -> Duration {
        self.unsynced_since
            .get()
            .map_or(Duration::ZERO, |since| now.duration_since(since))
    }

    /// `flush.ms`.
    pub(crate) fn flush_interval(&self) -> Duration {
        let flush_ms = self.core.borrow().state.config().flush_ms;
        Duration::from_millis(u64::try_from(flush_ms).unwrap_or(0))
    }

    /// Whether it has unsynced bytes still.
    pub(crate) fn is_dirty(&self) -> bool {
        let core = self.core.borrow();
        core.state.is_writable() && core.state.durable_end() < core.state.log_end()
    }

    /// Whether it has unsynced bytes, or room in its file, still; if not, it leaves the write-back's list.
    pub(crate) fn stays_listed(&self) -> bool {
        let stays = self.is_dirty() || self.has_room();
        self.listed.set(stays);
        stays
    }

    /// Whether everything is synced, the file is longer than its batches, and nothing has come for so long.
    pub(crate) fn may_rest(&self, now: Instant, idle: Duration) -> bool {
        self.has_room() && !self.is_dirty() && now.duration_since(self.stirred_at.get()) >= idle
    }

    /// Leaves the file with nothing but its batches.
    pub(crate) fn rest(&self) {
        let rested = match self.core.borrow_mut().log.as_mut() {
            Some(log) => log.rest(),
            None => Ok(()),
        };
        match rested {
            Ok(()) => {}
            // Nothing is lost by it, and others want their turn.
            Err(error) if error.is_retryable() => {
                tracing::debug!(%error, "not left with its batches alone yet");
                self.stirred_at.set(self.host.reactor().now());
            }
            Err(error) => self.failed("trim", &error),
        }
    }

    fn has_room(&self) -> bool {
        let core = self.core.borrow();
        core.state.is_writable() && core.log.as_ref().is_some_and(Log::has_room)
    }
}
