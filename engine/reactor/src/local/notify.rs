//! A bell that wakes everyone who waits at that moment. It carries no value and remembers nothing.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::{WaitList, Waiting};

/// Wakes all who wait. Clones share the bell.
#[derive(Clone, Debug, Default)]
pub struct Notify {
    inner: Rc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rounds: Cell<u64>,
    waiting: WaitList,
}

impl Notify {
    /// A bell nobody waits for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes every [`Notified`] made before now.
    pub fn notify_all(&self) {
        self.inner
            .rounds
            .set(self.inner.rounds.get().wrapping_add(1));
        self.inner.waiting.wake_all();
    }

    /// A future that resolves at the next [`Self::notify_all`] after this call, polled before it or not: look at the
    /// state after making it, then await it, and nothing is missed.
    pub fn notified(&self) -> Notified {
        Notified {
            round: self.inner.rounds.get(),
            inner: Rc::clone(&self.inner),
            waiting: Waiting::default(),
        }
    }
}

/// See [`Notify::notified`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Notified {
    inner: Rc<Inner>,
    round: u64,
    waiting: Waiting,
}

impl Future for Notified {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.inner.rounds.get() == this.round {
            this.inner.waiting.wait(&mut this.waiting, context);
            return crate::task::pending("a notification");
        }
        this.inner.waiting.leave(&mut this.waiting);
        Poll::Ready(())
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        self.inner.waiting.leave(&mut self.waiting);
    }
}
