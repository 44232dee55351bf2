"""A group member on kafka-python. See `live.py` for what it says on its output."""

import os
import signal
import sys

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import KafkaError

bootstrap, group, topic, mode = sys.argv[1:5]
ASSIGNORS = {
    "eager": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
    "cooperative": CooperativeStickyAssignor,
}
running = True
ends = {}


def stop(*_):
    global running
    running = False


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Listener(ConsumerRebalanceListener):
    def on_partitions_assigned(self, assigned):
        say("+", *sorted(p.partition for p in assigned))

    def on_partitions_revoked(self, revoked):
        say("-", *sorted(p.partition for p in revoked))
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


signal.signal(signal.SIGTERM, stop)
consumer = KafkaConsumer(
    bootstrap_servers=bootstrap,
    group_id=group,
    client_id="kafka-python",
    auto_offset_reset="earliest",
    enable_auto_commit=False,
    fetch_max_wait_ms=50,
    session_timeout_ms=int(os.environ.get("SESSION_MS", 6000)),
    heartbeat_interval_ms=1000,
    partition_assignment_strategy=[ASSIGNORS[mode]],
)
consumer.subscribe([topic], listener=Listener())
while running:
    batches = consumer.poll(timeout_ms=100, max_records=200)
    for partition, records in batches.items():
        for record in records:
            assert int(record.value) == record.offset, (record.value, record.offset)
        ends[partition] = OffsetAndMetadata(records[-1].offset + 1, "", -1)
        say("r", partition.partition, records[0].offset, records[-1].offset + 1)
    commit()
commit()
consumer.close()
