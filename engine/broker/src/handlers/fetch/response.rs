//! The answer to a Fetch: rows as the protocol's topics and partitions, and where the records are spliced in.
//!
//! Knows versions and error codes; not how a row was found, nor what is cheaper to copy than to splice.

use bytes::Bytes;
use highwater_wire::message::fetch::{
    EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use highwater_wire::{Array, ErrorCode, RecordBytes, encode_response};
use uuid::Uuid;

use super::copied::copied;
use super::{Row, SESSIONS_SINCE};
use crate::answer::{Answer, Frame};
use crate::dispatch::Context;
use crate::handlers::fetch_session::{NO_SESSION, Refusal, TopicKey};
use crate::metadata::image::Image;
use crate::shard::Shard;

/// The first version whose answer may say who leads (KIP-951).
const LEADERS_SINCE: i16 = 16;

/// The last version whose clients take KAFKA_STORAGE_ERROR for a fatal one.
const STORAGE_ERROR_UNKNOWN_UNTIL: i16 = 5;

/// The answer, its records beside it or to be spliced in.
pub(super) async fn answer(
    shard: &Shard,
    context: &Context,
    image: &Image,
    session_id: i32,
    isolation_level: i8,
    rows: &[Row],
) -> Answer {
    let mut topics: Vec<FetchableTopicResponse<'_>> = Vec::new();
    let mut partitions: Vec<PartitionData<'_>> = Vec::new();
    let mut leaders = false;
    for (at, row) in rows.iter().enumerate() {
        let data = partition_data(context, image, isolation_level, row);
        leaders |= data.current_leader.leader_id >= 0;
        partitions.push(data);
        if rows
            .get(at + 1)
            .is_none_or(|next| next.want.key.topic != row.want.key.topic)
        {
            let (topic, topic_id) = match &row.want.key.topic {
                TopicKey::Name(name) => (&**name, row.topic.as_ref().map_or(Uuid::nil(), |t| t.id)),
                TopicKey::Id(id) => (row.topic.as_ref().map_or("", |t| &*t.name), *id),
            };
            let partitions = Array::from(std::mem::take(&mut partitions));
            topics.push(FetchableTopicResponse {
                topic,
                topic_id,
                partitions,
            });
        }
    }
    let node = image.node();
    let told = context.endpoint(node);
    let endpoint = NodeEndpoint {
        node_id: node.id,
        host: &told.host,
        port: told.port.into(),
        rack: node.rack.as_deref(),
    };
    let response = FetchResponse {
        session_id: if context.version >= SESSIONS_SINCE {
            session_id
        } else {
            NO_SESSION
        },
        responses: topics.into(),
        node_endpoints: leaders.then_some(endpoint).into_iter().collect(),
        ..FetchResponse::default()
    };
    let encoded = match encode_response(context.correlation_id, context.version, &response) {
        Ok(encoded) => encoded,
        Err(error) => return Answer::Hangup(error.into()),
    };
    // One splice per partition with records, in the order of the partitions.
    let plans = rows
        .iter()
        .filter_map(|row| row.found.as_ref().ok())
        .filter(|p| p.bytes > 0);
    let splices = encoded
        .splices
        .iter()
        .zip(plans)
        .flat_map(|(splice, plan)| plan.ranges.iter().map(|range| (splice.at, range.clone())))
        .collect::<Vec<_>>();
    let frame = Frame {
        head: Bytes::from(encoded.bytes),
        splices,
    };
    match copied(shard.reactor(), frame).await {
        Ok(frame) => Answer::Frame(frame),
        Err(error) => Answer::Hangup(error.into()),
    }
}

fn partition_data<'a>(
    context: &Context,
    image: &Image,
    isolation_level: i8,
    row: &'a Row,
) -> PartitionData<'a> {
    let partition_index = row.want.key.partition;
    let empty = Some(RecordBytes::Bytes(&[]));
    match &row.found {
        Ok(plan) => PartitionData {
            partition_index,
            high_watermark: plan.high_watermark.get(),
            last_stable_offset: plan.last_stable.get(),
            log_start_offset: plan.log_start.get(),
            diverging_epoch: plan.diverging.map_or_else(EpochEndOffset::default, |end| {
                EpochEndOffset {
                    epoch: end.epoch.get(),
                    end_offset: end.end.get(),
                }
            }),
            aborted_transactions: (isolation_level == 1).then(Array::empty),
            records: match plan.bytes {
                0 => empty,
                len => Some(RecordBytes::Deferred { len }),
            },
            ..PartitionData::default()
        },
        Err(error) => PartitionData {
            partition_index,
            error_code: if *error == ErrorCode::KafkaStorageError
                && context.version <= STORAGE_ERROR_UNKNOWN_UNTIL
            {
                ErrorCode::NotLeaderOrFollower.id()
            } else {
                error.id()
            },
            high_watermark: -1,
            current_leader: current_leader(context, image, row, *error),
            records: empty,
            ..PartitionData::default()
        },
    }
}

/// Who leads, for a reader whose idea of it is wrong (KIP-951).
fn current_leader(
    context: &Context,
    image: &Image,
    row: &Row,
    error: ErrorCode,
) -> LeaderIdAndEpoch {
    let wrong = matches!(
        error,
        ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
    );
    let state = row.topic.as_ref().and_then(|topic| {
        topic
            .partitions
            .get(usize::try_from(row.want.key.partition).ok()?)
    });
    match state {
        Some(state) if wrong && context.version >= LEADERS_SINCE => LeaderIdAndEpoch {
            leader_id: image.node().id,
            leader_epoch: state.leader_epoch.get(),
        },
        _ => LeaderIdAndEpoch::default(),
    }
}

/// The answer to a request whose session does not hold.
pub(super) fn refused(context: &Context, refusal: Refusal) -> Answer {
    let error = match refusal {
        Refusal::NotFound => ErrorCode::FetchSessionIdNotFound,
        Refusal::Epoch => ErrorCode::InvalidFetchSessionEpoch,
        Refusal::NamesAndIds => ErrorCode::FetchSessionTopicIdError,
    };
    context.answer(&FetchResponse {
        error_code: error.id(),
        ..FetchResponse::default()
    })
}
