//! The partitions of a member, handed out as streams.

use std::collections::BTreeMap;

use highwater::{GroupProtocol, PartitionStream, Partitions};
use tokio::time::timeout;

use crate::{
    LONG, PARTITIONS, PROTOCOLS, RECORDS, at_each_await, committed, drop_after, filled, group,
    member, place,
};

const HALF: i64 = RECORDS as i64 / PARTITIONS as i64;

async fn next(partitions: &mut Partitions) -> PartitionStream {
    let next = timeout(LONG, partitions.next()).await;
    next.expect("a partition comes").unwrap().unwrap()
}

/// Streams of all partitions.
async fn all(partitions: &mut Partitions) -> BTreeMap<i32, PartitionStream> {
    let mut streams = BTreeMap::new();
    while streams.len() < PARTITIONS as usize {
        let stream = next(partitions).await;
        let before = streams.insert(stream.place().partition, stream);
        assert!(before.is_none(), "each comes once");
    }
    streams
}

/// Reads a stream from an offset to its last record, and marks everything.
async fn reads_on(stream: &mut PartitionStream, from: i64) {
    for offset in from..HALF {
        let record = timeout(LONG, stream.next()).await.expect("there is more");
        let record = record.unwrap().unwrap();
        assert_eq!(record.offset(), offset, "in order, and once");
        record.done();
    }
}

#[tokio::test]
async fn a_dropped_call_for_a_partition_takes_none_with_it() {
    let cluster = filled().await;
    for protocol in PROTOCOLS {
        at_each_await(async |polls| {
            let group = group();
            let consumer = member(&cluster, &group, protocol).build().await.unwrap();
            let mut partitions = consumer.partitions();
            let first = drop_after(polls, partitions.next()).await;
            let done = first.is_some();
            let first = first.map(|first| first.unwrap().unwrap());
            let mut streams: BTreeMap<i32, PartitionStream> = first
                .map(|stream| (stream.place().partition, stream))
                .into_iter()
                .collect();
            while streams.len() < PARTITIONS as usize {
                let stream = next(&mut partitions).await;
                assert!(streams.insert(stream.place().partition, stream).is_none());
            }
            for stream in streams.values_mut() {
                reads_on(stream, 0).await;
            }
            drop(streams);
            partitions.shutdown(LONG).await.unwrap();
            assert_eq!(committed(&cluster, &group).await, i64::from(RECORDS));
            done
        })
        .await;
    }
}

#[tokio::test]
async fn a_dropped_call_for_a_streams_records_takes_none_with_it() {
    let cluster = filled().await;
    at_each_await(async |polls| {
        let consumer = member(&cluster, &group(), GroupProtocol::Consumer);
        let mut partitions = consumer.build().await.unwrap().partitions();
        let mut streams = all(&mut partitions).await;
        let mut one = streams.remove(&0).unwrap();
        let record = drop_after(polls, one.next()).await;
        let record = record.map(|record| record.unwrap().unwrap());
        assert_eq!(record.as_ref().map_or(0, |record| record.offset()), 0);
        reads_on(&mut one, i64::from(record.is_some())).await;
        let mut other = streams.remove(&1).unwrap();
        let batch = drop_after(polls, other.next_batch()).await;
        let from = batch.as_ref().map_or(0, |batch| {
            batch.as_ref().unwrap().as_ref().unwrap().next_offset()
        });
        reads_on(&mut other, from).await;
        record.is_some() && batch.is_some()
    })
    .await;
}

#[tokio::test]
async fn a_dropped_commit_of_marks_is_made_all_the_same() {
    let cluster = filled().await;
    at_each_await(async |polls| {
        let id = group();
        let consumer = member(&cluster, &id, GroupProtocol::Consumer);
        let mut partitions = consumer.build().await.unwrap().partitions();
        for stream in all(&mut partitions).await.values_mut() {
            reads_on(stream, 0).await;
        }
        let done = drop_after(polls, partitions.commit()).await;
        let group = partitions.group().unwrap();
        group.commit([(place(0), 1)]).await.unwrap();
        let begun = if polls > 0 { HALF } else { 0 };
        assert_eq!(committed(&cluster, &id).await, 1 + begun);
        done.is_some()
    })
    .await;
}

#[tokio::test]
async fn a_dropped_wait_for_the_end_of_a_stream_may_be_begun_again() {
    let cluster = filled().await;
    let consumer = member(&cluster, &group(), GroupProtocol::Consumer);
    let mut partitions = consumer.build().await.unwrap().partitions();
    let mut streams = all(&mut partitions).await;
    let mut stream = streams.remove(&0).unwrap();
    assert!(drop_after(1, stream.revoked()).await.is_none());
    drop(streams);
    reads_on(&mut stream, 0).await;
    let revoked = stream.revoked();
    let ends = async {
        revoked.await;
        assert!(stream.next().await.unwrap().is_none());
    };
    let (left, ()) = tokio::join!(partitions.shutdown(LONG), ends);
    left.unwrap();
}

#[tokio::test]
async fn a_dropped_shutdown_ends_the_streams_and_leaves_the_group() {
    let cluster = filled().await;
    at_each_await(async |polls| {
        let group = group();
        let consumer = member(&cluster, &group, GroupProtocol::Consumer);
        let mut partitions = consumer.build().await.unwrap().partitions();
        let mut streams = all(&mut partitions).await;
        for stream in streams.values_mut() {
            reads_on(stream, 0).await;
        }
        let done = drop_after(polls, partitions.shutdown(LONG)).await;
        for stream in streams.values_mut() {
            let end = timeout(LONG, stream.next()).await.expect("it ends");
            assert!(end.unwrap().is_none());
        }
        let heir = member(&cluster, &group, GroupProtocol::Consumer);
        let mut heirs = heir.build().await.unwrap().partitions();
        let has_all = timeout(LONG / 4, all(&mut heirs)).await;
        drop(has_all.expect("it has left"));
        heirs.shutdown(LONG).await.unwrap();
        done.is_some()
    })
    .await;
}
