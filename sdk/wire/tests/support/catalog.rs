//! Every message by name, as functions, so that one test can ask the same of all of them.

use highwater_wire::{Cursor, Decode, DecodeError, EncodeError, Encoder, Message};

/// A message that has a place in a frame.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) first: i16,
    pub(crate) last: i16,
    pub(crate) flexible: i16,
    /// Decodes and encodes again: the bytes, and how many were left over.
    pub(crate) again: fn(i16, &[u8]) -> Result<Again, Failure>,
    /// Decodes, looks at every element of every array, and tells the length it would have; no more.
    pub(crate) walk: fn(i16, &[u8]) -> Result<usize, Failure>,
    /// The default value in bytes.
    pub(crate) default: fn(i16) -> Result<Vec<u8>, EncodeError>,
}

/// The bytes that were written again, and how many were left over when they had been read.
pub(crate) type Again = (Vec<u8>, usize);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Decode(DecodeError),
    Encode(EncodeError),
}

macro_rules! catalog {
    ($($message:ident)*) => {
        use highwater_wire::message::*;
        use highwater_wire::{RequestHeader, ResponseHeader};

        /// Every one of them.
        pub(crate) fn catalog() -> Vec<Entry> {
            vec![$(Entry {
                name: stringify!($message),
                first: *<$message as Message>::VERSIONS.start(),
                last: *<$message as Message>::VERSIONS.end(),
                flexible: <$message as Message>::FLEXIBLE,
                again: |version, bytes| {
                    let mut cursor = Cursor::new(bytes);
                    let message = <$message>::decode(version, &mut cursor).map_err(Failure::Decode)?;
                    Ok((written(&message, version).map_err(Failure::Encode)?, cursor.remaining()))
                },
                walk: |version, bytes| {
                    let message = <$message>::decode(version, &mut Cursor::new(bytes)).map_err(Failure::Decode)?;
                    message.encoded_len(version).map_err(Failure::Encode)
                },
                default: |version| written(&<$message>::default(), version),
            },)*]
        }
    };
}

catalog! {
    RequestHeader ResponseHeader
    ApiVersionsRequest ApiVersionsResponse
    MetadataRequest MetadataResponse
    ProduceRequest ProduceResponse
    FetchRequest FetchResponse
    ListOffsetsRequest ListOffsetsResponse
    InitProducerIdRequest InitProducerIdResponse
    SaslHandshakeRequest SaslHandshakeResponse
    SaslAuthenticateRequest SaslAuthenticateResponse
    CreateTopicsRequest CreateTopicsResponse
    DeleteTopicsRequest DeleteTopicsResponse
    CreatePartitionsRequest CreatePartitionsResponse
    DeleteRecordsRequest DeleteRecordsResponse
    DescribeConfigsRequest DescribeConfigsResponse
    AlterConfigsRequest AlterConfigsResponse
    IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse
    DescribeClusterRequest DescribeClusterResponse
    DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse
    DescribeLogDirsRequest DescribeLogDirsResponse
    OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse
    DescribeProducersRequest DescribeProducersResponse
    FindCoordinatorRequest FindCoordinatorResponse
    OffsetCommitRequest OffsetCommitResponse
    OffsetFetchRequest OffsetFetchResponse
    JoinGroupRequest JoinGroupResponse
    HeartbeatRequest HeartbeatResponse
    LeaveGroupRequest LeaveGroupResponse
    SyncGroupRequest SyncGroupResponse
    DescribeGroupsRequest DescribeGroupsResponse
    ListGroupsRequest ListGroupsResponse
    DeleteGroupsRequest DeleteGroupsResponse
    OffsetDeleteRequest OffsetDeleteResponse
    ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse
    ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse
    ListConfigResourcesRequest ListConfigResourcesResponse
}

fn written<M: Message>(message: &M, version: i16) -> Result<Vec<u8>, EncodeError> {
    let length = message.encoded_len(version)?;
    let mut encoder = Encoder::with_capacity(length);
    message.encode(version, &mut encoder)?;
    let encoded = encoder.finish();
    assert_eq!(
        encoded.bytes.len(),
        length,
        "the length is known before the first byte is written"
    );
    Ok(encoded.bytes)
}
