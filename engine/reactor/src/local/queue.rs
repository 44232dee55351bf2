//! A bounded queue between tasks of one shard. A full queue makes its producers wait; it never grows.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::{WaitList, Waiting};

/// A bounded first-in-first-out queue. Clones share it; any of them may push, pop and close.
#[derive(Debug)]
pub struct Queue<T> {
    inner: Rc<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    /// Invariant: never longer than `capacity`.
    items: RefCell<VecDeque<T>>,
    capacity: usize,
    closed: Cell<bool>,
    for_room: WaitList,
    for_items: WaitList,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Rc::clone(&self.inner),
        }
    }
}

impl<T> Queue<T> {
    /// A queue of at most `capacity` items, which must be at least one.
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue needs room for one item");
        Self {
            inner: Rc::new(Inner {
                items: RefCell::new(VecDeque::new()),
                capacity,
                closed: Cell::new(false),
                for_room: WaitList::default(),
                for_items: WaitList::default(),
            }),
        }
    }

    /// Items in the queue.
    pub fn len(&self) -> usize {
        self.inner.items.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.inner.items.borrow().is_empty()
    }

    /// Appends an item, or gives it back when the queue is full, closed, or others stand in line to push.
    pub fn try_push(&self, item: T) -> Result<(), T> {
        if !self.inner.for_room.is_first(&Waiting::default()) {
            return Err(item);
        }
        self.inner.put(item)
    }

    /// Waits for room and appends the item; gives it back when the queue is closed. Dropped while waiting, the
    /// item is lost.
    pub fn push(&self, item: T) -> Push<T> {
        Push {
            inner: Rc::clone(&self.inner),
            item: Some(item),
            waiting: Waiting::default(),
        }
    }

    /// Takes the first item, if there is one.
    pub fn try_pop(&self) -> Option<T> {
        self.inner.take()
    }

    /// Waits for the first item; `None` once the queue is closed and empty. Dropping it loses nothing.
    pub fn pop(&self) -> Pop<T> {
        Pop {
            inner: Rc::clone(&self.inner),
            waiting: Waiting::default(),
        }
    }

    /// Takes no more items; those in the queue can still be popped.
    pub fn close(&self) {
        self.inner.closed.set(true);
        self.inner.for_room.wake_all();
        self.inner.for_items.wake_all();
    }
}

impl<T> Inner<T> {
    fn put(&self, item: T) -> Result<(), T> {
        let mut items = self.items.borrow_mut();
        if self.closed.get() || items.len() == self.capacity {
            return Err(item);
        }
        items.push_back(item);
        drop(items);
        self.for_items.wake_first();
        Ok(())
    }

    fn take(&self) -> Option<T> {
        let item = self.items.borrow_mut().pop_front()?;
        self.for_room.wake_first();
        Some(item)
    }

    fn has_room(&self) -> bool {
        !self.closed.get() && self.items.borrow().len() < self.capacity
    }
}

/// See [`Queue::push`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Push<T> {
    inner: Rc<Inner<T>>,
    item: Option<T>,
    waiting: Waiting,
}

impl<T> Unpin for Push<T> {}

impl<T> Future for Push<T> {
    type Output = Result<(), T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let may_try = this.inner.closed.get() || this.inner.for_room.is_first(&this.waiting);
        if may_try && let Some(item) = this.item.take() {
            let result = this.inner.put(item);
            match result {
                Err(item) if !this.inner.closed.get() => this.item = Some(item),
                Ok(()) | Err(_) => {
                    this.inner.for_room.leave(&mut this.waiting);
                    if this.inner.has_room() {
                        this.inner.for_room.wake_first();
                    }
                    return Poll::Ready(result);
                }
            }
        }
        this.inner.for_room.wait(&mut this.waiting, context);
        crate::task::pending("room in a queue")
    }
}

impl<T> Drop for Push<T> {
    fn drop(&mut self) {
        self.inner.for_room.leave(&mut self.waiting);
        if self.inner.has_room() {
            self.inner.for_room.wake_first();
        }
    }
}

/// See [`Queue::pop`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Pop<T> {
    inner: Rc<Inner<T>>,
    waiting: Waiting,
}

impl<T> Future for Pop<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let item = this.inner.take();
        if item.is_none() && !this.inner.closed.get() {
            this.inner.for_items.wait(&mut this.waiting, context);
            return crate::task::pending("an item in a queue");
        }
        this.inner.for_items.leave(&mut this.waiting);
        if !this.inner.items.borrow().is_empty() {
            this.inner.for_items.wake_first();
        }
        Poll::Ready(item)
    }
}

impl<T> Drop for Pop<T> {
    fn drop(&mut self) {
        self.inner.for_items.leave(&mut self.waiting);
        if !self.inner.items.borrow().is_empty() {
            self.inner.for_items.wake_first();
        }
    }
}
