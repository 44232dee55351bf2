//! Each client producing: `records` records to the sink's partitions, every one acknowledged by all replicas before the clock
//! stops. Each is used as its documentation says it is fastest, and configured alike.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{
    BaseProducer, BaseRecord, FutureProducer, FutureRecord, NoCustomPartitioner, Producer as _,
    ProducerContext,
};

use crate::arguments::{Client, Codec, Settings};
use crate::null::SINK;
use crate::run::Sample;
use crate::{Result, cpu};

/// Measures one client.
pub(crate) async fn measure(
    client: Client,
    bootstrap: SocketAddr,
    settings: &Settings,
) -> Result<Sample> {
    let load = Load::new(settings);
    match client {
        Client::Highwater => highwater(bootstrap, settings, &load, false).await,
        Client::HighwaterBatch => highwater(bootstrap, settings, &load, true).await,
        Client::Rdkafka => rdkafka(bootstrap, settings, &load),
        Client::RdkafkaAsync => rdkafka_async(bootstrap, settings, &load).await,
        Client::Krafka => krafka(bootstrap, settings, &load).await,
        Client::ConfluentKafka => confluent(bootstrap, settings, &load).await,
    }
}

/// What is produced: one value over and over, and keys that count.
struct Load {
    value: Vec<u8>,
    key_bytes: usize,
}

impl Load {
    fn new(settings: &Settings) -> Self {
        let text = b"{\"level\":\"info\",\"took\":17} ";
        let value = (0..settings.record_bytes).map(|at| text[at % text.len()]);
        Self {
            value: value.collect(),
            key_bytes: settings.key_bytes,
        }
    }

    /// Writes the key of record `number` into `key`; `None` where records have none.
    fn key<'k>(&self, key: &'k mut Vec<u8>, number: u64) -> Option<&'k [u8]> {
        if self.key_bytes == 0 {
            return None;
        }
        key.resize(self.key_bytes, b'k');
        let bytes = number.to_be_bytes();
        let end = self.key_bytes.min(8);
        key[..end].copy_from_slice(&bytes[8 - end..]);
        Some(key)
    }
}

/// The clocks at the beginning.
struct Clock {
    cpu: Duration,
    wall: Instant,
}

impl Clock {
    fn start() -> Self {
        Self {
            cpu: cpu::used(),
            wall: Instant::now(),
        }
    }

    fn stop(self, records: u64) -> Sample {
        let (cpu, wall) = (cpu::used() - self.cpu, self.wall.elapsed());
        Sample::new(records, cpu, wall)
    }
}

/// Records of one `enqueue_batch`.
const TOGETHER: u64 = 1000;

async fn highwater(
    bootstrap: SocketAddr,
    settings: &Settings,
    load: &Load,
    together: bool,
) -> Result<Sample> {
    let client = highwater::Client::builder(bootstrap.to_string());
    let client = client.connect().await?;
    let codec = settings.codec.to_string().parse::<highwater::Codec>()?;
    let producer = client.producer().compression(codec).configure(|config| {
        config.batch_bytes = settings.batch_bytes;
        config.linger = highwater::Linger::Fixed(Duration::from_millis(settings.linger_ms));
        config.idempotence = Some(settings.idempotence);
        config.buffer_bytes = settings.buffer_bytes;
    });
    let producer = producer.build().await?;
    let topic = producer.topic(SINK).await?;
    let mut keys = vec![Vec::new(); usize::try_from(TOGETHER)?];
    let mut produce = async |records: u64| -> Result<()> {
        if together {
            for first in (0..records).step_by(usize::try_from(TOGETHER)?) {
                let numbers = first..records.min(first + TOGETHER);
                let records = numbers.zip(&mut keys).map(|(number, key)| {
                    let record = highwater::Record::new().value(&load.value);
                    match load.key(key, number) {
                        Some(key) => record.key(key),
                        None => record,
                    }
                });
                drop(topic.enqueue_batch(records).await);
            }
        } else {
            for number in 0..records {
                let record = highwater::Record::new().value(&load.value);
                let record = match load.key(&mut keys[0], number) {
                    Some(key) => record.key(key),
                    None => record,
                };
                drop(topic.enqueue(record).await?);
            }
        }
        producer.flush().await;
        Ok(())
    };
    produce(settings.warm_up).await?;
    let clock = Clock::start();
    produce(settings.records).await?;
    Ok(clock.stop(settings.records))
}

fn rdkafka_config(bootstrap: SocketAddr, settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap.to_string())
        .set("acks", "all")
        .set("linger.ms", settings.linger_ms.to_string())
        .set("batch.size", settings.batch_bytes.to_string())
        .set("compression.type", settings.codec.to_string())
        .set("enable.idempotence", settings.idempotence.to_string())
        .set("partitioner", "murmur2_random")
        .set(
            "queue.buffering.max.kbytes",
            (settings.buffer_bytes / 1024).to_string(),
        )
        // Bounded by bytes, as in the others.
        .set("queue.buffering.max.messages", "10000000")
        .set("batch.num.messages", "1000000");
    config
}

/// Counts what was delivered and what was not.
#[derive(Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
}

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        let count = if result.is_ok() {
            &self.delivered
        } else {
            &self.failed
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn rdkafka(bootstrap: SocketAddr, settings: &Settings, load: &Load) -> Result<Sample> {
    let config = rdkafka_config(bootstrap, settings);
    let producer: BaseProducer<Deliveries> = config.create_with_context(Deliveries::default())?;
    let mut key = Vec::new();
    let mut produce = |records: u64| -> Result<()> {
        for number in 0..records {
            let mut record = BaseRecord::<[u8], [u8]>::to(SINK).payload(&load.value);
            if let Some(key) = load.key(&mut key, number) {
                record = record.key(key);
            }
            while let Err((error, again)) = producer.send(record) {
                if !is_full(&error) {
                    return Err(error.into());
                }
                producer.poll(Duration::from_millis(1));
                record = again;
            }
            if number % 1024 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        producer.flush(Duration::from_secs(60))?;
        match producer.context().failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => Err(format!("{failed} records were not delivered").into()),
        }
    };
    produce(settings.warm_up)?;
    let clock = Clock::start();
    produce(settings.records)?;
    Ok(clock.stop(settings.records))
}

fn is_full(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
    )
}

async fn rdkafka_async(bootstrap: SocketAddr, settings: &Settings, load: &Load) -> Result<Sample> {
    let producer: FutureProducer = rdkafka_config(bootstrap, settings).create()?;
    let mut key = Vec::new();
    let mut produce = async |records: u64| -> Result<()> {
        for number in 0..records {
            let mut record = FutureRecord::<[u8], [u8]>::to(SINK).payload(&load.value);
            if let Some(key) = load.key(&mut key, number) {
                record = record.key(key);
            }
            while let Err((error, again)) = producer.send_result(record) {
                if !is_full(&error) {
                    return Err(error.into());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                record = again;
            }
        }
        producer.flush(Duration::from_secs(60))?;
        Ok(())
    };
    produce(settings.warm_up).await?;
    let clock = Clock::start();
    produce(settings.records).await?;
    Ok(clock.stop(settings.records))
}

async fn krafka(bootstrap: SocketAddr, settings: &Settings, load: &Load) -> Result<Sample> {
    let kafka = krafka::Kafka::builder(bootstrap.to_string())
        .connect()
        .await?;
    let codec = match settings.codec {
        Codec::None => krafka::Compression::None,
        Codec::Gzip => krafka::Compression::Gzip,
        Codec::Snappy => krafka::Compression::Snappy,
        Codec::Lz4 => krafka::Compression::Lz4,
        Codec::Zstd => krafka::Compression::Zstd,
    };
    let producer = kafka
        .producer()
        .acks(krafka::producer::Acks::All)
        .compression(codec)
        .batch_size(settings.batch_bytes)
        .linger(Duration::from_millis(settings.linger_ms))
        .idempotent(settings.idempotence)
        .buffer_memory(settings.buffer_bytes)
        .metrics_push(false)
        .build()
        .await?;
    // It takes values by reference count, and so the same is given over and over.
    let value = bytes::Bytes::copy_from_slice(&load.value);
    let mut key = Vec::new();
    let mut produce = async |records: u64| -> Result<()> {
        for number in 0..records {
            let mut record = krafka::Record::new(SINK, value.clone());
            if let Some(key) = load.key(&mut key, number) {
                record = record.key(bytes::Bytes::copy_from_slice(key));
            }
            drop(producer.enqueue(record).await?);
        }
        producer.flush().await?;
        Ok(())
    };
    produce(settings.warm_up).await?;
    let clock = Clock::start();
    produce(settings.records).await?;
    Ok(clock.stop(settings.records))
}

async fn confluent(bootstrap: SocketAddr, settings: &Settings, load: &Load) -> Result<Sample> {
    use confluent_kafka::common::serialization::ByteArraySerializer;
    use confluent_kafka::producer::{KafkaProducer, Producer, ProducerConfig, ProducerRecord};

    let properties = HashMap::from([
        ("bootstrap.servers", bootstrap.to_string()),
        ("acks", "all".to_owned()),
        ("linger.ms", settings.linger_ms.to_string()),
        ("batch.size", settings.batch_bytes.to_string()),
        ("compression.type", settings.codec.to_string()),
        ("enable.idempotence", settings.idempotence.to_string()),
        ("buffer.memory", settings.buffer_bytes.to_string()),
    ]);
    let properties = properties
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let config = ProducerConfig::new(&properties.collect())?;
    let producer = KafkaProducer::<Vec<u8>, Vec<u8>>::new(
        config,
        ByteArraySerializer::default(),
        ByteArraySerializer::default(),
    )?;
    let mut key = Vec::new();
    let mut produce = async |records: u64| -> Result<()> {
        for number in 0..records {
            // The inherent `send`: it writes borrowed bytes straight into the batch.
            let key = load.key(&mut key, number);
            let record = ProducerRecord::<&[u8], &[u8]>::with_key(
                SINK.to_owned(),
                key,
                Some(&load.value[..]),
            );
            drop(producer.send(record, None).await?);
        }
        producer.flush().await?;
        Ok(())
    };
    produce(settings.warm_up).await?;
    let clock = Clock::start();
    produce(settings.records).await?;
    Ok(clock.stop(settings.records))
}
