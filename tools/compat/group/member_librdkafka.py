"""A group member on librdkafka (confluent-kafka). See `live.py` for what it says on its output."""

import os
import signal
import sys

from confluent_kafka import Consumer, KafkaException, TopicPartition

bootstrap, group, topic, mode = sys.argv[1:5]
settings = {
    "bootstrap.servers": bootstrap,
    "group.id": group,
    "client.id": "librdkafka",
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "fetch.wait.max.ms": 50,
}
if "INSTANCE" in os.environ:
    settings["group.instance.id"] = os.environ["INSTANCE"]
if mode == "consumer":
    settings["group.protocol"] = "consumer"
else:
    settings |= {
        "session.timeout.ms": int(os.environ.get("SESSION_MS", 6000)),
        "heartbeat.interval.ms": 1000,
        "partition.assignment.strategy": {"eager": "range", "cooperative": "cooperative-sticky"}.get(mode, mode),
    }
running = True


def stop(*_):
    global running
    running = False


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def numbers(partitions):
    return sorted(p.partition for p in partitions)


signal.signal(signal.SIGTERM, stop)
ends = {}


def assigned(_, partitions):
    say("+", *numbers(partitions))


def revoked(_, partitions):
    say("-", *numbers(partitions))
    for partition in partitions:
        ends.pop(partition.partition, None)


def commit():
    """Commits what is not committed yet; a commit that falls into a rebalance is tried again later."""
    if ends:
        try:
            offsets = [TopicPartition(topic, partition, end) for partition, end in ends.items()]
            consumer.commit(offsets=offsets, asynchronous=False)
            ends.clear()
        except KafkaException as error:
            print(error, file=sys.stderr)


consumer = Consumer(settings)
consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
while running:
    spans = {}
    for message in consumer.consume(200, 0.1):
        if message.error():
            print(message.error(), file=sys.stderr)
            continue
        assert int(message.value()) == message.offset(), (message.value(), message.offset())
        first, _ = spans.get(message.partition(), (message.offset(), None))
        spans[message.partition()] = (first, message.offset() + 1)
    for partition, (first, end) in spans.items():
        say("r", partition, first, end)
        ends[partition] = end
    commit()
commit()
consumer.close()
