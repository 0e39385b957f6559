"""One of several log directories fails: the others go on, and it is reported."""

import contextlib
import subprocess

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from harness import Failed, wait_until
from kafka import KafkaAdminClient
from table import create_table

TOPIC, PARTITIONS = "spread", 4
KAFKA_STORAGE_ERROR = 56


def send(bootstrap, partition, value, timeout_ms=20000):
    """Sends one record; the error's name, or '' once it is acknowledged."""
    outcome = []
    settings = {"bootstrap.servers": bootstrap, "acks": "all", "retries": 0}
    producer = Producer(settings | {"message.timeout.ms": timeout_ms})
    report = lambda error, _: outcome.append(error)  # noqa: E731
    producer.produce(TOPIC, value, partition=partition, on_delivery=report)
    producer.flush(timeout_ms / 1000 + 5)
    if not outcome:
        raise Failed("no answer to a record")
    return outcome[0].name() if outcome[0] else ""


def read(bootstrap, partition, count):
    """The first `count` values of a partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition(TOPIC, partition, OFFSET_BEGINNING)])
    values = []

    def arrived():
        values.extend(m.value() for m in consumer.consume(count, 0.5) if not m.error())
        return len(values) >= count

    try:
        wait_until(arrived, 30, f"{count} records of partition {partition}")
    finally:
        consumer.close()
    return values


def partitions_in(directory):
    return sorted(int(path.name.rsplit("-", 1)[1]) for path in directory.glob(f"{TOPIC}-*"))


@contextlib.contextmanager
def failing_fsync(pid, directory):
    """Every fsync of a log in `directory` fails."""
    inject = ["-e", "trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:error=EIO"]
    paths = [word for log in directory.glob(f"{TOPIC}-*/*.log") for word in ("-P", str(log))]
    attach = ["strace", "-f", "-p", str(pid), "-o", "/dev/null", *inject, *paths]
    tracer = subprocess.Popen(attach, stderr=subprocess.PIPE, text=True)
    try:
        # Strace first names the paths that it resolved.
        for line in tracer.stderr:
            if "attached" in line:
                break
        else:
            pytest.skip("strace cannot attach")
        yield
    finally:
        tracer.terminate()
        tracer.wait()


def described(admin):
    """What DescribeLogDirs says: error and partitions of each directory."""
    (broker,) = admin.describe_log_dirs()
    found = {}
    for each in broker["log_dirs"]:
        topics = {topic["name"]: topic["partitions"] for topic in each["topics"]}
        here = sorted(partition["partition_index"] for partition in topics.get(TOPIC, []))
        found[each["log_dir"]] = (each["error_code"], here)
    return found


def offline(admin):
    """The partitions whose replica metadata calls offline."""
    (topic,) = admin.describe_topics([TOPIC])
    found = [part for part in topic["partitions"] if part["offline_replicas"]]
    return sorted(part["partition_index"] for part in found)


def test_one_directory_fails_and_the_others_go_on(new_cluster, servers, tmp_path):
    if servers != "odradek":
        pytest.skip("traces our own system calls")
    healthy, broken = tmp_path / "healthy", tmp_path / "broken"
    cluster = new_cluster({"log.dirs": f"{healthy},{broken}", "num.partitions": PARTITIONS})
    create_table(
        cluster.bootstrap, TOPIC, **{"flush.messages": "1", "cleanup.policy": "delete"}
    )
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    admin.create_partitions({TOPIC: PARTITIONS})
    everywhere = lambda: partitions_in(healthy) + partitions_in(broken)  # noqa: E731
    wait_until(lambda: len(everywhere()) == PARTITIONS, 20, "all partitions have a directory")
    stays, goes = partitions_in(healthy), partitions_in(broken)
    assert stays and goes
    for partition in range(PARTITIONS):
        assert send(cluster.bootstrap, partition, b"before") == ""
    assert described(admin) == {str(healthy): (0, stays), str(broken): (0, goes)}
    assert offline(admin) == []

    with failing_fsync(cluster.broker.pid, broken):
        assert send(cluster.bootstrap, goes[0], b"lost", 5000) != ""
        wait_until(lambda: offline(admin) == goes, 30, "the partitions there are offline")
    assert cluster.broker.running()
    assert described(admin) == {str(healthy): (0, stays), str(broken): (KAFKA_STORAGE_ERROR, [])}
    for partition in stays:
        assert send(cluster.bootstrap, partition, b"after") == ""
        assert read(cluster.bootstrap, partition, 2) == [b"before", b"after"]
    assert send(cluster.bootstrap, goes[-1], b"refused", 3000) != ""
    assert "the log directory failed" in cluster.broker.log.read_text()

    # A restart tries the directory again: what was acknowledged is there.
    admin.close()
    cluster.broker.kill()
    cluster.broker.start()
    # One that lost its only broker may take a while to look for it again.
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    wait_until(lambda: offline(admin) == [], 30, "all partitions are back")
    for partition in goes:
        assert send(cluster.bootstrap, partition, b"again") == ""
        values = read(cluster.bootstrap, partition, 2)
        assert values[0] == b"before"
    admin.close()
