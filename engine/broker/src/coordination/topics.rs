//! The metadata image as a coordinator sees it.

use std::sync::Arc;

use highwater_coordinator::{Topic, Topics};
use uuid::Uuid;

use crate::metadata::image::{self, Image};

/// The topics of an image.
#[derive(Clone, Debug)]
pub(super) struct ImageTopics(pub(super) Arc<Image>);

impl Topics for ImageTopics {
    fn by_name(&self, name: &str) -> Option<Topic<'_>> {
        self.0.topic(name).map(|topic| seen(topic))
    }

    fn by_id(&self, id: &Uuid) -> Option<Topic<'_>> {
        self.0.topic_by_id(id).map(|topic| seen(topic))
    }

    fn each(&self, show: &mut dyn FnMut(Topic<'_>)) {
        for topic in self.0.topics() {
            show(seen(topic));
        }
    }

    fn version(&self) -> u64 {
        self.0.end().get().max(0).cast_unsigned()
    }
}

fn seen(topic: &image::Topic) -> Topic<'_> {
    Topic {
        id: topic.id,
        name: &topic.name,
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
    }
}
