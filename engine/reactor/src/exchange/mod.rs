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

mod end;
mod mesh;
mod reply;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use thiserror::Error;

use crate::bell::Port;
use crate::reactor::Reactor;
use crate::shard::ShardId;
pub use end::Calling;
use end::End;
use mesh::{Mesh, Posting};
pub use reply::Reply;

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
        Self {
            mesh: Arc::new(Mesh::new(shards, depth)),
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
        Post {
            end: End::new(self.mesh, receiving),
        }
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

impl<Q: Send + 'static, A: Send + 'static> Post<Q, A> {
    /// Sends `request` to a shard (or this one) and waits for the answer. The request takes its place in line at the
    /// call, not at the first poll: calls to one shard arrive in the order in which they were made. Where the queue
    /// is full it waits on this side. Dropped, it takes the request back if that has not left, and the answer is
    /// thrown away.
    pub fn call(&self, to: ShardId, request: Q) -> Calling<Q, A> {
        self.end.call(to, request)
    }

    /// The next request to this shard. For one server loop, which should spawn what takes time. Dropping it loses
    /// nothing.
    pub async fn next(&self) -> Result<Call<Q, A>, Gone> {
        let envelope = self.end.next().await;
        let (from, call) = envelope.from.unzip();
        let end = Rc::clone(&self.end) as Rc<dyn Port>;
        let answers = Arc::clone(&self.end.mesh.answers);
        let reply = Reply::new(answers, end, &self.end.receiving, from.zip(call));
        Ok(Call {
            request: envelope.request,
            from,
            reply,
        })
    }

    /// Requests that have arrived and wait for [`Self::next`].
    pub fn waiting(&self) -> usize {
        self.end.mesh.inboxes[self.end.receiving.me.index()]
            .requests
            .len()
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

impl<Q: Send + 'static> Outside<Q> {
    /// Posts `request` to a shard, without waiting. One posted while the shard stops may be lost.
    pub fn post(&self, to: ShardId, request: Q) -> Result<(), Full<Q>> {
        self.mesh.post(to, request)
    }
}
