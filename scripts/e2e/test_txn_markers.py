"""What partitions keep of transactions: over kills, changes of leaders, and from
this broker to Kafka and back."""

import shutil

import pytest
from confluent_kafka import Consumer, TopicPartition
from harness import (
    Ports,
    apache_broker,
    java_tool,
    odradek_broker,
    odradek_coordinator,
    wait_until,
)
from transactions import Writer, create, end_offset, offsets, read

DUMP = "kafka.tools.DumpLogSegments"
KEYS = {"transaction.state.log.num.partitions": 1, "offsets.topic.num.partitions": 1}


def values(prefix, count):
    return [f"{prefix}{number}".encode() for number in range(count)]


class Group:
    """A consumer that gives its place to producers' transactions."""

    def __init__(self, bootstrap, name, topic):
        self.bootstrap, self.name, self.topic = bootstrap, name, topic
        keys = {"bootstrap.servers": bootstrap, "group.id": name, "enable.auto.commit": False}
        self.consumer = Consumer(keys | {"log_level": 0})

    def send(self, writer, offset):
        """As a consumer outside of the group's protocol does."""
        metadata = self.consumer.consumer_group_metadata()
        place = [TopicPartition(self.topic, 0, offset)]
        writer.producer.send_offsets_to_transaction(place, metadata, 60)

    @property
    def offset(self):
        return offsets(self.bootstrap, self.name, self.topic)


class Scene:
    """Committed, aborted and open transactions in one partition, and in a group."""

    def __init__(self, bootstrap, topic, group):
        self.bootstrap, self.topic, self.round = bootstrap, topic, 0
        self.steady = Writer(bootstrap, f"{topic}-steady")
        self.group = Group(bootstrap, group, topic)
        self.expected, self.all = [], []
        self.group_offset = None

    def grow(self):
        """Ends with an open transaction that has offsets of the group in it."""
        self.round += 1
        for number in range(4):
            some = values(f"r{self.round}n{number}-", 3)
            self.steady.whole(self.topic, *some, commit=number % 2 == 0)
            self.all += some
            self.expected += some if number % 2 == 0 else []
        # Its next transaction after a kill would have to find the group again, for
        # which librdkafka does not ask while it remembers where it was.
        self.late = Writer(self.bootstrap, f"{self.topic}-late")
        self.late.begin()
        self.open_values = values(f"r{self.round}late-", 2)
        self.late.write(self.topic, *self.open_values)
        self.all += self.open_values
        self.group.send(self.late, 10 * self.round)
        self.behind = values(f"r{self.round}behind-", 2)
        self.steady.whole(self.topic, *self.behind)
        self.all += self.behind
        self.check_open()

    def check_open(self):
        """Nothing behind the open transaction is stable."""
        assert read(self.bootstrap, self.topic) == self.expected
        assert read(self.bootstrap, self.topic, "read_uncommitted") == self.all
        assert end_offset(self.bootstrap, self.topic, "read_committed") < end_offset(
            self.bootstrap, self.topic, "read_uncommitted"
        )
        assert self.group.offset == self.group_offset

    def settle(self, commit):
        """Ends the open transaction."""
        if commit:
            self.late.commit()
            self.expected += self.open_values
            self.group_offset = 10 * self.round
        else:
            self.late.abort()
        self.expected += self.behind
        self.check_settled()

    def check_settled(self):
        ends = lambda: [  # noqa: E731
            end_offset(self.bootstrap, self.topic, f"read_{which}")
            for which in ("committed", "uncommitted")
        ]
        wait_until(lambda: len(set(ends())) == 1, 60, "the markers")
        assert read(self.bootstrap, self.topic) == self.expected
        assert read(self.bootstrap, self.topic, "read_uncommitted") == self.all
        wait_until(lambda: self.group.offset == self.group_offset, 60, "the group's offset")


def test_kills_with_open_transactions(new_cluster, unique):
    cluster = new_cluster(KEYS)
    topic = unique("kills")
    create(cluster.bootstrap, topic)
    scene = Scene(cluster.bootstrap, topic, unique("group"))
    for commit in (True, False):
        scene.grow()
        cluster.broker.kill()
        cluster.restart_broker()
        scene.check_open()
        scene.settle(commit)
        cluster.broker.kill()
        cluster.restart_broker()
        scene.check_settled()


class Shared:
    """One data directory, and a broker of either kind on it."""

    def __init__(self, directory):
        zookeeper_port, self.port = Ports.take(), Ports.take()
        self.coordinator = odradek_coordinator(directory, zookeeper_port, Ports.take())
        kafka = lambda keys: apache_broker(  # noqa: E731
            directory, self.port, zookeeper_port, KEYS | keys, "256m"
        )
        self.ours = odradek_broker(directory, self.port, Ports.take(), zookeeper_port, KEYS)
        self.data, self.copy = directory / "broker", directory / "copy"
        self.kafka = lambda: kafka({})
        self.kafka_on_copy = lambda: kafka({"log.dirs": self.copy})
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.daemons = [self.coordinator, self.ours]

    def start_kafka(self, make):
        daemon = make()
        self.daemons.append(daemon)
        daemon.start(180)
        return daemon

    def close(self):
        for daemon in reversed(self.daemons):
            daemon.kill()
        assert not self.ours.panics()


@pytest.fixture
def shared(servers, tmp_path):
    if servers != "odradek":
        pytest.skip("brings both brokers itself")
    made = Shared(tmp_path)
    made.coordinator.start()
    yield made
    made.close()


def dumped(file):
    """What Kafka's own tool reads in it, in an order of its own."""
    told = java_tool(DUMP, "--files", file, "--deep-iteration", timeout=120)
    lines = [line for line in told.splitlines() if not line.startswith(("Dumping", "Log starting"))]
    assert lines, told
    return sorted(lines)


def rebuilt(shared, partition):
    """The same partition, whose side files Kafka has made from the log alone."""
    shutil.copytree(shared.data, shared.copy)
    for name in (".kafka_cleanshutdown", "recovery-point-offset-checkpoint"):
        (shared.copy / name).unlink()
    for pattern in ("*.txnindex", "*.snapshot", "*.index", "*.timeindex"):
        for file in (shared.copy / partition).glob(pattern):
            file.unlink()
    shared.start_kafka(shared.kafka_on_copy).stop(60)
    return shared.copy / partition


def test_open_transactions_go_to_kafka_and_back(shared):
    topic = "handed"
    shared.ours.start()
    create(shared.bootstrap, topic)
    scene = Scene(shared.bootstrap, topic, "group")
    scene.grow()
    scene.settle(False)
    scene.grow()
    shared.ours.stop()
    mine, theirs = shared.data / f"{topic}-0", rebuilt(shared, f"{topic}-0")
    (index,) = mine.glob("*.txnindex")
    assert index.stat().st_size
    assert index.read_bytes() == (theirs / index.name).read_bytes()
    snapshot = sorted(mine.glob("*.snapshot"))[-1]
    assert dumped(snapshot) == dumped(theirs / snapshot.name)
    (log,) = mine.glob("*.log")
    assert any("endTxnMarker" in line for line in dumped(log))

    kafka = shared.start_kafka(shared.kafka)
    scene.check_open()
    scene.settle(True)
    scene.grow()
    kafka.stop(60)
    shared.ours.start()
    scene.check_open()
    scene.settle(True)
    scene.grow()
    # From the log alone, as after a power cut.
    shared.ours.kill()
    shared.ours.start()
    scene.check_open()
    scene.settle(False)


@pytest.fixture
def trio(new_trio):
    keys = KEYS | {
        "transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2,
    }  # fmt: skip
    return new_trio(keys=keys)


def test_open_transactions_outlive_their_leaders(trio):
    topic = "passed"
    trio.create(topic, partitions=1)
    scene = Scene(trio.bootstrap, topic, "group")
    for commit in (True, False):
        scene.grow()
        # Whoever leads the partition, the group's or the transactions': each dies once.
        for of in (topic, "__consumer_offsets", "__transaction_state"):
            leader = trio.leader(of)
            trio.brokers[leader].kill()
            moved = lambda: trio.leader(of) != leader  # noqa: B023, E731
            wait_until(moved, 60, f"another leader of {of}")
            scene.check_open()
            trio.brokers[leader].start()
            for each in (topic, "__consumer_offsets", "__transaction_state"):
                trio.wait_in_sync(each)
        scene.settle(commit)


