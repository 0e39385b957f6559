#!/usr/bin/env python3
"""Copies records in transactions from two partitions into three, while brokers and
copiers are killed and stopped, and checks that each was copied exactly once.

    PROFILE=release .venv/bin/python scripts/bench/transactions.py --rounds 20

Each round feeds a share of the records, strikes a broker or a copier (kill -9 or a
stop in good order), and waits until all replicas are in sync. `--mix apache` has
one broker of Apache's among the three, `--peer kafka4` copies with Kafka 4.1's
clients. `scripts/e2e/copying.py` says who copies and what is checked.
"""

import argparse
import pathlib
import random
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from copying import Copying, strikes  # noqa: E402
from replicated import Trio  # noqa: E402

KEYS = {"transaction.state.log.replication.factor": 3, "transaction.state.log.min.isr": 2}

# Records that must be copied after a strike before the next one.
MORE = 500


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--mix", choices=["none", "apache"], default="none")
    parser.add_argument("--peer", default="kafka39", help="whose Java clients copy")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    kinds = ("odradek", "odradek", "apache" if options.mix == "apache" else "odradek")
    with tempfile.TemporaryDirectory(prefix="transactions-") as directory:
        directory = pathlib.Path(directory)
        trio = Trio(directory, brokers=kinds, keys=KEYS)
        copying = None
        try:
            trio.start()
            copying = Copying(trio, directory, options.peer)
            copying.start()
            run(trio, copying, options)
        finally:
            if copying:
                copying.end()
            trio.end()
        panics = trio.panics()
        assert not panics, panics


def run(trio, copying, options):
    began = time.monotonic()
    share = options.records // options.rounds
    plan = strikes(copying, random.Random(options.seed))
    for round_ in range(options.rounds):
        copying.feed(share)
        name, strike = next(plan)
        before = copying.copied()
        started = time.monotonic()
        strike()
        trio.wait_in_sync("target")
        trio.wait_in_sync("__transaction_state")
        synced = time.monotonic() - started
        # The next one strikes what goes on again.
        copying.wait_for(min(before + MORE, copying.fed))
        copied = time.monotonic() - started
        print(
            f"{round_ + 1}: {name}; in sync after {synced:.1f} s,"
            f" {MORE} more copied after {copied:.1f} s; {before} of {copying.fed} before",
            flush=True,
        )
    copying.feed(options.records - copying.fed)
    count = copying.check()
    seconds = time.monotonic() - began
    print(f"{count} records, each copied once, {options.rounds} strikes, in {seconds:.0f} s")


if __name__ == "__main__":
    main()
