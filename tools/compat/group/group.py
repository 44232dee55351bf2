"""A group of members of several clients, on a topic that a producer writes to all the while; and what must hold of it.

Whatever is done to the group: its members share all partitions, nobody else's death takes anything from a member where the
protocol says so, and at the end every record was processed and the group's commits are at the end of every partition.
"""

import signal

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from load import Load
from members import Member, reached, repetitions, wait

# What ends a member that was told to: by itself, or a Java machine.
WELL_ENDED = (0, 143)


class Group:
    """Members, living and dead, of the group `TOPIC-group`, and the producer."""

    def __init__(self, bootstrap, topic, partitions, brisk=False):
        """With `brisk`, members of the consumer protocol are heard of every second."""
        self.bootstrap, self.topic, self.partitions = bootstrap, topic, partitions
        self.name = f"{topic}-group"
        self.members = []
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)])[topic].result(10)
        if brisk:
            wanted = {"consumer.session.timeout.ms": "6000", "consumer.heartbeat.interval.ms": "1000"}
            entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in wanted.items()]
            resource = ConfigResource(ResourceType.GROUP, self.name, incremental_configs=entries)
            self.admin.incremental_alter_configs([resource])[resource].result(10)
        self.load = Load(bootstrap, topic, partitions)
        self.load.start()

    def living(self, kind=None):
        return [member for member in self.members if member.alive and kind in (None, member.kind)]

    def is_shared(self):
        """Whether every partition has one owner and every member a fair share."""
        owned = [partition for member in self.living() for partition in member.owned]
        fair = self.partitions // len(self.living())
        return sorted(owned) == list(range(self.partitions)) and all(len(m.owned) >= fair for m in self.living())

    def start(self, kind, mode, instance=None):
        """A new member, which has nothing yet."""
        self.members.append(Member(kind, self.bootstrap, self.name, self.topic, mode, instance))
        return self.members[-1]

    def join(self, kind, mode, instance=None):
        member = self.start(kind, mode, instance)
        self.wait(f"a new {kind} ({mode}) has its share", self.is_shared)
        return member

    def leave(self, member, how=signal.SIGTERM):
        status = member.end(how)
        if how == signal.SIGTERM:
            assert status in WELL_ENDED, f"{member.kind} ended with {status}: {member.complaints()}"
        self.wait(f"the partitions of the {member.kind} that went are taken over", self.is_shared)

    def wait(self, what, condition):
        wait(what, condition, self.members)

    def wait_for_more(self):
        """Until what is written now is read, of every partition, by those who live."""
        mark = self.load.written
        self.wait("all is read on", lambda: all(reached(self.living(), p) > mark for p in range(self.partitions)))

    def kind(self):
        """`classic` or `consumer`."""
        (listed,) = [found for found in self.admin.list_consumer_groups().result(10).valid if found.group_id == self.name]
        return listed.type.name.lower()

    def finish(self):
        """Ends the producer and the members, and says what came of the records."""
        written = self.load.stop()
        everything = range(self.partitions)
        self.wait("everything was processed", lambda: all(reached(self.members, p) == written for p in everything))
        for member in self.living():
            status = member.end(signal.SIGTERM)
            assert status in WELL_ENDED, f"{member.kind} ended with {status}: {member.complaints()}"
        repeated = sum(repetitions(self.members, partition, written) for partition in everything)
        asked = ConsumerGroupTopicPartitions(self.name, [TopicPartition(self.topic, partition) for partition in everything])
        for partition in self.admin.list_consumer_group_offsets([asked])[self.name].result(10).topic_partitions:
            assert partition.offset == written, f"partition {partition.partition} is committed to {partition.offset} of {written}"
        return f"all of {written * self.partitions} records processed, {repeated} of them twice; every commit is at the end"
