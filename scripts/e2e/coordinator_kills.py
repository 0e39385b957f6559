#!/usr/bin/env python3
"""Kills the coordinator with SIGKILL under load, and checks what it promised.

    .venv/bin/python scripts/e2e/coordinator_kills.py [--kills 200] [--seed N]

Writers keep requests in flight all the time: changes of a node of their own, nodes
with sequence numbers, deletions of some of them, and ephemerals of sessions that are
closed, left to expire or taken up again after the kill. After each restart:

- the value of each writer's node is the last acknowledged one, or a later one that
  was sent; no acknowledged node is missing, no acknowledged deletion is undone
- the server's zxid is not below any that it has told
- no sequence number was given twice, and the next ones are higher than all before
- an ephemeral is there as long as its session, with the same zxid, and its end is
  told once; a session's ephemerals go together
"""

import argparse
import collections
import os
import pathlib
import random
import sys
import tempfile
import threading

import harness
from zookeeper_wire import *  # noqa: F403

WRITERS = 4
BURST = 8
TIMEOUT_MS = 4000


class Writer(threading.Thread):
    """One connection that writes until it breaks."""

    def __init__(self, number, address, book):
        super().__init__(name=f"writer-{number}")
        self.number, self.address, self.book = number, address, book

    def run(self):
        try:
            client = Client(self.address, timeout=TIMEOUT_MS)
            while True:
                self.burst(client)
        except (EOFError, OSError):
            # The kill: what was not answered may have been done or not.
            pass

    def burst(self, client):
        book, me = self.book, self.number
        requests = []
        for _ in range(BURST):
            book.sent[me] += 1
            requests.append((SET, set_data(f"/w/{me}", b"%d" % book.sent[me])))
        prefix = "/s/a-" if me % 2 else "/s/b-"
        requests.append((CREATE, create(prefix, b"", OPEN, 2)))
        victim = None
        if book.mine[me] and book.random.random() < 0.3:
            victim = book.mine[me].pop()
            book.deleting.add(victim)
            requests.append((DELETE, at_version(victim)))
        values = iter(range(book.sent[me] - BURST + 1, book.sent[me] + 1))
        for xid, op in client.ask(*requests):
            frame = client.receive()
            answered, zxid, error = REPLY.unpack_from(frame)
            assert (answered, error) == (xid, 0), (answered, xid, error)
            book.zxid[me] = zxid
            if op == SET:
                book.acknowledged[me] = next(values)
            elif op == CREATE:
                name = Body(frame[16:], {}).text().decode()
                book.named(me, name)
            else:
                book.deleted.add(victim)


class Book:
    """What was sent, and what was acknowledged."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sent, self.acknowledged = [0] * WRITERS, [0] * WRITERS
        self.zxid = [0] * WRITERS
        self.mine = [[] for _ in range(WRITERS)]
        self.names, self.numbers, self.duplicates = set(), set(), []
        self.deleting, self.deleted = set(), set()
        self.floor = -1
        self.lock = threading.Lock()

    def named(self, writer, name):
        number = int(name[-10:])
        with self.lock:
            if number in self.numbers or number <= self.floor:
                self.duplicates.append(name)
            self.numbers.add(number)
            self.names.add(name)
        self.mine[writer].append(name)


class Ephemerals:
    """Sessions with ephemerals, and who hears of their ends."""

    COUNT = 3

    def __init__(self, address, book):
        self.address, self.book = address, book
        # By session id: its client, and the czxid by path.
        self.living, self.closing, self.left = {}, {}, {}
        self.closed = set()
        self.ends = collections.Counter()
        self.created = 0

    def open(self):
        client = Client(self.address, timeout=TIMEOUT_MS)
        nodes = {}
        for _ in range(self.COUNT):
            self.created += 1
            path = f"/e/{self.created}"
            error, _, fields, _ = client.call(CREATE2, create(path, b"", OPEN, 1))[-1]
            assert error == 0, error
            nodes[path] = fields[1]["czxid"]
        self.living[client.session] = client, nodes

    def close(self, session, wait):
        """Asks for the end of a session; unless one waits, the kill may come first."""
        client, nodes = self.living.pop(session)
        if wait:
            assert client.call(CLOSE, b"")[-1][0] == 0
            self.closed |= nodes.keys()
        else:
            client.ask((CLOSE, b""))
            self.closing[session] = nodes

    def watch(self):
        self.observer = Client(self.address, timeout=TIMEOUT_MS)
        assert self.observer.call(ADD_WATCH, at_version("/e", 1))[-1][0] == 0

    def listen(self):
        """Counts the ends that were told so far."""
        try:
            for event in self.observer.call(PING, b"", -2):
                if event[0] == "event" and event[2][:4] == i32(2):
                    self.ends[event[2][12:].decode()] += 1
        except (EOFError, OSError):
            pass


class Wrong(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Wrong(what)


class Trial:
    def __init__(self, directory, seed):
        ports = harness.Ports.take(), harness.Ports.take()
        keys = {"snapCount": 3000, "maxClientCnxns": 0}
        self.daemon = harness.odradek_coordinator(directory, *ports, keys)
        self.address = f"127.0.0.1:{ports[0]}"
        self.book = Book(seed)
        self.random = random.Random(seed + 1)
        self.ephemerals = Ephemerals(self.address, self.book)

    def run(self, kills):
        self.daemon.start()
        client = Client(self.address, timeout=TIMEOUT_MS)
        for path in ["/w", "/s", "/e", *(f"/w/{n}" for n in range(WRITERS))]:
            assert client.call(CREATE, create(path, b"0"))[-1][0] == 0
        client.call(CLOSE, b"")
        for _ in range(kills):
            self.round()
        self.finish()

    def round(self):
        ephemerals = self.ephemerals
        ephemerals.watch()
        writers = [Writer(number, self.address, self.book) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        ephemerals.open()
        ephemerals.open()
        goal = sum(self.book.acknowledged) + self.random.randrange(20, 600)
        harness.wait_until(
            lambda: sum(self.book.acknowledged) >= goal, 30, "the writers go on", interval=0.002
        )
        ephemerals.listen()
        session = self.random.choice(list(ephemerals.living))
        ephemerals.close(session, wait=self.random.random() < 0.5)
        if self.random.random() < 0.3 and ephemerals.living:
            # Nobody takes this one up again: it expires.
            session = self.random.choice(list(ephemerals.living))
            client, nodes = ephemerals.living.pop(session)
            ephemerals.left[session] = nodes
        self.daemon.kill()
        for writer in writers:
            writer.join(30)
            expect(not writer.is_alive(), "a writer hangs")
        self.daemon.start()
        self.check()

    def check(self):
        book = self.book
        client = Client(self.address, timeout=TIMEOUT_MS)
        error, zxid, _, _ = client.call(EXISTS, watching("/"))[-1]
        expect(error == 0 and zxid >= max(book.zxid), f"zxid {zxid:#x} was {max(book.zxid):#x}")
        for number in range(WRITERS):
            _, _, [data, _], _ = client.call(GET, watching(f"/w/{number}"))[-1]
            low, high = book.acknowledged[number], book.sent[number]
            expect(low <= int(data) <= high, f"/w/{number} is {data}, not {low} to {high}")
            # What was sent and not answered is decided now.
            book.acknowledged[number] = book.sent[number] = int(data)
        there = {f"/s/{name.decode()}" for name in client.call(CHILDREN, watching("/s"))[-1][2][0]}
        lost = book.names - book.deleting - there
        expect(not lost, f"acknowledged and gone: {sorted(lost)[:5]}")
        undone = book.deleted & there
        expect(not undone, f"deleted and there: {sorted(undone)[:5]}")
        numbers = [int(name[-10:]) for name in there]
        expect(len(set(numbers)) == len(numbers), "a sequence number is there twice")
        expect(not book.duplicates, f"given twice: {book.duplicates[:5]}")
        book.floor = max([book.floor, *numbers, *book.numbers])
        book.numbers.clear()
        book.names -= book.deleted
        self.check_ephemerals(client)
        client.call(CLOSE, b"")

    def check_ephemerals(self, client):
        ephemerals = self.ephemerals
        there = {f"/e/{name.decode()}" for name in client.call(CHILDREN, watching("/e"))[-1][2][0]}
        for session, (old, nodes) in list(ephemerals.living.items()):
            again = Client(self.address, session, old.password, 0, TIMEOUT_MS)
            expect(again.session == session, f"session {session:#x} is gone")
            for path, czxid in nodes.items():
                error, _, fields, _ = again.call(EXISTS, watching(path))[-1]
                expect(error == 0 and fields[0]["czxid"] == czxid, f"{path} of a living session")
                expect(fields[0]["owner"] == "mine", f"{path} has another owner")
            ephemerals.living[session] = again, nodes
        for session, nodes in list(ephemerals.closing.items()):
            left = there & nodes.keys()
            expect(not left or len(left) == len(nodes), f"half a session is gone: {left}")
            # One whose end did not arrive in time expires later.
            ephemerals.left[session] = ephemerals.closing.pop(session)
        expect(not there & ephemerals.closed, f"ended and there: {there & ephemerals.closed}")
        known = {path for _, nodes in ephemerals.living.values() for path in nodes}
        known |= {path for nodes in ephemerals.left.values() for path in nodes}
        expect(there <= known, f"nobody's ephemerals: {sorted(there - known)[:5]}")
        twice = [path for path, count in ephemerals.ends.items() if count > 1]
        expect(not twice, f"ended twice: {twice[:5]}")

    def finish(self):
        """All sessions end, and each ephemeral with its own, once."""
        ephemerals = self.ephemerals
        ephemerals.watch()
        for session in list(ephemerals.living):
            ephemerals.close(session, wait=True)

        def all_gone():
            ephemerals.listen()
            return not ephemerals.observer.call(CHILDREN, watching("/e"))[-1][2][0]

        harness.wait_until(all_gone, 30, "all ephemerals end")
        ephemerals.listen()
        twice = [path for path, count in ephemerals.ends.items() if count > 1]
        expect(not twice, f"ended twice: {twice[:5]}")
        error, _, fields, _ = ephemerals.observer.call(EXISTS, watching("/e"))[-1]
        expect(error == 0 and fields[0]["children"] == 0, "the parent counts children")
        expect(not self.daemon.panics(), "a panic")

    def close(self):
        self.daemon.kill()

    def report(self):
        book = self.book
        return (
            f"{sum(book.acknowledged)} changes, {book.floor + 1} sequence numbers, "
            f"{self.ephemerals.created} ephemerals: nothing lost, nothing twice"
        )


def trial(directory, kills, seed):
    """Runs it all; says what was checked, or raises `Wrong`."""
    run = Trial(pathlib.Path(directory), seed)
    try:
        run.run(kills)
        return run.report()
    finally:
        run.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="coordinator-kills-") as directory:
        try:
            print(f"{options.kills} kills, {trial(directory, options.kills, options.seed)}")
        except Wrong as wrong:
            sys.exit(f"WRONG: {wrong}")


if __name__ == "__main__":
    main()
