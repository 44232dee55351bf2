//! Who leads what: the cluster as last heard of, and when to ask again.
//!
//! Knows no broker's connection; whoever asks brings the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use highwater_wire::ErrorCode;
use highwater_wire::message::MetadataResponse;
use uuid::Uuid;

use crate::core::backoff::Backoff;

/// The cluster at one moment. Immutable; shared by everybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) brokers: BTreeMap<i32, Broker>,
    pub(crate) controller: Option<i32>,
    topics: BTreeMap<Arc<str>, Topic>,
    names: BTreeMap<Uuid, Arc<str>>,
    /// Counts up with every change.
    pub(crate) version: u64,
}

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// A topic, or why there is none.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: Uuid,
    pub(crate) error: Option<ErrorCode>,
    /// By index.
    pub(crate) partitions: Vec<Partition>,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) leader: Option<i32>,
    pub(crate) leader_epoch: i32,
}

impl Cluster {
    pub(crate) fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    pub(crate) fn name_of(&self, id: &Uuid) -> Option<&Arc<str>> {
        self.names.get(id)
    }

    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        self.topic(topic)?
            .partitions
            .get(usize::try_from(partition).ok()?)
    }
}

/// The cluster as last heard of, and what is to be asked next.
#[derive(Debug)]
pub(crate) struct Metadata {
    cluster: Arc<Cluster>,
    /// Topics somebody uses, and whether they were in an answer yet.
    interest: BTreeMap<Arc<str>, bool>,
    /// Topics of which only the id is known; by name once an answer told that.
    wanted: BTreeSet<Uuid>,
    age_max: Duration,
    backoff: Backoff,
    stale: bool,
    failures: u32,
    /// Not before this time is asked again.
    pause_until: Duration,
    heard_at: Option<Duration>,
}

impl Metadata {
    pub(crate) fn new(age_max: Duration, backoff: Backoff) -> Self {
        Self {
            cluster: Arc::default(),
            interest: BTreeMap::new(),
            wanted: BTreeSet::new(),
            age_max,
            backoff,
            stale: true,
            failures: 0,
            pause_until: Duration::ZERO,
            heard_at: None,
        }
    }

    pub(crate) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Somebody uses `topic` from now on.
    pub(crate) fn use_topic(&mut self, topic: &str) {
        if !self.interest.contains_key(topic) {
            self.interest.insert(topic.into(), false);
        }
    }

    /// Somebody uses the topics of these ids from now on; returns whether that is news.
    pub(crate) fn use_topic_ids(&mut self, ids: BTreeSet<Uuid>) -> bool {
        let is_news = !ids.is_subset(&self.wanted);
        self.wanted.extend(ids);
        self.stale |= is_news;
        is_news
    }

    /// The ids to ask about.
    pub(crate) fn ids(&self) -> Vec<Uuid> {
        self.wanted.iter().copied().collect()
    }

    /// These were asked about: their topics are known by name now, or not at all.
    pub(crate) fn heard_ids(&mut self, asked: &[Uuid]) {
        for id in asked {
            self.wanted.remove(id);
            if let Some(name) = self.cluster.names.get(id) {
                self.interest.insert(Arc::clone(name), true);
            }
        }
    }

    /// Something turned out to be wrong: ask again, as soon as that is decent.
    pub(crate) fn invalidate(&mut self) {
        self.stale = true;
    }

    /// When to ask next.
    pub(crate) fn due(&self) -> Duration {
        if self.failures == 0 && self.interest.values().any(|heard| !heard) {
            return Duration::ZERO;
        }
        match self.heard_at {
            Some(at) if !self.stale => at.saturating_add(self.age_max).max(self.pause_until),
            Some(_) | None => self.pause_until,
        }
    }

    /// The topics to ask about.
    pub(crate) fn topics(&self) -> Vec<Arc<str>> {
        self.interest.keys().cloned().collect()
    }

    /// No broker answered.
    pub(crate) fn failed(&mut self, now: Duration, random: u64) {
        self.failures = self.failures.saturating_add(1);
        self.stale = true;
        self.pause_until = now + self.backoff.pause(self.failures, random);
    }

    /// A broker answered about `asked`.
    pub(crate) fn heard(
        &mut self,
        now: Duration,
        asked: &[Arc<str>],
        answer: &MetadataResponse<'_>,
    ) {
        let mut cluster = Cluster {
            version: self.cluster.version + 1,
            controller: (answer.controller_id >= 0).then_some(answer.controller_id),
            ..Cluster::default()
        };
        for broker in &answer.brokers {
            let Ok(port) = u16::try_from(broker.port) else {
                continue;
            };
            let place = Broker {
                host: broker.host.to_owned(),
                port,
            };
            cluster.brokers.insert(broker.node_id, place);
        }
        for heard in &answer.topics {
            let Some(name) = heard.name else { continue };
            let known = self.cluster.topics.get(name);
            let name = known.map_or_else(|| Arc::from(name), |topic| Arc::clone(&topic.name));
            let same = known.filter(|topic| topic.id == heard.topic_id);
            let mut partitions: Vec<Partition> = Vec::new();
            for partition in &heard.partitions {
                let Ok(index) = usize::try_from(partition.partition_index) else {
                    continue;
                };
                // Kafka's own limit of partitions of a topic is far below.
                if index > 1_000_000 {
                    continue;
                }
                if index >= partitions.len() {
                    partitions.resize(
                        index + 1,
                        Partition {
                            leader: None,
                            leader_epoch: -1,
                        },
                    );
                }
                let leader = (partition.leader_id >= 0).then_some(partition.leader_id);
                let now = Partition {
                    leader,
                    leader_epoch: partition.leader_epoch,
                };
                // A broker that lags behind must not undo what is known (KIP-320).
                let before = same.and_then(|topic| topic.partitions.get(index));
                partitions[index] = match before {
                    Some(before) if before.leader_epoch > now.leader_epoch => *before,
                    Some(_) | None => now,
                };
            }
            let error = Some(ErrorCode::from_id(heard.error_code)).filter(|code| code.is_error());
            if let Some(heard) = self.interest.get_mut(&name) {
                *heard = true;
            }
            cluster.names.insert(heard.topic_id, Arc::clone(&name));
            let topic = Topic {
                name: Arc::clone(&name),
                id: heard.topic_id,
                error,
                partitions,
            };
            cluster.topics.insert(name, topic);
        }
        for name in asked {
            if let Some(heard) = self.interest.get_mut(name) {
                *heard = true;
            }
        }
        self.cluster = Arc::new(cluster);
        self.stale = false;
        self.failures = 0;
        self.heard_at = Some(now);
        // However often somebody finds it wrong, one question per pause is enough.
        self.pause_until = now + self.backoff.first;
    }

    /// A broker named a partition's leader in passing (KIP-951). Returns whether that is news.
    pub(crate) fn hint(
        &mut self,
        topic: &str,
        partition: i32,
        leader: i32,
        leader_epoch: i32,
        place: Option<Broker>,
    ) -> bool {
        let Some(known) = self.cluster.partition(topic, partition) else {
            return false;
        };
        let reachable = place.is_some() || self.cluster.brokers.contains_key(&leader);
        if leader < 0 || leader_epoch <= known.leader_epoch || !reachable {
            return false;
        }
        let cluster = Arc::make_mut(&mut self.cluster);
        cluster.version += 1;
        if let Some(place) = place {
            cluster.brokers.insert(leader, place);
        }
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        if let Some(known) = cluster
            .topics
            .get_mut(topic)
            .and_then(|topic| topic.partitions.get_mut(index))
        {
            *known = Partition {
                leader: Some(leader),
                leader_epoch,
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_wire::Array;
    use highwater_wire::message::metadata::{
        MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    };

    const AGE: Duration = Duration::from_secs(300);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn metadata() -> Metadata {
        Metadata::new(
            AGE,
            Backoff {
                first: ms(100),
                max: ms(1000),
            },
        )
    }

    fn answer(leader: i32, epoch: i32) -> MetadataResponse<'static> {
        MetadataResponse {
            brokers: Array::from([1, 2].map(|node_id| MetadataResponseBroker {
                node_id,
                host: "h",
                port: 9092,
                ..Default::default()
            })),
            controller_id: 1,
            topics: Array::from([MetadataResponseTopic {
                name: Some("t"),
                topic_id: Uuid::from_u128(7),
                partitions: Array::from([MetadataResponsePartition {
                    leader_id: leader,
                    leader_epoch: epoch,
                    ..Default::default()
                }]),
                ..Default::default()
            }]),
            ..Default::default()
        }
    }

    #[test]
    fn a_new_topic_is_asked_about_at_once_and_then_by_age() {
        let mut metadata = metadata();
        metadata.heard(ms(0), &[], &MetadataResponse::default());
        assert_eq!(metadata.due(), AGE);
        metadata.use_topic("t");
        assert_eq!(metadata.due(), Duration::ZERO);
        metadata.heard(ms(50), &metadata.topics(), &answer(1, 5));
        assert_eq!(metadata.due(), ms(50) + AGE);
        let known = Partition {
            leader: Some(1),
            leader_epoch: 5,
        };
        assert_eq!(metadata.cluster().partition("t", 0), Some(&known));
        assert_eq!(
            metadata
                .cluster()
                .name_of(&Uuid::from_u128(7))
                .map(|n| &**n),
            Some("t")
        );
    }

    #[test]
    fn however_often_it_is_found_wrong_one_question_per_pause_is_asked() {
        let mut metadata = metadata();
        metadata.heard(ms(1000), &[], &answer(1, 5));
        metadata.invalidate();
        metadata.invalidate();
        assert_eq!(metadata.due(), ms(1100));
        metadata.failed(ms(1100), 200);
        assert_eq!(metadata.due(), ms(1200));
        metadata.failed(ms(1200), 200);
        assert_eq!(metadata.due(), ms(1400));
    }

    #[test]
    fn an_older_leader_epoch_undoes_nothing_unless_the_topic_is_another() {
        let mut metadata = metadata();
        metadata.heard(ms(0), &[], &answer(1, 5));
        metadata.heard(ms(1), &[], &answer(2, 4));
        let leader = |metadata: &Metadata| metadata.cluster().partition("t", 0).unwrap().leader;
        assert_eq!(leader(&metadata), Some(1));
        let mut remade = answer(2, 0);
        remade.topics = remade
            .topics
            .iter()
            .map(|topic| MetadataResponseTopic {
                topic_id: Uuid::from_u128(8),
                ..topic
            })
            .collect();
        metadata.heard(ms(2), &[], &remade);
        assert_eq!(leader(&metadata), Some(2));
    }

    #[test]
    fn a_hint_moves_a_leader_only_forward() {
        let mut metadata = metadata();
        metadata.heard(ms(0), &[], &answer(1, 5));
        assert!(!metadata.hint("t", 0, 2, 5, None));
        assert!(
            !metadata.hint("t", 0, 3, 6, None),
            "nobody said where broker 3 is"
        );
        assert!(metadata.hint("t", 0, 2, 6, None));
        let place = Broker {
            host: "n".to_owned(),
            port: 1,
        };
        assert!(metadata.hint("t", 0, 3, 7, Some(place)));
        assert_eq!(
            metadata.cluster().partition("t", 0).unwrap().leader,
            Some(3)
        );
        assert!(metadata.cluster().brokers.contains_key(&3));
    }
}
