#!/usr/bin/env python3
"""How long a follower that was away needs to catch up while its leader serves.

    PROFILE=release .venv/bin/python scripts/bench/catch_up.py --gigabytes 2

Three brokers keep three replicas of one partition. One follower is stopped, the
others take the records; then it is started again, with `--wipe` on an empty
disk, while numbered records go on being sent with acks=all. Told are the time
from its start until it is in sync again, the processor time of both ends, and
the longest time without an acknowledgement meanwhile.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from confluent_kafka import Producer  # noqa: E402
from disks import Disks  # noqa: E402
from harness import wait_until  # noqa: E402
from replicated import IDS, History, Trio, check  # noqa: E402

RECORD_BYTES = 100_000
WAIT_MAX = 600


def cpu_seconds(pid):
    """User and system time of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(trio, topic, gigabytes):
    """Sends that much to the topic's first partition."""
    settings = {
        "bootstrap.servers": trio.bootstrap,
        "acks": "all",
        "batch.size": 1 << 20,
        "linger.ms": 20,
        "queue.buffering.max.kbytes": 1 << 18,
        "log_level": 0,
    }
    producer, failed = Producer(settings), []
    value = bytes(range(256)) * (RECORD_BYTES // 256)

    def note(error, _):
        if error:
            failed.append(error)

    for _ in range(int(gigabytes * 1e9) // len(value)):
        while True:
            try:
                producer.produce(topic, value, partition=0, on_delivery=note)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(WAIT_MAX)
    assert not failed, failed[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--wipe", action="store_true", help="the follower has nothing at all")
    parser.add_argument("--fetchers", type=int, default=1, help="num.replica.fetchers")
    parser.add_argument("--directory", help="where the logs go; by default a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        trio = Trio(directory, keys={"num.replica.fetchers": options.fetchers})
        try:
            trio.start()
            trio.create("big", partitions=1)
            trio.create("live", partitions=1)
            follower = next(
                n for n in IDS if n not in (trio.leader("big"), trio.leader("live"))
            )
            trio.brokers[follower].stop()
            if options.wipe:
                Disks(trio).wipe(follower)
            load(trio, "big", options.gigabytes)
            history = History(trio, "live")
            history.start()
            history.wait_for_more(500)
            history.take_gap()
            leader = trio.brokers[trio.leader("big")]
            leader_before = cpu_seconds(leader.pid)
            started = time.monotonic()
            trio.brokers[follower].start()
            in_sync = lambda: trio.leaders_in_sync(follower, "big")  # noqa: E731
            wait_until(in_sync, WAIT_MAX, "the follower is in sync")
            took, gap = time.monotonic() - started, history.take_gap()
            of_leader = cpu_seconds(leader.pid) - leader_before
            of_follower = cpu_seconds(trio.brokers[follower].pid)
            history.end()
            check(trio, history, "live")
            rate = options.gigabytes * 1000 / took
            print(
                f"{options.gigabytes} GB in {took:.1f} s, {rate:.0f} MB/s; CPU-s of the follower"
                f" {of_follower:.1f}, of the leader {of_leader:.1f};"
                f" longest gap between acknowledgements {gap:.2f} s"
            )
        finally:
            trio.end()
        assert not trio.panics(), trio.panics()


if __name__ == "__main__":
    main()
