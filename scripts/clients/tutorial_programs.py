"""The programs and commands of well-known tutorials, as printed there, on the ports
that they name.

Those in `tutorials/` are the texts of the programs; only what a text leaves to its
reader (which object is sent, where an indentation was lost) has been added. They run
in a network of their own, where `kafka` and `mybroker` are names of this machine.
Most never end: each is stopped once it has printed what the text promises.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

from core import CACHE, HERE, TOP, call, checks, client, harness

PROGRAMS = HERE / "tutorials"
FERRETDB = "v1.24.2"
FERRETDB_HOME = CACHE / "ferretdb"
SCRIPTS = TOP / "scripts"


class Program:
    """A running program and what it has printed."""

    def __init__(self, command, log, environment=None, stdin=subprocess.DEVNULL):
        self.log = pathlib.Path(log)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)],
                stdin=stdin,
                stdout=out,
                stderr=out,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | (environment or {}),
            )

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, condition, what, timeout=90):
        """Waits until `condition(text)` gives something true, and returns it."""

        def printed_or_ended():
            return condition(self.text()) or self.process.poll() is not None

        try:
            harness.wait_until(printed_or_ended, timeout, what)
        except harness.Failed as failed:
            raise harness.Failed(f"{failed}\n{self.text()[-2000:]}") from None
        if not condition(self.text()):
            raise harness.Failed(f"it ended before: {what}\n{self.text()[-2000:]}")
        return condition(self.text())

    def interrupt(self):
        """Ctrl-C, and then nothing that the program may still want to do."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Desk:
    """Where the reader of a tutorial sits: a client's release, and what was started."""

    def __init__(self, place, environment=None):
        self.place = place
        self.environment = environment or {}
        self.started = 0

    @contextlib.contextmanager
    def start(self, command, **options):
        """Runs a program beside; it is gone afterwards."""
        self.started += 1
        log = self.place.directory / f"program-{self.started}.log"
        program = Program(command, log, self.environment, **options)
        try:
            yield program
        finally:
            program.kill()

    def python(self, name):
        return [sys.executable, PROGRAMS / name]

    def run(self, command, timeout=120):
        return call(command, timeout=timeout, environment=self.environment)[0]


def topics(*arguments):
    """The tutorial's kafka-topics.sh."""
    return call([SCRIPTS / "kafka-topics.sh", *arguments], timeout=60)[0]


def hello(desk):
    """The text's producer and consumer name different topics, so each gets its partner."""
    at = ["--bootstrap-server", "localhost:9092"]
    desk.run(desk.python("hello_producer.py"))
    read = [SCRIPTS / "kafka-console-consumer.sh", *at, "--topic", "test-group"]
    assert desk.run([*read, "--from-beginning", "--max-messages", "1"]).startswith("Hello, Kafka!")
    with desk.start(desk.python("hello_consumer.py")) as consumer:
        write = f"echo 'Hello, group!' | {SCRIPTS}/kafka-console-producer.sh --bootstrap-server"
        desk.run(["sh", "-c", f"{write} localhost:9092 --topic test-topic"])
        consumer.wait_for(lambda text: "Hello, group!\n" in text, "the consumer prints it")


def hello_in_a_shell(desk):
    """A consumer of new records, and a producer typed into a Python shell."""
    with desk.start(desk.python("sample_consumer.py")) as consumer:
        typed = (PROGRAMS / "sample_producer.txt").read_text().encode()
        shell = [sys.executable, "-i", "-q"]
        with desk.start(shell, stdin=subprocess.PIPE) as producer:
            producer.process.stdin.write(typed)
            producer.process.stdin.flush()
            # The consumer starts at the end of the topic, which may be after the first record:
            # the reader types the lines again.
            def both(text):
                return "Hello, World!" in text and "message-two" in text

            for again in range(6):
                try:
                    consumer.wait_for(both, "both are printed", timeout=8)
                    break
                except harness.Failed:
                    if again == 5:
                        raise
                    producer.process.stdin.write(b"\n".join(typed.splitlines()[2:]) + b"\n")
                    producer.process.stdin.flush()
        printed = consumer.text()
    assert "topic='sample', partition=0" in printed, printed
    assert "key=b'message-two'" in printed and "value=b'This is Kafka-Python'" in printed, printed


def views_of(text):
    """The partition and offset of each page view in what a consumer has printed."""
    words = [line.split() for line in text.splitlines()]
    numbers = [int(each[2]) for each in words if each[:1] in (["partition"], ["offset"])]
    return list(zip(numbers[::2], numbers[1::2]))


def pageviews(desk):
    """A topic by command, a view a second, and its reader."""
    at = ["--bootstrap-server", "localhost:9092"]
    assert "Created topic pageview." in topics(*at, "--create", "--topic", "pageview")
    assert "pageview" in topics("--list", *at).split()
    with desk.start(desk.python("pageview_producer.py")):
        with desk.start(desk.python("pageview_consumer.py")) as consumer:
            consumer.wait_for(lambda text: len(views_of(text)) >= 4, "four views are printed")
            printed = consumer.text()
    assert "topic     => pageview" in printed
    assert """value=b'{"pageview": {"url": "URL"}}'""" in printed
    assert views_of(printed) == [(0, offset) for offset in range(len(views_of(printed)))]


def a_second_consumer(desk):
    """One of two is idle, until the topic has two partitions."""
    at = ["--bootstrap-server", "localhost:9092"]
    consumer = desk.python("pageview_consumer.py")

    def members():
        told = desk.run(
            [SCRIPTS / "kafka-consumer-groups.sh", *at, "--describe", "--members"]
            + ["--group", "pageview-group1"]
        )
        rows = [line.split() for line in told.splitlines() if line.startswith("pageview-group1")]
        return sorted(int(row[-1]) for row in rows)

    with desk.start(desk.python("pageview_producer.py")):
        with desk.start(consumer) as first, desk.start(consumer) as second:
            harness.wait_until(lambda: members() == [0, 1], 90, "one of two is idle", 1)
            for each in (first, second):
                each.interrupt()
        topics("--topic", "pageview", "--alter", "--partitions", "2", *at)
        described = topics("--topic", "pageview", "--describe", *at).splitlines()
        assert described[0].startswith("Topic: pageview\tTopicId: "), described
        assert "PartitionCount: 2\tReplicationFactor: 1\tConfigs: " in described[0], described
        for number, line in enumerate(described[1:]):
            wanted = f"\tTopic: pageview\tPartition: {number}\tLeader: 0\tReplicas: 0\tIsr: 0"
            assert line.startswith(wanted), line
        with desk.start(consumer) as first, desk.start(consumer) as second:
            harness.wait_until(lambda: members() == [1, 1], 90, "both have one", 1)
            # The first one had both partitions until the second came.
            seen = {each: len(views_of(each.text())) for each in (first, second)}
            owned = []
            # The first producer learns of the new partition only after minutes.
            with desk.start(desk.python("pageview_producer.py")):
                for each in (first, second):
                    newer = lambda text, each=each: views_of(text)[seen[each] :]  # noqa: E731
                    views = each.wait_for(newer, "each reads views")
                    owned.append({partition for partition, _ in views})
    assert sorted(map(sorted, owned)) == [[0], [1]], owned


def numbers(desk):
    """1 to 1000 into MongoDB, and what the text says of a consumer that is stopped."""
    import pymongo

    def stored():
        return [row["number"] for row in collection.find({}, sort=[("_id", 1)])]

    collection = pymongo.MongoClient("localhost:27017").numtest.numtest
    collection.drop()
    desk.run(desk.python("numbers_producer.py"))
    with desk.start(desk.python("numbers_consumer.py")) as consumer:
        consumer.wait_for(lambda text: "{'number': 100," in text, "a hundred are stored")
        consumer.kill()
    with desk.start(desk.python("numbers_consumer.py")) as consumer:
        consumer.wait_for(lambda text: "{'number': 1000," in text, "all are stored")
        # What is committed a second later is not read again.
        harness.wait_until(lambda: committed() == 1000, 30, "all are committed", 0.2)
        consumer.kill()
    # The ids say who stored a number. What the first had sent when it was killed may
    # have been stored later, so that no look at the collection tells them apart.
    before, after = rising(stored())
    assert before[0] == 1 and after[-1] == 1000, (before[0], after[-1])
    # It went on where the last commit was, at most a second behind.
    assert after[0] <= before[-1] + 1, (before[-1], after[0])
    one_more_time(desk, collection)


def rising(numbers):
    """Two runs of numbers, each one more than the one before; they may join."""
    breaks = [at for at in range(1, len(numbers)) if numbers[at] != numbers[at - 1] + 1]
    assert len(breaks) <= 1, [numbers[at - 2 : at + 2] for at in breaks]
    split = breaks[0] if breaks else 100
    return numbers[:split], numbers[split:]


def committed(group="my-group"):
    """The offset that the group has committed, by the tool."""
    told = call(
        [SCRIPTS / "kafka-consumer-groups.sh", "--bootstrap-server", "localhost:9092"]
        + ["--describe", "--group", group],
        timeout=60,
    )[0]
    row = [line.split() for line in told.splitlines() if line.startswith(group)]
    return int(row[0][3]) if row and row[0][3].isdigit() else None


def one_more_time(desk, collection):
    """Stopped within a second of reading, a consumer reads the message again."""
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers="localhost:9092")
    with desk.start(desk.python("numbers_consumer.py")) as consumer:
        # Its commits come every second: it is stopped before the next one.
        for number in range(2001, 2041):
            producer.send("numtest", b'{"number": %d}' % number).get(30)
            consumer.wait_for(lambda text: f"{{'number': {number}," in text, "it is stored")
            if committed() == 1000:
                break
        consumer.kill()
    producer.close()
    seen = committed()
    assert seen < 1000 + number - 2000, "it was committed within a second"
    with desk.start(desk.python("numbers_consumer.py")) as consumer:
        consumer.wait_for(lambda text: f"{{'number': {number}," in text, "it is read again")
    assert collection.count_documents({"number": number}) == 2


@contextlib.contextmanager
def mongodb(place):
    """A database that MongoDB's clients take for MongoDB."""
    data = place.directory / "ferretdb"
    data.mkdir()
    command = [FERRETDB_HOME / "ferretdb", "--handler=sqlite", f"--sqlite-url=file:{data}/"]
    command += [f"--state-dir={data}", "--telemetry=disable", "--listen-addr=127.0.0.1:27017", "--debug-addr=-"]
    ready = lambda: harness.accepts(27017)  # noqa: E731
    daemon = harness.Daemon("ferretdb", command, place.directory / "ferretdb.log", ready)
    daemon.start()
    try:
        yield
    finally:
        daemon.kill()


def install_python(place, version):
    """The client's release in a folder of its own, pymongo, and FerretDB."""

    def install():
        folder = place.home / "packages"
        pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "install"]
        # Releases of that time want to be built; what they need is here.
        call([*pip, "--no-deps", "--target", folder, f"kafka-python=={version}"])
        call([*pip, "--target", folder, "pymongo==4.11.3"])

    def install_ferretdb():
        source = FERRETDB_HOME / "source"
        shutil.rmtree(source, ignore_errors=True)
        (FERRETDB_HOME / "go.mod").write_text("module place\n")
        wanted = f"github.com/FerretDB/FerretDB@{FERRETDB}"
        where, _ = call(["go", "mod", "download", "-json", wanted], cwd=FERRETDB_HOME)
        shutil.copytree(json.loads(where)["Dir"], source)
        call(["chmod", "-R", "u+w", source])
        # Its own build writes this file; it does not start without.
        (source / "build/version/version.txt").write_text(FERRETDB)
        call(["go", "build", "-o", FERRETDB_HOME / "ferretdb", "./cmd/ferretdb"], cwd=source)

    place.installed(f"kafka-python {version}", install)
    place.installed(f"FerretDB {FERRETDB}", install_ferretdb, FERRETDB_HOME)


def run_python(place, version):
    """Every Python program of the tutorials with this release of kafka-python."""
    folder = place.home / "packages"
    # The last entry makes releases of Python 3.11 and before start on later ones.
    path = f"{folder}:{PROGRAMS / 'shim'}"
    sys.path.insert(0, str(folder))
    told, _ = call(
        [sys.executable, "-c", "import kafka; print(kafka.__version__)"],
        environment={"PYTHONPATH": path},
    )
    assert told.strip() == version, told
    desk = Desk(place, {"PYTHONPATH": path})
    parts = [hello, hello_in_a_shell, pageviews, a_second_consumer]
    outcomes = checks((part.__name__, lambda part=part: part(desk)) for part in parts)
    with mongodb(place):
        return outcomes | checks([("numbers", lambda: numbers(desk))])


def register_python(version):
    client(
        f"kafka-python-{version}",
        version,
        "the tutorials' programs: hello, in a shell, page views, two consumers, 1 to 1000 into "
        f"FerretDB {FERRETDB[1:]}",
        standard=True,
        when="long",
        install=lambda place: install_python(place, version),
    )(lambda place: run_python(place, version))


for release in ("1.4.7", "2.0.2", "3.0.12"):
    register_python(release)


@client(
    "confluent-kafka",
    "2.16.1",
    "the tutorial's producer and consumer",
    standard=True,
    when="always",
)
def confluent_kafka(place):
    def both():
        desk = Desk(place)
        printed = desk.run(desk.python("confluent_producer.py"))
        assert printed.splitlines() == ["Message delivered to mytopic [0]"] * 20, printed
        with desk.start(desk.python("confluent_consumer.py")) as consumer:
            consumer.wait_for(lambda text: "data 19\n" in text, "all are read")
            assert consumer.text().splitlines() == [
                f"Received message: data {number}" for number in range(20)
            ]

    return checks([("producer and consumer", both)])


def install_go(place, path, version):
    """The programs, built with that module (the newer one has only another path)."""

    def install():
        for name in ("go_producer", "go_consumer"):
            folder = place.home / name
            folder.mkdir(exist_ok=True)
            text = (PROGRAMS / name / "main.go").read_text()
            (folder / "main.go").write_text(text.replace("github.com/Shopify/sarama", path))
        (place.home / "go.mod").write_text("module tutorial\n\ngo 1.21\n")
        call(["go", "get", f"{path}@{version}"], cwd=place.home)
        call(["go", "mod", "tidy"], cwd=place.home)
        for name in ("go_producer", "go_consumer"):
            output = place.home / "bin" / name
            build = ["go", "build", "-o", output, f"./{name}"]
            call(build, cwd=place.home, environment={"CGO_ENABLED": 0})

    place.installed(f"{path}@{version}", install)


def run_go(place):
    def producer_and_consumer():
        desk = Desk(place)
        printed = desk.run([place.home / "bin/go_producer"])
        assert printed == "Message sent to partition 0 at offset 0\n", printed
        with desk.start([place.home / "bin/go_consumer"]) as consumer:
            # It starts at the end, whenever it gets there.
            for offset in range(1, 20):
                printed = desk.run([place.home / "bin/go_producer"])
                assert printed == f"Message sent to partition 0 at offset {offset}\n", printed
                if "Received" in consumer.text():
                    break
            consumer.wait_for(lambda text: "Received message: Hello, Kafka!\n" in text, "it came")

    return checks([("producer and consumer", producer_and_consumer)])


def register_go(name, path, version):
    client(
        name,
        version,
        "the tutorial's producer and consumer",
        standard=True,
        when="long",
        install=lambda place: install_go(place, path, f"v{version}"),
    )(run_go)


register_go("sarama-shopify", "github.com/Shopify/sarama", "1.22.1")
register_go("sarama", "github.com/IBM/sarama", "1.61.1")
