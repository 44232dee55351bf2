//! Time and the timers set on it, for both worlds: real time passes by itself, virtual time when it is told to. It
//! knows tasks only as wakers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::task::pending;
use crate::time::Instant;

/// A shard's clock (all shards' in the simulation).
#[derive(Debug)]
pub(crate) struct Clock {
    source: Source,
    next: Cell<u64>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
}

#[derive(Debug)]
enum Source {
    /// Since this.
    Real(std::time::Instant),
    Virtual(Cell<Instant>),
}

impl Clock {
    /// A clock that goes by itself, and started at `started`.
    pub(crate) fn real(started: std::time::Instant) -> Rc<Self> {
        Self::new(Source::Real(started))
    }

    /// A clock that goes when it is told to.
    pub(crate) fn simulated() -> Rc<Self> {
        Self::new(Source::Virtual(Cell::default()))
    }

    fn new(source: Source) -> Rc<Self> {
        Rc::new(Self {
            source,
            next: Cell::new(0),
            timers: RefCell::default(),
        })
    }

    pub(crate) fn now(&self) -> Instant {
        match &self.source {
            Source::Real(started) => Instant::from_start(started.elapsed()),
            Source::Virtual(now) => now.get(),
        }
    }

    /// The next time that somebody waits for.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.timers
            .borrow()
            .first_key_value()
            .map(|((when, _), _)| *when)
    }

    /// Wakes everyone whose time has come.
    pub(crate) fn wake_the_due(&self) {
        if self.timers.borrow().is_empty() {
            return;
        }
        let now = self.now();
        loop {
            let due = {
                let mut timers = self.timers.borrow_mut();
                match timers.first_entry() {
                    Some(first) if first.key().0 <= now => first.remove(),
                    Some(_) | None => return,
                }
            };
            due.wake();
        }
    }

    /// Lets virtual time pass, and wakes whom it concerns.
    pub(crate) fn pass(&self, duration: Duration) {
        if let Source::Virtual(now) = &self.source {
            now.set(now.get() + duration);
        }
        self.wake_the_due();
    }

    /// Lets virtual time jump to the next timer; false when there is none.
    pub(crate) fn jump(&self) -> bool {
        let next = self.next_deadline();
        if let Some(when) = next {
            self.pass(when - self.now());
        }
        next.is_some()
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
            set: false,
        }
    }

    pub(crate) fn sleep(self: &Rc<Self>, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }
}

/// A sleep until then is one without end: no timer is set for it, so that it cannot hide a deadlock.
const END_OF_TIME: Instant = Instant::from_start(Duration::MAX);

/// Waits for a point in time; see [`crate::Reactor::sleep`]. Dropping it costs nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    clock: Rc<Clock>,
    key: (Instant, u64),
    set: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.clock.now() >= this.key.0 {
            return Poll::Ready(());
        }
        if this.key.0 < END_OF_TIME {
            let waker = context.waker().clone();
            let before = this.clock.timers.borrow_mut().insert(this.key, waker);
            this.set = true;
            drop(before);
        }
        pending("a point in time")
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.set {
            let left = self.clock.timers.borrow_mut().remove(&self.key);
            drop(left);
        }
    }
}
