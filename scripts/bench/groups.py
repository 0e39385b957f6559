#!/usr/bin/env python3
"""Measures consumer groups on Odradek's broker beside Apache Kafka 3.9.1, in one run.

groups.py [--pairs 3] [--quick] [--works rebalance ...] [--sides odradek kafka] [--json FILE]

  rebalance  2000 members of 200 groups join at once, work (a heartbeat every 3 s, a
             commit every second), and every third leaves at once; no commit may be
             lost and no group stuck
  commits    1000 members of 100 groups commit every 100 ms (open loop)
  flood      the same members commit as soon as their last commit is answered
  idle       5000 connections that asked once
  bounce     50 members of 5 groups work while the broker is stopped in good order
             and started again; then once more with kill -9

Each run has a new cluster (ours on our coordinator, Kafka's on ZooKeeper); the order
is A B B A. The members are `group_load` (Rust, one thread), whose own CPU time is
shown, for it must not be what is measured. `--quick` is a small form of everything,
to see that it works. Build first:

cargo build --release -p broker -p coordinator --bins --example group_load
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import harness  # noqa: E402
from compare import order, spread  # noqa: E402
from harness import Cluster, wait_until  # noqa: E402
from kafka import KafkaAdminClient  # noqa: E402
from kafka.admin import NewTopic  # noqa: E402

SERVERS = {"odradek": "odradek", "kafka": "apache"}
LOAD = harness.TARGET / "examples/group_load"
TOPIC, PARTITIONS, OPEN_FILES = "group-load", 12, 65_536
# A heap that Kafka does not fill, and its usual defaults where the harness has others.
HEAP = "1g"
KEYS = {"offsets.topic.num.partitions": 50, "group.initial.rebalance.delay.ms": 3000}
# Longer than the session (3 s) that a killed JVM broker leaves behind.
DEAD_SESSION = 5
# A JVM on a busy machine takes its time.
RESTART = 240

# name: (what group_load does, its options, those of --quick)
WORKS = {
    "rebalance": (
        "rebalance",
        {"groups": 200, "members": 10, "seconds": 30},
        {"groups": 20, "members": 5, "seconds": 3},
    ),
    "commits": (
        "commits",
        {"groups": 100, "members": 10, "commit-ms": 100, "warm-s": 20, "seconds": 30},
        {"groups": 10, "members": 5, "commit-ms": 100, "seconds": 3},
    ),
    "flood": (
        "commits",
        {"groups": 100, "members": 10, "commit-ms": 0, "warm-s": 20, "seconds": 30},
        {"groups": 10, "members": 5, "commit-ms": 0, "seconds": 3},
    ),
    "idle": ("idle", {"connections": 5000, "seconds": 10}, {"connections": 400, "seconds": 2}),
    "bounce": (
        "bounce",
        {"groups": 5, "members": 10, "commit-ms": 200, "seconds": 35},
        {"groups": 2, "members": 5, "commit-ms": 200, "seconds": 10},
    ),
    "kill": (
        "bounce",
        {"groups": 5, "members": 10, "commit-ms": 200, "seconds": 35},
        {"groups": 2, "members": 5, "commit-ms": 200, "seconds": 10},
    ),
}
# Of each work: (row, key, form, what our share of Kafka's is to be).
ROWS = {
    "rebalance": [
        ("all joined, s", "join_s", "{:.1f}", ""),
        ("settled without a third, s", "leave_s", "{:.1f}", ""),
        ("commits lost", "lost", "{:.0f}", "0"),
        ("groups stuck", "stuck", "{:.0f}", "0"),
        ("joins", "joins", "{:.0f}", ""),
        ("joins after the leaving", "rejoins", "{:.0f}", ""),
        ("CPU s to join", "join_cpu_s", "{:.2f}", ""),
        ("CPU at work, cores", "steady_cpu", "{:.3f}", ""),
        ("CPU s to leave", "leave_cpu_s", "{:.2f}", ""),
        ("CPU s, all", "cpu_s", "{:.2f}", "<= 0.3"),
        ("RSS MB", "rss_mb", "{:.0f}", "<= 0.1"),
        ("load's own CPU s", "load_cpu_s", "{:.2f}", ""),
    ],
    "commits": [
        ("commits/s", "commits_per_s", "{:.0f}", ""),
        ("p50 ms", "p50_ms", "{:.2f}", ""),
        ("p99 ms", "p99_ms", "{:.2f}", "<= 0.5"),
        ("p99.9 ms", "p999_ms", "{:.2f}", ""),
        ("CPU us/commit", "cpu_us", "{:.1f}", ""),
        ("RSS MB", "rss_mb", "{:.0f}", ""),
        ("commits lost", "lost", "{:.0f}", "0"),
        ("load's CPU us/commit", "load_us", "{:.1f}", ""),
    ],
    "idle": [
        ("KB each", "kb_each", "{:.1f}", "ours <= 20 KB"),
        ("CPU us to open", "cpu_us_each", "{:.0f}", ""),
        ("CPU while idle, cores", "idle_cpu", "{:.3f}", ""),
        ("RSS MB", "rss_mb", "{:.0f}", ""),
    ],
    "bounce": [
        ("commits lost or moved back", "lost", "{:.0f}", "0"),
        ("groups stuck", "stuck", "{:.0f}", "0"),
        ("rejoins", "rejoins", "{:.0f}", "<= Kafka's"),
        ("commits refused", "refused", "{:.0f}", ""),
        ("commits", "commits", "{:.0f}", ""),
        ("reconnects", "reconnects", "{:.0f}", ""),
    ],
}
flood = [row for row in ROWS["commits"] if row[1] != "commits_per_s"]
ROWS["flood"] = [("commits/s", "commits_per_s", "{:.0f}", ">= 2"), *flood]
ROWS["kill"] = ROWS["bounce"]


def create_topic(cluster):
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    admin.close()


def restart(cluster, hard):
    if hard:
        cluster.broker.kill()
        if not cluster.our_broker:
            time.sleep(DEAD_SESSION)
    else:
        cluster.broker.stop()
    cluster.restart_broker(timeout=RESTART)


def load(cluster, work, options):
    """Runs `group_load`; for `bounce` and `kill` the broker is restarted meanwhile."""
    does = WORKS[work][0]
    command = [LOAD, cluster.bootstrap, does, "--partitions", PARTITIONS]
    command += ["--pid", cluster.broker.pid]
    for name, value in options.items():
        command += [f"--{name}", value]
    command = [str(part) for part in command]
    if does != "bounce":
        return json.loads(harness.run(command, timeout=900))
    pipes = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.PIPE)
    with subprocess.Popen(command, **pipes, text=True) as process:
        assert process.stderr.readline() == "settled\n"
        time.sleep(3)
        restart(cluster, hard=work == "kill")
        out, complaint = process.communicate("restarted\n", timeout=900)
    if process.returncode:
        raise harness.Failed(complaint)
    return json.loads(out)


def run_once(side, work, quick, directory):
    cluster = Cluster(directory, SERVERS[side], overrides=KEYS, heap=HEAP)
    cluster.start()
    try:
        create_topic(cluster)
        wait_until(lambda: coordinates(cluster), 60, "a group coordinator", 0.2)
        return load(cluster, work, WORKS[work][2 if quick else 1])
    finally:
        cluster.close()


def coordinates(cluster):
    """Creates the topic of offsets, too; true once it has leaders."""
    admin = KafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    try:
        return admin.list_group_offsets("warm-up") is not None
    except Exception:  # noqa: BLE001
        return False
    finally:
        admin.close()


def table(results, sides):
    lines = []
    for work, rows in ROWS.items():
        runs = results.get(work)
        if not runs:
            continue
        lines.append(f"\n{work:28}" + "".join(f"{side:>26}" for side in sides) + f"{'ratio':>10}")
        for name, key, form, target in rows:
            values = [[run[key] for run in runs[side]] for side in sides]
            line = f"{name:28}" + "".join(f"{spread(each, form):>26}" for each in values)
            if len(sides) == 2:
                pairs = [ours / theirs for ours, theirs in zip(*values, strict=True) if theirs]
                ratio = f"{sorted(pairs)[len(pairs) // 2]:.2f}" if pairs else "-"
                line += f"{ratio:>10}  {target}"
            lines.append(line.rstrip())
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--sides", nargs="+", choices=list(SERVERS), default=list(SERVERS))
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most), most))
    pairs = arguments.pairs or (1 if arguments.quick else 3)
    results = {}
    for work in arguments.works:
        for pair, sides in order(arguments.sides, pairs):
            for side in sides:
                with tempfile.TemporaryDirectory() as directory:
                    figures = run_once(side, work, arguments.quick, directory)
                results.setdefault(work, {}).setdefault(side, []).append(figures)
                print(pair, side, work, json.dumps(figures), flush=True)
                if arguments.json:
                    arguments.json.write_text(json.dumps(results, indent=1))
        os.sync()
    print(table(results, arguments.sides))


if __name__ == "__main__":
    main()
