//! What a consumer commits, and the streams of its partitions, against our own engine in this process; or, with
//! `HIGHWATER_BOOTSTRAP=host:port`, against any Kafka.
#![allow(clippy::unwrap_used)]

#[path = "support/host.rs"]
mod host;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use highwater::admin::NewTopic;
use highwater::{
    Client, Commit, ConsumerBuilder, ConsumerRecord, OffsetReset, PartitionStream, Partitions,
    Rebalance, Record, Start, TopicPartition,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use host::{Host, unique};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(10);

/// A cluster for one test, with a topic of four partitions and a group.
struct Peer {
    client: Client,
    topic: String,
    group: String,
    _host: Host,
}

impl Peer {
    async fn start() -> Self {
        let host = Host::start(&[("offsets.topic.num.partitions", "3")]);
        let name = unique("commits");
        let client = Client::builder(host.bootstrap()).connect().await.unwrap();
        let topic = NewTopic::new(&name).partitions(4);
        let created = client.admin().create_topics([topic]).await.unwrap();
        created[&name].as_ref().unwrap();
        Self {
            client,
            group: format!("g-{name}"),
            topic: name,
            _host: host,
        }
    }

    /// Puts so many records into each of the four partitions.
    async fn produce(&self, records: usize) {
        let producer = self.client.producer().build().await.unwrap();
        let mut acks = Vec::new();
        for index in 0..records * 4 {
            let partition = i32::try_from(index % 4).unwrap();
            let record = Record::to(&self.topic).partition(partition).value("v");
            acks.push(producer.enqueue(record).await.unwrap());
        }
        for ack in acks {
            ack.await.unwrap();
        }
    }

    fn member(&self, commit: Commit) -> ConsumerBuilder {
        let builder = self.client.consumer().group(&self.group).commit(commit);
        builder
            .subscribe([&self.topic])
            .offset_reset(OffsetReset::Earliest)
            .configure(|config| config.group.heartbeat_interval = Duration::from_millis(50))
    }

    fn place(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), partition)
    }

    /// What the group has committed of each partition.
    async fn committed(&self) -> Vec<i64> {
        let admin = self.client.admin();
        let mut offsets = admin.group_offsets(&self.group, None).await.unwrap();
        let committed = (0..4).map(|partition| match offsets.remove(&self.place(partition)) {
            Some(committed) => committed.unwrap().map_or(0, |it| it.offset),
            None => 0,
        });
        committed.collect()
    }
}

fn watermark() -> Commit {
    // Only when it is asked for, or at the end.
    Commit::Watermark { every: LONG }
}

async fn assigned(partitions: &mut Partitions, count: usize) -> Vec<PartitionStream> {
    let mut streams = Vec::new();
    while streams.len() < count {
        let next = timeout(LONG, partitions.next()).await;
        streams.push(next.expect("a partition comes").unwrap().unwrap());
    }
    streams.sort_by(|a, b| a.place().cmp(b.place()));
    streams
}

async fn take(stream: &mut PartitionStream, count: usize) -> Vec<ConsumerRecord> {
    let mut records = Vec::new();
    while records.len() < count {
        let next = timeout(LONG, stream.next()).await;
        records.push(next.expect("a record comes").unwrap().unwrap());
    }
    records
}

#[tokio::test]
async fn only_what_is_done_without_a_gap_is_committed() {
    let peer = Peer::start().await;
    peer.produce(10).await;
    let mut consumer = peer.member(watermark()).build().await.unwrap();
    let mut records: BTreeMap<(i32, i64), ConsumerRecord> = BTreeMap::new();
    while records.len() < 40 {
        let record = timeout(LONG, consumer.next()).await.unwrap();
        let record = record.unwrap().unwrap();
        records.insert((record.partition(), record.offset()), record);
    }
    consumer.commit().await.unwrap();
    assert_eq!(peer.committed().await, [0, 0, 0, 0], "nothing is done");
    for place in [(0, 0), (0, 1), (0, 3), (2, 5)] {
        records.remove(&place).unwrap().done();
    }
    consumer.commit().await.unwrap();
    assert_eq!(peer.committed().await, [2, 0, 0, 0]);
    records.remove(&(0, 2)).unwrap().done();
    for offset in 0..10 {
        records.remove(&(1, offset)).unwrap().done();
    }
    consumer.shutdown(LONG).await.unwrap();
    assert_eq!(peer.committed().await, [4, 10, 0, 0]);
    // What comes after the partition was let go reaches nobody.
    records.into_values().for_each(ConsumerRecord::done);
    assert_eq!(peer.committed().await, [4, 10, 0, 0]);
}

#[tokio::test]
async fn watermarks_are_committed_by_themselves_while_nobody_asks_for_records() {
    let peer = Peer::start().await;
    peer.produce(5).await;
    let every = Duration::from_millis(20);
    let member = peer.member(Commit::Watermark { every });
    let mut consumer = member.build().await.unwrap();
    let mut seen = 0;
    while seen < 20 {
        let batch = timeout(LONG, consumer.next_batch()).await.unwrap();
        let batch = batch.unwrap().unwrap();
        seen += batch.len();
        batch.done();
    }
    let all = async {
        while peer.committed().await != [5, 5, 5, 5] {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, all).await.expect("it is committed");
    drop(consumer);
}

#[tokio::test]
async fn a_mark_from_before_a_seek_does_not_count() {
    let peer = Peer::start().await;
    peer.produce(10).await;
    let mut consumer = peer.client.consumer().group(&peer.group);
    consumer = consumer.assign(&peer.topic, 0, Start::Earliest);
    let mut consumer = consumer.commit(watermark()).build().await.unwrap();
    let batch = consumer.next_batch().await.unwrap().unwrap();
    consumer.seek(&peer.place(0), Start::Offset(0)).unwrap();
    let again = consumer.next().await.unwrap().unwrap();
    batch.done();
    consumer.commit().await.unwrap();
    assert_eq!(peer.committed().await, [0, 0, 0, 0]);
    again.done();
    consumer.commit().await.unwrap();
    assert_eq!(peer.committed().await, [1, 0, 0, 0]);
}

#[tokio::test]
async fn a_consumer_asks_where_partitions_begin_and_end_and_where_its_group_is() {
    let peer = Peer::start().await;
    peer.produce(10).await;
    let consumer = peer.client.consumer().group(&peer.group);
    let consumer = consumer.assign(&peer.topic, 0, Start::Earliest);
    let mut consumer = consumer.commit(Commit::Manual).build().await.unwrap();
    let both = || [peer.place(0), peer.place(3)];
    let ends = consumer.end_offsets(both()).await.unwrap();
    assert_eq!(ends, both().map(|place| (place, 10)).into());
    let begins = consumer.beginning_offsets(both()).await.unwrap();
    assert_eq!(begins, both().map(|place| (place, 0)).into());
    let times = [(peer.place(0), 0), (peer.place(1), i64::MAX)];
    let found = consumer.offsets_for_times(times).await.unwrap();
    assert_eq!(found[&peer.place(0)].unwrap().offset, Some(0));
    assert_eq!(found[&peer.place(1)], None);
    consumer.next().await.unwrap();
    consumer.commit().await.unwrap();
    let committed = consumer.committed(both()).await.unwrap();
    let place = committed[&peer.place(0)].as_ref().unwrap();
    assert_eq!((place.offset, place.leader_epoch), (1, 0));
    assert_eq!(committed[&peer.place(3)], None);
}

#[tokio::test]
async fn each_batch_is_committed_when_the_next_is_asked_for() {
    let peer = Peer::start().await;
    peer.produce(10).await;
    let mut consumer = peer.member(Commit::EachBatch).build().await.unwrap();
    let first = timeout(LONG, consumer.next_batch()).await.unwrap();
    let first = first.unwrap().unwrap();
    let mut expected = [0; 4];
    let partition = usize::try_from(first.partition()).unwrap();
    assert_eq!(peer.committed().await, expected);
    timeout(LONG, consumer.next_batch()).await.unwrap().unwrap();
    // All that was enqueued before is committed with it.
    let group = consumer.group().unwrap();
    group
        .commit(BTreeMap::<TopicPartition, i64>::new())
        .await
        .unwrap();
    expected[partition] = first.next_offset();
    assert_eq!(peer.committed().await, expected);
}

#[tokio::test]
async fn the_listener_of_a_revocation_may_wait_for_marks() {
    let peer = Peer::start().await;
    peer.produce(3).await;
    let (sender, receiver) = mpsc::unbounded_channel::<ConsumerRecord>();
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(receiver));
    let member = peer.member(watermark()).on_rebalance(move |rebalance, _| {
        let receiver = std::sync::Arc::clone(&receiver);
        async move {
            if let Rebalance::Revoked(_) = rebalance {
                let mut receiver = receiver.lock().await;
                while let Ok(record) = receiver.try_recv() {
                    record.done();
                }
            }
        }
    });
    let mut consumer = member.build().await.unwrap();
    for _ in 0..12 {
        let record = timeout(LONG, consumer.next()).await.unwrap();
        sender.send(record.unwrap().unwrap()).unwrap();
    }
    consumer.shutdown(LONG).await.unwrap();
    assert_eq!(peer.committed().await, [3, 3, 3, 3]);
}

#[tokio::test]
async fn every_partition_that_comes_has_a_stream_of_its_own() {
    let peer = Peer::start().await;
    peer.produce(10).await;
    let consumer = peer.member(watermark()).build().await.unwrap();
    let mut partitions = consumer.partitions();
    let mut streams = assigned(&mut partitions, 4).await;
    // In any order, and one may stand still.
    for partition in [3usize, 1, 0] {
        let stream = &mut streams[partition];
        assert_eq!(
            *stream.place(),
            peer.place(i32::try_from(partition).unwrap())
        );
        for (offset, record) in (0..).zip(take(stream, 10).await) {
            assert_eq!((record.offset(), record.topic()), (offset, &*peer.topic));
            record.done();
        }
        assert_eq!(stream.high_watermark(), Some(10));
    }
    assert_eq!(partitions.position(&peer.place(3)), Some(10));
    drop(streams);
    partitions.shutdown(LONG).await.unwrap();
    assert_eq!(peer.committed().await, [10, 10, 0, 10]);
}

#[tokio::test]
async fn a_partition_goes_only_when_what_was_handed_out_is_done() {
    let peer = Peer::start().await;
    peer.produce(10).await;
    let mut old = peer.member(watermark()).build().await.unwrap().partitions();
    let mut streams = assigned(&mut old, 4).await;
    let mut held = Vec::new();
    for stream in &mut streams {
        held.extend(take(stream, 3).await);
    }
    let mut new = peer.member(watermark()).build().await.unwrap().partitions();
    // The range assignor takes two from the old one, and the eager protocol all of them first.
    let mut revoked = Box::pin(streams[0].revoked());
    let ended = async {
        tokio::select! {
            () = &mut revoked => {}
            it = old.next() => panic!("{it:?}"),
            it = new.next() => panic!("{it:?}"),
        }
    };
    timeout(LONG, ended)
        .await
        .expect("the partitions are wanted");
    for stream in &mut streams {
        assert!(
            stream.next().await.unwrap().is_none(),
            "the stream has ended"
        );
    }
    // Nobody gets anything as long as somebody works on it.
    for _ in 0..20 {
        assert!(timeout(SOON, old.next()).await.is_err());
        assert!(timeout(SOON, new.next()).await.is_err());
    }
    assert_eq!(peer.committed().await, [0, 0, 0, 0]);
    held.into_iter().for_each(ConsumerRecord::done);
    let both = async { tokio::join!(assigned(&mut old, 2), assigned(&mut new, 2)) };
    let (mut kept, mut given) = timeout(LONG, both).await.unwrap();
    assert_eq!(peer.committed().await, [3, 3, 3, 3]);
    let mut places = BTreeSet::new();
    for stream in kept.iter_mut().chain(&mut given) {
        assert_eq!(stream.initial_offset(), Some(3));
        assert_eq!(take(stream, 1).await[0].offset(), 3);
        places.insert(stream.place().clone());
    }
    assert_eq!(places.len(), 4);
}

#[tokio::test]
async fn a_stream_that_is_dropped_holds_nobody_up_and_commits_what_is_done() {
    let peer = Peer::start().await;
    peer.produce(10).await;
    let consumer = peer.member(watermark()).build().await.unwrap();
    let mut partitions = consumer.partitions();
    let mut streams = assigned(&mut partitions, 4).await;
    let mut records = take(&mut streams[2], 5).await;
    records.drain(..2).for_each(ConsumerRecord::done);
    drop(streams);
    partitions.shutdown(LONG).await.unwrap();
    assert_eq!(peer.committed().await, [0, 0, 2, 0]);
    records.into_iter().for_each(ConsumerRecord::done);
}

#[tokio::test]
async fn a_shutdown_waits_for_the_streams_no_longer_than_it_may() {
    let peer = Peer::start().await;
    peer.produce(10).await;
    let consumer = peer.member(watermark()).build().await.unwrap();
    let mut partitions = consumer.partitions();
    let mut streams = assigned(&mut partitions, 4).await;
    let mut held = take(&mut streams[1], 4).await;
    held.remove(0).done();
    partitions
        .shutdown(Duration::from_millis(400))
        .await
        .unwrap();
    assert_eq!(peer.committed().await, [0, 1, 0, 0]);
    assert!(streams[1].next().await.unwrap().is_none());
}

#[tokio::test]
async fn asking_a_stream_for_more_marks_what_it_gave_where_the_strategy_says_so() {
    let peer = Peer::start().await;
    peer.produce(10).await;
    let consumer = peer.member(Commit::OnPoll { every: LONG });
    let mut partitions = consumer.build().await.unwrap().partitions();
    let mut streams = assigned(&mut partitions, 4).await;
    drop(take(&mut streams[0], 4).await);
    let whole = streams[1].next_batch().await.unwrap().unwrap();
    drop(streams);
    partitions.shutdown(LONG).await.unwrap();
    assert_eq!(
        peer.committed().await,
        [3, 0, 0, 0],
        "the last one may be in work"
    );
    assert_eq!(whole.partition(), 1);
}

#[tokio::test]
async fn a_stream_is_sought_paused_and_resumed_from_outside() {
    let peer = Peer::start().await;
    peer.produce(10).await;
    let consumer = peer
        .client
        .consumer()
        .assign(&peer.topic, 0, Start::Earliest);
    let mut partitions = consumer.build().await.unwrap().partitions();
    let mut stream = partitions.next().await.unwrap().unwrap();
    assert!(partitions.next().await.unwrap().is_none(), "that was all");
    assert_eq!(take(&mut stream, 3).await[2].offset(), 2);
    partitions.seek(&peer.place(0), Start::Offset(8)).unwrap();
    assert_eq!(take(&mut stream, 1).await[0].offset(), 8);
    partitions.seek(&peer.place(0), Start::Earliest).unwrap();
    partitions.pause(&[peer.place(0)]);
    assert!(timeout(SOON, stream.next()).await.is_err());
    partitions.resume(&[peer.place(0)]);
    assert_eq!(take(&mut stream, 1).await[0].offset(), 0);
    drop(partitions);
    assert!(stream.next().await.unwrap().is_none());
}

#[tokio::test]
async fn dropping_calls_for_a_streams_records_loses_none() {
    let peer = Peer::start().await;
    peer.produce(100).await;
    let consumer = peer.member(watermark()).build().await.unwrap();
    let mut partitions = consumer.partitions();
    let mut streams = assigned(&mut partitions, 4).await;
    let mut offset = 0;
    while offset < 100 {
        if let Ok(record) = timeout(Duration::from_micros(50), streams[0].next()).await {
            assert_eq!(record.unwrap().unwrap().offset(), offset);
            offset += 1;
        }
    }
}
