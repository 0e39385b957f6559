"""Consumers from before Kafka's own groups: the Scala consumer of 0.8 to 1.x (as
Kafka 1.1.1 has it) and PyKafka's balanced consumer find each other by znodes below
`/consumers`, share the partitions, and go on where they stopped."""

import os
import pathlib
import subprocess
import sys

import harness
import pytest
from harness import run, wait_until
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

KAFKA_1_1 = harness.PEERS / "kafka11/run"
GROUPS_TOOL = "kafka.admin.ConsumerGroupCommand"
PARTITIONS = 4
# A JVM starts, and a session of its predecessor ends first.
PATIENCE = 120
PYKAFKA = pathlib.Path(sys.prefix) / "pykafka-2.8.0"
PROGRAM = pathlib.Path(__file__).parent / "programs/pykafka_member.py"


class Reader:
    """A program that prints what it reads, line by line, into a file."""

    def __init__(self, file, command, environment=None):
        self.file = file
        out = file.open("w")
        complaints = file.with_suffix(".err").open("w")
        command = [str(part) for part in command]
        environment = os.environ | {"HEAP": "128m"} | (environment or {})
        self.process = subprocess.Popen(command, stdout=out, stderr=complaints, env=environment)

    def lines(self):
        return self.file.read_text().splitlines()

    def end(self):
        self.process.terminate()
        self.process.wait(60)

    def kill(self):
        self.process.kill()
        self.process.wait(60)


@pytest.fixture
def readers():
    started = []
    yield started
    for each in started:
        if each.process.poll() is None:
            each.kill()


@pytest.fixture
def znodes(cluster):
    client = KazooClient(hosts=cluster.zookeeper)
    client.start()
    yield client
    client.stop()
    client.close()


def create(cluster, topic):
    command = [harness.TARGET / "kafka", "topics", "--bootstrap-server", cluster.bootstrap]
    run([*command, "--create", "--topic", topic, "--partitions", PARTITIONS])


def produce(cluster, topic, texts):
    for partition in range(PARTITIONS):
        mine = [text for number, text in enumerate(texts) if number % PARTITIONS == partition]
        stdin = "".join(f"{text}\n" for text in mine)
        run(["kcat", "-b", cluster.bootstrap, "-P", "-t", topic, "-p", partition], stdin=stdin)


def owners(znodes, group, topic):
    """Partition -> the consumer that owns it, by the znodes."""
    # PyKafka takes the name of the topic for bytes, and Python 3 writes it so.
    ways = [f"/consumers/{group}/owners/{name}" for name in (topic, f"b'{topic}'")]
    path = next((each for each in ways if znodes.exists(each)), None)
    if path is None:
        return {}
    found = {}
    for partition in znodes.get_children(path):
        try:
            found[int(partition.rsplit("-", 1)[-1])] = znodes.get(f"{path}/{partition}")[0]
        except NoNodeError:
            return {}
    return found


def shares(znodes, group, topic):
    """How many partitions each owner has, once all are owned."""
    found = owners(znodes, group, topic)
    consumers = {owner.decode().rsplit("-", 1)[0] for owner in found.values()}
    count = lambda who: sum(owner.decode().startswith(who) for owner in found.values())  # noqa: E731
    return sorted(count(who) for who in consumers) if len(found) == PARTITIONS else []


def scala_consumer(cluster, tmp_path, name, group, topic, *more):
    return Reader(
        tmp_path / f"{name}.out",
        [KAFKA_1_1, "kafka.tools.ConsoleConsumer", "--zookeeper", cluster.zookeeper]
        + ["--topic", topic, "--group", group]
        # It refuses to begin at the start where the group has offsets.
        + (["--from-beginning"] if name == "first" else [])
        + ["--consumer-property", "zookeeper.session.timeout.ms=4000"]
        + ["--consumer-property", "auto.commit.interval.ms=200"]
        + [part for each in more for part in ("--consumer-property", each)],
    )


def pykafka_consumer(cluster, tmp_path, name, group, topic):
    command = [sys.executable, "-u", PROGRAM, cluster.bootstrap, cluster.zookeeper, topic, group]
    return Reader(tmp_path / f"{name}.out", command, {"PYTHONPATH": str(PYKAFKA)})


def share_and_take_over(cluster, znodes, readers, unique, start):
    """Two consumers share four partitions; the second gets all when the first goes."""
    topic, group = unique("old"), unique("old-group")
    create(cluster, topic)
    sent = [f"text-{number}" for number in range(40)]
    produce(cluster, topic, sent[:20])
    first = start("first", group, topic)
    readers.append(first)
    wait_until(lambda: sorted(first.lines()) == sorted(sent[:20]), PATIENCE, "the first reads all", 0.2)
    second = start("second", group, topic)
    readers.append(second)
    wait_until(lambda: shares(znodes, group, topic) == [2, 2], PATIENCE, "both share", 0.2)
    produce(cluster, topic, sent[20:])
    both = lambda: set(first.lines()) | set(second.lines())  # noqa: E731
    wait_until(lambda: both() == set(sent), PATIENCE, "both read all", 0.2)
    assert second.lines(), "the second has nothing to do"
    return topic, group, first, second


@pytest.mark.long
@pytest.mark.parametrize("storage", ["zookeeper", "kafka"])
def test_two_scala_consumers_share_a_topic(cluster, tmp_path, znodes, readers, unique, storage):
    start = lambda name, group, topic: scala_consumer(  # noqa: E731
        cluster, tmp_path, name, group, topic, f"offsets.storage={storage}"
    )
    topic, group, first, second = share_and_take_over(cluster, znodes, readers, unique, start)
    first.end()
    wait_until(lambda: shares(znodes, group, topic) == [4], PATIENCE, "the second takes over", 0.2)
    produce(cluster, topic, [f"late-{number}" for number in range(8)])
    late = lambda: [line for line in second.lines() if line.startswith("late")]  # noqa: E731
    wait_until(lambda: len(set(late())) == 8, PATIENCE, "the second reads all partitions", 0.2)
    second.end()
    if storage == "zookeeper":
        described = described_by_zookeeper(cluster, group)
        assert [row[:4] for row in described] == [
            [topic, str(partition), "12", "12"] for partition in range(PARTITIONS)
        ]
        listed = run([KAFKA_1_1, GROUPS_TOOL, "--zookeeper", cluster.zookeeper, "--list"])
        assert group in listed.split()
    # A third one goes on where they stopped.
    produce(cluster, topic, [f"new-{number}" for number in range(PARTITIONS)])
    third = start("third", group, topic)
    readers.append(third)
    wanted = sorted(f"new-{number}" for number in range(PARTITIONS))
    wait_until(lambda: sorted(third.lines()) == wanted, PATIENCE, "the third reads the rest", 0.2)


def described_by_zookeeper(cluster, group):
    """The rows of kafka-consumer-groups 1.1.1 with --zookeeper: topic, partition, offsets."""
    command = [KAFKA_1_1, GROUPS_TOOL, "--zookeeper", cluster.zookeeper]
    told = run([*command, "--describe", "--group", group], environment={"HEAP": "128m"})
    rows = [line.split() for line in told.splitlines()]
    return sorted(row for row in rows if len(row) > 4 and row[1].isdigit())


def test_two_balanced_consumers_of_pykafka_share_a_topic(
    cluster, tmp_path, znodes, readers, unique
):
    start = lambda name, group, topic: pykafka_consumer(  # noqa: E731
        cluster, tmp_path, name, group, topic
    )
    topic, group, first, second = share_and_take_over(cluster, znodes, readers, unique, start)
    # Without a word: its session ends, and its znodes with it.
    first.kill()
    wait_until(lambda: shares(znodes, group, topic) == [4], PATIENCE, "the second takes over", 0.2)
    produce(cluster, topic, [f"late-{number}" for number in range(8)])
    late = lambda: [line for line in second.lines() if line.startswith("late")]  # noqa: E731
    wait_until(lambda: len(set(late())) == 8, PATIENCE, "the second reads all partitions", 0.2)
