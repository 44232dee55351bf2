//! A task as its spawner holds it, and the note each wait leaves of what it waits for. It does not know which world
//! runs it.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::tasks::Handle;

thread_local! {
    /// What the task now being polled said last that it waits for. The simulation reads it to name, in a deadlock,
    /// what everyone waits for.
    static WAITING_FOR: Cell<&'static str> = const { Cell::new("") };
}

/// Pending, with a note of what for.
pub(crate) fn pending<T>(what: &'static str) -> Poll<T> {
    WAITING_FOR.set(what);
    Poll::Pending
}

/// The last note, and a clean slate.
pub(crate) fn take_waiting_for() -> &'static str {
    WAITING_FOR.replace("")
}

/// A spawned task on this shard: await it for its output. Dropped, it is cancelled: its future is dropped at its next
/// turn; see [`Task::detach`]. A panic in it ends the shard.
#[derive(Debug)]
#[must_use = "a task is cancelled when its handle is dropped: await it or detach it"]
pub struct Task<T: 'static> {
    handle: Handle<T>,
}

impl<T: 'static> Task<T> {
    pub(crate) fn new(handle: Handle<T>) -> Self {
        Self { handle }
    }

    /// Lets it run to its end by itself.
    pub fn detach(self) {
        self.handle.detach();
    }
}

impl<T: 'static> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.handle).poll(context)
    }
}
