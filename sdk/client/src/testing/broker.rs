//! Brokers of paper: they speak the protocol over loopback, keep batches in memory, follow the rules of idempotence, and
//! answer as a test scripts them. They know nothing of groups, transactions or disks; what is not here is scripted.

mod answers;
mod log;
mod state;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use highwater_record::{Batch, Decompressor, Limits, Records};
use highwater_wire::{ApiKey, Request};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use uuid::Uuid;

use super::asked::Asked;
use super::fault::{Delivery, Fault};
use super::frames::FrameReader;
use super::refusal::refusal;
use super::rewrite::{batch_byte, corrupted};
use super::rule::{Rule, Rules};
use crate::error::{Error, Result};

use log::Log;
use state::{State, Topic};

/// A cluster of brokers without disks, for tests of what a client says and how it takes what it is told.
///
/// It answers ApiVersions, Metadata, InitProducerId, Produce, ListOffsets, Fetch and OffsetForLeaderEpoch honestly, and
/// whatever a test [`script`](Self::script)s. Unlike the engine it runs on the test's own tokio runtime, so that it keeps to a paused
/// clock. Cloning shares it; the last clone's drop closes every connection.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> highwater::Result<()> {
/// use highwater::testing::wire::message::{DeleteGroupsRequest, DeleteGroupsResponse};
/// use highwater::testing::{ApiKey, FakeBroker, Fault};
/// use highwater::{Client, ErrorCode, Record};
///
/// let broker = FakeBroker::start(3).await?;
/// broker.topic("orders", 6);
/// let client = Client::builder(broker.bootstrap()).connect().await?;
/// let producer = client.producer().build().await?;
/// let refused = broker.fail(ApiKey::Produce, Fault::Refuse(ErrorCode::NotEnoughReplicas)).times(2);
/// producer.send(Record::to("orders").value("paid").partition(4)).await?;
/// assert_eq!((refused.struck(), broker.values("orders", 4).len()), (2, 1));
///
/// broker.script::<DeleteGroupsRequest<'_>>(|asked| asked.answer(&DeleteGroupsResponse::default()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FakeBroker {
    shared: Arc<Shared>,
    /// Closed with the last clone.
    _open: watch::Receiver<()>,
}

struct Shared {
    state: Mutex<State>,
    rules: Rules,
    appended: Notify,
    open: watch::Sender<()>,
}

impl FakeBroker {
    /// Starts so many brokers, with ids from 0. Must be called in a tokio runtime, in which they then run.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Network`](crate::ErrorKind::Network) when no port of the loopback can be had.
    pub async fn start(brokers: usize) -> Result<Self> {
        let (open, closes) = watch::channel(());
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new()),
            rules: Rules::new(),
            appended: Notify::new(),
            open,
        });
        for id in (0..).take(brokers.max(1)) {
            let bound = TcpListener::bind("127.0.0.1:0").await;
            let local = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (local, listener) = local.map_err(|error| {
                Error::network(format!("no port for a broker: {error}")).with_source(error)
            })?;
            shared.lock().ports.push(local.port());
            tokio::spawn(Arc::clone(&shared).accept(id, listener));
        }
        Ok(Self {
            shared,
            _open: closes,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// The first broker's address.
    pub fn bootstrap(&self) -> String {
        let port = self.lock().ports.first().copied().unwrap_or_default();
        format!("127.0.0.1:{port}")
    }

    /// Makes a topic, or makes it anew under another id, whose partitions are led by the brokers in turn.
    pub fn topic(&self, name: &str, partitions: usize) {
        let mut state = self.lock();
        let leaders = (0..).zip(&state.ports).map(|(id, _)| id);
        let partitions = leaders.cycle().take(partitions).map(Log::led_by).collect();
        state.made += 1;
        let id = Uuid::from_u128(u128::from(state.made) << 64 | 7);
        state
            .topics
            .insert(name.to_owned(), Topic { id, partitions });
    }

    /// Removes a topic.
    pub fn remove(&self, name: &str) {
        self.lock().topics.remove(name);
    }

    /// Gives a topic so many partitions; the first broker leads the new ones.
    pub fn grow(&self, name: &str, to: usize) {
        if let Some(topic) = self.lock().topics.get_mut(name) {
            topic.partitions.resize_with(to, || Log::led_by(0));
        }
    }

    /// Gives a partition another leader, which has the same records.
    pub fn move_leader(&self, topic: &str, partition: usize, to: i32) {
        if let Some(log) = self.lock().log(topic, partition) {
            log.leader = to;
            log.leader_epoch += 1;
        }
    }

    /// Gives a partition a follower, which has the same records; the leader sends consumers there that say where they
    /// stand (KIP-392).
    pub fn follower(&self, topic: &str, partition: usize, broker: i32) {
        if let Some(log) = self.lock().log(topic, partition) {
            log.follower = Some(broker);
        }
    }

    /// Gives a partition a leader whose log ends here, and who knows no producer: an unclean election.
    pub fn truncate(&self, topic: &str, partition: usize, to: i64, leader: i32) {
        if let Some(log) = self.lock().log(topic, partition) {
            log.truncate(to);
            log.leader = leader;
            log.leader_epoch += 1;
        }
    }

    /// The next request of this API meets this fault; see [`Rule`] for more than one.
    pub fn fail(&self, api: ApiKey, fault: Fault) -> Rule {
        self.shared.rules.add(Some(api), fault)
    }

    /// Answers requests of `R`'s API, before any of the honest answers: with a whole frame, such as [`Asked::answer`]
    /// makes, or honestly after all when it returns `None`. A later script of the same API takes the place of the former.
    /// From now on the brokers offer every version of the API, but for what [`offers`](Self::offers) says.
    ///
    /// It answers one request at a time, and may use this broker meanwhile. A clone that it keeps for that is a clone like
    /// any other: the brokers run until another script takes its place.
    pub fn script<R: Request>(
        &self,
        answer: impl FnMut(&Asked<'_>) -> Option<Vec<u8>> + Send + 'static,
    ) {
        let versions = (*R::VERSIONS.start(), *R::VERSIONS.end());
        let script = Arc::new(Mutex::new(answer));
        self.lock().scripts.insert(R::API, (versions, script));
    }

    /// The highest version of an API that the brokers offer.
    pub fn offers(&self, api: ApiKey, highest: i16) {
        self.lock().offered.insert(api, highest);
    }

    /// Batches of more bytes are refused. 1 MiB at first.
    pub fn message_bytes_max(&self, bytes: usize) {
        self.lock().message_bytes_max = bytes;
    }

    /// Answers to Produce and Fetch say that the client is to leave the broker alone for so long (KIP-219).
    pub fn throttle(&self, pause: Duration) {
        let ms = i32::try_from(pause.as_millis()).unwrap_or(i32::MAX);
        self.lock().throttle_time_ms = ms;
    }

    /// Batches are counted from now on, neither checked nor kept: for measuring a producer.
    pub fn count_only(&self) {
        self.lock().keeps = false;
    }

    /// Every fetch of any partition is answered with these batches, over and over, under offsets that go on: for
    /// measuring a consumer.
    pub fn serve_always(&self, batches: Bytes) {
        self.lock().canned = Some(batches);
    }

    /// Changes the batches that a partition has, to make them corrupt, say.
    pub fn edit_batches(
        &self,
        topic: &str,
        partition: usize,
        change: impl FnOnce(&mut Vec<Bytes>),
    ) {
        if let Some(log) = self.lock().log(topic, partition) {
            change(&mut log.batches);
        }
    }

    /// Values of all records of a partition, in order; those of a batch that does not parse are left out.
    pub fn values(&self, topic: &str, partition: usize) -> Vec<Vec<u8>> {
        let mut state = self.lock();
        let mut values = Vec::new();
        let Some(log) = state.log(topic, partition) else {
            return values;
        };
        let mut decompressor = Decompressor::new();
        let mut scratch = Vec::new();
        for bytes in &log.batches {
            let Ok(batch) = Batch::check(bytes) else {
                continue;
            };
            let records = Records::of(&batch, &mut scratch, &mut decompressor, Limits::default());
            let records = records.into_iter().flatten().flatten();
            values.extend(records.map(|record| record.value.unwrap_or_default().to_vec()));
        }
        values
    }

    /// The offset after the last record of a partition.
    pub fn end_offset(&self, topic: &str, partition: usize) -> i64 {
        self.lock().log(topic, partition).map_or(0, |log| log.end)
    }

    /// How many requests of this API came so far.
    pub fn requests(&self, api: ApiKey) -> usize {
        self.shared.rules.requests(api)
    }

    /// Waits until at least so many requests of this API have come.
    ///
    /// Cancel-safe: it only looks.
    pub async fn requested(&self, api: ApiKey, count: usize) {
        self.shared.rules.wait_requests(api, count).await;
    }

    /// Every request so far: broker, API, version.
    pub fn seen(&self) -> Vec<(i32, ApiKey, i16)> {
        self.lock().seen.clone()
    }
}

impl fmt::Debug for FakeBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeBroker")
            .field("ports", &self.lock().ports)
            .finish_non_exhaustive()
    }
}

/// What becomes of a connection after a request.
enum Then {
    GoOn,
    Close,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept(self: Arc<Self>, id: i32, listener: TcpListener) {
        loop {
            tokio::select! {
                () = self.open.closed() => return,
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    let shared = Arc::clone(&self);
                    tokio::spawn(async move {
                        tokio::select! {
                            () = shared.open.closed() => {}
                            _ = shared.serve(id, stream) => {}
                        }
                    });
                },
            }
        }
    }

    async fn serve(&self, id: i32, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        let mut frames = FrameReader::new(read);
        while let Some(frame) = frames.next().await? {
            let Ok(asked) = Asked::read(id, &frame) else {
                break;
            };
            let (answer, fault) = self.answer(&asked, &frame).await;
            let (bytes, then) = match Fault::delivery(fault, answer) {
                Delivery::Whole(bytes) => (bytes, Then::GoOn),
                Delivery::Last(bytes) => (bytes, Then::Close),
                Delivery::Hang => return std::future::pending().await,
            };
            write.write_all(&bytes).await?;
            if matches!(then, Then::Close) {
                break;
            }
        }
        Ok(())
    }

    /// The frame that answers, empty where there is none, and what is to happen to it.
    async fn answer(&self, asked: &Asked<'_>, frame: &[u8]) -> (Vec<u8>, Option<Fault>) {
        self.rules.saw(asked.api);
        self.lock()
            .seen
            .push((asked.broker, asked.api, asked.version));
        let broker = Some(asked.broker);
        let fault = self.rules.strike(asked, frame, broker);
        let answer = match fault {
            Some(Fault::DisconnectBefore | Fault::Lose) => return (Vec::new(), fault),
            // Its answer names brokers, whatever else it says.
            Some(Fault::Refuse(code)) if asked.api != ApiKey::Metadata => {
                return (refusal(asked, code).unwrap_or_default(), None);
            }
            Some(Fault::CorruptBatch) => {
                match Asked::read(asked.broker, &corrupted(asked, frame)) {
                    Ok(corrupt) => self.scripted(&corrupt).await,
                    Err(_) => None,
                }
            }
            Some(Fault::Duplicate) => {
                let answer = self.scripted(asked).await;
                let _ = self.scripted(asked).await;
                answer
            }
            _ => self.scripted(asked).await,
        };
        let mut answer = answer.unwrap_or_default();
        if let Some(Fault::Delay(delay)) = fault {
            sleep(delay).await;
        }
        if let Some(Fault::Refuse(code) | Fault::RefuseAfter(code)) = fault {
            answer = if asked.api == ApiKey::Metadata {
                self.metadata(asked, Some(code)).unwrap_or_default()
            } else {
                refusal(asked, code).unwrap_or_default()
            };
        }
        let body = answer.get(4..).unwrap_or_default();
        if asked.api == ApiKey::Fetch
            && let Some(at) = batch_byte(asked.version, body)
            && self.rules.strike_records(broker)
            && let Some(byte) = answer.get_mut(4 + at)
        {
            *byte ^= 1;
        }
        (answer, fault)
    }

    /// What the script says, or else the honest answer.
    async fn scripted(&self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let script = self.lock().scripts.get(&asked.api).map(|it| it.1.clone());
        // By now others may use the broker, and the script itself, too.
        let scripted = script.and_then(|script| {
            let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
            script(asked)
        });
        match scripted {
            Some(answer) => Some(answer),
            None => self.honest(asked).await,
        }
    }
}
