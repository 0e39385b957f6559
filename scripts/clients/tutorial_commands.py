"""The commands of a tutorial of Kafka 1.1, and the tour of PyKafka's introduction."""

import pathlib
import sys

from core import TOP, call, checks, client, harness

SCRIPTS = TOP / "scripts"
PYKAFKA = pathlib.Path(sys.prefix) / "pykafka-2.8.0"


@client(
    "commands",
    "1.1",
    "a tutorial's commands: zookeeper-server-start.sh and kafka-server-start.sh with the files "
    "in config/, topics with --zookeeper, console producer and consumer",
    brokers=0,
    standard=True,
    when="long",
)
def commands(place):
    def start(script, configuration, port):
        """Starts a server; what its file puts into /tmp goes to this run's folder."""
        text = (TOP / "config" / configuration).read_text()
        path = place.directory / configuration
        path.write_text(text.replace("=/tmp/", f"={place.directory}/"))
        log = place.directory / f"{script}.log"
        ready = lambda: harness.accepts(port)  # noqa: E731
        daemon = harness.Daemon(script, [SCRIPTS / script, path], log, ready)
        daemon.start()
        return daemon

    def topics(*arguments):
        command = [SCRIPTS / "kafka-topics.sh", *arguments, "--zookeeper", "localhost:2181"]
        return call(command, timeout=60)[0]

    def whole():
        zookeeper = start("zookeeper-server-start.sh", "zookeeper.properties", 2181)
        kafka = start("kafka-server-start.sh", "server.properties", 9092)
        try:
            # It takes connections before it is registered, as Kafka does.
            shell = [SCRIPTS / "zookeeper-shell.sh", "localhost:2181", "ls", "/brokers/ids"]
            is_there = lambda: "[0]" in call(shell, timeout=60)[0].splitlines()  # noqa: E731
            harness.wait_until(is_there, 60, "the broker is registered", 0.2)
            one = ["--replication-factor", "1", "--partitions", "1"]
            created = topics("--create", *one, "--topic", "test")
            assert created.replace('"', "").splitlines()[-1] == "Created topic test.", created
            assert topics("--list").splitlines() == ["test"]
            described = topics("--describe", "--topic", "test")
            assert "PartitionCount:" in described and "Leader: 0" in described, described
            at = "localhost:9092"
            write = f"echo hello | {SCRIPTS}/kafka-console-producer.sh --broker-list {at}"
            call(["sh", "-c", f"{write} --topic test"], timeout=60)
            read = [SCRIPTS / "kafka-console-consumer.sh", "--bootstrap-server", at]
            read += ["--topic", "test", "--from-beginning", "--max-messages", "1"]
            assert call(read, timeout=60)[0].startswith("hello\n")
        finally:
            kafka.kill()
            zookeeper.kill()

    return checks([("commands", whole)])


@client(
    "pykafka",
    "2.8.0",
    "found by hosts and by zookeeper_hosts; a simple, a managed and a balanced consumer, each "
    "going on where it stopped",
)
def pykafka(place):
    def tour(way):
        program = TOP / "scripts/e2e/programs/pykafka_tour.py"
        at = [place.bootstrap, place.zookeeper]
        command = [sys.executable, program, *at, f"tour-{way}", way, 20]
        printed, _ = call(command, timeout=180, environment={"PYTHONPATH": PYKAFKA})
        lines = [line for line in printed.splitlines() if line[:1].isdigit()]
        assert lines == [f"{n} test message {n}" for n in range(20)], printed

    return checks([(way, lambda way=way: tour(way)) for way in ("simple", "managed", "balanced")])
