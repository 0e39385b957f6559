"""What Kafka's tutorials do, with the Python clients, against fresh daemons."""

import collections
import pathlib
import signal
import sqlite3
import subprocess
import sys

import harness
import pytest
from harness import run, wait_until

PROGRAMS = pathlib.Path(__file__).parent / "programs"
OLD_CLIENT = pathlib.Path(sys.prefix) / "kafka-python-2.0.2"


def command_with_new_client(program, *arguments):
    return [sys.executable, PROGRAMS / program, *arguments]


def command_with_old_client(program, *arguments):
    launcher = PROGRAMS / "with_old_client.py"
    return [sys.executable, launcher, OLD_CLIENT, PROGRAMS / program, *arguments]


@pytest.fixture(params=["kafka-python", "kafka-python-2.0.2"])
def command(request):
    """Makes the command line of a tutorial program, for each client release."""
    if request.param == "kafka-python":
        return command_with_new_client
    return command_with_old_client


class Background:
    """A program that runs beside the test, and the lines that it has printed."""

    def __init__(self, command, log):
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out)

    def lines(self, kind):
        return [line.split() for line in self.log.read_text().splitlines() if line.startswith(kind)]

    def assigned(self):
        """The partitions that this member was given last, or None before that."""
        lines = self.lines("assigned")
        return [int(number) for number in lines[-1][1:]] if lines else None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def test_hello_kafka(cluster, unique, command):
    topic, group = unique("hello"), unique("hello-group")
    text = "Hello, Kafka!"
    run(command("hello_producer.py", cluster.bootstrap, topic, text))
    printed = run(command("hello_consumer.py", cluster.bootstrap, topic, group, 1))
    assert printed == text + "\n"


def test_group_goes_on_where_it_stopped(cluster, unique, command):
    topic, group = unique("hello"), unique("hello-group")
    for text in ["one", "two"]:
        run(command("hello_producer.py", cluster.bootstrap, topic, text))
        printed = run(command("hello_consumer.py", cluster.bootstrap, topic, group, 1))
        assert printed == text + "\n"


def test_page_views_keep_key_order(cluster, unique, command, tmp_path):
    topic, count = unique("pageview"), 300
    create_topic(cluster, topic, partitions=3)
    stored = run(command("pageview_producer.py", cluster.bootstrap, topic, count))
    positions = [tuple(map(int, line.split()[1:])) for line in stored.splitlines()]
    assert len(positions) == count == len(set(positions))
    assert len({partition for partition, _ in positions}) == 3

    reader = Background(
        command("pageview_consumer.py", cluster.bootstrap, topic, unique("views")),
        tmp_path / "reader.log",
    )
    try:
        wait_until(lambda: len(reader.lines("view")) >= count, 30, "all page views are read")
    finally:
        reader.stop()
    views = reader.lines("view")
    assert {(int(view[1]), int(view[2])) for view in views} == set(positions)
    assert len(views) == count
    order_by_key = collections.defaultdict(list)
    for _, partition, _, key, url in views:
        order_by_key[key].append((int(partition), int(url.rsplit("/", 1)[1])))
    for key, order in order_by_key.items():
        assert len({partition for partition, _ in order}) == 1, key
        assert order == sorted(order), key


def test_numbers_reach_the_database_once(cluster, unique, command, tmp_path):
    topic, group, path = unique("numtest"), unique("num-group"), tmp_path / "numbers.sqlite"

    def produce(first, last):
        run(command("number_producer.py", cluster.bootstrap, topic, first, last))

    def store(last):
        run(command("number_store.py", cluster.bootstrap, topic, group, path, last))

    produce(1, 400)
    store(400)
    produce(401, 1000)
    store(1000)
    rows = sqlite3.connect(path).execute("SELECT number, position FROM numbers").fetchall()
    assert rows == [(number, number - 1) for number in range(1, 1001)]


def create_topic(cluster, topic, partitions):
    run_topics(cluster, "--create", "--topic", topic, "--partitions", str(partitions))


def run_topics(cluster, *arguments):
    """The topics command of the cluster's own side."""
    at = ["--bootstrap-server", cluster.bootstrap]
    if not cluster.our_broker:
        return harness.java_tool("org.apache.kafka.tools.TopicCommand", *at, *arguments)
    return run([harness.TARGET / "kafka", "topics", *at, *arguments])


def test_second_consumer_works_once_there_are_two_partitions(
    cluster, unique, command, tmp_path
):
    topic, group = unique("pageview"), unique("views")
    create_topic(cluster, topic, partitions=1)
    program = command("pageview_consumer.py", cluster.bootstrap, topic, group)
    members = [Background(program, tmp_path / f"member-{number}.log") for number in range(2)]

    def shares():
        return sorted(member.assigned() or [] for member in members)

    try:
        wait_until(
            lambda: all(member.assigned() is not None for member in members),
            40,
            "both are members",
        )
        wait_until(lambda: shares() == [[], [0]], 40, "one works, the other is idle")
        run_topics(cluster, "--alter", "--topic", topic, "--partitions", "2")
        wait_until(lambda: shares() == [[0], [1]], 40, "both work")
        run(command("pageview_producer.py", cluster.bootstrap, topic, 100))

        def views():
            return [view for member in members for view in member.lines("view")]

        wait_until(lambda: len(views()) >= 100, 30, "all page views are read")
        urls = sorted(int(view[4].rsplit("/", 1)[1]) for view in views())
        assert urls == list(range(100))
        assert all(member.lines("view") for member in members)
    finally:
        codes = [member.stop() for member in members]
    assert codes == [0, 0]


def test_confluent_kafka(cluster, unique):
    topic, group = unique("confluent"), unique("confluent-group")
    count = 50
    program = command_with_new_client("confluent_hello.py", cluster.bootstrap, topic, group, count)
    lines = run(program).splitlines()
    stored = [line.split() for line in lines if line.startswith("stored")]
    received = [line for line in lines if line.startswith("received")]
    assert [int(line[3]) for line in stored] == list(range(count))
    assert received == [f"received text {number}" for number in range(count)]
