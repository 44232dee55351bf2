//! Produce: append records.

use crate::{Array, RecordBytes, Wire};
use uuid::Uuid;

/// Appends record batches to partitions. Versions 0 to 2 went with the old record formats, but a broker must still list them
/// (KAFKA-18659). Version 13 names topics by id.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = Produce, response = ProduceResponse<'r>, versions = 3..=13, flexible = 9..)]
pub struct ProduceRequest<'a> {
    /// Transaction the records belong to, null without one.
    pub transactional_id: Option<&'a str>,
    /// Who must have the records before the answer: 0 nobody, and there is no answer; 1 the leader; -1 all in sync.
    pub acks: i16,
    /// How long to wait for the acks, in milliseconds.
    pub timeout_ms: i32,
    /// Records by topic.
    pub topic_data: Array<'a, TopicProduceData<'a>>,
}

/// The records for one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicProduceData<'a> {
    /// The topic's name.
    #[wire(versions = 0..=12, ignorable)]
    pub name: &'a str,
    /// The topic's id; nil when it is not known.
    #[wire(versions = 13.., ignorable)]
    pub topic_id: Uuid,
    /// Records by partition.
    pub partition_data: Array<'a, PartitionProduceData<'a>>,
}

/// The records for one partition.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct PartitionProduceData<'a> {
    /// The partition's number.
    pub index: i32,
    /// Record batches, as they are to be stored.
    pub records: Option<RecordBytes<'a>>,
}

/// Where the records were placed. There is none for `acks = 0`.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = Produce, versions = 3..=13, flexible = 9..)]
pub struct ProduceResponse<'a> {
    /// Outcomes by topic.
    pub responses: Array<'a, TopicProduceResponse<'a>>,
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// Where to find the leaders named in this answer (KIP-951).
    #[wire(tag = 0, versions = 10..)]
    pub node_endpoints: Array<'a, NodeEndpoint<'a>>,
}

/// The outcomes in one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct TopicProduceResponse<'a> {
    /// The topic's name.
    #[wire(versions = 0..=12, ignorable)]
    pub name: &'a str,
    /// The topic's id; nil when it is not known.
    #[wire(versions = 13.., ignorable)]
    pub topic_id: Uuid,
    /// Outcomes by partition.
    pub partition_responses: Array<'a, PartitionProduceResponse<'a>>,
}

/// Where one partition's records were placed, or why they were refused.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct PartitionProduceResponse<'a> {
    /// The partition's number.
    pub index: i32,
    /// [`ErrorCode`](crate::ErrorCode) of the partition; the others are not affected.
    pub error_code: i16,
    /// Offset of the first record, -1 when nothing was written.
    pub base_offset: i64,
    /// When the broker appended, in milliseconds since the epoch; -1 where the topic keeps the producer's timestamps.
    #[wire(default = -1)]
    pub log_append_time_ms: i64,
    /// First offset the partition still holds, -1 when it is not known.
    #[wire(versions = 5.., default = -1, ignorable)]
    pub log_start_offset: i64,
    /// The records for whose sake the batch was refused.
    #[wire(versions = 8.., ignorable)]
    pub record_errors: Array<'a, BatchIndexAndErrorMessage<'a>>,
    /// What those records have in common, in words.
    #[wire(versions = 8.., ignorable)]
    pub error_message: Option<&'a str>,
    /// Who leads now, when that is why the produce failed (KIP-951).
    #[wire(tag = 0, versions = 10..)]
    pub current_leader: LeaderIdAndEpoch,
}

/// A record that is to blame.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct BatchIndexAndErrorMessage<'a> {
    /// Place of the record in its batch, from 0.
    pub batch_index: i32,
    /// What is wrong with the record, in words.
    pub batch_index_error_message: Option<&'a str>,
}

/// Who leads a partition, as of version 10.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct LeaderIdAndEpoch {
    /// Broker id of the leader, -1 when there is none or it is not known.
    #[wire(default = -1)]
    pub leader_id: i32,
    /// The leader's epoch, -1 when it is not known.
    #[wire(default = -1)]
    pub leader_epoch: i32,
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
