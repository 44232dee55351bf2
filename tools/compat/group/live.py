"""One group with members of several clients, which are killed one after the other while a producer goes on.

    live.py BOOTSTRAP TOPIC MODE        MODE: eager (range), cooperative (cooperative-sticky) or consumer (KIP-848)

A member is a process that says on its output what happens to it, a line each, before it commits:

    + 0 3           was given partitions 0 and 3            - 3             had to give partition 3 back
    r 0 17 30       has processed offsets 17 to 29 of partition 0

Holds that the members share all partitions, that those of a killed one are taken over, that members keep what they have
where the protocol lets them, and that at the end every record was processed and the group's commits are at the end of
every partition. Environment: KAFKA_LIBS, the folder of the jars.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

PARTITIONS = 6
PATIENCE_S = 40
here = os.path.dirname(os.path.abspath(__file__))
bootstrap, topic, mode = sys.argv[1:4]
group = f"{topic}-group"
changed = threading.Condition()
processed = [[] for _ in range(PARTITIONS)]


class Member:
    """A process and what it has said so far."""

    def __init__(self, kind):
        self.kind = kind
        self.owned = set()
        self.given_back = []
        self.alive = True
        self.errors = open(f"{os.environ.get('TMPDIR', '/tmp')}/{topic}-{kind}-{time.monotonic_ns()}.err", "w+")
        if kind == "java":
            java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", os.environ["KAFKA_LIBS"] + "/*"]
            command = [*java, f"{here}/Member.java"]
        else:
            command = [sys.executable, f"{here}/member_{kind}.py"]
        command += [bootstrap, group, topic, mode]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            if not re.fullmatch(r"[-+r]( \d+)*\s*", line):
                print(line, end="", file=sys.stderr)
                continue
            what, *numbers = line.split()
            numbers = [int(number) for number in numbers]
            with changed:
                if what == "+":
                    self.owned |= set(numbers)
                elif what == "-":
                    self.owned -= set(numbers)
                    self.given_back += numbers
                elif what == "r":
                    partition, first, end = numbers
                    processed[partition].append((first, end, self))
                changed.notify_all()

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait(PATIENCE_S)
        self.reader.join(PATIENCE_S)
        with changed:
            self.alive = False
            self.owned = set()
        return self.process.returncode

    def complaints(self):
        self.errors.seek(0)
        return self.errors.read()[-2000:]


class Load(threading.Thread):
    """Writes 0, 1, 2 .. into each partition until it is told to stop."""

    def __init__(self):
        super().__init__(daemon=True)
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
        self.going = True
        self.written = 0

    def run(self):
        while self.going:
            for _ in range(10):
                for partition in range(PARTITIONS):
                    self.producer.produce(topic, str(self.written), partition=partition)
                self.written += 1
            self.producer.poll(0)
            time.sleep(0.05)

    def stop(self):
        self.going = False
        self.join()
        assert self.producer.flush(PATIENCE_S) == 0
        return self.written


def wait(what, condition):
    deadline = time.monotonic() + PATIENCE_S
    with changed:
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0 or not changed.wait(left):
                break
        if condition():
            return
        state = "; ".join(f"{m.kind} {'has' if m.alive else 'is gone'} {sorted(m.owned)}" for m in members)
    said = "".join(f"\n{m.kind}: {m.complaints()}" for m in members)
    sys.exit(f"not within {PATIENCE_S} s: {what}\n{state}{said}")


def living():
    return [member for member in members if member.alive]


def is_shared():
    """Whether every partition has one owner and every member a fair share."""
    owned = [partition for member in living() for partition in member.owned]
    fair = PARTITIONS // len(living())
    return sorted(owned) == list(range(PARTITIONS)) and all(len(m.owned) >= fair for m in living())


def reached(partition, ignoring=None):
    return max((end for _, end, member in processed[partition] if member is not ignoring), default=0)


admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)])[topic].result(10)
kinds = ["librdkafka", "java", "librdkafka" if mode == "consumer" else "kafka_python"]
if mode == "consumer":
    wanted = {"consumer.session.timeout.ms": "6000", "consumer.heartbeat.interval.ms": "1000"}
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in wanted.items()]
    resource = ConfigResource(ResourceType.GROUP, group, incremental_configs=entries)
    admin.incremental_alter_configs([resource])[resource].result(10)
load = Load()
load.start()
members = []
for kind in kinds:
    members.append(Member(kind))
    wait(f"{kind} has its share", is_shared)
print(f"{mode}: {len(kinds)} members share {PARTITIONS} partitions")

for turn, kind in enumerate(kinds):
    victim = [member for member in living() if member.kind == kind][0]
    with changed:
        orphans = set(victim.owned)
        before = {member: len(member.given_back) for member in living()}
    started = time.monotonic()
    victim.end(signal.SIGKILL)
    at_kill = {partition: reached(partition) for partition in orphans}
    wait(f"the partitions of the killed {kind} are taken over", is_shared)
    wait(
        f"the partitions {orphans} of the killed {kind} are read on",
        lambda: all(reached(partition, ignoring=victim) > at_kill[partition] for partition in orphans),
    )
    if mode != "eager":
        for member in living():
            kept = member.given_back[before[member] :]
            assert not kept, f"{member.kind} had to give back {kept} when {kind} was killed"
    print(f"{mode}: {kind} killed, its partitions {sorted(orphans)} read on by others after {time.monotonic() - started:.1f} s")
    members.append(Member(kind))
    wait(f"a new {kind} has its share", is_shared)

written = load.stop()
wait("everything was processed", lambda: all(reached(partition) == written for partition in range(PARTITIONS)))
for member in living():
    status = member.end(signal.SIGTERM)
    assert status in (0, 143), f"{member.kind} ended with {status}: {member.complaints()}"
repeated = 0
for partition, ranges in enumerate(processed):
    end = 0
    for first, after, _ in sorted(ranges, key=lambda entry: entry[:2]):
        assert first <= end, f"partition {partition}: {end} to {first - 1} were skipped"
        repeated += min(end, after) - first
        end = max(end, after)
    assert end == written, f"partition {partition} ends at {end} of {written}"
asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition) for partition in range(PARTITIONS)])
committed = admin.list_consumer_group_offsets([asked])[group].result(10).topic_partitions
for partition in committed:
    assert partition.offset == written, f"partition {partition.partition} is committed to {partition.offset} of {written}"
print(f"{mode}: all of {written * PARTITIONS} records processed, {repeated} of them twice; every commit is at the end")
