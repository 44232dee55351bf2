//! A record costs the consumer no allocation, lent or owned, marked or not: what is allocated is for batches and answers. Shown
//! by an allocator that counts.
#![allow(clippy::unwrap_used)]

#[path = "support/counting.rs"]
mod counting;
#[allow(dead_code, reason = "time is for the benches")]
#[path = "../benches/support/cpu.rs"]
mod cpu;

use std::time::Duration;

use highwater::{Client, Commit, Compression, Consumer, Start};
use highwater_record::{BatchBuilder, Compressor};

#[global_allocator]
static COUNTING: counting::Counting = counting::Counting;

const RECORDS: usize = 100_000;

/// Batches of about 64 KiB, of records of 100 bytes with a header.
fn canned() -> Vec<u8> {
    let (mut out, mut compressor) = (Vec::new(), Compressor::new());
    let value = vec![b'x'; 100];
    let header = highwater::HeaderField::new("trace", Some(b"0123"));
    while out.len() < 1 << 20 {
        let mut builder = BatchBuilder::new();
        while builder.len() < 64 << 10 {
            let headers = std::slice::from_ref(&header);
            builder
                .append(0, Some(b"key"), Some(&value), headers)
                .unwrap();
        }
        builder
            .finish(&mut compressor, &Compression::NONE, &mut out)
            .unwrap();
    }
    out
}

async fn lend(consumer: &mut Consumer, marks: bool) {
    let mut seen = 0;
    while seen < RECORDS {
        let batch = consumer.next_batch().await.unwrap().unwrap();
        let bytes: usize = batch
            .iter()
            .map(|record| record.value().unwrap().len())
            .sum();
        assert_eq!(bytes, 100 * batch.len());
        seen += batch.len();
        if marks {
            batch.done();
        }
    }
}

async fn own(consumer: &mut Consumer, marks: bool) {
    for _ in 0..RECORDS {
        let record = consumer.next().await.unwrap().unwrap();
        assert_eq!(record.headers().len(), 1);
        if marks {
            record.done();
        }
    }
}

#[tokio::test]
async fn a_record_costs_no_allocation() {
    let cluster = cpu::null_cluster();
    cluster.serve_always(canned().into());
    let client = Client::builder(cluster.bootstrap());
    let client = client.connect().await.unwrap();
    let every = Duration::from_secs(3600);
    let consumer = client.consumer().group("nobody");
    let consumer = consumer.commit(Commit::Watermark { every });
    let consumer = consumer.assign_topic("null", Start::Offset(0));
    let mut consumer = consumer.build().await.unwrap();
    lend(&mut consumer, true).await;
    let mut counts = Vec::new();
    for marks in [false, true] {
        let before = counting::allocations();
        lend(&mut consumer, marks).await;
        let between = counting::allocations();
        own(&mut consumer, marks).await;
        let after = counting::allocations();
        counts.extend([between - before, after - between]);
    }
    for count in &counts {
        assert!(
            count * 50 <= RECORDS,
            "{count} allocations for {RECORDS} records; of all: {counts:?}"
        );
    }
}
