"""aiokafka: a producer and a consumer of assigned partitions on one event loop."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

bootstrap, topic = sys.argv[1:3]


async def main():
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type="gzip")
    await producer.start()
    first = [await producer.send_and_wait(topic, str(number).encode(), partition=0) for number in range(20)]
    assert [record.offset for record in first] == list(range(20))
    futures = [await producer.send(topic, str(number).encode(), partition=0) for number in range(20, 500)]
    await asyncio.gather(*futures)
    await producer.stop()

    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    values = [int((await asyncio.wait_for(consumer.getone(), 10)).value) for _ in range(500)]
    assert values == list(range(500))
    await consumer.stop()


asyncio.run(main())
