#!/usr/bin/env python3
"""Kills daemons many times under load, beyond what fits into the test suite.

kill_loop.py [--rounds 20] [--servers odradek] [--seed 1] [--acks all|1] [--keep]
             [broker|coordinator|both|compaction ...]

Needs the release binaries and the environment that scripts/test.sh prepares:
    .venv/bin/python scripts/e2e/kill_loop.py
"""

import argparse
import shutil
import sys
import tempfile

from faults import kill_loop
from harness import SERVERS, Cluster, Failed
from table import EAGER_CLEANER, create_table, kill_while_compacting


def loop(cluster, what, options):
    if what != "compaction":
        return kill_loop(
            cluster, what, options.rounds, options.seed, report=print, acks=options.acks
        )
    create_table(cluster.bootstrap, "table")
    return kill_while_compacting(cluster, "table", options.rounds, options.seed, report=print)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--acks", choices=["all", "1"], default="all")
    parser.add_argument("--servers", choices=list(SERVERS), default="odradek")
    parser.add_argument("--keep", action="store_true", help="keep the data and logs")
    parser.add_argument("what", nargs="*", default=["broker", "coordinator", "both"])
    options = parser.parse_args()
    failures = 0
    for what in options.what:
        directory = tempfile.mkdtemp(prefix=f"kill-{what}-")
        overrides = EAGER_CLEANER if what == "compaction" else {}
        cluster = Cluster(directory, options.servers, overrides)
        try:
            cluster.start()
            count = loop(cluster, what, options)
            cluster.close()
            print(f"{what}: {options.rounds} kills, {count} records, none lost")
            if not options.keep:
                shutil.rmtree(directory)
        except Failed as failed:
            failures += 1
            print(f"{what}: FAILED (data and logs in {directory})\n{failed}")
        finally:
            cluster.kill()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
