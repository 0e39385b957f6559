#!/usr/bin/env python3
"""Generated operations on our coordinator and on a real ZooKeeper, side by side.

    .venv/bin/python scripts/e2e/differential.py [--operations 100000] [--seed N] [--long]

Several sessions send bursts of pipelined requests: all operations, ACLs, watches of
every kind, multis, bad paths and versions, bytes that are no request, sessions that
are closed, moved and taken up again. Both servers get the same bytes; every answer,
event and end of a connection must be the same and in the same order. Only times,
session ids and what ZooKeeper itself has in no order may differ (`zookeeper_wire`).

One burst is answered before the next is sent, so that both servers have the same
history. The seed decides everything; it is printed, and the first difference ends
the run with the requests before it.
"""

import argparse
import collections
import os
import pathlib
import struct
import sys
import tempfile

from generated_requests import UNKNOWN, USERS, Generator
from zookeeper_pair import Pair
from zookeeper_wire import *  # noqa: F403

SESSIONS = 6
ADMIN = "super:test"
SHOWN_MAX = 12


class Side:
    """One of the two servers, with its connections by session number."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.owners = {}
        self.clients = {}

    def connect(self, number, key, old=None, seen=0):
        """A new session, or an old client's again; what the server says to it."""
        session, password = (old.session, old.password) if old else (0, NO_PASSWORD)
        try:
            client = Client(self.address, session, password, seen, 9000)
        except EOFError:
            self.clients.pop(number, None)
            return "refused"
        self.clients[number] = client
        if client.session:
            self.owners[client.session] = key
        client.owners = self.owners
        return client.timeout, self.owners.get(client.session, client.session)

    def answers(self, number, asked):
        """What comes until all is answered or the connection ends."""
        client, seen, open_requests = self.clients[number], [], list(asked)
        while open_requests:
            try:
                frame = client.receive()
            except EOFError:
                seen.append("end")
                break
            xid, zxid, error = REPLY.unpack_from(frame)
            if xid == -1:
                kind, state = struct.unpack_from(">ii", frame, 16)
                seen.append(("event", zxid, kind, state, frame[28:]))
                continue
            expected, op = open_requests.pop(0)
            body = Body(frame[16:], self.owners)
            try:
                fields = body.of(op) if error == 0 else []
            except struct.error:
                fields = "not an answer to this operation"
            seen.append((xid - expected, zxid, error, op, fields, body.rest))
        return in_order(seen)


def in_order(seen):
    """The ephemerals of a session go in one transaction and in no order: so do the
    events about them."""
    result, events = [], []
    for each in [*seen, None]:
        if each is not None and each[0] == "event" and (not events or events[0][1] == each[1] > 0):
            events.append(each)
            continue
        result += sorted(events)
        events = []
        if each is not None:
            (events if each[0] == "event" else result).append(each)
    return result


def transcript(requests, told):
    """The requests beside their answers, one a line."""
    if not isinstance(told, list):
        return [f"  {told}"]
    lines, requests = [], list(requests)
    for each in [*told, "nothing more"]:
        is_answer = each[0] not in ("event", "e", "n") and requests
        asked = f"{requests.pop(0)} ->" if is_answer else ""
        lines.append(f"  {asked} {each}")
    return lines


class Difference(Exception):
    pass


class Comparison:
    """Runs the same bursts on both sides."""

    def __init__(self, oracle, ours, seed, without=()):
        self.oracle, self.ours = Side("ZooKeeper", oracle), Side("coordinator", ours)
        self.generator = Generator(seed, without)
        self.random = self.generator.random
        self.operations = self.bursts = 0
        self.sessions = self.zxid = 0
        self.recent = collections.deque(maxlen=SHOWN_MAX)
        for number in range(SESSIONS):
            self.open(number)

    @property
    def sides(self):
        return self.oracle, self.ours

    def same(self, what, results):
        self.recent.append((what, results[0]))
        if results[0] == results[1]:
            return results[0]
        shown = [f"after {self.operations} operations; the last ones:"]
        for (who, requests), told in [*self.recent][:-1]:
            shown += [f"{who}:", *transcript(requests, told)]
        who, requests = what
        different = zip(transcript(requests, results[0]), transcript(requests, results[1]))
        shown.append(f"{who}:")
        for expected, answered in different:
            if expected != answered:
                shown += [f"ZooKeeper:   {expected}", f"coordinator: {answered}"]
                break
            shown.append(expected)
        raise Difference("\n".join(shown))

    def open(self, number):
        self.sessions += 1
        told = [side.connect(number, f"session {self.sessions}") for side in self.sides]
        self.same((f"session {number} opens", []), told)
        self.zxid += 1
        if number == 0:
            self.send(0, [(AUTH, i32(0) + text("digest") + text(ADMIN), -4)])

    def take_up(self, number, still_open):
        """The session goes on over another connection."""
        olds = [side.clients[number] for side in self.sides]
        if not still_open:
            for old in olds:
                old.close()
        seen = self.generator.pick(0, self.zxid)
        told = []
        for side, old in zip(self.sides, olds):
            key = side.owners.get(old.session)
            told.append(side.connect(number, key, old, seen))
            if still_open:
                told[-1] = (told[-1], self.end_of(old))
        self.same((f"session {number} is taken up, open={still_open}, seen={seen:#x}", []), told)
        if not told[0] or told[0][0] == 0:
            return self.open(number)
        if self.generator.chance(0.8):
            self.send(number, [self.generator.set_watches(seen)])

    @staticmethod
    def end_of(client):
        try:
            while True:
                client.receive()
        except EOFError:
            client.close()
            return "end"

    def send(self, number, requests):
        told = []
        asked = [side.clients[number].ask(*requests) for side in self.sides]
        for side, each in zip(self.sides, asked):
            told.append(side.answers(number, each))
        self.operations += len(requests)
        seen = self.same((f"session {number}", requests), told)
        for each in seen:
            if each != "end" and each[0] != "event":
                self.zxid = max(self.zxid, each[1])
                self.generator.learn(each[3], each[4])
        if seen and seen[-1] == "end":
            self.take_up(number, still_open=False)
        elif requests[0][0] in (AUTH, *UNKNOWN):
            # Whether the connection is still there shows now.
            self.send(number, [(PING, b"", -2)])

    def close(self, number):
        self.send_last(number, [(CLOSE, b"")])
        self.open(number)

    def send_last(self, number, requests):
        told = []
        for side in self.sides:
            client = side.clients[number]
            asked = client.ask(*requests)
            told.append((side.answers(number, asked), self.end_of(client)))
        self.operations += len(requests)
        self.same((f"session {number} closes", requests), told)

    def step(self):
        self.bursts += 1
        number = self.random.randrange(SESSIONS)
        dice = self.random.random()
        if dice < 0.010 and number:
            self.close(number)
        elif dice < 0.025:
            self.take_up(number, still_open=self.generator.chance(0.5))
        elif dice < 0.040 and number:
            self.send(number, [self.generator.authenticate(self.random.choice(USERS))])
        elif dice < 0.075:
            self.send(0, self.generator.clean())
        else:
            self.send(number, self.generator.burst())
        if self.bursts % 50 == 0:
            # Nobody's session expires while others are busy.
            for each in range(SESSIONS):
                self.send(each, [(PING, b"", -2)])

    def run(self, operations):
        while self.operations < operations:
            self.step()


def keys(interval=100_000_000):
    """Both servers' keys: everything is on, and nothing is removed meanwhile."""
    return {
        "extendedTypesEnabled": "true",
        "maxSessionTimeout": 60000,
        "znode.container.checkIntervalMs": interval,
        "DigestAuthenticationProvider.superDigest": "super:D/InIHSb7yEEbrWz8b9l71RjZJU=",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    parser.add_argument("--without", nargs="*", default=[], help="kinds of nodes to leave out")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="differential-") as directory:
        with Pair(pathlib.Path(directory), keys()) as pair:
            ours, oracle = pair.addresses
            comparison = Comparison(oracle, ours, options.seed, options.without)
            try:
                comparison.run(options.operations)
            except Difference as difference:
                print(pair.ours.tail())
                sys.exit(f"seed {options.seed}: {difference}")
    print(f"{comparison.operations} operations in {comparison.bursts} bursts: no difference")


if __name__ == "__main__":
    main()
