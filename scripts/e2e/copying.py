"""Copies records in transactions while brokers and copiers are struck.

`Copying` feeds numbered records into a topic of two partitions; two Java processes
copy them into one of three, each a member of one group; a reader of committed
records watches all the while. `check` says that every number was copied exactly
once, that the reader has seen just that, and nothing that was aborted.
"""

import itertools
import subprocess
import threading
import time
from collections import Counter

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

import harness
from harness import wait_until
from replicated import HEAL

SOURCE, TARGET, GROUP = "source", "target", "copiers"
SOURCE_PARTITIONS, TARGET_PARTITIONS = 2, 3
# Records of one transaction.
BATCH = 50
COPIERS = 2


def compiled(directory, peer):
    """The classpath with the copier, compiled against the peer's clients."""
    libraries = f"{harness.PEERS / peer}/libs/*"
    if not (harness.PEERS / peer).is_dir():
        harness.run([harness.TOP / "scripts/peers/install.sh", peer], timeout=600)
    source = harness.TOP / "scripts/e2e/programs/TransactionalCopier.java"
    harness.run(["javac", "-nowarn", "-d", directory, "-cp", libraries, source], timeout=120)
    return f"{directory}:{libraries}"


class Copier:
    """One process, which may be killed and comes again under its name."""

    def __init__(self, bootstrap, classpath, number, log):
        java = ["setpriv", "--pdeathsig", "KILL", "--", "java", "-Xmx160m", "-cp", classpath]
        # It copies until it is killed, and aborts every tenth transaction first.
        what = [bootstrap, SOURCE, TARGET, GROUP, f"copier-{number}", str(BATCH), "999999999", "10"]
        self.command = [*java, "TransactionalCopier", *what]
        self.log = log
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ended(self):
        return self.process.poll() is not None


class Watcher(threading.Thread):
    """Reads what is committed in the target, from its beginning to the end."""

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "watcher",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        self.seen = Counter()
        self.ending = threading.Event()

    def run(self):
        partitions = range(TARGET_PARTITIONS)
        self.consumer.assign([TopicPartition(TARGET, each, 0) for each in partitions])
        while not self.ending.is_set():
            for message in self.consumer.consume(1000, 0.5):
                if not message.error():
                    self.seen[int(message.value())] += 1

    def end(self):
        self.ending.set()
        self.join(60)
        self.consumer.close()


class Copying:
    def __init__(self, trio, directory, peer="kafka39"):
        self.trio = trio
        self.fed = 0
        classpath = compiled(directory, peer)
        self.copiers = [
            Copier(trio.bootstrap, classpath, number, directory / f"copier-{number}.log")
            for number in range(COPIERS)
        ]
        trio.create(SOURCE, SOURCE_PARTITIONS)
        trio.create(TARGET, TARGET_PARTITIONS)
        self.feeder = Producer(
            {"bootstrap.servers": trio.bootstrap, "enable.idempotence": True, "log_level": 0}
        )
        self.watcher = Watcher(trio.bootstrap)

    def start(self):
        self.watcher.start()
        for copier in self.copiers:
            copier.start()
        # Strikes come when something goes on.
        self.feed(BATCH * COPIERS)
        self.wait_for(1)

    def feed(self, count):
        """More records; returns when they are acknowledged."""
        for number in range(self.fed, self.fed + count):
            partition = number % SOURCE_PARTITIONS
            while True:
                try:
                    self.feeder.produce(SOURCE, str(number), partition=partition)
                    break
                except BufferError:
                    self.feeder.poll(0.1)
        self.fed += count
        left = self.feeder.flush(HEAL)
        assert left == 0, f"{left} records could not be fed"

    def bounce_copier(self, number):
        """kill -9 in the middle of what it does."""
        copier = self.copiers[number]
        copier.kill()
        copier.start()

    def copied(self):
        """How many records the group has committed."""
        asked = Consumer(
            {"bootstrap.servers": self.trio.bootstrap, "group.id": GROUP, "log_level": 0}
        )
        try:
            partitions = [TopicPartition(SOURCE, each) for each in range(SOURCE_PARTITIONS)]
            committed = asked.committed(partitions, 20)
            return sum(max(each.offset, 0) for each in committed)
        except KafkaException:
            return -1
        finally:
            asked.close()

    def wait_for(self, count, limit=300):
        wait_until(lambda: self.copied() >= count, limit, f"{count} records are copied", 0.5)
        dead = [copier.log for copier in self.copiers if copier.ended()]
        assert not dead, f"copiers ended by themselves: {dead}"

    def check(self):
        """Every number was copied once."""
        self.wait_for(self.fed)
        for copier in self.copiers:
            copier.kill()
        found = committed(self.trio.bootstrap)
        wait_until(lambda: sum(self.watcher.seen.values()) >= self.fed, HEAL, "all is seen")
        self.watcher.end()
        lost = sorted(set(range(self.fed)) - set(found))
        twice = sorted(number for number, times in found.items() if times > 1)
        assert not lost, f"{len(lost)} records were not copied: {lost[:5]}"
        assert not twice, f"{len(twice)} records were copied more than once: {twice[:5]}"
        assert found == self.watcher.seen, "the watcher saw something else"
        return len(found)

    def end(self):
        for copier in self.copiers:
            if copier.process and not copier.ended():
                copier.kill()


def committed(bootstrap):
    """How often each number stands in the target, for readers of committed records."""
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "checker",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    reader.assign([TopicPartition(TARGET, each, 0) for each in range(TARGET_PARTITIONS)])
    found, ended = Counter(), set()
    deadline = time.monotonic() + 5 * HEAL
    while len(ended) < TARGET_PARTITIONS:
        assert time.monotonic() < deadline, "the end is not reached"
        for message in reader.consume(1000, 1):
            if message.error() is None:
                found[int(message.value())] += 1
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
    reader.close()
    return found


def strikes(copying, dice):
    """What is struck next, for ever: (name, what does it)."""
    trio = copying.trio
    for round_ in itertools.count():
        broker = dice.choice(list(trio.ids))
        of = [
            (f"kill -9 of broker {broker}", lambda: trio.bounce_hard(broker)),  # noqa: B023
            (f"kill -9 of copier {round_ % COPIERS}", lambda: copying.bounce_copier(round_ % COPIERS)),  # noqa: B023
            (f"stop of broker {broker}", lambda: trio.bounce_clean(broker)),  # noqa: B023
        ]
        yield of[round_ % len(of)]
