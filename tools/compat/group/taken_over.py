"""Groups live on while the broker under them changes: Apache Kafka is killed, Highwater opens its directory on the same port,
is killed too, and Apache Kafka opens it again. The members, of librdkafka and of the Java client, keep what they have.

One group is of the classic protocol (cooperative), one of the consumer protocol. At the end every record was processed.
Environment: that of `members.py`.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from confluent_kafka.admin import AdminClient, NewTopic

from load import Load
from members import PATIENCE_S, Member, changed, reached, repetitions, wait

PARTITIONS = 4
work = tempfile.mkdtemp()
# Longer than Apache Kafka takes to start.
os.environ["SESSION_MS"] = "30000"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


port, controller = free_port(), free_port()
bootstrap = f"127.0.0.1:{port}"
GROUP_SETTINGS = {
    "group.initial.rebalance.delay.ms": 100,
    "group.consumer.min.session.timeout.ms": 6000,
    "group.consumer.session.timeout.ms": 30000,
    "group.consumer.min.heartbeat.interval.ms": 500,
    "group.consumer.heartbeat.interval.ms": 500,
}
settings = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.quorum.voters": f"1@127.0.0.1:{controller}",
    "listeners": f"PLAINTEXT://{bootstrap},CONTROLLER://127.0.0.1:{controller}",
    "advertised.listeners": f"PLAINTEXT://{bootstrap}",
    "controller.listener.names": "CONTROLLER",
    "log.dirs": f"{work}/data",
    "offsets.topic.replication.factor": 1,
    **GROUP_SETTINGS,
}
with open(f"{work}/server.properties", "w") as file:
    file.writelines(f"{name}={value}\n" for name, value in settings.items())
java = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", os.environ["KAFKA_LIBS"] + "/*"]


def start(command, name):
    """Starts a broker and returns it when it is reached."""
    broker = subprocess.Popen(command, stdout=open(f"{work}/{name}", "a"), stderr=subprocess.STDOUT)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=1)
            return broker
        except Exception:
            if time.monotonic() > deadline or broker.poll() is not None:
                sys.exit(f"{name} does not start: " + open(f"{work}/{name}").read()[-2000:])


def start_kafka():
    return start([*java, "kafka.Kafka", f"{work}/server.properties"], "kafka")


def start_highwater():
    return start([os.environ["HIGHWATER_BIN"], "serve", "--config", f"{work}/server.properties"], "highwater")


groups = {"classic": "cooperative", "consumer": "consumer"}
members = []


def of(group):
    return [member for member in members if member.group == group]


def are_shared():
    return all(
        sorted(partition for member in of(group) for partition in member.owned) == list(range(PARTITIONS))
        and all(member.owned for member in of(group))
        for group in groups
    )


def go_on(under):
    """All partitions are read on by both groups, and nobody had to give anything back."""
    with changed:
        before = {member: list(member.given_back) for member in members}
        marks = {group: [load.written] * PARTITIONS for group in groups}
    wait(
        f"both groups read on under {under}",
        lambda: all(reached(of(group), p) > mark for group, list_ in marks.items() for p, mark in enumerate(list_)),
        members,
    )
    for member in members:
        assert member.given_back == before[member], f"{member.kind} gave back {member.given_back} under {under}"
    print(f"both groups read on under {under}")


identity = subprocess.run([*java, "kafka.tools.StorageTool", "random-uuid"], capture_output=True, text=True, check=True)
storage = [*java, "kafka.tools.StorageTool", "format", "-t", identity.stdout.split()[-1], "-c", f"{work}/server.properties"]
subprocess.run(storage, capture_output=True, check=True)
broker = start_kafka()
try:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.create_topics([NewTopic("moved", num_partitions=PARTITIONS, replication_factor=1)])["moved"].result(20)
    # One request at a time: of several that are repeated after its restart, Apache Kafka knows the last batch only.
    load = Load(bootstrap, "moved", PARTITIONS, **{"max.in.flight": 1})
    load.start()
    for group, mode in groups.items():
        for kind in ("librdkafka", "java"):
            member = Member(kind, bootstrap, group, "moved", mode)
            member.group = group
            members.append(member)
    wait("both groups are shared", are_shared, members)
    go_on("Apache Kafka")
    for name, successor in (("Highwater", start_highwater), ("Apache Kafka again", start_kafka)):
        broker.kill()
        broker.wait()
        broker = successor()
        go_on(name)
    written = load.stop()
    wait(
        "everything was processed",
        lambda: all(reached(of(group), p) == written for group in groups for p in range(PARTITIONS)),
        members,
    )
    for member in members:
        status = member.end(signal.SIGTERM)
        assert status in (0, 143), f"{member.kind} ended with {status}: {member.complaints()}"
    repeated = sum(repetitions(of(group), partition, written) for group in groups for partition in range(PARTITIONS))
    print(f"all of {written * PARTITIONS} records processed by both, {repeated} of them twice")
    shutil.rmtree(work)
except BaseException:
    print(f"kept: {work}", file=sys.stderr)
    raise
finally:
    broker.kill()
    for member in members:
        if member.process.poll() is None:
            member.process.kill()
