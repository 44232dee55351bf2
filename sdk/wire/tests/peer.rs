//! Ours and the `kafka-protocol` crate read the same bytes and write the same bytes, message by message and version by
//! version. Where the crate lacks a version (`OURS_ONLY`), only ours is asked; Kafka's own bytes are in `golden.rs`.
#![allow(elided_lifetimes_in_paths, clippy::unwrap_used)]

mod support;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as peer;
use kafka_protocol::protocol::{Decodable, Encodable, Message};
use proptest::prelude::*;
use support::bytes::{Entropy, Schemas};
use support::catalog::{Entry, catalog};

fn again<M: Message + Decodable + Encodable>(version: i16, bytes: &[u8]) -> Option<Vec<u8>> {
    if !(M::VERSIONS.min..=M::VERSIONS.max).contains(&version) {
        return None;
    }
    let mut left = Bytes::copy_from_slice(bytes);
    let message = M::decode(&mut left, version).expect("the peer reads it");
    assert!(left.is_empty(), "the peer reads all of it");
    let mut out = BytesMut::new();
    message
        .encode(&mut out, version)
        .expect("the peer writes it");
    assert_eq!(
        message.compute_size(version).expect("the peer measures it"),
        out.len()
    );
    Some(out.to_vec())
}

macro_rules! peers {
    ($name:expr, $version:expr, $bytes:expr; $($message:ident)*) => {
        match $name {
            $(stringify!($message) => again::<peer::$message>($version, $bytes),)*
            other => panic!("the peer has no {other}"),
        }
    };
}

fn peer_again(name: &str, version: i16, bytes: &[u8]) -> Option<Vec<u8>> {
    peers! { name, version, bytes;
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
}

/// Versions of ours that the peer does not know.
const OURS_ONLY: [(&str, i16); 6] = [
    ("ListOffsetsRequest", 11),
    ("ListOffsetsResponse", 11),
    ("DescribeLogDirsRequest", 5),
    ("DescribeLogDirsResponse", 5),
    ("OffsetCommitRequest", 10),
    ("OffsetFetchRequest", 10),
];

fn same(schemas: &Schemas, entry: &Entry, version: i16, entropy: &[u8]) {
    let Entry { name, again, .. } = entry;
    let drawn = schemas
        .draw(name, version, &mut Entropy::new(entropy))
        .bytes;
    assert_eq!(
        again(version, &drawn).as_ref(),
        Ok(&(drawn.clone(), 0)),
        "{name} {version}"
    );
    match peer_again(name, version, &drawn) {
        Some(theirs) => assert_eq!(theirs, drawn, "{name} {version}"),
        None => assert!(
            OURS_ONLY.contains(&(*name, version)),
            "the peer has no {name} {version}"
        ),
    }
    let mut entropy = Entropy::new(entropy);
    entropy.unknown_tags = true;
    let stranger = schemas.draw(name, version, &mut entropy).bytes;
    assert_eq!(
        again(version, &stranger),
        Ok((drawn, 0)),
        "{name} {version}: what is not known is skipped"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_version_of_every_message_is_the_same_bytes_in_both(
        entropy in proptest::collection::vec(any::<u8>(), 0..600)
    ) {
        let schemas = Schemas::read();
        for entry in catalog() {
            for version in entry.first..=entry.last {
                same(&schemas, &entry, version, &entropy);
            }
        }
    }
}

#[test]
fn a_default_message_is_the_same_bytes_in_both() {
    for entry in catalog() {
        for version in entry.first..=entry.last {
            let Ok(bytes) = (entry.default)(version) else {
                continue;
            };
            if let Some(theirs) = peer_again(entry.name, version, &bytes) {
                assert_eq!(theirs, bytes, "{} {version}", entry.name);
            }
        }
    }
}
