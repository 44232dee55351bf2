//! Handing out producer ids in blocks (`ProducerIdControlManager`): an id is used once in a cluster's life, so the block is
//! durable before any id of it is.

use highwater_wire::ErrorCode;

use super::{Decision, Outcome, Refused};
use crate::metadata::image::Image;
use crate::metadata::record::Record;

/// Ids that nobody else was given: `first .. first + count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIds {
    /// The first.
    pub first: i64,
    /// How many.
    pub count: i64,
}

/// `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`.
const BLOCK: i64 = 1_000;

pub(super) fn decide(image: &Image) -> Decision {
    let first = image.next_producer_id();
    let Some(next) = first.checked_add(BLOCK) else {
        return Decision {
            records: Vec::new(),
            outcome: Outcome::ProducerIds(Err(Refused::new(
                ErrorCode::UnknownServerError,
                "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit",
            ))),
        };
    };
    Decision {
        records: vec![Record::ProducerIds {
            broker_id: image.node().id,
            broker_epoch: image.broker_epoch(),
            next,
        }],
        outcome: Outcome::ProducerIds(Ok(ProducerIds {
            first,
            count: BLOCK,
        })),
    }
}
