"""Records with three replicas outlive the killing, stopping and pausing of
brokers; Apache's brokers and tools work beside ours. The long form is
`scripts/bench/chaos.py`."""

import json
import subprocess

import pytest

import harness
from confluent_kafka import Consumer, Producer, TopicPartition
from harness import Failed, wait_until
from replicated import IDS, History, check

RACKS = {
    "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
}


@pytest.fixture
def three(new_trio):
    return new_trio()


@pytest.fixture(
    params=[
        ("apache", "3.9"),
        ("apache", "2.8"),
        # Leaders write their ISR themselves, and followers ask where logs part.
        ("apache", "2.6"),
        ("kafka28", "2.8"),
        ("kafka28", "2.7-IV1"),
        ("kafka11", "1.1"),
    ],
    ids="-".join,
)
def beside_apache(new_trio, request):
    """Two of ours and one of Apache's; the version is what they speak together."""
    kind, version = request.param
    keys = {"inter.broker.protocol.version": version}
    return new_trio(brokers=("odradek", "odradek", kind), keys=keys)


def test_nothing_acknowledged_is_lost(three):
    three.create("t")
    history = History(three, "t")
    history.start()
    history.wait_for_more()
    for fault in (
        lambda: three.bounce_hard(three.leader("t")),
        lambda: three.bounce_clean(three.leader("t")),
        lambda: three.bounce_hard(three.follower("t")),
        lambda: three.bounce_hard(three.controller()),
        # Longer than the session lives.
        lambda: three.pause(three.leader("t"), 9),
    ):
        fault()
        history.wait_for_more()
        three.wait_in_sync("t")
    history.end()
    assert check(three, history, "t") > 500


def test_a_new_partition_does_not_wait_for_the_long_poll_of_others(new_trio):
    """A follower that asked before the leader knew of the topic waited for as
    long as its other partitions were quiet."""
    three = new_trio(
        keys={
            "replica.fetch.wait.max.ms": 60_000,
            "replica.lag.time.max.ms": 120_000,
            "replica.socket.timeout.ms": 90_000,
        }
    )
    keys = {"bootstrap.servers": three.bootstrap, "acks": "all", "message.timeout.ms": 30_000}
    producer, errors = Producer(keys), []
    for number in range(12):
        three.create(f"t{number}", 1)
        producer.produce(f"t{number}", b"1", on_delivery=lambda error, _: errors.append(error))
        producer.flush()
    assert errors == [None] * 12


def test_on_a_real_zookeeper(new_trio):
    three = new_trio(coordinator="apache")
    three.create("t")
    history = History(three, "t")
    history.start()
    history.wait_for_more()
    three.bounce_hard(three.leader("t"))
    history.wait_for_more()
    three.bounce_clean(three.controller())
    history.wait_for_more()
    history.end()
    check(three, history, "t")


def wait_in_sync_beside(trio, number):
    """Kafka 2.8 may forget to ask for an ISR again (KAFKA-12686) until a restart."""
    try:
        trio.wait_in_sync("t")
    except Failed:
        if "Failed to enqueue ISR change state" not in trio.brokers[number].log.read_text():
            raise
        trio.bounce_clean(number)
        trio.wait_in_sync("t")


@pytest.mark.long
def test_beside_a_broker_of_apache(beside_apache):
    """Each broker leads and controls in turn, whoever made it."""
    trio = beside_apache
    trio.create("t", partitions=3)
    history = History(trio, "t", rate=300)
    history.start()
    history.wait_for_more()
    led_by = {partition.leader for partition in trio.partitions("t").values()}
    assert led_by == {0, 1, 2}
    for number in (0, 1, 2):
        trio.bounce_clean(number)
        history.wait_for_more()
        wait_in_sync_beside(trio, 2)
    # Ours went first, so Apache's controlled in between; now it goes hard.
    trio.bounce_hard(2)
    history.wait_for_more()
    trio.bounce_hard(trio.controller())
    history.wait_for_more()
    history.end()
    check(trio, history, "t")


def reads_from(trio, topic, rack):
    """The broker that a consumer in `rack` ends up fetching from."""
    seen = []

    def note(text):
        partition = json.loads(text)["topics"].get(topic, {}).get("partitions", {}).get("0", {})
        seen.append(partition.get("broker", -1))

    settings = {
        "bootstrap.servers": trio.bootstrap,
        "group.id": "near",
        "client.rack": rack,
        "statistics.interval.ms": 100,
        "stats_cb": note,
        "log_level": 0,
    }
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topic, 0, 0)])
    read = []

    def settled():
        message = consumer.poll(0.2)
        read.extend([message.value()] if message and not message.error() else [])
        return read and len(seen) > 5 and seen[-1] >= 0 and len(set(seen[-5:])) == 1

    wait_until(settled, 60, f"a consumer in {rack} has found its broker", 0)
    consumer.close()
    return seen[-1]


def test_a_consumer_reads_from_the_replica_in_its_rack(new_trio):
    three = new_trio(keys=RACKS)
    three.create("t", partitions=1)
    history = History(three, "t")
    history.start()
    history.wait_for_more()
    # Each broker is named by its rack.
    for number in IDS:
        assert reads_from(three, "t", f"rack-{number}") == number
    assert reads_from(three, "t", "elsewhere") == three.leader("t")
    history.end()


def tool(trio, name, *arguments):
    command = [harness.PEERS / "kafka39/run", name, "--bootstrap-server", trio.bootstrap]
    done = subprocess.run(
        [str(part) for part in [*command, *arguments]], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kafkas_tools_move_replicas_and_elect_leaders(three):
    create = ["--create", "--topic", "moved", "--replica-assignment", "0:1"]
    tool(three, "org.apache.kafka.tools.TopicCommand", *create)
    reassign = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
    wanted = {"version": 1, "partitions": [{"topic": "moved", "partition": 0, "replicas": [2, 0]}]}
    file = three.directory / "moves.json"
    file.write_text(json.dumps(wanted))
    done = tool(three, reassign, "--reassignment-json-file", file, "--execute")
    assert "Successfully started partition reassignment for moved-0" in done, done

    def is_over():
        asked = ["--reassignment-json-file", file, "--verify", "--preserve-throttles"]
        told = tool(three, reassign, *asked)
        return "Reassignment of partition moved-0 is completed." in told

    wait_until(is_over, 60, "the replicas have moved", 0.5)
    described = tool(
        three, "org.apache.kafka.tools.TopicCommand", "--describe", "--topic", "moved"
    )
    assert "Replicas: 2,0" in described, described
    # The leader is still one of the replicas, so it stays until it is elected away,
    # here or by the periodic rebalance.
    elect = ["--election-type", "preferred", "--topic", "moved", "--partition", "0"]
    told = tool(three, "org.apache.kafka.tools.LeaderElectionCommand", *elect)
    done = ("Successfully completed leader election (PREFERRED)", "Valid replica already elected")
    assert any(text in told for text in done), told
    assert three.leader("moved") == 2
