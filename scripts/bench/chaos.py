#!/usr/bin/env python3
"""Strikes brokers for as long as one likes, under load, and checks afterwards
that nothing acknowledged was lost.

    PROFILE=release .venv/bin/python scripts/bench/chaos.py --rounds 50 --seed 7

Each round strikes the leader, a follower or the controller: kill -9, SIGTERM,
a pause longer or shorter than the session, a wiped disk; with `--namespaces`,
as root, also cuts of the network, and with `--disks`, as root, full disks
(`strikes.py` says what each is; `starve` and `degrade` are only done by name). It prints the longest time without an
acknowledgement, and how long after the strike all replicas were in sync again.
After every tenth round (`--check-every`), and at the end, all records are read
back and the replicas' files compared. `--mix apache` has one broker of Apache's among them,
`--zookeeper` a real ZooKeeper below them. `--sequence` strikes with each fault
on each target in turn instead of by lot.
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from disks import Disks  # noqa: E402
from isolated import Isolated, refusal  # noqa: E402
from replicated import History, Trio, check  # noqa: E402
from strikes import ALL, ON_DISK, ON_NETWORK, ON_PROCESS, Strikes  # noqa: E402
from topic_load import TopicLoad  # noqa: E402
from witness import Witness  # noqa: E402

# Room for the records of a long run.
DISK_MB = 512
# Gaps in seconds of which a witness is asked the reasons.
LONG = 5
TARGETS = ("leader", "follower", "controller")


def faults_of(options):
    if options.faults:
        return options.faults.split(",")
    faults = list(ON_PROCESS)
    faults += ON_NETWORK if options.namespaces else ()
    faults += ON_DISK if options.disks else ()
    return faults


def plan(options, dice):
    """(fault, target) of each round."""
    faults, targets = faults_of(options), options.targets.split(",")
    pairs = [(fault, target) for fault in faults for target in targets]
    for round_ in range(options.rounds):
        yield pairs[round_ % len(pairs)] if options.sequence else dice.choice(pairs)


@contextlib.contextmanager
def directory_of(options):
    if not options.keep:
        with tempfile.TemporaryDirectory() as directory:
            yield directory
        return
    pathlib.Path(options.keep).mkdir(parents=True)
    yield options.keep


def strike(options, strikes, history, fault, target):
    """One round; the longest time that a partition went without an acknowledgement."""
    trio = strikes.trio
    history.take_gap()
    began = time.monotonic()
    number = strikes.strike(fault, target)
    struck = time.monotonic()
    history.wait_for_more()
    trio.wait_in_sync("chaos")
    healed = time.monotonic() - struck
    for _ in range(0, options.more, 1000):
        history.wait_for_more(min(options.more, 1000))
    stood_still = history.stood_still
    gap = history.take_gap()
    still = f" (this producer stood still for {stood_still:.1f} s)" if stood_still > 0.5 else ""
    print(
        f"broker {number} for {struck - began:.1f} s: longest gap {gap:.2f} s{still},"
        f" in sync after {healed:.1f} s, {history.count()} acknowledged,"
        f" load {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return gap


def tell_witness(witness):
    """What kept it waiting, if it waited long; the same again is told once."""
    gap, reasons = witness.take_gap()
    if gap < LONG:
        return
    now = time.monotonic()
    print(f"     the witness of partition {witness.partition} waited {gap:.2f} s")
    for (leader, reason), same in itertools.groupby(reasons, lambda each: each[1:]):
        times = [now - at for at, *_ in same]
        print(f"       {times[0]:.1f} to {times[-1]:.1f} s ago, broker {leader}: {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--rate", type=int, default=1000, help="records per second")
    parser.add_argument("--faults", default="", help=f"some of {','.join(ALL)}")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--times", default="2,8,20", help="seconds that pauses and cuts last")
    parser.add_argument("--mix", choices=("odradek", "apache"), default="odradek")
    parser.add_argument("--zookeeper", action="store_true")
    parser.add_argument("--namespaces", action="store_true")
    parser.add_argument("--disks", action="store_true")
    parser.add_argument("--keep", metavar="DIRECTORY", help="use this one, and leave its files")
    parser.add_argument("--topics", action="store_true", help="topics come and go meanwhile")
    parser.add_argument("--sequence", action="store_true")
    parser.add_argument("--witness", action="store_true", help="a second, plain producer beside")
    parser.add_argument("--key", action="append", default=[], metavar="NAME=VALUE", help="of brokers")
    parser.add_argument("--more", type=int, default=0, help="acknowledgements after each strike")
    parser.add_argument("--check-every", type=int, default=10, metavar="ROUNDS")
    options = parser.parse_args()
    if options.namespaces and options.disks:
        # After a storage error librdkafka begins a new epoch, in which it sends
        # again what timed out and may be there: duplicates of its own making.
        parser.error("--namespaces and --disks exclude each other")
    if options.namespaces and (reason := refusal()):
        parser.error(reason)
    print(f"seed {options.seed}")
    dice = random.Random(options.seed)
    keys = dict(key.split("=", 1) for key in options.key)
    gaps = {}
    with directory_of(options) as directory:
        if options.namespaces:
            trio = Isolated(directory, keys=keys)
        else:
            trio = Trio(
                directory,
                brokers=("odradek", "odradek", options.mix),
                coordinator="apache" if options.zookeeper else "odradek",
                keys=keys,
            )
        # A broker that is paused takes what it is sent and does not answer: what is
        # measured is how soon another leads, not how long a client hopes.
        trio.request_seconds = min(trio.request_seconds, 5)
        disks = Disks(trio)
        times = tuple(float(seconds) for seconds in options.times.split(","))
        strikes = Strikes(trio, disks, "chaos", dice, times)
        try:
            if options.disks and (reason := disks.make_small(DISK_MB)):
                parser.error(reason)
            trio.start()
            trio.create("chaos", partitions=3)
            history = History(trio, "chaos", options.rate)
            history.start()
            history.wait_for_more()
            witnesses = [Witness(trio, "chaos", index) for index in range(3)]
            for witness in witnesses if options.witness else ():
                witness.start()
            topics = TopicLoad(trio)
            if options.topics:
                topics.start()
            for round_, (fault, target) in enumerate(plan(options, dice), 1):
                print(f"{time.strftime('%T')} {round_:4} {fault:7} {target:10}", end=" ", flush=True)
                gap = strike(options, strikes, history, fault, target)
                gaps.setdefault((fault, target), []).append(gap)
                for witness in witnesses if options.witness else ():
                    tell_witness(witness)
                if round_ % options.check_every == 0 and round_ < options.rounds:
                    history.end()
                    check(trio, history, "chaos")
                    history = history.go_on(trio)
            for witness in witnesses if options.witness else ():
                witness.end()
            history.end()
            total = check(trio, history, "chaos")
            if options.topics:
                present, absent, unknown = topics.check()
                print(
                    f"{present + absent} topics created and {absent} deleted as acknowledged,"
                    f" {unknown} requests of unknown outcome"
                )
            print(f"{total} acknowledged records, none lost, none twice; replicas alike")
        finally:
            trio.end()
        assert not trio.panics(), trio.panics()
    for (fault, target), all_ in sorted(gaps.items()):
        print(
            f"{fault:7} {target:10} n={len(all_):3} gap median {statistics.median(all_):.2f} s,"
            f" max {max(all_):.2f} s"
        )


if __name__ == "__main__":
    main()
