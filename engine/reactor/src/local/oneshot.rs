//! One value from one task to another. It knows neither what the value is nor who asked for it.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use thiserror::Error;

/// The other end went away without sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the sender went away without an answer")]
pub struct Closed;

#[derive(Debug)]
enum State<T> {
    Empty(Option<Waker>),
    Sent(T),
    SenderGone,
    ReceiverGone,
    Taken,
}

/// The end that sends.
#[derive(Debug)]
pub struct Sender<T> {
    state: Rc<RefCell<State<T>>>,
}

/// The end that waits.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Receiver<T> {
    state: Rc<RefCell<State<T>>>,
}

/// Both ends of a channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = Rc::new(RefCell::new(State::Empty(None)));
    (
        Sender {
            state: Rc::clone(&state),
        },
        Receiver { state },
    )
}

impl<T> Sender<T> {
    /// Sends the value, or gives it back when nobody waits any more.
    pub fn send(self, value: T) -> Result<(), T> {
        let waker = match &mut *self.state.borrow_mut() {
            State::Empty(waker) => waker.take(),
            State::ReceiverGone | State::Sent(_) | State::SenderGone | State::Taken => {
                return Err(value);
            }
        };
        *self.state.borrow_mut() = State::Sent(value);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Whether nobody waits any more.
    pub fn is_closed(&self) -> bool {
        matches!(&*self.state.borrow(), State::ReceiverGone)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = match &mut *self.state.borrow_mut() {
            State::Empty(waker) => waker.take(),
            State::Sent(_) | State::SenderGone | State::ReceiverGone | State::Taken => return,
        };
        *self.state.borrow_mut() = State::SenderGone;
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.state.borrow_mut();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Empty(_) => {
                *state = State::Empty(Some(context.waker().clone()));
                crate::task::pending("an answer")
            }
            State::Sent(value) => Poll::Ready(Ok(value)),
            State::SenderGone | State::ReceiverGone | State::Taken => Poll::Ready(Err(Closed)),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *self.state.borrow_mut(), State::ReceiverGone);
        drop(left);
    }
}
