//! A cluster with a topic and a group.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::admin::NewTopic;
use highwater::handler::GroupBuilder;
use highwater::{
    Assignor, Client, ConsumerRecord, GroupProtocol, OffsetReset, Record, TopicPartition,
};

use crate::host::{Host, unique};

pub(crate) const PARTITIONS: u32 = 4;

/// A cluster for one test, with topics of four partitions and a group.
pub(crate) struct Peer {
    pub(crate) client: Client,
    pub(crate) topic: String,
    pub(crate) group: String,
    _host: Host,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        let host = Host::start(&[
            ("group.min.session.timeout.ms", "500"),
            ("group.consumer.min.heartbeat.interval.ms", "20"),
            ("group.consumer.heartbeat.interval.ms", "50"),
            ("offsets.topic.num.partitions", "3"),
        ]);
        let topic = unique("handler");
        let client = Client::builder(host.bootstrap()).connect().await.unwrap();
        let peer = Self {
            client,
            group: format!("g-{topic}"),
            topic,
            _host: host,
        };
        peer.create(&peer.topic).await;
        peer
    }

    pub(crate) async fn create(&self, topic: &str) {
        let new = NewTopic::new(topic).partitions(PARTITIONS.cast_signed());
        let created = self.client.admin().create_topics([new]).await.unwrap();
        created[topic].as_ref().unwrap();
    }

    /// Another topic, made now.
    pub(crate) async fn another(&self, suffix: &str) -> String {
        let topic = format!("{}-{suffix}", self.topic);
        self.create(&topic).await;
        topic
    }

    /// Puts so many numbered records into the topic: `number % 10` is the key, and `number % 4` the partition.
    pub(crate) async fn produce(&self, numbers: std::ops::Range<u32>) {
        let producer = self.client.producer().build().await.unwrap();
        let mut acks = Vec::new();
        for number in numbers {
            let key = (number % 20).to_string();
            let value = number.to_be_bytes();
            let partition = i32::try_from(number % PARTITIONS).unwrap();
            let record = Record::to(&self.topic).partition(partition);
            acks.push(
                producer
                    .enqueue(record.key(&key).value(&value))
                    .await
                    .unwrap(),
            );
        }
        for ack in acks {
            ack.await.unwrap();
        }
    }

    pub(crate) fn group(&self) -> GroupBuilder {
        let group = self.client.group(&self.group).topics([&self.topic]);
        group.consumer(|consumer| {
            let consumer = consumer.offset_reset(OffsetReset::Earliest);
            let consumer = consumer.assignors([Assignor::CooperativeSticky]);
            consumer.configure(|config| {
                config.group.heartbeat_interval = Duration::from_millis(50);
                config.group.session_timeout = Duration::from_secs(6);
            })
        })
    }

    /// By KIP-848 where `of_the_new_kind`, else classic.
    pub(crate) fn group_of(&self, of_the_new_kind: bool) -> GroupBuilder {
        if !of_the_new_kind {
            return self.group();
        }
        let group = self.client.group(&self.group).topics([&self.topic]);
        group.consumer(|consumer| {
            let consumer = consumer.offset_reset(OffsetReset::Earliest);
            consumer.configure(|config| config.group.protocol = GroupProtocol::Consumer)
        })
    }

    pub(crate) fn place(&self, partition: u32) -> TopicPartition {
        TopicPartition::new(self.topic.as_str(), i32::try_from(partition).unwrap())
    }

    /// What the group has committed of the topic, by partition.
    pub(crate) async fn offsets(&self) -> BTreeMap<i32, (i64, String)> {
        let offsets = self
            .client
            .admin()
            .group_offsets(&self.group, None)
            .await
            .unwrap();
        let mine = offsets
            .into_iter()
            .filter(|(place, _)| *place.topic == *self.topic);
        mine.filter_map(|(place, it)| Some((place.partition, it.unwrap()?)))
            .map(|(partition, it)| (partition, (it.offset, it.metadata)))
            .collect()
    }

    pub(crate) async fn committed(&self) -> i64 {
        self.offsets()
            .await
            .values()
            .map(|(offset, _)| offset)
            .sum()
    }
}

pub(crate) fn number(record: &ConsumerRecord) -> u32 {
    u32::from_be_bytes(record.value().unwrap().try_into().unwrap())
}
