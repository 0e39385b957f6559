"""Clients of all generations, as commands that write and read records.

Each knows a message format: 0 (no times), 1 (times) or 2 (headers too). What a
record loses between a writer and a reader is what one of them does not know.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import sys
import time

import harness
from harness import run

HERE = pathlib.Path(__file__).parent / "clients"
# Built programs lie with the daemons, whatever the profile.
BUILT = harness.TARGET.parent / "clients"
RELEASES = pathlib.Path(sys.prefix)
OLD_CODECS = ("none", "gzip", "snappy", "lz4")
CODECS = (*OLD_CODECS, "zstd")


@dataclasses.dataclass(frozen=True)
class Client:
    name: str
    format: int
    codecs: tuple
    command: tuple

    def write(self, bootstrap, topic, codec, records):
        stdin = "".join(json.dumps(record) + "\n" for record in records)
        self._run("write", bootstrap, topic, codec, stdin=stdin)

    def read(self, bootstrap, topic, count):
        printed = self._run("read", bootstrap, topic, count)
        # Some loggers of the JVM write between the records.
        return [json.loads(line) for line in printed.splitlines() if line.startswith("{")]

    def _run(self, *arguments, stdin=""):
        command = [*self.command, *arguments]
        return run(command, timeout=120, stdin=stdin)

    def __str__(self):
        return self.name.replace("/", "-")


class Kcat(Client):
    """Reads only: its lines cannot tell null from empty when it writes."""

    def read(self, bootstrap, topic, count):
        command = [*self.command, "-b", bootstrap, "-t", topic, "-p", 0, "-o", "beginning"]
        printed = run([*command, "-C", "-J", "-q", "-c", count], timeout=120)
        records = []
        for got in map(json.loads, printed.splitlines()):
            names = got.get("headers", [])
            records.append(
                {
                    "offset": got["offset"],
                    "timestamp": got.get("ts"),
                    "key": got["key"],
                    "value": got["payload"],
                    "headers": [list(pair) for pair in zip(names[::2], names[1::2])],
                }
            )
        return records


def python_client(name, folder, format, codecs=CODECS):
    folder = RELEASES / folder if folder != "-" else folder
    command = (sys.executable, HERE / "client.py", name, folder)
    title = f"{folder.name}/{name.partition('/')[2]}" if folder != "-" else name
    return Client(title, format, codecs, command)


def java_client(peer, format, codecs):
    home = harness.PEERS / peer
    classes = f"{BUILT}:{home}/libs/*"
    log = f"-Dlog4j.configuration=file:{home}/log4j.properties"
    # Short programs start sooner without the optimising compiler.
    quick = ("-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
    return Client(f"java-{peer}", format, codecs, ("java", *quick, log, "-cp", classes, "Client"))


def go_client(name, format, codecs):
    return Client(name, format, codecs, (BUILT / "go-clients", name))


PYTHON = [
    python_client("pykafka/0.9.0", "pykafka-2.8.0", 0, ("none", "gzip", "snappy")),
    python_client("pykafka/0.10.2", "pykafka-2.8.0", 1, ("none", "gzip", "snappy")),
    python_client("kafka-python/0.9", "kafka-python-1.4.7", 0, OLD_CODECS),
    python_client("kafka-python/0.10", "kafka-python-1.4.7", 1, OLD_CODECS),
    python_client("kafka-python/-", "kafka-python-1.4.7", 2, OLD_CODECS),
    python_client("kafka-python/-", "kafka-python-2.0.2", 2),
    python_client("kafka-python/-", "-", 2),
    python_client("confluent/-", "-", 2),
]
GO = [
    # Its zstd needs a C library, which this build does without.
    go_client("shopify/-", 0, ("none", "gzip", "snappy")),
    go_client("shopify/0.10.2.0", 1, OLD_CODECS),
    go_client("shopify/2.0.0", 2, OLD_CODECS),
    go_client("sarama/-", 2, CODECS),
    go_client("sarama/0.10.2.0", 1, OLD_CODECS),
    go_client("franz/-", 2, CODECS),
]
JAVA = [
    java_client("clients10", 1, OLD_CODECS),
    java_client("kafka11", 2, OLD_CODECS),
    java_client("kafka28", 2, CODECS),
    java_client("kafka39", 2, CODECS),
    java_client("kafka4", 2, CODECS),
]
KCAT = Kcat("kcat", 2, (), ("kcat",))
WRITERS = [*PYTHON, *GO, *JAVA]
READERS = [*WRITERS, KCAT]


def build():
    """Builds what is not a script; returns at once when nothing changed."""
    BUILT.mkdir(parents=True, exist_ok=True)
    go = ["go", "build", "-C", HERE / "go", "-o", BUILT / "go-clients", "."]
    # Without C, the build takes seconds instead of minutes.
    run(go, timeout=600, environment={"CGO_ENABLED": "0"})
    source = HERE / "java/Client.java"
    built = BUILT / "Client.class"
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        libraries = harness.PEERS / "kafka39/libs/*"
        javac = ["javac", "-nowarn", "--release", "8", "-Xlint:-options", "-d", BUILT]
        run([*javac, "-cp", libraries, source], timeout=120)


def records(count):
    """With and without keys, headers and values; times of now."""
    now = int(time.time() * 1000)
    all_records = []
    for number in range(count):
        value = "" if number % 7 == 3 else f"value {number} " + "x" * (number % 50)
        # Old releases of kafka-python want one of the two.
        if number % 11 == 5 and number % 4 != 1:
            value = None
        # No null among them: kafka-python 1.4.7 cannot read that.
        headers = [["h", str(number)], ["h", "again"]] if number % 3 == 0 else []
        all_records.append(
            {
                "timestamp": now + number,
                "key": None if number % 4 == 1 else f"key-{number % 5}",
                "value": value,
                "headers": headers,
            }
        )
    return all_records


def expected(written, writer, reader):
    """What `reader` must see of what `writer` wrote."""
    format = min(writer.format, reader.format)
    return [
        {
            "offset": offset,
            "timestamp": record["timestamp"] if format >= 1 else None,
            "key": record["key"],
            "value": record["value"],
            "headers": record["headers"] if format == 2 else [],
        }
        for offset, record in enumerate(written)
    ]


def seen(got, writer, reader):
    """What was read, without what stands for nothing in each client."""
    if min(writer.format, reader.format) == 0:
        got = [record | {"timestamp": None} for record in got]
    return [record | {"headers": record["headers"] or []} for record in got]


def in_parallel(jobs, workers=None):
    """Runs the jobs some at a time; gives their results in order."""
    workers = workers or max(2, os.cpu_count() or 2)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda job: job(), jobs))

