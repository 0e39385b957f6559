"""A compacted topic under load: what its writer was promised must stay.

Flow: a `Table` writes numbered values to few keys and remembers what was
acknowledged; `read` reads the topic from its start and checks that offsets only
grow and that the last value of each key is the acknowledged one, or one that
was sent after it.
"""

import random
import re
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness import Failed, wait_until

# So that compaction runs at once and all the time.
EAGER_CLEANER = {
    "log.cleaner.backoff.ms": 50,
    "log.cleaner.min.cleanable.ratio": 0.01,
    "log.segment.delete.delay.ms": 1000,
    "log.retention.check.interval.ms": 500,
}
SEGMENT_BYTES = 20000


def create_table(bootstrap, topic, **config):
    """A topic of one partition whose segments are small."""
    settings = {"cleanup.policy": "compact", "segment.bytes": str(SEGMENT_BYTES)}
    settings |= {"delete.retention.ms": "60000"} | config
    # Kafka's own broker first answers that there are no brokers, after which a
    # client of librdkafka knows nobody for good: so each look is a new client's.
    [admin] = wait_until(lambda: knowing_client(bootstrap), 60, "the broker knows of itself")
    topics = [NewTopic(topic, num_partitions=1, replication_factor=1, config=settings)]
    admin.create_topics(topics)[topic].result(timeout=60)


def knowing_client(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    try:
        return [admin] if admin.list_topics(timeout=10).brokers else []
    except KafkaException:
        return []


class Table:
    """One writer of `topic`; every value is larger than the key's one before."""

    def __init__(self, bootstrap, topic, keys=40):
        self.bootstrap, self.topic, self.keys = bootstrap, topic, keys
        self.sent = {}
        self.acknowledged = {}
        self.count = 0
        self._stop = threading.Event()
        self._thread = None

    def write(self, producer, count):
        for _ in range(count):
            self.count += 1
            key = f"key-{self.count % self.keys}"
            self.sent[key] = self.count
            value = f"{self.count}:{'v' * 60}"
            while True:
                try:
                    producer.produce(self.topic, value, key, on_delivery=self._delivered)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)

    def _delivered(self, error, message):
        if error is None:
            key, number = message.key().decode(), number_of(message.value())
            self.acknowledged[key] = max(number, self.acknowledged.get(key, 0))

    def producer(self, **config):
        settings = {
            "bootstrap.servers": self.bootstrap,
            "enable.idempotence": True,
            "linger.ms": 2,
            "batch.num.messages": 20,
            "message.timeout.ms": 120000,
            "retry.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
        }
        return Producer(settings | config)

    def fill(self, count):
        """Writes and waits for every acknowledgement."""
        producer = self.producer()
        self.write(producer, count)
        if producer.flush(120) != 0:
            raise Failed("the records were not acknowledged")

    def start(self):
        """Writes in the background until `finish`."""

        def run():
            producer = self.producer()
            while not self._stop.is_set():
                self.write(producer, 20)
                producer.poll(0.005)
            producer.flush(120)

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def finish(self):
        self._stop.set()
        self._thread.join(130)

    def abort(self, count, transactional_id="table"):
        """Writes records in a transaction and takes them back."""
        settings = {"transactional.id": transactional_id, "message.timeout.ms": 30000}
        producer = self.producer(**settings)
        producer.init_transactions(60)
        producer.begin_transaction()
        for index in range(count):
            producer.produce(self.topic, f"0:aborted {'a' * 60}", f"key-{index % self.keys}")
        producer.flush(60)
        producer.abort_transaction(60)

    def read(self, isolation="read_committed"):
        """All records of the topic as (offset, key, number), checked."""
        acknowledged = dict(self.acknowledged)
        records = read_all(self.bootstrap, self.topic, isolation)
        offsets = [offset for offset, _, _ in records]
        assert offsets == sorted(set(offsets)), "offsets do not grow"
        last = {}
        for _, key, number in records:
            if number:
                assert number > last.get(key, 0), f"{key}: {number} after {last.get(key)}"
                last[key] = number
        for key, number in acknowledged.items():
            found = last.get(key, 0)
            assert number <= found <= self.sent[key], f"{key}: {found}, acknowledged {number}"
        return records


def number_of(value):
    return int(re.match(rb"\d+", value)[0])


def read_all(bootstrap, topic, isolation):
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "unused",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "enable.partition.eof": False,
        }
    )
    partition = TopicPartition(topic, 0)
    try:
        wait_until(lambda: leads(consumer, partition), 60, f"{topic} has a leader")
        first, end = consumer.get_watermark_offsets(partition, timeout=30)
        consumer.assign([TopicPartition(topic, 0, first)])
        records = []

        def complete():
            for message in consumer.consume(500, timeout=1):
                if message.error():
                    raise Failed(str(message.error()))
                number = number_of(message.value())
                records.append((message.offset(), (message.key() or b"").decode(), number))
            position = consumer.position([partition])[0].offset
            return position >= end

        if end > first:
            wait_until(complete, 60, f"{topic} is read to {end}")
        return records
    finally:
        consumer.close()


def leads(consumer, partition):
    try:
        return bool(consumer.get_watermark_offsets(partition, timeout=2))
    except KafkaException:
        return False


def kill_while_compacting(cluster, topic, kills, seed=1, report=None):
    """Kills the broker `kills` times while it compacts what is written.

    Returns how many records were written; fails unless the last value of each
    key is there after each kill.
    """
    moments = random.Random(seed)
    table = Table(cluster.bootstrap, topic)
    checkpoint = cluster.directory / "broker" / "cleaner-offset-checkpoint"
    table.start()
    try:
        for number in range(kills):
            written = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            cleaned = lambda: checkpoint.exists() and checkpoint.stat().st_mtime_ns > written  # noqa: E731
            wait_until(cleaned, 60, "a cleaning ends")
            # Anywhere in the next ones.
            time.sleep(moments.random() * 0.2)
            cluster.broker.kill()
            cluster.restart_broker()
            acknowledged = dict(table.acknowledged)
            records = len(table.read("read_uncommitted"))
            if report:
                report(f"kill {number + 1}: {len(acknowledged)} keys, {records} records are left")
    finally:
        table.finish()
    table.read("read_uncommitted")
    return table.count
