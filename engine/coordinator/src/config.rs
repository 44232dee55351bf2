//! Settings of groups and offsets by Kafka's names (`GroupCoordinatorConfig.java`), units last. Where they come from is the
//! broker's business.

/// Settings of a coordinator: the broker's, the same for all groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `offset.metadata.max.bytes`: the longest note on a commit.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`, in milliseconds: how long offsets outlive the use of them. Seven days.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`: how often expired offsets are looked for. Ten minutes.
    pub offsets_retention_check_interval_ms: i64,
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members.
    pub initial_rebalance_delay_ms: i32,
    /// `group.min.session.timeout.ms`: the shortest session time-out that a classic member may ask for.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`: the longest session time-out that a classic member may ask for.
    pub session_timeout_ms_max: i32,
    /// `group.max.size`: the most members of a classic group.
    pub group_size_max: usize,
    /// `group.consumer.session.timeout.ms`: the session time-out of consumer groups.
    pub consumer_session_timeout_ms: i32,
    /// `group.consumer.min.session.timeout.ms`: the least a group may set for itself.
    pub consumer_session_timeout_ms_min: i32,
    /// `group.consumer.max.session.timeout.ms`: the most a group may set for itself.
    pub consumer_session_timeout_ms_max: i32,
    /// `group.consumer.heartbeat.interval.ms`: how often members of consumer groups are to say that they are alive.
    pub consumer_heartbeat_interval_ms: i32,
    /// `group.consumer.min.heartbeat.interval.ms`: the least a group may set for itself.
    pub consumer_heartbeat_interval_ms_min: i32,
    /// `group.consumer.max.heartbeat.interval.ms`: the most a group may set for itself.
    pub consumer_heartbeat_interval_ms_max: i32,
    /// `group.consumer.max.size`: the most members of a consumer group.
    pub consumer_group_size_max: usize,
    /// `group.consumer.assignors`: what members may choose from; the first is the default.
    pub consumer_assignors: Vec<ServerAssignor>,
    /// `group.consumer.migration.policy`: which way a group may change its protocol while it lives.
    pub consumer_migration_policy: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`: how often patterns are held against the topics again.
    pub consumer_regex_refresh_interval_ms: i64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            offset_metadata_bytes_max: 4096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1000,
            offsets_retention_check_interval_ms: 600_000,
            initial_rebalance_delay_ms: 3000,
            session_timeout_ms_min: 6000,
            session_timeout_ms_max: 1_800_000,
            group_size_max: i32::MAX as usize,
            consumer_session_timeout_ms: 45_000,
            consumer_session_timeout_ms_min: 45_000,
            consumer_session_timeout_ms_max: 60_000,
            consumer_heartbeat_interval_ms: 5000,
            consumer_heartbeat_interval_ms_min: 5000,
            consumer_heartbeat_interval_ms_max: 15_000,
            consumer_group_size_max: i32::MAX as usize,
            consumer_assignors: vec![ServerAssignor::Uniform, ServerAssignor::Range],
            consumer_migration_policy: MigrationPolicy::Bidirectional,
            consumer_regex_refresh_interval_ms: 600_000,
        }
    }
}

/// Settings of one group's own, from its GROUP resource; none leaves it to [`Config`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupConfig {
    /// `consumer.session.timeout.ms`.
    pub session_timeout_ms: Option<i32>,
    /// `consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: Option<i32>,
}

/// Which way a group may change its protocol while it has members (`ConsumerGroupMigrationPolicy.java`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// From classic to consumer, and back when its last member of the consumer protocol goes.
    Bidirectional,
    /// From classic to consumer only.
    Upgrade,
    /// From consumer to classic only.
    Downgrade,
    /// Not at all: first the group must be empty.
    Disabled,
}

impl MigrationPolicy {
    /// The policy of this name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<MigrationPolicy> {
        [
            MigrationPolicy::Bidirectional,
            MigrationPolicy::Upgrade,
            MigrationPolicy::Downgrade,
            MigrationPolicy::Disabled,
        ]
        .into_iter()
        .find(|policy| policy.name().eq_ignore_ascii_case(name))
    }

    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            MigrationPolicy::Bidirectional => "bidirectional",
            MigrationPolicy::Upgrade => "upgrade",
            MigrationPolicy::Downgrade => "downgrade",
            MigrationPolicy::Disabled => "disabled",
        }
    }

    /// Whether a classic group may become a consumer group.
    #[must_use]
    pub const fn upgrades(self) -> bool {
        matches!(
            self,
            MigrationPolicy::Bidirectional | MigrationPolicy::Upgrade
        )
    }

    /// Whether a consumer group may become a classic group.
    #[must_use]
    pub const fn downgrades(self) -> bool {
        matches!(
            self,
            MigrationPolicy::Bidirectional | MigrationPolicy::Downgrade
        )
    }
}

/// Who assigns partitions in a consumer group (KIP-848).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerAssignor {
    /// As many partitions for each as can be, with as few moves as can be.
    Uniform,
    /// Ranges of each topic, the same ranges of topics with as many partitions.
    Range,
}

impl ServerAssignor {
    /// The assignor of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<ServerAssignor> {
        [ServerAssignor::Uniform, ServerAssignor::Range]
            .into_iter()
            .find(|assignor| assignor.name() == name)
    }

    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ServerAssignor::Uniform => "uniform",
            ServerAssignor::Range => "range",
        }
    }
}
