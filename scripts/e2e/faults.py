"""A load of numbered records, kills under that load, and the check afterwards.

Flow: `Load` produces from a thread and notes what was acknowledged and where. `kill_loop` kills and restarts daemons under it, and
after each restart sees that the cluster works again. `Load.check` then reads
everything back.

**Invariant:** an acknowledged record is there exactly once, at the offset of
its acknowledgement; an unacknowledged one at most once; offsets have no gap.
With acks=1 there may be more copies, but none fewer.
"""

import random
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness import Failed, wait_until

PARTITIONS = 3
RECORDS_PER_SECOND = 3000


class Load:
    """Numbered records into one topic, from a thread, until `finish`."""

    def __init__(self, bootstrap, topic, acks="all"):
        self.bootstrap, self.topic = bootstrap, topic
        self.once = acks == "all"
        self.acknowledged = {}
        self.refused = {}
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": acks,
                "enable.idempotence": self.once,
                "linger.ms": 5,
                "batch.num.messages": 100,
                "message.timeout.ms": 120000,
                "retry.backoff.ms": 20,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 200,
                "log_level": 2,
            }
        )

    def start(self):
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            for _ in range(RECORDS_PER_SECOND // 100):
                self._send(self.sent)
                self.sent += 1
            self._producer.poll(0)
            self._stop.wait(0.01)

    def _send(self, number):
        def report(error, message):
            if error is None:
                self.acknowledged[number] = (message.partition(), message.offset())
            else:
                self.refused[number] = str(error)

        while not self._stop.is_set():
            try:
                return self._producer.produce(
                    self.topic,
                    key=str(number),
                    value=f"{number} {'x' * 100}",
                    partition=number % PARTITIONS,
                    on_delivery=report,
                )
            except BufferError:
                self._producer.poll(0.05)

    def wait_progress(self, records, timeout, what):
        """Returns when this many more records have been acknowledged."""
        goal = len(self.acknowledged) + records
        wait_until(lambda: len(self.acknowledged) >= goal or self.refused, timeout, what)
        if self.refused:
            raise Failed(f"{len(self.refused)} refused: {next(iter(self.refused.items()))}")

    def finish(self):
        """Ends the load; every record sent has been acknowledged or refused then."""
        self._stop.set()
        self._thread.join()
        left = self._producer.flush(60)
        if left:
            raise Failed(f"{left} records were neither acknowledged nor refused")

    def ends(self):
        """The offset behind the last acknowledged record of each partition."""
        ends = [0] * PARTITIONS
        for partition, offset in list(self.acknowledged.values()):
            ends[partition] = max(ends[partition], offset + 1)
        return ends

    def check(self):
        """Reads everything back and raises `Failed` with what is wrong."""
        found = {}
        for partition in range(PARTITIONS):
            for position, (offset, number) in enumerate(self._read(partition)):
                if offset != position:
                    raise Failed(f"partition {partition}: offset {offset} follows {position - 1}")
                found.setdefault(number, []).append((partition, offset))
        problems = []
        for number, place in self.acknowledged.items():
            if not self._holds(found.get(number, []), place):
                problems.append(f"{number} acknowledged at {place}, found at {found.get(number)}")
        for number in found.keys() - self.acknowledged.keys():
            if self.once and len(found[number]) > 1:
                problems.append(f"{number} not acknowledged, found at {found[number]}")
        if problems:
            raise Failed(f"{len(problems)} of {self.sent} records are wrong: {problems[:5]}")
        return len(self.acknowledged)

    def _holds(self, places, place):
        return places == [place] if self.once else place in places

    def _read(self, partition):
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "checker",
                "enable.auto.commit": False,
                "check.crcs": True,
                "auto.offset.reset": "error",
                "log_level": 2,
            }
        )
        try:
            consumer.assign([TopicPartition(self.topic, partition, 0)])
            start, end = consumer.get_watermark_offsets(
                TopicPartition(self.topic, partition), timeout=30
            )
            if start != 0:
                raise Failed(f"partition {partition} starts at {start}")
            position, deadline = 0, time.monotonic() + 60
            while position < end:
                for message in consumer.consume(1000, timeout=0.5):
                    if message.error():
                        raise KafkaException(message.error())
                    position = message.offset() + 1
                    yield message.offset(), int(message.key())
                if time.monotonic() > deadline:
                    raise Failed(f"partition {partition}: read up to {position} of {end}")
        finally:
            consumer.close()


class Bookmark:
    """A group's committed offsets, which must survive every kill."""

    def __init__(self, bootstrap, topic):
        self.topic = topic
        self.committed = None
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"{topic}-bookmark",
                "enable.auto.commit": False,
                "log_level": 2,
            }
        )

    def commit(self, offsets):
        positions = [TopicPartition(self.topic, *each) for each in enumerate(offsets)]

        def committed():
            try:
                self._consumer.commit(offsets=positions, asynchronous=False)
                return True
            except KafkaException:
                return False

        wait_until(committed, 30, "the group's offsets are committed")
        self.committed = offsets

    def check(self):
        asked = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]

        def answer():
            try:
                return [each.offset for each in self._consumer.committed(asked, timeout=10)]
            except KafkaException:
                return None

        found = wait_until(answer, 30, "the group's offsets are fetched")
        if found != self.committed:
            raise Failed(f"committed {self.committed}, after the restart {found}")

    def close(self):
        self._consumer.close()


def create_topic(bootstrap, topic, partitions, timeout=30):
    """Creates a topic; tries again while the cluster finds its feet."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})

    def created():
        try:
            new = NewTopic(topic, num_partitions=partitions, replication_factor=1)
            admin.create_topics([new], request_timeout=5)[topic].result()
            return True
        except KafkaException as error:
            return error.args[0].name() == "TOPIC_ALREADY_EXISTS"

    wait_until(created, timeout, f"topic {topic} is created")


def kill(cluster, what):
    """kill -9 of the broker, of the coordinator or of both; starts them again."""
    if what in ("broker", "both"):
        cluster.broker.kill()
    if what in ("coordinator", "both"):
        cluster.coordinator.kill()
        cluster.coordinator.start()
    if what in ("broker", "both"):
        cluster.restart_broker()


def kill_loop(cluster, what, rounds, seed=1, report=lambda text: None, acks="all"):
    """Kills `rounds` times under load; returns how many records were acknowledged."""
    chance = random.Random(seed)
    topic = f"load-{what}"
    create_topic(cluster.bootstrap, topic, PARTITIONS)
    load, bookmark = Load(cluster.bootstrap, topic, acks), Bookmark(cluster.bootstrap, topic)
    load.start()
    try:
        for number in range(1, rounds + 1):
            load.wait_progress(chance.randrange(300, 3000), 60, "the load runs")
            bookmark.commit(load.ends())
            started = time.monotonic()
            kill(cluster, what)
            load.wait_progress(1, 60, f"the load goes on after kill {number}")
            healed = time.monotonic() - started
            bookmark.check()
            create_topic(cluster.bootstrap, f"{topic}-after-{number}", 1)
            count = len(load.acknowledged)
            report(f"{what} kill {number}: serves again after {healed:.1f} s, {count} acknowledged")
    finally:
        load.finish()
        bookmark.close()
    if load.refused:
        raise Failed(f"{len(load.refused)} refused: {next(iter(load.refused.items()))}")
    return load.check()
