"""What may befall a broker of a `Trio`, by name, for tests and `chaos.py`.

A strike leaves all three brokers running and the network whole. Those of
`ON_NETWORK` need an `Isolated`, those of `ON_DISK` disks that were made small.
"""

import os
import subprocess
import time

from replicated import IDS

# Shorter than the session, longer than it, and much longer.
TIMES = (2, 8, 20)
FLAPS = 4
# How long a bad link and a busy machine last.
DEGRADED_SECONDS = 60
BUSY_SECONDS = 120


class Strikes:
    def __init__(self, trio, disks, topic, dice, times=TIMES):
        self.trio, self.disks, self.topic = trio, disks, topic
        self.dice, self.times = dice, times

    def target(self, name):
        """The id of the leader, a follower or the controller."""
        return {
            "leader": lambda: self.trio.leader(self.topic),
            "follower": lambda: self.trio.follower(self.topic),
            "controller": self.trio.controller,
        }[name]()

    def strike(self, fault, target):
        """Strikes and heals; the id of the broker that was struck."""
        number = self.target(target)
        getattr(self, fault)(number)
        return number

    def last(self):
        time.sleep(self.dice.choice(self.times))

    def other(self, number):
        return self.dice.choice([other for other in IDS if other != number])

    def kill(self, number):
        self.trio.bounce_hard(number)

    def stop(self, number):
        self.trio.bounce_clean(number)

    def pause(self, number):
        self.trio.pause(number, self.dice.choice(self.times))

    def wipe(self, number):
        """kill -9, and its disk is replaced by an empty one."""
        self.trio.brokers[number].kill()
        self.disks.wipe(number)
        self.trio.start_again(number)

    def full(self, number):
        """No room is left on its disk for some time."""
        self.disks.fill(number)
        try:
            self.last()
        finally:
            self.disks.free(number)

    def starve(self, _):
        """Other processes want twice the processors that the machine has."""
        spin = ["setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", "while :; do :; done"]
        others = [subprocess.Popen(spin) for _ in range(2 * os.cpu_count())]
        try:
            time.sleep(BUSY_SECONDS)
        finally:
            for other in others:
                other.kill()
                other.wait()

    def degrade(self, number):
        """Its link is slow and loses much."""
        self.trio.degrade(number, DEGRADED_SECONDS)
        self.trio.heal()

    def isolate(self, number):
        """Nothing gets in or out."""
        self.trio.isolate(number)
        self.last()
        self.trio.heal()

    def oneway(self, number):
        """What it sends to one of the others gets lost."""
        self.trio.lose_packets(number, to=self.other(number))
        self.last()
        self.trio.heal()

    def bridge(self, number):
        """It and one of the others reach each other only through the third."""
        other = self.other(number)
        self.trio.lose_packets(number, to=other)
        self.trio.lose_packets(other, to=number)
        self.last()
        self.trio.heal()

    def flap(self, number):
        """Its link goes and comes every two seconds."""
        for _ in range(FLAPS):
            self.trio.isolate(number)
            time.sleep(2)
            self.trio.heal()
            time.sleep(2)


ON_PROCESS = ("kill", "stop", "pause", "wipe")
ON_NETWORK = ("isolate", "oneway", "bridge", "flap")
ON_DISK = ("full",)
# Only when they are named: each takes minutes.
SLOW = ("starve", "degrade")
ALL = ON_PROCESS + ON_NETWORK + ON_DISK + SLOW
