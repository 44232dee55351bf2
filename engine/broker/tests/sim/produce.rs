use highwater_record::Producer;
use highwater_wire::ErrorCode;
use highwater_wire::message::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use highwater_wire::{Array, RecordBytes};
use uuid::Uuid;

use crate::harness::{Broker, batch, batch_of, decoded, produce_request, produced};

const WRITTEN: &[(&str, &str)] = &[("highwater.durability", "written")];

#[test]
fn every_connection_reaches_every_partition() {
    let broker = Broker::start(1, 3, &[]);
    broker.topic("orders", 7, &[]);
    for round in 0..4 {
        // Connections go to the shards in turn: four of them have met each of the three.
        let mut peer = broker.peer();
        broker.world.run(async {
            for partition in 0..7 {
                let value = format!("{round}-{partition}");
                let produced = peer.produce("orders", partition, &batch(&[&value])).await;
                assert_eq!(produced.placed(), round);
                let fetched = peer.fetch("orders", partition, round).await;
                assert_eq!(fetched.values(), [value]);
                assert_eq!(fetched.high_watermark, round + 1);
            }
        });
    }
}

#[test]
fn batches_of_one_connection_are_placed_in_the_order_they_were_sent() {
    for seed in 0..20 {
        let broker = Broker::start(seed, 3, &[]);
        broker.topic("orders", 3, &[]);
        let mut peer = broker.peer();
        broker.world.run(async {
            // A pipeline over all shards: whatever waits for what, each partition sees its batches in order.
            for n in 0..30 {
                let one = batch(&[&format!("{n}")]);
                peer.send(9, &produce_request(-1, "orders", &[(n % 3, &one)]))
                    .await;
            }
            for n in 0..30 {
                let frame = peer.frame().await.unwrap();
                assert_eq!(frame[..4], i32::to_be_bytes(n + 1), "answers come in order");
                assert_eq!(produced(&frame)[0].placed(), i64::from(n / 3));
            }
            for partition in 0..3 {
                let values = peer.fetch("orders", partition, 0).await.values();
                let sent: Vec<String> = (0..10).map(|n| (n * 3 + partition).to_string()).collect();
                assert_eq!(values, sent);
            }
        });
    }
}

#[test]
fn one_request_fills_partitions_of_every_shard() {
    let broker = Broker::start(2, 3, &[]);
    broker.topic("orders", 6, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let batches: Vec<Vec<u8>> = (0..6).map(|n| batch(&[&format!("{n}"), "x"])).collect();
        let rows: Vec<(i32, &[u8])> = (0..6).zip(batches.iter().map(Vec::as_slice)).collect();
        let produced = peer.produce_all(-1, "orders", &rows).await;
        let indexes: Vec<i32> = produced.iter().map(|row| row.partition).collect();
        assert_eq!(indexes, [0, 1, 2, 3, 4, 5], "in the order of the request");
        assert!(produced.iter().all(|row| row.placed() == 0));
        for partition in 0..6 {
            let values = peer.fetch("orders", partition, 0).await.values();
            assert_eq!(values, [partition.to_string(), "x".to_owned()]);
        }
    });
}

#[test]
fn a_batch_that_does_not_hold_is_refused_alone() {
    let broker = Broker::start(3, 2, &[]);
    broker.topic("orders", 8, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let good = batch(&["good"]);
        let mut bad_crc = good.clone();
        *bad_crc.last_mut().unwrap() ^= 1;
        let mut old = good.clone();
        old[16] = 1;
        let mut codec = good.clone();
        codec[22] = 7;
        let mut control = good.clone();
        control[22] = 0x20;
        reseal(&mut control);
        reseal(&mut codec);
        let two = [good.clone(), good.clone()].concat();
        let cut = &good[..good.len() - 1];
        let rows: Vec<(i32, &[u8])> = vec![
            (0, &good),
            (1, &bad_crc),
            (2, &old),
            (3, &two),
            (4, &[]),
            (5, cut),
            (6, &codec),
            (7, &control),
            (8, &good),
        ];
        let produced = peer.produce_all(-1, "orders", &rows).await;
        let errors: Vec<ErrorCode> = produced
            .iter()
            .map(|row| ErrorCode::from_id(row.error))
            .collect();
        assert_eq!(
            errors,
            [
                ErrorCode::None,
                ErrorCode::CorruptMessage,
                ErrorCode::InvalidRecord,
                ErrorCode::InvalidRecord,
                ErrorCode::InvalidRecord,
                ErrorCode::CorruptMessage,
                ErrorCode::UnsupportedCompressionType,
                ErrorCode::InvalidRecord,
                ErrorCode::UnknownTopicOrPartition,
            ]
        );
        for row in &produced[1..] {
            assert_eq!((row.base_offset, row.log_start), (-1, -1));
        }
        assert!(produced[1].message.as_deref().unwrap().contains("crc"));
        for partition in 1..8 {
            let fetched = peer.fetch("orders", partition, 0).await;
            assert_eq!(
                fetched.high_watermark, 0,
                "nothing of a refused batch is written"
            );
        }
    });
}

/// Puts the right checksum over bytes that were changed.
fn reseal(batch: &mut [u8]) {
    let crc = highwater_record::crc::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

#[test]
fn acks_other_than_kafkas_are_refused_and_acks_zero_is_not_answered() {
    let broker = Broker::start(4, 2, WRITTEN);
    broker.topic("orders", 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let one = batch(&["one"]);
        let refused = peer.produce_all(2, "orders", &[(0, &one)]).await;
        assert_eq!(refused[0].error, ErrorCode::InvalidRequiredAcks.id());
        peer.send(9, &produce_request(0, "orders", &[(0, &one)]))
            .await;
        // The next answer is that of the next request.
        assert_eq!(
            peer.produce_all(1, "orders", &[(0, &one)]).await[0].placed(),
            1
        );
        // A failure that cannot be told ends the connection.
        peer.send(9, &produce_request(0, "nowhere", &[(0, &one)]))
            .await;
        assert_eq!(peer.frame().await, None);
    });
}

#[test]
fn a_topic_can_be_named_by_its_id() {
    let broker = Broker::start(5, 2, &[]);
    let id = broker.topic("orders", 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let one = batch(&["one"]);
        let ask = |topic_id| ProduceRequest {
            acks: -1,
            timeout_ms: 1000,
            transactional_id: None,
            topic_data: Array::from([TopicProduceData {
                topic_id,
                partition_data: Array::from([PartitionProduceData {
                    index: 0,
                    records: Some(RecordBytes::Bytes(&one)),
                }]),
                ..TopicProduceData::default()
            }]),
        };
        for (topic_id, error) in [
            (id, ErrorCode::None),
            (Uuid::from_u128(7), ErrorCode::UnknownTopicId),
        ] {
            let frame = peer.ask(13, &ask(topic_id)).await;
            let response = decoded::<ProduceResponse<'_>>(13, &frame);
            let topic = response.responses.first().unwrap();
            assert_eq!(topic.topic_id, topic_id);
            assert_eq!(
                topic.partition_responses.first().unwrap().error_code,
                error.id()
            );
        }
    });
}

#[test]
fn a_repeated_batch_is_answered_with_its_first_place_from_any_connection() {
    let broker = Broker::start(6, 2, &[]);
    broker.topic("orders", 1, &[]);
    let by = |base_sequence| {
        Some(Producer {
            id: 77,
            epoch: 0,
            base_sequence,
        })
    };
    let (first, second) = (batch_of(by(0), &["a", "b"]), batch_of(by(2), &["c"]));
    let (mut here, mut there) = (broker.peer(), broker.peer());
    broker.world.run(async {
        assert_eq!(here.produce("orders", 0, &first).await.placed(), 0);
        assert_eq!(here.produce("orders", 0, &second).await.placed(), 2);
        assert_eq!(there.produce("orders", 0, &first).await.placed(), 0);
        assert_eq!(there.produce("orders", 0, &second).await.placed(), 2);
        let gap = batch_of(by(9), &["x"]);
        let refused = there.produce("orders", 0, &gap).await;
        assert_eq!(refused.error, ErrorCode::OutOfOrderSequenceNumber.id());
        assert_eq!(here.fetch("orders", 0, 0).await.values(), ["a", "b", "c"]);
    });
}

#[test]
fn a_promise_that_takes_longer_than_the_producer_waits_is_a_timeout_and_comes_true_later() {
    let broker = Broker::start(7, 2, &[]);
    broker.topic("orders", 2, &[]);
    let mut peer = broker.peer();
    let slow = std::time::Duration::from_secs(5);
    broker.world.disk().set_sync_time(slow, slow);
    broker.world.run(async {
        let one = batch(&["one"]);
        let mut request = produce_request(-1, "orders", &[(0, &one), (1, &one)]);
        request.timeout_ms = 100;
        let frame = peer.ask(9, &request).await;
        for row in produced(&frame) {
            assert_eq!(row.error, ErrorCode::RequestTimedOut.id());
        }
        assert_eq!(
            peer.fetch("orders", 0, 0).await.high_watermark,
            0,
            "not promised yet"
        );
        peer.reactor.sleep(slow * 2).await;
        assert_eq!(peer.fetch("orders", 0, 0).await.values(), ["one"]);
    });
}
