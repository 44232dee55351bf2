"""One group with members of several clients, which are killed one after the other while a producer goes on.

    live.py BOOTSTRAP TOPIC MODE [KIND...]

MODE is eager (range), cooperative (cooperative-sticky) or consumer (KIP-848), KIND what `members.py` knows.
Holds that the members share all partitions, that those of a killed one are taken over, that members keep what they have
where the protocol lets them, and that at the end every record was processed and the group's commits are at the end of
every partition. Environment: that of `members.py`.
"""

import os
import signal
import sys
import time

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from load import Load
from members import Member, changed, reached, repetitions, wait

PARTITIONS = 10
bootstrap, topic, mode = sys.argv[1:4]
group = f"{topic}-group"


def living():
    return [member for member in members if member.alive]


def is_shared():
    """Whether every partition has one owner and every member a fair share."""
    owned = [partition for member in living() for partition in member.owned]
    fair = PARTITIONS // len(living())
    return sorted(owned) == list(range(PARTITIONS)) and all(len(m.owned) >= fair for m in living())


def join(kind):
    members.append(Member(kind, bootstrap, group, topic, mode))
    wait(f"a new {kind} has its share", is_shared, members)


admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)])[topic].result(10)
kinds = sys.argv[4:]
if not kinds:
    ours = ["highwater"] if os.environ.get("HIGHWATER_BIN") else []
    kinds = {
        "eager": ["librdkafka", "java", "kafka_python", "aiokafka", *ours],
        "cooperative": ["librdkafka", "java", "kafka_python", *ours],
        "consumer": ["librdkafka", "java", "librdkafka"],
    }[mode]
if mode == "consumer":
    wanted = {"consumer.session.timeout.ms": "6000", "consumer.heartbeat.interval.ms": "1000"}
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in wanted.items()]
    resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=entries)
    admin.incremental_alter_configs([resource])[resource].result(10)
load = Load(bootstrap, topic, PARTITIONS)
load.start()
members = []
for kind in kinds:
    join(kind)
print(f"{mode}: {len(kinds)} members share {PARTITIONS} partitions")

for kind in kinds:
    victim = [member for member in living() if member.kind == kind][0]
    with changed:
        orphans = set(victim.owned)
        before = {member: len(member.given_back) for member in living()}
    started = time.monotonic()
    victim.end(signal.SIGKILL)
    at_kill = {partition: reached(members, partition) for partition in orphans}
    wait(f"the partitions of the killed {kind} are taken over", is_shared, members)
    wait(
        f"the partitions {orphans} of the killed {kind} are read on",
        lambda: all(reached(living(), partition) > at_kill[partition] for partition in orphans),
        members,
    )
    if mode != "eager":
        for member in living():
            kept = member.given_back[before[member] :]
            assert not kept, f"{member.kind} had to give back {kept} when {kind} was killed"
    print(f"{mode}: {kind} killed, its partitions {sorted(orphans)} read on by others after {time.monotonic() - started:.1f} s")
    join(kind)

written = load.stop()
wait(
    "everything was processed",
    lambda: all(reached(members, partition) == written for partition in range(PARTITIONS)),
    members,
)
for member in living():
    status = member.end(signal.SIGTERM)
    assert status in (0, 143), f"{member.kind} ended with {status}: {member.complaints()}"
repeated = sum(repetitions(members, partition, written) for partition in range(PARTITIONS))
asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition) for partition in range(PARTITIONS)])
committed = admin.list_consumer_group_offsets([asked])[group].result(10).topic_partitions
for partition in committed:
    assert partition.offset == written, f"partition {partition.partition} is committed to {partition.offset} of {written}"
print(f"{mode}: all of {written * PARTITIONS} records processed, {repeated} of them twice; every commit is at the end")
