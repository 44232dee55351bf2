//! Typed records against our own engine, in this process; or, with `HIGHWATER_BOOTSTRAP=host:port`, against any Kafka.
#![allow(clippy::unwrap_used)]

#[path = "support/host.rs"]
mod host;

use std::time::Duration;

use highwater::admin::NewTopic;
use highwater::typed::{BigEndian, Deserializer, Json, Nullable, Origin, Utf8};
use highwater::{
    BoxError, Client, Commit, Consumer, ConsumerRecord, ErrorKind, OffsetReset, OnBadRecord,
    Record, Start, TypedConsumer, TypedProducer,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use host::{Host, unique};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A cluster for one test, with a topic of one partition and one for dead letters.
struct Peer {
    client: Client,
    topic: String,
    letters: String,
    _host: Host,
}

impl Peer {
    async fn start() -> Self {
        let host = Host::start(&[]);
        let topic = unique("typed");
        let letters = format!("{topic}.DLT");
        let client = Client::builder(host.bootstrap()).connect().await.unwrap();
        let topics = [&topic, &letters].map(|name| NewTopic::new(name).partitions(1));
        for created in client.admin().create_topics(topics).await.unwrap().values() {
            created.as_ref().unwrap();
        }
        Self {
            client,
            topic,
            letters,
            _host: host,
        }
    }

    async fn producer<K: ?Sized, V: ?Sized>(
        &self,
        key: impl highwater::Serializer<K> + 'static,
        value: impl highwater::Serializer<V> + 'static,
    ) -> TypedProducer<K, V> {
        self.client
            .producer()
            .build()
            .await
            .unwrap()
            .typed(key, value)
    }

    async fn consumer(&self, topic: &str) -> Consumer {
        let consumer = self.client.consumer().assign(topic, 0, Start::Earliest);
        consumer.build().await.unwrap()
    }
}

async fn next<K, V>(consumer: &mut TypedConsumer<K, V>) -> highwater::Result<(K, V, i64)> {
    let next = timeout(LONG, consumer.next())
        .await
        .expect("a record comes");
    let (key, value, record) = next?.unwrap().into_parts();
    Ok((key, value, record.offset()))
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    customer: String,
    cents: u64,
}

#[tokio::test]
async fn typed_records_come_back_as_they_were_tombstones_too() {
    let peer = Peer::start().await;
    let producer: TypedProducer<str, Option<Order>> =
        peer.producer(Utf8, Nullable(Json::<Order>::new())).await;
    let order = Order {
        customer: "grüße".to_owned(),
        cents: 7,
    };
    let header = |record: Record<'static>| record.header("trace", "ab12");
    let topic: &'static str = peer.topic.clone().leak();
    let wanted = Some(order.clone());
    let placed = producer
        .send(header(Record::to(topic)), "a", &wanted)
        .await
        .unwrap();
    producer.send(Record::to(topic), "a", &None).await.unwrap();
    let consumer = peer.consumer(&peer.topic).await;
    let mut consumer: TypedConsumer<String, Option<Order>> =
        consumer.typed(Utf8, Nullable(Json::<Order>::new()), OnBadRecord::Fail);
    let record = timeout(LONG, consumer.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!((record.key().as_str(), record.value()), ("a", &Some(order)));
    assert_eq!(Some(record.record().offset()), placed.offset);
    let headers: Vec<_> = record.record().headers().collect();
    assert_eq!(headers[0].value, Some(&b"ab12"[..]));
    assert_eq!(
        next(&mut consumer).await.unwrap(),
        ("a".to_owned(), None, 1)
    );
}

#[tokio::test]
async fn a_record_that_can_not_be_written_is_not_sent() {
    let peer = Peer::start().await;
    let numbers: TypedProducer<str, f64> = peer.producer(Utf8, Odd).await;
    let refused = numbers
        .send(Record::to(&peer.topic), "a", &2.0)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::Serialization);
    assert!(!refused.is_retriable() && !refused.is_fatal());
    assert!(refused.to_string().contains("not odd"), "{refused}");
    let placed = numbers
        .send(Record::to(&peer.topic), "a", &3.0)
        .await
        .unwrap();
    assert_eq!(placed.offset, Some(0));
}

/// Odd numbers only.
struct Odd;

impl highwater::Serializer<f64> for Odd {
    fn serialize(&self, topic: &str, value: &f64, into: &mut Vec<u8>) -> Result<(), BoxError> {
        into.extend(b"unfinished");
        if value % 2.0 == 0.0 {
            return Err("not odd".into());
        }
        into.clear();
        BigEndian.serialize(topic, value, into)
    }
}

/// Puts 1, "two", 3 into the topic; only the first and the last are numbers.
async fn one_bad(peer: &Peer) {
    let producer = peer.client.producer().build().await.unwrap();
    let record = || Record::to(&peer.topic).key("k");
    producer
        .send(record().value(&1i32.to_be_bytes()))
        .await
        .unwrap();
    let bad = record().value("not a number").header("trace", "ab12");
    producer.send(bad).await.unwrap();
    producer
        .send(record().value(&3i32.to_be_bytes()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_bad_record_fails_until_it_is_passed_over_or_sought_past() {
    let peer = Peer::start().await;
    one_bad(&peer).await;
    let consumer = peer.consumer(&peer.topic).await;
    let mut consumer: TypedConsumer<String, i32> =
        consumer.typed(Utf8, BigEndian, OnBadRecord::Fail);
    assert_eq!(next(&mut consumer).await.unwrap().1, 1);
    let mut place = None;
    for _ in 0..2 {
        let error = next(&mut consumer).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Serialization);
        assert_eq!(error.offset(), Some(1));
        place = error.topic_partition().cloned();
    }
    let place = place.unwrap();
    assert_eq!((&*place.topic, place.partition), (&*peer.topic, 0));
    consumer.pass_over();
    assert_eq!(next(&mut consumer).await.unwrap().1, 3);
    let behind = consumer.consumer();
    behind.seek(&place, Start::Offset(1)).unwrap();
    next(&mut consumer).await.unwrap_err();
    let behind = consumer.consumer();
    behind.seek(&place, Start::Offset(2)).unwrap();
    assert_eq!(next(&mut consumer).await.unwrap().1, 3);
}

#[tokio::test]
async fn a_bad_record_comes_again_after_a_shutdown_by_either_strategy() {
    let every = LONG;
    for commit in [Commit::Watermark { every }, Commit::OnPoll { every }] {
        let peer = Peer::start().await;
        one_bad(&peer).await;
        let consumer = peer
            .client
            .consumer()
            .group(&peer.topic)
            .subscribe([&peer.topic]);
        let consumer = consumer.offset_reset(OffsetReset::Earliest).commit(commit);
        let consumer = consumer.build().await.unwrap();
        let mut consumer: TypedConsumer<String, i32> =
            consumer.typed(Utf8, BigEndian, OnBadRecord::Fail);
        let record = timeout(LONG, consumer.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        record.done();
        next(&mut consumer).await.unwrap_err();
        consumer.shutdown(LONG).await.unwrap();
        let offsets = peer
            .client
            .admin()
            .group_offsets(&peer.topic, None)
            .await
            .unwrap();
        let offset = offsets.into_values().next().unwrap().unwrap();
        assert_eq!(offset.map(|it| it.offset), Some(1), "{commit:?}");
    }
}

#[tokio::test]
async fn a_bad_record_is_skipped_where_that_is_asked_for() {
    let peer = Peer::start().await;
    one_bad(&peer).await;
    let consumer = peer.consumer(&peer.topic).await;
    let mut consumer: TypedConsumer<String, i32> =
        consumer.typed(Utf8, BigEndian, OnBadRecord::Skip);
    assert_eq!(next(&mut consumer).await.unwrap().1, 1);
    assert_eq!(next(&mut consumer).await.unwrap().1, 3);
}

#[tokio::test]
async fn a_bad_record_becomes_a_dead_letter_that_tells_where_it_was() {
    let peer = Peer::start().await;
    one_bad(&peer).await;
    let consumer = peer.consumer(&peer.topic).await;
    let on_bad = OnBadRecord::DeadLetter(peer.letters.clone());
    let mut consumer: TypedConsumer<String, i32> = consumer.typed(Utf8, BigEndian, on_bad);
    assert_eq!(next(&mut consumer).await.unwrap().1, 1);
    assert_eq!(next(&mut consumer).await.unwrap().1, 3);
    let mut letters = peer.consumer(&peer.letters).await;
    let letter = timeout(LONG, letters.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(
        (letter.key(), letter.value()),
        (Some(&b"k"[..]), Some(&b"not a number"[..]))
    );
    let header = |name| header(&letter, name);
    assert_eq!(header("trace"), b"ab12");
    assert_eq!(header("kafka_dlt-original-topic"), peer.topic.as_bytes());
    assert_eq!(header("kafka_dlt-original-partition"), [0; 4]);
    assert_eq!(header("kafka_dlt-original-offset"), 1i64.to_be_bytes());
    assert_eq!(header("kafka_dlt-original-timestamp-type"), b"CreateTime");
    assert_eq!(header("__connect.errors.offset"), b"1");
    assert_eq!(header("__connect.errors.stage"), b"VALUE_CONVERTER");
    let message = String::from_utf8(header("kafka_dlt-exception-message")).unwrap();
    assert!(message.contains("there are 12 bytes, need 4"), "{message}");
}

fn header(record: &ConsumerRecord, name: &str) -> Vec<u8> {
    let mut named = record.headers().filter(|it| it.key_str() == Some(name));
    let one = named.next().unwrap_or_else(|| panic!("{name} is there"));
    assert_eq!(named.next(), None, "{name} is there once");
    one.value.unwrap().to_vec()
}

#[tokio::test]
async fn a_format_of_one_s_own_sees_topic_and_headers() {
    struct ByHeader;
    impl Deserializer<i64> for ByHeader {
        fn deserialize(&self, origin: &Origin<'_>, bytes: &[u8]) -> Result<i64, BoxError> {
            assert!(origin.topic().starts_with("typed-"));
            match origin.header("as") {
                Some(b"text") => Utf8.deserialize(origin, bytes),
                _ => BigEndian.deserialize(origin, bytes),
            }
        }
    }
    let peer = Peer::start().await;
    let producer = peer.client.producer().build().await.unwrap();
    let text = Record::to(&peer.topic)
        .key("k")
        .value("17")
        .header("as", "text");
    producer.send(text).await.unwrap();
    let plain = 18i64.to_be_bytes();
    let plain = Record::to(&peer.topic).key("k").value(&plain);
    producer.send(plain).await.unwrap();
    let consumer = peer.consumer(&peer.topic).await;
    let mut consumer: TypedConsumer<String, i64> =
        consumer.typed(Utf8, ByHeader, OnBadRecord::Fail);
    assert_eq!(next(&mut consumer).await.unwrap().1, 17);
    assert_eq!(next(&mut consumer).await.unwrap().1, 18);
}
