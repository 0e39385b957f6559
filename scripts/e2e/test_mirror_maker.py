"""kafka-mirror-maker: what one cluster has comes to another, in order and whole, also
when the copier is killed, when a second one comes, and when the target is away."""

import signal
import subprocess

import harness
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness import wait_until

MAIN = "kafka.tools.MirrorMaker"
GROUP = "mirrors"
ENVIRONMENT = {"HEAP": "128m", "PATH": "/usr/bin:/bin"}


class Site:
    """Two clusters, and files that say how to reach them."""

    def __init__(self, source, target, directory, topics):
        self.source, self.target, self.directory = source, target, directory
        self.topics = topics
        for cluster in (source, target):
            admin = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
            new = [NewTopic(topic, 2, 1) for topic in topics]
            for future in admin.create_topics(new).values():
                future.result(30)
        self.reading = directory / "reading.properties"
        self.reading.write_text(
            f"bootstrap.servers={source.bootstrap}\ngroup.id={GROUP}\nauto.offset.reset=earliest\n"
            "session.timeout.ms=6000\nheartbeat.interval.ms=500\n"
        )
        self.writing = directory / "writing.properties"
        self.writing.write_text(f"bootstrap.servers={target.bootstrap}\n")
        self.running = []

    def start(self, *words):
        files = ["--consumer.config", self.reading, "--producer.config", self.writing]
        tool = [harness.TARGET / "kafka", "mirror-maker", *files, "--include", "mirrored-.*", *words]
        log = self.directory / f"mirror-{len(self.running)}.log"
        with open(log, "wb") as out:
            command = ["setpriv", "--pdeathsig", "KILL", "--", *map(str, tool)]
            process = subprocess.Popen(command, stdout=out, stderr=out, env=ENVIRONMENT)
        self.running.append(process)
        process.log = log
        return process

    def write(self, first, count):
        producer = Producer({"bootstrap.servers": self.source.bootstrap, "log_level": 0})
        for number in range(first, first + count):
            for topic in self.topics:
                producer.produce(
                    topic,
                    f"{number}",
                    f"key {number % 7}",
                    headers=[("a", b"1"), ("a", None)],
                    timestamp=1_000_000 + number,
                )
        assert producer.flush(60) == 0

    def read(self, enough):
        """What the target has, by topic and key: the numbers in their order."""
        keys = {"bootstrap.servers": self.target.bootstrap, "group.id": "r", "log_level": 0}
        consumer = Consumer(keys | {"auto.offset.reset": "earliest", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, index, 0) for topic in self.topics for index in (0, 1)])
        found = {}

        def all_there():
            for message in consumer.consume(500, 0.2):
                assert not message.error()
                number = int(message.value())
                assert message.headers() == [("a", b"1"), ("a", None)]
                assert message.timestamp()[1] == 1_000_000 + number
                found.setdefault((message.topic(), message.key()), []).append(number)
            return enough(found)

        wait_until(all_there, 90, f"everything is there; {sum(map(len, found.values()))} came")
        consumer.close()
        return found

    def whole(self, count):
        """Each number is there, and goes on from the one before it of its key."""

        def enough(found):
            return sum(len(set(numbers)) for numbers in found.values()) >= count * len(self.topics)

        return self.read(enough)

    def committed(self):
        consumer = Consumer({"bootstrap.servers": self.source.bootstrap, "group.id": GROUP, "log_level": 0})
        wanted = [TopicPartition(topic, index) for topic in self.topics for index in (0, 1)]
        found = consumer.committed(wanted, timeout=30)
        ends = [consumer.get_watermark_offsets(at, timeout=30)[1] for at in wanted]
        consumer.close()
        return [at.offset for at in found], ends


@pytest.fixture
def site(new_cluster, tmp_path):
    made = Site(new_cluster(), new_cluster(), tmp_path, ["mirrored-a", "mirrored-b"])
    yield made
    for process in made.running:
        process.kill()
        process.wait()


def expected(site, count):
    numbers = {}
    for number in range(count):
        for topic in site.topics:
            numbers.setdefault((topic, b"key %d" % (number % 7)), []).append(number)
    return numbers


def first_times(found):
    """The order in which numbers came for the first time: later ones are copied again."""
    return {key: list(dict.fromkeys(numbers)) for key, numbers in found.items()}


def test_everything_comes_once_and_in_order(site):
    site.write(0, 500)
    mirror = site.start("--num.streams", "2")
    assert site.whole(500) == expected(site, 500)
    mirror.send_signal(signal.SIGTERM)
    assert mirror.wait(30) == 143, mirror.log.read_text()
    committed, ends = site.committed()
    assert committed == ends, "what was copied is committed at the end"
    # It goes on where it stopped.
    site.write(500, 100)
    site.start()
    assert site.whole(600) == expected(site, 600)


def test_a_second_one_takes_its_share(site):
    site.write(0, 300)
    first = site.start("--offset.commit.interval.ms", "200")
    site.whole(300)
    site.start("--offset.commit.interval.ms", "200")
    site.write(300, 300)
    site.whole(600)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 143
    site.write(600, 300)
    assert first_times(site.whole(900)) == expected(site, 900)


def test_a_kill_loses_nothing(site):
    site.write(0, 2000)
    mirror = site.start("--offset.commit.interval.ms", "100")
    site.read(lambda found: sum(map(len, found.values())) >= 100)
    mirror.kill()
    mirror.wait()
    site.start()
    site.write(2000, 100)
    assert first_times(site.whole(2100)) == expected(site, 2100)


def test_a_target_that_is_away_is_waited_for(site):
    site.write(0, 100)
    mirror = site.start("--offset.commit.interval.ms", "100")
    site.whole(100)
    site.target.broker.kill()
    site.write(100, 200)
    committed, ends = site.committed()
    assert committed != ends
    # Longer than a session: it stays a member while it waits.
    away = lambda: "could not be established" in mirror.log.read_text()  # noqa: E731
    wait_until(away, 30, "it notices")
    site.target.restart_broker()
    assert site.whole(300) == expected(site, 300)
    wait_until(lambda: len(set(map(tuple, site.committed()))) == 1, 30, "all is committed")
    assert mirror.poll() is None


def test_a_record_that_cannot_be_stored(site):
    site.writing.write_text(site.writing.read_text() + "max.request.size=200\n")
    producer = Producer({"bootstrap.servers": site.source.bootstrap})
    for size in (10, 1000, 20):
        producer.produce("mirrored-a", b"x" * size, partition=0)
        assert producer.flush(30) == 0
    mirror = site.start()
    assert mirror.wait(60) == 255
    log = mirror.log.read_text()
    assert "Error when sending message to topic mirrored-a with key: null, value: 1000 bytes with error:" in log
    assert "RecordTooLargeException" in log and "stopping the whole mirror maker" in log
    committed, _ = site.committed()
    assert committed[0] <= 1, "the record was not passed over"
    site.start("--abort.on.send.failure", "false", "--offset.commit.interval.ms", "100")
    wait_until(lambda: site.committed()[0][0] == 3, 60, "it goes on behind the record")


def test_what_does_not_go_together(tmp_path):
    """The first words of each tool; Kafka's goes on into an exception of its own."""
    reading, writing = tmp_path / "r", tmp_path / "w"
    reading.write_text("bootstrap.servers=127.0.0.1:1\ngroup.id=g\n")
    writing.write_text("bootstrap.servers=127.0.0.1:1\n")
    files = f"--consumer.config {reading} --producer.config {writing}"
    for line in (
        "",
        "--nope",
        f"--producer.config {writing}",
        f"--consumer.config {reading}",
        files,
        f"{files} --include a --abort.on.send.failure x",
    ):
        said = []
        for tool in (
            [harness.TARGET / "kafka", "mirror-maker"],
            [harness.PEERS / "kafka39/run", MAIN],
        ):
            done = subprocess.run(
                [str(word) for word in [*tool, *line.split()]],
                capture_output=True,
                text=True,
                timeout=90,
                env=ENVIRONMENT,
            )
            lines = [text.split("] ", 1)[-1] for text in done.stderr.splitlines()]
            said.append((done.returncode, [text for text in lines if not text.startswith("WARNING")][:2]))
        assert said[0] == said[1], line
