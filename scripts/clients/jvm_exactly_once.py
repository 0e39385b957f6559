"""Kafka Streams exactly once, while its processes are killed."""

import contextlib
import itertools
import time

from core import checks, client, harness
from java_programs import java
from jvm_clients import daemon, install_streams

WORDS = ["all streams lead to kafka", "hello kafka streams", "join kafka summit"]
# As a cluster that is to lose nothing is set up.
SAFE = {
    "num.partitions": 2,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
}


class Committed:
    """What a topic has of committed records, as far as it was read."""

    def __init__(self, place, topic):
        from confluent_kafka import Consumer

        keys = {"isolation.level": "read_committed", "auto.offset.reset": "earliest"}
        at = {"bootstrap.servers": place.bootstrap, "group.id": f"reader of {topic}"}
        self.consumer = Consumer(at | keys)
        self.consumer.subscribe([topic])
        self.records = []

    def read_until(self, done, what, timeout=180):
        """Reads on until `done` says of the records that they are enough."""
        end = time.monotonic() + timeout
        while not done(self.records):
            if time.monotonic() > end:
                raise harness.Failed(f"not within {timeout} s: {what}; {len(self.records)} came")
            message = self.consumer.poll(0.5)
            if message is not None and not message.error():
                self.records.append(message)

    def read_on(self, seconds=2):
        """Reads what comes within some seconds of silence: what should not be there."""
        while message := self.consumer.poll(seconds):
            if not message.error():
                self.records.append(message)

    def close(self):
        self.consumer.close()


@client(
    "streams-exactly-once",
    "3.9.1",
    "word count with exactly_once_v2 on three brokers: both of two instances are killed in turn "
    "and replaced; a reader of committed records sees each count once and in order",
    brokers=3,
    keys=SAFE,
    when="long",
    install=install_streams,
)
def streams_exactly_once(place):
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": place.bootstrap, "enable.idempotence": True})
    written = []

    def write(count):
        for _ in range(count):
            line = WORDS[len(written) % 3]
            producer.produce("lines", line, partition=len(written) % 2)
            written.append(line)
        producer.flush(60)

    def words():
        return [word for line in written for word in line.split()]

    def instance(number):
        at = (place.bootstrap, "lines", "counts", place.directory / f"state-{number}")
        command = java("streams", "WordCount", *at, "exactly_once_v2")
        log = place.directory / f"streams-{number}.log"
        runs = lambda: log.exists() and "running" in log.read_text().split()  # noqa: E731
        return daemon(place, f"streams-{number}", command, runs)

    def whole(found):
        return len(found) >= len(words())

    def count():
        for topic in ("lines", "counts"):
            place.cluster.create(topic)
        found = Committed(place, "counts")
        write(600)
        with contextlib.ExitStack() as running:
            instances = [running.enter_context(instance(number)) for number in (1, 2)]
            found.read_until(whole, "the first words are counted")
            for number in (3, 4):
                write(3000)
                some = len(found.records) + 1000
                found.read_until(lambda records: len(records) >= some, "the first of these")
                instances.pop(0).kill()
                instances.append(running.enter_context(instance(number)))
                found.read_until(whole, "the others take over")
            write(300)
            found.read_until(whole, "the last words are counted")
            found.read_on()
        found.close()
        counts = {}
        for message in found.records:
            number = int.from_bytes(message.value(), "big")
            counts.setdefault(message.key().decode(), []).append(number)
        for word in set(words()) | set(counts):
            wanted = list(range(1, words().count(word) + 1))
            assert counts.get(word) == wanted, f"{word}: {differences(counts.get(word), wanted)}"

    return checks([("word count", count)])


def differences(found, wanted):
    """Where two sequences part."""
    for at, (one, other) in enumerate(itertools.zip_longest(found or (), wanted)):
        if one != other:
            return f"number {at} is {one} and should be {other}"
    return "none"
