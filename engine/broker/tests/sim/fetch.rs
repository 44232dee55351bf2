use std::time::Duration;

use highwater_reactor::local::join;
use highwater_wire::message::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic,
};
use highwater_wire::{Array, ErrorCode};
use uuid::Uuid;

use crate::harness::{Broker, Peer, batch, decoded, fetch_request, fetched, seconds};

#[test]
fn a_fetch_at_the_end_is_woken_by_the_append_itself_on_whatever_shard() {
    for partition in 0..3 {
        let broker = Broker::start(10, 3, &[]);
        broker.topic("orders", 3, &[]);
        let (mut reader, mut writer) = (broker.peer(), broker.peer());
        broker.world.run(async {
            let reactor = reader.reactor.clone();
            let mut request = fetch_request("orders", &[(0, 0), (1, 0), (2, 0)]);
            request.max_wait_ms = 600_000;
            let waiting = async {
                let frame = reader.ask(12, &request).await;
                (reactor.now(), fetched(12, &frame))
            };
            let writing = async {
                reactor.sleep(seconds(100)).await;
                let produced = writer.produce("orders", partition, &batch(&["now"])).await;
                produced.placed();
                reactor.now()
            };
            let ((read_at, rows), written_at) = join(waiting, writing).await;
            let row = rows.iter().find(|row| row.partition == partition).unwrap();
            assert_eq!(row.values(), ["now"]);
            assert_eq!(rows.len(), 3);
            let between = read_at.duration_since(written_at);
            assert!(
                between < Duration::from_millis(50),
                "{between:?} after the append"
            );
        });
    }
}

#[test]
fn a_fetch_waits_for_its_least_bytes_and_no_longer_than_it_said() {
    let broker = Broker::start(11, 3, &[]);
    broker.topic("orders", 3, &[]);
    let (mut reader, mut writer) = (broker.peer(), broker.peer());
    broker.world.run(async {
        let reactor = reader.reactor.clone();
        let began = reactor.now();
        let mut request = fetch_request("orders", &[(0, 0), (1, 0), (2, 0)]);
        (request.max_wait_ms, request.min_bytes) = (60_000, 300);
        let writing = async {
            for partition in [0, 1, 2, 0, 1, 2] {
                reactor.sleep(seconds(1)).await;
                writer
                    .produce("orders", partition, &batch(&["0123456789"]))
                    .await
                    .placed();
            }
        };
        // Each batch has 79 bytes or so: the fourth makes it enough, wherever the first three lie.
        let (frame, ()) = join(reader.ask(12, &request), writing).await;
        let bytes: usize = fetched(12, &frame)
            .iter()
            .map(|row| row.records.as_ref().unwrap().len())
            .sum();
        assert!((300..400).contains(&bytes), "{bytes} bytes");

        request.min_bytes = 1 << 20;
        request.max_wait_ms = 7_000;
        let began_again = reactor.now();
        assert!(began_again.duration_since(began) < seconds(10));
        let frame = reader.ask(12, &request).await;
        let waited = reactor.now().duration_since(began_again);
        assert!(waited >= seconds(7) && waited < seconds(8), "{waited:?}");
        assert_eq!(
            fetched(12, &frame)
                .iter()
                .map(|row| row.values().len())
                .sum::<usize>(),
            6
        );
    });
}

#[test]
fn an_empty_answer_holds_empty_records_and_never_null() {
    let broker = Broker::start(12, 2, &[]);
    broker.topic("orders", 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        for (partition, offset) in [(0, 0), (0, 5), (9, 0)] {
            let fetched = peer.fetch("orders", partition, offset).await;
            assert_eq!(fetched.records.as_deref(), Some(&b""[..]));
        }
    });
}

#[test]
fn what_is_wrong_is_told_at_once_with_kafkas_codes() {
    let broker = Broker::start(13, 2, &[]);
    broker.topic("orders", 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        peer.produce("orders", 0, &batch(&["one"])).await.placed();
        let reactor = peer.reactor.clone();
        let began = reactor.now();
        for (topic, partition, offset, epochs, error) in [
            ("orders", 0, 2, (-1, -1), ErrorCode::OffsetOutOfRange),
            ("orders", 0, -1, (-1, -1), ErrorCode::OffsetOutOfRange),
            ("orders", 0, 0, (9, -1), ErrorCode::UnknownLeaderEpoch),
            ("orders", 1, 0, (-1, -1), ErrorCode::UnknownTopicOrPartition),
            (
                "nowhere",
                0,
                0,
                (-1, -1),
                ErrorCode::UnknownTopicOrPartition,
            ),
        ] {
            let mut request = fetch_request(topic, &[(partition, offset)]);
            request.max_wait_ms = 60_000;
            let mut topic = request.topics.first().unwrap();
            let mut row = topic.partitions.first().unwrap();
            (row.current_leader_epoch, row.last_fetched_epoch) = epochs;
            topic.partitions = Array::from([row]);
            request.topics = Array::from([topic]);
            let frame = peer.ask(12, &request).await;
            let row = fetched(12, &frame).remove(0);
            assert_eq!(ErrorCode::from_id(row.error), error);
            assert_eq!((row.high_watermark, row.log_start), (-1, -1));
        }
        assert!(reactor.now().duration_since(began) < seconds(1));
    });
}

#[test]
fn an_unknown_topic_id_is_told_beside_what_is_known() {
    let broker = Broker::start(14, 2, &[]);
    let id = broker.topic("orders", 1, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        peer.produce("orders", 0, &batch(&["one"])).await.placed();
        let stranger = Uuid::from_u128(99);
        let topics = [id, stranger].map(|topic_id| FetchTopic {
            topic_id,
            partitions: Array::from([partition(0, 0)]),
            ..FetchTopic::default()
        });
        let request = FetchRequest {
            topics: topics.into(),
            ..fetch_request("", &[])
        };
        let frame = peer.ask(13, &request).await;
        let response = decoded::<FetchResponse<'_>>(13, &frame);
        let errors: Vec<(Uuid, i16)> = response
            .responses
            .iter()
            .map(|topic| (topic.topic_id, topic.partitions.first().unwrap().error_code))
            .collect();
        assert_eq!(
            errors,
            [(id, 0), (stranger, ErrorCode::UnknownTopicId.id())]
        );
    });
}

fn partition(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    }
}

#[test]
fn limits_hold_but_the_first_batch_always_comes() {
    let broker = Broker::start(15, 3, &[]);
    broker.topic("orders", 3, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let big = batch(&[&"x".repeat(10_000)]);
        for partition in 0..3 {
            for _ in 0..3 {
                peer.produce("orders", partition, &big).await.placed();
            }
        }
        let all = [(0, 0), (1, 0), (2, 0)];
        for (bytes_max, batches) in [(1, 1), (10_100, 1), (25_000, 2), (31_000, 3), (1 << 20, 9)] {
            let request = FetchRequest {
                max_bytes: bytes_max,
                ..fetch_request("orders", &all)
            };
            let frame = peer.ask(12, &request).await;
            let rows = fetched(12, &frame);
            let got: usize = rows.iter().map(|row| row.values().len()).sum();
            assert!(
                got >= 1 && got <= batches.max(1),
                "{got} batches in {bytes_max} bytes"
            );
            let bytes: usize = rows
                .iter()
                .map(|row| row.records.as_ref().unwrap().len())
                .sum();
            assert!(got == 1 || bytes <= usize::try_from(bytes_max).unwrap());
        }
        // And a partition's own limit.
        let mut request = fetch_request("orders", &[]);
        let rows = [FetchPartition {
            partition_max_bytes: 1,
            ..partition(0, 1)
        }];
        request.topics = [FetchTopic {
            topic: "orders",
            partitions: rows.into(),
            ..Default::default()
        }]
        .into();
        let frame = peer.ask(12, &request).await;
        assert_eq!(fetched(12, &frame)[0].values().len(), 1);
    });
}

#[test]
fn large_answers_are_the_bytes_of_the_log() {
    let broker = Broker::start(16, 2, &[]);
    broker.topic("orders", 2, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let mut sent = Vec::new();
        for n in 0..40 {
            let value = format!("{n}-{}", "y".repeat(20_000));
            peer.produce("orders", 1, &batch(&[&value])).await.placed();
            sent.push(value);
        }
        peer.produce("orders", 0, &batch(&["small"])).await.placed();
        let frame = peer
            .ask(12, &fetch_request("orders", &[(0, 0), (1, 0), (0, 1)]))
            .await;
        let rows = fetched(12, &frame);
        assert_eq!(rows[0].values(), ["small"]);
        assert_eq!(rows[1].values(), sent);
        assert_eq!(rows[2].values(), Vec::<String>::new());
    });
}

#[test]
fn short_ranges_among_long_ones_are_the_bytes_of_the_log_too() {
    let broker = Broker::start(19, 2, &[]);
    broker.topic("orders", 8, &[]);
    let mut peer = broker.peer();
    broker.world.run(async {
        let value = |n: i32| format!("{n}-{}", "z".repeat(if n % 3 == 0 { 90_000 } else { 900 }));
        for n in 0..40 {
            peer.produce("orders", n % 8, &batch(&[&value(n)]))
                .await
                .placed();
        }
        let rows: Vec<(i32, i64)> = (0..8).map(|row| (row, 0)).collect();
        let frame = peer.ask(12, &fetch_request("orders", &rows)).await;
        for row in fetched(12, &frame) {
            let sent: Vec<String> = (0..5).map(|n| value(n * 8 + row.partition)).collect();
            assert_eq!(row.values(), sent, "partition {}", row.partition);
        }
        // One long, the others short: some copied, some spliced.
        let rows: Vec<(i32, i64)> = (0..8).map(|row| (row, 4)).collect();
        let frame = peer.ask(12, &fetch_request("orders", &rows)).await;
        for row in fetched(12, &frame) {
            assert_eq!(row.values(), [value(32 + row.partition)]);
        }
    });
}

/// One Fetch in a session: the error and session id of the answer, and the partitions in it.
async fn in_session(
    peer: &mut Peer,
    (id, epoch): (i32, i32),
    partitions: &[(i32, i64)],
    forgotten: &[i32],
) -> (i16, i32, Vec<(i32, usize)>) {
    let mut request = fetch_request("orders", partitions);
    if partitions.is_empty() {
        request.topics = Array::empty();
    }
    (request.session_id, request.session_epoch) = (id, epoch);
    if !forgotten.is_empty() {
        request.forgotten_topics_data = Array::from([ForgottenTopic {
            topic: "orders",
            partitions: Array::from(forgotten.to_vec()),
            ..ForgottenTopic::default()
        }]);
    }
    let frame = peer.ask(12, &request).await;
    let response = decoded::<FetchResponse<'_>>(12, &frame);
    let rows = response
        .responses
        .iter()
        .flat_map(|topic| topic.partitions.to_vec())
        .map(|row| (row.partition_index, row.records.unwrap().len()))
        .collect();
    (response.error_code, response.session_id, rows)
}

#[test]
fn a_session_names_only_what_changed_from_whatever_connection() {
    let broker = Broker::start(17, 3, &[]);
    broker.topic("orders", 4, &[]);
    // One of these lives on another shard than the session.
    let mut peers = [broker.peer(), broker.peer(), broker.peer()];
    broker.world.run(async {
        let all = [(0, 0), (1, 0), (2, 0), (3, 0)];
        let (error, id, rows) = in_session(&mut peers[0], (0, 0), &all, &[]).await;
        assert_eq!((error, rows.len()), (0, 4));
        assert_ne!(id, 0);
        let mut had = vec![];
        for (n, partition) in [(1, 2), (2, 0), (3, 3)] {
            let peer = &mut peers[usize::try_from(n - 1).unwrap()];
            let (error, same, rows) = in_session(peer, (id, 2 * n - 1), &had, &[]).await;
            assert_eq!((error, same, rows), (0, id, vec![]), "nothing is new");
            peer.produce("orders", partition, &batch(&["new"]))
                .await
                .placed();
            let (_, _, rows) = in_session(peer, (id, 2 * n), &[], &[]).await;
            assert_eq!(rows.len(), 1, "{rows:?}");
            assert!(rows[0].0 == partition && rows[0].1 > 0);
            had = vec![(partition, 1)];
        }
        // Moving on, and forgetting.
        let (_, _, rows) = in_session(&mut peers[1], (id, 7), &[(2, 0)], &[3, 0]).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        let (error, ..) = in_session(&mut peers[2], (id, 7), &[], &[]).await;
        assert_eq!(
            ErrorCode::from_id(error),
            ErrorCode::InvalidFetchSessionEpoch
        );
        let (error, closed, _) = in_session(&mut peers[2], (id, -1), &all, &[]).await;
        assert_eq!((error, closed), (0, 0), "closed, and answered in full");
        let (error, ..) = in_session(&mut peers[0], (id, 8), &[], &[]).await;
        assert_eq!(ErrorCode::from_id(error), ErrorCode::FetchSessionIdNotFound);
    });
}

#[test]
fn a_reader_that_goes_away_leaves_nothing_parked() {
    let broker = Broker::start(18, 3, &[]);
    broker.topic("orders", 3, &[]);
    let mut reader = broker.peer();
    broker.world.run(async {
        let mut request = fetch_request("orders", &[(0, 0), (1, 0), (2, 0)]);
        request.max_wait_ms = i32::MAX;
        reader.send(12, &request).await;
        let reactor = reader.reactor.clone();
        reactor.sleep(seconds(60)).await;
        reader.socket.shutdown();
        reactor.sleep(seconds(10)).await;
    });
    assert_eq!(broker.waiting(), 0);
}
