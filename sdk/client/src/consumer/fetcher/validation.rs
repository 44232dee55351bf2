//! Holds positions against the log of a new leader (OffsetForLeaderEpoch, KIP-320): after an unclean election it may have
//! parted from the one that was read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use highwater_wire::message::offset_for_leader_epoch::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use highwater_wire::message::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use highwater_wire::{Array, ErrorCode};

use super::Fetcher;
use crate::config::OffsetReset;
use crate::consumer::shared::{Shared, State, Waiting};
use crate::consumer::{ConsumerEvent, Start};
use crate::core::consumer::cursor::{Next, Validated};
use crate::error::{Error, ErrorKind, Result};

/// The first version that consumers may ask with who may read but not manage the cluster.
const VERSION_CONSUMERS: i16 = 3;
/// What a consumer says in place of a broker's id.
const CONSUMER: i32 = -1;

/// A position to be held against the leader's log.
pub(super) struct Validation {
    slot: usize,
    generation: u32,
    topic: Arc<str>,
    partition: i32,
    leader_epoch: i32,
    /// Of what lies before the fetch offset.
    epoch: i32,
}

impl Fetcher {
    pub(super) fn take_validations(&mut self, state: &mut State) -> Vec<Validation> {
        let slots = std::mem::take(&mut self.validations);
        let validation = |index: usize| {
            // Whatever comes of it, the slot is looked at again.
            state.touch(index);
            let slot = &state.slots[index];
            let Next::Validate(epoch) = slot.cursor.next(Duration::MAX, usize::MAX) else {
                return None;
            };
            Some(Validation {
                slot: index,
                generation: slot.cursor.generation(),
                topic: Arc::clone(&slot.place.topic),
                partition: slot.place.partition,
                leader_epoch: slot.leader_epoch,
                epoch,
            })
        };
        slots.into_iter().filter_map(validation).collect()
    }

    pub(super) async fn validate(
        &mut self,
        shared: &Shared,
        validations: Vec<Validation>,
    ) -> Result<()> {
        let connection = self.connect(shared).await?;
        let version = connection.version::<OffsetForLeaderEpochRequest<'_>>(i16::MAX);
        let version = match version {
            Ok(version) if version >= VERSION_CONSUMERS => version,
            Ok(_) | Err(_) => {
                let mut state = shared.lock();
                for validation in &validations {
                    let cursor = &mut state.slots[validation.slot].cursor;
                    cursor.unverified(validation.generation);
                }
                return Ok(());
            }
        };
        let mut topics: BTreeMap<&str, Vec<OffsetForLeaderPartition>> = BTreeMap::new();
        for validation in &validations {
            let partitions = topics.entry(&validation.topic).or_default();
            partitions.push(OffsetForLeaderPartition {
                partition: validation.partition,
                current_leader_epoch: validation.leader_epoch,
                leader_epoch: validation.epoch,
            });
        }
        let topic = |(topic, partitions)| OffsetForLeaderTopic {
            topic,
            partitions: Array::from(partitions),
        };
        let request = OffsetForLeaderEpochRequest {
            replica_id: CONSUMER,
            topics: topics.into_iter().map(topic).collect::<Array<'_, _>>(),
        };
        let reply = connection
            .send(&request, version, [], true)?
            .answer()
            .await?;
        let answer: OffsetForLeaderEpochResponse<'_> = reply.decode()?;
        self.failures = 0;
        let mut asked: BTreeMap<(&str, i32), &Validation> = validations
            .iter()
            .map(|validation| ((&*validation.topic, validation.partition), validation))
            .collect();
        for topic in &answer.topics {
            for found in &topic.partitions {
                let Some(validation) = asked.remove(&(topic.topic, found.partition)) else {
                    continue;
                };
                let code = ErrorCode::from_id(found.error_code);
                if code.is_error() {
                    self.refused(shared, validation.slot, validation.generation, code);
                } else {
                    let is_known = found.end_offset >= 0 && found.leader_epoch >= 0;
                    let end = is_known.then_some((found.end_offset, found.leader_epoch));
                    validated(shared, validation, end);
                }
            }
        }
        // What the broker passed over is asked for again, but not at once.
        for left_out in asked.into_values() {
            let code = ErrorCode::OffsetNotAvailable;
            self.refused(shared, left_out.slot, left_out.generation, code);
        }
        Ok(())
    }
}

fn validated(shared: &Shared, asked: &Validation, end: Option<(i64, i32)>) {
    let mut state = shared.lock();
    let slot = &mut state.slots[asked.slot];
    let Validated::Truncated(parts) = slot.cursor.validated(asked.generation, end) else {
        return;
    };
    let position = slot.cursor.position();
    let place = slot.place.clone();
    if let Some((end, _)) = parts
        && position.is_some_and(|position| position <= end)
    {
        // Only what was fetched ahead is not there any more.
        state.clear(asked.slot);
        state.slots[asked.slot].cursor.fetch_again();
        return;
    }
    let reset = shared.config.offset_reset;
    tracing::warn!(%place, ?position, ?parts, "the log was truncated before the position");
    shared.events.tell(|| ConsumerEvent::Truncated {
        place: place.clone(),
        offset: parts.map(|(end, _)| end),
    });
    let to = match (reset, parts) {
        (OffsetReset::Earliest | OffsetReset::Latest, Some((end, _))) => Start::Offset(end),
        (OffsetReset::Earliest, None) => Start::Earliest,
        (OffsetReset::Latest, None) => Start::Latest,
        (OffsetReset::Fail, _) => {
            let why = match parts {
                Some((end, epoch)) => format!(
                    "log was truncated at offset {end} of leader epoch {epoch}, before the position, and auto.offset.reset is none"
                ),
                None => "log was truncated before the position, nobody knows where, and auto.offset.reset is none".to_owned(),
            };
            let error = Error::new(ErrorKind::Offset, why).at(&place.topic, place.partition);
            let error = match parts {
                Some((end, _)) => error.at_offset(end),
                None => error,
            };
            state.clear(asked.slot);
            state.slots[asked.slot].cursor.stop();
            state.push(asked.slot, Waiting::Failed(error));
            shared.arrived.notify_one();
            return;
        }
    };
    state.seek(asked.slot, to);
    if let Some((_, epoch)) = parts {
        state.slots[asked.slot].cursor.set_epoch(epoch);
    }
}
