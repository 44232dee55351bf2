//! The way back of one request. It does not know what was asked.

use std::rc::Rc;
use std::sync::Arc;

use super::Gone;
use super::mesh::{Answer, Answers};
use crate::bell::{Bells, Port, Receiving};
use crate::shard::ShardId;

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
    pub(super) fn new(
        answers: Arc<Answers<A>>,
        end: Rc<dyn Port>,
        receiving: &Receiving,
        to: Option<(ShardId, u64)>,
    ) -> Self {
        let bells = Arc::clone(&receiving.bells);
        Self {
            path: Some(Path {
                answers,
                bells,
                end,
                me: receiving.me,
            }),
            to,
        }
    }

    /// Answers. Nobody may be waiting any more; the answer is then thrown away.
    pub fn send(mut self, answer: A) {
        self.settle(Ok(answer));
    }

    /// Whether anybody can get an answer: not so for calls from [`super::Outside`].
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
