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

mod copied;
mod response;
mod standing;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use highwater_partition::{Fetch, FetchPlan, Isolation};
use highwater_record::{LeaderEpoch, Offset};
use highwater_wire::ErrorCode;
use highwater_wire::message::fetch::FetchRequest;

use self::response::{answer, refused};
use self::standing::{SessionAnswer, Standing, open_session, session};
use crate::answer::Answer;
use crate::config::CompressionType;
use crate::dispatch::Context;
use crate::handlers::fetch_session::{NO_SESSION, Outcome, TopicKey, Want};
use crate::metadata::image::{Image, Topic};
use crate::parking::{Amount, Target};
use crate::shard::Shard;
use crate::{parking, route};

pub(crate) use self::standing::SessionErrand;

/// The longest wait of a request that is worked on in turn: others stand behind it. Clients ask again.
const WIDE_WAIT_MS_MAX: u32 = 500;

/// The first version with sessions (KIP-227).
const SESSIONS_SINCE: i16 = 7;

/// The first version whose clients know zstd (KIP-110).
const ZSTD_SINCE: i16 = 10;

/// The first version that names topics by id (KIP-516).
const IDS_SINCE: i16 = 13;

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
