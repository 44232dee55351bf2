//! The broker's settings of groups and of the offsets topic, parsed: what the coordinators and their shell obey. What a
//! single group says for itself is `groups`' business until it is asked for here.

use highwater_coordinator::{Config, GroupConfig, MigrationPolicy, ServerAssignor};
use highwater_record::Codec;

use crate::config::brokers::find;
use crate::config::groups;
use crate::config::kind::list;
use crate::config::layers::{Layers, Overrides, Source};

const MINUTE_MS: i64 = 60_000;

/// `group.*` and `offsets.*`, as a coordinator takes them.
pub(super) fn coordinator(layers: &Layers<'_>) -> Config {
    let size = |name| layers.number::<usize>(find(name));
    let ms = |name| layers.number::<i32>(find(name));
    let assignors = layers.text(find("group.consumer.assignors"));
    let policy = layers.text(find("group.consumer.migration.policy"));
    let defaults = Config::default();
    let mut consumer_assignors = Vec::new();
    for assignor in list(&assignors).filter_map(assignor) {
        if !consumer_assignors.contains(&assignor) {
            consumer_assignors.push(assignor);
        }
    }
    if consumer_assignors.is_empty() {
        consumer_assignors = defaults.consumer_assignors;
    }
    Config {
        offset_metadata_bytes_max: usize::try_from(
            layers.number::<i32>(find("offset.metadata.max.bytes")),
        )
        .unwrap_or(0),
        offsets_retention_ms: layers.number::<i64>(find("offsets.retention.minutes")) * MINUTE_MS,
        offsets_retention_check_interval_ms: layers
            .number(find("offsets.retention.check.interval.ms")),
        initial_rebalance_delay_ms: ms("group.initial.rebalance.delay.ms"),
        session_timeout_ms_min: ms("group.min.session.timeout.ms"),
        session_timeout_ms_max: ms("group.max.session.timeout.ms"),
        group_size_max: size("group.max.size"),
        consumer_session_timeout_ms: ms("group.consumer.session.timeout.ms"),
        consumer_session_timeout_ms_min: ms("group.consumer.min.session.timeout.ms"),
        consumer_session_timeout_ms_max: ms("group.consumer.max.session.timeout.ms"),
        consumer_heartbeat_interval_ms: ms("group.consumer.heartbeat.interval.ms"),
        consumer_heartbeat_interval_ms_min: ms("group.consumer.min.heartbeat.interval.ms"),
        consumer_heartbeat_interval_ms_max: ms("group.consumer.max.heartbeat.interval.ms"),
        consumer_group_size_max: size("group.consumer.max.size"),
        consumer_assignors,
        consumer_migration_policy: MigrationPolicy::from_name(&policy)
            .unwrap_or(defaults.consumer_migration_policy),
        consumer_regex_refresh_interval_ms: layers
            .number(find("group.consumer.regex.refresh.interval.ms")),
    }
}

fn assignor(word: &str) -> Option<ServerAssignor> {
    let name = match word.strip_prefix("org.apache.kafka.coordinator.group.assignor.") {
        Some("UniformAssignor") => "uniform",
        Some("RangeAssignor") => "range",
        _ => word,
    };
    ServerAssignor::from_name(name)
}

/// Whether members may speak the consumer protocol (`group.coordinator.rebalance.protocols`).
pub(super) fn offers_consumer_protocol(layers: &Layers<'_>) -> bool {
    let offered = layers.text(find("group.coordinator.rebalance.protocols"));
    list(&offered).any(|protocol| protocol == "consumer")
}

/// How `__consumer_offsets` is made and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetsTopic {
    /// `offsets.topic.num.partitions`; what the topic has counts once it is there.
    pub partitions: i32,
    /// `offsets.topic.segment.bytes`.
    pub segment_bytes: i32,
    /// `offsets.topic.compression.codec`.
    pub codec: Codec,
    /// `offsets.commit.timeout.ms`: how long an answer waits until what it tells of is safe.
    pub commit_timeout_ms: u32,
}

impl OffsetsTopic {
    pub(super) fn resolve(layers: &Layers<'_>) -> OffsetsTopic {
        OffsetsTopic {
            partitions: layers.number(find("offsets.topic.num.partitions")),
            segment_bytes: layers.number(find("offsets.topic.segment.bytes")),
            commit_timeout_ms: layers.number(find("offsets.commit.timeout.ms")),
            codec: match layers.number::<i32>(find("offsets.topic.compression.codec")) {
                1 => Codec::Gzip,
                2 => Codec::Snappy,
                3 => Codec::Lz4,
                4 => Codec::Zstd,
                _ => Codec::None,
            },
        }
    }
}

/// What a group has said for itself. A value that was within the broker's bounds when it was set, and is not any more,
/// counts as the nearest that is.
pub fn of_group(own: &Overrides, layers: &Layers<'_>) -> GroupConfig {
    let within = |name: &str, least: &str, greatest: &str| {
        let found = groups::in_force(groups::find(name)?, Some(own), layers);
        let value: i32 = found.value.parse().ok()?;
        (found.source == Source::Group).then(|| {
            value
                .min(layers.number(find(greatest)))
                .max(layers.number(find(least)))
        })
    };
    GroupConfig {
        session_timeout_ms: within(
            "consumer.session.timeout.ms",
            "group.consumer.min.session.timeout.ms",
            "group.consumer.max.session.timeout.ms",
        ),
        heartbeat_interval_ms: within(
            "consumer.heartbeat.interval.ms",
            "group.consumer.min.heartbeat.interval.ms",
            "group.consumer.max.heartbeat.interval.ms",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Overrides {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_coordinators_defaults_are_the_catalogs() {
        let statics = Overrides::new();
        let layers = Layers::statics(&statics);
        assert_eq!(coordinator(&layers), Config::default());
        assert!(offers_consumer_protocol(&layers));
        assert_eq!(
            OffsetsTopic::resolve(&layers),
            OffsetsTopic {
                partitions: 50,
                segment_bytes: 104_857_600,
                codec: Codec::None,
                commit_timeout_ms: 5000,
            }
        );
    }

    #[test]
    fn settings_reach_the_coordinator_in_its_units() {
        let statics = set(&[
            ("offsets.retention.minutes", "2"),
            ("group.min.session.timeout.ms", "1000"),
            ("group.consumer.migration.policy", "Upgrade"),
            (
                "group.consumer.assignors",
                "org.apache.kafka.coordinator.group.assignor.RangeAssignor, range",
            ),
            ("group.coordinator.rebalance.protocols", "classic"),
        ]);
        let layers = Layers::statics(&statics);
        let config = coordinator(&layers);
        assert_eq!(config.offsets_retention_ms, 120_000);
        assert_eq!(config.session_timeout_ms_min, 1000);
        assert_eq!(config.consumer_migration_policy, MigrationPolicy::Upgrade);
        assert_eq!(config.consumer_assignors, [ServerAssignor::Range]);
        assert!(!offers_consumer_protocol(&layers));
    }

    #[test]
    fn a_groups_own_value_stays_within_bounds_that_were_drawn_closer_since() {
        let own = set(&[("consumer.session.timeout.ms", "60000")]);
        let statics = set(&[("group.consumer.max.session.timeout.ms", "50000")]);
        let found = of_group(&own, &Layers::statics(&statics));
        assert_eq!(found.session_timeout_ms, Some(50_000));
        assert_eq!(found.heartbeat_interval_ms, None);
    }
}
