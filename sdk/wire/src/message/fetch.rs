//! Fetch: read records, and wait for them.

use crate::{Array, RecordBytes, Wire};
use uuid::Uuid;

/// Reads record batches from partitions, and waits for them. Version 7 brings sessions (KIP-227), version 12 finds out where
/// logs diverge, version 13 names topics by id (KIP-516).
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = Fetch, response = FetchResponse<'r>, versions = 4..=18, flexible = 12..)]
pub struct FetchRequest<'a> {
    /// Cluster the asker believes to be in; only replicas of the metadata log say it.
    #[wire(tag = 0, versions = 12.., ignorable)]
    pub cluster_id: Option<&'a str>,
    /// Broker id of the follower that asks, -1 for a consumer.
    #[wire(versions = 0..=14, default = -1)]
    pub replica_id: i32,
    /// Which replica asks, as of version 15.
    #[wire(tag = 1, versions = 15..)]
    pub replica_state: ReplicaState,
    /// How long to wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// How many bytes are worth an answer.
    pub min_bytes: i32,
    /// How many bytes the answer may have, but for one batch that may always be whole (KIP-74).
    #[wire(default = i32::MAX)]
    pub max_bytes: i32,
    /// 0 reads everything, 1 only what no open or aborted transaction wrote (KIP-98).
    pub isolation_level: i8,
    /// Fetch session, 0 for none (KIP-227).
    #[wire(versions = 7.., ignorable)]
    pub session_id: i32,
    /// Place of the request in the session: 0 opens it, -1 ends it or does without.
    #[wire(versions = 7.., default = -1, ignorable)]
    pub session_epoch: i32,
    /// What to fetch; in a session, what to add or change.
    pub topics: Array<'a, FetchTopic<'a>>,
    /// What to drop from the session.
    #[wire(versions = 7..)]
    pub forgotten_topics_data: Array<'a, ForgottenTopic<'a>>,
    /// Rack of the consumer, to be sent to a replica near it (KIP-392).
    #[wire(versions = 11.., ignorable)]
    pub rack_id: &'a str,
}

/// The replica that asks.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ReplicaState {
    /// Broker id of the follower, -1 for a consumer.
    #[wire(default = -1)]
    pub replica_id: i32,
    /// The follower's broker epoch, -1 when it has none.
    #[wire(default = -1)]
    pub replica_epoch: i64,
}

/// The partitions of one topic to fetch.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct FetchTopic<'a> {
    /// The topic's name.
    #[wire(versions = 0..=12, ignorable)]
    pub topic: &'a str,
    /// The topic's id; nil when it is not known.
    #[wire(versions = 13.., ignorable)]
    pub topic_id: Uuid,
    /// The partitions to fetch.
    pub partitions: Array<'a, FetchPartition>,
}

/// A partition and from where to read it.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct FetchPartition {
    /// The partition's number.
    pub partition: i32,
    /// The leader epoch the client believes in; a mismatch fences it (KIP-320). -1 asks for no check.
    #[wire(versions = 9.., default = -1, ignorable)]
    pub current_leader_epoch: i32,
    /// Offset to read from.
    pub fetch_offset: i64,
    /// Epoch of the last record the asker has, -1 for none: the leader answers where they diverge.
    #[wire(versions = 12.., default = -1)]
    pub last_fetched_epoch: i32,
    /// First offset the follower holds; consumers say -1.
    #[wire(versions = 5.., default = -1, ignorable)]
    pub log_start_offset: i64,
    /// How many bytes of this partition the answer may have, but for one batch that may always be whole.
    pub partition_max_bytes: i32,
    /// Directory id of the follower.
    #[wire(tag = 0, versions = 17.., ignorable)]
    pub replica_directory_id: Uuid,
    /// High watermark the replica knows: -1 for none, `i64::MAX` when it does not follow this (KIP-1166).
    #[wire(tag = 1, versions = 18.., default = i64::MAX, ignorable)]
    pub high_watermark: i64,
}

/// Partitions of one topic that leave the session.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct ForgottenTopic<'a> {
    /// The topic's name.
    #[wire(versions = 0..=12, ignorable)]
    pub topic: &'a str,
    /// The topic's id; nil when it is not known.
    #[wire(versions = 13.., ignorable)]
    pub topic_id: Uuid,
    /// The partitions to drop.
    pub partitions: Array<'a, i32>,
}

/// Record batches as they lie in the log.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = Fetch, versions = 4..=18, flexible = 12..)]
pub struct FetchResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the whole answer.
    #[wire(versions = 7.., ignorable)]
    pub error_code: i16,
    /// Session the broker keeps for the asker, 0 for none.
    #[wire(versions = 7..)]
    pub session_id: i32,
    /// Records by topic; in a session only what has changed.
    pub responses: Array<'a, FetchableTopicResponse<'a>>,
    /// Where to find the leaders named in this answer (KIP-951).
    #[wire(tag = 0, versions = 16..)]
    pub node_endpoints: Array<'a, NodeEndpoint<'a>>,
}

/// The records of one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct FetchableTopicResponse<'a> {
    /// The topic's name.
    #[wire(versions = 0..=12, ignorable)]
    pub topic: &'a str,
    /// The topic's id; nil when it is not known.
    #[wire(versions = 13.., ignorable)]
    pub topic_id: Uuid,
    /// Records by partition.
    pub partitions: Array<'a, PartitionData<'a>>,
}

/// The records of one partition, and how far it reaches.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct PartitionData<'a> {
    /// The partition's number.
    pub partition_index: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the partition; the others are not affected.
    pub error_code: i16,
    /// Offset up to which records are replicated, and readable.
    pub high_watermark: i64,
    /// Offset up to which no transaction is open, -1 when it is not known.
    #[wire(default = -1)]
    pub last_stable_offset: i64,
    /// First offset the partition still holds, -1 when it is not known.
    #[wire(versions = 5.., default = -1, ignorable)]
    pub log_start_offset: i64,
    /// Where the asker's log and the leader's part, when they do.
    #[wire(tag = 0, versions = 12..)]
    pub diverging_epoch: EpochEndOffset,
    /// Who leads now, when the asker believes otherwise.
    #[wire(tag = 1, versions = 12..)]
    pub current_leader: LeaderIdAndEpoch,
    /// Snapshot to load instead, where the log no longer reaches back so far.
    #[wire(tag = 2, versions = 12..)]
    pub snapshot_id: SnapshotId,
    /// Aborted transactions among these records, null when everything may be read.
    pub aborted_transactions: Option<Array<'a, AbortedTransaction>>,
    /// Replica to read from instead, -1 for none.
    #[wire(versions = 11.., default = -1)]
    pub preferred_read_replica: i32,
    /// Whole record batches. Say none rather than null, as the default does: librdkafka refuses null.
    #[wire(default = Some(RecordBytes::Bytes(&[])))]
    pub records: Option<RecordBytes<'a>>,
}

/// Where two logs part.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct EpochEndOffset {
    /// Largest epoch the two have in common, -1 for none.
    #[wire(default = -1)]
    pub epoch: i32,
    /// Where that epoch ends, -1 when it is not known.
    #[wire(default = -1)]
    pub end_offset: i64,
}

/// Who leads a partition, as of version 12.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct LeaderIdAndEpoch {
    /// Broker id of the leader, -1 when there is none or it is not known.
    #[wire(default = -1)]
    pub leader_id: i32,
    /// The leader's epoch, -1 when it is not known.
    #[wire(default = -1)]
    pub leader_epoch: i32,
}

/// A snapshot of the metadata log.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct SnapshotId {
    /// Offset after the last one in the snapshot.
    #[wire(default = -1)]
    pub end_offset: i64,
    /// Epoch of the last record in the snapshot.
    #[wire(default = -1)]
    pub epoch: i32,
}

/// A transaction whose records a `read_committed` consumer must skip.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct AbortedTransaction {
    /// Producer whose transaction was aborted.
    pub producer_id: i64,
    /// Where the transaction begins.
    pub first_offset: i64,
}

/// A broker and its address.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct NodeEndpoint<'a> {
    /// The broker's id.
    pub node_id: i32,
    /// Host name or address to connect to.
    pub host: &'a str,
    /// Port to connect to.
    pub port: i32,
    /// The rack the broker stands in, if it was told.
    pub rack: Option<&'a str>,
}
