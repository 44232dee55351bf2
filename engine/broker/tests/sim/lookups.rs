use highwater_record::Producer;
use highwater_wire::message::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use highwater_wire::message::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use highwater_wire::message::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, TopicRequest,
};
use highwater_wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use highwater_wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use highwater_wire::message::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderPartition,
    OffsetForLeaderTopic,
};
use highwater_wire::{Array, ErrorCode};

use crate::harness::{Broker, Peer, batch, batch_of, decoded};

async fn list(peer: &mut Peer, version: i16, asked: &[(i32, i64)]) -> Vec<(ErrorCode, i64, i64)> {
    let partitions = asked
        .iter()
        .map(|(partition_index, timestamp)| ListOffsetsPartition {
            partition_index: *partition_index,
            timestamp: *timestamp,
            ..ListOffsetsPartition::default()
        })
        .collect();
    let topics = Array::from([ListOffsetsTopic {
        name: "orders",
        partitions,
    }]);
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics,
        ..ListOffsetsRequest::default()
    };
    let frame = peer.ask(version, &request).await;
    let response = decoded::<ListOffsetsResponse<'_>>(version, &frame);
    let topic = response.topics.first().unwrap();
    topic
        .partitions
        .iter()
        .map(|row| {
            (
                ErrorCode::from_id(row.error_code),
                row.offset,
                row.timestamp,
            )
        })
        .collect()
}

#[test]
fn offsets_are_found_by_name_and_by_time_on_every_shard() {
    let broker = Broker::start(50, 3, &[]);
    broker.topic("orders", 3, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        for partition in 0..3 {
            peer.produce("orders", partition, &batch(&["a", "b"]))
                .await
                .placed();
        }
        let at = 1_767_225_600_000;
        for partition in 0..3 {
            let asked = [
                (-1, 2, -1),
                (-2, 0, -1),
                (at, 0, at),
                (at + 1, -1, -1),
                (-5, -1, -1),
            ];
            for (timestamp, offset, found) in asked {
                let row = list(&mut peer, 11, &[(partition, timestamp)])
                    .await
                    .remove(0);
                assert_eq!(row, (ErrorCode::None, offset, found), "{timestamp}");
            }
        }
        for version in 1..=11 {
            assert_eq!(list(&mut peer, version, &[(1, -1)]).await[0].1, 2);
        }
        let refused = |version, timestamp| (version, timestamp, ErrorCode::UnsupportedVersion);
        for (version, timestamp, error) in [
            refused(6, -3),
            refused(7, -4),
            refused(8, -5),
            refused(10, -6),
            refused(11, -7),
        ] {
            assert_eq!(
                list(&mut peer, version, &[(0, timestamp)]).await[0].0,
                error
            );
        }
        let rows = list(&mut peer, 7, &[(0, -1), (0, -2), (9, -1)]).await;
        let errors: Vec<ErrorCode> = rows.iter().map(|row| row.0).collect();
        assert_eq!(
            errors,
            [
                ErrorCode::None,
                ErrorCode::InvalidRequest,
                ErrorCode::UnknownTopicOrPartition
            ]
        );
    });
}

#[test]
fn deleted_records_are_gone_and_stay_gone() {
    let mut broker = Broker::start(51, 2, &[]);
    broker.topic("orders", 2, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        for n in 0..6 {
            peer.produce("orders", n % 2, &batch(&["x", "y"]))
                .await
                .placed();
        }
        let cut = |partition_index, offset| DeleteRecordsPartition {
            partition_index,
            offset,
        };
        let request = DeleteRecordsRequest {
            topics: Array::from([DeleteRecordsTopic {
                name: "orders",
                partitions: Array::from([cut(0, 3), cut(1, -1), cut(0, 99), cut(7, 0)]),
            }]),
            timeout_ms: 1000,
        };
        let frame = peer.ask(2, &request).await;
        let response = decoded::<DeleteRecordsResponse<'_>>(2, &frame);
        let rows: Vec<(i64, ErrorCode)> = response
            .topics
            .first()
            .unwrap()
            .partitions
            .iter()
            .map(|row| (row.low_watermark, ErrorCode::from_id(row.error_code)))
            .collect();
        assert_eq!(
            rows,
            [
                (3, ErrorCode::None),
                (6, ErrorCode::None),
                (-1, ErrorCode::OffsetOutOfRange),
                (-1, ErrorCode::UnknownTopicOrPartition),
            ]
        );
        let gone = peer.fetch("orders", 0, 2).await;
        assert_eq!(gone.error, ErrorCode::OffsetOutOfRange.id());
        assert_eq!(list(&mut peer, 7, &[(0, -2)]).await[0].1, 3);
    });
    broker.stop();
    broker.begin();
    let mut peer = broker.peer();
    broker.world.run(async {
        assert_eq!(list(&mut peer, 7, &[(0, -2)]).await[0].1, 3);
        assert_eq!(list(&mut peer, 7, &[(1, -2)]).await[0].1, 6);
    });
}

#[test]
fn epochs_end_where_the_log_ends() {
    let broker = Broker::start(52, 2, &[]);
    broker.topic("orders", 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        peer.produce("orders", 0, &batch(&["x", "y"]))
            .await
            .placed();
        for (current, epoch, error, answer) in [
            (-1, 0, ErrorCode::None, (0, 2)),
            (0, 0, ErrorCode::None, (0, 2)),
            (5, 0, ErrorCode::UnknownLeaderEpoch, (-1, -1)),
            (-1, 7, ErrorCode::None, (-1, -1)),
        ] {
            let partition = OffsetForLeaderPartition {
                partition: 0,
                current_leader_epoch: current,
                leader_epoch: epoch,
            };
            let request = OffsetForLeaderEpochRequest {
                replica_id: -1,
                topics: Array::from([OffsetForLeaderTopic {
                    topic: "orders",
                    partitions: Array::from([partition]),
                }]),
            };
            let frame = peer.ask(4, &request).await;
            let response = decoded::<OffsetForLeaderEpochResponse<'_>>(4, &frame);
            let row = response.topics.first().unwrap().partitions.first().unwrap();
            assert_eq!(ErrorCode::from_id(row.error_code), error);
            assert_eq!((row.leader_epoch, row.end_offset), answer, "epoch {epoch}");
        }
    });
}

#[test]
fn producers_are_described_by_what_they_wrote() {
    let broker = Broker::start(53, 2, &[]);
    broker.topic("orders", 2, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let producer = Producer {
            id: 5,
            epoch: 3,
            base_sequence: 0,
        };
        peer.produce("orders", 1, &batch_of(Some(producer), &["x", "y"]))
            .await
            .placed();
        let request = DescribeProducersRequest {
            topics: Array::from([TopicRequest {
                name: "orders",
                partition_indexes: Array::from([0, 1, 2]),
            }]),
        };
        let frame = peer.ask(0, &request).await;
        let response = decoded::<DescribeProducersResponse<'_>>(0, &frame);
        let rows = response.topics.first().unwrap().partitions.to_vec();
        assert_eq!(rows[0].active_producers.len(), 0);
        let state = rows[1].active_producers.first().unwrap();
        assert_eq!(
            (state.producer_id, state.producer_epoch, state.last_sequence),
            (5, 3, 1)
        );
        assert_eq!(rows[2].error_code, ErrorCode::UnknownTopicOrPartition.id());
    });
}

#[test]
fn the_data_directory_is_described_with_every_log_in_it() {
    let broker = Broker::start(54, 3, &[]);
    broker.topic("orders", 5, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let one = batch(&["x"]);
        peer.produce("orders", 4, &one).await.placed();
        let frame = peer.ask(4, &DescribeLogDirsRequest { topics: None }).await;
        let response = decoded::<DescribeLogDirsResponse<'_>>(4, &frame);
        let dir = response.results.first().unwrap();
        assert_eq!((dir.error_code, dir.log_dir), (0, "/data"));
        assert!(dir.total_bytes > 0 && dir.usable_bytes <= dir.total_bytes);
        let topic = dir
            .topics
            .iter()
            .find(|topic| topic.name == "orders")
            .unwrap();
        let sizes: Vec<(i32, i64)> = topic
            .partitions
            .iter()
            .map(|p| (p.partition_index, p.partition_size))
            .collect();
        let size = i64::try_from(one.len()).unwrap();
        assert_eq!(sizes, [(0, 0), (1, 0), (2, 0), (3, 0), (4, size)]);
    });
}

#[test]
fn a_transactional_producer_is_told_once_and_for_all() {
    let broker = Broker::start(55, 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        for (transactional_id, producer_id, error) in [
            (Some("t"), -1, ErrorCode::UnsupportedVersion),
            (Some(""), -1, ErrorCode::InvalidRequest),
            (None, 5, ErrorCode::InvalidRequest),
        ] {
            let request = InitProducerIdRequest {
                transactional_id,
                producer_id,
                producer_epoch: -1,
                ..InitProducerIdRequest::default()
            };
            let frame = peer.ask(5, &request).await;
            let response = decoded::<InitProducerIdResponse>(5, &frame);
            assert_eq!(ErrorCode::from_id(response.error_code), error);
            assert!(!error.is_retriable());
            assert_eq!((response.producer_id, response.producer_epoch), (-1, -1));
        }
    });
}
