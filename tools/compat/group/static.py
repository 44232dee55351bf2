"""Static members (KIP-345): one that goes and comes back within its session has what it had, and nobody else notices. Of the
classic protocol it may be killed; of the consumer protocol it must have said that it comes back (KIP-848).

    static.py BOOTSTRAP TOPIC MODE        MODE as for `live.py`

A second process under the same name fences the first. Environment: that of `members.py`.
"""

import os
import signal
import sys

from confluent_kafka.admin import AdminClient, NewTopic

from load import Load
from members import Member, changed, reached, repetitions, wait

PARTITIONS = 6
bootstrap, topic, mode = sys.argv[1:4]
group = f"{topic}-group"
os.environ["SESSION_MS"] = "20000"
kinds = ["librdkafka", "java"]
if mode != "consumer" and os.environ.get("HIGHWATER_BIN"):
    kinds.append("highwater")
members = []


def living():
    return [member for member in members if member.alive]


def is_shared():
    owned = [partition for member in living() for partition in member.owned]
    return sorted(owned) == list(range(PARTITIONS)) and all(member.owned for member in living())


def join(kind):
    members.append(Member(kind, bootstrap, group, topic, mode, instance=f"{kind}-1"))
    return members[-1]


admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)])[topic].result(10)
load = Load(bootstrap, topic, PARTITIONS)
load.start()
for kind in kinds:
    join(kind)
    wait(f"{kind} has its share", is_shared, members)
for kind in kinds:
    victim = [member for member in living() if member.kind == kind][0]
    with changed:
        had = set(victim.owned)
        before = {member: list(member.given_back) for member in living()}
    victim.end(signal.SIGTERM if mode == "consumer" else signal.SIGKILL)
    successor = join(kind)
    wait(f"{kind} has what it had, {had}", lambda: successor.owned == had, members)
    mark = load.written
    wait("all is read on", lambda: all(reached(living(), p) > mark for p in range(PARTITIONS)), members)
    for member in living():
        assert member is successor or member.given_back == before[member], f"{member.kind} gave back {member.given_back}"
    print(f"{mode}: {kind} went and is back with {sorted(had)}, and nobody else gave anything back")

if mode != "consumer":
    # Of the classic protocol a newcomer takes over from one that lives, which is told and ends.
    first = [member for member in living() if member.kind == "java"][0]
    second = join("java")
    first.process.wait(40)
    assert "fenced" in first.complaints(), first.complaints()
    first.end(0)
    wait("the newcomer has its share", is_shared, members)
    print(f"{mode}: a second process of the same name fences the first")

written = load.stop()
wait("everything was processed", lambda: all(reached(members, p) == written for p in range(PARTITIONS)), members)
for member in living():
    status = member.end(signal.SIGTERM)
    assert status in (0, 143), f"{member.kind} ended with {status}: {member.complaints()}"
repeated = sum(repetitions(members, partition, written) for partition in range(PARTITIONS))
print(f"{mode}: all of {written * PARTITIONS} records processed, {repeated} of them twice")
