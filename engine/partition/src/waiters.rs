//! Who waits for which offset: parked fetches and produces that wait for their promise.
//!
//! It wakes in the order of offsets, then of arrival, and knows nothing of why an offset moves. A waiter lives as long as
//! the future that placed it: dropping the future removes it, so there are never more of them than futures.

use std::collections::BTreeMap;
use std::task::Waker;

use highwater_record::Offset;

/// Where a waiter stands; held by the future that placed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    at: Offset,
    arrival: u64,
}

/// Those whom a step has woken. Wake them after every borrow of the partition has ended.
#[derive(Debug, Default)]
#[must_use = "woken waiters must be told"]
pub(crate) struct Woken(Vec<Waker>);

impl Woken {
    /// Tells them, in order.
    pub(crate) fn wake(self) {
        for waker in self.0 {
            waker.wake();
        }
    }

    /// Adds those of another step.
    pub(crate) fn and(mut self, others: Woken) -> Woken {
        self.0.extend(others.0);
        self
    }
}

/// The waiters of one kind.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    waiting: BTreeMap<Place, Waker>,
    arrivals: u64,
}

impl Waiters {
    /// Places a waiter for `at`, or renews the waker of the one that stands at `place`. Returns the waker that is no
    /// longer needed, for the caller to drop outside every borrow.
    pub(crate) fn wait(
        &mut self,
        at: Offset,
        place: &mut Option<Place>,
        waker: &Waker,
    ) -> Option<Waker> {
        if let Some(place) = place
            && let Some(known) = self.waiting.get_mut(place)
        {
            if known.will_wake(waker) {
                return None;
            }
            return Some(std::mem::replace(known, waker.clone()));
        }
        self.arrivals += 1;
        let new = Place {
            at,
            arrival: self.arrivals,
        };
        *place = Some(new);
        self.waiting.insert(new, waker.clone())
    }

    /// Removes a waiter. Returns its waker, for the caller to drop outside every borrow.
    pub(crate) fn leave(&mut self, place: Place) -> Option<Waker> {
        self.waiting.remove(&place)
    }

    /// Takes out all who wait for an offset up to and including `reached`.
    pub(crate) fn reached(&mut self, reached: Offset) -> Woken {
        if self
            .waiting
            .first_key_value()
            .is_none_or(|(first, _)| first.at > reached)
        {
            return Woken::default();
        }
        let later = self.waiting.split_off(&Place {
            at: reached,
            arrival: u64::MAX,
        });
        Woken(
            std::mem::replace(&mut self.waiting, later)
                .into_values()
                .collect(),
        )
    }

    /// Takes out everyone.
    pub(crate) fn everyone(&mut self) -> Woken {
        Woken(std::mem::take(&mut self.waiting).into_values().collect())
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests;
