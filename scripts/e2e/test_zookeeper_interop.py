"""Our broker on Apache ZooKeeper, and Apache's shell on whatever runs the cluster."""

import json

import harness
import pytest
from faults import kill_loop
from harness import PEERS, run

BROKER_FIELDS = {"listener_security_protocol_map", "endpoints", "host", "port", "timestamp", "version"}


def zookeeper_shell(cluster, *command):
    """What Apache's zkCli prints last for one command; its session's own events,
    which may come even later, do not count."""
    shell = [PEERS / "zookeeper/run", "org.apache.zookeeper.ZooKeeperMain"]
    at = ["-server", cluster.zookeeper, *command]
    lines = run([*shell, *at], environment={"HEAP": "64m"}).strip().splitlines()
    events = ("WATCHER::", "WatchedEvent")
    return [line for line in lines if line.strip() and not line.startswith(events)][-1]


@pytest.fixture
def on_zookeeper(new_cluster, servers):
    """Our broker on Apache ZooKeeper (or both Apache's, to check the test itself)."""
    return new_cluster(servers="mixed" if harness.SERVERS[servers][1] else "apache")


def test_broker_on_zookeeper(on_zookeeper):
    cluster, topic = on_zookeeper, "on-zookeeper"
    run(["kcat", "-b", cluster.bootstrap, "-P", "-t", topic], stdin="one\ntwo\n")
    read = run(["kcat", "-b", cluster.bootstrap, "-C", "-t", topic, "-e", "-q", "-o", "beginning"])
    assert read == "one\ntwo\n"
    check_znodes(cluster, topic)


def test_broker_survives_kills_on_zookeeper(on_zookeeper, kills):
    assert kill_loop(on_zookeeper, "both", kills) > 0


def test_zookeeper_shell_lists_our_znodes(cluster, unique):
    topic = unique("znodes")
    run(["kcat", "-b", cluster.bootstrap, "-P", "-t", topic], stdin="one\n")
    check_znodes(cluster, topic)


def check_znodes(cluster, topic):
    """The znodes of Kafka 3.9's layout, with its JSON."""
    roots = zookeeper_shell(cluster, "ls", "/").strip("[]").split(", ")
    assert {"brokers", "cluster", "config", "controller", "controller_epoch"} <= set(roots)
    registration = json.loads(zookeeper_shell(cluster, "get", "/brokers/ids/0"))
    assert BROKER_FIELDS <= registration.keys()
    assert registration["version"] == 5
    assert registration["port"] == cluster.broker_port
    assert registration["endpoints"] == [f"PLAINTEXT://{cluster.bootstrap}"]
    assert json.loads(zookeeper_shell(cluster, "get", "/controller"))["brokerid"] == 0
    assert int(zookeeper_shell(cluster, "get", "/controller_epoch")) >= 1
    assert json.loads(zookeeper_shell(cluster, "get", "/cluster/id"))["id"]
    assignment = json.loads(zookeeper_shell(cluster, "get", f"/brokers/topics/{topic}"))
    assert assignment["partitions"] == {"0": [0]}
    state = json.loads(
        zookeeper_shell(cluster, "get", f"/brokers/topics/{topic}/partitions/0/state")
    )
    assert (state["leader"], state["isr"]) == (0, [0])
