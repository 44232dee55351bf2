"""A group member on librdkafka (confluent-kafka). See `live.py` for what it says on its output."""

import sys

from confluent_kafka import Consumer, KafkaException, TopicPartition

from member import Running, bootstrap, check, group, instance, mode, say, say_partitions, session_ms, topic

settings = {
    "bootstrap.servers": bootstrap,
    "group.id": group,
    "client.id": "librdkafka",
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "fetch.wait.max.ms": 50,
}
if instance:
    settings["group.instance.id"] = instance
if mode == "consumer":
    settings["group.protocol"] = "consumer"
else:
    settings |= {
        "session.timeout.ms": session_ms,
        "heartbeat.interval.ms": 1000,
        "partition.assignment.strategy": {"eager": "range", "cooperative": "cooperative-sticky"}.get(mode, mode),
    }
running = Running()
ends = {}


def assigned(_, partitions):
    say_partitions("+", partitions)


def revoked(_, partitions):
    say_partitions("-", partitions)
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
        check(message.value(), message.offset())
        first, _ = spans.get(message.partition(), (message.offset(), None))
        spans[message.partition()] = (first, message.offset() + 1)
    for partition, (first, end) in spans.items():
        say("r", partition, first, end)
        ends[partition] = end
    commit()
commit()
consumer.close()
