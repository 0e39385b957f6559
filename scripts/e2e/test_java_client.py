"""Kafka 3.9's own Java tools: topics, console producer, console consumer, log dump."""

import pytest
from harness import java_tool

TOPICS = "org.apache.kafka.tools.TopicCommand"
PRODUCER = "kafka.tools.ConsoleProducer"
CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
DUMP_LOG = "kafka.tools.DumpLogSegments"


def topics(cluster, *arguments):
    return java_tool(TOPICS, "--bootstrap-server", cluster.bootstrap, *arguments)


def consume(cluster, topic, count, *arguments):
    limits = ["--max-messages", str(count), "--timeout-ms", "30000"]
    at = ["--bootstrap-server", cluster.bootstrap, "--topic", topic]
    return java_tool(CONSUMER, *at, *limits, *arguments)


def test_topics(cluster, unique):
    topic = unique("java")
    assert f"Created topic {topic}." in topics(
        cluster, "--create", "--topic", topic, "--partitions", "2", "--replication-factor", "1"
    )
    assert topic in topics(cluster, "--list").split()
    first, *partitions = topics(cluster, "--describe", "--topic", topic).splitlines()
    assert f"Topic: {topic}\t" in first
    assert "PartitionCount: 2\t" in first
    assert "ReplicationFactor: 1\t" in first
    for number, line in enumerate(partitions):
        assert f"Partition: {number}\tLeader: 0\tReplicas: 0\tIsr: 0" in line
    assert len(partitions) == 2
    topics(cluster, "--alter", "--topic", topic, "--partitions", "3")
    assert "PartitionCount: 3\t" in topics(cluster, "--describe", "--topic", topic)
    topics(cluster, "--delete", "--topic", topic)
    assert topic not in topics(cluster, "--list").split()


@pytest.fixture(scope="module")
def spoken(cluster):
    """A topic with lines that Java's console producer wrote."""
    topic, lines = "java-console", ["first line", "second line", "third line"]
    arguments = ["--bootstrap-server", cluster.bootstrap, "--topic", topic]
    java_tool(PRODUCER, *arguments, stdin="".join(f"{line}\n" for line in lines))
    return topic, lines


def test_console_producer_and_consumer(cluster, spoken):
    topic, lines = spoken
    assert consume(cluster, topic, 3, "--from-beginning").splitlines() == lines


def test_console_consumer_in_a_group(cluster, spoken, unique):
    topic, lines = spoken
    group = ["--group", unique("java-group"), "--from-beginning"]
    assert consume(cluster, topic, 2, *group).splitlines() == lines[:2]
    assert consume(cluster, topic, 1, *group).splitlines() == lines[2:]


def test_dump_log_reads_our_segments(cluster, spoken):
    topic, lines = spoken
    folder = cluster.directory / "broker" / f"{topic}-0"
    names = ["00000000000000000000" + kind for kind in [".log", ".index", ".timeindex"]]
    files = ",".join(str(folder / name) for name in names)
    dumped = java_tool(DUMP_LOG, "--files", files, "--print-data-log", "--deep-iteration")
    assert [line.rsplit("payload: ", 1)[1] for line in dumped.splitlines() if "payload" in line] == lines
    assert "isvalid: true" in dumped
    for complaint in ["isvalid: false", "Mismatches", "Non-consecutive", "out of order", "Exception"]:
        assert complaint not in dumped
