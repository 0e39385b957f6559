#!/usr/bin/env python3
"""How a broker grows with its partitions and connections, beside Kafka 3.9.1.

growth.py [--partitions 1 10 100 1000 10000] [--connections 10 100 1000]
          [--megabytes 400] [--sides odradek kafka]

Each row is a fresh pair of daemons, so that no row pays for the one before it.
  partitions   one topic with that many, 16 KB batches to one partition after the
               other, 2 connections with 16 requests in flight: throughput, CPU,
               memory before and after, descriptors, and CPU while idle
  connections  one partition each for 10 of them, a 1 KB batch in flight on every
               connection: requests a second, CPU, memory

Needs the release binaries and the peers (scripts/test.sh prepares both). The
loader is Python: requests per second have its ceiling, CPU per request has not.
"""

import argparse
import os
import pathlib
import select
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import encoding  # noqa: E402
import loader  # noqa: E402
from compare import SERVERS, cpu_seconds, resident_mb  # noqa: E402
from harness import Cluster  # noqa: E402

TOPIC = "growth"
SENDERS, IN_FLIGHT = 2, 16
BATCH_RECORDS, RECORD_BYTES = 16, 1000
SHARED_PARTITIONS = 10
IDLE_SECONDS = 3
REQUESTS = 60_000


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def idle_cpu(pid):
    """CPU milliseconds per second while nobody asks for anything."""
    before = sum(cpu_seconds(pid))
    time.sleep(IDLE_SECONDS)
    return (sum(cpu_seconds(pid)) - before) / IDLE_SECONDS * 1000


def create(port, partitions):
    """Creates the topic; returns the seconds until its last partition takes records."""
    started = time.monotonic()
    with loader.connect(port) as connection:
        connection.settimeout(300)
        request = encoding.create_topic(TOPIC, partitions)
        loader.until_no_error(
            lambda: encoding.create_topic_error(TOPIC, encoding.answer_to(connection, request)),
            f"a topic of {partitions} partitions cannot be created",
            timeout=300,
        )
        for partition in {partitions - 1, partitions // 2, 0}:
            asking = encoding.fetch(TOPIC, partition, 0, 1, 1, wait_ms=0)
            loader.until_no_error(
                lambda asking=asking: encoding.fetch_error(TOPIC, encoding.answer_to(connection, asking)),
                f"partition {partition} has no leader",
                timeout=300,
            )
    return time.monotonic() - started


def send_to_all(port, partitions, batch, total):
    """`total` batches to one partition after the other; returns the seconds taken."""

    def work(number):
        own = range(number % partitions, partitions, SENDERS)
        requests = [encoding.produce(TOPIC, each, batch, each) for each in own]
        sent = answered = 0
        with loader.connect(port) as connection:
            answers = loader.ProduceAnswers(connection, TOPIC)
            while answered < total // SENDERS:
                room = min(IN_FLIGHT - (sent - answered), total // SENDERS - sent)
                for _ in range(room):
                    connection.sendall(requests[sent % len(requests)])
                    sent += 1
                answered += answers.receive()

    return loader.in_parallel(work)


def partitions_row(cluster, count, megabytes):
    port, pid = cluster.broker_port, cluster.broker.pid
    created = create(port, count)
    before = resident_mb(pid)
    batch = encoding.record_batch(BATCH_RECORDS, RECORD_BYTES)
    total = max(2 * count, int(megabytes * 1e6 / len(batch)))
    send_to_all(port, count, batch, 2 * count + 2000)
    used = sum(cpu_seconds(pid))
    seconds = send_to_all(port, count, batch, total)
    size = total * len(batch)
    return [
        ("created s", created, "{:.1f}"),
        ("MB/s", size / 1e6 / seconds, "{:.0f}"),
        ("CPU-s/GB", (sum(cpu_seconds(pid)) - used) / (size / 1e9), "{:.1f}"),
        ("empty MB", before, "{:.0f}"),
        ("loaded MB", resident_mb(pid), "{:.0f}"),
        ("descriptors", descriptors(pid), "{:.0f}"),
        ("idle CPU ms/s", idle_cpu(pid), "{:.1f}"),
    ]


class Sender:
    """One connection with one request in flight."""

    def __init__(self, port, number, batch):
        self.connection = loader.connect(port)
        partition = number % SHARED_PARTITIONS
        self.request = encoding.produce(TOPIC, partition, batch, partition)
        self.answers = loader.ProduceAnswers(self.connection, TOPIC)

    def send(self):
        self.connection.sendall(self.request)


def send_on_all(senders, total):
    """`total` requests, each connection waiting for its answer; returns the seconds."""
    waiting = select.epoll()
    by_descriptor = {each.connection.fileno(): each for each in senders}
    for descriptor in by_descriptor:
        waiting.register(descriptor, select.EPOLLIN)
    started, answered, sent = time.monotonic(), 0, len(senders)
    for sender in senders:
        sender.send()
    while answered < sent:
        for descriptor, _ in waiting.poll(60):
            sender = by_descriptor[descriptor]
            answered += sender.answers.receive()
            if sent < total:
                sender.send()
                sent += 1
    return time.monotonic() - started


def connections_row(cluster, count):
    port, pid = cluster.broker_port, cluster.broker.pid
    create(port, SHARED_PARTITIONS)
    before = resident_mb(pid)
    batch = encoding.record_batch(1, RECORD_BYTES)
    senders = [Sender(port, number, batch) for number in range(count)]
    send_on_all(senders, REQUESTS // 3)
    used = sum(cpu_seconds(pid))
    seconds = send_on_all(senders, REQUESTS)
    return [
        ("requests/s", REQUESTS / seconds, "{:.0f}"),
        ("CPU us/request", (sum(cpu_seconds(pid)) - used) / REQUESTS * 1e6, "{:.1f}"),
        ("empty MB", before, "{:.0f}"),
        ("loaded MB", resident_mb(pid), "{:.0f}"),
    ]


def measure(side, work):
    """One row on daemons of its own."""
    with tempfile.TemporaryDirectory(prefix="growth-") as directory:
        cluster = Cluster(pathlib.Path(directory), SERVERS[side])
        try:
            cluster.start()
            return work(cluster)
        finally:
            cluster.kill()


def table(title, sides, counts, work):
    print(f"\n{title}", flush=True)
    for count in counts:
        for side in sides:
            try:
                row = measure(side, lambda cluster, count=count: work(cluster, count))
                text = "  ".join(f"{name} {form.format(value)}" for name, value, form in row)
            except (RuntimeError, OSError, struct.error) as failure:
                text = f"failed: {failure}"
            print(f"{count:7} {side:8} {text}", flush=True)


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, nargs="*", default=[1, 10, 100, 1000, 10_000])
    parser.add_argument("--connections", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--megabytes", type=float, default=400)
    parser.add_argument("--sides", nargs="+", choices=SERVERS, default=list(SERVERS))
    return parser.parse_args()


def main():
    chosen = options()
    table(
        "partitions of one topic",
        chosen.sides,
        chosen.partitions,
        lambda cluster, count: partitions_row(cluster, count, chosen.megabytes),
    )
    table("connections", chosen.sides, chosen.connections, connections_row)


if __name__ == "__main__":
    main()
