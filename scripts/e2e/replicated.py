"""Three brokers that keep three replicas, a producer that remembers what was
acknowledged, and a checker of what is there afterwards.

A `Trio` runs the daemons, ours or Apache's in any mixture. A `History` sends
numbered records with acks=all and idempotence and notes each acknowledgement.
`check` reads everything back: each acknowledged record lies at its offset, none
is there twice, their order is that of sending, and the files of all replicas
hold the same bytes.
"""

import contextlib
import hashlib
import operator
import pathlib
import signal
import threading
import time
from array import array
from collections import Counter, deque

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kazoo.client import KazooClient

import harness
import stalled
from harness import Failed, Ports, wait_until
from witness import WORD

# Of three brokers, the usual number.
IDS = (0, 1, 2)
HEAL = 60
# The offset of an acknowledgement that came without one.
UNKNOWN = -1


class Trio:
    """Three brokers, or another number of them, and their coordinator, which is
    Odradek's, Apache's or one that is given."""

    # When a producer gives up on a request.
    request_seconds = 60

    def __init__(
        self,
        directory,
        brokers=("odradek",) * 3,
        coordinator="odradek",
        keys=None,
        heap="256m",
    ):
        self.directory = pathlib.Path(directory)
        self.zookeeper_port = Ports.take()
        # What else ends when the daemons have ended.
        self.belongings = contextlib.ExitStack()
        made = {"odradek": self.our_coordinator, "apache": self.apache_zookeeper}
        self.coordinator = made[coordinator]() if coordinator in made else coordinator
        self.ids = range(len(brokers))
        self.ports = [Ports.take() for _ in self.ids]
        self.keys, self.heap = keys or {}, heap
        self.kinds = list(brokers)
        self.brokers = [self.broker(number, kind) for number, kind in enumerate(brokers)]

    def our_coordinator(self):
        return harness.odradek_coordinator(self.directory, self.zookeeper_port, Ports.take())

    def apache_zookeeper(self):
        return harness.apache_zookeeper(self.directory, self.zookeeper_port)

    def directory_of(self, number):
        return self.directory / f"broker-{number}"

    def broker(self, number, kind):
        """A daemon for this id and its directory, of either kind."""
        home = self.directory_of(number)
        home.mkdir(exist_ok=True)
        overrides = {
            "broker.id": number,
            "broker.rack": f"rack-{number}",
            "offsets.topic.replication.factor": len(self.ids),
            "zookeeper.session.timeout.ms": 6000,
            # The machine may be busy.
            "zookeeper.connection.timeout.ms": 60000,
        } | self.keys
        arguments = (self.zookeeper_port, overrides)
        if kind == "odradek":
            return harness.odradek_broker(home, self.ports[number], Ports.take(), *arguments)
        # "apache" is 3.9; of other releases the peer is named.
        peer = "kafka39" if kind == "apache" else kind
        return harness.apache_broker(
            home, self.ports[number], *arguments, heap=self.heap, peer=peer
        )

    def start(self):
        self.coordinator.start()
        for broker in self.brokers:
            broker.start()
        whole = lambda: len(self.metadata().brokers) == len(self.ids)  # noqa: E731
        wait_until(whole, HEAL, "all brokers", 0.2)

    @property
    def daemons(self):
        return [*self.brokers, self.coordinator]

    def end(self):
        for daemon in self.daemons:
            if daemon.running():
                daemon.process.send_signal(signal.SIGCONT)
            daemon.kill()
        self.belongings.close()

    def endpoint(self, number):
        return f"127.0.0.1:{self.ports[number]}"

    @property
    def bootstrap(self):
        return ",".join(self.endpoint(number) for number in self.ids)

    def metadata(self):
        # Each time anew: an old client may know only brokers that are paused.
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return admin.list_topics(timeout=20)

    def metadata_of(self, number):
        """As one broker tells; `None` when it does not answer."""
        try:
            admin = AdminClient({"bootstrap.servers": self.endpoint(number), "log_level": 0})
            return admin.list_topics(timeout=5)
        except KafkaException:
            return None

    def create(self, topic, partitions=2, least=None):
        least = {"min.insync.replicas": str(least or len(self.ids) - 1)}
        new = NewTopic(topic, partitions, len(self.ids), config=least)
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        admin.create_topics([new])[topic].result(30)
        self.wait_in_sync(topic)

    def partitions(self, topic):
        """As one of the brokers tells; a new topic is not known to all at once."""

        def told():
            known = self.metadata().topics.get(topic)
            return known and not known.error and known.partitions

        return wait_until(told, HEAL, f"{topic} is known", 0.2)

    def leader(self, topic, partition=0):
        """The leader, once there is one."""

        def found():
            leader = self.partitions(topic)[partition].leader
            return [leader] if leader >= 0 and self.brokers[leader].running() else None

        return wait_until(found, HEAL, "a leader", 0.2)[0]

    def follower(self, topic, partition=0):
        leader = self.leader(topic, partition)
        return next(n for n in self.ids if n != leader and self.brokers[n].running())

    def controller(self):
        return wait_until(lambda: [self.metadata().controller_id], HEAL, "a controller")[0]

    def wait_in_sync(self, topic):
        # All must say the same: one that was cut off tells of the past.
        def all_in_sync():
            told = [self.leaders_in_sync(number, topic) for number in self.ids]
            return told[0] and told.count(told[0]) == len(told)

        try:
            wait_until(all_in_sync, HEAL, "all replicas in sync", 0.2)
        except (Failed, KafkaException) as failed:
            tails = "\n".join(daemon.tail(15) for daemon in self.brokers)
            raise Failed(f"{failed}\n{tails}") from None

    def leaders_in_sync(self, number, topic):
        """The leaders of a topic whose replicas are all in sync, as one broker tells."""
        told = self.metadata_of(number)
        known = told and told.topics.get(topic)
        if not known or known.error or len(told.brokers) != len(self.ids):
            return None
        partitions = known.partitions
        if any(each.leader < 0 or len(each.isrs) != len(self.ids) for each in partitions.values()):
            return None
        return {index: each.leader for index, each in partitions.items()}

    def panics(self):
        return [line for daemon in self.daemons for line in daemon.panics()]

    # Faults: each leaves all three running.

    def bounce_hard(self, number):
        """kill -9, and a restart with the same id and directory."""
        self.brokers[number].kill()
        if self.kinds[number] == "odradek":
            time.sleep(1)
        self.start_again(number)

    def start_again(self, number):
        """Starts a broker that was killed; Apache's does not start while its old
        session lives."""
        if self.kinds[number] != "odradek":
            self.wait_unregistered(number)
        self.brokers[number].start()

    def wait_unregistered(self, number):
        client = KazooClient(f"127.0.0.1:{self.zookeeper_port}")
        client.start(HEAL)
        try:
            gone = lambda: not client.exists(f"/brokers/ids/{number}")  # noqa: E731
            wait_until(gone, HEAL, f"the registration of broker {number} is gone", 0.2)
        finally:
            client.stop()
            client.close()

    def bounce_clean(self, number):
        self.brokers[number].stop()
        self.brokers[number].start()

    def pause(self, number, seconds):
        process = self.brokers[number].process
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)


class Acknowledged:
    """The acknowledged records of a partition, in the order of their acknowledgements."""

    def __init__(self):
        # Arrays, for a long run acknowledges millions.
        self.offsets, self.numbers = array("q"), array("q")

    def __len__(self):
        return len(self.offsets)

    def add(self, offset, number):
        # Of a batch whose answer got lost and whose successor was acknowledged
        # librdkafka does not know the offset.
        self.offsets.append(UNKNOWN if offset is None or offset < 0 else offset)
        self.numbers.append(number)


class History(threading.Thread):
    """Sends numbered records to every partition until it is ended."""

    def __init__(self, trio, topic, rate=500, after=None):
        super().__init__(daemon=True)
        self.trio = trio
        self.number = after.number if after else 0
        self.topic, self.rate = topic, rate
        self.partitions = len(trio.partitions(topic))
        settings = {
            "bootstrap.servers": trio.bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 1,
            # Never: how long it may take is for the test to say.
            "message.timeout.ms": 0,
            "socket.timeout.ms": trio.request_seconds * 1000,
            "log_level": 0,
            "error_cb": self.on_error,
        }
        self.producer = Producer(settings)
        self.ending = threading.Event()
        empty = {partition: Acknowledged() for partition in range(self.partitions)}
        self.acknowledged = after.acknowledged if after else empty
        self.failed = []
        # What ended the sending, and what the client complained of: (when, what).
        self.broken = None
        self.heard = deque(maxlen=20)
        # When a partition was acknowledged last, and the longest wait for it.
        self.last, self.gap = {}, 0.0
        # The longest time in which this thread did not run at all: part of a gap
        # that the brokers did not make.
        self.stood_still = 0.0

    def run(self):
        try:
            self.send()
        except Exception as broken:  # noqa: BLE001
            self.broken = broken

    def send(self):
        # Few wakes a second suffice for many records.
        wakes, woken = min(self.rate, 500), time.monotonic()
        while not self.ending.is_set():
            before, woken = woken, time.monotonic()
            self.stood_still = max(self.stood_still, woken - before)
            for _ in range(self.rate // wakes):
                partition = self.number % self.partitions
                try:
                    self.producer.produce(
                        self.topic,
                        str(self.number),
                        partition=partition,
                        on_delivery=self.on_delivery,
                    )
                    self.number += 1
                except BufferError:
                    break
            self.producer.poll(0)
            time.sleep(1 / wakes)
        self.producer.flush(120)

    def on_error(self, error):
        self.heard.append((time.monotonic(), str(error)))

    def on_delivery(self, error, message):
        if error:
            self.failed.append(str(error))
            return
        now = time.monotonic()
        self.gap = max(self.gap, now - self.last.get(message.partition(), now))
        self.last[message.partition()] = now
        self.acknowledged[message.partition()].add(message.offset(), int(message.value()))

    def count(self):
        return sum(len(each) for each in self.acknowledged.values())

    def wait_for_more(self, more=100):
        """Returns once this many further records were acknowledged, of every partition some."""
        share = max(1, more // self.partitions)
        wanted = {index: len(each) + share for index, each in self.acknowledged.items()}

        def come():
            if self.broken or self.failed:
                raise Failed(f"the producer gave up\n{self.tell()}")
            return all(len(self.acknowledged[index]) >= least for index, least in wanted.items())

        try:
            wait_until(come, HEAL, f"{share} more acknowledgements of each partition")
        except Failed as failed:
            told = f"{failed}\n{self.tell()}\n{stalled.tell(self.trio, self.topic)}"
            raise Failed(told) from None

    def tell(self):
        """How it goes, for one who asks why it does not."""
        now = time.monotonic()
        last = {partition: f"{now - at:.1f} s ago" for partition, at in self.last.items()}
        heard = "\n".join(f"  {now - at:.1f} s ago: {what}" for at, what in self.heard)
        return (
            f"ended by {self.broken!r}, {len(self.failed)} given up {self.failed[:3]},"
            f" {len(self.producer)} not answered, acknowledged last: {last}\n{heard}"
        )

    def take_gap(self):
        """The longest wait of one partition for an acknowledgement since the last call."""
        gap, self.gap, self.stood_still = self.gap, 0.0, 0.0
        return gap

    def end(self):
        self.ending.set()
        self.join(150)
        assert not self.is_alive(), f"the producer did not end\n{self.tell()}"
        assert not self.broken, self.tell()

    def go_on(self, trio):
        """A history that continues this one, which has ended."""
        longer = History(trio, self.topic, self.rate, after=self)
        longer.start()
        longer.wait_for_more()
        return longer


def read_back(trio, topic, partition):
    """The offsets and the numbers of a partition's records as a consumer sees them."""
    consumer = Consumer(
        {
            "bootstrap.servers": trio.bootstrap,
            "group.id": "checker",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0)])

    def told():
        try:
            return [consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)]
        except KafkaException:
            # The leader just moved, perhaps back to the preferred replica.
            return None

    [(_, end)] = wait_until(told, HEAL, "the end of the partition")
    offsets, numbers, position = array("q"), array("q"), 0
    deadline = time.monotonic() + HEAL
    while position < end:
        for message in consumer.consume(10_000, timeout=1):
            if message.error():
                continue
            if message.value() != WORD:
                offsets.append(message.offset())
                numbers.append(int(message.value()))
            position = message.offset() + 1
            deadline = time.monotonic() + HEAL
        assert time.monotonic() < deadline, f"read only to {position} of {end}"
    consumer.close()
    return offsets, numbers


def read_all(trio, topic, partition):
    """[(offset, number)] of a partition as a consumer sees it."""
    return list(zip(*read_back(trio, topic, partition), strict=True))


def log_bytes(trio, number, topic, partition):
    directory = trio.directory_of(number) / "broker" / f"{topic}-{partition}"
    return b"".join(segment.read_bytes() for segment in sorted(directory.glob("*.log")))


def log_digest(trio, number, topic, partition):
    """What tells the files of one replica from those of another."""
    directory = trio.directory_of(number) / "broker" / f"{topic}-{partition}"
    digest = hashlib.blake2b()
    for segment in sorted(directory.glob("*.log")):
        with open(segment, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.digest()


def check_partition(name, acknowledged, offsets, numbers):
    """What was read of a partition is what was acknowledged, each once and in order."""
    at = dict(zip(offsets, numbers, strict=True))
    there = set(numbers)
    lost = [
        (offset, number)
        for offset, number in zip(acknowledged.offsets, acknowledged.numbers, strict=True)
        if (number not in there if offset == UNKNOWN else at.get(offset) != number)
    ]
    assert not lost, f"{name}: {len(lost)} acknowledged records lost: {lost[:5]}"
    if len(there) != len(numbers):
        twice = [number for number, times in Counter(numbers).items() if times > 1]
        places = [(offset, number) for offset, number in at.items() if number in twice[:3]]
        raise AssertionError(f"{name}: {len(twice)} records are there twice: {places}")
    assert all(map(operator.lt, numbers, numbers[1:])), f"{name}: out of order"


def check(trio, history, topic):
    """Everything that was promised is there, and nothing else."""
    trio.wait_in_sync(topic)
    assert not history.failed, history.failed[:3]
    for partition, acknowledged in history.acknowledged.items():
        offsets, numbers = read_back(trio, topic, partition)
        check_partition(f"{topic}-{partition}", acknowledged, offsets, numbers)

    def same():
        for partition in history.acknowledged:
            if len({log_digest(trio, number, topic, partition) for number in trio.ids}) != 1:
                return False
        return True

    wait_until(same, HEAL, "the replicas' files hold the same bytes", 0.5)
    return history.count()
