//! Each client consuming: `records` records of the source's partitions, the length of every value looked at. Each is used as its
//! documentation says it is fastest, and configured alike; checksums are checked by all.

use std::collections::HashMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rdkafka::Message;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, StreamConsumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::arguments::{Client, Settings};
use crate::null::SOURCE;
use crate::run::Sample;
use crate::{Result, cpu};

/// `max.partition.fetch.bytes` and `fetch.max.bytes`: Java's defaults.
const PARTITION_BYTES: i32 = 1 << 20;
const FETCH_BYTES: i32 = 50 << 20;
/// How long to wait for records at most: they are always there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures one client.
pub(crate) async fn measure(
    client: Client,
    bootstrap: SocketAddr,
    settings: &Settings,
) -> Result<Sample> {
    match client {
        Client::Highwater => highwater(bootstrap, settings, false).await,
        Client::HighwaterBatch => highwater(bootstrap, settings, true).await,
        Client::Rdkafka => rdkafka(bootstrap, settings),
        Client::RdkafkaAsync => rdkafka_async(bootstrap, settings).await,
        Client::Krafka => krafka(bootstrap, settings).await,
        Client::ConfluentKafka => confluent(bootstrap, settings).await,
    }
}

/// Counts records, starts the clocks behind the warm-up, and stops them behind the last.
struct Count {
    warm_up: u64,
    records: u64,
    seen: u64,
    bytes: usize,
    started: Option<(u64, Duration, Instant)>,
}

impl Count {
    fn new(settings: &Settings) -> Self {
        Self {
            warm_up: settings.warm_up,
            records: settings.records,
            seen: 0,
            bytes: 0,
            started: None,
        }
    }

    /// Takes so many records with so many bytes of values; says whether these were the last.
    fn take(&mut self, records: u64, bytes: usize) -> Option<Sample> {
        self.seen += records;
        self.bytes += bytes;
        match self.started {
            None if self.seen >= self.warm_up => {
                self.started = Some((self.seen, cpu::used(), Instant::now()));
                None
            }
            Some((seen, cpu, wall)) if self.seen - seen >= self.records => {
                black_box(self.bytes);
                let (cpu, wall) = (cpu::used() - cpu, wall.elapsed());
                Some(Sample::new(self.seen - seen, cpu, wall))
            }
            None | Some(_) => None,
        }
    }
}

async fn highwater(bootstrap: SocketAddr, settings: &Settings, batches: bool) -> Result<Sample> {
    let client = highwater::Client::builder(bootstrap.to_string())
        .connect()
        .await?;
    let start = highwater::Start::Earliest;
    let consumer = client
        .consumer()
        .assign_topic(SOURCE, start)
        .configure(|config| {
            config.partition_fetch_bytes_max = PARTITION_BYTES;
            config.fetch_bytes_max = FETCH_BYTES;
        });
    let mut consumer = consumer.build().await?;
    let mut count = Count::new(settings);
    loop {
        let sample = if batches {
            let batch = consumer.next_batch().await?.ok_or("it ended")?;
            let values = batch
                .iter()
                .map(|record| record.value().map_or(0, <[u8]>::len));
            let bytes = values.sum();
            count.take(u64::try_from(batch.len())?, bytes)
        } else {
            let record = consumer.next().await?.ok_or("it ended")?;
            count.take(1, record.value().map_or(0, <[u8]>::len))
        };
        if let Some(sample) = sample {
            return Ok(sample);
        }
    }
}

fn rdkafka_config(bootstrap: SocketAddr) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap.to_string())
        // It wants one, and does not join it.
        .set("group.id", "nobody")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("check.crcs", "true")
        .set("max.partition.fetch.bytes", PARTITION_BYTES.to_string())
        .set("fetch.max.bytes", FETCH_BYTES.to_string());
    config
}

fn rdkafka_assignment(settings: &Settings) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for partition in 0..settings.partitions {
        list.add_partition_offset(SOURCE, partition, Offset::Offset(0))?;
    }
    Ok(list)
}

fn rdkafka(bootstrap: SocketAddr, settings: &Settings) -> Result<Sample> {
    let consumer: BaseConsumer = rdkafka_config(bootstrap).create()?;
    consumer.assign(&rdkafka_assignment(settings)?)?;
    let mut count = Count::new(settings);
    loop {
        let message = consumer.poll(PATIENCE).ok_or("no record came")??;
        if let Some(sample) = count.take(1, message.payload().map_or(0, <[u8]>::len)) {
            return Ok(sample);
        }
    }
}

async fn rdkafka_async(bootstrap: SocketAddr, settings: &Settings) -> Result<Sample> {
    let consumer: StreamConsumer = rdkafka_config(bootstrap).create()?;
    consumer.assign(&rdkafka_assignment(settings)?)?;
    let mut count = Count::new(settings);
    loop {
        let message = consumer.recv().await?;
        if let Some(sample) = count.take(1, message.payload().map_or(0, <[u8]>::len)) {
            return Ok(sample);
        }
    }
}

async fn krafka(bootstrap: SocketAddr, settings: &Settings) -> Result<Sample> {
    let kafka = krafka::Kafka::builder(bootstrap.to_string())
        .connect()
        .await?;
    let consumer = kafka
        .consumer_without_group()
        .auto_offset_reset(krafka::consumer::AutoOffsetReset::Earliest)
        .max_partition_fetch_bytes(PARTITION_BYTES)
        .fetch_max_bytes(FETCH_BYTES)
        .max_poll_records(i32::try_from(settings.poll_records)?)
        .max_buffered_records(0)
        .metrics_push(false)
        .build()
        .await?;
    consumer
        .assign(SOURCE, (0..settings.partitions).collect())
        .await?;
    let mut count = Count::new(settings);
    loop {
        let records = consumer.poll(PATIENCE).await?;
        let values = records
            .iter()
            .map(|it| it.value.as_ref().map_or(0, bytes::Bytes::len));
        if let Some(sample) = count.take(u64::try_from(records.len())?, values.sum()) {
            return Ok(sample);
        }
    }
}

async fn confluent(bootstrap: SocketAddr, settings: &Settings) -> Result<Sample> {
    use confluent_kafka::common::TopicPartition;
    use confluent_kafka::common::serialization::BytesDeserializer;
    use confluent_kafka::consumer::{Consumer, ConsumerConfig, KafkaConsumer};

    let properties = HashMap::from([
        ("bootstrap.servers", bootstrap.to_string()),
        ("group.protocol", "consumer".to_owned()),
        ("auto.offset.reset", "earliest".to_owned()),
        ("enable.auto.commit", "false".to_owned()),
        ("check.crcs", "true".to_owned()),
        ("max.poll.records", settings.poll_records.to_string()),
        ("max.partition.fetch.bytes", PARTITION_BYTES.to_string()),
        ("fetch.max.bytes", FETCH_BYTES.to_string()),
    ]);
    let properties = properties
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let config = ConsumerConfig::new(&properties.collect())?;
    let mut consumer = KafkaConsumer::<bytes::Bytes, bytes::Bytes>::new(
        config,
        BytesDeserializer::new(),
        BytesDeserializer::new(),
    )?;
    let places = (0..settings.partitions).map(|it| TopicPartition::new(SOURCE, it));
    consumer.assign(places.collect()).await?;
    let mut count = Count::new(settings);
    loop {
        let records = consumer.poll(PATIENCE).await?;
        let values = records
            .into_iter()
            .map(|it| it.value().map_or(0, bytes::Bytes::len));
        let (mut taken, mut bytes) = (0, 0);
        for value in values {
            taken += 1;
            bytes += value;
        }
        if let Some(sample) = count.take(taken, bytes) {
            return Ok(sample);
        }
    }
}
