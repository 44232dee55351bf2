"""A group member on kafka-python. See `live.py` for what it says on its output."""

import sys

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import KafkaError

from member import Running, bootstrap, check, group, mode, say, say_partitions, session_ms, topic

ASSIGNORS = {
    "eager": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
    "cooperative": CooperativeStickyAssignor,
}
running = Running()
ends = {}


class Listener(ConsumerRebalanceListener):
    def on_partitions_assigned(self, assigned):
        say_partitions("+", assigned)

    def on_partitions_revoked(self, revoked):
        say_partitions("-", revoked)
        for partition in revoked:
            ends.pop(partition, None)

    on_partitions_lost = on_partitions_revoked


def commit():
    """Commits what is not committed yet; a commit that falls into a rebalance is tried again later."""
    if ends:
        try:
            consumer.commit(dict(ends))
            ends.clear()
        except KafkaError as error:
            print(repr(error), file=sys.stderr)


consumer = KafkaConsumer(
    bootstrap_servers=bootstrap,
    group_id=group,
    client_id="kafka-python",
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    fetch_max_wait_ms=50,
    session_timeout_ms=session_ms,
    heartbeat_interval_ms=1000,
    partition_assignment_strategy=[ASSIGNORS[mode]],
)
consumer.subscribe([topic], listener=Listener())
while running:
    batches = consumer.poll(timeout_ms=100, max_records=200)
    for partition, records in batches.items():
        for record in records:
            check(record.value, record.offset)
        ends[partition] = OffsetAndMetadata(records[-1].offset + 1, "", -1)
        say("r", partition.partition, records[0].offset, records[-1].offset + 1)
    commit()
commit()
consumer.close()
