"""A group changes its protocol while it lives, member by member, and back (KIP-848).

    migration.py BOOTSTRAP TOPIC

Two members of the classic protocol, of librdkafka and of the Java client; one of the consumer protocol joins, and the group
is a consumer group from then on; the classic ones go, one killed; a classic one joins again; those of the consumer protocol
leave, and the group is a classic one again. All the while a producer goes on, and nothing is skipped. Environment: that of
`members.py`.
"""

import signal
import sys

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from load import Load
from members import Member, reached, repetitions, wait

PARTITIONS = 6
bootstrap, topic = sys.argv[1:3]
group = f"{topic}-group"
members = []
CLASSIC, CONSUMER = "eager", "consumer"


def living():
    return [member for member in members if member.alive]


def is_shared():
    owned = [partition for member in living() for partition in member.owned]
    return sorted(owned) == list(range(PARTITIONS)) and all(member.owned for member in living())


def join(kind, mode):
    members.append(Member(kind, bootstrap, group, topic, mode))
    wait(f"a {kind} of the {mode} protocol has its share", is_shared, members)
    return members[-1]


def leave(member, how=signal.SIGTERM):
    member.end(how)
    wait(f"the partitions of the {member.kind} that went are taken over", is_shared, members)


def kind_is(name):
    (listed,) = [found for found in admin.list_consumer_groups().result(10).valid if found.group_id == group]
    assert listed.type.name.lower() == name, f"the group is {listed.type} and not {name}"
    print(f"{len(living())} members, a {name} group")


admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)])[topic].result(10)
wanted = {"consumer.session.timeout.ms": "6000", "consumer.heartbeat.interval.ms": "1000"}
entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in wanted.items()]
resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=entries)
admin.incremental_alter_configs([resource])[resource].result(10)
load = Load(bootstrap, topic, PARTITIONS)
load.start()
killed, old = join("librdkafka", CLASSIC), join("java", CLASSIC)
kind_is("classic")
first = join("java", CONSUMER)
kind_is("consumer")
leave(killed, signal.SIGKILL)
second = join("librdkafka", CONSUMER)
leave(old)
kind_is("consumer")
join("java", CLASSIC)
leave(first)
kind_is("consumer")
leave(second)
kind_is("classic")
join("librdkafka", CLASSIC)
kind_is("classic")

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
for partition in admin.list_consumer_group_offsets([asked])[group].result(10).topic_partitions:
    assert partition.offset == written, f"partition {partition.partition} is committed to {partition.offset} of {written}"
print(f"all of {written * PARTITIONS} records processed, {repeated} of them twice; every commit is at the end")
