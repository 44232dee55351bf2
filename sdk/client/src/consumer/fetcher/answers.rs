//! What comes of a fetch: records put in line, partitions that go elsewhere, refusals.

use std::time::Duration;

use bytes::Bytes;
use highwater_wire::ErrorCode;
use highwater_wire::message::FetchResponse;
use highwater_wire::message::fetch::PartitionData;

use super::{Fetcher, VERSION_BY_NAME_MAX};
use crate::config::Isolation;
use crate::connection::Reply;
use crate::consumer::ConsumerEvent;
use crate::consumer::shared::{Fetched, Replica, Shared, Waiting, whole_batches};
use crate::core::consumer::aborted::Aborted;
use crate::core::consumer::session::Want;
use crate::core::metadata::{Broker, Cluster};
use crate::error::{Error, ErrorKind, Result};

impl Fetcher {
    pub(super) fn fetched(
        &mut self,
        shared: &Shared,
        cluster: &Cluster,
        reply: &Reply,
        has_sessions: bool,
    ) -> Result<()> {
        let answer: FetchResponse<'_> = reply.decode()?;
        self.throttled(shared, answer.throttle_time_ms);
        let code = ErrorCode::from_id(answer.error_code);
        // One that was only just asked for cannot be forgotten yet: such an answer is a refusal.
        if is_of_session(code) && self.session.is_open() {
            self.session.reset();
            return Ok(());
        }
        if code.is_error() {
            return Err(Error::broker(code, None));
        }
        self.failures = 0;
        let (mut arrived, mut forgets) = (false, false);
        for topic in &answer.responses {
            let name = if reply.version > VERSION_BY_NAME_MAX {
                cluster.name_of(&topic.topic_id).map(|name| &**name)
            } else {
                Some(topic.topic)
            };
            // The session is about a topic that is no more.
            forgets |= name.is_none();
            for data in &topic.partitions {
                let name = name.unwrap_or_default();
                let Some(slot) = shared.lock().slot_of(name, data.partition_index) else {
                    continue;
                };
                let Some(want) = self.session.asked(slot) else {
                    continue;
                };
                let code = ErrorCode::from_id(data.error_code);
                if code.is_error() {
                    forgets |= is_of_topic(code);
                    hint(shared, cluster, &answer, name, &data);
                    arrived |= self.refused(shared, slot, want.generation, code);
                } else if data.preferred_read_replica >= 0
                    && data.preferred_read_replica != self.broker
                {
                    self.lent(shared, slot, data.preferred_read_replica);
                } else {
                    arrived |= self.take(shared, slot, want, &data, &reply.frame);
                }
            }
        }
        if has_sessions && !forgets {
            self.session.answered(answer.session_id);
        } else {
            self.session.reset();
        }
        let is_held_back = !self.full.is_empty() || !self.parked.is_empty();
        self.held_back = match (is_held_back, arrived) {
            (true, false) => self.held_back.saturating_add(1),
            (false, _) | (_, true) => 0,
        };
        if arrived {
            shared.arrived.notify_one();
        }
        Ok(())
    }

    /// The broker wants to be left alone for a while, as our quota has it (KIP-219): it would not read what we ask before. No
    /// longer than a request may take, whatever it says.
    fn throttled(&mut self, shared: &Shared, throttle_time_ms: i32) {
        let Ok(ms @ 1..) = u64::try_from(throttle_time_ms) else {
            return;
        };
        let (client, broker) = (&shared.client.shared, self.broker);
        let pause = Duration::from_millis(ms).min(client.config().request_timeout);
        self.not_before = client.now() + pause;
        let throttled = || ConsumerEvent::Throttled { broker, pause };
        shared.events.tell(throttled);
    }

    /// The leader knows a replica that is nearer (KIP-392).
    fn lent(&mut self, shared: &Shared, slot: usize, broker: i32) {
        let client = &shared.client.shared;
        let until = client.now() + client.config().metadata_age_max;
        shared.lock().lend(slot, Replica { broker, until });
        // It may be the first partition to be had from there.
        shared.assigned.notify_one();
    }

    /// The broker refused one partition. Returns whether the application has to be told.
    pub(super) fn refused(
        &mut self,
        shared: &Shared,
        slot: usize,
        generation: u32,
        code: ErrorCode,
    ) -> bool {
        let client = &shared.client.shared;
        let (now, random, backoff) = (client.now(), client.random(), client.retry_backoff());
        let mut state = shared.lock();
        state.touch(slot);
        let is_lent = state.slots[slot].replica_id() == Some(self.broker);
        let cursor = &mut state.slots[slot].cursor;
        if generation != cursor.generation() {
            return false;
        }
        cursor.failed(now, &backoff, random);
        if is_lent {
            // What a replica does not have, the leader may.
            state.back_to_leader(slot);
            return false;
        }
        let tell = if code == ErrorCode::OffsetOutOfRange {
            cursor.out_of_range(generation, shared.config.offset_reset)
        } else {
            !code.is_retriable() || code == ErrorCode::CorruptMessage
        };
        if !tell {
            let place = state.slots[slot].place.clone();
            drop(state);
            if code == ErrorCode::OffsetOutOfRange {
                shared.events.tell(|| ConsumerEvent::Reset { place });
            }
            client.invalidate_metadata();
            return false;
        }
        let place = state.slots[slot].place.clone();
        let error = if code == ErrorCode::OffsetOutOfRange {
            Error::new(
                ErrorKind::Offset,
                "position is not in the log and auto.offset.reset is none",
            )
        } else {
            Error::broker(code, None)
        };
        let mut error = error.at(&place.topic, place.partition);
        if let Some(position) = state.slots[slot].cursor.position() {
            error = error.at_offset(position);
        }
        if state.slots[slot].waiting.is_empty() {
            state.push(slot, Waiting::Failed(error));
            shared.arrived.notify_one();
        }
        true
    }

    /// Puts the batches of one partition in line. Returns whether there are any.
    fn take(
        &self,
        shared: &Shared,
        slot: usize,
        asked: Want,
        data: &PartitionData<'_>,
        frame: &Bytes,
    ) -> bool {
        let records = data
            .records
            .as_ref()
            .and_then(|records| records.borrowed())
            .unwrap_or_default();
        let (bytes, next) = whole_batches(records);
        let mut state = shared.lock();
        let cursor = &mut state.slots[slot].cursor;
        if asked.generation == cursor.generation() {
            cursor.high_watermark = Some(data.high_watermark);
        }
        let Some(next) = next else {
            return false;
        };
        if !cursor.fetched(asked.generation, asked.offset, bytes, next) {
            return false;
        }
        let aborted = match shared.config.isolation {
            Isolation::ReadUncommitted => Aborted::default(),
            Isolation::ReadCommitted => {
                let listed = data
                    .aborted_transactions
                    .iter()
                    .flat_map(|listed| listed.iter());
                Aborted::new(listed.map(|aborted| (aborted.producer_id, aborted.first_offset)))
            }
        };
        let bytes = frame.slice_ref(&records[..bytes]);
        let fetched = Fetched {
            bytes,
            high_watermark: data.high_watermark,
            aborted,
        };
        state.push(slot, Waiting::Fetched(fetched));
        state.touch(slot);
        true
    }
}

/// Whether the session is no more.
fn is_of_session(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::FetchSessionIdNotFound
            | ErrorCode::InvalidFetchSessionEpoch
            | ErrorCode::FetchSessionTopicIdError
    )
}

/// Whether the topic may have been made anew since it was asked about.
fn is_of_topic(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::UnknownTopicOrPartition
    )
}

/// The broker may say who leads the partition it does not lead (KIP-951).
fn hint(
    shared: &Shared,
    cluster: &Cluster,
    answer: &FetchResponse<'_>,
    topic: &str,
    data: &PartitionData<'_>,
) {
    let leader = &data.current_leader;
    if leader.leader_id < 0 || leader.leader_epoch < 0 {
        return;
    }
    let mut nodes = answer.node_endpoints.iter();
    let place = nodes.find(|node| node.node_id == leader.leader_id);
    let place = place.and_then(|node| {
        Some(Broker {
            host: node.host.to_owned(),
            port: u16::try_from(node.port).ok()?,
        })
    });
    let place = place.or_else(|| cluster.brokers.get(&leader.leader_id).cloned());
    shared.client.shared.leader_hint(
        topic,
        data.partition_index,
        leader.leader_id,
        leader.leader_epoch,
        place,
    );
}
