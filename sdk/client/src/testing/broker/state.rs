//! What the brokers of paper hold between two requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use highwater_wire::ApiKey;
use uuid::Uuid;

use super::log::Log;
use crate::testing::Asked;

/// Answers in a broker's place.
///
/// Shared, because it runs while the state is not locked.
pub(super) type Script = Arc<Mutex<dyn FnMut(&Asked<'_>) -> Option<Vec<u8>> + Send>>;

pub(super) struct State {
    pub(super) ports: Vec<u16>,
    pub(super) topics: BTreeMap<String, Topic>,
    /// How many topics were ever made; their ids come from it.
    pub(super) made: u64,
    /// Every request: broker, API, version.
    pub(super) seen: Vec<(i32, ApiKey, i16)>,
    /// With the versions that the script's API has.
    pub(super) scripts: BTreeMap<ApiKey, ((i16, i16), Script)>,
    /// Highest version offered of some APIs.
    pub(super) offered: BTreeMap<ApiKey, i16>,
    pub(super) message_bytes_max: usize,
    /// What answers to Produce and Fetch say.
    pub(super) throttle_time_ms: i32,
    pub(super) next_producer: i64,
    /// Whether batches are checked and kept, or only counted.
    pub(super) keeps: bool,
    /// Batches that every fetch is answered with.
    pub(super) canned: Option<Bytes>,
}

pub(super) struct Topic {
    pub(super) id: Uuid,
    pub(super) partitions: Vec<Log>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            ports: Vec::new(),
            topics: BTreeMap::new(),
            made: 0,
            seen: Vec::new(),
            scripts: BTreeMap::new(),
            offered: BTreeMap::new(),
            message_bytes_max: 1 << 20,
            throttle_time_ms: 0,
            next_producer: 0,
            keeps: true,
            canned: None,
        }
    }

    pub(super) fn log(&mut self, topic: &str, partition: usize) -> Option<&mut Log> {
        self.topics.get_mut(topic)?.partitions.get_mut(partition)
    }

    /// A partition of the topic that a request names, by id in its later versions.
    pub(super) fn named(
        &mut self,
        by_id: bool,
        name: &str,
        id: Uuid,
        partition: i32,
    ) -> Option<&mut Log> {
        let partition = usize::try_from(partition).ok()?;
        let topic = if by_id {
            self.topics.values_mut().find(|topic| topic.id == id)
        } else {
            self.topics.get_mut(name)
        };
        topic?.partitions.get_mut(partition)
    }
}
