"""Kafka's tools of the time when they spoke to ZooKeeper alone: what 1.1.1 and
2.8.2 write into the registry, our brokers carry out."""

import json

import pytest

import harness
from harness import wait_until
from replicated import HEAL

PEERS = ["kafka11", "kafka28"]


@pytest.fixture(params=PEERS)
def peer(request):
    return request.param


@pytest.fixture
def three(new_trio):
    return new_trio(keys={"auto.leader.rebalance.enable": "false"})


def test_what_old_tools_ask_is_done(three, peer, tmp_path):
    at = ["--zookeeper", f"127.0.0.1:{three.zookeeper_port}"]
    tool = lambda name, *words: harness.java_tool(f"kafka.admin.{name}", *at, *words, peer=peer)  # noqa: E731
    replicas = lambda partition: list(three.partitions("t")[partition].replicas)  # noqa: E731
    leader = lambda partition: three.partitions("t")[partition].leader  # noqa: E731

    # A topic that is only nodes, with a configuration.
    create = ["--create", "--topic", "t", "--replica-assignment", "0:1,1:2"]
    told = tool("TopicCommand", *create, "--config", "max.message.bytes=5000")
    assert "Created topic" in told, told
    wait_until(lambda: len(three.partitions("t")) == 2, HEAL, "the topic is known")
    wait_until(lambda: (leader(0), leader(1)) == (0, 1), HEAL, "it has leaders")
    assert "t" in tool("TopicCommand", "--list").split()
    described = tool("TopicCommand", "--describe", "--topic", "t")
    assert "max.message.bytes=5000" in described, described

    # A configuration that brokers hear of by its note.
    fits = lambda: send(three, "t", 8000) == ""  # noqa: E731
    assert not fits()
    entity = ["--alter", "--entity-type", "topics", "--entity-name", "t"]
    told = tool("ConfigCommand", *entity, "--add-config", "max.message.bytes=20000")
    assert "Completed" in told, told
    wait_until(fits, HEAL, "larger records are taken", 0.2)
    tool("ConfigCommand", *entity, "--delete-config", "max.message.bytes")

    # More partitions.
    tool("TopicCommand", "--alter", "--topic", "t", "--partitions", "3", "--replica-assignment",
         "0:1,1:2,2:0")  # fmt: skip
    wait_until(lambda: len(three.partitions("t")) == 3, HEAL, "it has three partitions")
    wait_until(lambda: leader(2) == 2, HEAL, "the third has a leader")

    # Other replicas, by way of /admin/reassign_partitions.
    wanted = [{"topic": "t", "partition": 0, "replicas": [2, 1]}]
    file = tmp_path / "moves.json"
    file.write_text(json.dumps({"version": 1, "partitions": wanted}))
    move = ["--reassignment-json-file", file]
    told = tool("ReassignPartitionsCommand", *move, "--execute")
    assert "uccessfully started" in told, told
    wait_until(lambda: replicas(0) == [2, 1], HEAL, "the replicas have moved")
    verify = lambda: tool("ReassignPartitionsCommand", *move, "--verify")  # noqa: E731
    wait_until(lambda: "in progress" not in verify(), HEAL, "the tool sees it, too")

    # Back to the preferred leaders, by way of /admin/preferred_replica_election.
    three.brokers[1].stop()
    wait_until(lambda: leader(1) == 2, HEAL, "another leads")
    three.brokers[1].start()
    three_in_sync = lambda: len(three.partitions("t")[1].isrs) == 2  # noqa: E731
    wait_until(three_in_sync, HEAL, "it is in sync again")
    assert leader(1) == 2
    file.write_text(json.dumps({"partitions": [{"topic": "t", "partition": 1}]}))
    elect = "PreferredReplicaLeaderElectionCommand"
    told = tool(elect, "--path-to-json-file", file)
    assert "uccessfully" in told or "Created preferred replica election" in told, told
    wait_until(lambda: leader(1) == 1, HEAL, "the preferred replica leads")

    # Once more: the watches are still there.
    three.brokers[1].stop()
    wait_until(lambda: leader(1) == 2, HEAL, "another leads")
    three.brokers[1].start()
    wait_until(three_in_sync, HEAL, "it is in sync again")
    tool(elect)
    wait_until(lambda: leader(1) == 1, HEAL, "the preferred replica leads again")

    # Away with it.
    tool("TopicCommand", "--delete", "--topic", "t")
    gone = lambda: "t" not in three.metadata().topics  # noqa: E731
    wait_until(gone, HEAL, "the topic is gone", 0.2)
    wait_until(lambda: "t" not in tool("TopicCommand", "--list").split(), HEAL, "its nodes, too")
    for number, broker in enumerate(three.brokers):
        assert " ERROR " not in broker.log.read_text(), three.brokers[number].tail()


def send(trio, topic, size):
    """Sends one record; the error's name, or '' once it is acknowledged."""
    from confluent_kafka import Producer

    outcome = []
    producer = Producer(
        {"bootstrap.servers": trio.bootstrap, "message.timeout.ms": 20000, "log_level": 0}
    )
    producer.produce(
        topic, b"x" * size, partition=0, on_delivery=lambda error, _: outcome.append(error)
    )
    producer.flush(30)
    return outcome[0].name() if outcome and outcome[0] else ""
