//! Calls between shards: a bounded queue per shard, answers that travel back the same way, and a bell that is rung
//! only when the target may be asleep. It does not know what is asked.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use thiserror::Error;

use crate::reactor::Reactor;
use crate::shard::ShardId;

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

/// Makes the ends of an exchange, one per shard, each with a queue of `depth` requests.
pub fn exchange<Q: Send + 'static, A: Send + 'static>(
    shards: u16,
    depth: usize,
) -> Vec<Exchange<Q, A>> {
    let _ = depth;
    (0..shards)
        .map(|_| Exchange {
            _types: PhantomData,
        })
        .collect()
}

/// One shard's end before it is bound there.
#[derive(Debug)]
pub struct Exchange<Q, A> {
    _types: PhantomData<(Q, A)>,
}

impl<Q: Send + 'static, A: Send + 'static> Exchange<Q, A> {
    /// Takes this end on its shard.
    pub fn bind(self, reactor: &Reactor) -> Post<Q, A> {
        let _ = reactor;
        Post {
            _types: PhantomData,
        }
    }

    /// A handle for threads that are no shard.
    pub fn outside(&self) -> Outside<Q> {
        Outside {
            _types: PhantomData,
        }
    }
}

/// One shard's end, on that shard. Clones share it.
#[derive(Debug)]
pub struct Post<Q, A> {
    _types: PhantomData<(Q, A)>,
}

impl<Q, A> Clone for Post<Q, A> {
    fn clone(&self) -> Self {
        Self {
            _types: PhantomData,
        }
    }
}

impl<Q: Send + 'static, A: Send + 'static> Post<Q, A> {
    /// Sends `request` to a shard (or this one) and waits for the answer. The request takes its place in line at the
    /// call, not at the first poll: calls to one shard arrive in the order in which they were made. Where the queue
    /// is full it waits on this side. Dropped, it takes the request back if that has not left, and the answer is
    /// thrown away.
    pub fn call(&self, to: ShardId, request: Q) -> Calling<Q, A> {
        let _ = (to, request);
        Calling {
            _types: PhantomData,
        }
    }

    /// The next request to this shard. For one server loop, which should spawn what takes time.
    pub async fn next(&self) -> Result<Call<Q, A>, Gone> {
        std::future::pending().await
    }
}

/// A call under way; see [`Post::call`].
#[derive(Debug)]
#[must_use = "a dropped call throws its answer away"]
pub struct Calling<Q, A> {
    _types: PhantomData<(Q, A)>,
}

impl<Q, A> Future for Calling<Q, A> {
    type Output = Result<A, Gone>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Pending
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
#[derive(Debug)]
pub struct Reply<A> {
    _types: PhantomData<A>,
}

impl<A> Reply<A> {
    /// Answers. Nobody may be waiting any more; the answer is then thrown away.
    pub fn send(self, answer: A) {
        let _ = answer;
    }
}

/// For threads that are no shard: sends without an answer.
#[derive(Clone, Debug)]
pub struct Outside<Q> {
    _types: PhantomData<Q>,
}

impl<Q: Send + 'static> Outside<Q> {
    /// Posts `request` to a shard, without waiting.
    pub fn post(&self, to: ShardId, request: Q) -> Result<(), Full<Q>> {
        let _ = to;
        Err(Full::Gone(request))
    }
}
