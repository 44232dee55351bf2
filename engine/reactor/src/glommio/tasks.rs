//! The tasks of a shard, so that it can end them all: glommio forgets detached tasks without dropping what they
//! hold, and a shard that ends must close its sockets. It does not know what the tasks do.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The live tasks.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    live: RefCell<BTreeMap<u64, Rc<Ending>>>,
    next: Cell<u64>,
    ending: Cell<bool>,
}

/// How a task learns that it shall end.
#[derive(Debug, Default)]
struct Ending {
    now: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Tasks {
    /// A future that does what `future` does until [`Self::end_all`]; it gives `None` then.
    pub(super) fn track<F: Future>(self: &Rc<Self>, future: F) -> Tracked<F> {
        let number = self.next.get();
        self.next.set(number + 1);
        let ending = Rc::new(Ending::default());
        ending.now.set(self.ending.get());
        self.live.borrow_mut().insert(number, Rc::clone(&ending));
        let leave = Leave {
            tasks: Rc::clone(self),
            number,
        };
        Tracked {
            running: Some(Box::pin(future)),
            ending,
            _leave: leave,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.live.borrow().len()
    }

    /// Ends every task at its next poll, and wakes it for that.
    pub(super) fn end_all(&self) {
        self.ending.set(true);
        let live: Vec<Rc<Ending>> = self.live.borrow().values().cloned().collect();
        for ending in live {
            ending.now.set(true);
            let waker = ending.waker.borrow_mut().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// See [`Tasks::track`].
#[derive(Debug)]
pub(super) struct Tracked<F> {
    running: Option<Pin<Box<F>>>,
    ending: Rc<Ending>,
    _leave: Leave,
}

#[derive(Debug)]
struct Leave {
    tasks: Rc<Tasks>,
    number: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let left = self.tasks.live.borrow_mut().remove(&self.number);
        drop(left);
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.ending.now.get() {
            this.running = None;
        }
        let Some(running) = &mut this.running else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(output) = running.as_mut().poll(context) {
            this.running = None;
            return Poll::Ready(Some(output));
        }
        let mut waker = this.ending.waker.borrow_mut();
        match &*waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            Some(_) | None => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
