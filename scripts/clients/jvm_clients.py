"""Clients and frameworks on the JVM: releases of twelve years, Streams, Connect."""

import contextlib
import json
import time
import urllib.error
import urllib.request

from core import call, checks, client, create_topic, harness
from java_programs import compile_with, install, java


def register_tour(name, peer, version, when):
    def install_tour(place):
        install(peer)
        # With the oldest, so that one program runs with all.
        install("clients102")
        compile_with("clients102", "Tour")

    @client(
        name,
        version,
        "a program that produces, reads as a group that goes on where it stopped, seeks, looks "
        "up offsets by time, commits",
        install=install_tour,
        when=when,
    )
    def tour(place):
        def whole():
            create_topic(place.bootstrap, "tour", 3)
            text, _ = call(java(peer, "Tour", place.bootstrap, "tour"), timeout=240)
            assert text.rstrip().endswith("done"), text

        return checks([("tour", whole)])


register_tour("java-0.10.2", "clients102", "0.10.2.2", "long")
register_tour("java-1.1", "kafka11", "1.1.1", "long")
register_tour("java-2.8", "kafka28", "2.8.2", "long")
register_tour("java-3.9", "kafka39", "3.9.1", "long")
register_tour("java-4.1", "kafka4", "4.1.1", "long")


@client(
    "verifiable",
    "3.9.1",
    "Kafka's VerifiableProducer and VerifiableConsumer, 2000 records with acks=all",
    when="long",
    install=lambda place: install("kafka39"),
)
def verifiable(place):
    count = 2000

    def told(text, name):
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["name"] == name]

    def both():
        create_topic(place.bootstrap, "verifiable", 2)
        at = ["--bootstrap-server", place.bootstrap, "--topic", "verifiable"]
        limit = ["--max-messages", count]
        main = "org.apache.kafka.tools.VerifiableProducer"
        text, _ = call(java("kafka39", main, *at, *limit, "--acks", "-1"), timeout=240)
        assert len(told(text, "producer_send_success")) == count, text[-1000:]
        main = "org.apache.kafka.tools.VerifiableConsumer"
        reset = ["--group-id", "verifiable", "--reset-policy", "earliest"]
        text, _ = call(java("kafka39", main, *at, *limit, *reset), timeout=240)
        assert sum(line["count"] for line in told(text, "records_consumed")) == count
        commits = told(text, "offsets_committed")
        assert commits and all(line["success"] for line in commits), commits
        last = {each["partition"]: each["offset"] for line in commits for each in line["offsets"]}
        assert sum(last.values()) == count, last

    return checks([("producer and consumer", both)])


def install_streams(_):
    install("streams")
    compile_with("streams", "WordCount")


@contextlib.contextmanager
def daemon(place, name, command, ready):
    """A JVM that serves while the block runs."""
    one = harness.Daemon(name, command, place.directory / f"{name}.log", ready)
    one.start(timeout=180)
    try:
        yield one
    finally:
        one.kill()


@client(
    "streams",
    "3.9.1",
    "word count with a repartition and a changelog topic, at least once, two instances one of "
    "which is stopped in the middle",
    keys={"num.partitions": 2},
    when="long",
    install=install_streams,
)
def streams(place):
    from confluent_kafka import Consumer, Producer

    words = ["all streams lead to kafka", "hello kafka streams", "join kafka summit"]

    def write(times):
        producer = Producer({"bootstrap.servers": place.bootstrap})
        for number in range(times):
            producer.produce("lines", words[number % 3])
        producer.flush(30)

    def counts(wanted, timeout=180):
        """Reads until each word has at least its number."""
        consumer = Consumer(
            {"bootstrap.servers": place.bootstrap, "group.id": f"counts-{time.time()}"}
            | {"auto.offset.reset": "earliest"}
        )
        consumer.subscribe(["counts"])
        found, end = {}, time.monotonic() + timeout
        while time.monotonic() < end:
            message = consumer.poll(0.5)
            if message is not None and not message.error():
                number = int.from_bytes(message.value(), "big")
                found[message.key().decode()] = max(number, found.get(message.key().decode(), 0))
            if all(found.get(word, 0) >= number for word, number in wanted.items()):
                break
        consumer.close()
        return found

    def instance(number):
        state = place.directory / f"state-{number}"
        at = (place.bootstrap, "lines", "counts", state)
        command = java("streams", "WordCount", *at, "at_least_once")
        return daemon(place, f"streams-{number}", command, lambda: True)

    def count():
        for topic in ("lines", "counts"):
            create_topic(place.bootstrap, topic, 2)
        write(300)
        with instance(1):
            found = counts({"kafka": 300, "streams": 200, "hello": 100})
            assert found["kafka"] == 300 and found["hello"] == 100, found
            with instance(2):
                write(300)
                found = counts({"kafka": 600})
                assert found["kafka"] == 600, found
        with instance(3):
            write(300)
            # Its state comes from the changelog; at least once may count some twice.
            found = counts({"kafka": 900, "hello": 300})
        assert found["kafka"] >= 900 and found["hello"] >= 300, found

    return checks([("word count", count)])


def converters(place):
    return {
        "bootstrap.servers": place.bootstrap,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "plugin.discovery": "only_scan",
        "offset.flush.interval.ms": 500,
    }


def rest(port, path, body=None, method=None):
    """One call of Connect's REST API: the status and what it answered."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, ValueError) as error:
        # Before it serves, it answers with pages of its web server.
        return 0, str(error)


def file_connectors(place, kind):
    """A source that follows a file, and a sink that writes what the topic gets."""
    folder = place.directory
    topic = f"connect-{kind}"
    source = {
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "tasks.max": "1",
        "file": str(folder / f"{kind}.in"),
        "topic": topic,
    }
    sink = {
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "tasks.max": "1",
        "file": str(folder / f"{kind}.out"),
        "topics": topic,
    }
    return source, sink


def wait_for_lines(path, lines):
    text = "".join(f"{line}\n" for line in lines)
    harness.wait_until(lambda: path.exists() and path.read_text() == text, 120, f"{path} is full")


def standalone(place):
    port = harness.Ports.take()
    source, sink = file_connectors(place, "standalone")
    lines = [f"line {number}" for number in range(50)]
    (place.directory / "standalone.in").write_text("".join(f"{line}\n" for line in lines))
    worker = converters(place) | {
        "offset.storage.file.filename": place.directory / "offsets",
        "listeners": f"http://127.0.0.1:{port}",
    }
    files = [harness.write_properties(place.directory / "worker.properties", worker)]
    for name, settings in (("file-source", source), ("file-sink", sink)):
        path = place.directory / f"{name}.properties"
        files.append(harness.write_properties(path, {"name": name} | settings))
    command = java("connect", "org.apache.kafka.connect.cli.ConnectStandalone", *files)
    with daemon(place, "standalone", command, lambda: rest(port, "/connectors")[0] == 200):
        wait_for_lines(place.directory / "standalone.out", lines)
        assert sorted(rest(port, "/connectors")[1]) == ["file-sink", "file-source"]


def distributed(place):
    """Two workers that share the connectors through topics of Kafka."""
    ports = [harness.Ports.take() for _ in range(2)]
    source, sink = file_connectors(place, "distributed")
    read, written = place.directory / "distributed.in", place.directory / "distributed.out"
    lines = [f"line {number}" for number in range(50)]
    read.write_text("".join(f"{line}\n" for line in lines))
    commands = []
    for number, port in enumerate(ports):
        worker = converters(place) | {
            "group.id": "connect-cluster",
            "listeners": f"http://127.0.0.1:{port}",
            "scheduled.rebalance.max.delay.ms": 1000,
        }
        for kind in ("offset", "config", "status"):
            worker[f"{kind}.storage.topic"] = f"connect-{kind}s"
            worker[f"{kind}.storage.replication.factor"] = 1
        path = place.directory / f"worker-{number}.properties"
        harness.write_properties(path, worker)
        main = "org.apache.kafka.connect.cli.ConnectDistributed"
        commands.append(java("connect", main, path))
    ready = [lambda port=port: rest(port, "/connectors")[0] == 200 for port in ports]

    def states(port):
        found = []
        for name in ("file-source", "file-sink"):
            status, told = rest(port, f"/connectors/{name}/status")
            if status != 200 or not told["tasks"]:
                return None
            found += [told["connector"], *told["tasks"]]
        return found

    def all_run(port):
        found = states(port)
        return found and all(each["state"] == "RUNNING" for each in found)

    with daemon(place, "worker-0", commands[0], ready[0]):
        with daemon(place, "worker-1", commands[1], ready[1]) as second:
            for name, settings in (("file-source", source), ("file-sink", sink)):
                body = {"name": name, "config": settings}
                # Answered 409 while the workers rebalance.
                harness.wait_until(
                    lambda body=body: rest(ports[1], "/connectors", body)[0] == 201,
                    90,
                    f"{name} is created",
                    1,
                )
            wait_for_lines(written, lines)
            harness.wait_until(lambda: all_run(ports[0]), 60, "all tasks run", 1)
            workers = {each["worker_id"] for each in states(ports[0])}
            assert len(workers) == 2, workers
            assert rest(ports[0], "/connectors/file-source/config")[1]["topic"] == source["topic"]
            second.stop(60)
        harness.wait_until(lambda: all_run(ports[0]), 120, "all run on the worker that is left", 1)
        with open(read, "a") as more:
            more.write("the last line\n")
        wait_for_lines(written, [*lines, "the last line"])
        assert rest(ports[0], "/connectors/file-sink/pause", method="PUT")[0] == 202
        paused = lambda: states(ports[0])[-1]["state"] == "PAUSED"  # noqa: E731
        harness.wait_until(paused, 60, "the sink is paused", 1)
        for name in ("file-source", "file-sink"):
            assert rest(ports[0], f"/connectors/{name}", method="DELETE")[0] == 204
        gone = lambda: rest(ports[0], "/connectors") == (200, [])  # noqa: E731
        harness.wait_until(gone, 60, "both are gone", 1)


@client(
    "connect",
    "3.9.1",
    "standalone and two distributed workers with the file source and sink, through the REST API; "
    "one worker is stopped",
    when="long",
    install=lambda place: install("connect"),
)
def connect(place):
    return checks(
        [("standalone", lambda: standalone(place)), ("distributed", lambda: distributed(place))]
    )
