//! A counted limit: so many may hold a permit at once, the others wait in line. It does not know what is limited.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::{WaitList, Waiting};

/// A counted limit, first come, first served. Clones share it.
#[derive(Clone, Debug)]
pub struct Semaphore {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    free: Cell<usize>,
    waiting: WaitList,
}

impl Inner {
    fn release(&self, permits: usize) {
        self.free.set(self.free.get() + permits);
        self.waiting.wake_first();
    }
}

impl Semaphore {
    /// A limit of `permits`.
    pub fn new(permits: usize) -> Self {
        Self {
            inner: Rc::new(Inner {
                free: Cell::new(permits),
                waiting: WaitList::default(),
            }),
        }
    }

    /// Permits nobody holds.
    pub fn free(&self) -> usize {
        self.inner.free.get()
    }

    /// Waits for `permits` at once. More than the limit is waited for without end.
    pub fn acquire(&self, permits: usize) -> Acquire {
        Acquire {
            inner: Rc::clone(&self.inner),
            permits,
            waiting: Waiting::default(),
        }
    }

    /// `permits` at once, if they are free and nobody stands in line.
    pub fn try_acquire(&self, permits: usize) -> Option<Permit> {
        let first = self.inner.waiting.is_first(&Waiting::default());
        if !first || self.inner.free.get() < permits {
            return None;
        }
        self.inner.free.set(self.inner.free.get() - permits);
        Some(Permit {
            inner: Rc::clone(&self.inner),
            permits,
        })
    }
}

/// Waits for permits; gives its place in line up when dropped.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire {
    inner: Rc<Inner>,
    permits: usize,
    waiting: Waiting,
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        let this = &mut *self;
        let free = this.inner.free.get();
        if !this.inner.waiting.is_first(&this.waiting) || free < this.permits {
            this.inner.waiting.wait(&mut this.waiting, context);
            return crate::task::pending("a permit");
        }
        this.inner.free.set(free - this.permits);
        this.inner.waiting.leave(&mut this.waiting);
        if this.inner.free.get() > 0 {
            this.inner.waiting.wake_first();
        }
        Poll::Ready(Permit {
            inner: Rc::clone(&this.inner),
            permits: this.permits,
        })
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        self.inner.waiting.leave(&mut self.waiting);
        // The one behind may fit where this one did not.
        if self.inner.free.get() > 0 {
            self.inner.waiting.wake_first();
        }
    }
}

/// Permits held; given back when dropped.
#[derive(Debug)]
#[must_use = "a permit is given back when it is dropped"]
pub struct Permit {
    inner: Rc<Inner>,
    permits: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inner.release(self.permits);
    }
}
