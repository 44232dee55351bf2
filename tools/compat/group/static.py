"""Static members (KIP-345): one that goes and comes back within its session has what it had, and nobody else notices. Of the
classic protocol it may be killed; of the consumer protocol it must have said that it comes back (KIP-848).

    static.py BOOTSTRAP TOPIC MODE        MODE as for `live.py`

A second process under the same name fences the first. Environment: that of `members.py`.
"""

import os
import signal
import sys

from group import Group
from members import changed

bootstrap, topic, mode = sys.argv[1:4]
os.environ["SESSION_MS"] = "20000"
kinds = ["librdkafka", "java"]
if os.environ.get("HIGHWATER_BIN"):
    kinds.append("highwater")
group = Group(bootstrap, topic, partitions=6)
for kind in kinds:
    group.join(kind, mode, instance=f"{kind}-1")
for kind in kinds:
    victim = group.living(kind)[0]
    with changed:
        had = set(victim.owned)
        before = {member: list(member.given_back) for member in group.living()}
    victim.end(signal.SIGTERM if mode == "consumer" else signal.SIGKILL)
    successor = group.start(kind, mode, instance=f"{kind}-1")
    group.wait(f"{kind} has what it had, {had}", lambda: successor.owned == had)
    group.wait_for_more()
    for member in group.living():
        assert member is successor or member.given_back == before[member], f"{member.kind} gave back {member.given_back}"
    print(f"{mode}: {kind} went and is back with {sorted(had)}, and nobody else gave anything back")

if mode != "consumer":
    # Of the classic protocol a newcomer takes over from one that lives, which is told and ends.
    first = group.living("java")[0]
    group.start("java", mode, instance="java-1")
    first.process.wait(40)
    assert "fenced" in first.complaints(), first.complaints()
    first.end(0)
    group.wait("the newcomer has its share", group.is_shared)
    print(f"{mode}: a second process of the same name fences the first")
print(f"{mode}: {group.finish()}")
