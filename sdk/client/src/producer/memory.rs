//! `buffer.memory`: who wants bytes that are not there waits in line.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// A producer's bytes, free and taken. Knows nothing of what they are for.
#[derive(Debug)]
pub(crate) struct Memory {
    free: Semaphore,
    total: usize,
    waiting: AtomicUsize,
}

/// Counts a waiter until it is served or gives up.
struct InLine<'a>(&'a AtomicUsize);

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Memory {
    pub(crate) fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS);
        Self {
            free: Semaphore::new(total),
            total,
            waiting: AtomicUsize::new(0),
        }
    }

    pub(crate) fn try_take(&self, bytes: usize) -> bool {
        let Ok(bytes) = u32::try_from(bytes) else {
            return false;
        };
        self.free
            .try_acquire_many(bytes)
            .map(tokio::sync::SemaphorePermit::forget)
            .is_ok()
    }

    /// Takes bytes, in turn. Cancel-safe. `told` runs once this is in line.
    pub(crate) async fn take(&self, bytes: usize, told: impl FnOnce()) {
        // More than there ever is could be waited for until the end of time.
        let bytes = u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _line = InLine(&self.waiting);
        told();
        if let Ok(permit) = self.free.acquire_many(bytes).await {
            permit.forget();
        }
    }

    pub(crate) fn give(&self, bytes: usize) {
        if bytes > 0 {
            self.free.add_permits(bytes);
        }
    }

    /// Whether nothing is taken.
    pub(crate) fn is_untouched(&self) -> bool {
        self.free.available_permits() == self.total
    }

    /// Whether somebody waits: batches should go out, full or not.
    pub(crate) fn is_pressed(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}
