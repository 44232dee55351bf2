//! What lies where on the brokers' disks.

use std::collections::{BTreeMap, BTreeSet};

use highwater_wire::message::describe_log_dirs::DescribableLogDirTopic;
use highwater_wire::message::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use highwater_wire::{Array, ErrorCode};

use super::{Admin, Results, refused};
use crate::connection::Connection;
use crate::error::{Error, Result, TopicPartition};

/// One log directory of a broker.
#[derive(Clone, Debug)]
pub struct LogDir {
    /// Its absolute path on the broker.
    pub path: String,
    /// Why nothing can be read from it: [`KafkaStorageError`](ErrorCode::KafkaStorageError) when it
    /// failed.
    pub error: Option<Error>,
    /// The size of its volume in bytes (KIP-827); `None` when the broker does not say.
    pub total_bytes: Option<u64>,
    /// Bytes of the volume that can still be used.
    pub usable_bytes: Option<u64>,
    /// Whether no new partitions are placed in it (KIP-1066).
    pub is_cordoned: bool,
    /// What lies in it.
    pub logs: BTreeMap<TopicPartition, ReplicaLog>,
}

/// One partition's log in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaLog {
    /// Its size in bytes.
    pub bytes: u64,
    /// How many offsets it is behind: a current log the high watermark, a future one the current.
    pub offset_lag: i64,
    /// Whether it is on its way to replace the current one, in another directory.
    pub is_future: bool,
}

impl Admin {
    /// The log directories of these brokers (of an empty list: all) and what lies in them: these
    /// partitions, or with `None` all.
    ///
    /// Cancel-safe: it only asks.
    ///
    /// # Errors
    ///
    /// When no broker tells which there are; one that does not answer or refuses has that as its
    /// result.
    pub async fn describe_log_dirs(
        &self,
        brokers: impl IntoIterator<Item = i32>,
        places: Option<&BTreeSet<TopicPartition>>,
    ) -> Result<Results<i32, Vec<LogDir>>> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for place in places.into_iter().flatten() {
            let partitions = topics.entry(&place.topic).or_default();
            partitions.push(place.partition);
        }
        let topic = |(topic, partitions)| DescribableLogDirTopic {
            topic,
            partitions: Array::from(partitions),
        };
        let topics: Array<'_, _> = topics.into_iter().map(topic).collect();
        let request = &DescribeLogDirsRequest {
            topics: places.map(|_| topics),
        };
        let errand = self.errand();
        let asked = errand.of_brokers(brokers, |connection: Connection| async move {
            let reply = connection.call(request).await?;
            let answer: DescribeLogDirsResponse<'_> = reply.decode()?;
            refused(answer.error_code, None)?;
            Ok(read(&answer))
        });
        asked.await
    }
}

fn read(answer: &DescribeLogDirsResponse<'_>) -> Vec<LogDir> {
    let dirs = answer.results.iter().map(|dir| {
        let mut logs = BTreeMap::new();
        for topic in &dir.topics {
            for it in &topic.partitions {
                let log = ReplicaLog {
                    bytes: u64::try_from(it.partition_size).unwrap_or(0),
                    offset_lag: it.offset_lag,
                    is_future: it.is_future_key,
                };
                logs.insert(TopicPartition::new(topic.name, it.partition_index), log);
            }
        }
        let code = ErrorCode::from_id(dir.error_code);
        LogDir {
            path: dir.log_dir.to_owned(),
            error: code.is_error().then(|| Error::broker(code, None)),
            total_bytes: u64::try_from(dir.total_bytes).ok(),
            usable_bytes: u64::try_from(dir.usable_bytes).ok(),
            is_cordoned: dir.is_cordoned,
            logs,
        }
    });
    dirs.collect()
}
