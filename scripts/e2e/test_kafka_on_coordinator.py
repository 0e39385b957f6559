"""Apache's own broker on our coordinator: topics, records, restarts of either side."""

import pytest
from faults import kill_loop
from harness import Failed, java_tool, run, wait_until

TOPICS = "org.apache.kafka.tools.TopicCommand"


@pytest.fixture
def cluster(new_cluster):
    return new_cluster(servers="jvm-broker")


def topics(cluster, *arguments):
    return java_tool(TOPICS, "--bootstrap-server", cluster.bootstrap, *arguments)


def produce(cluster, topic, *lines):
    stdin = "".join(f"{line}\n" for line in lines)
    run(["kcat", "-b", cluster.bootstrap, "-P", "-t", topic], stdin=stdin)


def consume(cluster, topic):
    reading = ["-C", "-t", topic, "-e", "-q", "-o", "beginning"]
    return sorted(run(["kcat", "-b", cluster.bootstrap, *reading]).splitlines())


def consumes(cluster, topic, wanted):
    """Kafka accepts connections before its controller has told it what it has."""
    try:
        return consume(cluster, topic) == wanted
    except Failed:
        return False


def test_topics_records_restarts_and_kills(cluster, kills):
    new = ["--topic", "jvm", "--partitions", "1", "--replication-factor", "1"]
    topics(cluster, "--create", *new)
    produce(cluster, "jvm", "one", "two")
    assert consume(cluster, "jvm") == ["one", "two"]
    # An orderly restart of the coordinator: the broker's session goes on.
    assert cluster.coordinator.stop() == 0
    cluster.coordinator.start()
    produce(cluster, "jvm", "three")
    topics(cluster, "--alter", "--topic", "jvm", "--partitions", "2")
    assert "PartitionCount: 2\t" in topics(cluster, "--describe", "--topic", "jvm")
    # An orderly restart of the broker: it leaves its registration and comes back to it.
    cluster.broker.stop()
    cluster.restart_broker()
    wait_until(lambda: consumes(cluster, "jvm", ["one", "three", "two"]), 60, "all is read")
    topics(cluster, "--delete", "--topic", "jvm")
    assert "jvm" not in topics(cluster, "--list").split()
    assert kill_loop(cluster, "both", kills) > 0
