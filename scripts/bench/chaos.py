#!/usr/bin/env python3
"""Kills, stops and pauses brokers for as long as one likes, under load, and
checks afterwards that nothing acknowledged was lost.

    PROFILE=release .venv/bin/python scripts/bench/chaos.py --rounds 50 --seed 7

Each round strikes the leader, a follower or the controller with kill -9,
SIGTERM, or a pause longer or shorter than the session, and prints the longest
time without an acknowledgement. After every tenth round, and at the end, all
records are read back and the replicas' files compared. `--mix apache` has one
broker of Apache's among them, `--zookeeper` a real ZooKeeper below them.
`--namespaces`, as root, puts each broker in a network namespace of its own, so
that `--faults isolate,oneway` can cut it off, or let its packets to one of the
others get lost, for some seconds.
"""

import argparse
import pathlib
import random
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from isolated import Isolated, refusal  # noqa: E402
from replicated import IDS, History, Trio, check  # noqa: E402

FAULTS = ("kill", "stop", "pause")
TARGETS = ("leader", "follower", "controller")


def strike(trio, fault, target, dice):
    number = {
        "leader": lambda: trio.leader("chaos"),
        "follower": lambda: trio.follower("chaos"),
        "controller": trio.controller,
    }[target]()
    if fault == "kill":
        trio.bounce_hard(number)
    elif fault == "stop":
        trio.bounce_clean(number)
    elif fault == "isolate":
        trio.isolate(number)
        time.sleep(dice.choice((2, 8, 20)))
        trio.heal()
    elif fault == "oneway":
        trio.lose_packets(number, dice.choice([n for n in IDS if n != number]))
        time.sleep(dice.choice((2, 8, 20)))
        trio.heal()
    else:
        trio.pause(number, dice.choice((2, 8, 20)))
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--rate", type=int, default=1000, help="records per second")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--mix", choices=("odradek", "apache"), default="odradek")
    parser.add_argument("--zookeeper", action="store_true")
    parser.add_argument("--namespaces", action="store_true")
    options = parser.parse_args()
    if options.namespaces and (reason := refusal()):
        parser.error(reason)
    print(f"seed {options.seed}")
    dice = random.Random(options.seed)
    gaps = {}
    with tempfile.TemporaryDirectory() as directory:
        if options.namespaces:
            trio = Isolated(directory)
        else:
            trio = Trio(
                directory,
                brokers=("odradek", "odradek", options.mix),
                coordinator="apache" if options.zookeeper else "odradek",
            )
        try:
            trio.start()
            trio.create("chaos", partitions=3)
            history = History(trio, "chaos", options.rate)
            history.start()
            history.wait_for_more()
            for round_ in range(1, options.rounds + 1):
                fault = dice.choice(options.faults.split(","))
                target = dice.choice(options.targets.split(","))
                history.take_gap()
                number = strike(trio, fault, target, dice)
                history.wait_for_more()
                trio.wait_in_sync("chaos")
                gap = history.take_gap()
                gaps.setdefault((fault, target), []).append(gap)
                print(
                    f"{round_:4} {fault:5} {target:10} broker {number}: longest gap {gap:.2f} s,"
                    f" {history.count()} acknowledged",
                    flush=True,
                )
                if round_ % 10 == 0 and round_ < options.rounds:
                    history.end()
                    check(trio, history, "chaos")
                    history = history.go_on(trio)
            history.end()
            total = check(trio, history, "chaos")
            print(f"{total} acknowledged records, none lost, none twice; replicas alike")
        finally:
            trio.end()
        assert not trio.panics(), trio.panics()
    for (fault, target), all_ in sorted(gaps.items()):
        print(
            f"{fault:5} {target:10} n={len(all_):3} gap median {statistics.median(all_):.2f} s,"
            f" max {max(all_):.2f} s"
        )


if __name__ == "__main__":
    main()
