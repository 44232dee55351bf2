"""kafka-python: admin, an idempotent producer with every codec, and a consumer of assigned partitions."""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

bootstrap, topic = sys.argv[1:3]

admin = KafkaAdminClient(bootstrap_servers=bootstrap)
admin.create_topics([NewTopic(name=topic, num_partitions=3, replication_factor=1)])
assert topic in admin.list_topics()

sent = {0: [], 1: [], 2: []}
for codec in [None, "gzip", "snappy", "lz4", "zstd"]:
    try:
        producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type=codec)
    except (AssertionError, RuntimeError) as error:
        print(f"skipping {codec}: {error}", file=sys.stderr)
        continue
    pending = []
    for number in range(300):
        partition = number % 3
        value = f"{codec}-{number}".encode()
        headers = [("n", str(number).encode())]
        pending.append((partition, value, producer.send(topic, value, partition=partition, headers=headers)))
    producer.flush()
    for partition, value, future in pending:
        assert future.get(timeout=10).partition == partition
        sent[partition].append(value)
    producer.close()

consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=10000)
partitions = [TopicPartition(topic, number) for number in sent]
consumer.assign(partitions)
consumer.seek_to_beginning(*partitions)
received = {0: [], 1: [], 2: []}
wanted = sum(map(len, sent.values()))
for record in consumer:
    received[record.partition].append(record.value)
    if sum(map(len, received.values())) == wanted:
        break
assert received == sent, {number: (len(sent[number]), len(received[number])) for number in sent}

ends = consumer.end_offsets(partitions)
assert sum(ends.values()) == wanted, ends
assert all(offset == 0 for offset in consumer.beginning_offsets(partitions).values())
consumer.close()

admin.delete_topics([topic])
assert topic not in admin.list_topics()
admin.close()
