//! Fetch (1): records as they lie in the log, at once or as soon as there are enough of them.
//!
//! Knows the request, its session and the shape of the answer; what may be read is the partition's, who waits until when
//! is `parking`'s, and no record byte passes through here.
//!
//! ```text
//!   request ─ session ─ wants ─┬─ no such topic or partition ───────────────┐
//!                              └─ per owning shard: Read ─ plans (byte ranges) ─ answer ─ small: read beside the head
//!                                                                                      └ large: spliced by sendfile
//! ```

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use highwater_log::FileRange;
use highwater_partition::{Fetch, FetchPlan, Isolation};
use highwater_reactor::Reactor;
use highwater_record::{LeaderEpoch, Offset};
use highwater_wire::message::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use highwater_wire::{Array, ErrorCode, RecordBytes, encode_response};
use uuid::Uuid;

use crate::answer::{Answer, Frame};
use crate::config::CompressionType;
use crate::dispatch::Context;
use crate::errand::{self, Errand};
use crate::handlers::fetch_session::{
    self, Begun, FINAL_EPOCH, INITIAL_EPOCH, Key, NO_SESSION, Outcome, Refusal, TopicKey, Want,
};
use crate::metadata::image::{Image, Topic};
use crate::parking::{Amount, Target};
use crate::shard::Shard;
use crate::{parking, route};

/// Answers with fewer record bytes are read beside their head and leave in one write; larger ranges go by sendfile.
const COPIED_BYTES_MAX: usize = 64 << 10;

/// A range up to this size costs less copied than in a call of its own...
const SHORT_RANGE_BYTES: usize = 16 << 10;

/// ...as long as one answer copies no more of them than this.
const SHORT_RANGES_BYTES_MAX: usize = 256 << 10;

/// The longest wait of a request that is worked on in turn: others stand behind it. Clients ask again.
const WIDE_WAIT_MS_MAX: u32 = 500;

/// The first version with sessions (KIP-227).
const SESSIONS_SINCE: i16 = 7;

/// The first version whose clients know zstd (KIP-110).
const ZSTD_SINCE: i16 = 10;

/// The first version that names topics by id (KIP-516).
const IDS_SINCE: i16 = 13;

/// The first version whose answer may say who leads (KIP-951).
const LEADERS_SINCE: i16 = 16;

/// The last version whose clients take KAFKA_STORAGE_ERROR for a fatal one.
const STORAGE_ERROR_UNKNOWN_UNTIL: i16 = 5;

/// What was found for one partition of the request.
struct Row {
    want: Want,
    topic: Option<Arc<Topic>>,
    found: Result<FetchPlan, ErrorCode>,
}

impl Row {
    fn outcome(&self) -> Outcome {
        match &self.found {
            Ok(plan) => Outcome {
                has_records: plan.bytes > 0,
                failed: false,
                diverging: plan.diverging.is_some(),
                high_watermark: plan.high_watermark.get(),
                log_start: plan.log_start.get(),
            },
            Err(_) => Outcome {
                has_records: false,
                failed: true,
                diverging: false,
                high_watermark: -1,
                log_start: -1,
            },
        }
    }
}

/// How the request stands to a fetch session.
enum Standing {
    None,
    /// A new one is wanted.
    New,
    Incremental {
        id: i32,
        epoch: i32,
    },
}

pub(crate) async fn handle(
    shard: &Rc<Shard>,
    context: &Context,
    request: FetchRequest<'_>,
) -> Answer {
    let by_id = context.version >= IDS_SINCE;
    let (wants, standing) = match open_session(shard, context, &request).await {
        Ok(opened) => opened,
        Err(refusal) => return refused(context, refusal),
    };
    let image = shard.image();
    let mut rows: Vec<Row> = wants
        .into_iter()
        .map(|want| resolve(&image, context.version, want))
        .collect();
    let amount = amount(shard, context, &request);
    read(shard, context, &request, amount, &mut rows).await;

    let (session_id, rows) = match standing {
        Standing::None => (NO_SESSION, rows),
        Standing::New => {
            let partitions = rows
                .iter()
                .map(|row| (row.want.clone(), row.outcome()))
                .collect();
            let reactor = shard.reactor();
            let id = shard
                .sessions()
                .borrow_mut()
                .create(reactor.now(), by_id, partitions, || reactor.random_u64());
            (id, rows)
        }
        Standing::Incremental { id, epoch } => {
            let outcomes = rows
                .iter()
                .map(|row| (row.want.key.clone(), row.outcome()))
                .collect();
            let select = SessionErrand::Select {
                id,
                epoch,
                outcomes,
            };
            match session(shard, id, select).await {
                Ok(SessionAnswer::News(news)) => {
                    let mut news = news.into_iter();
                    rows.retain(|_| news.next().unwrap_or(true));
                    (id, rows)
                }
                Ok(SessionAnswer::Begun(_) | SessionAnswer::Removed) => (id, rows),
                Err(refusal) => return refused(context, refusal),
            }
        }
    };
    answer(
        shard,
        context,
        &image,
        session_id,
        request.isolation_level,
        &rows,
    )
    .await
}

/// The partitions to read: the request's own, or its session's with the request's changes applied.
async fn open_session(
    shard: &Rc<Shard>,
    context: &Context,
    request: &FetchRequest<'_>,
) -> Result<(Vec<Want>, Standing), Refusal> {
    let image = shard.image();
    let by_id = context.version >= IDS_SINCE;
    let mut changed = Vec::new();
    for topic in request.topics.iter() {
        let key = topic_key(&image, by_id, topic.topic, topic.topic_id);
        changed.extend(topic.partitions.iter().map(|partition| Want {
            key: Key {
                topic: key.clone(),
                partition: partition.partition,
            },
            offset: partition.fetch_offset,
            bytes_max: partition.partition_max_bytes,
            current_leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
        }));
    }
    if context.version < SESSIONS_SINCE {
        return Ok((changed, Standing::None));
    }
    let (id, epoch) = (request.session_id, request.session_epoch);
    if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
        if id != NO_SESSION {
            session(shard, id, SessionErrand::Remove { id }).await?;
        }
        let standing = if epoch == INITIAL_EPOCH {
            Standing::New
        } else {
            Standing::None
        };
        return Ok((changed, standing));
    }
    let mut forgotten = Vec::new();
    for topic in request.forgotten_topics_data.iter() {
        let key = topic_key(&image, by_id, topic.topic, topic.topic_id);
        forgotten.extend(topic.partitions.iter().map(|partition| Key {
            topic: key.clone(),
            partition,
        }));
    }
    let own = changed.clone();
    match session(
        shard,
        id,
        SessionErrand::Begin {
            id,
            epoch,
            by_id,
            changed,
            forgotten,
        },
    )
    .await?
    {
        SessionAnswer::Begun(Begun::Incremental { wants, epoch }) => {
            Ok((wants, Standing::Incremental { id, epoch }))
        }
        SessionAnswer::Begun(Begun::Sessionless)
        | SessionAnswer::News(_)
        | SessionAnswer::Removed => Ok((own, Standing::None)),
    }
}

fn topic_key(image: &Image, by_id: bool, name: &str, id: Uuid) -> TopicKey {
    if by_id {
        return TopicKey::Id(id);
    }
    TopicKey::Name(
        image
            .topic(name)
            .map_or_else(|| Arc::from(name), |topic| topic.name.clone()),
    )
}

/// Finds a wanted partition's topic. What is found is nothing yet, or the reason why nothing can be.
fn resolve(image: &Image, version: i16, want: Want) -> Row {
    let (topic, unknown) = match &want.key.topic {
        TopicKey::Name(name) => (image.topic(name), ErrorCode::UnknownTopicOrPartition),
        TopicKey::Id(id) => (image.topic_by_id(id), ErrorCode::UnknownTopicId),
    };
    let found = match topic {
        None => Err(unknown),
        Some(topic) if !route::has_partition(topic, want.key.partition) => {
            Err(ErrorCode::UnknownTopicOrPartition)
        }
        Some(topic)
            if version < ZSTD_SINCE && topic.config.compression_type == CompressionType::Zstd =>
        {
            Err(ErrorCode::UnsupportedCompressionType)
        }
        Some(_) => Ok(FetchPlan {
            ranges: Default::default(),
            bytes: 0,
            high_watermark: Offset::ZERO,
            last_stable: Offset::ZERO,
            log_start: Offset::ZERO,
            diverging: None,
        }),
    };
    Row {
        topic: topic.cloned(),
        want,
        found,
    }
}

/// How much may be sent, and how much is worth sending before the time is up.
fn amount(shard: &Shard, context: &Context, request: &FetchRequest<'_>) -> Amount {
    let bytes_max = unsigned(request.max_bytes).min(shard.image().broker().fetch_max_bytes);
    let wait_ms_max = if context.is_wide {
        WIDE_WAIT_MS_MAX
    } else {
        u32::MAX
    };
    let wait_ms = unsigned(request.max_wait_ms).min(wait_ms_max);
    Amount {
        bytes_max,
        bytes_min: unsigned(request.min_bytes).min(bytes_max),
        until: shard.reactor().now() + Duration::from_millis(wait_ms.into()),
    }
}

/// Fills in what the partitions' shards find.
async fn read(
    shard: &Rc<Shard>,
    context: &Context,
    request: &FetchRequest<'_>,
    amount: Amount,
    rows: &mut [Row],
) {
    let isolation = isolation(request.isolation_level);
    let mut targets = route::PerShard::new();
    for (row, Row { want, topic, found }) in rows.iter().enumerate() {
        let (Some(topic), Ok(_)) = (topic, found) else {
            continue;
        };
        let target = Target {
            row,
            topic_id: topic.id,
            partition: want.key.partition,
            fetch: Fetch {
                from: Offset::new(want.offset),
                bytes_max: unsigned(want.bytes_max),
                at_least_one: true,
                isolation,
                current_leader_epoch: epoch(want.current_leader_epoch),
                last_fetched_epoch: epoch(want.last_fetched_epoch),
            },
        };
        targets.push(route::owner(shard, &topic.id, want.key.partition), target);
    }
    for (row, found) in parking::gather(shard, context.guest.id(), targets, amount).await {
        if let Some(row) = rows.get_mut(row) {
            row.found = found;
        }
    }
    trim(rows, amount.bytes_max);
}

/// Keeps the sum within the limit: shards that were asked at the same time did not know of each other's share. The first
/// records always stay, however many (KIP-74).
fn trim(rows: &mut [Row], bytes_max: u32) {
    let mut left = bytes_max;
    let mut first = true;
    for row in rows {
        let Ok(plan) = &mut row.found else { continue };
        if plan.bytes == 0 {
            continue;
        }
        if first || plan.bytes <= left {
            left = left.saturating_sub(plan.bytes);
            first = false;
        } else {
            plan.ranges.clear();
            plan.bytes = 0;
        }
    }
}

/// The answer to a request whose session does not hold.
fn refused(context: &Context, refusal: Refusal) -> Answer {
    let error = match refusal {
        Refusal::NotFound => ErrorCode::FetchSessionIdNotFound,
        Refusal::Epoch => ErrorCode::InvalidFetchSessionEpoch,
        Refusal::NamesAndIds => ErrorCode::FetchSessionTopicIdError,
    };
    context.answer(&FetchResponse {
        error_code: error.id(),
        ..FetchResponse::default()
    })
}

/// The answer, its records beside it or to be spliced in.
async fn answer(
    shard: &Shard,
    context: &Context,
    image: &Image,
    session_id: i32,
    isolation_level: i8,
    rows: &[Row],
) -> Answer {
    let mut topics: Vec<FetchableTopicResponse<'_>> = Vec::new();
    let mut partitions: Vec<PartitionData<'_>> = Vec::new();
    let mut leaders = false;
    for (at, row) in rows.iter().enumerate() {
        let data = partition_data(context, image, isolation_level, row);
        leaders |= data.current_leader.leader_id >= 0;
        partitions.push(data);
        if rows
            .get(at + 1)
            .is_none_or(|next| next.want.key.topic != row.want.key.topic)
        {
            let (topic, topic_id) = match &row.want.key.topic {
                TopicKey::Name(name) => (&**name, row.topic.as_ref().map_or(Uuid::nil(), |t| t.id)),
                TopicKey::Id(id) => (row.topic.as_ref().map_or("", |t| &*t.name), *id),
            };
            let partitions = Array::from(std::mem::take(&mut partitions));
            topics.push(FetchableTopicResponse {
                topic,
                topic_id,
                partitions,
            });
        }
    }
    let node = image.node();
    let told = context.endpoint(node);
    let endpoint = NodeEndpoint {
        node_id: node.id,
        host: &told.host,
        port: told.port.into(),
        rack: node.rack.as_deref(),
    };
    let response = FetchResponse {
        session_id: if context.version >= SESSIONS_SINCE {
            session_id
        } else {
            NO_SESSION
        },
        responses: topics.into(),
        node_endpoints: leaders.then_some(endpoint).into_iter().collect(),
        ..FetchResponse::default()
    };
    let encoded = match encode_response(context.correlation_id, context.version, &response) {
        Ok(encoded) => encoded,
        Err(error) => return Answer::Hangup(error.into()),
    };
    // One splice per partition with records, in the order of the partitions.
    let plans = rows
        .iter()
        .filter_map(|row| row.found.as_ref().ok())
        .filter(|p| p.bytes > 0);
    let splices = encoded
        .splices
        .iter()
        .zip(plans)
        .flat_map(|(splice, plan)| plan.ranges.iter().map(|range| (splice.at, range.clone())))
        .collect::<Vec<_>>();
    let frame = Frame {
        head: Bytes::from(encoded.bytes),
        splices,
    };
    match copied(shard.reactor(), frame).await {
        Ok(frame) => Answer::Frame(frame),
        Err(error) => Answer::Hangup(error.into()),
    }
}

fn partition_data<'a>(
    context: &Context,
    image: &Image,
    isolation_level: i8,
    row: &'a Row,
) -> PartitionData<'a> {
    let partition_index = row.want.key.partition;
    let empty = Some(RecordBytes::Bytes(&[]));
    match &row.found {
        Ok(plan) => PartitionData {
            partition_index,
            high_watermark: plan.high_watermark.get(),
            last_stable_offset: plan.last_stable.get(),
            log_start_offset: plan.log_start.get(),
            diverging_epoch: plan.diverging.map_or_else(EpochEndOffset::default, |end| {
                EpochEndOffset {
                    epoch: end.epoch.get(),
                    end_offset: end.end.get(),
                }
            }),
            aborted_transactions: (isolation_level == 1).then(Array::empty),
            records: match plan.bytes {
                0 => empty,
                len => Some(RecordBytes::Deferred { len }),
            },
            ..PartitionData::default()
        },
        Err(error) => PartitionData {
            partition_index,
            error_code: if *error == ErrorCode::KafkaStorageError
                && context.version <= STORAGE_ERROR_UNKNOWN_UNTIL
            {
                ErrorCode::NotLeaderOrFollower.id()
            } else {
                error.id()
            },
            high_watermark: -1,
            current_leader: current_leader(context, image, row, *error),
            records: empty,
            ..PartitionData::default()
        },
    }
}

/// Who leads, for a reader whose idea of it is wrong (KIP-951).
fn current_leader(
    context: &Context,
    image: &Image,
    row: &Row,
    error: ErrorCode,
) -> LeaderIdAndEpoch {
    let wrong = matches!(
        error,
        ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
    );
    let state = row.topic.as_ref().and_then(|topic| {
        topic
            .partitions
            .get(usize::try_from(row.want.key.partition).ok()?)
    });
    match state {
        Some(state) if wrong && context.version >= LEADERS_SINCE => LeaderIdAndEpoch {
            leader_id: image.node().id,
            leader_epoch: state.leader_epoch.get(),
        },
        _ => LeaderIdAndEpoch::default(),
    }
}

/// The frame with records read in between where that is cheaper than to splice them: all where they are few, and else
/// the short ranges among the long.
async fn copied(reactor: &Reactor, frame: Frame) -> std::io::Result<Frame> {
    let bytes: usize = frame
        .splices
        .iter()
        .map(|(_, range)| range.len as usize)
        .sum();
    let is_small = bytes <= COPIED_BYTES_MAX;
    let mut left = if is_small {
        bytes
    } else {
        SHORT_RANGES_BYTES_MAX
    };
    let mut is_copied = |range: &FileRange| {
        let len = range.len as usize;
        let yes = (is_small || len <= SHORT_RANGE_BYTES) && len <= left;
        left -= if yes { len } else { 0 };
        yes
    };
    let copies: Vec<bool> = frame
        .splices
        .iter()
        .map(|(_, range)| is_copied(range))
        .collect();
    if !copies.contains(&true) {
        return Ok(frame);
    }
    let more = frame
        .splices
        .iter()
        .zip(&copies)
        .filter(|(_, copied)| **copied);
    let more: usize = more.map(|((_, range), _)| range.len as usize).sum();
    let mut head = BytesMut::with_capacity(frame.head.len() + more);
    let mut splices = Vec::new();
    let mut at = 0;
    for ((position, range), copied) in frame.splices.into_iter().zip(copies) {
        head.extend_from_slice(&frame.head[at..position]);
        at = position;
        if !copied {
            splices.push((head.len(), range));
            continue;
        }
        let FileRange {
            file,
            position,
            len,
        } = range;
        reactor.prefetch(&file, position, u64::from(len)).await?;
        if file.read_at_append(position, len as usize, &mut head)? < len as usize {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    head.extend_from_slice(&frame.head[at..]);
    Ok(Frame {
        head: head.freeze(),
        splices,
    })
}

fn isolation(level: i8) -> Isolation {
    match level {
        1 => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    }
}

fn epoch(known: i32) -> Option<LeaderEpoch> {
    (known >= 0).then(|| LeaderEpoch::new(known))
}

/// A size or a time as clients send it, where negative means none.
fn unsigned(number: i32) -> u32 {
    number.max(0).cast_unsigned()
}

/// Does `errand` where the session lives.
async fn session(
    shard: &Rc<Shard>,
    id: i32,
    errand: SessionErrand,
) -> Result<SessionAnswer, Refusal> {
    let home = fetch_session::home(id, shard.reactor().shards());
    errand::begin(shard, home, errand)
        .await
        .unwrap_or(Err(Refusal::NotFound))
}

/// What is done with a fetch session on its shard.
pub(crate) enum SessionErrand {
    /// Closes it.
    Remove {
        /// Which.
        id: i32,
    },
    /// Applies an incremental request.
    Begin {
        /// Which.
        id: i32,
        /// The request's epoch.
        epoch: i32,
        /// Whether the request names topics by id.
        by_id: bool,
        /// Added and changed partitions.
        changed: Vec<Want>,
        /// Removed partitions.
        forgotten: Vec<Key>,
    },
    /// Picks what is news.
    Select {
        /// Which.
        id: i32,
        /// The epoch the session was given at the begin.
        epoch: i32,
        /// What was found.
        outcomes: Vec<(Key, Outcome)>,
    },
}

/// What came of it.
pub(crate) enum SessionAnswer {
    /// It is gone, or never was.
    Removed,
    /// What to read.
    Begun(Begun),
    /// For each outcome, whether it is news.
    News(Vec<bool>),
}

impl Errand for SessionErrand {
    type Answer = Result<SessionAnswer, Refusal>;

    fn start(self, shard: &Rc<Shard>) -> impl Future<Output = Self::Answer> + use<> {
        let mut sessions = shard.sessions().borrow_mut();
        let now = shard.reactor().now();
        std::future::ready(match self {
            SessionErrand::Remove { id } => {
                sessions.remove(id);
                Ok(SessionAnswer::Removed)
            }
            SessionErrand::Begin {
                id,
                epoch,
                by_id,
                changed,
                forgotten,
            } => sessions
                .begin(now, id, epoch, by_id, changed, &forgotten)
                .map(SessionAnswer::Begun),
            SessionErrand::Select {
                id,
                epoch,
                outcomes,
            } => sessions
                .select(id, epoch, &outcomes)
                .map(SessionAnswer::News),
        })
    }
}
