//! How a Fetch stands to a fetch session (KIP-227): which partitions it is about, and what is done with the session on its
//! own shard. The rules of sessions are `fetch_session`'s.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use highwater_wire::message::fetch::FetchRequest;
use uuid::Uuid;

use super::{IDS_SINCE, SESSIONS_SINCE};
use crate::dispatch::Context;
use crate::errand::{self, Errand};
use crate::handlers::fetch_session::{
    self, Begun, FINAL_EPOCH, INITIAL_EPOCH, Key, NO_SESSION, Outcome, Refusal, TopicKey, Want,
};
use crate::metadata::image::Image;
use crate::shard::Shard;

/// How the request stands to a fetch session.
pub(super) enum Standing {
    None,
    /// A new one is wanted.
    New,
    Incremental {
        id: i32,
        epoch: i32,
    },
}

/// The partitions to read: the request's own, or its session's with the request's changes applied.
pub(super) async fn open_session(
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

/// Does `errand` where the session lives.
pub(super) async fn session(
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
