//! Every future of a consumer, of a member of a group and of a handler's session, dropped at each of its awaits in turn: nothing
//! is lost, nothing comes twice, and whoever is asked again answers. The producer's are in `producer/cancel.rs`.
#![allow(clippy::unwrap_used)]

mod consumer;
#[path = "../support/drop_after.rs"]
mod drop_after;
mod group;
mod handler;
mod partitions;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use highwater::testing::TestCluster;
use highwater::{
    Commit, Consumer, ConsumerBuilder, ConsumerRecord, GroupProtocol, OffsetReset, Record,
    TopicPartition,
};
use tokio::time::timeout;

use self::drop_after::drop_after;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
/// More awaits than any call has.
const POLLS_MAX: usize = 1000;
const PARTITIONS: i32 = 2;
const RECORDS: u32 = 20;

/// Drops what `call` awaits after 0, 1, 2... polls, until it is not dropped any more.
async fn at_each_await(mut call: impl AsyncFnMut(usize) -> bool) {
    for polls in 0..POLLS_MAX {
        if call(polls).await {
            return;
        }
    }
    panic!("it is still not done");
}

/// A cluster with numbered records, spread evenly over the partitions of `t`.
async fn filled() -> TestCluster {
    let cluster = TestCluster::builder().topic("t", PARTITIONS);
    let cluster = cluster.start().await.unwrap();
    let producer = cluster.client().producer().build().await.unwrap();
    for number in 0..RECORDS {
        let partition = number.cast_signed() % PARTITIONS;
        let value = number.to_be_bytes();
        let record = Record::to("t").partition(partition).value(&value);
        producer.send(record).await.unwrap();
    }
    cluster
}

/// A group that nobody else has.
fn group() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("g{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

const PROTOCOLS: [GroupProtocol; 2] = [GroupProtocol::Classic, GroupProtocol::Consumer];

/// A member that commits by itself only when partitions go.
fn member(cluster: &TestCluster, group: &str, protocol: GroupProtocol) -> ConsumerBuilder {
    let consumer = cluster.client().consumer().group(group).subscribe(["t"]);
    let every = Duration::from_secs(3600);
    let consumer = consumer.commit(Commit::Watermark { every });
    let consumer = consumer.offset_reset(OffsetReset::Earliest);
    consumer.configure(|config| config.group.protocol = protocol)
}

fn place(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn places() -> Vec<TopicPartition> {
    (0..PARTITIONS).map(place).collect()
}

fn number(record: &ConsumerRecord) -> u32 {
    u32::from_be_bytes(record.value().unwrap().try_into().unwrap())
}

/// Reads on until every number was seen; none was seen before.
async fn reads_the_rest(consumer: &mut Consumer, seen: &mut BTreeSet<u32>) {
    while seen.len() < RECORDS as usize {
        let record = timeout(LONG, consumer.next()).await.expect("there is more");
        let record = record.unwrap().unwrap();
        assert!(seen.insert(number(&record)), "once");
        record.done();
    }
}

/// What a group has committed, over all partitions.
async fn committed(cluster: &TestCluster, group: &str) -> i64 {
    let admin = cluster.client().admin();
    let offsets = admin.group_offsets(group, None).await.unwrap();
    let offsets = offsets.into_values().filter_map(Result::unwrap);
    offsets.map(|it| it.offset).sum()
}
