//! One completion for all records of a batch: what an acknowledgement waits for.
//!
//! A batch may be split when a broker finds it too large, so its outcome comes in parts; nearly
//! always there is one. Knows nothing of how the outcome came about.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use smallvec::SmallVec;

use crate::core::producer::undelivered::Undelivered;
use crate::error::Error;
use crate::record::RecordMetadata;

/// What became of a run of records.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// They are in the log from `base_offset` on, if that is known.
    Placed {
        base_offset: Option<i64>,
        log_append_time_ms: Option<i64>,
    },
    /// They are not, as far as the error's `possibly_written` says. With the records themselves, if
    /// they were in a batch.
    Failed(Error, Option<Arc<Undelivered>>),
}

/// Shared by a batch and the acknowledgements of its records.
#[derive(Debug)]
pub(crate) struct Delivery {
    topic: Arc<str>,
    partition: i32,
    /// Whether `parts` cover every record; set under the lock of `state`.
    done: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Disjoint runs of records, in the order they were settled.
    parts: SmallVec<[Part; 1]>,
    /// How many runs are open besides one.
    runs_more: u32,
    wakers: SmallVec<[Waker; 1]>,
}

impl State {
    /// One task awaiting many records of a batch, in turn or at once, is woken once. A few tasks
    /// in turn, too; not looking further keeps many tasks from costing their square.
    fn register(&mut self, waker: &Waker) {
        if !self
            .wakers
            .iter()
            .rev()
            .take(8)
            .any(|known| known.will_wake(waker))
        {
            self.wakers.push(waker.clone());
        }
    }
}

#[derive(Debug)]
struct Part {
    first: u32,
    count: u32,
    outcome: Outcome,
}

impl Delivery {
    pub(crate) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self {
            topic,
            partition,
            done: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// One that was settled before anything was sent: `count` records that were refused.
    pub(crate) fn refused(topic: Arc<str>, partition: i32, count: u32, error: Error) -> Self {
        let delivery = Self::new(topic, partition);
        delivery.settle(0, count, Outcome::Failed(error, None));
        delivery
    }

    /// One run of records became two, which settle apart.
    pub(crate) fn split(&self) {
        self.lock().runs_more += 1;
    }

    /// Settles `count` records from index `first` on.
    pub(crate) fn settle(&self, first: u32, count: u32, outcome: Outcome) {
        let wakers = {
            let mut state = self.lock();
            state.parts.push(Part {
                first,
                count,
                outcome,
            });
            // Under the lock: who registers after the wakers were taken finds it set.
            match state.runs_more.checked_sub(1) {
                Some(more) => state.runs_more = more,
                None => self.done.store(true, Ordering::Release),
            }
            std::mem::take(&mut state.wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }

    /// The outcome of record `index`, if it is settled.
    pub(crate) fn try_get(&self, index: u32) -> Option<Result<RecordMetadata, Error>> {
        self.find(&self.lock(), index)
    }

    /// The same, leaving `waker` to be woken when it is not.
    pub(crate) fn poll(&self, index: u32, waker: &Waker) -> Poll<Result<RecordMetadata, Error>> {
        let mut state = self.lock();
        if let Some(outcome) = self.find(&state, index) {
            return Poll::Ready(outcome);
        }
        state.register(waker);
        Poll::Pending
    }

    /// Whether every record is settled.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Ready when every record is settled.
    pub(crate) fn poll_done(&self, waker: &Waker) -> Poll<()> {
        if self.is_done() {
            return Poll::Ready(());
        }
        let mut state = self.lock();
        if self.is_done() {
            return Poll::Ready(());
        }
        state.register(waker);
        Poll::Pending
    }

    /// Why the first of those `count` records from index `first` on failed that did, as far as they
    /// are settled.
    pub(crate) fn failure(&self, first: u32, count: u32) -> Option<Error> {
        let state = self.lock();
        let failed = state.parts.iter().filter_map(|part| {
            let begin = part.first.max(first);
            let end = (part.first + part.count).min(first + count);
            let failed = matches!(part.outcome, Outcome::Failed(..)) && begin < end;
            failed.then_some(begin)
        });
        let index = failed.min()?;
        self.find(&state, index)?.err()
    }

    fn find(&self, state: &State, index: u32) -> Option<Result<RecordMetadata, Error>> {
        let part = state.parts.iter().find(|part| {
            index
                .checked_sub(part.first)
                .is_some_and(|i| i < part.count)
        })?;
        Some(match &part.outcome {
            Outcome::Placed {
                base_offset,
                log_append_time_ms,
            } => Ok(RecordMetadata {
                topic: Arc::clone(&self.topic),
                partition: self.partition,
                offset: base_offset.map(|base| base + i64::from(index - part.first)),
                log_append_time_ms: *log_append_time_ms,
            }),
            Outcome::Failed(error, None) => Err(error.clone()),
            Outcome::Failed(error, Some(batch)) => {
                Err(error.clone().of_record(batch, index - part.first))
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery {
        Delivery::new("t".into(), 3)
    }

    #[test]
    fn each_record_has_its_own_offset_from_the_batch() {
        let delivery = delivery();
        assert!(delivery.try_get(0).is_none());
        let placed = Outcome::Placed {
            base_offset: Some(100),
            log_append_time_ms: None,
        };
        delivery.settle(0, 3, placed);
        assert_eq!(delivery.try_get(2).unwrap().unwrap().offset, Some(102));
        assert!(delivery.is_done());
    }

    #[test]
    fn a_split_batch_settles_in_parts() {
        let delivery = delivery();
        delivery.split();
        delivery.settle(0, 2, Outcome::Failed(Error::timeout("late"), None));
        assert!(delivery.try_get(1).unwrap().is_err());
        assert!(delivery.try_get(2).is_none());
        assert!(!delivery.is_done());
        let placed = Outcome::Placed {
            base_offset: Some(7),
            log_append_time_ms: Some(9),
        };
        delivery.settle(2, 2, placed);
        assert_eq!(delivery.try_get(3).unwrap().unwrap().offset, Some(8));
    }

    #[test]
    fn a_task_that_awaits_many_records_is_woken_once() {
        use std::sync::atomic::AtomicUsize;
        struct Count(AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let delivery = delivery();
        for index in 0..10 {
            assert!(delivery.poll(index, &waker).is_pending());
        }
        let placed = Outcome::Placed {
            base_offset: None,
            log_append_time_ms: None,
        };
        delivery.settle(0, 10, placed);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
