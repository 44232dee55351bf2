//! The broker settings by Kafka's names (`KafkaConfig.scala` and the classes it is made of), sorted by name, and the names
//! that are no settings any more. Security settings are told apart by their families: none of them can be obeyed yet.

use crate::config::entry::{Entry, Feature, Synonym, hours, minutes, same};
use crate::config::kind::{INT, Kind, LONG, int, long};

const SHARDS: &str = "work is divided over shards, a thread each; see `highwater.shards`";
const ONE_PROCESS: &str = "broker and controller are one process without a connection between them";
const ONE_DIRECTORY: &str = "the metadata log lies in the data directory";
const NO_PURGATORY: &str =
    "a waiting request is woken by what it waits for; nothing piles up that must be purged";
const WITH_CHECKPOINTS: &str =
    "written together with the recovery points, see `log.flush.offset.checkpoint.interval.ms`";
const WITH_RETENTION: &str =
    "looked at together with retention, see `log.retention.check.interval.ms`";
const BACK_PRESSURE: &str = "a connection is not read while its requests wait";
const BACKLOG: &str = "the kernel's own maximum is asked for";
const BUFFERS: &str = "the kernel sizes the buffers of each connection by itself";
const NO_LINGER: &str = "group records are appended at once; what is appended while the log is being made durable rides the next flush";
const NO_BUFFER: &str = "group records are encoded into the batch that is appended";
const AT_ONCE: &str = "an assignment is computed when something changes";
const LOAD: &str = "groups are read batch by batch";
const STABLE_ONLY: &str = "only stable versions are offered";

/// The assignors by their names and, as Kafka takes them too, by their classes.
const ASSIGNORS: &[&str] = &[
    "uniform",
    "range",
    "org.apache.kafka.coordinator.group.assignor.UniformAssignor",
    "org.apache.kafka.coordinator.group.assignor.RangeAssignor",
];

const RETENTION: &[Synonym] = &[
    same("log.retention.ms"),
    minutes("log.retention.minutes"),
    hours("log.retention.hours"),
];
const ROLL: &[Synonym] = &[same("log.roll.ms"), hours("log.roll.hours")];
const JITTER: &[Synonym] = &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")];
const FLUSH: &[Synonym] = &[
    same("log.flush.interval.ms"),
    same("log.flush.scheduler.interval.ms"),
];

/// Every broker setting, sorted by name.
pub static BROKERS: &[Entry] = &[
    Entry::new("add.partitions.to.txn.retry.backoff.max.ms", int(0), "The longest pause before a partition is added to a transaction again.")
        .default("100").waits(Feature::Transactions),
    Entry::new("add.partitions.to.txn.retry.backoff.ms", int(1), "The first pause before a partition is added to a transaction again.")
        .default("20").waits(Feature::Transactions),
    Entry::new("advertised.listeners", Kind::Text, "The address clients are told to connect to, by the listener they came in. Without it they are told `listeners`, and where that has no host the machine's name."),
    Entry::new("alter.log.dirs.replication.quota.window.num", int(1), "Samples of the quota on moves between directories.")
        .default("11").waits(Feature::Quotas),
    Entry::new("alter.log.dirs.replication.quota.window.size.seconds", int(1), "The length of such a sample.")
        .default("1").waits(Feature::Quotas),
    Entry::new("auto.create.topics.enable", Kind::Boolean, "Whether a Metadata request that names a missing topic creates it, where the client allows it.")
        .default("true"),
    Entry::new("auto.leader.rebalance.enable", Kind::Boolean, "Whether leadership moves back to preferred replicas by itself.")
        .default("true").waits(Feature::Replication),
    Entry::new("background.threads", int(1), "The size of Kafka's pool for housekeeping.")
        .default("10").dynamic().idle(SHARDS),
    Entry::new("broker.heartbeat.interval.ms", INT, "How often a broker reports to the controller.")
        .default("2000").waits(Feature::Replication),
    Entry::new("broker.id", int(0), "The old name of `node.id`."),
    Entry::new("broker.rack", Kind::Text, "The rack this broker stands in, as Metadata tells it."),
    Entry::new("broker.session.timeout.ms", INT, "How long a broker may be silent before the controller fences it.")
        .default("9000").waits(Feature::Replication),
    Entry::new("compression.gzip.level", Kind::LevelOrDefault(1, 9), "Default of the topic setting `compression.gzip.level`.")
        .default("-1").dynamic(),
    Entry::new("compression.lz4.level", Kind::Int(1, 17), "Default of the topic setting `compression.lz4.level`.")
        .default("9").dynamic(),
    Entry::new("compression.type", Kind::Text, "Default of the topic setting `compression.type`.")
        .default("producer").dynamic(),
    Entry::new("compression.zstd.level", Kind::Int(-131_072, 22), "Default of the topic setting `compression.zstd.level`.")
        .default("3").dynamic(),
    Entry::new("connections.max.idle.ms", LONG, "A connection without traffic for so long is closed.")
        .default("600000"),
    Entry::new("controlled.shutdown.enable", Kind::Boolean, "Whether leadership is handed over before a stop.")
        .default("true").waits(Feature::Replication),
    Entry::new("controller.listener.names", Kind::Text, "Which of the listeners belong to the controller.")
        .idle(ONE_PROCESS),
    Entry::new("controller.quorum.append.linger.ms", int(0), "How long metadata records wait for company.")
        .default("25").idle(ONE_PROCESS),
    Entry::new("controller.quorum.bootstrap.servers", Kind::List(&[]), "Where a controller quorum is found.")
        .default("").idle(ONE_PROCESS),
    Entry::new("controller.quorum.election.backoff.max.ms", int(0), "The longest pause between elections.")
        .default("1000").idle(ONE_PROCESS),
    Entry::new("controller.quorum.election.timeout.ms", int(0), "How long a candidate waits for votes.")
        .default("1000").idle(ONE_PROCESS),
    Entry::new("controller.quorum.fetch.timeout.ms", int(0), "How long a voter waits for its leader.")
        .default("2000").idle(ONE_PROCESS),
    Entry::new("controller.quorum.request.timeout.ms", int(0), "How long a quorum request may take.")
        .default("2000").idle(ONE_PROCESS),
    Entry::new("controller.quorum.retry.backoff.ms", int(0), "The pause before a quorum request is tried again.")
        .default("20").idle(ONE_PROCESS),
    Entry::new("controller.quorum.voters", Kind::List(&[]), "The members of a static controller quorum.")
        .default("").idle(ONE_PROCESS),
    Entry::new("controller.quota.window.num", int(1), "Samples of the quota on metadata changes.")
        .default("11").waits(Feature::Quotas),
    Entry::new("controller.quota.window.size.seconds", int(1), "The length of such a sample.")
        .default("1").waits(Feature::Quotas),
    Entry::new("controller.socket.timeout.ms", INT, "How long a connection to the controller may be silent.")
        .default("30000").idle(ONE_PROCESS),
    Entry::new("default.replication.factor", INT, "The replication factor of topics created without one. Only 1 can be had on one node.")
        .default("1"),
    Entry::new("delete.records.purgatory.purge.interval.requests", INT, "How often Kafka tidies its waiting requests.")
        .default("1").idle(NO_PURGATORY),
    Entry::new("delete.topic.enable", Kind::Boolean, "Whether topics can be deleted.")
        .default("true"),
    Entry::new("fetch.max.bytes", int(1024), "The most bytes one Fetch answer carries, whatever the client asks for.")
        .default("57671680"),
    Entry::new("fetch.purgatory.purge.interval.requests", INT, "How often Kafka tidies its waiting requests.")
        .default("1000").idle(NO_PURGATORY),
    Entry::new("group.consumer.assignment.interval.ms", int(0), "The least time between two assignments of a group.")
        .default("1000").idle(AT_ONCE),
    Entry::new("group.consumer.assignors", Kind::List(ASSIGNORS), "The server-side assignors on offer, the default one first.")
        .default("uniform,range"),
    Entry::new("group.consumer.heartbeat.interval.ms", int(1), "The heartbeat interval given to members.")
        .default("5000"),
    Entry::new("group.consumer.max.assignment.interval.ms", int(0), "The longest assignment interval a group may set.")
        .default("15000").idle(AT_ONCE),
    Entry::new("group.consumer.max.heartbeat.interval.ms", int(1), "The longest heartbeat interval a group may set.")
        .default("15000"),
    Entry::new("group.consumer.max.session.timeout.ms", int(1), "The longest session a group may set.")
        .default("60000"),
    Entry::new("group.consumer.max.size", int(1), "The most members of one group.")
        .default("2147483647"),
    Entry::new("group.consumer.migration.policy", Kind::AnyCase(&["disabled", "downgrade", "upgrade", "bidirectional"]), "Whether a group may change between the classic and the consumer protocol while it has members.")
        .default("bidirectional"),
    Entry::new("group.consumer.min.assignment.interval.ms", int(0), "The shortest assignment interval a group may set.")
        .default("0").idle(AT_ONCE),
    Entry::new("group.consumer.min.heartbeat.interval.ms", int(1), "The shortest heartbeat interval a group may set.")
        .default("5000"),
    Entry::new("group.consumer.min.session.timeout.ms", int(1), "The shortest session a group may set.")
        .default("45000"),
    Entry::new("group.consumer.regex.refresh.interval.ms", int(10_000), "How often pattern subscriptions are resolved anew.")
        .default("600000"),
    Entry::new("group.consumer.session.timeout.ms", int(1), "How long a member may be silent.")
        .default("45000"),
    Entry::new("group.coordinator.append.linger.ms", int(-1), "How long group records wait for company.")
        .default("-1").idle(NO_LINGER),
    Entry::new("group.coordinator.background.threads", int(1), "The size of Kafka's pool for work beside group coordination.")
        .default("2").idle(SHARDS),
    Entry::new("group.coordinator.cached.buffer.max.bytes", int(524_288), "Memory kept for the next group records.")
        .default("1048588").idle(NO_BUFFER),
    Entry::new("group.coordinator.rebalance.protocols", Kind::List(&["consumer", "classic", "share", "streams"]), "The rebalance protocols on offer.")
        .default("classic,consumer,streams"),
    Entry::new("group.coordinator.threads", int(1), "The size of Kafka's pool for group coordination.")
        .default("4").idle(SHARDS),
    Entry::new("group.initial.rebalance.delay.ms", INT, "How long the first rebalance of an empty group waits for more members.")
        .default("3000"),
    Entry::new("group.max.session.timeout.ms", INT, "The longest session a classic member may ask for.")
        .default("1800000"),
    Entry::new("group.max.size", int(1), "The most members of a classic group.")
        .default("2147483647"),
    Entry::new("group.min.session.timeout.ms", INT, "The shortest session a classic member may ask for.")
        .default("6000"),
    Entry::new("group.share.assignment.interval.ms", int(0), "The least time between two assignments of a group.")
        .default("1000").waits(Feature::ShareGroups),
    Entry::new("group.share.assignors", Kind::List(&[]), "The assignors of share groups.")
        .default("simple").waits(Feature::ShareGroups),
    Entry::new("group.share.delivery.count.limit", Kind::Int(2, 10), "How often a record is offered.")
        .default("5").waits(Feature::ShareGroups),
    Entry::new("group.share.heartbeat.interval.ms", int(1), "The heartbeat interval given to members.")
        .default("5000").waits(Feature::ShareGroups),
    Entry::new("group.share.initialize.retry.interval.ms", int(1), "The pause before the state of a share group is initialized again.")
        .default("30000").waits(Feature::ShareGroups),
    Entry::new("group.share.max.assignment.interval.ms", int(0), "The longest assignment interval a group may set.")
        .default("15000").waits(Feature::ShareGroups),
    Entry::new("group.share.max.delivery.count.limit", Kind::Int(5, 25), "The most a group may set.")
        .default("10").waits(Feature::ShareGroups),
    Entry::new("group.share.max.heartbeat.interval.ms", int(1), "The longest heartbeat interval a group may set.")
        .default("15000").waits(Feature::ShareGroups),
    Entry::new("group.share.max.partition.max.record.locks", int(100), "The most a group may set.")
        .default("4000").waits(Feature::ShareGroups),
    Entry::new("group.share.max.record.lock.duration.ms", Kind::Int(30_000, 3_600_000), "The longest lock a group may set.")
        .default("60000").waits(Feature::ShareGroups),
    Entry::new("group.share.max.session.timeout.ms", int(1), "The longest session a group may set.")
        .default("60000").waits(Feature::ShareGroups),
    Entry::new("group.share.max.share.sessions", int(1), "The most share sessions.")
        .default("2000").waits(Feature::ShareGroups),
    Entry::new("group.share.max.size", Kind::Int(1, 1000), "The most members of one share group.")
        .default("200").waits(Feature::ShareGroups),
    Entry::new("group.share.min.assignment.interval.ms", int(0), "The shortest assignment interval a group may set.")
        .default("0").waits(Feature::ShareGroups),
    Entry::new("group.share.min.delivery.count.limit", Kind::Int(2, 5), "The least a group may set.")
        .default("2").waits(Feature::ShareGroups),
    Entry::new("group.share.min.heartbeat.interval.ms", int(1), "The shortest heartbeat interval a group may set.")
        .default("5000").waits(Feature::ShareGroups),
    Entry::new("group.share.min.partition.max.record.locks", int(100), "The least a group may set.")
        .default("100").waits(Feature::ShareGroups),
    Entry::new("group.share.min.record.lock.duration.ms", Kind::Int(1000, 30_000), "The shortest lock a group may set.")
        .default("15000").waits(Feature::ShareGroups),
    Entry::new("group.share.min.session.timeout.ms", int(1), "The shortest session a group may set.")
        .default("45000").waits(Feature::ShareGroups),
    Entry::new("group.share.partition.max.record.locks", Kind::Int(100, 10_000), "The most locked records of one partition.")
        .default("2000").waits(Feature::ShareGroups),
    Entry::new("group.share.record.lock.duration.ms", Kind::Int(1000, 3_600_000), "How long a record stays locked.")
        .default("30000").waits(Feature::ShareGroups),
    Entry::new("group.share.session.timeout.ms", int(1), "How long a member may be silent.")
        .default("45000").waits(Feature::ShareGroups),
    Entry::new("group.streams.assignment.interval.ms", int(0), "The least time between two assignments of a group.")
        .default("1000").waits(Feature::StreamsGroups),
    Entry::new("group.streams.heartbeat.interval.ms", int(1), "The heartbeat interval given to members.")
        .default("5000").waits(Feature::StreamsGroups),
    Entry::new("group.streams.initial.rebalance.delay.ms", int(0), "How long the first rebalance of an empty group waits for more members.")
        .default("3000").waits(Feature::StreamsGroups),
    Entry::new("group.streams.max.assignment.interval.ms", int(0), "The longest assignment interval a group may set.")
        .default("15000").waits(Feature::StreamsGroups),
    Entry::new("group.streams.max.heartbeat.interval.ms", int(1), "The longest heartbeat interval a group may set.")
        .default("15000").waits(Feature::StreamsGroups),
    Entry::new("group.streams.max.session.timeout.ms", int(1), "The longest session a group may set.")
        .default("60000").waits(Feature::StreamsGroups),
    Entry::new("group.streams.max.size", int(1), "The most members of one streams group.")
        .default("2147483647").waits(Feature::StreamsGroups),
    Entry::new("group.streams.max.standby.replicas", int(0), "The most standby replicas a group may set.")
        .default("2").waits(Feature::StreamsGroups),
    Entry::new("group.streams.min.assignment.interval.ms", int(0), "The shortest assignment interval a group may set.")
        .default("0").waits(Feature::StreamsGroups),
    Entry::new("group.streams.min.heartbeat.interval.ms", int(1), "The shortest heartbeat interval a group may set.")
        .default("5000").waits(Feature::StreamsGroups),
    Entry::new("group.streams.min.session.timeout.ms", int(1), "The shortest session a group may set.")
        .default("45000").waits(Feature::StreamsGroups),
    Entry::new("group.streams.num.standby.replicas", int(0), "How many standby replicas each task has.")
        .default("0").waits(Feature::StreamsGroups),
    Entry::new("group.streams.session.timeout.ms", int(1), "How long a member may be silent.")
        .default("45000").waits(Feature::StreamsGroups),
    Entry::new("highwater.durability", Kind::Choice(&["flushed", "written"]), "Default of the topic setting `highwater.durability`.")
        .default("flushed").dynamic(),
    Entry::new("highwater.shards", int(0), "How many shards, each a thread with its own partitions and connections; 0 takes one less than the cores the process may use, and at least one.")
        .default("0"),
    Entry::new("highwater.shards.pin", Kind::Boolean, "Whether each shard keeps to one core, where there are as many cores as shards of the process.").default("true"),
    Entry::new("initial.broker.registration.timeout.ms", INT, "How long a start waits for the registration.")
        .default("60000").idle(ONE_PROCESS),
    Entry::new("inter.broker.listener.name", Kind::Text, "The listener that brokers use among themselves.")
        .waits(Feature::Replication),
    Entry::new("kafka.metrics.polling.interval.secs", int(1), "How often Yammer metrics are polled.")
        .default("10").waits(Feature::Metrics),
    Entry::new("kafka.metrics.reporters", Kind::List(&[]), "Java classes that receive Yammer metrics.")
        .default("").waits(Feature::Metrics),
    Entry::new("leader.imbalance.check.interval.seconds", long(1), "How often leadership is compared with preference.")
        .default("300").waits(Feature::Replication),
    Entry::new("listener.security.protocol.map", Kind::Text, "Which protocol each listener name speaks. Only PLAINTEXT can be spoken.")
        .default("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"),
    Entry::new("listeners", Kind::Text, "Where the broker listens: `PLAINTEXT://host:port`, one or several on ports of their own. No host means every interface, port 0 any free port. CONTROLLER listeners are accepted and not opened.")
        .default("PLAINTEXT://:9092"),
    Entry::new("log.cleaner.backoff.ms", long(0), "How long compaction sleeps when there is nothing to do.")
        .default("15000").dynamic(),
    Entry::new("log.cleaner.dedupe.buffer.size", LONG, "Memory for the key maps of compaction, shared out to the shards; a map takes what its keys need.")
        .default("134217728").dynamic(),
    Entry::new("log.cleaner.delete.retention.ms", long(0), "Default of the topic setting `delete.retention.ms`.")
        .default("86400000").dynamic(),
    Entry::new("log.cleaner.enable", Kind::Boolean, "Whether compaction runs.")
        .default("true"),
    Entry::new("log.cleaner.io.buffer.load.factor", Kind::Double(0.0, 1.0), "How full the key map may get; more than 0.95 is taken for that.")
        .default("0.9").dynamic(),
    Entry::new("log.cleaner.io.buffer.size", int(0), "Memory for the reading and writing of compaction on each shard.")
        .default("524288").dynamic(),
    Entry::new("log.cleaner.io.max.bytes.per.second", Kind::Double(0.0, f64::MAX), "The speed limit of compaction on each shard, of bytes read and written.")
        .default("1.7976931348623157E308").dynamic(),
    Entry::new("log.cleaner.max.compaction.lag.ms", long(1), "Default of the topic setting `max.compaction.lag.ms`.")
        .default("9223372036854775807").dynamic(),
    Entry::new("log.cleaner.min.cleanable.ratio", Kind::Double(0.0, 1.0), "Default of the topic setting `min.cleanable.dirty.ratio`.")
        .default("0.5").dynamic(),
    Entry::new("log.cleaner.min.compaction.lag.ms", long(0), "Default of the topic setting `min.compaction.lag.ms`.")
        .default("0").dynamic(),
    Entry::new("log.cleaner.threads", int(0), "The size of Kafka's pool for compaction.")
        .default("1").dynamic().idle("every shard cleans its own logs, one at a time"),
    Entry::new("log.cleanup.policy", Kind::List(&["compact", "delete"]), "Default of the topic setting `cleanup.policy`.")
        .default("delete").dynamic(),
    Entry::new("log.dir", Kind::Text, "The data directory, where `log.dirs` is not set."),
    Entry::new("log.dir.failure.timeout.ms", long(1), "How long a broker with a failed directory waits before it stops.")
        .default("30000").waits(Feature::Replication),
    Entry::new("log.dirs", Kind::Text, "The data directory. One is supported."),
    Entry::new("log.flush.interval.messages", long(1), "Default of the topic setting `flush.messages`.")
        .default("9223372036854775807").dynamic(),
    Entry::new("log.flush.interval.ms", LONG, "Default of the topic setting `flush.ms`.")
        .dynamic().from(FLUSH),
    Entry::new("log.flush.offset.checkpoint.interval.ms", int(0), "How often the recovery points are written down, so that a start after a crash scans less.")
        .default("60000"),
    Entry::new("log.flush.scheduler.interval.ms", LONG, "The default of `log.flush.interval.ms`.")
        .default("9223372036854775807"),
    Entry::new("log.flush.start.offset.checkpoint.interval.ms", int(0), "How often the start offsets of the logs are written down.")
        .default("60000").idle(WITH_CHECKPOINTS),
    Entry::new("log.index.interval.bytes", int(0), "Default of the topic setting `index.interval.bytes`.")
        .default("4096").dynamic(),
    Entry::new("log.index.size.max.bytes", int(4), "Default of the topic setting `segment.index.bytes`.")
        .default("10485760").dynamic(),
    Entry::new("log.initial.task.delay.ms", long(0), "How long after the start retention runs for the first time.")
        .default("30000"),
    Entry::new("log.local.retention.bytes", long(-2), "Default of the topic setting `local.retention.bytes`.")
        .default("-2").dynamic().waits(Feature::TieredStorage),
    Entry::new("log.local.retention.ms", long(-2), "Default of the topic setting `local.retention.ms`.")
        .default("-2").dynamic().waits(Feature::TieredStorage),
    Entry::new("log.message.timestamp.after.max.ms", long(0), "Default of the topic setting `message.timestamp.after.max.ms`.")
        .default("3600000").dynamic(),
    Entry::new("log.message.timestamp.before.max.ms", long(0), "Default of the topic setting `message.timestamp.before.max.ms`.")
        .default("9223372036854775807").dynamic(),
    Entry::new("log.message.timestamp.type", Kind::Choice(&["CreateTime", "LogAppendTime"]), "Default of the topic setting `message.timestamp.type`.")
        .default("CreateTime").dynamic(),
    Entry::new("log.preallocate", Kind::Boolean, "Default of the topic setting `preallocate`.")
        .default("false").dynamic(),
    Entry::new("log.retention.bytes", LONG, "Default of the topic setting `retention.bytes`.")
        .default("-1").dynamic(),
    Entry::new("log.retention.check.interval.ms", long(1), "How often retention looks for segments to drop.")
        .default("300000"),
    Entry::new("log.retention.hours", INT, "`log.retention.ms` in hours.")
        .default("168").from(RETENTION),
    Entry::new("log.retention.minutes", INT, "`log.retention.ms` in minutes; stronger than the hours.")
        .from(RETENTION),
    Entry::new("log.retention.ms", LONG, "Default of the topic setting `retention.ms`; stronger than the minutes and the hours.")
        .dynamic().from(RETENTION),
    Entry::new("log.roll.hours", int(1), "`log.roll.ms` in hours.")
        .default("168").from(ROLL),
    Entry::new("log.roll.jitter.hours", int(0), "`log.roll.jitter.ms` in hours.")
        .default("0").from(JITTER),
    Entry::new("log.roll.jitter.ms", LONG, "Default of the topic setting `segment.jitter.ms`; stronger than the hours.")
        .dynamic().from(JITTER),
    Entry::new("log.roll.ms", LONG, "Default of the topic setting `segment.ms`; stronger than the hours.")
        .dynamic().from(ROLL),
    Entry::new("log.segment.bytes", int(1_048_576), "Default of the topic setting `segment.bytes`.")
        .default("1073741824").dynamic(),
    Entry::new("log.segment.delete.delay.ms", long(0), "Default of the topic setting `file.delete.delay.ms`.")
        .default("60000").dynamic(),
    Entry::new("max.connection.creation.rate", int(0), "New connections per second.")
        .default("2147483647").dynamic().waits(Feature::Quotas),
    Entry::new("max.connections", int(0), "Connections at one time; above it new ones are closed at once.")
        .default("2147483647").dynamic(),
    Entry::new("max.connections.per.ip", int(0), "Connections at one time from one address.")
        .default("2147483647").dynamic(),
    Entry::new("max.connections.per.ip.overrides", Kind::Text, "Exceptions from `max.connections.per.ip`, by host.")
        .default("").dynamic().waits(Feature::Quotas),
    Entry::new("max.incremental.fetch.session.cache.slots", int(0), "Fetch sessions kept at one time.")
        .default("1000"),
    Entry::new("max.request.partition.size.limit", int(1), "Partitions in one DescribeTopicPartitions answer.")
        .default("2000"),
    Entry::new("message.max.bytes", int(0), "Default of the topic setting `max.message.bytes`.")
        .default("1048588").dynamic(),
    Entry::new("metadata.log.dir", Kind::Text, "Where the metadata log lies, if not in the data directory.")
        .idle(ONE_DIRECTORY),
    Entry::new("metadata.log.max.record.bytes.between.snapshots", long(1), "Bytes of metadata log between two snapshots.")
        .default("20971520").waits(Feature::MetadataSnapshots),
    Entry::new("metadata.log.max.snapshot.interval.ms", long(0), "The longest time between two snapshots.")
        .default("3600000").waits(Feature::MetadataSnapshots),
    Entry::new("metadata.log.segment.bytes", int(8_388_608), "The segment size of the metadata log.")
        .default("1073741824"),
    Entry::new("metadata.log.segment.ms", LONG, "The age at which the metadata log begins a new segment.")
        .default("604800000"),
    Entry::new("metadata.max.idle.interval.ms", int(0), "How often an idle controller writes a no-op record.")
        .default("500").idle(ONE_PROCESS),
    Entry::new("metadata.max.retention.bytes", LONG, "The size of the metadata log above which old segments go.")
        .default("104857600").waits(Feature::MetadataSnapshots),
    Entry::new("metadata.max.retention.ms", LONG, "The age at which old segments of the metadata log go.")
        .default("604800000").waits(Feature::MetadataSnapshots),
    Entry::new("metric.reporters", Kind::List(&[]), "Java classes that receive metrics.")
        .default("").dynamic().waits(Feature::Metrics),
    Entry::new("metrics.num.samples", int(1), "Samples kept for each metric.")
        .default("2").waits(Feature::Metrics),
    Entry::new("metrics.recording.level", Kind::Text, "How much is measured.")
        .default("INFO").waits(Feature::Metrics),
    Entry::new("metrics.sample.window.ms", long(1), "The length of a sample.")
        .default("30000").waits(Feature::Metrics),
    Entry::new("min.insync.replicas", int(1), "Default of the topic setting `min.insync.replicas`.")
        .default("1").dynamic(),
    Entry::new("node.id", int(0), "This node's number in the cluster.")
        .default("1"),
    Entry::new("num.io.threads", int(1), "The size of Kafka's pool for requests.")
        .default("8").dynamic().idle(SHARDS),
    Entry::new("num.network.threads", int(1), "The size of Kafka's pool for sockets.")
        .default("3").dynamic().idle(SHARDS),
    Entry::new("num.partitions", int(1), "How many partitions a topic gets that is created without a count.")
        .default("1"),
    Entry::new("num.recovery.threads.per.data.dir", int(1), "The size of Kafka's pool for recovery.")
        .default("2").dynamic().idle(SHARDS),
    Entry::new("num.replica.alter.log.dirs.threads", INT, "Threads that move replicas between directories.")
        .waits(Feature::Replication),
    Entry::new("num.replica.fetchers", INT, "Threads that fetch from each leader.")
        .default("1").dynamic().waits(Feature::Replication),
    Entry::new("offset.metadata.max.bytes", INT, "The longest note a commit may carry.")
        .default("4096"),
    Entry::new("offsets.commit.timeout.ms", int(1), "How long a commit may wait for its log.")
        .default("5000"),
    Entry::new("offsets.load.buffer.size", int(1), "The read size when offsets are loaded.")
        .default("5242880").idle(LOAD),
    Entry::new("offsets.retention.check.interval.ms", long(1), "How often expired offsets are looked for.")
        .default("600000"),
    Entry::new("offsets.retention.minutes", int(1), "How long the offsets of an empty group are kept.")
        .default("10080"),
    Entry::new("offsets.topic.compression.codec", Kind::Int(0, 4), "The codec group records are written in: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.")
        .default("0"),
    Entry::new("offsets.topic.num.partitions", int(1), "How many partitions the offsets topic gets.")
        .default("50"),
    Entry::new("offsets.topic.replication.factor", Kind::Short(1, i16::MAX), "The replication factor of the offsets topic; on one node it gets 1.")
        .default("3"),
    Entry::new("offsets.topic.segment.bytes", int(1), "The segment size of the offsets topic.")
        .default("104857600"),
    Entry::new("process.roles", Kind::List(&["broker", "controller"]), "Which roles this process has; broker and controller are always one here.")
        .default("broker,controller").idle(ONE_PROCESS),
    Entry::new("producer.id.expiration.check.interval.ms", int(1), "How often idle producers are looked for.")
        .default("600000").idle(WITH_RETENTION),
    Entry::new("producer.id.expiration.ms", int(1), "How long a partition remembers an idle producer.")
        .default("86400000").dynamic(),
    Entry::new("producer.purgatory.purge.interval.requests", INT, "How often Kafka tidies its waiting requests.")
        .default("1000").idle(NO_PURGATORY),
    Entry::new("queued.max.request.bytes", LONG, "Bytes of requests waiting for a thread.")
        .default("-1").idle(BACK_PRESSURE),
    Entry::new("queued.max.requests", int(1), "Requests waiting for a thread.")
        .default("500").idle(BACK_PRESSURE),
    Entry::new("quota.window.num", int(1), "Samples of a quota.")
        .default("11").waits(Feature::Quotas),
    Entry::new("quota.window.size.seconds", int(1), "The length of a quota sample.")
        .default("1").waits(Feature::Quotas),
    Entry::new("remote.log.storage.system.enable", Kind::Boolean, "Whether the remote storage system is on.")
        .default("false").refused("tiered storage is not built yet"),
    Entry::new("replica.fetch.backoff.ms", int(0), "The pause after a failed replica fetch.")
        .default("1000").waits(Feature::Replication),
    Entry::new("replica.fetch.max.bytes", int(0), "Bytes per partition of a replica fetch.")
        .default("1048576").waits(Feature::Replication),
    Entry::new("replica.fetch.min.bytes", INT, "The least a replica fetch waits for.")
        .default("1").waits(Feature::Replication),
    Entry::new("replica.fetch.response.max.bytes", int(0), "Bytes of a whole replica fetch.")
        .default("10485760").waits(Feature::Replication),
    Entry::new("replica.fetch.wait.max.ms", INT, "How long a replica fetch waits.")
        .default("500").waits(Feature::Replication),
    Entry::new("replica.high.watermark.checkpoint.interval.ms", LONG, "How often the high watermarks are written down.")
        .default("5000").idle(WITH_CHECKPOINTS),
    Entry::new("replica.lag.time.max.ms", LONG, "How long a replica may lag and still count as in sync.")
        .default("30000").waits(Feature::Replication),
    Entry::new("replica.selector.class", Kind::Text, "How a consumer is given a nearer replica.")
        .waits(Feature::Replication),
    Entry::new("replica.socket.receive.buffer.bytes", INT, "The receive buffer of replica connections.")
        .default("65536").waits(Feature::Replication),
    Entry::new("replica.socket.timeout.ms", INT, "How long a replica connection may be silent.")
        .default("30000").waits(Feature::Replication),
    Entry::new("replication.quota.window.num", int(1), "Samples of the replication quota.")
        .default("11").waits(Feature::Quotas),
    Entry::new("replication.quota.window.size.seconds", int(1), "The length of such a sample.")
        .default("1").waits(Feature::Quotas),
    Entry::new("request.timeout.ms", INT, "How long a request to another broker may take.")
        .default("30000").waits(Feature::Replication),
    Entry::new("security.inter.broker.protocol", Kind::Choice(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), "The protocol brokers speak among themselves.")
        .default("PLAINTEXT").waits(Feature::Replication),
    Entry::new("server.max.startup.time.ms", long(0), "How long a start may take.")
        .default("9223372036854775807").idle(ONE_PROCESS),
    Entry::new("share.coordinator.append.linger.ms", int(0), "How long share state records wait for company.")
        .default("5").waits(Feature::ShareGroups),
    Entry::new("share.coordinator.load.buffer.size", int(1), "The read size when share state is loaded.")
        .default("5242880").waits(Feature::ShareGroups),
    Entry::new("share.coordinator.snapshot.update.records.per.snapshot", int(0), "Updates between two snapshots of share state.")
        .default("500").waits(Feature::ShareGroups),
    Entry::new("share.coordinator.state.topic.compression.codec", INT, "The codec of the share state topic.")
        .default("0").waits(Feature::ShareGroups),
    Entry::new("share.coordinator.state.topic.min.isr", Kind::Short(1, i16::MAX), "The in-sync replicas the share state topic needs.")
        .default("2").waits(Feature::ShareGroups),
    Entry::new("share.coordinator.state.topic.num.partitions", int(1), "How many partitions the share state topic gets.")
        .default("50").waits(Feature::ShareGroups),
    Entry::new("share.coordinator.state.topic.replication.factor", Kind::Short(1, i16::MAX), "The replication factor of the share state topic.")
        .default("3").waits(Feature::ShareGroups),
    Entry::new("share.coordinator.state.topic.segment.bytes", int(1), "The segment size of the share state topic.")
        .default("104857600").waits(Feature::ShareGroups),
    Entry::new("share.coordinator.threads", int(1), "The size of Kafka's pool for share coordination.")
        .default("1").waits(Feature::ShareGroups),
    Entry::new("share.coordinator.write.timeout.ms", int(1), "How long a write of share state may take.")
        .default("5000").waits(Feature::ShareGroups),
    Entry::new("share.fetch.purgatory.purge.interval.requests", INT, "How often Kafka tidies its waiting requests.")
        .default("1000").waits(Feature::ShareGroups),
    Entry::new("socket.connection.setup.timeout.max.ms", LONG, "The longest wait for a connection to another broker.")
        .default("30000").waits(Feature::Replication),
    Entry::new("socket.connection.setup.timeout.ms", LONG, "The first wait for a connection to another broker.")
        .default("10000").waits(Feature::Replication),
    Entry::new("socket.listen.backlog.size", int(1), "Connections that wait to be accepted.")
        .default("50").idle(BACKLOG),
    Entry::new("socket.receive.buffer.bytes", INT, "The kernel's receive buffer of a connection; -1 leaves it to the system.")
        .default("102400").idle(BUFFERS),
    Entry::new("socket.request.max.bytes", int(1), "The largest request; a longer one closes its connection.")
        .default("104857600"),
    Entry::new("socket.send.buffer.bytes", INT, "The kernel's send buffer of a connection; -1 leaves it to the system.")
        .default("102400").idle(BUFFERS),
    Entry::new("telemetry.max.bytes", int(1), "The largest telemetry push of a client.")
        .default("1048576").waits(Feature::Metrics),
    Entry::new("transaction.abort.timed.out.transaction.cleanup.interval.ms", int(1), "How often overdue transactions are looked for.")
        .default("10000").waits(Feature::Transactions),
    Entry::new("transaction.max.timeout.ms", int(1), "The longest transaction a producer may ask for.")
        .default("900000").waits(Feature::Transactions),
    Entry::new("transaction.partition.verification.enable", Kind::Boolean, "Whether a transactional write is checked against its coordinator.")
        .default("true").waits(Feature::Transactions),
    Entry::new("transaction.remove.expired.transaction.cleanup.interval.ms", int(1), "How often expired transactional ids are looked for.")
        .default("3600000").waits(Feature::Transactions),
    Entry::new("transaction.state.log.load.buffer.size", int(1), "The read size when transactions are loaded.")
        .default("5242880").waits(Feature::Transactions),
    Entry::new("transaction.state.log.min.isr", int(1), "The in-sync replicas the transaction topic needs.")
        .default("2").waits(Feature::Transactions),
    Entry::new("transaction.state.log.num.partitions", int(1), "How many partitions the transaction topic gets.")
        .default("50").waits(Feature::Transactions),
    Entry::new("transaction.state.log.replication.factor", Kind::Short(1, i16::MAX), "The replication factor of the transaction topic; on one node it gets 1.")
        .default("3").waits(Feature::Transactions),
    Entry::new("transaction.state.log.segment.bytes", int(1), "The segment size of the transaction topic.")
        .default("104857600").waits(Feature::Transactions),
    Entry::new("transaction.two.phase.commit.enable", Kind::Boolean, "Whether two-phase commit is allowed.")
        .default("false").waits(Feature::Transactions),
    Entry::new("transactional.id.expiration.ms", int(1), "How long an idle transactional id is kept.")
        .default("604800000").waits(Feature::Transactions),
    Entry::new("unclean.leader.election.enable", Kind::Boolean, "Default of the topic setting `unclean.leader.election.enable`.")
        .default("false").dynamic().waits(Feature::Replication),
    Entry::new("unstable.api.versions.enable", Kind::Boolean, "Whether unfinished versions of APIs are offered.")
        .default("false").idle(STABLE_ONLY),
    Entry::new("unstable.feature.versions.enable", Kind::Boolean, "Whether unfinished versions of features are offered.")
        .default("false").idle(STABLE_ONLY),
];

/// A broker setting by its name.
pub fn find(name: &str) -> Option<&'static Entry> {
    BROKERS
        .binary_search_by(|entry| entry.name.cmp(name))
        .ok()
        .and_then(|index| BROKERS.get(index))
}

/// Names that were settings of Kafka once. They still stand in many files and tutorials, so they are taken with a warning;
/// the second half says what to do instead.
pub static OBSOLETE: &[(&str, &str)] = &[
    ("advertised.host.name", "set `advertised.listeners`"),
    ("advertised.port", "set `advertised.listeners`"),
    ("broker.id.generation.enable", "set `node.id`"),
    (
        "control.plane.listener.name",
        "there is no control plane listener",
    ),
    ("controlled.shutdown.max.retries", "nothing replaces it"),
    (
        "controlled.shutdown.retry.backoff.ms",
        "nothing replaces it",
    ),
    (
        "group.coordinator.new.enable",
        "there is one group coordinator",
    ),
    ("host.name", "set `listeners`"),
    (
        "inter.broker.protocol.version",
        "the metadata log holds the feature levels",
    ),
    (
        "log.message.downconversion.enable",
        "old message formats are gone",
    ),
    ("log.message.format.version", "there is one message format"),
    (
        "log.message.timestamp.difference.max.ms",
        "set `log.message.timestamp.before.max.ms` and `log.message.timestamp.after.max.ms`",
    ),
    (
        "offsets.commit.required.acks",
        "a commit always waits for its log",
    ),
    ("password.encoder.cipher.algorithm", "nothing replaces it"),
    ("password.encoder.iterations", "nothing replaces it"),
    ("password.encoder.key.length", "nothing replaces it"),
    (
        "password.encoder.keyfactory.algorithm",
        "nothing replaces it",
    ),
    ("password.encoder.old.secret", "nothing replaces it"),
    ("password.encoder.secret", "nothing replaces it"),
    ("port", "set `listeners`"),
    (
        "quota.consumer.default",
        "quotas are set through the admin API",
    ),
    (
        "quota.producer.default",
        "quotas are set through the admin API",
    ),
    ("reserved.broker.max.id", "set `node.id`"),
    ("zookeeper.clientCnxnSocket", "there is no ZooKeeper"),
    ("zookeeper.connect", "there is no ZooKeeper"),
    ("zookeeper.connection.timeout.ms", "there is no ZooKeeper"),
    ("zookeeper.max.in.flight.requests", "there is no ZooKeeper"),
    (
        "zookeeper.metadata.migration.enable",
        "there is no ZooKeeper",
    ),
    ("zookeeper.session.timeout.ms", "there is no ZooKeeper"),
    ("zookeeper.set.acl", "there is no ZooKeeper"),
    ("zookeeper.sync.time.ms", "there is no ZooKeeper"),
];

/// What to do instead of an obsolete setting; `None` where the name is none.
pub fn obsolete(name: &str) -> Option<&'static str> {
    if let Some((_, instead)) = OBSOLETE.iter().find(|(old, _)| *old == name) {
        return Some(instead);
    }
    name.starts_with("zookeeper.")
        .then_some("there is no ZooKeeper")
}

/// Settings of Kafka that protect something, by their beginnings: to start while ignoring one would leave open what its
/// author believes closed.
static PROTECTING: &[&str] = &[
    "alter.config.policy.",
    "authorizer.",
    "client.quota.callback.",
    "connections.max.reauth.ms",
    "create.topic.policy.",
    "delegation.token.",
    "listener.name.",
    "principal.builder.",
    "sasl.",
    "security.providers",
    "ssl.",
    "super.users",
    "allow.everyone.if.no.acl.found",
    "early.start.listeners",
    "config.providers",
];

/// Whether a name belongs to a family of settings that protect something and are not built yet.
pub fn is_protecting(name: &str) -> bool {
    PROTECTING.iter().any(|family| name.starts_with(family))
}

/// Families of settings that belong to plug-ins or to other products, and change nothing here.
static FOREIGN: &[&str] = &[
    "confluent.",
    "connection.failed.authentication.",
    "controller.performance.",
    "group.streams.",
    "internal.",
    "kafka.metrics.",
    "metrics.context.",
    "remote.fetch.",
    "remote.list.",
    "remote.log.",
    "rlmm.config.",
    "rsm.config.",
    "share.coordinator.",
    "group.share.",
    "group.consumer.",
    "unclean.leader.election.interval.ms",
];

/// Whether a name without an entry belongs to a family that is taken with a warning.
pub fn is_foreign(name: &str) -> bool {
    FOREIGN.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_default_fits() {
        for pair in BROKERS.windows(2) {
            assert!(
                pair[0].name < pair[1].name,
                "{} before {}",
                pair[0].name,
                pair[1].name
            );
        }
        for entry in BROKERS {
            assert!(find(entry.name).is_some());
            if let Some(default) = entry.default {
                assert_eq!(entry.kind.check(default), Ok(()), "{}", entry.name);
            }
        }
    }

    #[test]
    fn no_name_is_both_a_setting_and_refused_by_its_family() {
        for entry in BROKERS {
            assert!(!is_protecting(entry.name), "{}", entry.name);
        }
    }

    #[test]
    fn old_names_say_what_to_do_instead() {
        assert_eq!(
            obsolete("zookeeper.anything"),
            Some("there is no ZooKeeper")
        );
        assert_eq!(obsolete("log.dirs"), None);
    }
}
