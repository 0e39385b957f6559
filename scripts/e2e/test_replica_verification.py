"""kafka-replica-verification beside Kafka 3.9.1's own, on the same three brokers: what
both say of replicas that are the same, that lag behind, and whose bytes differ."""

import re
import subprocess

import harness
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from harness import wait_until

MAIN = "org.apache.kafka.tools.ReplicaVerificationTool"
# Where these stand in a batch of format 2.
CRC, LAST_OFFSET_DELTA = 17, 23
WHOSE = ("ours", "kafkas")


def command(whose, *words):
    if whose == "ours":
        command = [harness.TARGET / "kafka", "replica-verification", *words]
    else:
        command = [harness.PEERS / "kafka39/run", MAIN, *words]
    return ["setpriv", "--pdeathsig", "KILL", "--", *(str(word) for word in command)]


class Tool:
    """One of the two, which goes on until it is ended."""

    def __init__(self, whose, log, *words):
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                command(whose, *words),
                stdout=out,
                stderr=subprocess.DEVNULL,
                env={"HEAP": "128m", "PATH": "/usr/bin:/bin"},
            )

    def lines(self):
        """Without their times."""
        stamp = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: ")
        lines = self.log.read_text().splitlines()
        assert all(stamp.match(line) for line in lines), lines
        return [stamp.sub("", line) for line in lines]

    def says(self, line):
        wait_until(lambda: self.lines()[-1:] == [line], 90, f"{line!r}; it says {self.lines()[-3:]}")

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def both(tmp_path):
    started = []

    def start(*words):
        for whose in WHOSE:
            started.append(Tool(whose, tmp_path / f"{whose}-{len(started)}.log", *words))
        return started[-2:]

    yield start
    for tool in started:
        tool.process.kill()
        tool.process.wait()


def write(trio, topic, count):
    """One batch for each record."""
    producer = Producer({"bootstrap.servers": trio.bootstrap, "linger.ms": 0})
    for number in range(count):
        producer.produce(topic, f"{number}", partition=0)
        assert producer.flush(30) == 0


def batches(path):
    """Where the batches of a segment begin."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        found.append(at)
        at += 12 + int.from_bytes(data[at + 8 : at + 12], "big")
    return found


def change(path, batch, field):
    """Changes four bytes of a batch, as a disk or a bug would."""
    data = bytearray(path.read_bytes())
    at = batches(path)[batch] + field
    value = int.from_bytes(data[at : at + 4], "big") + 1
    data[at : at + 4] = value.to_bytes(4, "big")
    path.write_bytes(data)


def test_replicas_that_lag_and_that_differ(new_trio, both):
    trio = new_trio()
    topic = "verified"
    trio.create(topic, partitions=1, least=1)
    write(trio, topic, 10)
    words = ["--broker-list", trio.bootstrap, "--topics-include", topic, "--time", "-2"]
    words += ["--report-interval-ms", "500"]
    tools = both(*words)
    for tool in tools:
        tool.says(f"max lag is 0 for partition {topic}-0 at offset 10 among 1 partitions")
        assert tool.lines()[0] == "verification process is started"
    # A follower is gone: nothing that came since is verified.
    follower = trio.follower(topic)
    trio.brokers[follower].stop()
    write(trio, topic, 5)
    for tool in tools:
        tool.says(f"max lag is 5 for partition {topic}-0 at offset 10 among 1 partitions")
    # It is back, and one of its batches is not what the others have.
    segment = trio.directory_of(follower) / "broker" / f"{topic}-0" / f"{0:020}.log"
    change(segment, 3, CRC)
    trio.brokers[follower].start()
    for tool in tools:
        tool.says(f"max lag is 0 for partition {topic}-0 at offset 15 among 1 partitions")
        assert tool.stop() == 143
    tools = both(*words)
    for tool in tools:
        tool.says(f"max lag is 0 for partition {topic}-0 at offset 15 among 1 partitions")
    found = [[line for line in tool.lines() if "unmatched" in line] for tool in tools]
    assert found[0] == found[1]
    differs = [line for line in found[0] if re.search(rf" offset 3; .*replica {follower}'s checksum", line)]
    assert len(differs) >= 1 and len(found[0]) == len(differs), found
    # A batch that ends elsewhere: there is no going on.
    trio.brokers[follower].stop()
    change(segment, 5, LAST_OFFSET_DELTA)
    trio.brokers[follower].start()
    trio.wait_in_sync(topic)
    ours, kafkas = both(*words)
    assert ours.process.wait(60) == 1
    said = ours.lines()
    assert re.search(r"'s offset 5 doesn't match replica \d's offset 6|'s offset 6 doesn't", said[-1])
    # Kafka's means to end as well, and waits for itself: a thread's end runs its own end.
    kafkas.says(said[-1])
    assert kafkas.lines() == said


def test_what_does_not_go_together(cluster, unique):
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    name = unique("verified")
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    at = f"--broker-list {cluster.bootstrap}"
    for line in (
        "",
        "--fetch-size 5",
        "--broker-list foo",
        "--broker-list a:1 --nope",
        f"{at} --fetch-size x",
        f"{at} --topics-include a --topic-white-list b",
        f"{at} --topics-include (",
        f"{at} --topics-include no-such-topic",
    ):
        said = []
        for whose in WHOSE:
            done = subprocess.run(
                command(whose, *line.split()),
                capture_output=True,
                text=True,
                timeout=90,
                env={"HEAP": "128m", "PATH": "/usr/bin:/bin"},
            )
            first = [re.sub(r"^\[[^]]*\] ", "", one) for one in done.stderr.splitlines()[:2]]
            said.append((done.returncode, done.stdout, first))
        assert said[0] == said[1], line
        assert said[0][0] == 1
