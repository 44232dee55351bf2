//! Ingests meter readings by ranges of keys: each partition holds neighbours, so that who reads it can write them in order.
//! Where one range gets too much, it is split while the ingest goes on.
//!
//! ```text
//! cargo run -p highwater --example range_ingest -- 127.0.0.1:9092
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use highwater::partitioner::{RangeMap, RangePartitioner};
use highwater::{Client, Error, Record, Result};

/// Readings that are handed over at once: one of each meter.
const BATCH: u32 = 1000;

/// Above this, the fullest range has half as much again as the mean.
const SKEW_MAX: f64 = 1.5;

/// What came of the readings.
#[derive(Debug, Default, PartialEq)]
pub struct Ingested {
    /// Readings by partition.
    pub readings: BTreeMap<i32, u32>,
    /// How uneven the ranges were before one was split, if one was.
    pub skew: Option<f64>,
    /// The version of the map at the end: 1 more for each split.
    pub map_version: u64,
}

/// Sends so many readings of a thousand meters to the topic `readings`. The second half comes from a street full of new meters,
/// all in one range.
pub async fn run(bootstrap: &str, readings: u32) -> Result<Ingested> {
    let client = Client::builder(bootstrap)
        .client_id("ingest")
        .connect()
        .await?;
    let partitions = client.partition_count("readings").await?;
    // Yesterday's keys say where the ranges should end.
    let sample: Vec<String> = (0..1000).map(|meter| format!("meter-{meter:04}")).collect();
    let map = RangeMap::from_sample(&sample, partitions.unsigned_abs());
    let ranges = Arc::new(RangePartitioner::new(map));
    let producer = client.producer().shared_partitioner(ranges.clone());
    let producer = producer.build().await?;
    let topic = producer.topic("readings").await?;
    let mut ingested = Ingested::default();
    for first in (0..readings).step_by(BATCH as usize) {
        let numbers = first..readings.min(first + BATCH);
        let readings: Vec<_> = numbers
            .map(|number| (key(number, readings), number.to_be_bytes()))
            .collect();
        let records = readings.iter();
        let records = records.map(|(key, value)| Record::new().key(key).value(value));
        let placed = topic.send_batch(records).await?;
        for placed in placed.iter() {
            *ingested.readings.entry(placed.partition).or_default() += 1;
        }
        let skew = ranges.skew().unwrap_or(1.0);
        if skew > SKEW_MAX && ingested.skew.is_none() {
            ingested.skew = Some(skew);
            split(&client, &ranges, topic.partition_count()).await?;
        }
    }
    ingested.map_version = ranges.map().version();
    producer.shutdown(Duration::from_secs(10)).await;
    Ok(ingested)
}

/// The meter that a reading is from.
fn key(number: u32, readings: u32) -> String {
    if number < readings / 2 {
        format!("meter-{:04}", number % 1000)
    } else {
        format!("meter-0100-{:04}", number % 1000)
    }
}

/// Gives half of the street to a partition of its own. Nothing is under way: every batch was waited for, so that no reading
/// comes to its new partition before older ones are in the old one.
async fn split(client: &Client, ranges: &RangePartitioner, partitions: i32) -> Result<()> {
    let grown = client
        .admin()
        .create_partitions([("readings", partitions + 1)]);
    for outcome in grown.await?.into_values() {
        outcome?;
    }
    match ranges.map().split(b"meter-0100-0500", partitions) {
        Ok(map) => ranges.replace(map),
        Err(error) => eprintln!("the map stays as it is: {error}"),
    }
    Ok::<(), Error>(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let bootstrap = std::env::args().nth(1);
    let bootstrap = bootstrap.unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    println!("{:?}", run(&bootstrap, 100_000).await?);
    Ok(())
}
