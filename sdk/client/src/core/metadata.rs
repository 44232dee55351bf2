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
    /// Where brokers stand that say so.
    racks: BTreeMap<i32, Arc<str>>,
    /// Whether all topics of the cluster are in it.
    pub(crate) is_complete: bool,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: Arc<str>,
    pub(crate) id: Uuid,
    pub(crate) error: Option<ErrorCode>,
    /// The brokers' own, which no pattern matches.
    pub(crate) is_internal: bool,
    /// By index.
    pub(crate) partitions: Vec<Partition>,
    /// The brokers that have each; kept only where brokers say in which rack they stand.
    pub(crate) replicas: Vec<Vec<i32>>,
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

    /// Those that are known, in order.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    /// The racks in which each of the topic's partitions has replicas.
    pub(crate) fn racks_of(&self, topic: &Topic) -> Vec<BTreeSet<Arc<str>>> {
        let racks = |brokers: &Vec<i32>| {
            let racks = brokers.iter().filter_map(|id| self.racks.get(id).cloned());
            racks.collect()
        };
        topic.replicas.iter().map(racks).collect()
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
    /// How many want to know of all topics there are.
    all: usize,
    age_max: Duration,
    backoff: Backoff,
    stale: bool,
    failures: u32,
    /// Answers in a row that told nothing new, although somebody had found something wrong.
    unchanged: u32,
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
            all: 0,
            age_max,
            backoff,
            stale: true,
            failures: 0,
            unchanged: 0,
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

    /// Somebody wants to know of all topics from now on; or, without `begins`, not any more.
    pub(crate) fn use_all_topics(&mut self, begins: bool) {
        if begins {
            self.all += 1;
            self.stale |= !self.cluster.is_complete;
        } else {
            self.all = self.all.saturating_sub(1);
        }
    }

    /// Whether to ask about all topics.
    pub(crate) fn asks_all(&self) -> bool {
        self.all > 0
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
        // Somebody may have come to want it while others were asked about.
        let wants_all = self.all > 0 && !self.cluster.is_complete;
        let wants = self.stale || wants_all || !self.wanted.is_empty();
        match self.heard_at {
            Some(at) if !wants => at.saturating_add(self.age_max).max(self.pause_until),
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

    /// A broker answered about `asked`, which is in order, and another time, or the same, about all topics there are.
    pub(crate) fn heard_all(
        &mut self,
        now: Duration,
        random: u64,
        asked: &[Arc<str>],
        answer: &MetadataResponse<'_>,
        all: &MetadataResponse<'_>,
    ) {
        // Of what was asked about by name, that answer tells also why it does not exist.
        let is_asked = |name: &str| asked.binary_search_by(|asked| (**asked).cmp(name)).is_ok();
        let others = all
            .topics
            .iter()
            .filter(|topic| !topic.name.is_some_and(is_asked));
        let answer = MetadataResponse {
            topics: answer.topics.iter().chain(others).collect(),
            ..answer.clone()
        };
        self.heard(now, random, asked, &answer);
        Arc::make_mut(&mut self.cluster).is_complete = true;
    }

    /// A broker answered about `asked`.
    pub(crate) fn heard(
        &mut self,
        now: Duration,
        random: u64,
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
            if let Some(rack) = broker.rack.filter(|rack| !rack.is_empty()) {
                cluster.racks.insert(broker.node_id, rack.into());
            }
        }
        for heard in &answer.topics {
            let Some(name) = heard.name else { continue };
            let known = self.cluster.topics.get(name);
            let name = known.map_or_else(|| Arc::from(name), |topic| Arc::clone(&topic.name));
            let same = known.filter(|topic| topic.id == heard.topic_id);
            let mut partitions: Vec<Partition> = Vec::new();
            let mut replicas: Vec<Vec<i32>> = Vec::new();
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
                if !cluster.racks.is_empty() {
                    replicas.resize(replicas.len().max(index + 1), Vec::new());
                    replicas[index] = partition.replica_nodes.iter().collect();
                }
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
                is_internal: heard.is_internal,
                partitions,
                replicas,
            };
            cluster.topics.insert(name, topic);
        }
        for name in asked {
            if let Some(heard) = self.interest.get_mut(name) {
                *heard = true;
            }
        }
        let is_news =
            cluster.brokers != self.cluster.brokers || cluster.topics != self.cluster.topics;
        // Long after the pause, whatever is wrong is something else.
        let goes_on = self.stale && now <= self.pause_until.saturating_add(self.backoff.max);
        self.unchanged = if goes_on && !is_news {
            self.unchanged.saturating_add(1)
        } else {
            0
        };
        self.cluster = Arc::new(cluster);
        self.stale = false;
        self.failures = 0;
        self.heard_at = Some(now);
        // However often somebody finds it wrong, one question per pause is enough; and as long as the
        // answer stays the same, as for a topic that is gone, pauses grow (as in Java, KIP-580).
        self.pause_until = now + self.backoff.pause(self.unchanged.max(1), random);
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
        self.unchanged = 0;
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
        metadata.heard(ms(0), 200, &[], &MetadataResponse::default());
        assert_eq!(metadata.due(), AGE);
        metadata.use_topic("t");
        assert_eq!(metadata.due(), Duration::ZERO);
        metadata.heard(ms(50), 200, &metadata.topics(), &answer(1, 5));
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
    fn who_wants_more_while_others_are_asked_about_is_not_forgotten() {
        let mut metadata = metadata();
        metadata.use_topic("t");
        let asked = metadata.topics();
        // The question is on its way.
        metadata.use_all_topics(true);
        metadata.use_topic_ids(BTreeSet::from([Uuid::from_u128(9)]));
        metadata.heard(ms(50), 200, &asked, &answer(1, 5));
        assert_eq!(metadata.due(), ms(150));
        metadata.heard_all(ms(150), 200, &asked, &answer(1, 5), &answer(1, 5));
        metadata.heard_ids(&metadata.ids());
        assert_eq!(metadata.due(), ms(150) + AGE);
    }

    #[test]
    fn however_often_it_is_found_wrong_one_question_per_pause_is_asked() {
        let mut metadata = metadata();
        metadata.heard(ms(1000), 200, &[], &answer(1, 5));
        metadata.invalidate();
        metadata.invalidate();
        assert_eq!(metadata.due(), ms(1100));
        metadata.failed(ms(1100), 200);
        assert_eq!(metadata.due(), ms(1200));
        metadata.failed(ms(1200), 200);
        assert_eq!(metadata.due(), ms(1400));
    }

    #[test]
    fn pauses_grow_while_the_answer_stays_the_same_and_no_longer() {
        let mut metadata = metadata();
        metadata.heard(ms(1000), 200, &[], &answer(1, 5));
        let mut pauses = Vec::new();
        for _ in 0..6 {
            metadata.invalidate();
            let now = metadata.due();
            metadata.heard(now, 200, &[], &answer(1, 5));
            metadata.invalidate();
            pauses.push((metadata.due() - now).as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        let pause_after = |metadata: &mut Metadata, now, answer: &MetadataResponse<'_>| {
            metadata.invalidate();
            metadata.heard(now, 200, &[], answer);
            metadata.invalidate();
            (metadata.due() - now).as_millis()
        };
        let soon = metadata.due();
        assert_eq!(pause_after(&mut metadata, soon, &answer(2, 6)), 100, "news");
        let soon = metadata.due();
        assert_eq!(pause_after(&mut metadata, soon, &answer(2, 6)), 100);
        let soon = metadata.due();
        assert_eq!(pause_after(&mut metadata, soon, &answer(2, 6)), 200);
        let later = metadata.due() + ms(1001);
        assert_eq!(
            pause_after(&mut metadata, later, &answer(2, 6)),
            100,
            "whatever is wrong now, it is something else"
        );
    }

    #[test]
    fn an_older_leader_epoch_undoes_nothing_unless_the_topic_is_another() {
        let mut metadata = metadata();
        metadata.heard(ms(0), 200, &[], &answer(1, 5));
        metadata.heard(ms(1), 200, &[], &answer(2, 4));
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
        metadata.heard(ms(2), 200, &[], &remade);
        assert_eq!(leader(&metadata), Some(2));
    }

    #[test]
    fn a_hint_moves_a_leader_only_forward() {
        let mut metadata = metadata();
        metadata.heard(ms(0), 200, &[], &answer(1, 5));
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

    #[test]
    fn all_topics_are_known_while_somebody_wants_that_and_those_asked_about_keep_their_reasons() {
        let mut metadata = metadata();
        metadata.use_topic("missing");
        metadata.heard(ms(0), 200, &metadata.topics(), &answer(1, 5));
        assert_eq!((metadata.due(), metadata.asks_all()), (AGE, false));
        metadata.use_all_topics(true);
        assert!(metadata.asks_all() && metadata.due() <= ms(100));
        let missing = MetadataResponse {
            topics: Array::from([MetadataResponseTopic {
                name: Some("missing"),
                error_code: ErrorCode::UnknownTopicOrPartition.id(),
                ..Default::default()
            }]),
            ..answer(1, 5)
        };
        metadata.heard_all(ms(100), 200, &metadata.topics(), &missing, &answer(1, 5));
        let cluster = metadata.cluster();
        assert!(cluster.is_complete);
        let names: Vec<&str> = cluster.topics().map(|topic| &*topic.name).collect();
        assert_eq!(names, ["missing", "t"]);
        let why = cluster.topic("missing").and_then(|topic| topic.error);
        assert_eq!(why, Some(ErrorCode::UnknownTopicOrPartition));
        metadata.use_all_topics(false);
        metadata.heard(ms(200), 200, &metadata.topics(), &missing);
        assert!(!metadata.cluster().is_complete);
    }

    #[test]
    fn a_topic_of_which_the_id_is_known_is_asked_about_until_its_name_is_and_by_name_from_then_on()
    {
        let mut metadata = metadata();
        metadata.heard(ms(0), 200, &[], &MetadataResponse::default());
        let ids = [Uuid::from_u128(7), Uuid::from_u128(8)];
        assert!(metadata.use_topic_ids(ids.into()));
        assert!(!metadata.use_topic_ids(ids.into()), "no news");
        assert!(metadata.due() <= ms(100));
        assert_eq!(metadata.ids(), ids);
        metadata.heard(ms(100), 200, &metadata.topics(), &answer(1, 5));
        metadata.heard_ids(&ids);
        assert!(metadata.ids().is_empty());
        assert_eq!(metadata.topics(), [Arc::from("t")]);
    }

    #[test]
    fn the_racks_of_a_partitions_replicas_are_known_where_brokers_say_theirs() {
        let mut metadata = metadata();
        let mut answer = answer(1, 5);
        answer.topics = answer
            .topics
            .iter()
            .map(|mut topic| {
                let partition = MetadataResponsePartition {
                    replica_nodes: Array::from([2, 1]),
                    ..topic.partitions.first().unwrap_or_default()
                };
                topic.partitions = Array::from([partition]);
                topic
            })
            .collect();
        metadata.heard(ms(0), 200, &[], &answer);
        let cluster = metadata.cluster();
        assert!(cluster.topic("t").unwrap().replicas.is_empty());
        answer.brokers = answer
            .brokers
            .iter()
            .map(|broker| MetadataResponseBroker {
                rack: (broker.node_id == 2).then_some("r2"),
                ..broker
            })
            .collect();
        metadata.heard(ms(1), 200, &[], &answer);
        let cluster = metadata.cluster();
        let racks = cluster.racks_of(cluster.topic("t").unwrap());
        assert_eq!(racks, [[Arc::from("r2")].into()]);
    }
}
