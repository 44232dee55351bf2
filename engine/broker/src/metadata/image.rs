//! What the cluster looks like at one offset of the metadata log: topics, their ids, epochs and settings, and this node.
//! An image never changes: the controller makes the next one and every shard gets an `Arc` of it. It knows no files, no
//! wire format and no shard state.
//!
//! ```text
//!   metadata log      r0 r1 r2 | r3 r4 | r5 r6 r7
//!   images                     A       B          C      one per change, handed to all shards
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use highwater_reactor::ShardId;
use highwater_record::{LeaderEpoch, Offset};
use uuid::Uuid;

use crate::config::{BrokerConfig, Layers, Overrides, TopicConfig, of_group};

/// This broker as clients are told to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `node.id`.
    pub id: i32,
    /// What clients of the first listener are told, and those that come in by no other.
    pub endpoint: Endpoint,
    /// What clients of the other listeners are told.
    pub others: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
}

/// A listener as its clients are told to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The advertised host name or address.
    pub host: Arc<str>,
    /// The advertised port: the one really bound where the settings said 0.
    pub port: u16,
    /// The port really bound, by which a connection's listener is known.
    pub bound_port: u16,
}

impl Node {
    /// A node with one listener that is told as it is bound.
    pub fn single(id: i32, host: &str, port: u16) -> Node {
        Node {
            id,
            endpoint: Endpoint {
                listener: "PLAINTEXT".into(),
                host: host.into(),
                port,
                bound_port: port,
            },
            others: Vec::new(),
            rack: None,
        }
    }

    /// What a client is told that came in by `bound_port`: the way it came is a way it can come again.
    pub fn endpoint_at(&self, bound_port: u16) -> &Endpoint {
        self.others
            .iter()
            .find(|other| other.bound_port == bound_port)
            .unwrap_or(&self.endpoint)
    }

    /// Every listener, the first one first.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        std::iter::once(&self.endpoint).chain(&self.others)
    }
}

/// The metadata at one offset. Cheap to share, never changed.
#[derive(Clone, Debug)]
pub struct Image {
    cluster_id: Arc<str>,
    node: Node,
    /// The data directory's id.
    directory: Uuid,
    /// The end of the metadata log this image was replayed to.
    end: Offset,
    /// The offset of this run's registration record, as KRaft counts broker epochs.
    broker_epoch: i64,
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    ids: BTreeMap<Uuid, Arc<Topic>>,
    graves: Graves,
    features: BTreeMap<Arc<str>, i16>,
    static_config: Arc<Overrides>,
    cluster_config: Arc<Overrides>,
    node_config: Arc<Overrides>,
    /// What groups say for themselves, by group id; no group has an empty map.
    group_configs: Arc<BTreeMap<Box<str>, Overrides>>,
    broker: Arc<BrokerConfig>,
    next_producer_id: i64,
}

/// One topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name, 1 to 249 characters of `[a-zA-Z0-9._-]`.
    pub name: Arc<str>,
    /// Its id; a topic made again under the same name has another.
    pub id: Uuid,
    /// Partition n at index n.
    pub partitions: Vec<PartitionState>,
    /// The settings in force: the topic's own over the broker's over the defaults.
    pub config: Arc<TopicConfig>,
    /// What was set on the topic itself, as it was written.
    pub overrides: Arc<Overrides>,
    /// Whether this is one of Kafka's internal topics, known by its name.
    pub is_internal: bool,
}

/// One partition's place in the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// The epoch batches are stamped with. A topic made again under an old name begins above its predecessor's, because
    /// clients keep the highest epoch they saw by name and ignore metadata below it.
    pub leader_epoch: LeaderEpoch,
    /// Raised with every change of this partition.
    pub partition_epoch: i32,
}

/// The topic that stands for the metadata log itself; no client can create or read it.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Kafka's internal topics (`Topic.java`).
pub const INTERNAL_TOPICS: [&str; 3] = [
    "__consumer_offsets",
    "__share_group_state",
    "__transaction_state",
];

impl Image {
    /// An image without topics: where the replay of the metadata log begins.
    pub fn empty(cluster_id: &str, node: Node, directory: Uuid, static_config: Overrides) -> Image {
        let static_config = Arc::new(static_config);
        let broker = BrokerConfig::resolve(&Layers::statics(&static_config));
        Image {
            cluster_id: cluster_id.into(),
            node,
            directory,
            end: Offset::ZERO,
            broker_epoch: -1,
            topics: BTreeMap::new(),
            ids: BTreeMap::new(),
            graves: Graves::default(),
            features: BTreeMap::new(),
            static_config,
            cluster_config: Arc::default(),
            node_config: Arc::default(),
            group_configs: Arc::default(),
            broker: Arc::new(broker),
            next_producer_id: 0,
        }
    }

    /// The cluster's id in Kafka's text form, 22 characters.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// This broker.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The id of the data directory, as meta.properties has it.
    pub fn directory(&self) -> Uuid {
        self.directory
    }

    /// The offset after the last metadata record in this image.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// The epoch of this run's registration, -1 before it.
    pub fn broker_epoch(&self) -> i64 {
        self.broker_epoch
    }

    /// A topic by its name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// A topic by its id.
    pub fn topic_by_id(&self, id: &Uuid) -> Option<&Arc<Topic>> {
        self.ids.get(id)
    }

    /// Every topic, sorted by name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// The topics at or after `name`, sorted by name.
    pub fn topics_from<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Arc<Topic>> + use<'a> {
        self.topics
            .range::<str, _>((std::ops::Bound::Included(name), std::ops::Bound::Unbounded))
            .map(|(_, topic)| topic)
    }

    /// How many partitions all topics have together.
    pub fn partition_count(&self) -> usize {
        self.topics.values().map(|t| t.partitions.len()).sum()
    }

    /// The broker's settings in force, the dynamic ones included.
    pub fn broker(&self) -> &Arc<BrokerConfig> {
        &self.broker
    }

    /// What each layer of configuration says about the broker and about topics without settings of their own.
    pub fn layers(&self) -> Layers<'_> {
        Layers {
            topic: None,
            node: Some(&self.node_config),
            cluster: Some(&self.cluster_config),
            statics: Some(&self.static_config),
        }
    }

    /// Dynamic settings of every broker in the cluster (the resource with the empty name).
    pub fn cluster_config(&self) -> &Arc<Overrides> {
        &self.cluster_config
    }

    /// Dynamic settings of this broker alone.
    pub fn node_config(&self) -> &Arc<Overrides> {
        &self.node_config
    }

    /// What groups say for themselves, as it was written, by group id. Groups without a word of their own are not in it.
    pub fn group_configs(&self) -> &BTreeMap<Box<str>, Overrides> {
        &self.group_configs
    }

    /// What a group says for itself, within the broker's bounds.
    pub fn group_config(&self, group: &str) -> highwater_coordinator::GroupConfig {
        self.group_configs
            .get(group)
            .map(|own| of_group(own, &self.layers()))
            .unwrap_or_default()
    }

    /// The first producer id that was not handed out to a block yet.
    pub fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// The finalized features and their levels, `metadata.version` among them.
    pub fn features(&self) -> &BTreeMap<Arc<str>, i16> {
        &self.features
    }

    /// The epoch at which the partitions of a new topic of this name begin: 0, or one above everything that clients may
    /// have seen under the name.
    pub fn first_epoch(&self, name: &str) -> LeaderEpoch {
        self.graves.first_epoch(name)
    }

    /// A copy to be changed record by record.
    pub fn draft(&self) -> Draft {
        Draft {
            image: self.clone(),
            stale_topics: BTreeSet::new(),
            stale_all: false,
        }
    }
}

/// An image in the making: the changes of one batch of metadata records. Every method applies and none refuses; what it
/// names and does not exist is left alone, and the answer says so.
#[derive(Debug)]
pub struct Draft {
    image: Image,
    stale_topics: BTreeSet<Arc<str>>,
    stale_all: bool,
}

impl Draft {
    /// The state so far.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Adds a topic without partitions.
    pub fn add_topic(&mut self, name: &str, id: Uuid) {
        let name: Arc<str> = name.into();
        let topic = Arc::new(Topic {
            is_internal: INTERNAL_TOPICS.contains(&&*name),
            name: Arc::clone(&name),
            id,
            partitions: Vec::new(),
            config: Arc::default(),
            overrides: Arc::default(),
        });
        self.image.ids.insert(id, Arc::clone(&topic));
        self.image.topics.insert(Arc::clone(&name), topic);
        self.stale_topics.insert(name);
    }

    /// Adds partition `index`, which must be the next one, or changes it. Returns whether it fitted.
    #[must_use]
    pub fn put_partition(&mut self, id: &Uuid, index: i32, state: PartitionState) -> bool {
        let Ok(index) = usize::try_from(index) else {
            return false;
        };
        self.with_topic(id, |topic| {
            if let Some(old) = topic.partitions.get_mut(index) {
                *old = state;
            } else if topic.partitions.len() == index {
                topic.partitions.push(state);
            } else {
                return false;
            }
            true
        })
        .unwrap_or(false)
    }

    /// Removes a topic with its settings and remembers its epochs. Returns whether there was one.
    #[must_use]
    pub fn remove_topic(&mut self, id: &Uuid) -> bool {
        let Some(topic) = self.image.ids.remove(id) else {
            return false;
        };
        self.image.topics.remove(&topic.name);
        self.stale_topics.remove(&topic.name);
        if let Some(last) = topic.partitions.iter().map(|p| p.leader_epoch).max() {
            self.image.graves.bury(&topic.name, last);
        }
        true
    }

    /// Sets (`Some`) or resets (`None`) a setting of the topic of this name. Returns whether there is one.
    #[must_use]
    pub fn set_topic_config(&mut self, name: &str, key: &str, value: Option<&str>) -> bool {
        let Some(id) = self.image.topics.get(name).map(|t| t.id) else {
            return false;
        };
        self.stale_topics.insert(name.into());
        self.with_topic(&id, |topic| {
            set(Arc::make_mut(&mut topic.overrides), key, value);
            true
        })
        .unwrap_or(false)
    }

    /// Sets or resets a dynamic setting of all brokers.
    pub fn set_cluster_config(&mut self, key: &str, value: Option<&str>) {
        set(Arc::make_mut(&mut self.image.cluster_config), key, value);
        self.stale_all = true;
    }

    /// Sets or resets a dynamic setting of this broker.
    pub fn set_node_config(&mut self, key: &str, value: Option<&str>) {
        set(Arc::make_mut(&mut self.image.node_config), key, value);
        self.stale_all = true;
    }

    /// Sets or resets a setting of a group. There need be no such group.
    pub fn set_group_config(&mut self, group: &str, key: &str, value: Option<&str>) {
        let groups = Arc::make_mut(&mut self.image.group_configs);
        let own = groups.entry(group.into()).or_default();
        set(own, key, value);
        if own.is_empty() {
            groups.remove(group);
        }
    }

    /// Moves the first free producer id.
    pub fn set_next_producer_id(&mut self, next: i64) {
        self.image.next_producer_id = next;
    }

    /// Finalizes a feature at `level`; 0 removes it.
    pub fn set_feature(&mut self, name: &str, level: i16) {
        if level == 0 {
            self.image.features.remove(name);
        } else {
            self.image.features.insert(name.into(), level);
        }
    }

    /// Takes over the epoch of this node's registration.
    pub fn set_broker_epoch(&mut self, epoch: i64) {
        self.image.broker_epoch = epoch;
    }

    /// The next image; `end` is the offset after the last record applied.
    pub fn finish(mut self, end: Offset) -> Image {
        if self.stale_all {
            self.image.broker = Arc::new(BrokerConfig::resolve(&self.image.layers()));
            self.stale_topics = self.image.topics.keys().cloned().collect();
        }
        for name in std::mem::take(&mut self.stale_topics) {
            let Some(topic) = self.image.topics.get(&name) else {
                continue;
            };
            let (id, overrides) = (topic.id, Arc::clone(&topic.overrides));
            let layers = Layers {
                topic: Some(&overrides),
                ..self.image.layers()
            };
            let config = Arc::new(TopicConfig::resolve(&layers));
            self.with_topic(&id, |topic| topic.config = config);
        }
        self.image.end = end;
        self.image
    }

    fn with_topic<T>(&mut self, id: &Uuid, change: impl FnOnce(&mut Topic) -> T) -> Option<T> {
        // Both maps let go of their reference, so that `make_mut` copies only what an older image still holds.
        let mut topic = self.image.ids.remove(id)?;
        self.image.topics.remove(&topic.name);
        let answer = change(Arc::make_mut(&mut topic));
        self.image
            .topics
            .insert(Arc::clone(&topic.name), Arc::clone(&topic));
        self.image.ids.insert(*id, topic);
        Some(answer)
    }
}

fn set(overrides: &mut Overrides, key: &str, value: Option<&str>) {
    match value {
        Some(value) => overrides.insert(key.to_owned(), value.to_owned()),
        None => overrides.remove(key),
    };
}

/// The epochs of deleted topics, by name. At most [`Graves::NAMES_MAX`] names are kept; the others share one floor, which
/// is right for every name, only higher than it need be.
#[derive(Clone, Debug, Default)]
struct Graves {
    by_name: BTreeMap<Arc<str>, LeaderEpoch>,
    floor: Option<LeaderEpoch>,
}

impl Graves {
    const NAMES_MAX: usize = 10_000;

    fn bury(&mut self, name: &Arc<str>, last: LeaderEpoch) {
        self.by_name.insert(Arc::clone(name), last);
        if self.by_name.len() > Self::NAMES_MAX
            && let Some((_, epoch)) = self.by_name.pop_first()
        {
            self.floor = self.floor.max(Some(epoch));
        }
    }

    fn first_epoch(&self, name: &str) -> LeaderEpoch {
        match self.by_name.get(name).copied().max(self.floor) {
            Some(last) => LeaderEpoch::new(last.get().saturating_add(1)),
            None => LeaderEpoch::new(0),
        }
    }
}

/// The shard that owns a partition: consecutive partitions of a topic lie on consecutive shards, and topics begin on
/// shards spread by their ids.
pub fn owner(topic_id: &Uuid, partition: i32, shards: u16) -> ShardId {
    let bytes = topic_id.as_bytes();
    // Random ids: any eight of their bytes spread well enough.
    let first = u64::from_be_bytes([
        bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15],
    ]);
    let shards = u64::from(shards.max(1));
    let index = (first % shards + u64::from(partition.unsigned_abs())) % shards;
    ShardId::new(u16::try_from(index).expect("less than the count of shards, which is a u16"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        let node = Node::single(1, "h", 9092);
        Image::empty(
            "AAAAAAAAAAAAAAAAAAAAAA",
            node,
            Uuid::nil(),
            Overrides::new(),
        )
    }

    fn with_topic(image: &Image, name: &str, id: u128, epoch: i32) -> Image {
        let mut draft = image.draft();
        draft.add_topic(name, Uuid::from_u128(id));
        let state = PartitionState {
            leader_epoch: LeaderEpoch::new(epoch),
            partition_epoch: 0,
        };
        assert!(draft.put_partition(&Uuid::from_u128(id), 0, state));
        draft.finish(Offset::new(1))
    }

    #[test]
    fn an_older_image_does_not_see_a_change() {
        let before = image();
        let after = with_topic(&before, "a", 7, 0);
        assert!(before.topic("a").is_none());
        assert_eq!(after.topic("a").unwrap().id, Uuid::from_u128(7));
        assert_eq!(
            after
                .topic_by_id(&Uuid::from_u128(7))
                .unwrap()
                .name
                .as_ref(),
            "a"
        );
    }

    #[test]
    fn a_topic_made_again_begins_above_its_old_epoch() {
        let one = with_topic(&image(), "a", 7, 4);
        let mut draft = one.draft();
        assert!(draft.remove_topic(&Uuid::from_u128(7)));
        let two = draft.finish(Offset::new(2));
        assert_eq!(two.first_epoch("a"), LeaderEpoch::new(5));
        assert_eq!(two.first_epoch("b"), LeaderEpoch::new(0));
    }

    #[test]
    fn forgotten_names_share_a_floor_that_is_never_too_low() {
        let mut graves = Graves::default();
        for n in 0..=Graves::NAMES_MAX {
            graves.bury(&format!("t{n:06}").into(), LeaderEpoch::new(3));
        }
        assert_eq!(graves.by_name.len(), Graves::NAMES_MAX);
        assert_eq!(graves.first_epoch("t000000"), LeaderEpoch::new(4));
        assert_eq!(graves.first_epoch("never-seen"), LeaderEpoch::new(4));
    }

    #[test]
    fn a_change_of_the_brokers_default_reaches_topics_without_their_own() {
        let mut draft = with_topic(&image(), "a", 7, 0).draft();
        draft.add_topic("b", Uuid::from_u128(8));
        assert!(draft.set_topic_config("b", "retention.ms", Some("5")));
        draft.set_cluster_config("log.retention.ms", Some("1000"));
        let image = draft.finish(Offset::new(3));
        assert_eq!(image.topic("a").unwrap().config.retention_ms, 1000);
        assert_eq!(image.topic("b").unwrap().config.retention_ms, 5);
    }

    #[test]
    fn consecutive_partitions_lie_on_consecutive_shards() {
        let id = Uuid::from_u128(0x1234_5678);
        let first = owner(&id, 0, 3);
        let places: BTreeSet<_> = (0..3).map(|p| owner(&id, p, 3)).collect();
        assert_eq!(places.len(), 3);
        assert_eq!(owner(&id, 3, 3), first);
    }
}
