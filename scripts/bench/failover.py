#!/usr/bin/env python3
"""How long a producer waits when the leader is stopped or killed, ours and Kafka's.

failover.py [--rounds 10] [--sides odradek kafka] [--heap 512m]

Three brokers, replication factor 3, a session of 10 s; ours on our coordinator,
Kafka's on ZooKeeper 3.9.3. A kafka-python producer with acks=all and its defaults
sends 500 records a second to one partition while its leader is stopped (SIGTERM)
or killed (SIGKILL) in turn, and started again. The gap is the longest time between
two acknowledgements; kafka-python itself waits 0.1 s before it tries again. Needs
what scripts/test.sh prepares, and release binaries.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import threading
import time

from kafka import KafkaProducer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import wait_until  # noqa: E402
from replicated import Trio  # noqa: E402
from three import KINDS  # noqa: E402

TOPIC = "failover"
PERIOD = 0.002
HEAL = 120
KEYS = {"zookeeper.session.timeout.ms": 10000}


class Producer(threading.Thread):
    """Sends until it is ended, and knows when each record was acknowledged."""

    def __init__(self, bootstrap):
        super().__init__(name="producer")
        self.producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
        self.acknowledged, self.failed = [], []
        self.ended = threading.Event()

    def run(self):
        number = 0
        while not self.ended.wait(PERIOD):
            sent = self.producer.send(TOPIC, str(number).encode())
            sent.add_callback(lambda _: self.acknowledged.append(time.monotonic()))
            sent.add_errback(self.failed.append)
            number += 1
        self.producer.flush()
        self.producer.close()

    def longest_gap(self, since):
        """The longest time without an acknowledgement from `since` on."""
        times = [since] + [at for at in self.acknowledged if at >= since]
        return max((after - before for before, after in zip(times, times[1:])), default=0)

    def wait_for_one_after(self, moment):
        come = lambda: self.acknowledged and self.acknowledged[-1] > moment  # noqa: E731
        wait_until(come, HEAL, "an acknowledgement", 0.01)


def strike(trio, producer, fault):
    """One fault of the leader: the longest gap."""
    leader = trio.leader(TOPIC)
    since = time.monotonic()
    getattr(trio.brokers[leader], fault)()
    # What was acknowledged before the end is no answer of the next leader.
    producer.wait_for_one_after(max(time.monotonic(), since + 1))
    gap = producer.longest_gap(since)
    trio.start_again(leader)
    trio.wait_in_sync(TOPIC)
    return gap


def run_side(side, rounds, heap):
    brokers, coordinator = KINDS[side]
    gaps = {"stop": [], "kill": []}
    with tempfile.TemporaryDirectory(prefix="failover-") as directory:
        trio = Trio(directory, [brokers] * 3, coordinator, KEYS, heap)
        try:
            trio.start()
            trio.create(TOPIC, 1)
            trio.wait_in_sync(TOPIC)
            producer = Producer(trio.bootstrap.split(","))
            producer.start()
            producer.wait_for_one_after(time.monotonic())
            for number in range(2 * rounds):
                fault = ("stop", "kill")[number % 2]
                gap = strike(trio, producer, fault)
                gaps[fault].append(gap)
                print(f"{number:3} {side:8} {fault} {gap:.2f} s", flush=True)
            producer.ended.set()
            producer.join()
        finally:
            trio.end()
    return gaps, len(producer.acknowledged), len(producer.failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="of each fault")
    parser.add_argument("--sides", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--heap", default="512m", help="the heap of each JVM")
    chosen = parser.parse_args()
    for side in chosen.sides:
        gaps, acknowledged, failed = run_side(side, chosen.rounds, chosen.heap)
        print(f"{side}: {acknowledged} acknowledged, {failed} given up by the client")
        for fault, of in gaps.items():
            middle, longest = statistics.median(of), max(of)
            print(f"{side}: {fault} n={len(of)} median {middle:.2f} s, longest {longest:.2f} s")


if __name__ == "__main__":
    main()
