//! How fast a partition's batches fill, and whether it is worth a moment to let one fill up.
//!
//! Knows the sizes of batches and when they were taken, not what is in them.

use std::time::Duration;

/// What an adaptive batch waits for on a busy partition, and how long at most: fewer, larger batches
/// where they fill in no time anyway. Kafka's own `batch.size`.
pub(super) const BUSY_BATCH_BYTES: usize = 16 << 10;
pub(super) const BUSY_LINGER: Duration = Duration::from_millis(1);

/// Measures how many bytes come in the time that a busy partition's batch waits.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When a batch was last taken before it was full, and what was closed since.
    hastened_at: Duration,
    closed_bytes: usize,
    /// Bytes per `BUSY_LINGER` as things went lately.
    bytes: u64,
}

impl Pace {
    /// A batch of so many bytes was closed.
    pub(super) fn closed(&mut self, bytes: usize) {
        self.closed_bytes += bytes;
    }

    /// Whether, as things went lately, a batch that was begun at `opened` gets so many bytes within
    /// `BUSY_LINGER`.
    pub(super) fn is_busy(&self, opened: Duration, bytes: usize) -> bool {
        opened.saturating_sub(self.hastened_at) <= BUSY_LINGER
            && self.bytes >= u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// A batch was taken before it was full.
    pub(super) fn hastened(&mut self, now: Duration) {
        let took = now.saturating_sub(self.hastened_at).as_micros().max(1);
        let bytes = u128::try_from(std::mem::take(&mut self.closed_bytes)).unwrap_or(0);
        let bytes = u64::try_from(bytes * BUSY_LINGER.as_micros() / took).unwrap_or(u64::MAX);
        self.bytes = self.bytes / 2 + bytes / 2;
        self.hastened_at = now;
    }
}
