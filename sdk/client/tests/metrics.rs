//! What is counted, as a recorder sees it.
#![cfg(all(feature = "metrics", feature = "test-engine"))]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use highwater::testing::TestCluster;
use highwater::{Record, Start};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// Counters and gauges as they are, histograms by how often something was recorded.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<BTreeMap<String, Arc<Cell>>>>);

#[derive(Default)]
struct Cell(AtomicU64);

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl HistogramFn for Cell {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        unreachable!("gauges are set");
    }

    fn decrement(&self, _: f64) {
        unreachable!("gauges are set");
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    fn set(&self, value: f64) {
        self.0.store(value as u64, Ordering::Relaxed);
    }
}

impl Seen {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels = key
            .labels()
            .map(|label| format!(" {}={}", label.key(), label.value()));
        let name = key.name().to_owned() + &labels.collect::<String>();
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    fn get(&self, name: &str) -> u64 {
        let cells = self.0.lock().unwrap();
        cells
            .get(name)
            .map_or(0, |cell| cell.0.load(Ordering::Relaxed))
    }
}

impl Recorder for Seen {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

#[tokio::test]
async fn records_batches_and_requests_are_counted_where_they_happen() {
    let seen = Seen::default();
    metrics::set_global_recorder(seen.clone()).ok().unwrap();
    let cluster = TestCluster::builder().topic("t", 1).start().await.unwrap();
    let client = cluster.client();
    let producer = client.producer().build().await.unwrap();
    for _ in 0..10 {
        producer.send(Record::to("t").value("v")).await.unwrap();
    }
    let consumer = client.consumer().assign("t", 0, Start::Earliest);
    let mut consumer = consumer.build().await.unwrap();
    for _ in 0..10 {
        consumer.next().await.unwrap().unwrap();
    }
    assert_eq!(seen.get("kafka_producer_record_send_total"), 10);
    assert_eq!(seen.get("kafka_producer_record_error_total"), 0);
    let batches = seen.get("kafka_producer_batch_size_bytes");
    assert_eq!(seen.get("kafka_client_request_total api=Produce"), batches);
    assert!((1..=10).contains(&batches), "{batches}");
    let free = seen.get("kafka_producer_buffer_available_bytes client_id=highwater");
    assert_eq!(free, 32 << 20, "all is settled");
    assert_eq!(
        seen.get("kafka_consumer_records_lag topic=t partition=0"),
        0
    );
    assert_eq!(seen.get("kafka_consumer_records_consumed_total"), 10);
    assert!(seen.get("kafka_client_request_latency_seconds api=Fetch") >= 1);
    assert!(seen.get("kafka_client_connection_creation_total") >= 1);
}
