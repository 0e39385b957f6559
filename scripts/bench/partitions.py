#!/usr/bin/env python3
"""What many partitions and much data cost a broker: memory, descriptors, maps,
idle CPU, and the time a start takes.

partitions.py [--partitions 10000] [--gigabytes 5] [--idle 20] [--directory DIR]

  load      every partition gets two batches of 5 KB, so that its indexes are in use
  idle      the CPU that the broker uses while nobody asks anything
  start     the time from the start to the first acknowledged record
  restart   the same after kill -9
  data      the same with some gigabytes in four partitions

Needs the release binaries.
"""

import argparse
import pathlib
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import compare  # noqa: E402
import encoding  # noqa: E402
import loader  # noqa: E402
from harness import Cluster  # noqa: E402

TOPICS = 10
TIMED_OUT, EXISTS = 7, 36
BATCH_BYTES = 5000
PRODUCE_HEAD = struct.Struct(">hhi")


def produce_to_all(topic, count, batch):
    """One request with a batch for each partition."""
    body = PRODUCE_HEAD.pack(-1, -1, 60000) + struct.pack(">i", 1) + encoding.string(topic)
    body += struct.pack(">i", count)
    for partition in range(count):
        body += struct.pack(">ii", partition, len(batch)) + batch
    return encoding.request(encoding.PRODUCE, 0, body)


def errors_in(topic, count, answer):
    """The error code of each partition of a produce answer."""
    entry = struct.Struct(">ihqqq")
    at = 4 + 4 + 2 + len(topic) + 4
    return {entry.unpack_from(answer, at + each * entry.size)[1] for each in range(count)}


def process_figures(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    megabytes = {key: int(fields[key].split()[0]) / 1000 for key in ("VmRSS", "RssAnon", "RssFile")}
    descriptors = len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))
    maps = len(pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines())
    return megabytes | {"descriptors": descriptors, "maps": maps}


def show(name, figures):
    print(f"{name:24}" + "  ".join(f"{key} {value:.6g}" for key, value in figures.items()), flush=True)


def create(cluster, partitions):
    each = partitions // TOPICS
    names = [f"many-{number}" for number in range(TOPICS)]
    started = time.monotonic()
    with loader.connect(cluster.broker_port) as connection:
        for name in names:
            request = encoding.create_topic(name, each)
            # Afterwards it is there, even when the answer was that it takes long.
            loader.until_no_error(
                lambda n=name, r=request: encoding.create_topic_error(
                    n, encoding.answer_to(connection, r)
                )
                not in (0, TIMED_OUT, EXISTS),
                f"{name} cannot be created",
            )
    return names, each, time.monotonic() - started


def load(cluster, names, each):
    batch = encoding.record_batch(1, BATCH_BYTES)
    with loader.connect(cluster.broker_port) as connection:
        connection.settimeout(300)
        for name in names:
            request = produce_to_all(name, each, batch)
            for _ in range(2):
                loader.until_no_error(
                    lambda n=name, r=request: max(
                        errors_in(n, each, encoding.answer_to(connection, r))
                    ),
                    f"{name} is written",
                    timeout=300,
                )


def seconds_to_first_ack(cluster, topic):
    """Starts the broker; the time until a record is acknowledged."""
    batch = encoding.record_batch(1, 10)
    request = encoding.produce(topic, 0, batch, 0)
    started = time.monotonic()
    cluster.broker.spawn()
    while time.monotonic() < started + 300:
        try:
            with loader.connect(cluster.broker_port) as connection:
                while True:
                    answer = encoding.answer_to(connection, request)
                    if errors_in(topic, 1, answer) == {0}:
                        return time.monotonic() - started
                    time.sleep(0.002)
        except OSError:
            time.sleep(0.002)
    raise RuntimeError("no record was acknowledged")


def restarts(cluster, topic, count=3):
    for what, end in (("start", cluster.broker.stop), ("restart after kill -9", cluster.broker.kill)):
        taken = []
        for _ in range(count):
            end()
            taken.append(seconds_to_first_ack(cluster, topic))
            cluster.broker.wait_ready(60)
        show(what, {f"s {number}": each for number, each in enumerate(taken)})


def many(cluster, partitions, idle):
    empty = process_figures(cluster.broker.pid)
    show("empty", empty)
    names, each, seconds = create(cluster, partitions)
    load(cluster, names, each)
    loaded = process_figures(cluster.broker.pid)
    show("created", {"s": seconds})
    show(f"{partitions} partitions", loaded)
    grown = (loaded["VmRSS"] - empty["VmRSS"]) * 1000 / partitions
    anon = (loaded["RssAnon"] - empty["RssAnon"]) * 1000 / partitions
    show("each", {"KB": grown, "KB without files": anon})
    before = sum(compare.cpu_seconds(cluster.broker.pid))
    time.sleep(idle)
    used = sum(compare.cpu_seconds(cluster.broker.pid)) - before
    show("idle", {"CPU %": 100 * used / idle})
    restarts(cluster, names[0])
    show("after a restart", process_figures(cluster.broker.pid))


def much(cluster, gigabytes):
    batch = encoding.record_batch(1000, 1000)
    count = int(gigabytes * 1e9 / len(batch) / loader.PARTITIONS)
    plan = loader.Plan(cluster.broker_port, "much", batch, 1000, count, 4)
    loader.create_topic(plan)
    loader.produce(plan)
    restarts(cluster, "much")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--idle", type=float, default=20)
    parser.add_argument("--directory", default=None, help="where the files go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        if arguments.partitions:
            cluster = Cluster(pathlib.Path(directory) / "many").start()
            try:
                many(cluster, arguments.partitions, arguments.idle)
            finally:
                cluster.close()
        if arguments.gigabytes:
            cluster = Cluster(pathlib.Path(directory) / "much").start()
            try:
                much(cluster, arguments.gigabytes)
            finally:
                cluster.close()


if __name__ == "__main__":
    main()
