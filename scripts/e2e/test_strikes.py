"""Records with three replicas outlive empty and full disks, and networks that
flap or are cut between two brokers only. The long form is `scripts/bench/chaos.py`."""

import random

import pytest
from disks import Disks
from replicated import History, check
from strikes import Strikes

# A cut or a full disk lasts longer than a session; replicas that lag leave the
# ISR sooner.
TIMES = (8,)
KEYS = {"replica.lag.time.max.ms": 4000}
SEED = 5


class Struck:
    def __init__(self, trio, disks):
        self.trio, self.disks = trio, disks
        trio.create("t")
        self.strikes = Strikes(trio, disks, "t", random.Random(SEED), TIMES)
        self.history = History(trio, "t")
        self.history.start()
        self.history.wait_for_more()

    def by(self, fault, target):
        self.strikes.strike(fault, target)
        self.history.wait_for_more()
        self.trio.wait_in_sync("t")

    def end(self):
        self.history.end()
        return check(self.trio, self.history, "t")


@pytest.fixture
def on_disks(on_small_disks):
    return Struck(*on_small_disks(keys=KEYS))


@pytest.fixture
def on_a_network(new_isolated):
    trio = new_isolated(keys=KEYS)
    return Struck(trio, Disks(trio))


def test_records_outlive_empty_and_full_disks(on_disks):
    on_disks.by("wipe", "follower")
    on_disks.by("wipe", "leader")
    on_disks.by("full", "follower")
    on_disks.by("full", "leader")
    assert on_disks.end() > 400


@pytest.mark.long
def test_records_outlive_a_flapping_and_a_bridged_network(on_a_network):
    on_a_network.by("flap", "leader")
    on_a_network.by("bridge", "leader")
    on_a_network.by("oneway", "leader")
    on_a_network.by("flap", "controller")
    assert on_a_network.end() > 400
