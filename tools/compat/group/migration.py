"""A group changes its protocol while it lives, member by member, and back (KIP-848).

    migration.py BOOTSTRAP TOPIC

Two members of the classic protocol, of librdkafka and of the Java client; one of the consumer protocol joins, and the group
is a consumer group from then on; the classic ones go, one killed; a classic one joins again; those of the consumer protocol
leave, and the group is a classic one again. Holds what `group.py` says. Environment: that of `members.py`.
"""

import os
import signal
import sys

from group import Group

CLASSIC, CONSUMER = "eager", "consumer"
ours = "highwater" if os.environ.get("HIGHWATER_BIN") else "java"


def kind_is(name):
    assert group.kind() == name, f"the group is {group.kind()} and not {name}"
    print(f"{len(group.living())} members, a {name} group")


group = Group(*sys.argv[1:3], partitions=6, brisk=True)
killed, old = group.join("librdkafka", CLASSIC), group.join("java", CLASSIC)
kind_is("classic")
first = group.join("java", CONSUMER)
kind_is("consumer")
group.leave(killed, signal.SIGKILL)
second = group.join("librdkafka", CONSUMER)
third = group.join(ours, CONSUMER)
group.leave(old)
kind_is("consumer")
group.join("java", CLASSIC)
group.leave(first)
kind_is("consumer")
group.leave(second)
kind_is("consumer")
group.join(ours, CLASSIC)
group.leave(third)
kind_is("classic")
group.join("librdkafka", CLASSIC)
kind_is("classic")
print(group.finish())
