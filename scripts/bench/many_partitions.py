#!/usr/bin/env python3
"""How long it takes with many partitions: to create them, to stop a broker that
leads them, to fail over to another controller, and what an idle cluster costs.

    PROFILE=release .venv/bin/python scripts/bench/many_partitions.py [--only create1,...]

Prints one line per figure, with its target. `--brokers apache` measures Kafka
3.9.1 on the same coordinator instead.
"""

import argparse
import os
import pathlib
import re
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import harness  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from harness import wait_until  # noqa: E402
from replicated import IDS, Trio  # noqa: E402

LONG = 300
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(daemon):
    fields = pathlib.Path(f"/proc/{daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def gauge(broker, name):
    """A number of the broker's admin page."""
    config = pathlib.Path(broker.command[-1]).read_text()
    port = int(re.search(r"^admin.serverPort=(\d+)$", config, re.MULTILINE)[1])
    text = harness.http_get(port, "/metrics", timeout=30)[1]
    return int(re.search(rf"^kafka_{name} (\d+)", text, re.MULTILINE)[1])


def partitions_of(broker):
    return gauge(broker, "server_replicamanager_partitioncount")


def leaders_of(broker):
    return gauge(broker, "server_replicamanager_leadercount")


class Bench:
    def __init__(self, directory, kind):
        self.directory, self.kind = directory, kind

    def trio(self, name):
        home = pathlib.Path(self.directory) / name
        home.mkdir()
        keys = {"auto.leader.rebalance.enable": "false", "zookeeper.session.timeout.ms": 18000}
        return Trio(home, brokers=(self.kind,) * 3, keys=keys)

    def create(self, trio, topic, count, replicas):
        """Seconds from the request until every replica has its role."""
        admin = AdminClient({"bootstrap.servers": trio.bootstrap, "log_level": 0})
        assignment = [replicas(partition) for partition in range(count)]
        began = time.monotonic()
        new = NewTopic(topic, count, replica_assignment=assignment)
        admin.create_topics([new], request_timeout=LONG)[topic].result(LONG)
        answered = time.monotonic() - began
        wanted = {number: sum(number in each for each in assignment) for number in IDS}
        led = {number: sum(number == each[0] for each in assignment) for number in IDS}

        def done():
            if self.kind != "odradek":
                known = trio.metadata().topics.get(topic)
                parts = known.partitions.values() if known else []
                return len(parts) == count and all(part.leader >= 0 for part in parts)
            return all(
                partitions_of(trio.brokers[n]) >= wanted[n] and leaders_of(trio.brokers[n]) >= led[n]
                for n in IDS
                if trio.brokers[n].running()
            )

        wait_until(done, LONG, f"{count} partitions", 0.02)
        return answered, time.monotonic() - began

    def create1(self):
        """10 000 partitions RF1 on one broker: <= 3 s"""
        trio = self.trio("create1")
        try:
            trio.start()
            answered, took = self.create(trio, "t", 10_000, lambda _: [0])
            return f"{took:.2f} s (answer after {answered:.2f})"
        finally:
            trio.end()

    def create3(self):
        """3 000 partitions RF3 on three brokers: <= 3 s"""
        trio = self.trio("create3")
        try:
            trio.start()
            _, took = self.create(trio, "t", 3000, lambda p: [p % 3, (p + 1) % 3, (p + 2) % 3])
            return f"{took:.2f} s"
        finally:
            trio.end()

    def shutdown(self):
        """controlled shutdown of a broker with 3 000 leaders: <= 2 s"""
        trio = self.trio("shutdown")
        try:
            trio.start()
            stopped = next(n for n in IDS if n != trio.controller())
            order = [stopped, *(n for n in IDS if n != stopped)]
            self.create(trio, "t", 3000, lambda _: order)
            trio.wait_in_sync("t")
            began = time.monotonic()
            trio.brokers[stopped].stop(LONG)
            took = time.monotonic() - began
            moved = wait_until(
                lambda: all(p.leader not in (-1, stopped) for p in trio.partitions("t").values()),
                LONG,
                "others lead",
            )
            assert moved
            return f"{took:.2f} s"
        finally:
            trio.end()

    def failover(self):
        """controller failover at 10 000 partitions: <= 1 s"""
        trio = self.trio("failover")
        try:
            trio.start()
            self.create(trio, "t", 10_000, lambda p: [p % 3])
            old = trio.controller()
            trio.brokers[old].stop(LONG)
            others = [trio.brokers[n] for n in IDS if n != old]
            stamp = re.compile(r"^(\S+Z).*?(elected as the controller|ready to serve as the new)")

            def times():
                for broker in others:
                    found = {}
                    for line in broker.log.read_text().splitlines():
                        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
                        if match := stamp.match(plain):
                            found[match[2]] = match[1]
                    if len(found) == 2:
                        return [found]
                return None

            (found,) = wait_until(times, LONG, "another controller", 0.1)
            first, second = (
                time.mktime(time.strptime(each[:19], "%Y-%m-%dT%H:%M:%S")) + float("0" + each[19:-1])
                for each in (
                    found["elected as the controller"],
                    found["ready to serve as the new"],
                )
            )
            return f"{second - first:.2f} s from its election to its first elections"
        finally:
            trio.end()

    def idle(self):
        """idle cluster of 3 x 1 000 partitions: <= 1 % of a core"""
        seconds = 60
        trio = self.trio("idle")
        try:
            trio.start()
            self.create(trio, "t", 1000, lambda p: [p % 3, (p + 1) % 3, (p + 2) % 3])
            trio.wait_in_sync("t")
            time.sleep(20)
            daemons = [*trio.brokers, trio.coordinator]
            before = [cpu_seconds(daemon) for daemon in daemons]
            time.sleep(seconds)
            used = [cpu_seconds(each) - cpu for each, cpu in zip(daemons, before, strict=True)]
            each = ", ".join(f"{100 * cpu / seconds:.2f}" for cpu in used)
            return f"{100 * sum(used) / seconds:.2f} % ({each}; the last is the coordinator)"
        finally:
            trio.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["create1", "create3", "shutdown", "failover", "idle"]
    parser.add_argument("--only", default=",".join(names), help=", ".join(names))
    parser.add_argument("--brokers", default="odradek", choices=["odradek", "apache"])
    parser.add_argument("--dir", help="where the data goes (default: a temporary directory)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.dir) as directory:
        bench = Bench(directory, arguments.brokers)
        for name in arguments.only.split(","):
            measure = getattr(bench, name)
            print(f"{measure.__doc__}\n    {measure()}", flush=True)


if __name__ == "__main__":
    main()
