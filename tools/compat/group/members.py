"""Group members of several clients, each a process, and what they say.

A member says on its output what happens to it, a line each, before it commits:

    + 0 3           was given partitions 0 and 3            - 3             had to give partition 3 back
    r 0 17 30       has processed offsets 17 to 29 of partition 0

`highwater consume` says the same in its own words. The mode is the protocol with the assignor: eager (range), roundrobin,
sticky, cooperative (cooperative-sticky), or consumer (KIP-848). A kind with a slash in it is any other program that takes the
arguments BOOTSTRAP GROUP TOPIC MODE and speaks so. Environment: KAFKA_LIBS, the folder of the jars, for `java`; HIGHWATER_BIN
for `highwater`; GO_MEMBER, the built `go_member`, for `sarama` and `franz`; SESSION_MS, how long a classic member may be
silent (6000). A static member has an instance.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE_S = 40
here = os.path.dirname(os.path.abspath(__file__))
changed = threading.Condition()
PR_SET_PDEATHSIG = 1
STRATEGIES = {"eager": "range", "cooperative": "cooperative-sticky"}
libc = ctypes.CDLL(None)


def die_with_parent():
    """A check that is interrupted leaves no member behind: the kernel ends it with its parent."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Member:
    """A process and what it has said so far; read under `changed`."""

    def __init__(self, kind, bootstrap, group, topic, mode, instance=None):
        self.kind = kind
        self.owned = set()
        self.given_back = []
        self.processed = []
        self.reached = {}
        self.alive = True
        self.stray = []
        self.errors = tempfile.TemporaryFile("w+")
        stderr = self.errors
        if kind == "java":
            java = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", os.environ["KAFKA_LIBS"] + "/*"]
            command = [*java, f"{here}/Member.java", bootstrap, group, topic, mode]
        elif kind == "highwater":
            command = [os.environ["HIGHWATER_BIN"], "consume", "-b", bootstrap, "-g", group, "--from-beginning"]
            command += ["--format", "r %p %o %s\\n"]
            settings = {"group.protocol": "consumer"}
            if mode != "consumer":
                settings = {
                    "group.protocol": "classic",
                    "session.timeout.ms": os.environ.get("SESSION_MS", "6000"),
                    "heartbeat.interval.ms": "1000",
                    "partition.assignment.strategy": STRATEGIES.get(mode, mode),
                }
            if instance:
                settings["group.instance.id"] = instance
            command += [word for name, value in settings.items() for word in ("-X", f"{name}={value}")]
            command.append(topic)
            stderr = subprocess.PIPE
        elif kind in ("sarama", "franz"):
            command = [os.environ["GO_MEMBER"], kind, bootstrap, group, topic, mode]
        elif "/" in kind:
            command = [kind, bootstrap, group, topic, mode]
        else:
            command = [sys.executable, f"{here}/member_{kind}.py", bootstrap, group, topic, mode]
        environment = {**os.environ, "INSTANCE": instance} if instance else None
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment, preexec_fn=die_with_parent)
        self.readers = [threading.Thread(target=self.read, args=[self.process.stdout], daemon=True)]
        if self.process.stderr:
            self.readers.append(threading.Thread(target=self.read, args=[self.process.stderr], daemon=True))
        for reader in self.readers:
            reader.start()

    def read(self, lines):
        for line in lines:
            with changed:
                self.hear(line)
                changed.notify_all()

    def hear(self, line):
        if change := re.match(r"highwater: .*: (assigned|revoked|lost) (.*)", line):
            partitions = [int(place.rsplit("-", 1)[1]) for place in change[2].split() if "-" in place]
            line = " ".join(["+" if change[1] == "assigned" else "-", *map(str, partitions)]) + "\n"
        if not re.fullmatch(r"[-+r]( \d+)*\s*\n", line):
            self.stray.append(line)
            return
        what, *numbers = line.split()
        numbers = [int(number) for number in numbers]
        if what == "+":
            self.owned |= set(numbers)
        elif what == "-":
            self.owned -= set(numbers)
            self.given_back += numbers
        else:
            partition, first, end = numbers
            if self.kind == "highwater":
                assert first == end, f"offset {first} of partition {partition} holds {end}"
                end += 1
            self.processed.append((partition, first, end))
            self.reached[partition] = max(end, self.reached.get(partition, 0))

    def end(self, how):
        """Sends a signal and waits for the end; the status."""
        self.process.send_signal(how)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            sys.exit(f"{self.kind} does not end: {self.complaints()}")
        for reader in self.readers:
            reader.join(PATIENCE_S)
        with changed:
            self.alive = False
            self.owned = set()
        return self.process.returncode

    def complaints(self):
        self.errors.seek(0)
        return (self.errors.read() + "".join(self.stray))[-2000:]


def reached(members, partition):
    """The end of what these have processed of a partition."""
    return max((member.reached.get(partition, 0) for member in members), default=0)


def repetitions(members, partition, end):
    """How many records of a partition were processed more than once; fails where one was skipped."""
    at = repeated = 0
    for _, first, after in sorted(entry for member in members for entry in member.processed if entry[0] == partition):
        assert first <= at, f"partition {partition}: {at} to {first - 1} were skipped"
        repeated += min(at, after) - first
        at = max(at, after)
    assert at == end, f"partition {partition} was processed to {at} of {end}"
    return repeated


def wait(what, condition, members):
    """Until the condition holds; ends the program when it does not come to hold."""
    deadline = time.monotonic() + PATIENCE_S
    with changed:
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            changed.wait(left)
        if condition():
            return
        state = "; ".join(f"{m.kind} {'has' if m.alive else 'is gone'} {sorted(m.owned)}" for m in members)
    said = "".join(f"\n{m.kind}: {m.complaints()}" for m in members)
    sys.exit(f"not within {PATIENCE_S} s: {what}\n{state}{said}")
