"""A producer that goes on while members come and go: it writes 0, 1, 2 .. into each partition, so that a record is numbered
like its offset."""

import threading
import time

from confluent_kafka import Producer

from members import PATIENCE_S


class Load(threading.Thread):
    """Some 200 records a second for each partition, until it is told to stop."""

    def __init__(self, bootstrap, topic, partitions, **settings):
        super().__init__(daemon=True)
        self.topic, self.partitions = topic, partitions
        settings = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5, "log_level": 0, **settings}
        self.producer = Producer(settings)
        self.going, self.written = True, 0

    def run(self):
        while self.going:
            for _ in range(10):
                for partition in range(self.partitions):
                    self.producer.produce(self.topic, str(self.written), partition=partition)
                self.written += 1
            self.producer.poll(0)
            time.sleep(0.05)

    def stop(self):
        """How many records each partition has got."""
        self.going = False
        self.join()
        assert self.producer.flush(PATIENCE_S) == 0, "the producer could not deliver"
        return self.written
