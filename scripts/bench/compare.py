#!/usr/bin/env python3
"""Measures Odradek's broker beside Apache Kafka 3.9.1, both in one run.

compare.py [--pairs 5] [--gigabytes 2] [--record-bytes 1000] [--json FILE]
           [--sides odradek kafka] [--works bulk small end-to-end]

Four workloads (produce and fetch are `bulk`), each on a new topic, all acks=all:
  produce     1 KB records, 1000 per batch, 4 partitions, 2 connections with 4
              requests in flight
  fetch       all of them back, one batch per request, 4 requests in flight
  small       produce of 100 B records, 10 per batch, 16 requests in flight
  end to end  one 100 B record per batch, 2000 a second whatever happens (open
              loop), to a consumer that waits with a long poll

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
import latency  # noqa: E402
import loader  # noqa: E402
import encoding  # noqa: E402
from harness import Cluster  # noqa: E402

SERVERS = {"odradek": "odradek", "kafka": "apache"}
TICKS = os.sysconf("SC_CLK_TCK")
RECORDS_PER_BATCH, IN_FLIGHT = 1000, 4
SMALL_RECORD, SMALL_PER_BATCH, SMALL_IN_FLIGHT, SMALL_REQUESTS = 100, 10, 16, 100_000
RATE_PER_SECOND, RATE_RECORDS = 2000, 10_000

WORKS = ["bulk", "small", "end-to-end"]

# Of each workload: (unit, key, form).
BULK = [
    ("MB/s", "throughput", "{:.0f}"),
    ("user CPU-s/GB", "user_gb", "{:.2f}"),
    ("system CPU-s/GB", "system_gb", "{:.2f}"),
    ("CPU-s/GB", "cpu_gb", "{:.2f}"),
    ("RSS MB", "rss", "{:.0f}"),
    ("loader CPU-s/GB", "loader_gb", "{:.2f}"),
]
FIGURES = {
    "produce": BULK,
    "fetch": BULK,
    "small": [
        ("requests/s", "rate", "{:.0f}"),
        ("user CPU us/request", "user_us", "{:.1f}"),
        ("system CPU us/request", "system_us", "{:.1f}"),
        ("loader CPU us/request", "loader_us", "{:.1f}"),
    ],
    "end to end": [
        ("p50 ms", "p50", "{:.2f}"),
        ("p99 ms", "p99", "{:.1f}"),
        ("p99.9 ms", "p99.9", "{:.1f}"),
        ("CPU us/record", "cpu_us", "{:.0f}"),
    ],
}


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


def measure(cluster, work):
    """Runs `work`, which returns the seconds that count, if not all of them do."""
    pid = cluster.broker.pid
    user, system = cpu_seconds(pid)
    stolen, own, started = steal_seconds(), time.process_time(), time.monotonic()
    seconds = work() or time.monotonic() - started
    user_after, system_after = cpu_seconds(pid)
    return {
        "user": user_after - user,
        "system": system_after - system,
        "rss": resident_mb(pid),
        "peak_rss": resident_mb(pid, "VmHWM"),
        "loader": time.process_time() - own,
        "steal": steal_seconds() - stolen,
        "seconds": seconds,
    }


def per_gigabyte(figures, size):
    """Adds what a throughput is judged by."""
    gigabytes = size / 1e9
    shares = {f"{key}_gb": figures[key] / gigabytes for key in ["user", "system", "loader"]}
    shares["cpu_gb"] = shares["user_gb"] + shares["system_gb"]
    return figures | shares | {"throughput": size / 1e6 / figures["seconds"]}


def per_request(figures, requests):
    """Adds what many small requests are judged by."""
    shares = {f"{key}_us": figures[key] / requests * 1e6 for key in ["user", "system", "loader"]}
    shares["cpu_us"] = shares["user_us"] + shares["system_us"]
    return figures | shares | {"rate": requests / figures["seconds"]}


def on_new_topic(cluster, plan, work):
    """Runs `work` on the plan's topic; the topic is gone afterwards."""
    loader.create_topic(plan)
    os.sync()
    touch_pages(cluster.directory, plan.bytes * 6 // 5)
    figures = work()
    loader.delete_topic(plan)
    return figures


def bulk(cluster, batch, batches, number):
    plan = loader.Plan(
        cluster.broker_port, f"bulk-{number}", batch, RECORDS_PER_BATCH, batches, IN_FLIGHT
    )
    return on_new_topic(
        cluster,
        plan,
        lambda: {
            "produce": per_gigabyte(measure(cluster, lambda: loader.produce(plan)), plan.bytes),
            "fetch": per_gigabyte(measure(cluster, lambda: loader.fetch(plan)), plan.bytes),
        },
    )


def small(cluster, number):
    batch = encoding.record_batch(SMALL_PER_BATCH, SMALL_RECORD)
    batches = SMALL_REQUESTS // loader.PARTITIONS
    plan = loader.Plan(
        cluster.broker_port, f"small-{number}", batch, SMALL_PER_BATCH, batches, SMALL_IN_FLIGHT
    )
    run = lambda: per_request(measure(cluster, lambda: loader.produce(plan)), SMALL_REQUESTS)  # noqa: E731
    return on_new_topic(cluster, plan, run)


def end_to_end(cluster, number):
    batch = encoding.record_batch(1, SMALL_RECORD)
    plan = loader.Plan(cluster.broker_port, f"rate-{number}", batch, 1, RATE_RECORDS, 1)
    rate = latency.Rate(plan.port, plan.topic, batch, RATE_RECORDS, RATE_PER_SECOND)
    latencies = []
    run = lambda: measure(cluster, lambda: latencies.extend(latency.measure(rate)))  # noqa: E731
    figures = per_request(on_new_topic(cluster, plan, run), RATE_RECORDS)
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
    return figures | {name: latency.percentile(latencies, each) for name, each in shares.items()}


def run_once(side, cluster, chosen, number):
    """The chosen workloads, each on a new topic."""
    figures = {}
    if "bulk" in chosen.works:
        batch = encoding.record_batch(RECORDS_PER_BATCH, chosen.record_bytes)
        batches = max(1, int(chosen.gigabytes * 1e9 / len(batch) / loader.PARTITIONS))
        figures |= bulk(cluster, batch, batches, number)
    if "small" in chosen.works:
        figures["small"] = small(cluster, number)
    if "end-to-end" in chosen.works:
        figures["end to end"] = end_to_end(cluster, number)
    for name, values in figures.items():
        text = ", ".join(f"{form.format(values[key])} {unit}" for unit, key, form in FIGURES[name])
        print(f"{number:3} {side:8} {name:10} {text}", flush=True)
    return figures


def order(sides, pairs):
    """A B B A A B ...: neither side always runs first."""
    for pair in range(pairs):
        yield pair, sides if pair % 2 == 0 else sides[::-1]


def spread(values, form):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))}-{form.format(max(values))})"


def summary(results, sides, rows_of=FIGURES):
    """The table: medians, smallest and largest, and ratios of the pairs."""
    lines = []
    for work, rows in rows_of.items():
        if work not in results[sides[0]][0]:
            continue
        lines.append(f"\n{work:24}" + "".join(f"{side:>26}" for side in sides) + f"{'ratio':>24}")
        for unit, key, form in rows:
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
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--sides", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--heap", default="1g", help="the heap of Kafka's JVM")
    parser.add_argument("--directory", help="where the data goes (default: a new temporary one)")
    parser.add_argument("--json", type=pathlib.Path, help="write every figure here")
    return parser.parse_args()


def main():
    chosen = options()
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
                warm_up[side] = run_once(side, clusters[side], chosen, number)
                number += 1
            print("counted runs")
            for _, sides in order(chosen.sides, chosen.pairs):
                for side in sides:
                    results[side].append(run_once(side, clusters[side], chosen, number))
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
