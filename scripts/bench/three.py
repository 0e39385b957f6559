#!/usr/bin/env python3
"""Measures three of our brokers beside three of Kafka 3.9.1, both in one run.

three.py [--pairs 3] [--gigabytes 1] [--sides odradek kafka] [--heap 512m]

Replication factor 3, min.insync.replicas 2, acks=all; ours on our coordinator,
Kafka's on ZooKeeper 3.9.3, all on this machine. Each workload on a new topic:
  produce     1 KB records, 1000 per batch, three partitions that different
              brokers lead, a connection to each leader with 4 requests in flight
  small       100 B records, 10 per batch, 16 requests in flight on each
  end to end  one 100 B record per batch, 1000 a second whatever happens (open
              loop), to a consumer that waits with a long poll

CPU and memory are those of the three brokers together. Order A B B A, after a
discarded run of each. Needs what scripts/test.sh prepares, and release binaries.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import compare  # noqa: E402
import encoding  # noqa: E402
import latency  # noqa: E402
import loader  # noqa: E402
from replicated import IDS, Trio  # noqa: E402

KINDS = {"odradek": ("odradek", "odradek"), "kafka": ("apache", "apache")}
SMALL_REQUESTS, SMALL_IN_FLIGHT = 60_000, 16
RATE_PER_SECOND, RATE_RECORDS = 1000, 8000
FIGURES = {
    "produce": compare.BULK[:4],
    "small": [
        ("requests/s", "rate", "{:.0f}"),
        ("CPU us/request", "cpu_us", "{:.1f}"),
    ],
    "end to end": compare.FIGURES["end to end"],
    "memory": [("RSS MB of three", "rss", "{:.0f}")],
}


def cpu(trio):
    """(user, system) seconds of the three brokers."""
    used = [compare.cpu_seconds(broker.pid) for broker in trio.brokers]
    return tuple(map(sum, zip(*used)))


def memory(trio):
    return sum(compare.resident_mb(broker.pid) for broker in trio.brokers)


def measure(trio, work):
    before, started = cpu(trio), time.monotonic()
    seconds = work() or time.monotonic() - started
    user, system = (after - was for after, was in zip(cpu(trio), before))
    return {"user": user, "system": system, "loader": 0.0, "seconds": seconds}


def leaders(trio, topic):
    """The port of each partition's leader."""
    known = trio.partitions(topic)
    return {number: trio.ports[each.leader] for number, each in known.items()}


def send(port, topic, partition, batch, count, in_flight):
    request = encoding.produce(topic, partition, batch, 1)
    sent = answered = 0
    with loader.connect(port) as connection:
        answers = loader.ProduceAnswers(connection, topic)
        while answered < count:
            room = min(in_flight - (sent - answered), count - sent)
            if room:
                connection.sendall(request * room)
                sent += room
            answered += answers.receive()


def produce(trio, topic, batch, per_partition, in_flight):
    """The same to every partition at a time; returns the seconds taken."""
    ports = leaders(trio, topic)

    def work(partition):
        send(ports[partition], topic, partition, batch, per_partition, in_flight)

    return loader.in_parallel(work, len(ports))


def bulk(trio, number, gigabytes):
    batch = encoding.record_batch(1000, 1000)
    topic, count = f"bulk-{number}", int(gigabytes * 1e9 / len(batch) / len(IDS))
    trio.create(topic, len(IDS))
    os.sync()
    # Three replicas of it: see compare.py.
    compare.touch_pages(trio.directory, int(gigabytes * 1e9 * 3 * 6 / 5))
    figures = measure(trio, lambda: produce(trio, topic, batch, count, 4))
    return compare.per_gigabyte(figures, count * len(IDS) * len(batch))


def small(trio, number):
    batch = encoding.record_batch(10, 100)
    topic = f"small-{number}"
    trio.create(topic, len(IDS))
    count = SMALL_REQUESTS // len(IDS)
    figures = measure(trio, lambda: produce(trio, topic, batch, count, SMALL_IN_FLIGHT))
    return compare.per_request(figures, SMALL_REQUESTS)


def end_to_end(trio, number):
    batch = encoding.record_batch(1, 100)
    topic = f"rate-{number}"
    trio.create(topic, 1)
    os.sync()
    rate = latency.Rate(leaders(trio, topic)[0], topic, batch, RATE_RECORDS, RATE_PER_SECOND)
    latencies = []
    figures = measure(trio, lambda: latencies.extend(latency.measure(rate)))
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    shares = {name: latency.percentile(latencies, each) for name, each in shares.items()}
    return compare.per_request(figures, RATE_RECORDS) | shares


def run_once(side, trio, number, gigabytes):
    figures = {
        "produce": bulk(trio, number, gigabytes),
        "small": small(trio, number),
        "end to end": end_to_end(trio, number),
        "memory": {"rss": memory(trio)},
    }
    for name, values in figures.items():
        text = ", ".join(f"{form.format(values[key])} {unit}" for unit, key, form in FIGURES[name])
        print(f"{number:3} {side:8} {name:10} {text}", flush=True)
    return figures


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--sides", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--heap", default="512m", help="the heap of each JVM")
    return parser.parse_args()


def main():
    chosen = options()
    results = {side: [] for side in chosen.sides}
    number = 0
    with tempfile.TemporaryDirectory(prefix="three-") as directory:
        trios = {}
        try:
            for side in chosen.sides:
                brokers, coordinator = KINDS[side]
                home = pathlib.Path(directory) / side
                home.mkdir()
                keys = {"file.delete.delay.ms": 1000}
                trios[side] = Trio(home, [brokers] * 3, coordinator, keys, chosen.heap)
                trios[side].start()
            for side in chosen.sides:
                run_once(side, trios[side], number, chosen.gigabytes)
                number += 1
            print("counted runs")
            for _, sides in compare.order(chosen.sides, chosen.pairs):
                for side in sides:
                    results[side].append(run_once(side, trios[side], number, chosen.gigabytes))
                    number += 1
        finally:
            for trio in trios.values():
                trio.end()
    print(compare.summary(results, chosen.sides, FIGURES))


if __name__ == "__main__":
    main()
