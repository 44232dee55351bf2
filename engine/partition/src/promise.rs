//! The futures a partition gives out: a promise to be kept, and a wait for something to read.
//!
//! Both are cancel-safe: a future that is dropped takes its waiter with it. They decide nothing; the state does.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use highwater_record::Offset;

use crate::admission::Lost;
use crate::partition::Inner;
use crate::state::{Promise, Standing};
use crate::waiters::Place;

/// Resolves when a batch is as safe as its topic promises: see [`Partition::committed`](crate::Partition::committed).
#[must_use = "futures do nothing unless awaited"]
pub struct Committed {
    inner: Rc<Inner>,
    end: Offset,
    place: Option<Place>,
}

impl Committed {
    pub(crate) fn new(inner: Rc<Inner>, end: Offset) -> Committed {
        Committed {
            inner,
            end,
            place: None,
        }
    }
}

impl Future for Committed {
    type Output = Result<(), Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Committed { inner, end, place } = &mut *self;
        let mut core = inner.core.borrow_mut();
        let (answer, unneeded) = match core.state.promise(*end) {
            Promise::Open => (
                Poll::Pending,
                core.promised.wait(*end, place, context.waker()),
            ),
            Promise::Kept => (
                Poll::Ready(Ok(())),
                place.take().and_then(|place| core.promised.leave(place)),
            ),
            Promise::Lost(lost) => (
                Poll::Ready(Err(lost)),
                place.take().and_then(|place| core.promised.leave(place)),
            ),
        };
        drop(core);
        // A waker may own the last of a task, and with it other futures of this partition.
        drop(unneeded);
        answer
    }
}

impl Drop for Committed {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let unneeded = self.inner.core.borrow_mut().promised.leave(place);
            drop(unneeded);
        }
    }
}

/// Resolves when there is something to read: see [`Partition::watch`](crate::Partition::watch).
#[must_use = "futures do nothing unless awaited"]
pub struct Watch {
    inner: Rc<Inner>,
    from: Offset,
    place: Option<Place>,
}

impl Watch {
    pub(crate) fn new(inner: Rc<Inner>, from: Offset) -> Watch {
        Watch {
            inner,
            from,
            place: None,
        }
    }
}

impl Future for Watch {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Watch { inner, from, place } = &mut *self;
        let mut core = inner.core.borrow_mut();
        let over = core.state.high_watermark() > *from || core.state.standing() == Standing::Closed;
        let (answer, unneeded) = if over {
            (
                Poll::Ready(()),
                place.take().and_then(|place| core.watching.leave(place)),
            )
        } else {
            (
                Poll::Pending,
                core.watching.wait(from.next(), place, context.waker()),
            )
        };
        drop(core);
        drop(unneeded);
        answer
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let unneeded = self.inner.core.borrow_mut().watching.leave(place);
            drop(unneeded);
        }
    }
}
