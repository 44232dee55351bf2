//! Every message, one file per API: the struct is the schema, its documentation is the documentation.
//! A message knows its own versions; which of them a broker offers is the broker's business.

pub mod alter_configs;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_topic_partitions;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;

pub use alter_configs::{AlterConfigsRequest, AlterConfigsResponse};
pub use api_versions::{ApiVersionsRequest, ApiVersionsResponse};
pub use consumer_group_describe::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};
pub use consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
pub use create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
pub use create_topics::{CreateTopicsRequest, CreateTopicsResponse};
pub use delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
pub use delete_records::{DeleteRecordsRequest, DeleteRecordsResponse};
pub use delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
pub use describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
pub use describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
pub use describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
pub use describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
pub use describe_producers::{DescribeProducersRequest, DescribeProducersResponse};
pub use describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
pub use fetch::{FetchRequest, FetchResponse};
pub use find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
pub use heartbeat::{HeartbeatRequest, HeartbeatResponse};
pub use incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
pub use init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
pub use join_group::{JoinGroupRequest, JoinGroupResponse};
pub use leave_group::{LeaveGroupRequest, LeaveGroupResponse};
pub use list_config_resources::{ListConfigResourcesRequest, ListConfigResourcesResponse};
pub use list_groups::{ListGroupsRequest, ListGroupsResponse};
pub use list_offsets::{ListOffsetsRequest, ListOffsetsResponse};
pub use metadata::{MetadataRequest, MetadataResponse};
pub use offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
pub use offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
pub use offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
pub use offset_for_leader_epoch::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
pub use produce::{ProduceRequest, ProduceResponse};
pub use sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse};
pub use sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse};
pub use sync_group::{SyncGroupRequest, SyncGroupResponse};

use crate::primitive::{Cursor, Dialect, Encoder, Get, Length, Put, Sink};
use crate::{ApiKey, DecodeError, EncodeError};
use std::ops::RangeInclusive;

/// A message of the protocol: a header, a request, a response, or a record of one of the internal logs.
pub trait Message: Put + Sized {
    /// Kafka's name of the message.
    const NAME: &'static str;
    /// The versions that exist.
    const VERSIONS: RangeInclusive<i16>;
    /// The first flexible version (KIP-482), or `i16::MAX` when none is.
    const FLEXIBLE: i16;

    /// How this version is written.
    ///
    /// # Errors
    /// The version itself when the message does not have it.
    fn dialect(version: i16) -> Option<Dialect> {
        Self::VERSIONS.contains(&version).then_some(Dialect {
            version,
            flexible: version >= Self::FLEXIBLE,
        })
    }

    /// How many bytes the message takes in this version, deferred records included.
    ///
    /// # Errors
    /// Where this version cannot say what the message says.
    fn encoded_len(&self, version: i16) -> Result<usize, EncodeError> {
        Ok(self.measure(version)?.bytes)
    }

    /// How many bytes the message takes in this version, and how many of them are deferred.
    ///
    /// # Errors
    /// Where this version cannot say what the message says.
    fn measure(&self, version: i16) -> Result<Length, EncodeError> {
        let mut length = Length::default();
        self.put(written::<Self>(version)?, &mut length)?;
        Ok(length)
    }

    /// Writes the message in this version.
    ///
    /// # Errors
    /// Where this version cannot say what the message says; what was written by then is of no use.
    fn encode(&self, version: i16, encoder: &mut Encoder) -> Result<(), EncodeError> {
        self.put(written::<Self>(version)?, encoder)
    }
}

/// A message that can be read. What it holds of variable length is borrowed from the bytes; nothing is allocated.
pub trait Decode<'a>: Message {
    /// Reads the message in this version. Bytes after its end are left to the caller, as Kafka leaves them.
    ///
    /// # Errors
    /// Where the bytes are no such message.
    fn decode(version: i16, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError>;
}

impl<'a, T: Message + Get<'a>> Decode<'a> for T {
    fn decode(version: i16, cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let dialect = Self::dialect(version).ok_or(DecodeError::UnsupportedVersion {
            message: Self::NAME,
            version,
        })?;
        Self::get(dialect, cursor)
    }
}

/// A question to a broker.
pub trait Request: Message {
    /// The API it asks.
    const API: ApiKey;
    /// What the broker answers, in the same version.
    type Response<'r>: Response + Decode<'r>;
}

/// A broker's answer.
pub trait Response: Message {
    /// The API that answers.
    const API: ApiKey;
}

fn written<M: Message>(version: i16) -> Result<Dialect, EncodeError> {
    M::dialect(version).ok_or(EncodeError::UnsupportedVersion {
        message: M::NAME,
        version,
    })
}

/// The message in this version behind a number of two bytes, which says what it is or which version it has.
pub(crate) fn encode_prefixed(
    prefix: i16,
    version: i16,
    message: &impl Message,
) -> Result<Vec<u8>, EncodeError> {
    let prefix = prefix.to_be_bytes();
    let mut encoder = Encoder::with_capacity(prefix.len() + message.encoded_len(version)?);
    encoder.bytes(&prefix);
    message.encode(version, &mut encoder)?;
    Ok(encoder.finish().bytes)
}
