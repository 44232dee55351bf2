//! Settings of members of a group.

use super::Unit::{GoDuration, Same};
use super::{Key, librdkafka, sarama};
use crate::config::properties::{flag, ms, wrong};
use crate::core::group::assignor::Assignor;
use crate::error::Result;

pub(super) const KEYS: &[Key] = &[
    Key::new(
        "group.id",
        "",
        "The group whose members share the partitions of their topics out.",
        |p, _, v| {
            p.consumer.group.id = Some(v.to_owned()).filter(|id| !id.is_empty());
            Ok(())
        },
    ),
    Key::new(
        "group.instance.id",
        "",
        "A static member, which keeps its partitions when it is back within the session time-out.",
        |p, _, v| {
            p.consumer.group.instance_id = Some(v.to_owned()).filter(|id| !id.is_empty());
            Ok(())
        },
    )
    .spelled(&[sarama("Consumer.Group.InstanceId", Same)]),
    Key::new(
        "group.protocol",
        "auto",
        "`auto`, `classic` or `consumer` (KIP-848): by which protocol it is a member. `auto` takes `consumer` where the cluster offers it and nothing is set that only `classic` has.",
        |p, _, v| {
            p.consumer.group.protocol = v.parse()?;
            Ok(())
        },
    ),
    Key::new(
        "group.remote.assignor",
        "",
        "How the coordinator of a group of the consumer protocol shares the partitions out: `uniform` or `range`.",
        |p, _, v| {
            p.consumer.group.remote_assignor = Some(v.to_owned()).filter(|name| !name.is_empty());
            Ok(())
        },
    ),
    Key::new(
        "session.timeout.ms",
        "45000",
        "A member that is not heard of for so long is dead to the group.",
        |p, k, v| {
            p.consumer.group.session_timeout = ms(k, v)?;
            Ok(())
        },
    )
    .spelled(&[sarama("Consumer.Group.Session.Timeout", GoDuration)]),
    Key::new(
        "heartbeat.interval.ms",
        "3000",
        "How often it is heard of; also how soon it learns of a rebalance.",
        |p, k, v| {
            p.consumer.group.heartbeat_interval = ms(k, v)?;
            Ok(())
        },
    )
    .spelled(&[sarama("Consumer.Group.Heartbeat.Interval", GoDuration)]),
    Key::new(
        "max.poll.interval.ms",
        "300000",
        "How long the application may go without asking for records before its partitions are given to others; and how long a rebalance waits for it.",
        |p, k, v| {
            p.consumer.group.poll_interval_max = ms(k, v)?;
            Ok(())
        },
    )
    .spelled(&[sarama("Consumer.Group.Rebalance.Timeout", GoDuration)]),
    Key::new(
        "partition.assignment.strategy",
        "range,cooperative-sticky",
        "Assignors in the order of preference: `range`, `roundrobin`, `sticky`, `cooperative-sticky`, or the names of Kafka's classes.",
        |p, k, v| {
            let names = v.split(',').map(str::trim).filter(|name| !name.is_empty());
            let assignors: Result<Vec<Assignor>, _> = names.map(str::parse).collect();
            p.consumer.group.assignors = assignors.map_err(|_| wrong(k, v, Assignor::NAMES))?;
            Ok(())
        },
    )
    .spelled(&[sarama("Consumer.Group.Rebalance.GroupStrategies", Same)])
    .worded(&[
        ("NewBalanceStrategyRange", "range"),
        ("NewBalanceStrategyRoundRobin", "roundrobin"),
        ("NewBalanceStrategySticky", "sticky"),
    ]),
    Key::new(
        "enable.auto.commit",
        "(neither: what is marked as done is committed)",
        "`true`: what was handed out before the application asked for more is committed, as in Java; `false`: nothing is but by hand.",
        |p, k, v| {
            let commit = &mut p.consumer.group.commit;
            *commit = commit.auto(flag(k, v)?);
            Ok(())
        },
    )
    .spelled(&[librdkafka("auto.commit.enable", Same)]),
    Key::new(
        "enable.auto.offset.store",
        "(true where `enable.auto.commit` is)",
        "With `false`, `enable.auto.commit=true` commits what is marked as done: librdkafka's way to have both.",
        |p, k, v| {
            p.commits_marks = !flag(k, v)?;
            Ok(())
        },
    ),
    Key::new(
        "highwater.commit.marked",
        "(`true`)",
        "Whether what is marked as done is committed by itself, or nothing is but by hand: sarama's automatic commit.",
        |p, k, v| {
            p.commits_marks = true;
            let commit = &mut p.consumer.group.commit;
            *commit = commit.auto(flag(k, v)?);
            Ok(())
        },
    )
    .spelled(&[sarama("Consumer.Offsets.AutoCommit.Enable", Same)]),
    Key::new(
        "auto.commit.interval.ms",
        "5000",
        "How often something is committed, where that is done by itself.",
        |p, k, v| {
            let commit = &mut p.consumer.group.commit;
            *commit = commit.with_interval(ms(k, v)?);
            Ok(())
        },
    )
    .spelled(&[
        sarama("Consumer.Offsets.AutoCommit.Interval", GoDuration),
        sarama("Consumer.Offsets.CommitInterval", GoDuration),
    ]),
];
