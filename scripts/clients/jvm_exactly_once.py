"""Kafka Streams and Kafka Connect exactly once, while their processes are killed."""

import contextlib
import itertools
import time

from core import checks, client, harness
from java_programs import install, java
from jvm_clients import converters, daemon, install_streams, rest

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
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        keys = {"isolation.level": "read_committed", "auto.offset.reset": "earliest"}
        at = {"bootstrap.servers": place.bootstrap, "group.id": f"reader of {topic}"}
        self.consumer = Consumer(at | keys)
        # Not as a member of a group: one whose session ends reads some records again.
        partitions = self.consumer.list_topics(topic, timeout=60).topics[topic].partitions
        assert partitions, topic
        self.consumer.assign([TopicPartition(topic, n, OFFSET_BEGINNING) for n in partitions])
        self.records = []

    def read_until(self, done, what, timeout=180, idle=None):
        """Reads on until `done` says of the records that they are enough.

        `idle` is called when nothing comes.
        """
        end = time.monotonic() + timeout
        while not done(self.records):
            if time.monotonic() > end:
                raise harness.Failed(f"not within {timeout} s: {what}; {len(self.records)} came")
            message = self.consumer.poll(0.5)
            if message is None and idle:
                idle()
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

    def read_all(found, what):
        # Counted once: to look at all words for each record takes minutes.
        count = len(words())
        found.read_until(lambda records: len(records) >= count, what)

    def count():
        for topic in ("lines", "counts"):
            place.cluster.create(topic)
        found = Committed(place, "counts")
        write(600)
        with contextlib.ExitStack() as running:
            instances = [running.enter_context(instance(number)) for number in (1, 2)]
            read_all(found, "the first words are counted")
            for number in (3, 4):
                write(3000)
                some = len(found.records) + 1000
                found.read_until(lambda records: len(records) >= some, "the first of these")
                instances.pop(0).kill()
                instances.append(running.enter_context(instance(number)))
                read_all(found, "the others take over")
            write(300)
            read_all(found, "the last words are counted")
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


def connect_worker(place, number, port):
    worker = converters(place) | {
        "group.id": "connect-exactly-once",
        "listeners": f"http://127.0.0.1:{port}",
        "scheduled.rebalance.max.delay.ms": 1000,
        "session.timeout.ms": 10_000,
        "exactly.once.source.support": "enabled",
    }
    for kind in ("offset", "config", "status"):
        worker[f"{kind}.storage.topic"] = f"exactly-once-{kind}s"
        worker[f"{kind}.storage.replication.factor"] = 3
    path = place.directory / f"worker-{number}.properties"
    harness.write_properties(path, worker)
    command = java("connect", "org.apache.kafka.connect.cli.ConnectDistributed", path)
    ready = lambda: rest(port, "/connectors")[0] == 200  # noqa: E731
    return daemon(place, f"worker-{number}", command, ready)


@client(
    "connect-exactly-once",
    "3.9.1",
    "two distributed workers with exactly.once.source.support on three brokers: the one that runs "
    "the file source is killed twice in the middle and comes back; each line is there once",
    brokers=3,
    keys=SAFE,
    when="long",
    install=lambda place: install("connect"),
)
def connect_exactly_once(place):
    read = place.directory / "source.in"
    written = []

    def write(count):
        with open(read, "a") as file:
            for _ in range(count):
                written.append(f"line {len(written)}")
                file.write(f"{written[-1]}\n")

    def lines_once():
        place.cluster.create("copied", partitions=1)
        ports = [harness.Ports.take() for _ in range(2)]
        settings = {
            "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "tasks.max": "1",
            "file": str(read),
            "topic": "copied",
            "batch.size": "50",
            "exactly.once.support": "required",
            "transaction.boundary": "poll",
        }
        found = Committed(place, "copied")

        def read_all(what):
            # The connector keeps lines behind a full batch until the file grows.
            whole = lambda records: len(records) >= len(written)  # noqa: E731
            found.read_until(whole, what, idle=lambda: write(1))

        def runs_on(port):
            """The index of the worker that runs the task, once it does."""
            status, told = rest(port, "/connectors/source/status")
            if status != 200 or not told["tasks"] or told["tasks"][0]["state"] != "RUNNING":
                return None
            at = told["tasks"][0]["worker_id"].rsplit(":", 1)[1]
            return [ports.index(int(at))]

        write(500)
        with contextlib.ExitStack() as running:
            workers = [
                running.enter_context(connect_worker(place, number, port))
                for number, port in enumerate(ports)
            ]
            body = {"name": "source", "config": settings}
            # Answered 409 while the workers rebalance.
            created = lambda: rest(ports[0], "/connectors", body)[0] == 201  # noqa: E731
            harness.wait_until(created, 90, "the source is created", 1)
            read_all("the first lines")
            killed = 0
            for _ in range(2):
                asked = ports[1 - killed]
                busy = harness.wait_until(lambda: runs_on(asked), 120, "the task runs", 0.5)[0]
                write(20_000)
                some = len(found.records) + 2000
                found.read_until(lambda records: len(records) >= some, "the first of these")
                workers[busy].kill()
                killed = busy
                read_all("the other worker goes on")
                workers[busy].start(timeout=180)
            write(100)
            read_all("the last lines")
            found.read_on()
        found.close()
        values = [message.value().decode() for message in found.records]
        assert values == written, differences(values, written)

    return checks([("lines once", lines_once)])
