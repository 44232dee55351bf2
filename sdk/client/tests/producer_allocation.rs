//! A record costs the producer no allocation: what is allocated is for batches, requests and growing
//! pages. Shown by an allocator that counts.
#![allow(clippy::unwrap_used)]
#![allow(unsafe_code)] // an allocator that counts is one

#[allow(dead_code, reason = "time is for the benches")]
#[path = "../benches/support/cpu.rs"]
mod cpu;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use highwater::{Client, Record, TopicProducer};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts the allocations of each thread.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; the counter is a plain cell that needs no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(place, layout, bytes) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const RECORDS: usize = 50_000;

/// Allocations of this thread, which runs the producer's tasks too, while `call` sends `RECORDS`
/// records and they are acknowledged.
async fn allocations(topic: &TopicProducer, call: impl AsyncFn(&TopicProducer)) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    call(topic).await;
    topic.producer().flush().await;
    ALLOCATIONS.with(Cell::get) - before
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
