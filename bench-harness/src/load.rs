//! The load: producers that send on a schedule or as fast as they can, and a consumer that reads everything back. Both report
//! to one ledger. Knows nothing of stages or of who serves.
//!
//! A producer task fills one partition's batch, then turns to the next partition. For each of its streams one task waits
//! for the acknowledgements in the order of sending, so that none is seen late because another partition is slower.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use highwater::{Ack, Client, Consumer, Producer, Record, TopicProducer};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::identity::{HEADER, Identity};
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::payload::Payload;

/// Chunks of records whose acknowledgements a stream may be behind with.
const CHUNKS_WAITING_MAX: usize = 4096;

/// How often an open-loop producer looks at its schedule.
const SCHEDULE_TICK: Duration = Duration::from_millis(1);

/// What both sides share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) topic: String,
    pub(crate) partitions: u32,
    pub(crate) payload: Payload,
    /// Records of one partition that are sent before the next partition's turn.
    pub(crate) chunk_records: usize,
    began: Instant,
    ledger: Mutex<Ledger>,
    publish: Mutex<Latency>,
    end_to_end: Mutex<Latency>,
    acknowledged_records: AtomicU64,
    acknowledged_bytes: AtomicU64,
    received_records: AtomicU64,
    received_bytes: AtomicU64,
    /// The first reason for which a record failed.
    failure: Mutex<Option<String>>,
}

/// The counters of both sides, since the run began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) acknowledged_records: u64,
    pub(crate) acknowledged_bytes: u64,
    pub(crate) received_records: u64,
    pub(crate) received_bytes: u64,
}

impl Shared {
    /// A book for `producers` producers, and nothing sent yet.
    pub(crate) fn new(
        topic: String,
        partitions: u32,
        producers: u32,
        payload: Payload,
        chunk_records: usize,
    ) -> Shared {
        Shared {
            topic,
            partitions,
            payload,
            chunk_records,
            began: Instant::now(),
            ledger: Mutex::new(Ledger::new((producers * partitions) as usize)),
            publish: Mutex::new(Latency::new()),
            end_to_end: Mutex::new(Latency::new()),
            acknowledged_records: AtomicU64::new(0),
            acknowledged_bytes: AtomicU64::new(0),
            received_records: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            failure: Mutex::new(None),
        }
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a run is shorter than 580 years")
    }

    /// The book.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// Takes the latencies recorded since the last call: publish and end to end.
    pub(crate) fn take_latencies(&self) -> (Latency, Latency) {
        let take = |place| std::mem::replace(&mut *lock(place), Latency::new());
        (take(&self.publish), take(&self.end_to_end))
    }

    /// Where both sides stand.
    pub(crate) fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            acknowledged_records: load(&self.acknowledged_records),
            acknowledged_bytes: load(&self.acknowledged_bytes),
            received_records: load(&self.received_records),
            received_bytes: load(&self.received_bytes),
        }
    }

    /// Why the first failed record failed.
    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When records are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As fast as they are taken.
    Full,
    /// So many a second, whatever becomes of the earlier ones (an open loop).
    Scheduled { records_per_s: f64 },
}

/// Records of one stream, enqueued together.
struct Chunk {
    first: u64,
    bytes: u64,
    intended_ns: Vec<u64>,
    acks: Vec<Ack>,
}

/// One producer's streams, kept over all stages.
pub(crate) struct Load {
    number: u32,
    shared: Arc<Shared>,
    producer: Producer,
    topic: TopicProducer,
    next: Vec<u64>,
    payload_place: usize,
    partition: u32,
    buffer: Vec<u8>,
}

impl Load {
    /// Producer `number`, which sends through `producer`.
    pub(crate) async fn new(
        number: u32,
        shared: Arc<Shared>,
        producer: Producer,
    ) -> highwater::Result<Load> {
        let topic = producer.topic(&shared.topic).await?;
        let next = vec![0; shared.partitions as usize];
        // Each begins elsewhere, so that several producers do not send the same at the same time.
        let payload_place = number as usize * 127;
        let partition = number % shared.partitions;
        Ok(Load {
            number,
            shared,
            producer,
            topic,
            next,
            payload_place,
            partition,
            buffer: Vec::new(),
        })
    }

    /// Sends at `pace` until `stop` is set, then waits until every record has its answer.
    pub(crate) async fn run(mut self, pace: Pace, stop: Arc<AtomicBool>) -> Load {
        let mut waiting = JoinSet::new();
        let streams: Vec<mpsc::Sender<Chunk>> = (0..self.shared.partitions)
            .map(|partition| {
                let (sender, receiver) = mpsc::channel(CHUNKS_WAITING_MAX);
                let stream = self.number * self.shared.partitions + partition;
                waiting.spawn(collect(self.shared.clone(), stream, receiver));
                sender
            })
            .collect();
        let began_ns = self.shared.now_ns();
        let mut scheduled = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            let chunk_records = self.shared.chunk_records;
            let chunk = match pace {
                Pace::Full => {
                    let now = self.shared.now_ns();
                    self.enqueue(chunk_records, |_| now).await
                }
                Pace::Scheduled { records_per_s } => {
                    let elapsed = self.shared.now_ns() - began_ns;
                    let due = (elapsed as f64 / 1e9 * records_per_s) as u64;
                    if due <= scheduled {
                        tokio::time::sleep(SCHEDULE_TICK).await;
                        continue;
                    }
                    let records = (due - scheduled).min(chunk_records as u64) as usize;
                    let first = scheduled;
                    scheduled += records as u64;
                    let place = |n: usize| (first + n as u64) as f64 / records_per_s * 1e9;
                    self.enqueue(records, |n| began_ns + place(n) as u64).await
                }
            };
            let partition = self.partition as usize;
            self.partition = (self.partition + 1) % self.shared.partitions;
            if streams[partition].send(chunk).await.is_err() {
                break;
            }
        }
        drop(streams);
        self.producer.flush().await;
        while waiting.join_next().await.is_some() {}
        self
    }

    /// Enqueues `records` records for the partition whose turn it is.
    async fn enqueue(&mut self, records: usize, intended_ns: impl Fn(usize) -> u64) -> Chunk {
        let shared = self.shared.clone();
        let partition = self.partition;
        let stream = self.number * shared.partitions + partition;
        let first = self.next[partition as usize];
        let last = first + records as u64;
        self.next[partition as usize] = last;
        shared.ledger().sent(stream, last - 1);
        let mut chunk = Chunk {
            first,
            bytes: 0,
            intended_ns: Vec::with_capacity(records),
            acks: Vec::with_capacity(records),
        };
        let partition = i32::try_from(partition).expect("partitions are few");
        for number in 0..records {
            let sequence = first + number as u64;
            let intended_ns = intended_ns(number);
            let identity = Identity {
                stream,
                sequence,
                intended_ns,
            };
            let payload = shared.payload.get(self.payload_place);
            self.payload_place += 1;
            let ack = match &shared.payload {
                Payload::Generated(_) => {
                    self.buffer.clear();
                    self.buffer.extend_from_slice(payload);
                    identity.write_into(&mut self.buffer);
                    let record = Record::new().partition(partition).value(&self.buffer);
                    self.topic.enqueue(record).await
                }
                Payload::Lines { .. } => {
                    let value = identity.beside(payload);
                    let record = Record::new().partition(partition).value(payload);
                    self.topic.enqueue(record.header(HEADER, &value)).await
                }
            };
            match ack {
                Ok(ack) => {
                    chunk.bytes += payload.len() as u64;
                    chunk.intended_ns.push(intended_ns);
                    chunk.acks.push(ack);
                }
                Err(error) => {
                    // What was not taken has no place in the stream; the rest of the chunk would leave a gap.
                    self.next[self.partition as usize] = sequence + 1;
                    fail(&shared, stream, &error);
                    break;
                }
            }
        }
        chunk
    }
}

fn fail(shared: &Shared, stream: u32, error: &highwater::Error) {
    shared.ledger().failed(stream);
    lock(&shared.failure).get_or_insert_with(|| error.to_string());
}

/// Waits for the answers of one stream.
async fn collect(shared: Arc<Shared>, stream: u32, mut chunks: mpsc::Receiver<Chunk>) {
    let mut latency = Latency::new();
    let mut answered = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        let sequences = chunk.first..;
        let records = chunk.acks.len() as u64;
        let mean_bytes = chunk.bytes.checked_div(records).unwrap_or(0);
        for ((ack, intended_ns), sequence) in
            chunk.acks.into_iter().zip(chunk.intended_ns).zip(sequences)
        {
            match ack.await {
                Ok(_) => {
                    latency.record(shared.now_ns().saturating_sub(intended_ns), 1);
                    answered.push(sequence);
                }
                Err(error) => fail(&shared, stream, &error),
            }
        }
        let acknowledged = answered.len() as u64;
        let bytes = if acknowledged == records {
            chunk.bytes
        } else {
            acknowledged * mean_bytes
        };
        shared
            .acknowledged_records
            .fetch_add(acknowledged, Ordering::Relaxed);
        shared
            .acknowledged_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        let mut ledger = shared.ledger();
        answered
            .drain(..)
            .for_each(|sequence| ledger.acknowledged(stream, sequence));
    }
    lock(&shared.publish).merge(&latency);
}

/// Reads what is there and reports it, until the caller drops the future. Cancel-safe between batches.
pub(crate) async fn consume(shared: &Shared, consumer: &mut Consumer) -> highwater::Result<()> {
    let mut whole = Vec::new();
    while let Some(batch) = consumer.next_batch().await? {
        let now = shared.now_ns();
        let (mut bytes, mut broken) = (0, 0);
        for record in batch.iter() {
            let value = record.value().unwrap_or_default();
            let identity = match shared.payload {
                Payload::Generated(_) => Identity::read(value),
                Payload::Lines { .. } => record
                    .headers()
                    .find(|header| header.key == HEADER.as_bytes())
                    .and_then(|header| Identity::read_beside(header.value?, value)),
            };
            bytes += value.len() as u64;
            match identity {
                Some(identity)
                    if i64::from(identity.stream % shared.partitions)
                        == i64::from(batch.partition()) =>
                {
                    whole.push(identity)
                }
                Some(_) | None => broken += 1,
            }
        }
        shared
            .received_records
            .fetch_add((whole.len() + broken) as u64, Ordering::Relaxed);
        shared.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut ledger = shared.ledger();
        (0..broken).for_each(|_| ledger.corrupt());
        whole
            .iter()
            .for_each(|identity| ledger.received(identity.stream, identity.sequence));
        drop(ledger);
        let mut latency = lock(&shared.end_to_end);
        whole
            .drain(..)
            .for_each(|it| latency.record(now.saturating_sub(it.intended_ns), 1));
    }
    Ok(())
}

/// A client for one side of the load.
pub(crate) async fn client(bootstrap: &str) -> highwater::Result<Client> {
    Client::builder(bootstrap)
        .client_id("highwater-bench")
        .connect()
        .await
}
