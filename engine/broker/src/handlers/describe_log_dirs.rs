//! DescribeLogDirs (35): the data directory, its space, and the size of each log in it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use highwater_reactor::{ShardId, Space};
use highwater_wire::message::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use highwater_wire::{Array, ErrorCode};

use crate::answer::Answer;
use crate::dispatch::Context;
use crate::errand::{self, Errand};
use crate::shard::Shard;

/// The sizes of one shard's logs, in bytes.
pub(crate) struct Sizes;

impl Errand for Sizes {
    type Answer = Vec<(Arc<str>, i32, u64)>;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let sizes = shard.partitions().map_or_else(Vec::new, |partitions| {
            partitions
                .all()
                .into_iter()
                .map(|(topic, index, partition)| {
                    (Arc::clone(&topic.name), index, partition.size_bytes())
                })
                .collect()
        });
        std::future::ready(sizes)
    }
}

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: DescribeLogDirsRequest<'_>,
) -> Answer {
    let Some(partitions) = shard.partitions() else {
        return context.answer(&DescribeLogDirsResponse::default());
    };
    let path = &partitions.storage().path;
    let log_dir = path.to_string_lossy();
    if partitions.storage().fence.is_raised() {
        let result = DescribeLogDirsResult {
            error_code: ErrorCode::KafkaStorageError.id(),
            log_dir: &log_dir,
            ..DescribeLogDirsResult::default()
        };
        return context.answer(&DescribeLogDirsResponse {
            results: Array::from([result]),
            ..DescribeLogDirsResponse::default()
        });
    }
    let wanted: Option<BTreeSet<(&str, i32)>> = request.topics.as_ref().map(|topics| {
        let mut wanted = BTreeSet::new();
        for topic in topics.iter() {
            wanted.extend(topic.partitions.iter().map(|index| (topic.topic, index)));
        }
        wanted
    });
    let asked: Vec<_> = (0..shard.reactor().shards())
        .map(|to| errand::begin(shard, ShardId::new(to), Sizes))
        .collect();
    let mut topics: BTreeMap<Arc<str>, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for sizes in asked {
        for (topic, partition_index, bytes) in sizes.await.unwrap_or_default() {
            if wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&(&*topic, partition_index)))
            {
                topics
                    .entry(topic)
                    .or_default()
                    .push(DescribeLogDirsPartition {
                        partition_index,
                        partition_size: i64::try_from(bytes).unwrap_or(i64::MAX),
                        ..DescribeLogDirsPartition::default()
                    });
            }
        }
    }
    for partitions in topics.values_mut() {
        partitions.sort_unstable_by_key(|partition| partition.partition_index);
    }
    let topics = topics
        .iter()
        .map(|(name, partitions)| DescribeLogDirsTopic {
            name,
            partitions: Array::from(&partitions[..]),
        })
        .collect();
    // -1 where the file system does not tell, as in Kafka.
    let space = shard.reactor().space(path);
    let bytes = |of: fn(&Space) -> u64| {
        let bytes = space.as_ref().map(of);
        bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
    };
    let result = DescribeLogDirsResult {
        log_dir: &log_dir,
        topics,
        total_bytes: bytes(|space| space.total_bytes),
        usable_bytes: bytes(|space| space.usable_bytes),
        ..DescribeLogDirsResult::default()
    };
    context.answer(&DescribeLogDirsResponse {
        results: Array::from([result]),
        ..DescribeLogDirsResponse::default()
    })
}
