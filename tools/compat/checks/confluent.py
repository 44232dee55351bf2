"""confluent-kafka: admin, an idempotent producer, a consumer of assigned partitions, offsets by time."""

import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

bootstrap, topic = sys.argv[1:3]

admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1, config={"retention.ms": "3600000"})])[topic].result(10)
admin.create_partitions([NewPartitions(topic, 4)])[topic].result(10)
assert len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 4
resource = ConfigResource(ResourceType.TOPIC, topic)
config = admin.describe_configs([resource])[resource].result(10)
assert config["retention.ms"].value == "3600000", config["retention.ms"].value

failures = []
producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4"})
for number in range(2000):
    producer.produce(topic, key=str(number % 7), value=str(number), partition=number % 4, on_delivery=lambda error, _: error and failures.append(error))
    producer.poll(0)
assert producer.flush(20) == 0
assert not failures, failures[:3]

consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "enable.partition.eof": True})
consumer.assign([TopicPartition(topic, number, 0) for number in range(4)])
received = {number: [] for number in range(4)}
ended = set()
while len(ended) < 4:
    message = consumer.poll(10)
    assert message is not None, "nothing within ten seconds"
    if message.error():
        ended.add(message.partition())
    else:
        received[message.partition()].append(int(message.value()))
for number, values in received.items():
    assert values == list(range(number, 2000, 4)), (number, len(values))
low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
assert (low, high) == (0, 500), (low, high)
(by_time,) = consumer.offsets_for_times([TopicPartition(topic, 0, 1)], timeout=10)
assert by_time.offset == 0, by_time
consumer.close()

admin.delete_topics([topic])[topic].result(10)
