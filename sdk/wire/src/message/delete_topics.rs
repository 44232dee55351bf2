//! DeleteTopics.

use crate::{Array, Wire};
use uuid::Uuid;

/// Deletes topics: by name up to version 5, by name or id in version 6.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DeleteTopics, response = DeleteTopicsResponse<'r>, versions = 1..=6, flexible = 4..)]
pub struct DeleteTopicsRequest<'a> {
    /// Topics to delete, by name or id.
    #[wire(versions = 6..)]
    pub topics: Array<'a, DeleteTopicState<'a>>,
    /// Topics to delete, by name.
    #[wire(versions = 0..=5, ignorable)]
    pub topic_names: Array<'a, &'a str>,
    /// How long the broker may take, in milliseconds.
    pub timeout_ms: i32,
}

/// A topic to delete.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DeleteTopicState<'a> {
    /// The topic's name, null to name it by id.
    pub name: Option<&'a str>,
    /// The topic's id, nil to name it by name.
    pub topic_id: Uuid,
}

/// What became of the topics.
#[derive(Debug, Clone, PartialEq, Wire)]
#[wire(api = DeleteTopics, versions = 1..=6, flexible = 4..)]
pub struct DeleteTopicsResponse<'a> {
    /// How long the broker asks the client to pause, in milliseconds; 0 within quota.
    pub throttle_time_ms: i32,
    /// Outcomes by topic.
    pub responses: Array<'a, DeletableTopicResult<'a>>,
}

/// What became of one topic.
#[derive(Debug, Clone, PartialEq, Wire)]
pub struct DeletableTopicResult<'a> {
    /// The topic's name, null when it was named by an unknown id.
    #[wire(nullable = 6..)]
    pub name: Option<&'a str>,
    /// The topic's id; nil when it is not known.
    #[wire(versions = 6.., ignorable)]
    pub topic_id: Uuid,
    /// [`ErrorCode`](crate::ErrorCode) of the topic.
    pub error_code: i16,
    /// What went wrong, in words; null when nothing did or the code says it all.
    #[wire(versions = 5.., ignorable)]
    pub error_message: Option<&'a str>,
}
