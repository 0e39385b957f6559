#!/usr/bin/env python3
"""Brokers are stopped and started one after the other under a group.

    PROFILE=release .venv/bin/python scripts/bench/group_bounce.py --rounds 5

The members of one group read a topic with a partition for each and commit what
they read. Told are the rebalances that no member asked for, commits that were
acknowledged and not there afterwards, and the longest time that a member went
without a commit. `--kill` ends brokers with kill -9.
"""

import argparse
import pathlib
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition  # noqa: E402
from harness import wait_until  # noqa: E402
from replicated import Trio  # noqa: E402

GROUP, TOPIC = "bounced", "work"
SETTLED = 180


class Member(threading.Thread):
    """Reads and commits; notes what it was assigned and what was acknowledged."""

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": GROUP,
                "session.timeout.ms": 30000,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "log_level": 0,
            }
        )
        self.assigned, self.assignments = [], 0
        self.committed = {}
        self.last, self.gap = None, 0.0
        self.ending = threading.Event()

    def run(self):
        self.consumer.subscribe([TOPIC], on_assign=self.on_assign)
        position = {}
        while not self.ending.is_set():
            for message in self.consumer.consume(100, timeout=0.2):
                if not message.error():
                    position[message.partition()] = message.offset() + 1
            ours = {each: position[each] for each in self.assigned if each in position}
            if ours:
                self.commit(ours)
        self.consumer.close()

    def on_assign(self, _, partitions):
        self.assigned = [each.partition for each in partitions]
        self.assignments += 1

    def commit(self, position):
        offsets = [TopicPartition(TOPIC, *each) for each in position.items()]
        try:
            answers = self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException:
            return
        now = time.monotonic()
        self.gap = max(self.gap, now - (self.last or now))
        self.last = now
        for each in answers:
            if not each.error:
                self.committed[each.partition] = each.offset


class Feed(threading.Thread):
    """A record to every partition, again and again."""

    def __init__(self, bootstrap, partitions):
        super().__init__(daemon=True)
        settings = {"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0}
        self.producer, self.partitions = Producer(settings), partitions
        self.ending = threading.Event()

    def run(self):
        while not self.ending.wait(0.5):
            for partition in range(self.partitions):
                self.producer.produce(TOPIC, b"x", partition=partition)
            self.producer.poll(0)
        self.producer.flush(60)


def stored(trio, count):
    """What the group has committed, by partition."""
    consumer = Consumer({"bootstrap.servers": trio.bootstrap, "group.id": GROUP, "log_level": 0})

    def told():
        try:
            asked = [TopicPartition(TOPIC, partition) for partition in range(count)]
            return {each.partition: each.offset for each in consumer.committed(asked, timeout=20)}
        except KafkaException:
            return None

    found = wait_until(told, 60, "committed offsets")
    consumer.close()
    return found


def check(trio, members, before):
    """Commits acknowledged before are there, and nothing moved back."""
    now = stored(trio, len(members))
    behind = {p: (offset, now[p]) for p, offset in before.items() if now[p] < offset}
    assert not behind, f"commits were lost: {behind}"


def acknowledged(members):
    found = {}
    for member in members:
        for partition, offset in list(member.committed.items()):
            found[partition] = max(offset, found.get(partition, 0))
    return found


def bounce(trio, members, options):
    for round_ in range(1, options.rounds + 1):
        for number in trio.ids:
            before = acknowledged(members)
            if options.kill:
                trio.bounce_hard(number)
            else:
                trio.bounce_clean(number)
            trio.wait_in_sync(TOPIC)
            trio.wait_in_sync("__consumer_offsets")
            check(trio, members, before)
            marks = [member.last for member in members]
            commits_go_on = lambda: all(  # noqa: E731
                member.last != mark for member, mark in zip(members, marks, strict=True)
            )
            wait_until(commits_go_on, 60, "every member commits")
        print(
            f"round {round_}: {sum(member.assignments for member in members) - len(members)}"
            f" assignments more than members, longest wait for a commit"
            f" {max(member.gap for member in members):.1f} s,"
            f" {sum(acknowledged(members).values())} offsets committed",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        trio = Trio(directory, keys={"group.initial.rebalance.delay.ms": 5000})
        try:
            trio.start()
            trio.create(TOPIC, partitions=options.members)
            feed = Feed(trio.bootstrap, options.members)
            feed.start()
            members = [Member(trio.bootstrap) for _ in range(options.members)]
            for member in members:
                member.start()
            settled = lambda: all(  # noqa: E731
                len(member.assigned) == 1 and member.last for member in members
            )
            wait_until(settled, SETTLED, "each member has a partition and commits", 0.5)
            for member in members:
                # Not what it took until all had joined.
                member.assignments, member.gap, member.last = 1, 0.0, None
            bounce(trio, members, options)
            feed.ending.set()
            for member in members:
                member.ending.set()
            for member in members:
                member.join(60)
            check(trio, members, acknowledged(members))
            again = sum(member.assignments for member in members) - len(members)
            print(f"{again} rebalanced assignments; no commit lost, none moved back")
        finally:
            trio.end()
        assert not trio.panics(), trio.panics()


if __name__ == "__main__":
    main()
