"""A leader whose disk is full makes room for the others: they lead, clients go
on, and it comes back when there is room. Kafka 3.9.1 takes the log directory for
a failed one: its other directories go on, and when there are none it ends with
exit code 1 as soon as the disk is full; either way an operator restarts it."""

import pytest
from harness import wait_until
from replicated import History, check

# Longer than the test: only the controller takes a replica out of the ISR.
KEYS = {"replica.lag.time.max.ms": 120_000}


class Full:
    """Three brokers with small disks, one of which is filled."""

    def __init__(self, trio, disks):
        self.trio, self.disks = trio, disks
        trio.create("t", partitions=3)
        self.history = History(trio, "t")
        self.history.start()
        self.history.wait_for_more()

    def isrs(self):
        return [each.isrs for each in self.trio.partitions("t").values()]

    def fill(self, number):
        """Its replicas leave the ISRs, and others lead."""
        self.history.take_gap()
        self.disks.fill(number)
        self.is_left_out(number)

    def is_left_out(self, number):
        gone = lambda: not any(number in isr for isr in self.isrs())  # noqa: E731
        wait_until(gone, 60, f"broker {number} is in no ISR", 0.2)
        assert all(each.leader != number for each in self.trio.partitions("t").values())


@pytest.fixture
def full(on_small_disks):
    return Full(*on_small_disks(keys=KEYS))


@pytest.fixture
def full_under_apache(on_small_disks):
    """The first to start is the controller."""
    brokers = ("apache", "odradek", "odradek")
    return Full(*on_small_disks(brokers=brokers, coordinator="apache", keys=KEYS))


def returns(full, number):
    full.disks.free(number)
    full.trio.wait_in_sync("t")


def test_others_lead_while_the_disk_is_full(full):
    leader = full.trio.leader("t")
    full.fill(leader)
    full.history.wait_for_more(500)
    # Not before there is room again, and then by itself.
    full.is_left_out(leader)
    assert full.trio.brokers[leader].running()
    returns(full, leader)
    full.history.end()
    assert check(full.trio, full.history, "t") > 500


def test_a_follower_on_a_full_disk_is_not_waited_for(full):
    follower = full.trio.follower("t")
    full.fill(follower)
    full.history.wait_for_more()
    returns(full, follower)
    full.history.end()
    check(full.trio, full.history, "t")


def test_the_last_in_sync_replica_leads_on_and_is_read(full):
    trio = full.trio
    full.history.end()
    stays = trio.leader("t")
    others = [number for number in trio.ids if number != stays]
    for number in others:
        trio.brokers[number].kill()

    def leads_all():
        told = trio.metadata_of(stays)
        known = told and told.topics["t"].partitions.values()
        return known and all(each.leader == stays and each.isrs == [stays] for each in known)

    wait_until(leads_all, 60, "one broker leads all", 0.2)
    full.disks.fill(stays)
    for number in others:
        trio.brokers[number].start()
    trio.wait_in_sync("t")
    assert check(trio, full.history, "t") > 100
    returns(full, stays)
    full.history = full.history.go_on(trio)
    full.history.end()
    check(trio, full.history, "t")


@pytest.mark.long
def test_a_controller_of_apache_moves_leaders_away_and_takes_them_back(full_under_apache):
    full = full_under_apache
    assert full.trio.controller() == 0
    for number in (1, 2):
        full.fill(number)
        full.history.wait_for_more(300)
        returns(full, number)
    full.history.end()
    check(full.trio, full.history, "t")
