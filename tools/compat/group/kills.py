"""The broker is killed (SIGKILL) in the middle of commits and rebalances, again and again; what it acknowledged is there.

    kills.py [KILLS]                    20 kills unless told otherwise

Two things go on all the while. Committers, one connection each, commit ever higher offsets for groups without members and
note what was acknowledged: after every restart each partition's committed offset is at least the highest acknowledged one,
and at most the highest that was sent. And two groups, one of the classic protocol (cooperative) and one of the consumer
protocol, read what a producer writes; their members are never restarted, some come and go so that there are always
rebalances, and at the end every record has been processed and the commits are at the end of every partition.
Environment: HIGHWATER_BIN; TMPDIR for the data.
"""

import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from members import PATIENCE_S, Member, reached, repetitions, wait

kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
work = tempfile.mkdtemp()
seed = int(os.environ.get("SEED", time.time()))
random.seed(seed)
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
bootstrap = f"127.0.0.1:{port}"
GROUPS, PARTITIONS = 8, 4


def serve():
    """Starts the broker and returns it when it listens."""
    settings = {
        "num.partitions": PARTITIONS,
        "group.initial.rebalance.delay.ms": 100,
        "group.consumer.min.session.timeout.ms": 6000,
        "group.consumer.min.heartbeat.interval.ms": 500,
        "group.consumer.heartbeat.interval.ms": 500,
    }
    command = [os.environ["HIGHWATER_BIN"], "serve", "--data-dir", f"{work}/data", "--listen", bootstrap]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    broker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=open(f"{work}/log", "a"), text=True)
    while line := broker.stdout.readline():
        if bootstrap in line:
            return broker
    sys.exit("the broker does not start: " + open(f"{work}/log").read()[-2000:])


class Wire:
    """As much of the protocol as is needed: coordinators, OffsetCommit 2 and OffsetFetch 1."""

    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.correlation = 0

    def call(self, api, version, body):
        self.correlation += 1
        head = struct.pack(">hhih", api, version, self.correlation, -1)
        self.socket.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
        (size,) = struct.unpack(">i", self.take(4))
        answer = self.take(size)
        assert struct.unpack(">i", answer[:4])[0] == self.correlation
        return answer[4:]

    def take(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def find(self, group):
        (code,) = struct.unpack(">h", self.call(10, 0, text(group))[:2])
        return code

    def commit(self, group, offset):
        rows = b"".join(struct.pack(">iq", partition, offset) + text("") for partition in range(PARTITIONS))
        body = text(group) + struct.pack(">i", -1) + text("") + struct.pack(">q", -1)
        body += struct.pack(">i", 1) + text("ledger") + struct.pack(">i", PARTITIONS) + rows
        rows = self.call(8, 2, body)[4 + 2 + len("ledger") + 4 :]
        return [struct.unpack_from(">ih", rows, 6 * row)[1] for row in range(PARTITIONS)]

    def committed(self, group):
        partitions = b"".join(struct.pack(">i", partition) for partition in range(PARTITIONS))
        body = text(group) + struct.pack(">i", 1) + text("ledger") + struct.pack(">i", PARTITIONS) + partitions
        rows = self.call(9, 1, body)[4 + 2 + len("ledger") + 4 :]
        found = []
        for _ in range(PARTITIONS):
            _, offset, note = struct.unpack_from(">iqh", rows)
            (code,) = struct.unpack_from(">h", rows, 14 + max(note, 0))
            rows = rows[16 + max(note, 0) :]
            found.append((offset, code))
        return found


def text(string):
    return struct.pack(">h", len(string)) + string.encode()


# COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR: try again.
AGAIN = {14, 15, 16}


class Committer(threading.Thread):
    """Commits 1, 2, 3 .. for one group and knows what was acknowledged."""

    def __init__(self, group):
        super().__init__(daemon=True)
        self.group, self.sent, self.acknowledged, self.going = group, 0, 0, True
        self.paused = threading.Event()
        self.may_go = threading.Event()
        self.fault = None

    def run(self):
        wire = None
        while self.going:
            if not self.may_go.is_set():
                wire = None
                self.paused.set()
                self.may_go.wait()
                self.paused.clear()
            try:
                wire = wire or Wire()
                self.sent += 1
                codes = wire.commit(self.group, self.sent)
                if set(codes) == {0}:
                    self.acknowledged = self.sent
                elif set(codes) <= AGAIN:
                    wire.find(self.group)
                    time.sleep(0.01)
                else:
                    self.fault = f"{self.group}: a commit was refused with {codes}"
                    return
            except OSError:
                wire = None
                time.sleep(0.02)

    def check(self):
        assert self.fault is None, self.fault
        wire, deadline = Wire(), time.monotonic() + PATIENCE_S
        while True:
            found = wire.committed(self.group)
            if all(code == 0 for _, code in found):
                break
            assert {code for _, code in found} <= AGAIN | {0}, found
            assert time.monotonic() < deadline, f"{self.group}: the coordinator is not back: {found}"
            wire.find(self.group)
            time.sleep(0.01)
        for offset, _ in found:
            assert max(offset, 0) >= self.acknowledged, f"{self.group}: {self.acknowledged} was acknowledged, {offset} is there"
            assert offset <= self.sent, f"{self.group}: {offset} is there and was never sent"


def join(group):
    kind = ("librdkafka", "highwater")[len(members[group]) % 2]
    members[group].append(Member(kind, bootstrap, group, "orders", groups[group]))
    return members[group][-1]


def everything():
    return all(reached(members[group], partition) == written for group in groups for partition in range(PARTITIONS))


def new_admin():
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})


broker = serve()
try:
    admin = new_admin()
    for topic in ("ledger", "orders"):
        admin.create_topics([NewTopic(topic, num_partitions=PARTITIONS, replication_factor=1)])[topic].result(20)
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 0})
    committers = [Committer(f"ledger-{number}") for number in range(GROUPS)]
    groups = {"orders-classic": "cooperative", "orders-consumer": "consumer"}
    members = {group: [] for group in groups}
    for group in [*groups, *groups]:
        join(group)
    restless = {group: None for group in groups}
    for committer in committers:
        committer.may_go.set()
        committer.start()
    written, restart_ms = 0, []
    for kill in range(kills):
        until = time.monotonic() + random.uniform(0.2, 1.2)
        moved = False
        while time.monotonic() < until:
            for partition in range(PARTITIONS):
                producer.produce("orders", str(written), partition=partition)
            written += 1
            producer.poll(0.01)
            if not moved and random.random() < 0.05:
                # Somebody joins or leaves: a rebalance is under way when the broker dies.
                moved = True
                group = random.choice(list(groups))
                if restless[group] is None:
                    restless[group] = join(group)
                else:
                    restless[group].process.send_signal(signal.SIGTERM)
                    restless[group] = None
        broker.kill()
        broker.wait()
        started = time.monotonic()
        for committer in committers:
            committer.may_go.clear()
        broker = serve()
        restart_ms.append((time.monotonic() - started) * 1000)
        for committer in committers:
            while not committer.paused.wait(0.1):
                assert committer.is_alive(), committer.fault
            committer.check()
            committer.may_go.set()
    commits = sum(committer.acknowledged for committer in committers)
    for committer in committers:
        committer.going = False
        committer.join(PATIENCE_S)
        committer.check()
    assert producer.flush(PATIENCE_S) == 0, "the producer could not deliver"
    admin = new_admin()
    wait("everything was processed", everything, [member for group in groups for member in members[group]])
    for group in groups:
        for member in members[group]:
            assert member.end(signal.SIGTERM) == 0, member.complaints()
        for partition in range(PARTITIONS):
            repetitions(members[group], partition, written)
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition("orders", number) for number in range(PARTITIONS)])
        found = [p.offset for p in admin.list_consumer_group_offsets([asked])[group].result(20).topic_partitions]
        assert found == [written] * PARTITIONS, f"{group} is committed to {found} of {written}"
    restart_ms.sort()
    print(
        f"{kills} kills: {commits} acknowledged commits and {written * PARTITIONS} records, nothing lost and nothing skipped; "
        f"a restart takes {restart_ms[len(restart_ms) // 2]:.0f} ms (median)"
    )
    shutil.rmtree(work)
except BaseException:
    print(f"seed {seed}; kept: {work}", file=sys.stderr)
    raise
finally:
    broker.kill()
    for group in locals().get("members", {}).values():
        for member in group:
            if member.process.poll() is None:
                member.process.kill()
