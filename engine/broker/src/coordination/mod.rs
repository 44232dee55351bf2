//! The shell around the group coordinators: which of them live on this shard, what they read at the start, what they write,
//! when they are woken, and when an answer of theirs may leave. It decides nothing about groups; `highwater-coordinator`
//! does.
//!
//! ```text
//!   connection's shard                    shard that owns the group's partition of __consumer_offsets
//!
//!   request ── group id ── Ask ─────────> Desk: decode ── Coordinator ──┬── append: one batch, at once
//!      │        (the bytes as they came)                                └── answer: encoded at once
//!      │                                                                        │
//!      └──────── the whole frame <── when everything appended so far is as safe as the topic promises
//! ```

mod alarm;
mod ask;
mod call;
mod desk;
mod hall;
mod inquiry;
mod loading;
mod offsets_topic;
mod outbox;
mod question;
mod refusal;
mod surroundings;
mod topics;

pub(crate) use alarm::ring;
pub(crate) use ask::{Ask, List, body_of, list, many, one, refused};
pub(crate) use call::FETCHES_MANY_SINCE;
pub(crate) use hall::Hall;
pub(crate) use offsets_topic::{NAME as OFFSETS_TOPIC, find_or_create, new_topic};
pub(crate) use question::{ManyGroups, OneGroup, Question};
