#!/usr/bin/env python3
"""What fetches cost that wait for records: CPU and memory of the broker.

waiting.py [--fetches 10000] [--seconds 5] [--servers odradek|apache]

Needs the binaries and the environment that scripts/test.sh prepares:
    .venv/bin/python scripts/bench/waiting.py

Each fetch has a connection of its own and waits for the end of one partition. The
figures: the CPU time per second while nothing happens, with and without those
fetches; the same while another partition is written to; how long it takes until
one record has answered them all; and, once the clients are gone in mid-wait, the
descriptors and the CPU time that are left.
"""

import argparse
import os
import pathlib
import socket
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import encoding  # noqa: E402
import harness  # noqa: E402
from compare import cpu_seconds, resident_mb  # noqa: E402

TOPIC = "waiting"
WAIT_MS = 10 * 60 * 1000


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def answer(port, data):
    with connect(port) as connection:
        return encoding.answer_to(connection, data)


def produce(port, partition, batch):
    """Writes a batch; tries again while the partition is being made."""
    data = encoding.produce(TOPIC, partition, batch, 1)
    layout = encoding.produce_answer(TOPIC)
    done = lambda: layout.unpack(struct.pack(">i", 0) + answer(port, data))[1] == 0  # noqa: E731
    harness.wait_until(done, 30, f"partition {partition} takes a record")


def wait_for_records(port, offset, count):
    """Connections with a fetch each that the broker has received."""
    asking = encoding.fetch(TOPIC, 0, offset, 1 << 20, 1, WAIT_MS)
    waiting = []
    for _ in range(count):
        connection = connect(port)
        connection.sendall(asking)
        waiting.append(connection)
    return waiting


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_per_second(pid, seconds):
    """Milliseconds of CPU time in each second, once it has settled."""
    time.sleep(2)
    before = sum(cpu_seconds(pid))
    time.sleep(seconds)
    return (sum(cpu_seconds(pid)) - before) * 1000 / seconds


def cpu_of_writes(port, pid, batch, count=500):
    """Microseconds of CPU time for a record on the partition that nobody waits for."""
    data = encoding.produce(TOPIC, 1, batch, 1)
    with connect(port) as connection:
        before = sum(cpu_seconds(pid))
        for _ in range(count):
            encoding.answer_to(connection, data)
    return (sum(cpu_seconds(pid)) - before) * 1e6 / count


def show(what, value, unit):
    print(f"{what:<58} {value:10.1f} {unit}", flush=True)


def run(cluster, options):
    port, pid = cluster.broker_port, cluster.broker.pid
    batch = encoding.record_batch(1, 100)
    answer(port, encoding.create_topic(TOPIC, 2))
    for partition in (0, 1):
        produce(port, partition, batch)
    files, memory = descriptors(pid), resident_mb(pid)
    show("CPU, nobody waits", cpu_per_second(pid, options.seconds), "ms/s")
    show("CPU of a write elsewhere, nobody waits", cpu_of_writes(port, pid, batch), "us")

    waiting = wait_for_records(port, 1, options.fetches)
    show(f"CPU, {options.fetches} fetches wait", cpu_per_second(pid, options.seconds), "ms/s")
    show("CPU of a write elsewhere, they wait", cpu_of_writes(port, pid, batch), "us")
    show("memory that they take", resident_mb(pid) - memory, "MB")
    started, before = time.monotonic(), sum(cpu_seconds(pid))
    produce(port, 0, batch)
    for connection in waiting:
        (size,) = struct.unpack(">i", encoding.receive(connection, 4))
        (error, length) = encoding.fetch_prefix(TOPIC, encoding.receive(connection, size))
        if error or length != len(batch):
            raise SystemExit(f"a fetch was answered with error {error}, {length} bytes")
    show("one record answers them all after", (time.monotonic() - started) * 1000, "ms")
    show("CPU of that, for each", (sum(cpu_seconds(pid)) - before) * 1e6 / options.fetches, "us")
    for connection in waiting:
        connection.close()

    for connection in wait_for_records(port, 2, options.fetches):
        connection.close()
    started = time.monotonic()
    gone = lambda: descriptors(pid) <= files + 5  # noqa: E731
    harness.wait_until(gone, 60, "the broker closes the connections of clients that left")
    show("clients that leave are noticed after", (time.monotonic() - started) * 1000, "ms")
    show("CPU, they have left", cpu_per_second(pid, options.seconds), "ms/s")
    show("CPU of a write there, they have left", cpu_of_writes(port, pid, batch), "us")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fetches", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--servers", choices=list(harness.SERVERS), default="odradek")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="waiting-") as directory:
        cluster = harness.Cluster(pathlib.Path(directory), options.servers)
        try:
            cluster.start()
            run(cluster, options)
        finally:
            cluster.kill()


if __name__ == "__main__":
    main()
