//! InitProducerId (22): ids for idempotent producers.
//!
//! Each shard hands ids out of a block of its own, which the controller made durable first: no id is ever given twice, a
//! crash only loses what was left of the blocks. Transactional ids are refused with UNSUPPORTED_VERSION: there are no
//! transactions yet, and it is the one code that every client takes for final (Java: a fatal error in
//! `initTransactions`; librdkafka: fatal; the coordinator codes would be retried for ever).

use std::cell::Cell;
use std::rc::Rc;

use highwater_reactor::local::Semaphore;
use highwater_wire::ErrorCode;
use highwater_wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::metadata;
use crate::metadata::change::{Change, Outcome};
use crate::shard::Shard;

/// What is left of a shard's block of producer ids.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    next: Cell<i64>,
    end: Cell<i64>,
    /// One asks for the next block, the others wait for it.
    asking: Semaphore,
}

impl ProducerIds {
    /// No block yet.
    pub(crate) fn new() -> ProducerIds {
        ProducerIds {
            next: Cell::new(0),
            end: Cell::new(0),
            asking: Semaphore::new(1),
        }
    }

    fn take(&self) -> Option<i64> {
        let id = self.next.get();
        (id < self.end.get()).then(|| {
            self.next.set(id + 1);
            id
        })
    }

    /// An id that nobody was given before, or why there is none now.
    async fn next(&self, shard: &Rc<Shard>) -> Result<i64, ErrorCode> {
        if let Some(id) = self.take() {
            return Ok(id);
        }
        let _turn = self.asking.acquire(1).await;
        if let Some(id) = self.take() {
            return Ok(id);
        }
        // Retriable, and it passes: the controller is starting or stopping, or the disk is full.
        let unavailable = Err(ErrorCode::CoordinatorLoadInProgress);
        match metadata::request(shard, Change::AllocateProducerIds, false).await {
            Outcome::ProducerIds(Ok(block)) => {
                self.next.set(block.first);
                self.end.set(block.first + block.count);
                self.take().map_or(unavailable, Ok)
            }
            Outcome::ProducerIds(Err(_)) | Outcome::Topics(_) | Outcome::Configs(_) => unavailable,
        }
    }
}

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: InitProducerIdRequest<'_>,
) -> Answer {
    let half_an_id = (request.producer_id == -1) != (request.producer_epoch == -1);
    let id = match request.transactional_id {
        _ if half_an_id => Err(ErrorCode::InvalidRequest),
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::UnsupportedVersion),
        // Without a transactional id the old id and epoch are of no interest (`TransactionCoordinator.scala`).
        None => shard.producer_ids().next(shard).await,
    };
    context.answer(&match id {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: 0,
            ..Default::default()
        },
        Err(error) => InitProducerIdResponse {
            error_code: error.id(),
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        },
    })
}
