//! Records about topics: there, gone.

use crate::Wire;
use uuid::Uuid;

/// A topic exists; its partitions follow.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct TopicRecord<'a> {
    /// The topic's name.
    pub name: &'a str,
    /// The topic's id.
    pub topic_id: Uuid,
}

/// A topic is gone, with its partitions and settings.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct RemoveTopicRecord {
    /// The topic's id.
    pub topic_id: Uuid,
}

/// Topics forget their eligible leader replicas.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(versions = 0..=0, flexible = 0..)]
pub struct ClearElrRecord<'a> {
    /// The topic, empty for every one.
    pub topic_name: &'a str,
}
