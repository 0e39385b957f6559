#!/usr/bin/env python3
"""Runs real clients against fresh daemons; see scripts/clients.sh.

Flow: each named client is installed, its cluster started, its function called;
the outcomes are judged by `known/NAME.txt`, printed, and with `--write` put into
the table of README.md. Exits 0 if every test ended as it should, and not worse
than the table says.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import network  # noqa: E402
import results  # noqa: E402
from core import CLIENTS, Place  # noqa: E402

results.load_clients()


def run(each, options):
    """Runs one client; returns its outcomes, or None if the run itself failed."""
    with tempfile.TemporaryDirectory(prefix=f"clients-{each.name}-") as directory:
        if options.keep:
            directory = pathlib.Path(options.keep) / each.name
            shutil.rmtree(directory, ignore_errors=True)
        place = Place(each, directory, options.servers)
        place.directory.mkdir(parents=True, exist_ok=True)
        try:
            if each.install and not options.inside:
                each.install(place)
            if each.standard and not options.inside:
                return network.run_inside(each, place)
            place.start()
            return each.run(place)
        except Exception:  # noqa: BLE001 - the next client is still to be run
            traceback.print_exc()
            return None
        finally:
            if place.cluster:
                place.stop()


def report(each, servers, outcomes, seconds):
    """Prints what came out; is it as it should be?"""
    if not outcomes:
        print(f"{each.name} {each.version} on {servers}: the run failed")
        return False
    wrong = results.judge(outcomes, results.known(each.name, servers))
    print(f"{each.name} {each.version} on {servers}: {results.result(outcomes)} ({seconds:.0f} s)")
    for line in wrong:
        print(f"  {line}")
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--servers", default="odradek", choices=["odradek", "apache"])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--keep", metavar="DIR")
    parser.add_argument("--inside", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.names) - set(CLIENTS)
    if unknown:
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    names = list(CLIENTS) if options.all else options.names
    if not names:
        for each in CLIENTS.values():
            print(f"{each.name:24} {each.version:16} {each.what}")
        return
    if options.inside:
        each = CLIENTS[names[0]]
        network.enter(each)
        outcomes = run(each, options)
        pathlib.Path(options.inside).write_text(json.dumps(outcomes))
        return
    good = True
    for name in names:
        each = CLIENTS[name]
        begun = time.monotonic()
        outcomes = run(each, options)
        good &= report(each, options.servers, outcomes, time.monotonic() - begun)
        if options.write and outcomes and options.servers == "odradek":
            results.write(each, outcomes)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
