//! A record costs the producer no allocation: what is allocated is for batches, requests and growing
//! pages. Shown by an allocator that counts.
#![allow(clippy::unwrap_used)]

#[path = "support/counting.rs"]
mod counting;
#[allow(dead_code, reason = "time is for the benches")]
#[path = "../benches/support/cpu.rs"]
mod cpu;

use highwater::{Client, Record, TopicProducer};

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

const RECORDS: usize = 50_000;

/// Allocations of this thread, which runs the producer's tasks too, while `call` sends `RECORDS`
/// records and they are acknowledged.
async fn allocations(topic: &TopicProducer, call: impl AsyncFn(&TopicProducer)) -> usize {
    let before = counting::allocations();
    call(topic).await;
    topic.producer().flush().await;
    counting::allocations() - before
}

#[tokio::test]
async fn a_record_costs_no_allocation() {
    let cluster = cpu::null_cluster();
    let client = Client::builder(cluster.bootstrap());
    let client = client.connect().await.unwrap();
    let producer = client.producer().build().await.unwrap();
    let topic = producer.topic("null").await.unwrap();
    let value = vec![b'x'; 100];
    let record = || Record::new().value(&value);
    let one_by_one = async |topic: &TopicProducer| {
        for _ in 0..RECORDS {
            drop(topic.enqueue(record()).await.unwrap());
        }
    };
    let keyed = async |topic: &TopicProducer| {
        for number in 0..RECORDS {
            let key = number.to_be_bytes();
            drop(topic.enqueue(record().key(&key)).await.unwrap());
        }
    };
    let at_once = async |topic: &TopicProducer| {
        let records = (0..RECORDS).map(|_| record());
        let placed = topic.send_batch(records).await.unwrap();
        assert_eq!(placed.iter().count(), RECORDS);
    };
    // Pages are made once.
    one_by_one(&topic).await;
    producer.flush().await;
    let counts = [
        allocations(&topic, one_by_one).await,
        allocations(&topic, keyed).await,
        allocations(&topic, at_once).await,
    ];
    for count in counts {
        assert!(
            count * 50 <= RECORDS,
            "{count} allocations for {RECORDS} records; of all: {counts:?}"
        );
    }
}
