"""A group member on aiokafka, which knows eager rebalances only. See `members.py` for what it says on its output."""

import asyncio
import signal
import sys

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError

from member import bootstrap, check, group, mode, say, say_partitions, session_ms, topic

ASSIGNORS = {"eager": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor, "sticky": StickyPartitionAssignor}
ends = {}


class Listener(ConsumerRebalanceListener):
    def on_partitions_assigned(self, assigned):
        say_partitions("+", assigned)

    def on_partitions_revoked(self, revoked):
        say_partitions("-", revoked)
        for partition in revoked:
            ends.pop(partition, None)


async def commit(consumer):
    """Commits what is not committed yet; a commit that falls into a rebalance is tried again later."""
    if ends:
        try:
            done = dict(ends)
            await consumer.commit(done)
            for partition, end in done.items():
                if ends.get(partition) == end:
                    del ends[partition]
        except KafkaError as error:
            print(repr(error), file=sys.stderr)


async def main():
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        client_id="aiokafka",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=50,
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=1000,
        metadata_max_age_ms=5000,
        partition_assignment_strategy=[ASSIGNORS[mode]],
    )
    consumer.subscribe([topic], listener=Listener())
    await consumer.start()
    while not stopped.is_set():
        for partition, records in (await consumer.getmany(timeout_ms=100, max_records=200)).items():
            for record in records:
                check(record.value, record.offset)
            ends[partition] = records[-1].offset + 1
            say("r", partition.partition, records[0].offset, records[-1].offset + 1)
        await commit(consumer)
    await commit(consumer)
    await consumer.stop()


asyncio.run(main())
