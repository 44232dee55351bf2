"""Every client leads a group of all the others, by every assignor that it knows.

    matrix.py BOOTSTRAP TOPIC [MODE...]

A group's first member leads it for as long as it stays. So for each mode and each client that knows the mode: that client
begins a group, all the other clients join it at once, one of them goes again; what `group.py` says holds all the while. A
member that is given more than its leader's assignor may give is found out by that. MODE is one of `members.py`; with
`consumer` it is the coordinator that assigns, and the first member only the first. Environment: that of `members.py`, and
KINDS, the clients with spaces between (all that are there).
"""

import os
import sys
import time

from group import Group

PARTITIONS = 14
KNOW = {
    "eager": ["highwater", "java", "librdkafka", "kafka_python", "aiokafka", "sarama", "franz"],
    "roundrobin": ["highwater", "java", "librdkafka", "kafka_python", "aiokafka", "sarama", "franz"],
    "sticky": ["highwater", "java", "kafka_python", "aiokafka", "sarama", "franz"],
    "cooperative": ["highwater", "java", "librdkafka", "kafka_python", "franz"],
    "consumer": ["highwater", "java", "librdkafka", "franz"],
}
NEEDS = {"highwater": "HIGHWATER_BIN", "java": "KAFKA_LIBS", "sarama": "GO_MEMBER", "franz": "GO_MEMBER"}
bootstrap, topic = sys.argv[1:3]
modes = sys.argv[3:] or list(KNOW)
wanted = os.environ.get("KINDS", "").split()
failed = 0
for mode in modes:
    kinds = [kind for kind in KNOW[mode] if NEEDS.get(kind, "PATH") in os.environ and (not wanted or kind in wanted)]
    for leader in kinds:
        started = time.monotonic()
        try:
            group = Group(bootstrap, f"{topic}-{mode}-{leader}", PARTITIONS, brisk=mode == "consumer")
            group.join(leader, mode)
            others = [kind for kind in kinds if kind != leader]
            for kind in others:
                group.start(kind, mode)
            group.wait("all have their share", group.is_shared)
            group.wait_for_more()
            if others:
                group.leave(group.living(others[-1])[0])
            group.wait_for_more()
            said = group.finish()
        except (SystemExit, AssertionError) as error:
            failed += 1
            said = f"FAILED: {error}"
            for member in group.living():
                member.process.kill()
            group.load.going = False
        print(f"{mode:12} {leader:12} leads {len(kinds) - 1} others, {time.monotonic() - started:5.1f} s: {said}", flush=True)
sys.exit(1 if failed else 0)
