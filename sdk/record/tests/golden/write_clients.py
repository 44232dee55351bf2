"""Lets other clients produce in every codec through an Apache Kafka, and keeps the segment files it wrote.

    write_clients.py HOST:PORT LOG_DIR GOLDEN
"""

import pathlib
import shutil
import sys
import time
import uuid

import confluent_kafka
import kafka
from confluent_kafka.admin import AdminClient, NewTopic

CODECS = "gzip", "snappy", "lz4", "zstd"
RECORDS = 40
TIME = 1_700_000_000_000


def value(n):
    return f'{{"n":{n},"text":"the same words again and again, and a number: {n * n * 7919}"}}'.encode()


def librdkafka(address, topic, codec):
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": address, "compression.type": codec, "linger.ms": 500}
    )
    for n in range(RECORDS):
        producer.produce(
            topic, value(n), str(n).encode(), timestamp=TIME + n, headers=[("n", str(n).encode())]
        )
    assert producer.flush(20) == 0


def kafka_python(address, topic, codec):
    producer = kafka.KafkaProducer(
        bootstrap_servers=address, compression_type=codec, linger_ms=500
    )
    for n in range(RECORDS):
        producer.send(
            topic, value(n), str(n).encode(), headers=[("n", str(n).encode())], timestamp_ms=TIME + n
        )
    producer.flush(20)
    producer.close()


def main(address, logs, golden):
    admin = AdminClient({"bootstrap.servers": address})
    for client in librdkafka, kafka_python:
        for codec in CODECS:
            topic = f"{client.__name__}-{codec}-{uuid.uuid4().hex[:6]}"
            config = {"message.timestamp.before.max.ms": str(2**63 - 1), "flush.messages": "1"}
            for future in admin.create_topics([NewTopic(topic, 1, 1, config=config)]).values():
                future.result(30)
            client(address, topic, codec)
            time.sleep(0.5)
            segment = pathlib.Path(logs) / f"{topic}-0" / f"{0:020}.log"
            name = client.__name__.replace("_", "-")
            shutil.copy(segment, pathlib.Path(golden) / f"{name}.{codec}.log")


if __name__ == "__main__":
    main(*sys.argv[1:])
