"""R25: a follower whose disk was replaced refills from the leader, and does not
lead before it has. How fast it refills is told by `scripts/bench/catch_up.py`."""

import pytest
from disks import Disks
from harness import wait_until
from replicated import History, check, log_bytes


@pytest.fixture
def three(new_trio):
    return new_trio()


def test_an_empty_replica_does_not_lead_although_it_was_in_sync(three):
    """All were killed at once, so the registry still calls it in sync."""
    three.create("t", partitions=3)
    history = History(three, "t")
    history.start()
    history.wait_for_more(300)
    history.end()
    three.wait_in_sync("t")
    empty = three.follower("t")
    for broker in three.brokers:
        broker.kill()
    Disks(three).wipe(empty)
    three.brokers[empty].start()

    def known():
        told = three.metadata_of(empty)
        return told and told.controller_id == empty and told.topics.get("t")

    told = wait_until(known, 60, "it is the controller, and alone", 0.2)
    assert [each.leader for each in told.partitions.values()] == [-1] * 3
    for number in three.ids:
        if number != empty:
            three.brokers[number].start()
    check(three, history, "t")
    assert all(log_bytes(three, empty, "t", partition) for partition in range(3))
    history = history.go_on(three)
    history.end()
    check(three, history, "t")
