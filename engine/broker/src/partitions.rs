//! The partitions one shard owns: opened, made, reconfigured and removed as the metadata say, looked after as time says.
//!
//! Knows directories and images; what a partition does with records is the partition's.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use highwater_log::{DataDir, Fence, OffsetCheckpoint, Opening, checkpoint};
use highwater_partition::{Config, Durability, Host, Partition};
use highwater_reactor::Reactor;
use highwater_reactor::local::{Semaphore, join_all};
use highwater_record::{Codec, Compression, LeaderEpoch, Offset, TimestampType};
use highwater_wire::ErrorCode;
use uuid::Uuid;

use crate::config::{self, CompressionType, TopicConfig};
use crate::metadata::image::{self, Image, Topic};

/// What every shard must know of the data directory; read once, before the first partition is opened.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The directory.
    pub path: PathBuf,
    /// Raised when a write or sync in it has failed.
    pub fence: Fence,
    /// Whether the last run closed everything.
    pub clean: bool,
    /// Up to where each log is known to hold.
    pub recovery_points: Arc<OffsetCheckpoint>,
    /// Where logs start whose first records were deleted on demand.
    pub log_starts: Arc<OffsetCheckpoint>,
    /// Up to where compacted logs have been cleaned.
    pub cleaned: Arc<OffsetCheckpoint>,
}

impl Storage {
    /// What `data_dir` says.
    ///
    /// # Errors
    /// When a checkpoint is there and cannot be read.
    pub fn of(data_dir: &DataDir) -> Result<Storage, highwater_log::data_dir::OpenError> {
        let read = |name| data_dir.read_checkpoint(name).map(Arc::new);
        Ok(Storage {
            path: data_dir.path().to_owned(),
            fence: data_dir.fence(),
            clean: data_dir.was_clean(),
            recovery_points: read(checkpoint::file::RECOVERY_POINT)?,
            log_starts: read(checkpoint::file::LOG_START)?,
            cleaned: read(checkpoint::file::CLEANER)?,
        })
    }
}

/// What the checkpoints say of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index.
    pub partition: i32,
    /// Everything below it is on stable media.
    pub recovery_point: Offset,
    /// Everything below it may be read.
    pub high_watermark: Offset,
    /// The first offset there is.
    pub log_start: Offset,
    /// Everything below has been compacted; `None` where the topic is not.
    pub cleaned: Option<Offset>,
}

/// Partitions of one shard that are opened or made at once: most of it is waiting for the device, which takes several
/// directories for the price of one.
const OPENED_AT_ONCE: usize = 32;

/// Every partition of a topic, in a map by id and index.
fn all_of(topic_id: &Uuid) -> RangeInclusive<(Uuid, i32)> {
    (*topic_id, i32::MIN)..=(*topic_id, i32::MAX)
}

struct Owned {
    topic: Arc<Topic>,
    partition: Partition,
}

/// See the module.
pub(crate) struct Partitions {
    reactor: Reactor,
    storage: Storage,
    host: Host,
    owned: RefCell<BTreeMap<(Uuid, i32), Owned>>,
    /// What was applied last.
    applied: RefCell<Option<Arc<Image>>>,
    /// Owned by the metadata, but not opened or made: the disk refused.
    missing: RefCell<BTreeSet<(Uuid, i32)>>,
    /// What opening found since it was last told.
    opened: Cell<Opened>,
    /// One change at a time.
    changing: Semaphore,
}

/// What the opening of some partitions found, in sum.
#[derive(Clone, Copy, Debug, Default)]
struct Opened {
    partitions: u64,
    partitions_cut: u64,
    bytes_scanned: u64,
    bytes_cut: u64,
}

impl Partitions {
    /// No partitions yet.
    pub(crate) fn new(reactor: &Reactor, storage: Storage) -> Partitions {
        Partitions {
            host: Host::new(reactor.clone(), storage.fence.clone()),
            reactor: reactor.clone(),
            storage,
            owned: RefCell::default(),
            applied: RefCell::default(),
            missing: RefCell::default(),
            opened: Cell::default(),
            changing: Semaphore::new(1),
        }
    }

    /// A partition, if it is here and open.
    pub(crate) fn get(&self, topic_id: &Uuid, index: i32) -> Option<Partition> {
        self.owned
            .borrow()
            .get(&(*topic_id, index))
            .map(|owned| owned.partition.clone())
    }

    /// What to tell who asks for a partition that is not open here.
    pub(crate) fn absence(&self, topic_id: &Uuid, index: i32) -> ErrorCode {
        if self.missing.borrow().contains(&(*topic_id, index)) {
            ErrorCode::KafkaStorageError
        } else {
            ErrorCode::NotLeaderOrFollower
        }
    }

    /// What the partitions of this shard share.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Where they lie.
    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Every open partition with its topic, by id and index.
    pub(crate) fn all(&self) -> Vec<(Arc<Topic>, i32, Partition)> {
        let owned = self.owned.borrow();
        owned
            .iter()
            .map(|((_, index), owned)| (Arc::clone(&owned.topic), *index, owned.partition.clone()))
            .collect()
    }

    /// Opens and makes what `image` gives this shard and is not here, and hands changed settings on. `show` is called when
    /// that is done; after it, what the image no longer has is removed.
    pub(crate) async fn apply(&self, image: &Arc<Image>, show: impl FnOnce()) {
        let _turn = self.changing.acquire(1).await;
        let before = self.applied.replace(Some(Arc::clone(image)));
        let wanted = self.wanted(image, before.as_deref());
        for some in wanted.chunks(OPENED_AT_ONCE) {
            join_all(
                some.iter()
                    .map(|(topic, index)| self.take(image, topic, *index)),
            )
            .await;
        }
        self.tell_opened();
        show();
        let gone = before.iter().flat_map(|before| before.topics());
        for topic in gone.filter(|topic| image.topic_by_id(&topic.id).is_none()) {
            self.remove(topic);
        }
    }

    /// Hands changed settings on, and lists what of `image` is this shard's and not open. What did not change since `before`
    /// is not looked at.
    fn wanted(&self, image: &Image, before: Option<&Image>) -> Vec<(Arc<Topic>, i32)> {
        let mut wanted = Vec::new();
        for topic in image.topics() {
            let known = before.and_then(|before| before.topic_by_id(&topic.id));
            if known.is_some_and(|known| Arc::ptr_eq(known, topic)) && !self.lacks(topic) {
                continue;
            }
            for index in 0..i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX) {
                if image::owner(&topic.id, index, self.reactor.shards()) != self.reactor.shard() {
                    continue;
                }
                match self.owned.borrow_mut().get_mut(&(topic.id, index)) {
                    Some(owned) => {
                        owned.topic = Arc::clone(topic);
                        owned
                            .partition
                            .reconfigure(config_of(&topic.config, image.broker()));
                    }
                    None => wanted.push((Arc::clone(topic), index)),
                }
            }
        }
        wanted
    }

    fn lacks(&self, topic: &Topic) -> bool {
        let missing = self.missing.borrow();
        missing.range(all_of(&topic.id)).next().is_some()
    }

    fn remove(&self, topic: &Topic) {
        let keys: Vec<_> = {
            let owned = self.owned.borrow();
            owned
                .range(all_of(&topic.id))
                .map(|(key, _)| *key)
                .collect()
        };
        self.missing.borrow_mut().retain(|(id, _)| *id != topic.id);
        for key in keys {
            let Some(owned) = self.owned.borrow_mut().remove(&key) else {
                continue;
            };
            match owned.partition.delete() {
                Ok(Some(path)) => self.remove_later(path, topic.config.file_delete_delay_ms),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(topic = %topic.name, partition = key.1, %error, "deleting failed");
                }
            }
        }
    }

    /// One line for many partitions: which of them were cut, their logs have said.
    fn tell_opened(&self) {
        let opened = self.opened.take();
        if opened.partitions > 0 {
            tracing::info!(
                shard = self.reactor.shard().get(),
                clean = self.storage.clean,
                partitions = opened.partitions,
                partitions_cut = opened.partitions_cut,
                bytes_scanned = opened.bytes_scanned,
                bytes_cut = opened.bytes_cut,
                "partitions opened"
            );
        }
    }

    /// Removes the files of a deleted partition when nobody can be reading them any more. A start removes what is left.
    fn remove_later(&self, path: PathBuf, delay_ms: i64) {
        let reactor = self.reactor.clone();
        let delay = Duration::from_millis(delay_ms.max(0).cast_unsigned());
        let remove = async move {
            reactor.sleep(delay).await;
            if let Err(error) = reactor.remove_large_dir(&path).await {
                tracing::warn!(path = %path.display(), %error, "a deleted partition's files remain");
            }
        };
        self.reactor.spawn(remove).detach();
    }

    /// Whether the disk refused something that a second try may bring.
    pub(crate) fn lacks_some(&self) -> bool {
        !self.missing.borrow().is_empty() && !self.storage.fence.is_raised()
    }

    async fn take(&self, image: &Arc<Image>, topic: &Arc<Topic>, index: i32) {
        let key = (topic.id, index);
        match self.open(image, topic, index).await {
            Ok(partition) => {
                self.missing.borrow_mut().remove(&key);
                let owned = Owned {
                    topic: Arc::clone(topic),
                    partition,
                };
                self.owned.borrow_mut().insert(key, owned);
            }
            Err(error) => {
                // It is tried again every second; once is enough to say so.
                if self.missing.borrow_mut().insert(key) {
                    let topic = &topic.name;
                    tracing::error!(%topic, partition = index, %error, "the partition is offline");
                }
            }
        }
    }

    async fn open(
        &self,
        image: &Image,
        topic: &Topic,
        index: i32,
    ) -> Result<Partition, highwater_partition::Error> {
        let dir = self
            .storage
            .path
            .join(highwater_log::names::directory(&topic.name, index));
        let epoch = usize::try_from(index)
            .ok()
            .and_then(|index| topic.partitions.get(index))
            .map_or(LeaderEpoch::new(0), |state| state.leader_epoch);
        let config = config_of(&topic.config, image.broker());
        if !self.reactor.exists(&dir).unwrap_or(false) {
            return Partition::create(&self.host, dir, topic.id, epoch, config).await;
        }
        let start = |checkpoint: &OffsetCheckpoint| {
            checkpoint.get(&topic.name, index).unwrap_or(Offset::ZERO)
        };
        let opening = Opening {
            recovery_point: start(&self.storage.recovery_points),
            log_start: start(&self.storage.log_starts),
            clean: self.storage.clean,
            topic_id: Some(topic.id),
        };
        let (partition, recovered) =
            Partition::open(&self.host, dir, epoch, config, opening).await?;
        partition.set_cleaned_offset(start(&self.storage.cleaned));
        tracing::debug!(topic = %topic.name, partition = index, ?recovered, "opened");
        let mut opened = self.opened.get();
        opened.partitions += 1;
        opened.bytes_scanned += recovered.log.bytes_scanned;
        opened.bytes_cut += recovered.log.bytes_cut;
        opened.partitions_cut += u64::from(recovered.log.cut.is_some());
        self.opened.set(opened);
        Ok(partition)
    }

    /// What is due by time on every partition.
    pub(crate) async fn tick(&self) {
        for (_, _, partition) in self.all() {
            partition.tick();
            self.reactor.yield_now().await;
        }
    }

    /// What the checkpoints say now.
    pub(crate) fn checkpoint(&self) -> Vec<CheckpointRow> {
        self.all()
            .into_iter()
            .map(|(topic, index, partition)| CheckpointRow {
                topic: Arc::clone(&topic.name),
                partition: index,
                recovery_point: partition.offer_recovery_point(),
                high_watermark: partition.high_watermark(),
                log_start: partition.log_start(),
                cleaned: partition.cleaned_offset(),
            })
            .collect()
    }

    /// What [`Partitions::checkpoint`] gave last is on stable media.
    pub(crate) fn checkpoints_written(&self) {
        for (_, _, partition) in self.all() {
            partition.checkpoint_written();
        }
    }

    /// Closes every partition; `None` when one could not be, and the next start must look at them.
    pub(crate) async fn close(&self) -> Option<Vec<CheckpointRow>> {
        let _turn = self.changing.acquire(1).await;
        let mut clean = true;
        for (topic, index, partition) in self.all() {
            if let Err(error) = partition.close().await {
                tracing::error!(topic = %topic.name, partition = index, %error, "closing failed");
                clean = false;
            }
        }
        clean.then(|| self.checkpoint())
    }
}

/// A topic's settings as its partitions take them.
fn config_of(topic: &TopicConfig, broker: &config::BrokerConfig) -> Config {
    let codec = match topic.compression_type {
        CompressionType::Producer => None,
        CompressionType::Uncompressed => Some(Codec::None),
        CompressionType::Gzip => Some(Codec::Gzip),
        CompressionType::Snappy => Some(Codec::Snappy),
        CompressionType::Lz4 => Some(Codec::Lz4),
        CompressionType::Zstd => Some(Codec::Zstd),
    };
    Config {
        log: highwater_log::Config {
            segment_bytes: topic.segment_bytes,
            segment_ms: topic.segment_ms,
            segment_jitter_ms: topic.segment_jitter_ms,
            segment_index_bytes: topic.segment_index_bytes,
            index_interval_bytes: topic.index_interval_bytes,
            retention_ms: topic.retention_ms,
            retention_bytes: topic.retention_bytes,
            file_delete_delay_ms: topic.file_delete_delay_ms,
            preallocate: topic.preallocate,
            delete: topic.cleanup_policy.delete,
            compact: topic.cleanup_policy.compact,
            min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
            min_compaction_lag_ms: topic.min_compaction_lag_ms,
            max_compaction_lag_ms: topic.max_compaction_lag_ms,
            delete_retention_ms: topic.delete_retention_ms,
        },
        durability: match topic.durability {
            config::Durability::Flushed => Durability::Flushed,
            config::Durability::Written => Durability::Written,
        },
        max_message_bytes: topic.max_message_bytes,
        timestamp_type: match topic.timestamp_type {
            config::TimestampType::CreateTime => TimestampType::Create,
            config::TimestampType::LogAppendTime => TimestampType::LogAppend,
        },
        timestamp_before_max_ms: topic.timestamp_before_max_ms,
        timestamp_after_max_ms: topic.timestamp_after_max_ms,
        // The catalog's bounds are the codecs' own.
        compression: codec.map(|codec| {
            Compression::new(codec, topic.compression_level).unwrap_or(Compression::of(codec))
        }),
        flush_messages: topic.flush_messages,
        flush_ms: topic.flush_ms,
        producer_id_expiration_ms: broker.producer_id_expiration_ms.max(0).cast_unsigned(),
        ..Config::default()
    }
}

/// The rows of all shards as the four files they belong in.
pub(crate) fn checkpoints(rows: &[CheckpointRow]) -> [(&'static str, OffsetCheckpoint); 4] {
    let pick = |offset: fn(&CheckpointRow) -> Offset| {
        let mut checkpoint = OffsetCheckpoint::default();
        for row in rows {
            checkpoint.set(&row.topic, row.partition, offset(row));
        }
        checkpoint
    };
    let starts = rows.iter().filter(|row| row.log_start > Offset::ZERO);
    let mut log_starts = OffsetCheckpoint::default();
    for row in starts {
        log_starts.set(&row.topic, row.partition, row.log_start);
    }
    let mut cleaned = OffsetCheckpoint::default();
    for row in rows {
        if let Some(offset) = row.cleaned {
            cleaned.set(&row.topic, row.partition, offset);
        }
    }
    [
        (
            checkpoint::file::RECOVERY_POINT,
            pick(|row| row.recovery_point),
        ),
        (
            checkpoint::file::REPLICATION,
            pick(|row| row.high_watermark),
        ),
        (checkpoint::file::LOG_START, log_starts),
        (checkpoint::file::CLEANER, cleaned),
    ]
}
