"""A transactional producer that remembers what it committed and what it aborted,
and readers of both kinds."""

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness import wait_until

SECONDS = 60


def create(bootstrap, *topics, partitions=1, replicas=1):
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    new = [NewTopic(topic, partitions, replicas) for topic in topics]
    for done in admin.create_topics(new).values():
        done.result(SECONDS)


def producer(bootstrap, transactional_id, keys=None):
    """A client's producer that owns the id."""
    made = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": 60_000,
            "log_level": 0,
        }
        | (keys or {})
    )
    made.init_transactions(SECONDS)
    return made


class Writer:
    """One transactional id; `committed` and `aborted` are what it wrote."""

    def __init__(self, bootstrap, transactional_id, keys=None):
        keys = {"transaction.timeout.ms": 600_000} | (keys or {})
        self.producer = producer(bootstrap, transactional_id, keys)
        self.committed, self.aborted, self.open = [], [], []

    def begin(self):
        self.producer.begin_transaction()
        self.open = []

    def write(self, topic, *values, partition=0):
        for value in values:
            self.producer.produce(topic, value=value, partition=partition)
            self.open.append(value)
        self.producer.flush(SECONDS)

    def commit(self):
        self.producer.commit_transaction(SECONDS)
        self.committed += self.open

    def abort(self):
        self.producer.abort_transaction(SECONDS)
        self.aborted += self.open

    def whole(self, topic, *values, commit=True):
        """A transaction of its own."""
        self.begin()
        self.write(topic, *values)
        (self.commit if commit else self.abort)()


def end_offset(bootstrap, topic, isolation, partition=0):
    """What ListOffsets says for the isolation."""
    keys = {"bootstrap.servers": bootstrap, "group.id": "x", "isolation.level": isolation}
    consumer = Consumer(keys | {"log_level": 0})
    try:
        return consumer.get_watermark_offsets(TopicPartition(topic, partition), SECONDS)[1]
    finally:
        consumer.close()


def read(bootstrap, topic, isolation="read_committed", partitions=(0,)):
    """The values from the beginning to the end that the isolation has."""
    keys = {
        "bootstrap.servers": bootstrap,
        "group.id": "reader",
        "isolation.level": isolation,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "log_level": 0,
    }
    consumer = Consumer(keys)
    consumer.assign([TopicPartition(topic, each, 0) for each in partitions])
    values, ended = [], set()

    def all_ended():
        message = consumer.poll(1)
        if message is None:
            return False
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            ended.add(message.partition())
        else:
            values.append(message.value())
        return len(ended) == len(partitions)

    try:
        wait_until(all_ended, SECONDS, f"the end of {topic}", interval=0)
    finally:
        consumer.close()
    return values


def read_text(*place, **options):
    """The same as text."""
    return [value.decode() for value in read(*place, **options)]


def offsets(bootstrap, group, topic, partition=0):
    """The committed offset, whatever open transactions hold; `None` without one."""
    # A reader of committed records would wait for their end (KIP-447).
    keys = {"group.id": group, "isolation.level": "read_uncommitted", "log_level": 0}
    consumer = Consumer(keys | {"bootstrap.servers": bootstrap})
    try:
        found = consumer.committed([TopicPartition(topic, partition)], SECONDS)[0].offset
        return None if found == OFFSET_INVALID else found
    finally:
        consumer.close()


def send(made, topic, values, partition=0):
    for value in values:
        made.produce(topic, str(value).encode(), partition=partition)
    made.flush(SECONDS)


def numbers(*ranges):
    """What is read of numbers that were sent."""
    return [str(each) for part in ranges for each in part]


def coordinator(trio, transactional_id):
    """The broker that leads the id's partition of the internal topic."""
    count = len(trio.partitions("__transaction_state"))
    return trio.leader("__transaction_state", java_hash(transactional_id) % count)


def java_hash(text):
    """Java's `String.hashCode`, made positive as Kafka does it."""
    value = 0
    for character in text:
        value = (value * 31 + ord(character)) & 0xFFFFFFFF
    return abs(value - (1 << 32) if value >= 1 << 31 else value)
