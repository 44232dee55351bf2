//! ListOffsets (2): offsets by name and by time.
//!
//! Knows which names came with which version; what they mean for a log is the partition's.

use std::collections::BTreeSet;
use std::future::Future;
use std::rc::Rc;

use highwater_partition::{Found, Isolation, OffsetSpec};
use highwater_record::LeaderEpoch;
use highwater_wire::ErrorCode;
use highwater_wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use uuid::Uuid;

use crate::answer::{self, Answer};
use crate::dispatch::Context;
use crate::errand::{self, Errand};
use crate::route::{self, PerShard};
use crate::shard::Shard;

/// The first version that tells leader epochs (KIP-320).
const EPOCHS_SINCE: i16 = 4;

/// One partition to look up.
pub(crate) struct Query {
    row: usize,
    topic_id: Uuid,
    partition: i32,
    spec: OffsetSpec,
    isolation: Isolation,
    current_leader_epoch: Option<LeaderEpoch>,
}

/// Look-ups on one shard.
pub(crate) struct LookUp(Vec<Query>);

impl Errand for LookUp {
    type Answer = Vec<(usize, Result<Option<Found>, ErrorCode>)>;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let shard = Rc::clone(shard);
        async move {
            let mut found = Vec::with_capacity(self.0.len());
            for query in self.0 {
                found.push((query.row, look_up(&shard, &query)));
                // A look-up by time reads the log: the others on the shard go on in between.
                if matches!(query.spec, OffsetSpec::At(_) | OffsetSpec::MaxTimestamp) {
                    shard.reactor().yield_now().await;
                }
            }
            found
        }
    }
}

fn look_up(shard: &Shard, query: &Query) -> Result<Option<Found>, ErrorCode> {
    let partition = shard.partition_or_error(&query.topic_id, query.partition)?;
    partition
        .list_offset(query.spec, query.isolation, query.current_leader_epoch)
        .map_err(|refusal| answer::fetch_refusal(&refusal))
}

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: ListOffsetsRequest<'_>,
) -> Answer {
    let image = shard.image();
    let isolation = match request.isolation_level {
        1 => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    };
    let mut rows: Vec<Result<Option<Found>, ErrorCode>> = Vec::new();
    let mut queries = PerShard::new();
    let mut seen = BTreeSet::new();
    for topic in request.topics.iter() {
        for partition in topic.partitions.iter() {
            let row = rows.len();
            let twice = !seen.insert((topic.name, partition.partition_index));
            let found = match image.topic(topic.name) {
                _ if twice => Err(ErrorCode::InvalidRequest),
                Some(known) if route::has_partition(known, partition.partition_index) => {
                    match spec(context.version, partition.timestamp) {
                        Some(spec) => {
                            let query = query(row, known.id, &partition, spec, isolation);
                            queries.push(route::owner(shard, &known.id, query.partition), query);
                            Err(ErrorCode::NotLeaderOrFollower)
                        }
                        None => Err(ErrorCode::UnsupportedVersion),
                    }
                }
                _ => Err(ErrorCode::UnknownTopicOrPartition),
            };
            rows.push(found);
        }
    }
    errand::fill(shard, queries, LookUp, &mut rows).await;
    let mut found = rows.into_iter();
    let topics = request
        .topics
        .iter()
        .map(|topic| ListOffsetsTopicResponse {
            name: topic.name,
            partitions: topic
                .partitions
                .iter()
                .zip(&mut found)
                .map(|(partition, found)| {
                    response(context.version, partition.partition_index, found)
                })
                .collect(),
        })
        .collect();
    context.answer(&ListOffsetsResponse {
        topics,
        ..ListOffsetsResponse::default()
    })
}

fn query(
    row: usize,
    topic_id: Uuid,
    partition: &ListOffsetsPartition,
    spec: OffsetSpec,
    isolation: Isolation,
) -> Query {
    let epoch = partition.current_leader_epoch;
    Query {
        row,
        topic_id,
        partition: partition.partition_index,
        spec,
        isolation,
        current_leader_epoch: (epoch >= 0).then(|| LeaderEpoch::new(epoch)),
    }
}

/// What a timestamp asks for; `None` where the version does not have it yet (`ReplicaManager.scala`).
fn spec(version: i16, timestamp: i64) -> Option<OffsetSpec> {
    let (since, spec) = match timestamp {
        0.. => (1, OffsetSpec::At(timestamp)),
        -1 => (1, OffsetSpec::Latest),
        -2 => (1, OffsetSpec::Earliest),
        -3 => (7, OffsetSpec::MaxTimestamp),
        -4 => (8, OffsetSpec::EarliestLocal),
        -5 => (9, OffsetSpec::LatestTiered),
        -6 => (11, OffsetSpec::EarliestPendingUpload),
        ..-6 => return None,
    };
    (version >= since).then_some(spec)
}

fn response(
    version: i16,
    partition_index: i32,
    found: Result<Option<Found>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let none = ListOffsetsPartitionResponse {
        partition_index,
        ..Default::default()
    };
    match found {
        Ok(Some(found)) => ListOffsetsPartitionResponse {
            timestamp: found.timestamp_ms,
            offset: found.offset.get(),
            leader_epoch: match found.leader_epoch {
                Some(epoch) if version >= EPOCHS_SINCE => epoch.get(),
                _ => -1,
            },
            ..none
        },
        Ok(None) => none,
        Err(error) => ListOffsetsPartitionResponse {
            error_code: error.id(),
            ..none
        },
    }
}
