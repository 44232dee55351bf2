//! What the shards share: a queue of requests and one of answers per shard, and the marks of those who found no room.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam::queue::{ArrayQueue, SegQueue};
use crossbeam::utils::CachePadded;

use super::{Full, Gone};
use crate::bell::Bells;
use crate::shard::ShardId;

#[derive(Debug)]
pub(super) struct Mesh<Q, A> {
    pub(super) inboxes: Box<[CachePadded<Inbox<Q>>]>,
    pub(super) answers: Arc<Answers<A>>,
    pub(super) bells: OnceLock<Arc<Bells>>,
}

impl<Q, A> Mesh<Q, A> {
    pub(super) fn new(shards: u16, depth: usize) -> Self {
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
            inboxes,
            answers: Arc::new(Answers { queues: answers }),
            bells: OnceLock::new(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Inbox<Q> {
    pub(super) requests: ArrayQueue<Envelope<Q>>,
    /// Shards that found no room here, and which: they are rung when there is some again.
    pub(super) starving: AtomicUsize,
    pub(super) starved: Box<[AtomicBool]>,
    pub(super) bound: AtomicBool,
    pub(super) gone: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Envelope<Q> {
    pub(super) request: Q,
    pub(super) from: Option<(ShardId, u64)>,
}

#[derive(Debug)]
pub(super) struct Answers<A> {
    pub(super) queues: Box<[CachePadded<SegQueue<Answer<A>>>]>,
}

#[derive(Debug)]
pub(super) struct Answer<A> {
    pub(super) call: u64,
    pub(super) outcome: Result<A, Gone>,
}

pub(super) trait Posting<Q>: Send + Sync {
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
