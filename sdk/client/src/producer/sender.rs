//! Sends batches to one broker: gathers what is ready into requests, seals it, and takes the answers
//! back to the queues.
//!
//! One task per broker and producer. It decides nothing about a batch: the
//! [`Queue`](crate::core::producer::queue::Queue) does.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use highwater_record::Codec;
use highwater_wire::message::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData,
};
use highwater_wire::message::{ProduceRequest, ProduceResponse};
use highwater_wire::{Array, ErrorCode, RecordBytes};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, sleep_until};
use tracing::Span;

use super::sealer::{Sealed, Sealer};
use super::shared::Shared;
use super::topic::{NOBODY, Partition};
use crate::config::Acks;
use crate::connection::{Connection, Pending, Reply};
use crate::core::metadata::{Broker, Cluster};
use crate::core::producer::queue::{Answer, Identity, Ready, Taken};
use crate::error::{Error, Result, Written};

/// The last version without topic ids.
const VERSION_BY_NAME_MAX: i16 = 12;

/// From this many bytes on, compressing is too long to keep other tasks of the thread waiting.
const OFFLOAD_BYTES_MIN: usize = 64 << 10;

/// How others reach a sender.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    partitions: Mutex<Vec<Arc<Partition>>>,
    wake: Notify,
}

impl Inbox {
    /// Puts a partition on the sender's list.
    pub(super) fn push(&self, partition: Arc<Partition>) {
        self.lock().push(partition);
        self.wake.notify_one();
    }

    /// Has the sender look at its list.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Whether nothing was put on the list since the sender looked last.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn take(&self) -> Vec<Arc<Partition>> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Partition>>> {
        self.partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

type Dialing = Pin<Box<dyn Future<Output = Result<Connection>> + Send>>;
type Obtaining = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

pub(super) struct Sender {
    shared: Arc<Shared>,
    broker: i32,
    inbox: Arc<Inbox>,
    /// Partitions with batches, in the order they are asked.
    partitions: VecDeque<Arc<Partition>>,
    connection: Option<Connection>,
    dialing: Option<Dialing>,
    /// How often in a row nobody knew where the broker is.
    strange: u32,
    obtaining: Option<Obtaining>,
    /// Requests without an answer, oldest first: answers come in that order.
    in_flight: VecDeque<InFlight>,
    sealer: Sealer,
    /// Batches being compressed elsewhere. Nothing is taken meanwhile, so that order is kept.
    sealing: Option<JoinHandle<(Sealer, Vec<Sealed>)>>,
    version_seen: u64,
}

struct InFlight {
    pending: Pending,
    items: Vec<Item>,
    /// From being put on the connection until its batches know what became of them.
    span: Span,
}

/// A sealed batch on its way.
struct Item {
    partition: Arc<Partition>,
    batch: u64,
    sealed: Bytes,
}

impl Sender {
    pub(super) fn new(shared: Arc<Shared>, broker: i32, inbox: Arc<Inbox>) -> Self {
        Self {
            shared,
            broker,
            inbox,
            partitions: VecDeque::new(),
            connection: None,
            dialing: None,
            strange: 0,
            obtaining: None,
            in_flight: VecDeque::new(),
            sealer: Sealer::default(),
            sealing: None,
            version_seen: 0,
        }
    }

    /// Runs until the producer is closed and everything is answered or given up.
    pub(super) async fn run(mut self) {
        let mut changes = self.shared.client.shared.watch_cluster();
        let inbox = Arc::clone(&self.inbox);
        loop {
            let arrived = self.inbox.take();
            if self.broker == NOBODY && !arrived.is_empty() {
                self.shared.client.shared.invalidate_metadata();
            }
            self.partitions.extend(arrived);
            self.follow_leaders();
            let next = self.send_what_is_ready();
            let is_done = self.partitions.is_empty() && self.in_flight.is_empty();
            if is_done && self.shared.is_closing() && self.shared.retire(self.broker) {
                return;
            }
            let client = &self.shared.client.shared;
            let until = next.map(|next| client.instant(next));
            tokio::select! {
                biased;
                answer = oldest(&mut self.in_flight) => self.answered(answer),
                sealed = ready(&mut self.sealing) => self.sealed(sealed),
                connection = ready(&mut self.dialing) => self.dialed(connection),
                obtained = ready(&mut self.obtaining) => self.obtained(obtained),
                () = inbox.wake.notified() => {}
                Ok(()) = changes.changed() => { changes.mark_unchanged(); }
                () = async { sleep_until(until.expect("guarded")).await }, if until.is_some() => {}
            }
        }
    }

    /// Hands partitions that another broker leads over to that one's sender.
    fn follow_leaders(&mut self) {
        let client = &self.shared.client.shared;
        let changed = client.version() != self.version_seen;
        if changed {
            let cluster = client.cluster();
            self.version_seen = cluster.version;
            self.partitions
                .iter()
                .for_each(|partition| partition.follow(&cluster));
        }
        let (shared, broker) = (&self.shared, self.broker);
        let mut leaderless = false;
        self.partitions.retain(|partition| {
            let leader = partition.leader();
            if leader == broker || leader == NOBODY {
                if leader == NOBODY && changed {
                    leaderless = true;
                    let error = Error::broker(ErrorCode::LeaderNotAvailable, None);
                    partition.queue().unreachable(&error);
                }
                return true;
            }
            let mut queue = partition.queue();
            if queue.in_flight() > 0 {
                return true;
            }
            queue.moved();
            drop(queue);
            shared.post(leader, Arc::clone(partition));
            false
        });
        if leaderless {
            self.shared.client.shared.invalidate_metadata();
        }
    }

    /// Sends requests while there is something ready and room for it; returns when to look again.
    fn send_what_is_ready(&mut self) -> Option<Duration> {
        loop {
            let (taken, next) = self.gather();
            if taken.is_empty() {
                return next;
            }
            self.send(taken);
        }
    }

    /// Takes at most one batch of each partition, up to the size of a request.
    fn gather(&mut self) -> (Vec<(Arc<Partition>, Taken)>, Option<Duration>) {
        let shared = Arc::clone(&self.shared);
        let rules = &shared.rules;
        let now = shared.client.shared.now();
        let identity = shared.identities.current();
        let can_send = self.can_send(identity);
        let (idle, broker) = (self.in_flight.is_empty(), self.broker);
        let pressed = shared.memory.is_pressed();
        let mut taken = Vec::new();
        let mut bytes = 0;
        let mut next: Option<Duration> = None;
        let mut sooner = |at: Duration| next = Some(next.map_or(at, |next| next.min(at)));
        let who = shared.config.is_idempotent().then_some(identity).flatten();
        self.partitions.retain(|partition| {
            let mut queue = partition.queue();
            if queue.expiry(rules).is_some_and(|expiry| expiry <= now) {
                let verdict = queue.expire(now, rules);
                drop(queue);
                shared.apply(verdict);
                queue = partition.queue();
            }
            if queue.is_empty() {
                queue.scheduled = false;
                return false;
            }
            if let Some(expiry) = queue.expiry(rules) {
                sooner(expiry);
            }
            if partition.leader() != broker {
                return true;
            }
            match queue.ready(now, rules, idle, pressed || shared.is_closing()) {
                Ready::Now if can_send => {
                    let size = queue.next_bytes();
                    let fits = taken.is_empty() || bytes + size <= shared.config.request_bytes_max;
                    if fits && let Some(batch) = queue.take(now, who) {
                        bytes += size;
                        taken.push((Arc::clone(partition), batch));
                    }
                }
                Ready::At(at) => sooner(at),
                Ready::Now | Ready::Later => {}
            }
            true
        });
        // Whoever did not fit comes first in the next request.
        if taken.len() < self.partitions.len() && !self.partitions.is_empty() {
            let step = taken.len() % self.partitions.len();
            self.partitions.rotate_left(step);
        }
        (taken, next)
    }

    /// Whether a request could go out now; starts what is missing for that.
    fn can_send(&mut self, identity: Option<Identity>) -> bool {
        if self.broker == NOBODY || self.partitions.is_empty() {
            return false;
        }
        if self
            .connection
            .as_ref()
            .is_some_and(|connection| !connection.is_alive())
        {
            self.connection = None;
        }
        if self.connection.is_none() && self.dialing.is_none() {
            self.dial();
        }
        let has_identity = identity.is_some() || !self.shared.config.is_idempotent();
        if !has_identity && self.obtaining.is_none() {
            let shared = Arc::clone(&self.shared);
            self.obtaining = Some(Box::pin(async move {
                shared.identities.obtain(&shared.client.shared).await
            }));
        }
        self.connection.is_some()
            && self.sealing.is_none()
            && has_identity
            && self.in_flight.len() < self.shared.config.in_flight_max
    }

    /// Begins to make a connection. A broker that metadata names as a leader and not among the
    /// brokers, as it may while one starts, is waited for first.
    fn dial(&mut self) {
        let client = &self.shared.client.shared;
        let pause = if client.broker(self.broker).is_ok() {
            self.strange = 0;
            Duration::ZERO
        } else {
            client.invalidate_metadata();
            self.strange = self.strange.saturating_add(1);
            client.retry_backoff().pause(self.strange, client.random())
        };
        let (client, broker) = (self.shared.client.clone(), self.broker);
        self.dialing = Some(Box::pin(async move {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let place = client.shared.broker(broker)?;
            client.shared.pool.dial(&place).await
        }));
    }

    fn dialed(&mut self, connection: Result<Connection>) {
        match connection {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => {
                // Dialing again waits out a pause; the leader may be elsewhere by then.
                tracing::debug!(broker = self.broker, %error, "producer has no connection");
                self.shared.client.shared.invalidate_metadata();
                for partition in &self.partitions {
                    if error.is_fatal() {
                        // Whom the broker does not believe now it will not believe at the next try.
                        let verdict = partition.queue().abandon(&error);
                        self.shared.apply(verdict);
                    } else {
                        partition.queue().unreachable(&error);
                    }
                }
            }
        }
    }

    fn obtained(&mut self, obtained: Result<()>) {
        if let Err(error) = obtained {
            for partition in &self.partitions {
                let verdict = partition.queue().abandon(&error);
                self.shared.apply(verdict);
            }
        }
    }

    /// Seals what was taken, on another thread when compressing it takes a while, and sends it.
    fn send(&mut self, taken: Vec<(Arc<Partition>, Taken)>) {
        let compression = self.shared.config.compression;
        let bytes: usize = taken.iter().map(|(_, taken)| taken.body.open_bytes()).sum();
        let mut sealer = std::mem::take(&mut self.sealer);
        if compression.codec() == Codec::None || bytes < OFFLOAD_BYTES_MIN {
            let sealed = sealer.seal_all(taken, &self.shared);
            self.sealer = sealer;
            self.send_sealed(sealed);
        } else {
            let shared = Arc::clone(&self.shared);
            self.sealing = Some(self.shared.runtime.spawn_blocking(move || {
                let sealed = sealer.seal_all(taken, &shared);
                (sealer, sealed)
            }));
        }
    }

    fn sealed(&mut self, sealed: Result<(Sealer, Vec<Sealed>), JoinError>) {
        match sealed {
            Ok((sealer, sealed)) => {
                self.sealer = sealer;
                self.send_sealed(sealed);
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is going down, and this task with it.
            Err(_) => {}
        }
    }

    fn send_sealed(&mut self, sealed: Vec<Sealed>) {
        let mut items = Vec::with_capacity(sealed.len());
        for Sealed {
            partition,
            batch,
            bytes,
            error,
        } in sealed
        {
            match error {
                None => {
                    partition.queue().sealed(batch, &bytes);
                    items.push(Item {
                        partition,
                        batch,
                        sealed: bytes,
                    });
                }
                Some(error) => {
                    let unsealed = Answer::Unsealed(error);
                    self.shared.answer(&partition, batch, bytes, unsealed);
                }
            }
        }
        items.sort_by(|a, b| {
            (&a.partition.topic, a.partition.index).cmp(&(&b.partition.topic, b.partition.index))
        });
        // Of its own: what is sent was enqueued by many, in spans of theirs.
        let span = tracing::debug_span!(
            parent: None,
            "produce",
            broker = self.broker,
            batches = items.len(),
            bytes = items.iter().map(|item| item.sealed.len()).sum::<usize>(),
        );
        match span.in_scope(|| self.dispatch(&items)) {
            Ok(pending) => self.in_flight.push_back(InFlight {
                pending,
                items,
                span,
            }),
            Err(error) => span.in_scope(|| self.lost(items, &error)),
        }
    }

    /// Puts a request for `items`, which are sorted, on the connection.
    fn dispatch(&mut self, items: &[Item]) -> Result<Pending> {
        let connection = self
            .connection
            .as_ref()
            .ok_or_else(|| Error::network("no connection"))?;
        let cluster = self.shared.client.shared.cluster();
        let mut topics: Vec<TopicProduceData<'_>> = Vec::new();
        let mut by_id = true;
        for run in items.chunk_by(|a, b| a.partition.topic == b.partition.topic) {
            let name = &*run[0].partition.topic;
            let topic_id = cluster
                .topic(name)
                .map(|topic| topic.id)
                .unwrap_or_default();
            by_id &= !topic_id.is_nil();
            let partition_data: Vec<PartitionProduceData<'_>> = run
                .iter()
                .map(|item| PartitionProduceData {
                    index: item.partition.index,
                    records: Some(RecordBytes::Deferred {
                        len: u32::try_from(item.sealed.len()).expect("a batch is below 2 GiB"),
                    }),
                })
                .collect();
            let partition_data = Array::from(partition_data);
            topics.push(TopicProduceData {
                name,
                topic_id,
                partition_data,
            });
        }
        let config = &self.shared.config;
        let timeout = config
            .request_timeout
            .unwrap_or(connection_timeout(&self.shared));
        let request = ProduceRequest {
            transactional_id: None,
            acks: config.acks.wire(),
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            topic_data: Array::from(topics),
        };
        let max = if by_id { i16::MAX } else { VERSION_BY_NAME_MAX };
        let version = connection.version::<ProduceRequest<'_>>(max)?;
        let records = items.iter().map(|item| item.sealed.clone());
        connection.send(&request, version, records, config.acks != Acks::None)
    }

    /// The oldest request is answered, or never will be.
    fn answered(&mut self, answer: Result<Reply>) {
        let Some(InFlight { items, span, .. }) = self.in_flight.pop_front() else {
            return;
        };
        let _entered = span.enter();
        match answer {
            Ok(_) if self.shared.config.acks == Acks::None => {
                for item in items {
                    let placed = Answer::Placed {
                        base_offset: None,
                        log_append_time_ms: None,
                    };
                    self.shared
                        .answer(&item.partition, item.batch, item.sealed, placed);
                }
            }
            Ok(reply) => {
                if let Err((items, error)) = self.placed(&reply, items) {
                    self.lost(items, &error);
                }
            }
            Err(error) => self.lost(items, &error),
        }
    }

    fn placed(&mut self, reply: &Reply, items: Vec<Item>) -> Result<(), (Vec<Item>, Error)> {
        let answer: ProduceResponse<'_> = match reply.decode() {
            Ok(answer) => answer,
            Err(error) => {
                self.connection = None;
                return Err((items, error));
            }
        };
        let cluster = self.shared.client.shared.cluster();
        let mut items: VecDeque<Item> = items.into();
        for topic in &answer.responses {
            let name = if reply.version > VERSION_BY_NAME_MAX {
                cluster.name_of(&topic.topic_id).map_or("", |name| &**name)
            } else {
                topic.name
            };
            for partition in &topic.partition_responses {
                let is_it = |item: &Item| {
                    item.partition.index == partition.index && *item.partition.topic == *name
                };
                // Brokers answer in the order of the request, by custom.
                let Some(at) = items.iter().position(is_it) else {
                    continue;
                };
                let Some(item) = items.remove(at) else {
                    continue;
                };
                self.hint(&cluster, &answer, &partition, name);
                let outcome = outcome(&partition);
                self.shared
                    .answer(&item.partition, item.batch, item.sealed, outcome);
            }
        }
        if items.is_empty() {
            return Ok(());
        }
        let error = Error::protocol("broker did not answer for every partition of the request");
        Err((items.into(), error.with_written(Written::Maybe)))
    }

    /// A refusal may name the new leader and where it is (KIP-951).
    fn hint(
        &self,
        cluster: &Cluster,
        answer: &ProduceResponse<'_>,
        partition: &PartitionProduceResponse<'_>,
        name: &str,
    ) {
        let leader = &partition.current_leader;
        if partition.error_code == 0 || leader.leader_id < 0 {
            return;
        }
        let place = answer
            .node_endpoints
            .iter()
            .find(|node| node.node_id == leader.leader_id);
        let place = place.and_then(|node| {
            let port = u16::try_from(node.port).ok()?;
            Some(Broker {
                host: node.host.to_owned(),
                port,
            })
        });
        let place = place.or_else(|| cluster.brokers.get(&leader.leader_id).cloned());
        let client = &self.shared.client.shared;
        client.leader_hint(
            name,
            partition.index,
            leader.leader_id,
            leader.leader_epoch,
            place,
        );
    }

    fn lost(&mut self, items: Vec<Item>, error: &Error) {
        let sent = error.possibly_written() != Written::No;
        for item in items {
            let lost = Answer::Lost {
                error: error.clone(),
                sent,
            };
            self.shared
                .answer(&item.partition, item.batch, item.sealed, lost);
        }
    }
}

fn connection_timeout(shared: &Shared) -> Duration {
    shared.client.shared.config().request_timeout
}

fn outcome(partition: &PartitionProduceResponse<'_>) -> Answer {
    let code = ErrorCode::from_id(partition.error_code);
    if !code.is_error() {
        return Answer::Placed {
            base_offset: Some(partition.base_offset).filter(|offset| *offset >= 0),
            log_append_time_ms: Some(partition.log_append_time_ms).filter(|time| *time >= 0),
        };
    }
    let of_record = partition.record_errors.iter().next();
    let of_record = of_record.and_then(|error| error.batch_index_error_message);
    Answer::Refused(
        code,
        partition.error_message.or(of_record).map(str::to_owned),
    )
}

/// The answer to the oldest request; never when there is none.
async fn oldest(in_flight: &mut VecDeque<InFlight>) -> Result<Reply> {
    match in_flight.front_mut() {
        Some(in_flight) => in_flight.pending.answer().await,
        None => std::future::pending().await,
    }
}

/// What a future yields, once; never when there is none.
async fn ready<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    let Some(running) = future else {
        return std::future::pending().await;
    };
    let output = running.await;
    *future = None;
    output
}
