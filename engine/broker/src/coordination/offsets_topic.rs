//! The topic `__consumer_offsets`: its shape, its settings, and its making on first need. What is in it is the
//! coordinators' business.

use std::rc::Rc;
use std::sync::Arc;

use highwater_wire::ErrorCode;

use crate::metadata;
use crate::metadata::change::{Change, NewTopic, Shape};
use crate::metadata::image::{Image, Topic};
use crate::shard::Shard;

/// Its name (`Topic.GROUP_METADATA_TOPIC_NAME`).
pub(crate) const NAME: &str = "__consumer_offsets";

/// How many partitions it has.
pub(super) fn partitions(topic: &Topic) -> i32 {
    i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)
}

/// The topic as it is made (`GroupCoordinatorService.groupMetadataTopicConfigs`). Whatever replication factor is set, one
/// node has one replica to give.
pub(crate) fn new_topic(image: &Image) -> NewTopic {
    let settings = image.broker().offsets_topic;
    let setting = |name: &str, value: String| (name.to_owned(), Some(value));
    NewTopic {
        name: NAME.to_owned(),
        shape: Shape {
            partitions: settings.partitions,
            replication_factor: 1,
            assignments: Vec::new(),
        },
        configs: vec![
            setting("cleanup.policy", "compact".to_owned()),
            setting("compression.type", "producer".to_owned()),
            setting("segment.bytes", settings.segment_bytes.to_string()),
        ],
    }
}

/// The topic; made if there is none yet.
///
/// # Errors
/// COORDINATOR_NOT_AVAILABLE when it cannot be made now.
pub(crate) async fn find_or_create(shard: &Rc<Shard>) -> Result<Arc<Topic>, ErrorCode> {
    if let Some(topic) = shard.image().topic(NAME) {
        return Ok(Arc::clone(topic));
    }
    let change = Change::CreateTopics(vec![new_topic(&shard.image())]);
    let outcomes = metadata::request(shard, change, false).await.topics();
    if let Some(Err(refused)) = outcomes.first()
        && refused.code != ErrorCode::TopicAlreadyExists
    {
        tracing::warn!(error = refused.text(), "{NAME} was not created");
    }
    let image = shard.image();
    image
        .topic(NAME)
        .map(Arc::clone)
        .ok_or(ErrorCode::CoordinatorNotAvailable)
}
