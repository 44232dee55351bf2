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

/// Memory that a caller brings along for its records; what they do not take goes back.
#[derive(Debug)]
pub(crate) struct Credit<'a> {
    memory: &'a Memory,
    bytes: usize,
    /// Whether the bytes were promised to the caller's records, so that no batch may take more of
    /// them than these need.
    promised: bool,
}

impl<'a> Credit<'a> {
    /// Nothing.
    pub(crate) fn none(memory: &'a Memory) -> Self {
        Self {
            memory,
            bytes: 0,
            promised: false,
        }
    }

    /// Nothing yet; what it will be filled with is promised.
    pub(crate) fn promise(memory: &'a Memory) -> Self {
        Self {
            promised: true,
            ..Self::none(memory)
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Waits in line until so many bytes are there, or as many more as [`Memory::take`] takes at
    /// once; those that are, count. Cancel-safe. `told` runs once this is in line.
    pub(crate) async fn fill(&mut self, bytes: usize, told: impl FnOnce()) {
        if let Some(missing) = bytes.checked_sub(self.bytes) {
            self.bytes += self.memory.take(missing, told).await;
        }
    }

    /// Takes `step` bytes, or only the `least`, from here and from the producer's memory.
    pub(crate) fn charge(&mut self, step: usize, least: usize) -> Option<usize> {
        let own = self.bytes.min(if self.promised { least } else { step });
        if own == step || self.memory.try_take(step - own) {
            self.bytes -= own;
            return Some(step);
        }
        let own = self.bytes.min(least);
        if self.promised && (own == least || self.memory.try_take(least - own)) {
            self.bytes -= own;
            return Some(least);
        }
        None
    }
}

impl Drop for Credit<'_> {
    fn drop(&mut self) {
        self.memory.give(self.bytes);
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

    /// Bytes that nobody has.
    pub(crate) fn free(&self) -> usize {
        self.free.available_permits()
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

    /// The most that is taken at once.
    pub(crate) fn take_max(&self) -> usize {
        let countable = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        self.total.min(countable)
    }

    /// Takes bytes, in turn, and returns how many: no more than [`take_max`](Self::take_max), as more
    /// than there ever is could be waited for until the end of time. Cancel-safe. `told` runs once
    /// this is in line.
    pub(crate) async fn take(&self, bytes: usize, told: impl FnOnce()) -> usize {
        let bytes = bytes.min(self.take_max());
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _line = InLine(&self.waiting);
        told();
        let permits = u32::try_from(bytes).expect("bounded by `take_max`");
        match self.free.acquire_many(permits).await {
            Ok(permit) => {
                permit.forget();
                bytes
            }
            // Never closed.
            Err(_) => 0,
        }
    }

    pub(crate) fn give(&self, bytes: usize) {
        if bytes > 0 {
            self.free.add_permits(bytes);
        }
    }

    /// Whether nothing is taken.
    pub(crate) fn is_untouched(&self) -> bool {
        self.free() == self.total
    }

    /// Whether somebody waits: batches should go out, full or not.
    pub(crate) fn is_pressed(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_promised_covers_what_is_needed_and_no_more_is_taken_of_it() {
        let memory = Memory::new(1000);
        let mut credit = Credit::promise(&memory);
        credit.fill(600, || {}).await;
        // The step is there beyond the promise, so that the batch may grow.
        assert_eq!(credit.charge(400, 100), Some(400));
        assert_eq!(
            (credit.bytes(), memory.free.available_permits()),
            (500, 100)
        );
        // The step is not there; what is needed is.
        assert_eq!(credit.charge(400, 100), Some(100));
        assert_eq!(credit.charge(400, 400), Some(400));
        assert_eq!(credit.charge(400, 101), None);
        assert_eq!(credit.charge(100, 100), Some(100));
        drop(credit);
        memory.give(1000);
        assert!(memory.is_untouched());
    }

    #[tokio::test]
    async fn no_more_goes_back_than_was_taken_at_once() {
        let total = 6 << 30;
        let memory = Memory::new(total);
        let mut credit = Credit::promise(&memory);
        credit.fill(5 << 30, || {}).await;
        assert_eq!(credit.bytes(), memory.take_max());
        assert_eq!(memory.free() + credit.bytes(), total);
        drop(credit);
        assert!(memory.is_untouched());
    }

    #[tokio::test]
    async fn what_was_waited_for_is_taken_by_the_step_and_the_rest_goes_back() {
        let memory = Memory::new(1000);
        let mut credit = Credit::none(&memory);
        credit.fill(600, || {}).await;
        assert_eq!(credit.charge(400, 100), Some(400));
        assert_eq!(credit.charge(700, 100), None);
        assert_eq!(credit.charge(600, 100), Some(600));
        assert_eq!(memory.free.available_permits(), 0);
        drop(credit);
        assert_eq!(memory.free.available_permits(), 0);
    }
}
