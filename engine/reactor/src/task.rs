//! Tasks, sleeps, and the note each wait leaves of what it waits for. It does not know which world runs them.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::sim;

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

/// A spawned task on this shard: await it for its output. Dropped, it is cancelled at its next await; see
/// [`Task::detach`].
///
/// Awaiting a task whose future panicked panics too; in production the panic ends the shard first.
#[derive(Debug)]
#[must_use = "a task is cancelled when its handle is dropped: await it or detach it"]
pub struct Task<T: 'static> {
    inner: Inner<T>,
}

#[derive(Debug)]
enum Inner<T: 'static> {
    /// `None` when the shard ended before the task did.
    Glommio(::glommio::Task<Option<T>>),
    Sim(sim::task::Handle<T>),
}

impl<T: 'static> Task<T> {
    pub(crate) fn glommio(task: ::glommio::Task<Option<T>>) -> Self {
        Self {
            inner: Inner::Glommio(task),
        }
    }

    pub(crate) fn sim(handle: sim::task::Handle<T>) -> Self {
        Self {
            inner: Inner::Sim(handle),
        }
    }

    /// Lets it run to its end by itself.
    pub fn detach(self) {
        match self.inner {
            Inner::Glommio(task) => drop(task.detach()),
            Inner::Sim(handle) => handle.detach(),
        }
    }
}

impl<T: 'static> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match &mut self.inner {
            Inner::Glommio(task) => match Pin::new(task).poll(context) {
                Poll::Ready(Some(output)) => Poll::Ready(output),
                // The shard ends, and the one who waits here ends with it.
                Poll::Ready(None) | Poll::Pending => pending("a task"),
            },
            Inner::Sim(handle) => Pin::new(handle).poll(context),
        }
    }
}

/// Waits for a point in time; see [`crate::Reactor::sleep`]. Dropping it costs nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    inner: Clock,
}

#[derive(Debug)]
enum Clock {
    Glommio(::glommio::timer::Timer),
    Sim(sim::clock::Sleep),
    Never,
}

impl Sleep {
    pub(crate) fn glommio(timer: ::glommio::timer::Timer) -> Self {
        Self {
            inner: Clock::Glommio(timer),
        }
    }

    pub(crate) fn sim(sleep: sim::clock::Sleep) -> Self {
        Self {
            inner: Clock::Sim(sleep),
        }
    }

    pub(crate) fn never() -> Self {
        Self {
            inner: Clock::Never,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.inner {
            Clock::Glommio(timer) => Pin::new(timer).poll(context).map(drop),
            Clock::Sim(sleep) => Pin::new(sleep).poll(context),
            Clock::Never => pending("the end of time"),
        }
    }
}
