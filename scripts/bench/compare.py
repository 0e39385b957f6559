#!/usr/bin/env python3
"""Measures Odradek's broker beside Apache Kafka 3.9.1, both in one run.

compare.py [--pairs 5] [--gigabytes 2] [--sides odradek kafka] [--json FILE]

Produces 1 KB records (1000 per batch, 4 partitions, 2 connections with 4
requests in flight, acks=all) into a new topic and fetches all of them back.
Both clusters stay up; the order is A B B A ..., after one discarded run of each
(the JVM's compiler). Before each run a file of the run's size is written and
removed, because pages that the host took back would be billed as system time.

Needs the release binaries and the peers (scripts/test.sh prepares both).
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import loader  # noqa: E402
import wire  # noqa: E402
from harness import Cluster  # noqa: E402

SERVERS = {"odradek": "odradek", "kafka": "apache"}
TICKS = os.sysconf("SC_CLK_TCK")
FIGURES = [
    ("MB/s", "throughput", "{:.0f}"),
    ("user CPU-s/GB", "user", "{:.2f}"),
    ("system CPU-s/GB", "system", "{:.2f}"),
    ("CPU-s/GB", "cpu", "{:.2f}"),
    ("RSS MB", "rss", "{:.0f}"),
    ("loader CPU-s/GB", "loader", "{:.2f}"),
]


def cpu_seconds(pid):
    """(user, system) seconds that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def resident_mb(pid, field="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise KeyError(field)


def steal_seconds():
    return int(pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / TICKS


def touch_pages(directory, size):
    """Makes the kernel own `size` bytes of memory before the run needs them."""
    path = pathlib.Path(directory) / "touch"
    block = bytes(8 * 1024 * 1024)
    with open(path, "wb") as file:
        for _ in range(size // len(block) + 1):
            file.write(block)
    path.unlink()


def measure(cluster, work, size):
    """Runs `work`; returns the figures of the broker for `size` bytes."""
    pid, gigabytes = cluster.broker.pid, size / 1e9
    user, system = cpu_seconds(pid)
    stolen, own = steal_seconds(), time.process_time()
    seconds = work()
    user_after, system_after = cpu_seconds(pid)
    return {
        "throughput": size / 1e6 / seconds,
        "user": (user_after - user) / gigabytes,
        "system": (system_after - system) / gigabytes,
        "cpu": (user_after + system_after - user - system) / gigabytes,
        "rss": resident_mb(pid),
        "peak_rss": resident_mb(pid, "VmHWM"),
        "loader": (time.process_time() - own) / gigabytes,
        "steal": steal_seconds() - stolen,
        "seconds": seconds,
    }


def run_once(side, cluster, batch, batches, number):
    """One produce and one fetch on a new topic."""
    plan = loader.Plan(cluster.broker_port, f"bench-{number}", batch, batches)
    loader.create_topic(plan)
    os.sync()
    touch_pages(cluster.directory, plan.bytes * 6 // 5)
    figures = {
        "produce": measure(cluster, lambda: loader.produce(plan), plan.bytes),
        "fetch": measure(cluster, lambda: loader.fetch(plan), plan.bytes),
    }
    loader.delete_topic(plan)
    for name, values in figures.items():
        text = ", ".join(f"{form.format(values[key])} {unit}" for unit, key, form in FIGURES)
        print(f"{number:3} {side:8} {name:8} {text}", flush=True)
    return figures


def order(sides, pairs):
    """A B B A A B ...: neither side always runs first."""
    for pair in range(pairs):
        yield pair, sides if pair % 2 == 0 else sides[::-1]


def spread(values, form):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))}-{form.format(max(values))})"


def summary(results, sides):
    """The table: medians, smallest and largest, and ratios of the pairs."""
    lines = []
    for work in ["produce", "fetch"]:
        lines.append(f"\n{work:24}" + "".join(f"{side:>26}" for side in sides) + f"{'ratio':>24}")
        for unit, key, form in FIGURES:
            columns = [[run[work][key] for run in results[side]] for side in sides]
            line = f"  {unit:22}" + "".join(f"{spread(each, form):>26}" for each in columns)
            if len(sides) == 2 and all(columns[1]):
                ratios = [ours / theirs for ours, theirs in zip(*columns)]
                line += f"{spread(ratios, '{:.2f}'):>24}"
            lines.append(line)
    lines.append("\nmedian (smallest-largest); ratio is odradek / kafka, pair by pair")
    return "\n".join(lines)


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--record-bytes", type=int, default=1000)
    parser.add_argument("--sides", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--heap", default="1g", help="the heap of Kafka's JVM")
    parser.add_argument("--directory", help="where the data goes (default: a new temporary one)")
    parser.add_argument("--json", type=pathlib.Path, help="write every figure here")
    return parser.parse_args()


def main():
    chosen = options()
    batch = wire.record_batch(loader.RECORDS_PER_BATCH, chosen.record_bytes)
    batches = max(1, int(chosen.gigabytes * 1e9 / len(batch) / loader.PARTITIONS))
    results = {side: [] for side in chosen.sides}
    warm_up, number = {}, 0
    with tempfile.TemporaryDirectory(prefix="bench-", dir=chosen.directory) as directory:
        clusters = {}
        try:
            for side in chosen.sides:
                path = pathlib.Path(directory) / side
                clusters[side] = Cluster(path, SERVERS[side], {"file.delete.delay.ms": 1000}, chosen.heap)
                clusters[side].start()
            print("first runs (not counted)")
            for side in chosen.sides:
                warm_up[side] = run_once(side, clusters[side], batch, batches, number)
                number += 1
            print("counted runs")
            for _, sides in order(chosen.sides, chosen.pairs):
                for side in sides:
                    results[side].append(run_once(side, clusters[side], batch, batches, number))
                    number += 1
        finally:
            for cluster in clusters.values():
                cluster.kill()
    print(summary(results, chosen.sides))
    if chosen.json:
        everything = {"first": warm_up, "counted": results, "options": vars(chosen)}
        chosen.json.write_text(json.dumps(everything, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
