//! Compacted topics as consumers see them: of each key the last record, after a while, a restart and a crash.

use std::path::Path;

use highwater_reactor::sim::Crash;
use highwater_record::{BatchBuilder, Codec, Compression, Compressor};
use highwater_wire::ErrorCode;

use crate::harness::{Broker, Peer, batch, seconds};
use crate::settings::{TOPIC, alter};

const COMPACTED: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.ms", "1"),
    ("min.cleanable.dirty.ratio", "0.1"),
    ("delete.retention.ms", "60000"),
];

/// A batch of one record, `at` ms after the world began; no value is a tombstone.
fn keyed(at: i64, key: &str, value: Option<&str>) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
    builder
        .append(1_767_225_600_000 + at, key, value, &[])
        .unwrap();
    let mut bytes = Vec::new();
    let codec = [Codec::None, Codec::Lz4, Codec::Zstd][usize::try_from(at % 3).unwrap()];
    builder
        .finish(&mut Compressor::new(), &Compression::of(codec), &mut bytes)
        .unwrap();
    bytes
}

/// Writes each of three keys `rounds` times, every batch into a segment of its own; `times` goes on.
async fn write(peer: &mut Peer, topic: &str, rounds: usize, times: &mut i64) {
    for _ in 0..rounds {
        for key in ["a", "b", "c"] {
            *times += 5;
            let value = format!("{key}{times}");
            let batch = keyed(*times, key, Some(&value));
            peer.produce(topic, 0, &batch).await.placed();
        }
    }
}

/// Values from an offset on, by one fetch after the other.
async fn read(peer: &mut Peer, topic: &str) -> Vec<String> {
    let (mut from, mut values) = (0, Vec::new());
    loop {
        let fetched = peer.fetch(topic, 0, from).await;
        assert_eq!(fetched.error, 0);
        if from == fetched.high_watermark {
            return values;
        }
        values.extend(fetched.values());
        let records = fetched.records.unwrap();
        let last = highwater_record::batches(&records).last().unwrap().unwrap();
        from = last.header().next_offset().get();
    }
}

fn checkpointed(broker: &Broker) -> String {
    let path = Path::new("/data/cleaner-offset-checkpoint");
    let bytes = broker.world.shard(0).read_all(path, 10_000).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn of_each_key_the_last_record_is_left_and_a_restart_knows_how_far_it_came() {
    let mut broker = Broker::start(1, 2, &[]);
    broker.topic("t", 1, COMPACTED);
    let mut times = 0;
    let mut peer = broker.peer();
    let world = broker.world.clone();
    let before = world.run(async {
        write(&mut peer, "t", 20, &mut times).await;
        read(&mut peer, "t").await
    });
    assert_eq!(before.len(), 60);
    // The cleaner looks every 15 s, and asks for the checkpoint that it needs.
    let after = world.run(async {
        peer.reactor.sleep(seconds(50)).await;
        read(&mut peer, "t").await
    });
    assert_eq!(
        after,
        before[57..],
        "time has rolled the active segment, too"
    );
    for crash in [None, Some(Crash::KeepAll), Some(Crash::LoseUnsynced)] {
        match crash {
            None => {
                drop(peer);
                broker.stop();
                assert_eq!(checkpointed(&broker), "0\n1\nt 0 60\n");
            }
            Some(crash) => broker.crash(crash),
        }
        broker.begin();
        peer = broker.peer();
        assert_eq!(world.run(read(&mut peer, "t")), after);
    }
}

#[test]
fn a_topic_that_becomes_compacted_is_cleaned_and_one_that_ceases_to_be_is_not() {
    let broker = Broker::start(2, 2, &[]);
    broker.topic("t", 1, &[("segment.ms", "1")]);
    let mut peer = broker.peer();
    let mut times = 0;
    broker.world.run(async {
        write(&mut peer, "t", 10, &mut times).await;
        peer.reactor.sleep(seconds(100)).await;
        assert_eq!(read(&mut peer, "t").await.len(), 30);
        alter(&mut peer, TOPIC, "t", "cleanup.policy", Some("compact")).await;
        peer.reactor.sleep(seconds(100)).await;
        assert_eq!(read(&mut peer, "t").await.len(), 3);
        let keyless = peer.produce("t", 0, &batch(&["x"])).await;
        assert_eq!(keyless.error, ErrorCode::InvalidRecord.id());
        alter(&mut peer, TOPIC, "t", "cleanup.policy", Some("delete")).await;
        write(&mut peer, "t", 10, &mut times).await;
        peer.reactor.sleep(seconds(100)).await;
        assert_eq!(read(&mut peer, "t").await.len(), 33);
    });
}

#[test]
fn tombstones_go_when_their_term_is_over_and_retention_takes_what_is_old() {
    let broker = Broker::start(3, 2, &[]);
    broker.topic("t", 1, COMPACTED);
    broker.topic(
        "both",
        1,
        &[
            ("cleanup.policy", "compact,delete"),
            ("segment.ms", "1"),
            ("retention.ms", "600000"),
        ],
    );
    let mut peer = broker.peer();
    broker.world.run(async {
        let mut times = 0;
        write(&mut peer, "t", 3, &mut times).await;
        for key in ["a", "b"] {
            times += 5;
            peer.produce("t", 0, &keyed(times, key, None))
                .await
                .placed();
        }
        write(&mut peer, "both", 3, &mut times).await;
        times += 5;
        let last = keyed(times, "c", Some("end"));
        peer.produce("t", 0, &last).await.placed();
        peer.reactor.sleep(seconds(50)).await;
        assert_eq!(
            read(&mut peer, "t")
                .await
                .iter()
                .filter(|value| value.is_empty())
                .count(),
            2
        );
        // Three keys, and one more that the default ratio lets wait.
        assert!((3..=4).contains(&read(&mut peer, "both").await.len()));
        peer.reactor.sleep(seconds(70)).await;
        // New dirt makes the log be looked at again.
        write(&mut peer, "t", 4, &mut 1_000_000).await;
        peer.reactor.sleep(seconds(50)).await;
        assert_eq!(
            read(&mut peer, "t")
                .await
                .iter()
                .filter(|value| value.is_empty())
                .count(),
            0
        );
        peer.reactor.sleep(seconds(1_200)).await;
    });
    let mut peer = broker.peer();
    let fetched = broker.world.run(peer.fetch("both", 0, 9));
    assert_eq!((fetched.log_start, fetched.high_watermark), (9, 9));
}

#[test]
fn a_broker_that_is_told_not_to_clean_does_not() {
    let broker = Broker::start(4, 2, &[("log.cleaner.enable", "false")]);
    broker.topic("t", 1, COMPACTED);
    let mut peer = broker.peer();
    broker.world.run(async {
        write(&mut peer, "t", 5, &mut 0).await;
        peer.reactor.sleep(seconds(300)).await;
        assert_eq!(read(&mut peer, "t").await.len(), 15);
    });
}
