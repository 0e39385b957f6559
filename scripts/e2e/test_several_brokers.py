"""Three brokers on one coordinator, made from config/broker.properties by
changing only broker.id, listeners and log.dirs: partitions are spread over
them, and the others go on when one of them, or the controller, is killed."""

import json
import re

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

import harness
from harness import Daemon, Ports, run, wait_until

PARTITIONS = 6


class Brokers:
    """Three brokers; their admin ports move by themselves."""

    def __init__(self, directory):
        self.directory = directory
        self.zookeeper_port = Ports.take()
        self.coordinator = harness.odradek_coordinator(
            directory, self.zookeeper_port, Ports.take()
        )
        self.ports = [Ports.take() for _ in range(3)]
        self.brokers = [self.broker(number) for number in range(3)]

    def broker(self, number):
        changed = {
            "broker.id": number,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.ports[number]}",
            "log.dirs": self.directory / f"broker-{number}",
            # The suite's coordinator is not at its usual port, and a session
            # that ends sooner than after 18 s keeps the test short.
            "zookeeper.connect": f"127.0.0.1:{self.zookeeper_port}",
            "zookeeper.session.timeout.ms": 3000,
        }
        text = (harness.TOP / "config/broker.properties").read_text()
        for key, value in changed.items():
            line = re.compile(rf"^#?{re.escape(key)}=.*$", re.MULTILINE)
            text, count = line.subn(f"{key}={value}", text)
            assert count == 1, key
        config = self.directory / f"broker-{number}.properties"
        config.write_text(text)
        return Daemon(
            f"broker-{number}",
            [harness.TARGET / "broker", config],
            self.directory / f"broker-{number}.log",
            lambda: harness.accepts(self.ports[number]),
        )

    @property
    def bootstrap(self):
        running = zip(self.brokers, self.ports, strict=True)
        return ",".join(f"127.0.0.1:{port}" for broker, port in running if broker.running())

    def metadata(self, number):
        """What one broker tells: (controller, live brokers, {topic: leaders})."""
        told = json.loads(run(["kcat", "-b", f"127.0.0.1:{self.ports[number]}", "-L", "-J"]))
        topics = {
            topic["topic"]: [
                partition["leader"]
                for partition in sorted(topic["partitions"], key=lambda each: each["partition"])
            ]
            for topic in told["topics"]
        }
        return told["controllerid"], {each["id"] for each in told["brokers"]}, topics

    def wait_for(self, condition, what):
        """Waits until each running broker's metadata satisfies `condition`."""
        for number, broker in enumerate(self.brokers):
            if broker.running():
                wait_until(lambda: condition(*self.metadata(number)), 30, f"{number}: {what}", 0.2)  # noqa: B023

    def controller(self):
        alive = next(n for n, broker in enumerate(self.brokers) if broker.running())
        return self.metadata(alive)[0]

    def daemons(self):
        return [*self.brokers, self.coordinator]


@pytest.fixture
def three(servers, tmp_path):
    if servers != "odradek":
        pytest.skip("starts our own brokers from our own file")
    cluster = Brokers(tmp_path)
    try:
        cluster.coordinator.start()
        for broker in cluster.brokers:
            broker.start()
        cluster.wait_for(lambda _, brokers, __: brokers == {0, 1, 2}, "three brokers")
        yield cluster
    finally:
        for daemon in cluster.daemons():
            daemon.kill()
    assert not [line for daemon in cluster.daemons() for line in daemon.panics()]


def create(three, topic):
    admin = KafkaAdminClient(bootstrap_servers=three.bootstrap)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    admin.close()


def produce(three, topic, partitions, text):
    producer = KafkaProducer(bootstrap_servers=three.bootstrap, acks="all")
    sent = [producer.send(topic, f"{text}-{each}".encode(), partition=each) for each in partitions]
    for each in sent:
        each.get(timeout=20)
    producer.close()


def group_read(three, topic, group, count):
    read = run(
        ["kcat", "-b", three.bootstrap, "-X", "auto.offset.reset=earliest"]
        + ["-G", group, "-c", str(count), "-q", topic]
    )
    return sorted(read.split())


def read_partition(three, topic, partition):
    return run(
        ["kcat", "-b", three.bootstrap, "-C", "-t", topic, "-p", str(partition)]
        + ["-o", "beginning", "-e", "-q"]
    ).split()


def led_by(leaders, broker):
    return [partition for partition, leader in enumerate(leaders) if leader == broker]


def test_a_cluster_of_three(three):
    create(three, "t")
    spread = lambda _, __, topics: sorted(topics.get("t", [])) == [0, 0, 1, 1, 2, 2]  # noqa: E731
    three.wait_for(spread, "two partitions on each broker")
    leaders = three.metadata(0)[2]["t"]
    everywhere = range(PARTITIONS)
    produce(three, "t", everywhere, "python")
    for partition in everywhere:
        command = ["kcat", "-b", three.bootstrap, "-P", "-t", "t", "-p", str(partition)]
        run(command, stdin=f"kcat-{partition}\n")
    both = sorted(f"{client}-{each}" for client in ["kcat", "python"] for each in everywhere)
    assert group_read(three, "t", "g", len(both)) == both

    # A broker that is not the controller dies: only its partitions stop.
    controller = three.controller()
    victim = (controller + 1) % 3
    three.brokers[victim].kill()
    lost = led_by(leaders, victim)
    without = [-1 if leader == victim else leader for leader in leaders]
    three.wait_for(lambda _, __, topics: topics["t"] == without, "its partitions have no leader")
    rest = [each for each in everywhere if each not in lost]
    produce(three, "t", rest, "meanwhile")
    three.brokers[victim].start()
    three.wait_for(lambda _, __, topics: topics["t"] == leaders, "its partitions are led again")
    for partition in lost:
        assert read_partition(three, "t", partition) == [f"python-{partition}", f"kcat-{partition}"]
    produce(three, "t", lost, "back")

    # The controller dies: another is elected, and the cluster goes on.
    three.brokers[controller].kill()
    without = [-1 if leader == controller else leader for leader in leaders]
    three.wait_for(
        lambda now, brokers, topics: now in brokers - {controller} and topics["t"] == without,
        "another controller",
    )
    produce(three, "t", [each for each in everywhere if leaders[each] != controller], "after")
    run(["kcat", "-b", three.bootstrap, "-P", "-t", "automatic"], stdin="created\n")
    three.wait_for(lambda _, __, topics: min(topics.get("automatic", [-1])) >= 0, "auto-creation")
    three.brokers[controller].start()
    three.wait_for(lambda _, __, topics: topics["t"] == leaders, "all are led again")

    admin = KafkaAdminClient(bootstrap_servers=three.bootstrap)
    admin.delete_topics(["t"])
    admin.close()
    three.wait_for(lambda _, __, topics: "t" not in topics, "the topic is gone")

    def is_gone(number):
        left = (three.directory / f"broker-{number}").glob("t-*")
        return all(path.name.endswith("-delete") for path in left)

    wait_until(lambda: all(map(is_gone, range(3))), 20, "no broker has its logs any more")

    # An orderly stop is announced, and nobody complained on the way.
    stopping = next(n for n in range(3) if n != three.controller())
    active = three.brokers[three.controller()]
    assert three.brokers[stopping].stop() == 0
    assert re.search(rf"shutting down the broker id={stopping}\b", active.log.read_text())
    for broker in three.brokers:
        text = broker.log.read_text()
        assert " ERROR " not in text, broker.tail()
        assert text.count(" WARN ") < 12, broker.tail()
