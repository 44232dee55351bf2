//! ConsumerGroupHeartbeat, as a member of the consumer protocol wants it said.

use highwater_wire::Array;
use highwater_wire::message::ConsumerGroupHeartbeatRequest;
use highwater_wire::message::consumer_group_heartbeat::TopicPartitions;

use super::Shared;
use super::driver::ms;
use crate::connection::{Connection, Reply};
use crate::core::group::consumer_member::Beat;
use crate::core::group::topics::Topics;
use crate::error::{Error, ErrorKind, Result};

/// The feature of a cluster that offers the consumer protocol, as of level 1.
const FEATURE: &str = "group.version";
/// The first version that knows patterns.
const VERSION_PATTERN: i16 = 1;

impl Shared {
    /// Says this to the coordinator.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] where the cluster does not offer the protocol, or not in the version that this needs; or there
    /// is no answer.
    pub(super) async fn say(
        &self,
        connection: &mut Option<Connection>,
        beat: &Beat,
    ) -> Result<Reply> {
        let is_trial = self.member().is_some_and(|seat| seat.is_trial());
        let coordinator = self.connect(connection).await?;
        if is_trial && coordinator.feature(FEATURE) < 1 {
            let why = "the cluster has not turned group.version on";
            return Err(unsupported(why, None));
        }
        let version = coordinator.version::<ConsumerGroupHeartbeatRequest<'_>>(i16::MAX)?;
        let pattern = match &beat.topics {
            Some(Topics::Matching(pattern)) => Some(pattern.as_str()),
            Some(Topics::Named(_)) | None => beat.drops_pattern.then_some(""),
        };
        if pattern.is_some() && version < VERSION_PATTERN {
            let why =
                "the coordinator cannot match topics to a pattern, need ConsumerGroupHeartbeat 1";
            return Err(unsupported(why, Some((0, version))));
        }
        let topics = beat.topics.as_ref().map(Topics::names);
        let request = ConsumerGroupHeartbeatRequest {
            group_id: &self.id,
            member_id: &beat.member_id,
            member_epoch: beat.epoch,
            instance_id: beat.instance.as_deref(),
            rack_id: beat.rack.as_deref(),
            rebalance_timeout_ms: beat.rebalance_timeout.map_or(-1, ms),
            subscribed_topic_names: topics.map(|names| names.map(|name| &**name).collect()),
            subscribed_topic_regex: pattern,
            server_assignor: beat.assignor.as_deref(),
            topic_partitions: beat.holds.as_ref().map(|holds| {
                let topic =
                    |(topic_id, partitions): (&uuid::Uuid, &std::collections::BTreeSet<i32>)| {
                        TopicPartitions {
                            topic_id: *topic_id,
                            partitions: partitions.iter().copied().collect(),
                        }
                    };
                holds.iter().map(topic).collect::<Array<'_, _>>()
            }),
        };
        let timeout = self.client.shared.config().request_timeout;
        self.call(connection, &request, timeout).await
    }
}

fn unsupported(why: &str, have: Option<(i16, i16)>) -> Error {
    let kind = ErrorKind::Unsupported {
        api: "ConsumerGroupHeartbeat",
        need: (0, VERSION_PATTERN),
        have,
    };
    Error::new(kind, why)
}
