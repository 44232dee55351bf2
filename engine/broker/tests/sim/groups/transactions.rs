//! What else Kafka may have written to the offsets topic: commits in transactions, and records of no group.

use highwater_partition::Origin;
use highwater_record::control::{ControlRecord, EndTxnMarker, Outcome};
use highwater_record::{BatchBuilder, Compression, Compressor, Producer};
use highwater_wire::records::group::{GroupKey, GroupValue, OffsetCommitKey, OffsetCommitValue};

use super::{broker, loaded};

/// A batch of one commit of group `t`, in a transaction of `producer`.
fn commit_in_transaction(producer: i64, partition: i32, offset: i64) -> Vec<u8> {
    let key = GroupKey::OffsetCommit(OffsetCommitKey {
        group: "t",
        topic: "orders",
        partition,
    });
    let value = GroupValue::OffsetCommit(OffsetCommitValue {
        offset,
        commit_timestamp: 1_767_225_600_000,
        ..OffsetCommitValue::default()
    });
    let value = value.encode(value.written_version()).unwrap();
    let mut builder = transaction(producer);
    builder
        .append(
            1_767_225_600_000,
            Some(&key.encode().unwrap()),
            Some(&value),
            &[],
        )
        .unwrap();
    finished(builder)
}

/// The end of a transaction of `producer`.
fn marker(producer: i64, outcome: Outcome) -> Vec<u8> {
    let mut builder = transaction(producer);
    let marker = EndTxnMarker {
        outcome,
        coordinator_epoch: 0,
    };
    builder
        .append_control(1_767_225_600_000, &ControlRecord::EndTxn(marker))
        .unwrap();
    finished(builder)
}

fn transaction(producer: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    builder.set_transactional(true);
    builder.set_producer(Producer {
        id: producer,
        epoch: 0,
        base_sequence: -1,
    });
    builder
}

fn finished(mut builder: BatchBuilder) -> Vec<u8> {
    let mut bytes = Vec::new();
    let compression = Compression::of(highwater_record::Codec::Gzip);
    builder
        .finish(&mut Compressor::new(), &compression, &mut bytes)
        .unwrap();
    bytes
}

#[test]
fn commits_that_kafka_wrote_in_transactions_count_when_their_transaction_was_committed() {
    let mut broker = broker(74, 3);
    let index = highwater_coordinator::partition_for("t", 5);
    let partition = broker.partition("__consumer_offsets", index);
    broker.world.run(async {
        for batch in [
            commit_in_transaction(7, 0, 70),
            commit_in_transaction(8, 1, 80),
            commit_in_transaction(7, 1, 71),
            commit_in_transaction(9, 2, 90),
            marker(8, Outcome::Abort),
            marker(7, Outcome::Commit),
            commit_in_transaction(7, 3, 73),
        ] {
            let batch = highwater_record::Batch::check(&batch).unwrap();
            let placed = partition.produce(batch, Origin::Coordinator).unwrap();
            partition.committed(placed.end()).await.unwrap();
        }
    });
    drop(partition);
    broker.stop();
    broker.begin();
    let mut peer = broker.peer();
    let found = broker.world.run(loaded(&mut peer, &["t"]));
    assert_eq!(found, [Ok(vec![(0, 70), (1, 71)])]);
}

#[test]
fn what_is_no_group_record_is_passed_over() {
    let mut broker = broker(75, 2);
    let index = highwater_coordinator::partition_for("t", 5);
    let partition = broker.partition("__consumer_offsets", index);
    let mut peer = broker.peer();
    broker.world.run(async {
        assert_eq!(peer.commit("t", None, &[(0, 1)]).await, [0]);
        let mut builder = BatchBuilder::new();
        for key in [&b"\0\x01\0\xff"[..], b"\0\x63", b"", b"\0\x02\0\x01t"] {
            builder
                .append(1_767_225_600_000, Some(key), Some(b"\0\x63"), &[])
                .unwrap();
        }
        let batch = finished(builder);
        let batch = highwater_record::Batch::check(&batch).unwrap();
        partition.produce(batch, Origin::Coordinator).unwrap();
        assert_eq!(peer.commit("t", None, &[(1, 2)]).await, [0]);
    });
    drop(partition);
    broker.stop();
    broker.begin();
    let mut peer = broker.peer();
    let found = broker.world.run(loaded(&mut peer, &["t"]));
    assert_eq!(found, [Ok(vec![(0, 1), (1, 2)])]);
}
