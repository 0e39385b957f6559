"""Records outlive a network that is cut: the leader alone, a leader whose answers
a follower does not hear, and one that cannot reach the controller either."""

import pytest
from harness import wait_until
from replicated import History, check


# A controller that moves a leader back to a broker which it cannot reach leaves
# the partition without one that knows of it.
KEYS = {"replica.lag.time.max.ms": 4000, "auto.leader.rebalance.enable": "false"}


@pytest.fixture
def three_apart(new_isolated):
    return new_isolated(keys=KEYS)


@pytest.mark.long
def test_nothing_acknowledged_is_lost_when_the_network_is_cut(three_apart):
    three = three_apart
    three.create("t", partitions=1)
    history = History(three, "t")
    history.start()
    history.wait_for_more()

    leader = three.leader("t")
    three.isolate(leader)
    three.wait_for_other_leader("t", leader)
    history.wait_for_more()
    three.heal()
    three.wait_in_sync("t")

    for follower in three.ids:
        leader = three.leader("t")
        if follower == leader:
            continue
        # One of the two may be the controller, whom nobody replaces: its session
        # is well.
        three.lose_packets(leader, to=follower)
        history.wait_for_more(1000)
        three.heal()
        three.wait_in_sync("t")
    history.end()
    assert check(three, history, "t") > 2000


@pytest.mark.long
def test_a_leader_that_cannot_reach_the_controller_leaves_it_behind(three_apart):
    three = three_apart
    three.create("t", partitions=3)
    controller = three.controller()
    history = History(three, "t")
    history.start()
    history.wait_for_more()
    leader = next(n for n in three.ids if n != controller)
    third = next(n for n in three.ids if n not in (leader, controller))
    three.lose_packets(leader, to=controller)
    three.lose_packets(controller, to=leader)

    def is_left_behind():
        # The controller cannot tell the leader, and tells the third.
        told = three.metadata_of(third)
        known = told and told.topics["t"].partitions.values()
        led = [each for each in known or () if each.leader == leader]
        return led and all(set(each.isrs) == {leader, third} for each in led)

    wait_until(is_left_behind, 60, "the controller's replica has left the ISR", 0.2)
    history.wait_for_more(1000)
    three.heal()
    three.wait_in_sync("t")
    history.end()
    check(three, history, "t")
