//! Virtual time: it stands still while a task runs and jumps to the next timer when all sleep.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::task::pending;
use crate::time::Instant;

/// The clock and the timers set on it.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    now: Cell<Instant>,
    next: Cell<u64>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
}

impl Clock {
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Lets time pass, and wakes whom it concerns.
    pub(crate) fn pass(&self, duration: Duration) {
        self.now.set(self.now.get() + duration);
        self.wake_the_due();
    }

    /// Jumps to the next timer; false when there is none.
    pub(crate) fn jump(&self) -> bool {
        let next = self
            .timers
            .borrow()
            .first_key_value()
            .map(|((when, _), _)| *when);
        if let Some(when) = next {
            self.now.set(self.now.get().max(when));
            self.wake_the_due();
        }
        next.is_some()
    }

    fn wake_the_due(&self) {
        loop {
            let due = {
                let mut timers = self.timers.borrow_mut();
                match timers.first_entry() {
                    Some(first) if first.key().0 <= self.now.get() => first.remove(),
                    Some(_) | None => return,
                }
            };
            due.wake();
        }
    }

    /// Forgets all timers.
    pub(crate) fn clear(&self) {
        let timers = std::mem::take(&mut *self.timers.borrow_mut());
        drop(timers);
    }

    pub(crate) fn sleep_until(self: &Rc<Self>, when: Instant) -> Sleep {
        let number = self.next.get();
        self.next.set(number + 1);
        Sleep {
            clock: Rc::clone(self),
            key: (when, number),
        }
    }

    pub(crate) fn sleep(self: &Rc<Self>, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }
}

/// A sleep of the simulation.
#[derive(Debug)]
pub(crate) struct Sleep {
    clock: Rc<Clock>,
    key: (Instant, u64),
}

/// A sleep until then is one without end: no timer is set for it, so that it cannot hide a deadlock.
const END_OF_TIME: Instant = Instant::from_start(Duration::MAX);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.key.0 {
            return Poll::Ready(());
        }
        if self.key.0 < END_OF_TIME {
            let waker = context.waker().clone();
            let before = self.clock.timers.borrow_mut().insert(self.key, waker);
            drop(before);
        }
        pending("a point in time")
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let left = self.clock.timers.borrow_mut().remove(&self.key);
        drop(left);
    }
}
