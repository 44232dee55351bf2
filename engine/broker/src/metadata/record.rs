//! A record of the metadata log as this broker means it, and its place in an image. How it lies in the log is `journal`'s
//! business and the wire crate's; here is what it does (KIP-631).

use highwater_record::LeaderEpoch;
use uuid::Uuid;

use crate::metadata::image::{Draft, PartitionState};

/// One change of the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A feature is finalized at a level.
    Feature {
        /// Kafka's name of it.
        name: String,
        /// 0 removes it.
        level: i16,
    },
    /// A broker begins a run.
    RegisterBroker(Registration),
    /// A broker ends a run in order: until it begins another, nothing is to be expected of it.
    FenceBroker {
        /// `node.id`.
        id: i32,
        /// The epoch of the run that ends.
        epoch: i64,
    },
    /// There is a topic.
    Topic {
        /// Its name.
        name: String,
        /// Its id.
        id: Uuid,
    },
    /// A topic has a partition.
    Partition {
        /// The topic.
        topic_id: Uuid,
        /// The partition's index.
        index: i32,
        /// The broker that holds it.
        leader: i32,
        /// What the leader stamps batches with.
        leader_epoch: LeaderEpoch,
        /// Counts changes of the partition.
        partition_epoch: i32,
        /// The data directory it lies in.
        directory: Uuid,
    },
    /// A partition's leadership changed.
    PartitionChange {
        /// The topic.
        topic_id: Uuid,
        /// The partition's index.
        index: i32,
        /// Whether another leader was named: that raises the leader epoch.
        leader_changed: bool,
    },
    /// A topic is gone, with its settings.
    RemoveTopic {
        /// The topic.
        id: Uuid,
    },
    /// A setting.
    Config {
        /// Of what.
        resource: Resource,
        /// The setting.
        name: String,
        /// `None` resets it.
        value: Option<String>,
    },
    /// A block of producer ids was handed out.
    ProducerIds {
        /// To whom.
        broker_id: i32,
        /// In which of its runs.
        broker_epoch: i64,
        /// The first id after the block.
        next: i64,
    },
    /// Nothing that concerns this broker.
    NoOp,
}

/// What a broker says of itself when it begins a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// `node.id`.
    pub id: i32,
    /// Told apart from earlier runs.
    pub incarnation: Uuid,
    /// The offset of this record.
    pub epoch: i64,
    /// The listeners clients use: name, advertised host and port.
    pub endpoints: Vec<(String, String, u16)>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The id of the data directory.
    pub directory: Uuid,
}

/// What a setting belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic, by name.
    Topic(String),
    /// All brokers.
    Cluster,
    /// One broker.
    Broker(i32),
    /// A group, by its id.
    Group(String),
}

impl Record {
    /// Applies the record. It never refuses: what names something that is not there does nothing, and the answer says so.
    #[must_use]
    pub fn replay(&self, draft: &mut Draft) -> bool {
        match self {
            Record::Feature { name, level } => draft.set_feature(name, *level),
            Record::RegisterBroker(registration) => {
                if registration.id == draft.image().node().id {
                    draft.set_broker_epoch(registration.epoch);
                }
            }
            Record::Topic { name, id } => draft.add_topic(name, *id),
            Record::Partition {
                topic_id,
                index,
                leader_epoch,
                partition_epoch,
                leader: _,
                directory: _,
            } => {
                let state = PartitionState {
                    leader_epoch: *leader_epoch,
                    partition_epoch: *partition_epoch,
                };
                return draft.put_partition(topic_id, *index, state);
            }
            Record::PartitionChange {
                topic_id,
                index,
                leader_changed,
            } => return change(draft, topic_id, *index, *leader_changed),
            Record::RemoveTopic { id } => return draft.remove_topic(id),
            Record::Config {
                resource,
                name,
                value,
            } => match resource {
                Resource::Topic(topic) => {
                    return draft.set_topic_config(topic, name, value.as_deref());
                }
                Resource::Cluster => draft.set_cluster_config(name, value.as_deref()),
                Resource::Broker(id) if *id == draft.image().node().id => {
                    draft.set_node_config(name, value.as_deref());
                }
                Resource::Broker(_) => {}
                Resource::Group(group) => {
                    draft.set_group_config(group, name, value.as_deref());
                }
            },
            Record::ProducerIds { next, .. } => draft.set_next_producer_id(*next),
            Record::FenceBroker { .. } | Record::NoOp => {}
        }
        true
    }
}

fn change(draft: &mut Draft, topic_id: &Uuid, index: i32, leader_changed: bool) -> bool {
    let old = usize::try_from(index).ok().and_then(|index| {
        let topic = draft.image().topic_by_id(topic_id)?;
        topic.partitions.get(index).copied()
    });
    let Some(old) = old else {
        return false;
    };
    let raised = i32::from(leader_changed);
    let state = PartitionState {
        leader_epoch: LeaderEpoch::new(old.leader_epoch.get().saturating_add(raised)),
        partition_epoch: old.partition_epoch.saturating_add(1),
    };
    draft.put_partition(topic_id, index, state)
}
