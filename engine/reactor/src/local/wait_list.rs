//! The tasks that wait for one thing, in the order in which they came. It does not know what they wait for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::task::{Context, Waker};

/// Wakers in order of arrival. The owner of a place takes it back when it is done or dropped.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    places: RefCell<Places>,
}

#[derive(Debug, Default)]
struct Places {
    next: u64,
    waiting: BTreeMap<u64, Option<Waker>>,
}

/// A future's place in a [`WaitList`]; `None` until it first had to wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Option<u64>);

impl WaitList {
    /// Keeps the waker of `context` at `waiting`'s place, at the end of the line if it had none.
    pub(crate) fn wait(&self, waiting: &mut Waiting, context: &Context<'_>) {
        let mut places = self.places.borrow_mut();
        let key = *waiting.0.get_or_insert_with(|| {
            let key = places.next;
            places.next += 1;
            key
        });
        let place = places.waiting.entry(key).or_default();
        match place {
            Some(waker) if waker.will_wake(context.waker()) => {}
            Some(_) | None => *place = Some(context.waker().clone()),
        }
    }

    /// Gives the place up.
    pub(crate) fn leave(&self, waiting: &mut Waiting) {
        if let Some(key) = waiting.0.take() {
            let left = self.places.borrow_mut().waiting.remove(&key);
            drop(left);
        }
    }

    /// Whether `waiting` is the first in line, or nobody waits.
    pub(crate) fn is_first(&self, waiting: &Waiting) -> bool {
        let places = self.places.borrow();
        match (places.waiting.first_key_value(), waiting.0) {
            (None, _) => true,
            (Some((first, _)), Some(key)) => *first == key,
            (Some(_), None) => false,
        }
    }

    /// Whether the first in line has not been woken yet.
    pub(crate) fn has_sleepers(&self) -> bool {
        let places = self.places.borrow();
        places
            .waiting
            .first_key_value()
            .is_some_and(|(_, waker)| waker.is_some())
    }

    /// Wakes the first in line; it keeps its place until it leaves.
    pub(crate) fn wake_first(&self) {
        let waker = {
            let mut places = self.places.borrow_mut();
            places
                .waiting
                .first_entry()
                .and_then(|mut first| first.get_mut().take())
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes everyone; all keep their places until they leave.
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<Waker> = {
            let mut places = self.places.borrow_mut();
            places
                .waiting
                .values_mut()
                .filter_map(Option::take)
                .collect()
        };
        for waker in wakers {
            waker.wake();
        }
    }
}
