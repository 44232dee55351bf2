//! Calls between shards: a bounded queue per shard, answers that travel back the same way, and a bell that is rung
//! only when the target may be asleep. It does not know what is asked.
//!
//! ```text
//!   shard 0                                            shard 1
//!   call ─► outbox (in order) ─► requests, bounded ─► next ─► Call { request, reply }
//!   Calling ◄── answers ◄───────────────────────────────────── reply.send
//! ```
//!
//! The queue of answers has no bound of its own: it holds at most one answer per call under way, and each of those
//! is a future that its caller already keeps.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use crossbeam::queue::{ArrayQueue, SegQueue};
use crossbeam::utils::CachePadded;
use thiserror::Error;

use crate::bell::{Bells, Port};
use crate::local::{WaitList, Waiting};
use crate::reactor::Reactor;
use crate::shard::ShardId;
use crate::task::pending;

/// The other shard has stopped, or its answer was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the shard has stopped")]
pub struct Gone;

/// A message that found no place; it is given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Full<Q> {
    /// The queue is full.
    #[error("the shard's queue is full")]
    Full(Q),
    /// The shard has stopped.
    #[error("the shard has stopped")]
    Gone(Q),
}

/// Makes the ends of an exchange, one per shard, each with a queue of `depth` requests. They are interchangeable:
/// the shard that binds one takes its own place.
pub fn exchange<Q: Send + 'static, A: Send + 'static>(
    shards: u16,
    depth: usize,
) -> Vec<Exchange<Q, A>> {
    let exchange = Exchange::new(shards, depth);
    (0..shards).map(|_| exchange.clone()).collect()
}

/// An exchange before it is bound on a shard. Clones are the same exchange; each shard binds one once.
#[derive(Debug)]
pub struct Exchange<Q, A> {
    mesh: Arc<Mesh<Q, A>>,
}

impl<Q, A> Clone for Exchange<Q, A> {
    fn clone(&self) -> Self {
        Self {
            mesh: Arc::clone(&self.mesh),
        }
    }
}

impl<Q: Send + 'static, A: Send + 'static> Exchange<Q, A> {
    /// An exchange between `shards` shards, each with a queue of `depth` (at least one) requests.
    pub fn new(shards: u16, depth: usize) -> Self {
        let inboxes = (0..shards)
            .map(|_| {
                CachePadded::new(Inbox {
                    requests: ArrayQueue::new(depth),
                    starving: AtomicUsize::new(0),
                    starved: (0..shards).map(|_| AtomicBool::new(false)).collect(),
                    bound: AtomicBool::new(false),
                    gone: AtomicBool::new(false),
                })
            })
            .collect();
        let answers = (0..shards)
            .map(|_| CachePadded::new(SegQueue::new()))
            .collect();
        Self {
            mesh: Arc::new(Mesh {
                inboxes,
                answers: Arc::new(Answers { queues: answers }),
                bells: OnceLock::new(),
            }),
        }
    }

    /// Takes the place of `reactor`'s shard. Panics where that has been taken, or where the world has another number
    /// of shards than the exchange.
    pub fn bind(self, reactor: &Reactor) -> Post<Q, A> {
        let receiving = reactor.receiving();
        assert_eq!(
            self.mesh.inboxes.len(),
            receiving.bells.shards(),
            "the exchange and the world must have the same shards"
        );
        let me = receiving.me;
        let taken = self.mesh.inboxes[me.index()]
            .bound
            .swap(true, Ordering::AcqRel);
        assert!(!taken, "the exchange is already bound on shard {me}");
        let _ = self.mesh.bells.set(Arc::clone(&receiving.bells));
        let end = Rc::new_cyclic(|this: &Weak<End<Q, A>>| {
            receiving.ports.add(this.clone());
            End {
                me,
                bells: Arc::clone(&receiving.bells),
                calls: RefCell::default(),
                next_call: Cell::new(0),
                outboxes: self
                    .mesh
                    .inboxes
                    .iter()
                    .map(|_| RefCell::default())
                    .collect(),
                serving: WaitList::default(),
                mesh: self.mesh,
            }
        });
        Post { end }
    }

    /// A handle for threads that are no shard.
    pub fn outside(&self) -> Outside<Q>
    where
        A: 'static,
    {
        Outside {
            mesh: Arc::clone(&self.mesh) as Arc<dyn Posting<Q>>,
        }
    }
}

#[derive(Debug)]
struct Mesh<Q, A> {
    inboxes: Box<[CachePadded<Inbox<Q>>]>,
    answers: Arc<Answers<A>>,
    bells: OnceLock<Arc<Bells>>,
}

#[derive(Debug)]
struct Inbox<Q> {
    requests: ArrayQueue<Envelope<Q>>,
    /// Shards that found no room here, and which: they are rung when there is some again.
    starving: AtomicUsize,
    starved: Box<[AtomicBool]>,
    bound: AtomicBool,
    gone: AtomicBool,
}

#[derive(Debug)]
struct Envelope<Q> {
    request: Q,
    from: Option<(ShardId, u64)>,
}

#[derive(Debug)]
struct Answers<A> {
    queues: Box<[CachePadded<SegQueue<Answer<A>>>]>,
}

#[derive(Debug)]
struct Answer<A> {
    call: u64,
    outcome: Result<A, Gone>,
}

/// One shard's end, on that shard. Clones share it. The last one dropped (with all calls and replies) is the end of
/// the service here: who calls then gets [`Gone`].
#[derive(Debug)]
pub struct Post<Q, A> {
    end: Rc<End<Q, A>>,
}

impl<Q, A> Clone for Post<Q, A> {
    fn clone(&self) -> Self {
        Self {
            end: Rc::clone(&self.end),
        }
    }
}

#[derive(Debug)]
struct End<Q, A> {
    me: ShardId,
    mesh: Arc<Mesh<Q, A>>,
    bells: Arc<Bells>,
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

impl<Q: Send + 'static, A: Send + 'static> Post<Q, A> {
    /// Sends `request` to a shard (or this one) and waits for the answer. The request takes its place in line at the
    /// call, not at the first poll: calls to one shard arrive in the order in which they were made. Where the queue
    /// is full it waits on this side. Dropped, it takes the request back if that has not left, and the answer is
    /// thrown away.
    pub fn call(&self, to: ShardId, request: Q) -> Calling<Q, A> {
        let end = &self.end;
        let number = end.next_call.get();
        end.next_call.set(number + 1);
        let gone = end.is_gone(to);
        let state = if gone {
            CallState::Answered(Err(Gone))
        } else {
            CallState::Waiting(None)
        };
        end.calls.borrow_mut().insert(number, Pending { to, state });
        if !gone {
            let envelope = Envelope {
                request,
                from: Some((end.me, number)),
            };
            end.outboxes[to.index()].borrow_mut().push_back(envelope);
            end.flush(to);
            if end.is_gone(to) {
                end.fail_calls();
            }
        }
        Calling {
            end: Rc::clone(end),
            number,
        }
    }

    /// The next request to this shard. For one server loop, which should spawn what takes time. Dropping it loses
    /// nothing.
    pub async fn next(&self) -> Result<Call<Q, A>, Gone> {
        let end = &self.end;
        let mut place = Place {
            list: &end.serving,
            waiting: Waiting::default(),
        };
        let envelope = poll_fn(|context| match end.take() {
            Some(envelope) => Poll::Ready(envelope),
            None => {
                end.serving.wait(&mut place.waiting, context);
                pending("a call from a shard")
            }
        })
        .await;
        drop(place);
        let (from, call) = envelope.from.unzip();
        let path = Path {
            answers: Arc::clone(&end.mesh.answers),
            bells: Arc::clone(&end.bells),
            end: Rc::clone(end) as Rc<dyn Port>,
            me: end.me,
        };
        let reply = Reply {
            path: Some(path),
            to: from.zip(call),
        };
        Ok(Call {
            request: envelope.request,
            from,
            reply,
        })
    }

    /// Requests that have arrived and wait for [`Self::next`].
    pub fn waiting(&self) -> usize {
        self.end.mesh.inboxes[self.end.me.index()].requests.len()
    }
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

impl<Q, A> End<Q, A> {
    fn is_gone(&self, to: ShardId) -> bool {
        self.mesh
            .inboxes
            .get(to.index())
            .is_none_or(|inbox| inbox.gone.load(Ordering::SeqCst))
            || self.bells.has_stopped(to)
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
                    if !inbox.starved[self.me.index()].swap(true, Ordering::SeqCst) {
                        inbox.starving.fetch_add(1, Ordering::SeqCst);
                    }
                    fence(Ordering::SeqCst);
                }
            }
        }
        drop(outbox);
        if moved {
            if to == self.me {
                self.serving.wake_first();
            } else {
                self.bells.ring(to);
            }
        }
    }

    /// Takes the next request, and tells those who waited for its room.
    fn take(&self) -> Option<Envelope<Q>> {
        let inbox = &self.mesh.inboxes[self.me.index()];
        let envelope = inbox.requests.pop()?;
        fence(Ordering::SeqCst);
        if inbox.starving.load(Ordering::SeqCst) > 0 {
            for (number, starved) in inbox.starved.iter().enumerate() {
                if starved.swap(false, Ordering::SeqCst) {
                    inbox.starving.fetch_sub(1, Ordering::SeqCst);
                    let shard = ShardId::new(u16::try_from(number).unwrap_or(u16::MAX));
                    if shard == self.me {
                        self.flush(shard)
                    } else {
                        self.bells.ring(shard)
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

    /// Answers every call to a shard that is gone.
    fn fail_calls(&self) {
        let mut wakers = Vec::new();
        // Dropped last: their contents may call back into this end.
        let mut orphans = VecDeque::new();
        for call in self.calls.borrow_mut().values_mut() {
            if let CallState::Waiting(waker) = &mut call.state
                && self.is_gone(call.to)
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

    fn has_calls_to_the_gone(&self) -> bool {
        (0..self.mesh.inboxes.len())
            .any(|n| self.is_gone(ShardId::new(u16::try_from(n).unwrap_or(u16::MAX))))
            && self
                .calls
                .borrow()
                .values()
                .any(|call| matches!(call.state, CallState::Waiting(_)) && self.is_gone(call.to))
    }

    fn starved_outboxes(&self) -> impl Iterator<Item = ShardId> {
        self.outboxes
            .iter()
            .enumerate()
            .filter_map(|(number, outbox)| {
                let starved = &self.mesh.inboxes[number].starved[self.me.index()];
                let waits = !outbox.borrow().is_empty() && !starved.load(Ordering::SeqCst);
                waits.then(|| ShardId::new(u16::try_from(number).unwrap_or(u16::MAX)))
            })
    }
}

impl<Q: Send + 'static, A: Send + 'static> Port for End<Q, A> {
    fn drain(&self) {
        // Looked at first: what was answered before the other shard went is still an answer.
        let gone = self.has_calls_to_the_gone();
        while let Some(answer) = self.mesh.answers.queues[self.me.index()].pop() {
            self.settle(answer);
        }
        for to in self.starved_outboxes() {
            self.flush(to);
        }
        if gone {
            self.fail_calls();
        }
        if !self.mesh.inboxes[self.me.index()].requests.is_empty() {
            self.serving.wake_first();
        }
    }

    fn has_arrivals(&self) -> bool {
        let requests = &self.mesh.inboxes[self.me.index()].requests;
        !self.mesh.answers.queues[self.me.index()].is_empty()
            || (!requests.is_empty() && self.serving.has_sleepers())
            || self.starved_outboxes().next().is_some()
            || self.has_calls_to_the_gone()
    }
}

impl<Q, A> Drop for End<Q, A> {
    fn drop(&mut self) {
        let inbox = &self.mesh.inboxes[self.me.index()];
        inbox.gone.store(true, Ordering::SeqCst);
        while let Some(envelope) = inbox.requests.pop() {
            drop(envelope);
        }
        self.bells.ring_all();
    }
}

/// A call under way; see [`Post::call`].
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
            let mine = Some((self.end.me, self.number));
            let place = outbox.iter().position(|envelope| envelope.from == mine);
            let taken_back = place.and_then(|place| outbox.remove(place));
            drop(outbox);
            drop(taken_back);
        }
    }
}

/// A request that arrived.
#[derive(Debug)]
pub struct Call<Q, A> {
    /// What is asked.
    pub request: Q,
    /// Who asks; `None` for a thread that is no shard.
    pub from: Option<ShardId>,
    /// Where the answer goes.
    pub reply: Reply<A>,
}

/// Where an answer goes. Dropped without one, the caller gets [`Gone`].
pub struct Reply<A> {
    path: Option<Path<A>>,
    to: Option<(ShardId, u64)>,
}

struct Path<A> {
    answers: Arc<Answers<A>>,
    bells: Arc<Bells>,
    /// Keeps this end in service until all has been answered.
    end: Rc<dyn Port>,
    me: ShardId,
}

impl<A> Reply<A> {
    /// Answers. Nobody may be waiting any more; the answer is then thrown away.
    pub fn send(mut self, answer: A) {
        self.settle(Ok(answer));
    }

    /// Whether anybody can get an answer: not so for calls from [`Outside`].
    pub fn is_expected(&self) -> bool {
        self.to.is_some()
    }

    fn settle(&mut self, outcome: Result<A, Gone>) {
        let (Some(path), Some((to, call))) = (self.path.take(), self.to) else {
            return;
        };
        path.answers.queues[to.index()].push(Answer { call, outcome });
        if to == path.me {
            path.end.drain();
        } else {
            path.bells.ring(to);
        }
    }
}

impl<A> Drop for Reply<A> {
    fn drop(&mut self) {
        self.settle(Err(Gone));
    }
}

impl<A> std::fmt::Debug for Reply<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("to", &self.to)
            .finish_non_exhaustive()
    }
}

/// For threads that are no shard: sends without an answer.
pub struct Outside<Q> {
    mesh: Arc<dyn Posting<Q>>,
}

impl<Q> Clone for Outside<Q> {
    fn clone(&self) -> Self {
        Self {
            mesh: Arc::clone(&self.mesh),
        }
    }
}

impl<Q> std::fmt::Debug for Outside<Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").finish_non_exhaustive()
    }
}

trait Posting<Q>: Send + Sync {
    fn post(&self, to: ShardId, request: Q) -> Result<(), Full<Q>>;
}

impl<Q: Send, A: Send> Posting<Q> for Mesh<Q, A> {
    fn post(&self, to: ShardId, request: Q) -> Result<(), Full<Q>> {
        let stopped = || self.bells.get().is_some_and(|bells| bells.has_stopped(to));
        let Some(inbox) = self.inboxes.get(to.index()) else {
            return Err(Full::Gone(request));
        };
        if inbox.gone.load(Ordering::SeqCst) || stopped() {
            return Err(Full::Gone(request));
        }
        inbox
            .requests
            .push(Envelope {
                request,
                from: None,
            })
            .map_err(|envelope| Full::Full(envelope.request))?;
        if let Some(bells) = self.bells.get() {
            bells.ring(to);
        }
        Ok(())
    }
}

impl<Q: Send + 'static> Outside<Q> {
    /// Posts `request` to a shard, without waiting. One posted while the shard stops may be lost.
    pub fn post(&self, to: ShardId, request: Q) -> Result<(), Full<Q>> {
        self.mesh.post(to, request)
    }
}
