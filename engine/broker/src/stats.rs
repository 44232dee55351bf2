//! What a shard has done so far, in counters that other threads may read while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

/// One shard's counters. Only that shard writes them; each row of shards keeps to its own cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    requests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    connections: AtomicU64,
    violations: AtomicU64,
    unsynced_bytes: AtomicU64,
    oldest_unsynced_ms: AtomicU64,
}

/// The counters of one shard at one moment, or of all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests taken off connections.
    pub requests: u64,
    /// Bytes read from connections.
    pub bytes_in: u64,
    /// Bytes written to connections, those of files included.
    pub bytes_out: u64,
    /// Connections open.
    pub connections: u64,
    /// Connections ended because the peer broke the protocol.
    pub violations: u64,
    /// Bytes appended that no sync covers yet.
    pub unsynced_bytes: u64,
    /// For how long the oldest of these has waited, in milliseconds.
    pub oldest_unsynced_ms: u64,
}

impl Counters {
    /// Adds to a counter that only this thread writes: no locked instruction is needed.
    fn add(counter: &AtomicU64, more: u64) {
        counter.store(
            counter.load(Ordering::Relaxed).wrapping_add(more),
            Ordering::Relaxed,
        );
    }

    pub(crate) fn request(&self) {
        Self::add(&self.requests, 1);
    }

    pub(crate) fn received(&self, bytes: usize) {
        Self::add(&self.bytes_in, bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        Self::add(&self.bytes_out, bytes);
    }

    pub(crate) fn opened(&self) {
        Self::add(&self.connections, 1);
    }

    pub(crate) fn closed(&self) {
        Self::add(&self.connections, 1u64.wrapping_neg());
    }

    pub(crate) fn violation(&self) {
        Self::add(&self.violations, 1);
    }

    pub(crate) fn unsynced(&self, bytes: u64, oldest_ms: u64) {
        self.unsynced_bytes.store(bytes, Ordering::Relaxed);
        self.oldest_unsynced_ms.store(oldest_ms, Ordering::Relaxed);
    }

    /// The counters now.
    pub fn stats(&self) -> Stats {
        Stats {
            requests: self.requests.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            violations: self.violations.load(Ordering::Relaxed),
            unsynced_bytes: self.unsynced_bytes.load(Ordering::Relaxed),
            oldest_unsynced_ms: self.oldest_unsynced_ms.load(Ordering::Relaxed),
        }
    }
}

impl Stats {
    /// Both together; the age is the older of the two.
    #[must_use]
    pub fn and(self, other: Stats) -> Stats {
        Stats {
            requests: self.requests + other.requests,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            connections: self.connections + other.connections,
            violations: self.violations + other.violations,
            unsynced_bytes: self.unsynced_bytes + other.unsynced_bytes,
            oldest_unsynced_ms: self.oldest_unsynced_ms.max(other.oldest_unsynced_ms),
        }
    }
}
