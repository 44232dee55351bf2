"""What the members in Python have in common: what they are told, what they say (see `members.py`), and how they end."""

import os
import signal
import sys

bootstrap, group, topic, mode = sys.argv[1:5]
session_ms = int(os.environ.get("SESSION_MS", 6000))
instance = os.environ.get("INSTANCE")


class Running:
    """True until SIGTERM comes."""

    def __init__(self):
        self.is_running = True
        signal.signal(signal.SIGTERM, self.stop)

    def stop(self, *_):
        self.is_running = False

    def __bool__(self):
        return self.is_running


def say(*words):
    """A line, at once and whole."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def say_partitions(what, partitions):
    say(what, *sorted(p.partition for p in partitions))


def check(value, offset):
    """A record is numbered like its offset."""
    assert int(value) == offset, (value, offset)
