"""Replicas that move: between the log directories of a broker, and between
brokers no faster than a throttle lets them. Each with Kafka's own tool and ours."""

import json
import subprocess

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from kafka import KafkaAdminClient

import harness
from harness import wait_until
from replicated import HEAL

PAYLOAD = 10_000
RECORDS = 2000


@pytest.fixture(params=["java", "ours"])
def reassign(request):
    """Runs kafka-reassign-partitions, the real one or ours; its output."""

    def run(bootstrap, *arguments):
        tool = {
            "java": [
                harness.PEERS / "kafka39/run",
                "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
            ],
            "ours": [harness.TOP / "scripts/kafka-reassign-partitions.sh"],
        }[request.param]
        command = [*tool, "--bootstrap-server", bootstrap, *arguments]
        return harness.run(command, timeout=120, environment={"HEAP": "128m"})

    return run


def create(bootstrap, topic, replicas, **config):
    """A topic of one partition on these brokers."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(topic, 1, config=config, replica_assignment=[replicas])
    admin.create_topics([new])[topic].result(30)


def fill(bootstrap, topic, first, count):
    """Sends numbered records; all are acknowledged."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})
    failed = []
    for number in range(first, first + count):
        value = f"{number}".ljust(PAYLOAD)
        producer.produce(
            topic, value, partition=0, on_delivery=lambda e, _: failed.append(e) if e else None
        )
        producer.poll(0)
    assert producer.flush(60) == 0
    assert not failed, failed[:3]


def numbers(bootstrap, topic):
    read = harness.run(["kcat", "-b", bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q"])
    return [int(line) for line in read.split()]


def plan(file, topic, replicas, dirs=None):
    partition = {"topic": topic, "partition": 0, "replicas": replicas}
    if dirs:
        partition["log_dirs"] = dirs
    file.write_text(json.dumps({"version": 1, "partitions": [partition]}))
    return ["--reassignment-json-file", file]


def logs_of(bootstrap, topic):
    """{directory: (is future, lag)} of the only partition of `topic`."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        (broker,) = admin.describe_log_dirs()
    finally:
        admin.close()
    found = {}
    for each in broker["log_dirs"]:
        for described in each["topics"]:
            for partition in described["partitions"]:
                if described["name"] == topic:
                    lag = partition["offset_lag"]
                    found[each["log_dir"]] = (partition["is_future_key"], lag)
    return found


def configs_of(bootstrap, kind, name):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    resource = ConfigResource(kind, name)
    found = admin.describe_configs([resource])[resource].result(30)
    return {key: entry.value for key, entry in found.items() if "throttled" in key and entry.value}


def test_a_replica_moves_between_directories_through_a_kill(
    new_cluster, servers, tmp_path, reassign
):
    if servers != "odradek":
        pytest.skip("looks at our own files")
    dirs = [tmp_path / "one", tmp_path / "two"]
    cluster = new_cluster({"log.dirs": f"{dirs[0]},{dirs[1]}"})
    create(cluster.bootstrap, "t", [0], **{"segment.bytes": "4000000"})
    fill(cluster.bootstrap, "t", 0, RECORDS)
    (source,) = logs_of(cluster.bootstrap, "t")
    target = next(str(each) for each in dirs if str(each) != source)
    file = plan(tmp_path / "move.json", "t", [0], [target])
    # So slow that it is under way when the broker is killed.
    slowly = ["--replica-alter-log-dirs-throttle", "1000000"]
    done = reassign(cluster.bootstrap, *file, "--execute", *slowly)
    assert f"Successfully started moving log directory to {target} for replica t-0" in done, done

    def is_moving():
        logs = logs_of(cluster.bootstrap, "t")
        return len(logs) == 2 and logs[target][0] and 0 < logs[target][1] <= RECORDS

    wait_until(is_moving, 30, "the copy is under way")
    assert list((tmp_path / target).glob("t-0.*-future")), "named as Kafka names it"
    told = reassign(cluster.bootstrap, *file, "--verify", "--preserve-throttles")
    assert "is still in progress" in told, told
    fill(cluster.bootstrap, "t", RECORDS, 100)
    cluster.broker.kill()
    cluster.broker.start()
    assert is_moving(), "goes on after a kill"
    fill(cluster.bootstrap, "t", RECORDS + 100, 100)

    # Faster, and it ends.
    faster = ["--replica-alter-log-dirs-throttle", "1000000000", "--additional"]
    reassign(cluster.bootstrap, *file, "--execute", *faster)
    moved = lambda: logs_of(cluster.bootstrap, "t") == {target: (False, 0)}  # noqa: E731
    wait_until(moved, 60, "the replica has moved", 0.2)
    told = reassign(cluster.bootstrap, *file, "--verify")
    assert "t-0-0 completed successfully" in told or "t-0-0 finished" in told, told
    fill(cluster.bootstrap, "t", RECORDS + 200, 100)
    assert numbers(cluster.bootstrap, "t") == list(range(RECORDS + 300))
    assert not list((tmp_path / source).glob("t-0")), "the old log is gone"
    cluster.broker.kill()
    cluster.broker.start()
    assert numbers(cluster.bootstrap, "t") == list(range(RECORDS + 300))
    assert cluster.broker.stop() == 0
    cluster.broker.start()
    assert numbers(cluster.bootstrap, "t") == list(range(RECORDS + 300))


def test_a_new_replica_is_created_in_its_directory(new_cluster, servers, tmp_path, reassign):
    if servers != "odradek":
        pytest.skip("looks at our own files")
    dirs = [tmp_path / "one", tmp_path / "two"]
    cluster = new_cluster({"log.dirs": f"{dirs[0]},{dirs[1]}"})
    bootstrap = cluster.bootstrap
    unknown = str(tmp_path / "three")
    create(bootstrap, "t", [0])
    wait_until(lambda: logs_of(bootstrap, "t"), 30, "it has a log")
    file = plan(tmp_path / "move.json", "t", [0], [unknown])
    failed = subprocess.run(
        [str(harness.TOP / "scripts/kafka-reassign-partitions.sh"), "--bootstrap-server", bootstrap]
        + [str(word) for word in file]
        + ["--execute"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert failed.returncode != 0
    # Back and forth, both ways at once: the last word counts.
    for target in (dirs[1], dirs[0], dirs[1]):
        file = plan(tmp_path / "move.json", "t", [0], [str(target)])
        reassign(bootstrap, *file, "--execute")
        there = lambda: list(logs_of(bootstrap, "t")) == [str(target)]  # noqa: B023, E731
        wait_until(there, 30, f"it is in {target}", 0.2)


@pytest.fixture
def three(new_trio):
    return new_trio()


def test_a_throttle_holds_a_move_back_and_is_taken_away(three, tmp_path, reassign):
    bootstrap = three.bootstrap
    create(bootstrap, "slow", [0])
    create(bootstrap, "fast", [0])
    for topic in ("slow", "fast"):
        fill(bootstrap, topic, 0, RECORDS)
    slow = plan(tmp_path / "slow.json", "slow", [1])
    fast = plan(tmp_path / "fast.json", "fast", [1])
    told = reassign(bootstrap, *slow, "--execute", "--throttle", "100000")
    assert "The inter-broker throttle limit was set to 100000 B/s" in told, told

    # What is not throttled is not held back by what is.
    reassign(bootstrap, *fast, "--execute", "--additional")
    is_over = lambda topic: [1] == list(three.partitions(topic)[0].replicas)  # noqa: E731
    wait_until(lambda: is_over("fast"), HEAL, "the other topic has moved", 0.2)
    assert not is_over("slow")
    assert configs_of(bootstrap, "topic", "slow") == {
        "leader.replication.throttled.replicas": "0:0",
        "follower.replication.throttled.replicas": "0:1",
    }
    told = reassign(bootstrap, *slow, "--verify", "--preserve-throttles")
    assert "still in progress" in told, told
    # New records reach the follower as slowly, and the in-sync ones not at all late.
    fill(bootstrap, "slow", RECORDS, 10)

    reassign(bootstrap, *slow, "--execute", "--additional", "--throttle", "1000000000")
    wait_until(lambda: is_over("slow"), HEAL, "the topic has moved", 0.2)
    told = reassign(bootstrap, *slow, "--verify")
    assert "Clearing broker-level throttles" in told and "Clearing topic-level" in told, told
    assert configs_of(bootstrap, "topic", "slow") == {}
    assert configs_of(bootstrap, "broker", "0") == {}
    assert numbers(bootstrap, "slow") == list(range(RECORDS + 10))
