"""Three brokers that keep three replicas, a producer that remembers what was
acknowledged, and a checker of what is there afterwards.

A `Trio` runs the daemons, ours or Apache's in any mixture. A `History` sends
numbered records with acks=all and idempotence and notes each acknowledgement.
`check` reads everything back: each acknowledged record lies at its offset, none
is there twice, their order is that of sending, and the files of all replicas
hold the same bytes.
"""

import pathlib
import signal
import threading
import time
from collections import Counter

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import harness
from harness import Failed, Ports, wait_until

# Of three brokers, the usual number.
IDS = (0, 1, 2)
HEAL = 60


class Trio:
    """Three brokers, or another number of them, and their coordinator."""

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
        if coordinator == "odradek":
            self.coordinator = harness.odradek_coordinator(
                self.directory, self.zookeeper_port, Ports.take()
            )
        else:
            self.coordinator = harness.apache_zookeeper(self.directory, self.zookeeper_port)
        self.ids = range(len(brokers))
        self.ports = [Ports.take() for _ in self.ids]
        self.keys, self.heap = keys or {}, heap
        self.kinds = list(brokers)
        self.brokers = [self.broker(number, kind) for number, kind in enumerate(brokers)]

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

    def end(self):
        for daemon in [*self.brokers, self.coordinator]:
            if daemon.running():
                daemon.process.send_signal(signal.SIGCONT)
            daemon.kill()

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
        daemons = [*self.brokers, self.coordinator]
        return [line for daemon in daemons for line in daemon.panics()]

    # Faults: each leaves all three running.

    def bounce_hard(self, number):
        """kill -9, and a restart with the same id and directory."""
        self.brokers[number].kill()
        # Apache's does not start while its old session (6 s) lives.
        time.sleep(1 if self.kinds[number] == "odradek" else 8)
        self.brokers[number].start()

    def bounce_clean(self, number):
        self.brokers[number].stop()
        self.brokers[number].start()

    def pause(self, number, seconds):
        process = self.brokers[number].process
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)


class History(threading.Thread):
    """Sends numbered records to every partition until it is ended."""

    def __init__(self, trio, topic, rate=500, after=None):
        super().__init__(daemon=True)
        self.number = after.number if after else 0
        self.topic, self.rate = topic, rate
        self.partitions = len(trio.partitions(topic))
        self.producer = Producer(
            {
                "bootstrap.servers": trio.bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 1,
                "message.timeout.ms": 120_000,
                "socket.timeout.ms": trio.request_seconds * 1000,
                "log_level": 0,
            }
        )
        self.ending = threading.Event()
        # partition -> [(offset, number)], and when an acknowledgement came.
        empty = {partition: [] for partition in range(self.partitions)}
        self.acknowledged = after.acknowledged if after else empty
        self.failed = []
        # When a partition was acknowledged last, and the longest wait for it.
        self.last, self.gap = {}, 0.0

    def run(self):
        while not self.ending.is_set():
            partition = self.number % self.partitions
            value = str(self.number)
            try:
                self.producer.produce(
                    self.topic, value, partition=partition, on_delivery=self.on_delivery
                )
                self.number += 1
            except BufferError:
                pass
            self.producer.poll(0)
            time.sleep(1 / self.rate)
        self.producer.flush(120)

    def on_delivery(self, error, message):
        if error:
            self.failed.append(str(error))
            return
        now = time.monotonic()
        self.gap = max(self.gap, now - self.last.get(message.partition(), now))
        self.last[message.partition()] = now
        number = int(message.value())
        self.acknowledged[message.partition()].append((message.offset(), number))

    def count(self):
        return sum(len(each) for each in self.acknowledged.values())

    def wait_for_more(self, more=100):
        """Returns once this many further records were acknowledged."""
        wanted = self.count() + more
        wait_until(lambda: self.count() >= wanted, HEAL, f"{more} more acknowledgements")

    def take_gap(self):
        """The longest wait of one partition for an acknowledgement since the last call."""
        gap, self.gap = self.gap, 0.0
        return gap

    def end(self):
        self.ending.set()
        self.join(150)
        assert not self.is_alive(), "the producer did not end"

    def go_on(self, trio):
        """A history that continues this one, which has ended."""
        longer = History(trio, self.topic, self.rate, after=self)
        longer.start()
        longer.wait_for_more()
        return longer


def read_all(trio, topic, partition):
    """[(offset, number)] of a partition as a consumer sees it."""
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
    seen, position = [], 0
    deadline = time.monotonic() + HEAL
    while position < end:
        for message in consumer.consume(1000, timeout=1):
            if message.error():
                continue
            seen.append((message.offset(), int(message.value())))
            position = message.offset() + 1
        assert time.monotonic() < deadline, f"read only to {position} of {end}"
    consumer.close()
    return seen


def log_bytes(trio, number, topic, partition):
    directory = trio.directory_of(number) / "broker" / f"{topic}-{partition}"
    return b"".join(segment.read_bytes() for segment in sorted(directory.glob("*.log")))


def check(trio, history, topic):
    """Everything that was promised is there, and nothing else."""
    trio.wait_in_sync(topic)
    assert not history.failed, history.failed[:3]
    for partition, acknowledged in history.acknowledged.items():
        seen = read_all(trio, topic, partition)
        at = dict(seen)
        there = {number for _, number in seen}
        # Whose answer got lost and the next one's came: librdkafka knows no offset.
        missing = lambda offset, number: (  # noqa: E731
            number not in there if offset is None else at.get(offset) != number
        )
        lost = [place for place in acknowledged if missing(*place)]
        assert not lost, f"{topic}-{partition}: {len(lost)} acknowledged records lost: {lost[:5]}"
        numbers = [number for _, number in seen]
        twice = [number for number, times in Counter(numbers).items() if times > 1]
        places = [place for place in seen if place[1] in twice[:3]]
        assert not twice, f"{topic}-{partition}: {len(twice)} records are there twice: {places}"
        assert numbers == sorted(numbers), f"{topic}-{partition}: out of order"

    def same():
        for partition in history.acknowledged:
            if len({log_bytes(trio, number, topic, partition) for number in trio.ids}) != 1:
                return False
        return True

    wait_until(same, HEAL, "the replicas' files hold the same bytes", 0.5)
    return history.count()
