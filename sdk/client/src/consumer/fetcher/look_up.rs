//! Finds the offsets that reading begins at (ListOffsets).

use std::collections::BTreeMap;
use std::sync::Arc;

use highwater_wire::message::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use highwater_wire::message::{ListOffsetsRequest, ListOffsetsResponse};
use highwater_wire::{Array, ErrorCode};

use super::Fetcher;
use crate::consumer::Start;
use crate::consumer::shared::{Shared, State};
use crate::core::consumer::cursor::Next;
use crate::error::Result;

/// A place to be looked up.
#[derive(Clone)]
pub(super) struct LookUp {
    slot: usize,
    generation: u32,
    topic: Arc<str>,
    partition: i32,
    leader_epoch: i32,
    start: Start,
}

impl Fetcher {
    pub(super) fn take_look_ups(&mut self, state: &mut State) -> Vec<LookUp> {
        let slots = std::mem::take(&mut self.look_ups);
        let look_up = |index: usize| {
            // Whatever comes of it, the slot is looked at again.
            state.touch(index);
            let slot = &state.slots[index];
            let Next::LookUp(start) = slot.cursor.next(std::time::Duration::MAX, usize::MAX) else {
                return None;
            };
            Some(LookUp {
                slot: index,
                generation: slot.cursor.generation(),
                topic: Arc::clone(&slot.place.topic),
                partition: slot.place.partition,
                leader_epoch: slot.leader_epoch,
                start,
            })
        };
        slots.into_iter().filter_map(look_up).collect()
    }

    pub(super) async fn look_up(&mut self, shared: &Shared, look_ups: Vec<LookUp>) -> Result<()> {
        let connection = self.connect(shared).await?;
        let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for look_up in &look_ups {
            let timestamp = match look_up.start {
                Start::Latest => -1,
                Start::Earliest => -2,
                Start::Timestamp(timestamp_ms) => timestamp_ms.max(0),
                // Nothing to look up; a cursor does not ask for it.
                Start::Offset(_) => continue,
            };
            topics
                .entry(&look_up.topic)
                .or_default()
                .push(ListOffsetsPartition {
                    partition_index: look_up.partition,
                    current_leader_epoch: look_up.leader_epoch,
                    timestamp,
                });
        }
        let topics = topics
            .into_iter()
            .map(|(name, partitions)| ListOffsetsTopic {
                name,
                partitions: Array::from(partitions),
            });
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: shared.config.isolation.wire(),
            topics: topics.collect(),
            timeout_ms: i32::try_from(shared.client.shared.config().request_timeout.as_millis())
                .unwrap_or(i32::MAX),
        };
        let reply = connection.call(&request).await?;
        let answer: ListOffsetsResponse<'_> = reply.decode()?;
        self.failures = 0;
        let mut asked: BTreeMap<(&str, i32), &LookUp> = look_ups
            .iter()
            .map(|look_up| ((&*look_up.topic, look_up.partition), look_up))
            .collect();
        let (mut ends, mut refusals) = (Vec::new(), Vec::new());
        {
            let mut state = shared.lock();
            for topic in &answer.topics {
                for found in &topic.partitions {
                    let Some(look_up) = asked.remove(&(topic.name, found.partition_index)) else {
                        continue;
                    };
                    let code = ErrorCode::from_id(found.error_code);
                    let cursor = &mut state.slots[look_up.slot].cursor;
                    if code.is_error() {
                        refusals.push((look_up.slot, look_up.generation, code));
                    } else if found.offset < 0 && !matches!(look_up.start, Start::Timestamp(_)) {
                        // A log has a beginning and an end.
                        let code = ErrorCode::OffsetNotAvailable;
                        refusals.push((look_up.slot, look_up.generation, code));
                    } else if found.offset < 0 {
                        // No record is that late: the end is where the first such one will be.
                        ends.push(LookUp {
                            start: Start::Latest,
                            ..look_up.clone()
                        });
                    } else {
                        cursor.found(look_up.generation, found.offset, found.leader_epoch);
                    }
                    state.touch(look_up.slot);
                }
            }
        }
        // What the broker passed over is asked for again, but not at once.
        let code = ErrorCode::OffsetNotAvailable;
        let left_out = asked.into_values();
        refusals.extend(left_out.map(|it| (it.slot, it.generation, code)));
        for (slot, generation, code) in refusals {
            self.refused(shared, slot, generation, code);
        }
        if !ends.is_empty() {
            return Box::pin(self.look_up(shared, ends)).await;
        }
        Ok(())
    }
}
