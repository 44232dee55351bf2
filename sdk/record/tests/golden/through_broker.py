"""Sends the batches that Highwater wrote through a broker, byte for byte, and holds what clients read against golden.json.

    through_broker.py HOST:PORT GOLDEN OURS

The broker is any that speaks Kafka's protocol. Reads with librdkafka (confluent-kafka) and kafka-python.
"""

import json
import pathlib
import socket
import struct
import sys
import uuid

import confluent_kafka
import kafka
from confluent_kafka.admin import AdminClient, NewTopic

from check import told_bytes

NEVER = str(2**63 - 1)


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Connection:
    """Produce requests of version 7, which carry batches as they are."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.correlation = 0

    def produce(self, topic, batch):
        self.correlation += 1
        body = struct.pack(">hhi", 0, 7, self.correlation) + text("golden")
        body += struct.pack(">hhi", -1, -1, 10_000)
        body += struct.pack(">i", 1) + text(topic)
        body += struct.pack(">iii", 1, 0, len(batch)) + batch
        self.socket.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", self.read(4))
        answer = self.read(size)
        at = 4 + 4 + 2 + len(topic) + 4
        _, error, offset = struct.unpack_from(">ihq", answer, at)
        assert error == 0, f"error {error}"
        return offset

    def read(self, size):
        found = b""
        while len(found) < size:
            piece = self.socket.recv(size - len(found))
            assert piece, "the broker hung up"
            found += piece
        return found


def by_librdkafka(address, topic, count):
    settings = {"bootstrap.servers": address, "group.id": "golden", "auto.offset.reset": "earliest", "check.crcs": True}
    consumer = confluent_kafka.Consumer(settings)
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    for _ in range(count):
        message = consumer.poll(20)
        assert message is not None, "librdkafka got nothing more"
        assert message.error() is None, message.error()
        headers = [(key, value) for key, value in message.headers() or []]
        yield message.offset(), message.timestamp()[1], message.key(), message.value(), headers
    consumer.close()


def by_kafka_python(address, topic, count):
    consumer = kafka.KafkaConsumer(bootstrap_servers=address, consumer_timeout_ms=20_000, check_crcs=True)
    partition = kafka.TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    for _, message in zip(range(count), consumer):
        yield message.offset, message.timestamp, message.key, message.value, list(message.headers)
    consumer.close()


def main(address, golden, ours):
    index = json.loads((pathlib.Path(golden) / "golden.json").read_text())
    cases = {case["file"].split(".")[0]: case for case in index["batches"]}
    topic = f"golden-{uuid.uuid4().hex[:8]}"
    # The records are from long ago, and some from the far future: a segment may roll between them, and must not go.
    config = {
        "message.timestamp.before.max.ms": NEVER,
        "message.timestamp.after.max.ms": NEVER,
        "retention.ms": "-1",
    }
    admin = AdminClient({"bootstrap.servers": address})
    for future in admin.create_topics([NewTopic(topic, 1, 1, config=config)]).values():
        future.result(30)
    connection = Connection(address)
    expected = {}
    batches = 0
    for path in sorted(pathlib.Path(ours).glob("*.bin")):
        case = cases[path.name.split(".")[0]]
        # Producers with an id, and markers, are the broker's to judge; offsets and append times the broker's to give.
        if case["producerId"] != -1 or case["control"] or case["baseOffset"] != 0:
            continue
        base = connection.produce(topic, path.read_bytes())
        batches += 1
        for told in case["records"]:
            headers = [(told_bytes(h["key"]).decode(), told_bytes(h["value"])) for h in told["headers"]]
            record = told["timestamp"], told_bytes(told["key"]), told_bytes(told["value"]), headers
            expected[base + told["offset"]] = (path.name, record)
    for name, reader in ("librdkafka", by_librdkafka), ("kafka-python", by_kafka_python):
        found = 0
        for offset, *record in reader(address, topic, len(expected)):
            file, told = expected[offset]
            assert tuple(record) == told, f"{name}, {file} at {offset}"
            found += 1
        assert found == len(expected), f"{name} read {found} of {len(expected)}"
        print(f"{name} reads {batches} batches with {found} records as they should be")


if __name__ == "__main__":
    main(*sys.argv[1:])
