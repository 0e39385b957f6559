#!/usr/bin/env python3
"""Measures Odradek's coordinator beside ZooKeeper 3.9.3, both in one run.

coordinator.py [--pairs 5] [--quick] [--sides odradek zookeeper]
               [--works set-1 ...] [--skip-large] [--json FILE]

Both servers stay up with fsync on; the JVM is warmed up by runs that are not
counted; the order of a pair's sides is A B B A. `zk_load` (Rust, one thread,
pipelined) is the load; its CPU time is in the table, to show that it is not the
limit. Then each side alone: memory when empty, with a million nodes of 100 bytes,
and the time of a start with these.

Needs Java, the peers (scripts/test.sh prepares them) and release builds:
cargo build --release -p coordinator --bins --example zk_load
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import PEERS, TARGET, Daemon, Failed, Ports, four_letter, wait_until, write_properties  # noqa: E402

LOAD = TARGET / "examples/zk_load"
OPEN_FILES = 10_000
# As zkServer.sh gives it.
HEAP_MB = 1000
LARGE, LARGE_QUICK = 1_000_000, 100_000

# name: (what zk_load does, clients, in flight each, operations)
WORKS = {
    "set-1": ("set", 1, 1, 8_000),
    "set-8x64": ("set", 8, 64, 120_000),
    "create-8x64": ("create", 8, 64, 80_000),
    "multi-4x10": ("multi", 4, 10, 60_000),
    "get-1": ("get", 1, 1, 20_000),
    "get-8x64": ("get", 8, 64, 300_000),
    "sessions-1000": ("sessions", 1, 1, 1_000),
    "watches-500": ("watches", 500, 1, 0),
}
# name: (row of the table, key of zk_load's report, form, target for the ratio, more is better)
ROWS = [
    ("set-1", "set 100 B, 1 client, ops/s", "rate", "{:.0f}", 2, True),
    ("set-1", "  p50 ms", "p50_ms", "{:.3f}", None, False),
    ("set-1", "  p99 ms", "p99_ms", "{:.3f}", None, False),
    ("set-1", "  CPU us/op", "server_us", "{:.1f}", None, False),
    ("set-8x64", "set 8 x 64, ops/s", "rate", "{:.0f}", 2, True),
    ("set-8x64", "  p50 ms", "p50_ms", "{:.2f}", None, False),
    ("set-8x64", "  p99 ms", "p99_ms", "{:.2f}", 0.5, False),
    ("set-8x64", "  CPU us/op", "server_us", "{:.1f}", None, False),
    ("set-8x64", "  (load client, CPU us/op)", "client_us", "{:.1f}", None, False),
    ("create-8x64", "create 8 x 64, ops/s", "rate", "{:.0f}", 2, True),
    ("create-8x64", "  CPU us/op", "server_us", "{:.1f}", None, False),
    ("multi-4x10", "multi check+set 4 x 10, ops/s", "rate", "{:.0f}", 2, True),
    ("multi-4x10", "  p99 ms", "p99_ms", "{:.2f}", None, False),
    ("multi-4x10", "  CPU us/op", "server_us", "{:.1f}", None, False),
    ("get-1", "get 1 client, ops/s", "rate", "{:.0f}", None, True),
    ("get-1", "  p50 ms", "p50_ms", "{:.3f}", None, False),
    ("get-1", "  CPU us/op", "server_us", "{:.1f}", None, False),
    ("get-8x64", "get 8 x 64, ops/s", "rate", "{:.0f}", 2, True),
    ("get-8x64", "  p99 ms", "p99_ms", "{:.2f}", None, False),
    ("get-8x64", "  CPU us/op", "server_us", "{:.2f}", 0.4, False),
    ("get-8x64", "  (load client, CPU us/op)", "client_us", "{:.2f}", None, False),
    ("sessions-1000", "1 000 sessions opened, s", "seconds", "{:.3f}", 0.5, False),
    ("watches-500", "500 watches on a node fired, ms", "p50_ms", "{:.2f}", 0.5, False),
]
# (row of the table, key, form, target for the ratio)
LARGE_ROWS = [
    ("memory when empty (<= 20), MB", "empty_mb", "{:.0f}", None),
    ("5 000 idle sessions, bytes each", "session_bytes", "{:.0f}", None),
    ("100 000 watches, bytes each", "watch_bytes", "{:.0f}", None),
    ("CPU of 5 s with no client, ms", "idle_ms", "{:.0f}", None),
    ("nodes created, 1/s", "fill_rate", "{:.0f}", None),
    ("memory with the nodes, MB", "filled_mb", "{:.0f}", 0.3),
    ("start with the nodes, s", "start_s", "{:.2f}", 0.3),
    ("memory after that start, MB", "started_mb", "{:.0f}", 0.3),
]


class Peer(Daemon):
    """A daemon in the session of its load.

    The kernel shares the CPUs among sessions first, so in one of its own a daemon
    would be measured against whatever else the machine does.
    """

    def spawn(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
            )


def odradek(directory, port):
    config = write_properties(
        directory / "coordinator.properties",
        {
            "clientPort": port,
            "dataDir": directory / "data",
            "maxClientCnxns": 0,
            "admin.enableServer": "false",
        },
    )
    ready = lambda: "Mode:" in four_letter(port, "srvr")  # noqa: E731
    return Peer("odradek", [TARGET / "coordinator", config], directory / "log", ready)


def zookeeper(directory, port):
    config = write_properties(
        directory / "zoo.cfg",
        {
            "clientPort": port,
            "dataDir": directory / "data",
            "tickTime": 2000,
            "maxClientCnxns": 0,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
        },
    )
    command = [PEERS / "zookeeper/run", "org.apache.zookeeper.server.quorum.QuorumPeerMain", config]
    ready = lambda: "Mode:" in four_letter(port, "srvr")  # noqa: E731
    environment = {"HEAP": f"{HEAP_MB}m", "JAVA_OPTS": "-Xms32m"}
    return Peer("zookeeper", command, directory / "log", ready, environment)


SERVERS = {"odradek": odradek, "zookeeper": zookeeper}


class Server:
    """One side: its daemon, its port, and the load that it is given."""

    def __init__(self, side, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True)
        self.port = Ports.take()
        self.daemon = SERVERS[side](self.directory, self.port)
        self.runs = 0

    def load(self, work, clients, in_flight, operations):
        self.runs += 1
        counts = {"clients": clients, "in-flight": in_flight, "ops": operations}
        counts |= {"run": self.runs, "pid": self.daemon.pid}
        options = [f"--{name}={value}" for name, value in counts.items()]
        command = [LOAD, f"127.0.0.1:{self.port}", work, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise Failed(f"{command}: {done.stderr}\n{self.daemon.tail()}")
        return json.loads(done.stdout)

    def memory_mb(self):
        for line in pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise Failed("no VmRSS")

    def cpu_ms(self):
        fields = pathlib.Path(f"/proc/{self.daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def counted(name, quick):
    work, clients, in_flight, operations = WORKS[name]
    # Sessions are few already.
    return work, clients, in_flight, operations if not quick or work == "sessions" else operations // 4


def show(side, name, report):
    print(
        f"  {side:10} {name:14} {report['rate']:9.0f}/s p50 {report['p50_ms']:8.3f} "
        f"p99 {report['p99_ms']:8.3f} ms, CPU {report['server_us']:6.1f} us/op",
        flush=True,
    )


def under_load(chosen, directory):
    """Every work in pairs; {work: {side: [report, ...]}}."""
    servers = {side: Server(side, directory / side) for side in chosen.sides}
    results = {name: {side: [] for side in servers} for name in chosen.works}
    try:
        for side, server in servers.items():
            server.daemon.start()
        print("warming up (not counted)")
        for name in chosen.works:
            for side, server in servers.items():
                for _ in range(3 if side == "zookeeper" else 1):
                    report = server.load(*counted(name, chosen.quick))
                show(side, name, report)
        print("counted")
        for name in chosen.works:
            for pair in range(chosen.pairs):
                order = chosen.sides if pair % 2 == 0 else chosen.sides[::-1]
                for side in order:
                    report = servers[side].load(*counted(name, chosen.quick))
                    results[name][side].append(report)
                    show(side, name, report)
    finally:
        for server in servers.values():
            server.daemon.kill()
    return results


def when_idle(side, directory):
    """New servers alone: what one uses without clients, and with idle ones."""
    figures = {}
    for work, name in [(("sessions", 1, 1, 5_000), "session_bytes"), (("watching", 100, 50, 100_000), "watch_bytes")]:
        server = Server(side, directory / f"{side}-{name}")
        try:
            server.daemon.start()
            time.sleep(2)
            figures["empty_mb"], before = server.memory_mb(), server.cpu_ms()
            time.sleep(5)
            figures["idle_ms"] = server.cpu_ms() - before
            figures[name] = server.load(*work)["bytes"]
        finally:
            server.daemon.kill()
    return figures


def with_many_nodes(side, directory, nodes):
    """One new server alone: its memory, and its start with many nodes."""
    server = Server(side, directory / f"{side}-large")
    try:
        server.daemon.start()
        fill = server.load("fill", 8, 64, nodes)
        # What the last snapshot needs for a while is not what the nodes need.
        time.sleep(5)
        filled = server.memory_mb()
        server.daemon.stop()
        started = time.monotonic()
        server.daemon.spawn()
        wait_until(server.daemon.ready, 300, f"{side} serves", interval=0.01)
        seconds = time.monotonic() - started
        time.sleep(2)
        return {
            "fill_rate": fill["rate"],
            "filled_mb": filled,
            "start_s": seconds,
            "started_mb": server.memory_mb(),
        }
    finally:
        server.daemon.kill()


def spread(values, form):
    low, middle, high = (form.format(f(values)) for f in (min, statistics.median, max))
    return middle if len(values) == 1 else f"{middle} ({low}-{high})"


def verdict(ratio, target, more_is_better):
    if target is None:
        return ""
    holds = ratio >= target if more_is_better else ratio <= target
    sign = ">=" if more_is_better else "<="
    return f"{sign} {target} {'holds' if holds else 'MISSED'}"


def line(title, columns, form, target, more_is_better):
    text = f"{title:34}" + "".join(f"{spread(values, form):>28}" for values in columns)
    if len(columns) == 2 and all(columns[1]):
        ratios = [ours / theirs for ours, theirs in zip(*columns)]
        text += f"{spread(ratios, '{:.2f}'):>20}   "
        text += verdict(statistics.median(ratios), target, more_is_better)
    return text


def table(results, large, sides):
    lines = ["", f"{'':34}" + "".join(f"{side:>28}" for side in sides) + f"{'ratio of pairs':>20}   target"]
    for name, title, key, form, target, more_is_better in ROWS:
        if name in results:
            columns = [[report[key] for report in results[name][side]] for side in sides]
            lines.append(line(title, columns, form, target, more_is_better))
    for title, key, form, target in LARGE_ROWS if large else []:
        columns = [[large[side][key]] for side in sides]
        lines.append(line(title, columns, form, target, key == "fill_rate"))
    lines.append("median (smallest-largest) of the runs; ratio is odradek / zookeeper, pair by pair")
    return "\n".join(lines)


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fewer operations and nodes")
    parser.add_argument("--sides", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--works", nargs="*", choices=WORKS, default=list(WORKS))
    parser.add_argument("--skip-large", action="store_true", help="leave out the million nodes")
    parser.add_argument("--directory", help="where the data goes (default: a new temporary one)")
    parser.add_argument("--json", type=pathlib.Path, help="write every figure here")
    return parser.parse_args()


def main():
    chosen = options()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, most), most))
    nodes = LARGE_QUICK if chosen.quick else LARGE
    large = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=chosen.directory) as directory:
        results = under_load(chosen, pathlib.Path(directory)) if chosen.works else {}
        if not chosen.skip_large:
            print(f"{nodes} nodes of 100 bytes")
            for side in chosen.sides:
                path = pathlib.Path(directory)
                large[side] = when_idle(side, path) | with_many_nodes(side, path, nodes)
                print(f"  {side:10} {large[side]}", flush=True)
                os.sync()
    print(table(results, large, chosen.sides))
    if chosen.json:
        everything = {"works": results, "large": large, "options": vars(chosen)}
        chosen.json.write_text(json.dumps(everything, indent=2, default=str) + "\n")


if __name__ == "__main__":
    main()
