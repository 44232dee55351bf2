"""One group with members of several clients, which are killed one after the other while a producer goes on.

    live.py BOOTSTRAP TOPIC MODE [KIND...]

MODE and KIND are what `members.py` knows. Holds what `group.py` says, that the partitions of a killed member are taken over,
and that members keep what they have where the protocol lets them. Environment: that of `members.py`.
"""

import os
import signal
import sys
import time

from group import Group
from members import changed, reached

PARTITIONS = 10
bootstrap, topic, mode = sys.argv[1:4]
kinds = sys.argv[4:]
if not kinds:
    ours = ["highwater"] if os.environ.get("HIGHWATER_BIN") else []
    kinds = {
        "eager": ["librdkafka", "java", "kafka_python", "aiokafka", *ours],
        "cooperative": ["librdkafka", "java", "kafka_python", *ours],
        "consumer": ["librdkafka", "java", *ours],
    }[mode]
group = Group(bootstrap, topic, PARTITIONS, brisk=mode == "consumer")
for kind in kinds:
    group.join(kind, mode)
print(f"{mode}: {len(kinds)} members share {PARTITIONS} partitions")

for kind in kinds:
    victim = group.living(kind)[0]
    with changed:
        orphans = set(victim.owned)
        before = {member: len(member.given_back) for member in group.living()}
    started = time.monotonic()
    victim.end(signal.SIGKILL)
    at_kill = {partition: reached(group.members, partition) for partition in orphans}
    group.wait(f"the partitions of the killed {kind} are taken over", group.is_shared)
    group.wait(
        f"the partitions {orphans} of the killed {kind} are read on",
        lambda: all(reached(group.living(), partition) > at_kill[partition] for partition in orphans),
    )
    if mode != "eager":
        for member in group.living():
            kept = member.given_back[before[member] :]
            assert not kept, f"{member.kind} had to give back {kept} when {kind} was killed"
    print(f"{mode}: {kind} killed, its partitions {sorted(orphans)} read on by others after {time.monotonic() - started:.1f} s")
    group.join(kind, mode)
print(f"{mode}: {group.finish()}")
