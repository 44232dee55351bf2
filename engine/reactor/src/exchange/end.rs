//! One shard's end of an exchange: the calls it has under way, and those that found no room yet.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, Waker};

use super::Gone;
use super::mesh::{Answer, Envelope, Mesh};
use crate::bell::{Port, Receiving};
use crate::local::{WaitList, Waiting};
use crate::shard::ShardId;
use crate::task::pending;

/// Requests taken in a row before the rest of the shard has a turn.
const TURNS_MAX: u32 = 64;

#[derive(Debug)]
pub(super) struct End<Q, A> {
    pub(super) mesh: Arc<Mesh<Q, A>>,
    pub(super) receiving: Receiving,
    /// Requests taken since the last wait.
    turns: Cell<u32>,
    /// The calls under way, by number.
    calls: RefCell<BTreeMap<u64, Pending<A>>>,
    next_call: Cell<u64>,
    /// Per target: requests that found no room, in order. Holds nothing but what a living `Calling` waits for.
    outboxes: Box<[RefCell<VecDeque<Envelope<Q>>>]>,
    serving: WaitList,
}

#[derive(Debug)]
struct Pending<A> {
    to: ShardId,
    state: CallState<A>,
}

#[derive(Debug)]
enum CallState<A> {
    Waiting(Option<Waker>),
    Answered(Result<A, Gone>),
}

/// A place in a line, given up when dropped.
struct Place<'a> {
    list: &'a WaitList,
    waiting: Waiting,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.list.leave(&mut self.waiting);
    }
}

impl<Q: Send + 'static, A: Send + 'static> End<Q, A> {
    pub(super) fn new(mesh: Arc<Mesh<Q, A>>, receiving: Receiving) -> Rc<Self> {
        let outboxes = mesh.inboxes.iter().map(|_| RefCell::default()).collect();
        Rc::new_cyclic(|this: &Weak<Self>| {
            receiving.ports.add(this.clone());
            Self {
                mesh,
                receiving,
                turns: Cell::new(0),
                calls: RefCell::default(),
                next_call: Cell::new(0),
                outboxes,
                serving: WaitList::default(),
            }
        })
    }
}

impl<Q, A> End<Q, A> {
    pub(super) fn call(self: &Rc<Self>, to: ShardId, request: Q) -> Calling<Q, A> {
        let number = self.next_call.get();
        self.next_call.set(number + 1);
        let gone = self.is_gone(to);
        let state = if gone {
            CallState::Answered(Err(Gone))
        } else {
            CallState::Waiting(None)
        };
        self.calls
            .borrow_mut()
            .insert(number, Pending { to, state });
        if !gone {
            let envelope = Envelope {
                request,
                from: Some((self.receiving.me, number)),
            };
            self.outboxes[to.index()].borrow_mut().push_back(envelope);
            self.flush(to);
            if self.is_gone(to) {
                self.take_answers();
            }
        }
        Calling {
            end: Rc::clone(self),
            number,
        }
    }

    pub(super) async fn next(&self) -> Envelope<Q> {
        if self.turns.get() == TURNS_MAX {
            // Other shards could keep this loop busy for ever, and the rest of the shard would starve.
            self.turns.set(0);
            self.receiving.yield_now().await;
        }
        let mut place = Place {
            list: &self.serving,
            waiting: Waiting::default(),
        };
        let envelope = poll_fn(|context| match self.take() {
            Some(envelope) => Poll::Ready(envelope),
            None => {
                self.turns.set(0);
                self.serving.wait(&mut place.waiting, context);
                pending("a call from a shard")
            }
        })
        .await;
        drop(place);
        self.turns.set(self.turns.get() + 1);
        envelope
    }

    fn is_gone(&self, to: ShardId) -> bool {
        self.mesh
            .inboxes
            .get(to.index())
            .is_none_or(|inbox| inbox.gone.load(Ordering::SeqCst))
            || self.receiving.bells.has_stopped(to)
    }

    /// Moves what it can from the outbox into the target's queue.
    fn flush(&self, to: ShardId) {
        let inbox = &self.mesh.inboxes[to.index()];
        let mut outbox = self.outboxes[to.index()].borrow_mut();
        let mut moved = false;
        let mut starved = false;
        while let Some(envelope) = outbox.pop_front() {
            match inbox.requests.push(envelope) {
                Ok(()) => moved = true,
                Err(envelope) => {
                    outbox.push_front(envelope);
                    if starved {
                        break;
                    }
                    // Ask to be rung, then look once more: room may have come in between.
                    starved = true;
                    if !inbox.starved[self.receiving.me.index()].swap(true, Ordering::SeqCst) {
                        inbox.starving.fetch_add(1, Ordering::SeqCst);
                    }
                    fence(Ordering::SeqCst);
                }
            }
        }
        drop(outbox);
        if moved {
            if to == self.receiving.me {
                self.serving.wake_first();
            } else {
                self.receiving.bells.ring(to);
            }
        }
    }

    /// Takes the next request, and tells those who waited for its room.
    fn take(&self) -> Option<Envelope<Q>> {
        let inbox = &self.mesh.inboxes[self.receiving.me.index()];
        let envelope = inbox.requests.pop()?;
        fence(Ordering::SeqCst);
        if inbox.starving.load(Ordering::SeqCst) > 0 {
            for (number, starved) in inbox.starved.iter().enumerate() {
                if starved.swap(false, Ordering::SeqCst) {
                    inbox.starving.fetch_sub(1, Ordering::SeqCst);
                    let shard = ShardId::new(u16::try_from(number).unwrap_or(u16::MAX));
                    if shard == self.receiving.me {
                        self.flush(shard)
                    } else {
                        self.receiving.bells.ring(shard)
                    }
                }
            }
        }
        Some(envelope)
    }

    fn settle(&self, answer: Answer<A>) {
        let mut calls = self.calls.borrow_mut();
        // A call that was dropped is no longer there: its answer is thrown away, outside the borrow.
        let Some(call) = calls.get_mut(&answer.call) else {
            return drop(calls);
        };
        let before = std::mem::replace(&mut call.state, CallState::Answered(answer.outcome));
        drop(calls);
        if let CallState::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }

    /// Takes the answers that have arrived, and fails what the shards that are gone did not answer.
    fn take_answers(&self) {
        // Looked at first: a shard goes only when it has sent all its answers, so that those are found below.
        let gone = self.gone_that_owe_answers();
        while let Some(answer) = self.mesh.answers.queues[self.receiving.me.index()].pop() {
            self.settle(answer);
        }
        if !gone.is_empty() {
            self.fail_calls(&gone);
        }
    }

    fn fail_calls(&self, gone: &[ShardId]) {
        let mut wakers = Vec::new();
        // Dropped last: their contents may call back into this end.
        let mut orphans = VecDeque::new();
        for call in self.calls.borrow_mut().values_mut() {
            if let CallState::Waiting(waker) = &mut call.state
                && gone.contains(&call.to)
            {
                wakers.extend(waker.take());
                call.state = CallState::Answered(Err(Gone));
                orphans.append(&mut self.outboxes[call.to.index()].borrow_mut());
            }
        }
        for waker in wakers {
            waker.wake();
        }
    }

    fn gone_that_owe_answers(&self) -> Vec<ShardId> {
        let shards = (0_u16..).take(self.mesh.inboxes.len()).map(ShardId::new);
        let mut gone: Vec<ShardId> = shards.filter(|shard| self.is_gone(*shard)).collect();
        if !gone.is_empty() {
            let calls = self.calls.borrow();
            let owes = |shard: &ShardId| {
                calls
                    .values()
                    .any(|call| call.to == *shard && matches!(call.state, CallState::Waiting(_)))
            };
            gone.retain(owes);
        }
        gone
    }

    fn starved_outboxes(&self) -> impl Iterator<Item = ShardId> {
        self.outboxes
            .iter()
            .enumerate()
            .filter_map(|(number, outbox)| {
                let starved = &self.mesh.inboxes[number].starved[self.receiving.me.index()];
                let waits = !outbox.borrow().is_empty() && !starved.load(Ordering::SeqCst);
                waits.then(|| ShardId::new(u16::try_from(number).unwrap_or(u16::MAX)))
            })
    }
}

impl<Q: Send + 'static, A: Send + 'static> Port for End<Q, A> {
    fn drain(&self) {
        self.take_answers();
        for to in self.starved_outboxes() {
            self.flush(to);
        }
        if !self.mesh.inboxes[self.receiving.me.index()]
            .requests
            .is_empty()
        {
            self.serving.wake_first();
        }
    }

    fn has_arrivals(&self) -> bool {
        let requests = &self.mesh.inboxes[self.receiving.me.index()].requests;
        !self.mesh.answers.queues[self.receiving.me.index()].is_empty()
            || (!requests.is_empty() && self.serving.has_sleepers())
            || self.starved_outboxes().next().is_some()
            || !self.gone_that_owe_answers().is_empty()
    }
}

impl<Q, A> Drop for End<Q, A> {
    fn drop(&mut self) {
        let inbox = &self.mesh.inboxes[self.receiving.me.index()];
        inbox.gone.store(true, Ordering::SeqCst);
        while let Some(envelope) = inbox.requests.pop() {
            drop(envelope);
        }
        self.receiving.bells.ring_all();
    }
}

/// A call under way; see [`Post::call`](super::Post::call).
#[derive(Debug)]
#[must_use = "a dropped call throws its answer away"]
pub struct Calling<Q, A> {
    end: Rc<End<Q, A>>,
    number: u64,
}

impl<Q, A> Future for Calling<Q, A> {
    type Output = Result<A, Gone>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut calls = self.end.calls.borrow_mut();
        match calls.remove(&self.number) {
            Some(Pending {
                state: CallState::Answered(outcome),
                ..
            }) => Poll::Ready(outcome),
            Some(Pending {
                to,
                state: CallState::Waiting(_),
            }) => {
                let state = CallState::Waiting(Some(context.waker().clone()));
                calls.insert(self.number, Pending { to, state });
                pending("an answer from a shard")
            }
            None => Poll::Ready(Err(Gone)),
        }
    }
}

impl<Q, A> Drop for Calling<Q, A> {
    fn drop(&mut self) {
        let call = self.end.calls.borrow_mut().remove(&self.number);
        if let Some(Pending {
            to,
            state: CallState::Waiting(_),
        }) = call
        {
            let mut outbox = self.end.outboxes[to.index()].borrow_mut();
            let mine = Some((self.end.receiving.me, self.number));
            let place = outbox.iter().position(|envelope| envelope.from == mine);
            let taken_back = place.and_then(|place| outbox.remove(place));
            drop(outbox);
            drop(taken_back);
        }
    }
}
